package stripesandbox

// Errors as Stripe shows them.

import (
	"encoding/json"
	"fmt"
	"net/http"
)

// refusal is an error for the client.
type refusal struct {
	status int
	kept   bool // whether what was done before it stays done

	Type        string `json:"type"`
	Code        string `json:"code,omitempty"`
	DeclineCode string `json:"decline_code,omitempty"`
	Message     string `json:"message"`
	Param       string `json:"param,omitempty"`
}

// Error implements error.
func (r *refusal) Error() string { return r.Message }

func (r *refusal) answer() *answer {
	body, err := json.Marshal(map[string]any{"error": r})
	if err != nil {
		panic(err) // texts only
	}
	return &answer{status: r.status, body: body}
}

// invalid refuses a request for what it asks; the code and the parameter may be "".
func invalid(code, param, format string, args ...any) *refusal {
	return &refusal{status: http.StatusBadRequest, Type: "invalid_request_error", Code: code, Param: param, Message: fmt.Sprintf(format, args...)}
}

// inPath is the parameter that an ID in the path counts as.
const inPath = "id"

// missing refuses a request that names what does not exist.
func missing(kind, id, param string) *refusal {
	name := kind
	switch kind {
	case "payment_method":
		name = "PaymentMethod"
	case "promotion_code":
		name = "promotion code"
	}
	r := invalid("resource_missing", param, "No such %s: '%s'", name, id)
	if param == inPath {
		r.status = http.StatusNotFound
	}
	return r
}

// declined says that a bank refused a card.
func declined() *refusal {
	return &refusal{status: http.StatusPaymentRequired, Type: "card_error", Code: "card_declined",
		DeclineCode: "generic_decline", Message: "Your card was declined."}
}
