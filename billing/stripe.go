package billing

// How Stripe is called, and what its errors become.

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/stripe/stripe-go/v85"
	"github.com/stripe/stripe-go/v85/form"

	"studio/fault"
)

// callTimeout is how long a call may take.
const callTimeout = 20 * time.Second

func client(settings Settings) *stripe.Client {
	config := &stripe.BackendConfig{
		HTTPClient:        &http.Client{Timeout: callTimeout},
		LeveledLogger:     &stripe.LeveledLogger{Level: stripe.LevelNull}, // it would write to the standard output
		MaxNetworkRetries: stripe.Int64(2),
		EnableTelemetry:   stripe.Bool(false),
	}
	if settings.APIURL != "" {
		config.URL = &settings.APIURL
	}
	backends := stripe.NewBackendsWithConfig(config)
	backends.API = backend{backends.API, &sync.Map{}}
	return stripe.NewClient(settings.SecretKey, stripe.WithBackends(backends))
}

// backend makes every error of a call a failure.
type backend struct {
	stripe.Backend
	// spent is how often each idempotency key was answered that Stripe is out of order. In a day, a
	// repetition gets nothing but that answer, see https://docs.stripe.com/api/idempotent_requests.
	spent *sync.Map
}

// Call makes a call with parameters, and CallRaw one that reads a list.
func (b backend) Call(method, path, key string, params stripe.ParamsContainer, v stripe.LastResponseSetter) error {
	given := params.GetParams()
	if given.IdempotencyKey == nil {
		return asFailure(b.Backend.Call(method, path, key, params, v))
	}
	base, times := *given.IdempotencyKey, 0
	if before, spent := b.spent.Load(base); spent {
		times = before.(int)
		given.SetIdempotencyKey(fmt.Sprintf("%s/%d", base, times))
	}
	err := asFailure(b.Backend.Call(method, path, key, params, v))
	if failed(err).status >= http.StatusInternalServerError {
		b.spent.Store(base, times+1)
	}
	return err
}

// CallRaw is described at Call.
func (b backend) CallRaw(method, path, key string, body []byte, params *stripe.Params, v stripe.LastResponseSetter) error {
	return asFailure(b.Backend.CallRaw(method, path, key, body, params, v))
}

// failure is a call that failed. It keeps only what may be stored and logged: Stripe sends whole
// objects along with an error, and they can hold secrets.
type failure struct {
	status    int // 0 when there was no answer
	kind      stripe.ErrorType
	code      stripe.ErrorCode
	param     string
	message   string
	requestID string
}

func asFailure(err error) error {
	if err == nil {
		return nil
	}
	if answer, is := errors.AsType[*stripe.Error](err); is {
		return &failure{answer.HTTPStatusCode, answer.Type, answer.Code, answer.Param, answer.Msg, answer.RequestID}
	}
	if _, is := errors.AsType[net.Error](err); is || errors.Is(err, context.Canceled) || errors.Is(err, io.ErrUnexpectedEOF) {
		return &failure{message: err.Error()}
	}
	return &failure{message: "what came cannot be read"} // and is quoted by the error, with any secret
}

// Error tells it for the log.
func (f *failure) Error() string {
	if f.status == 0 {
		return "no answer of Stripe's: " + f.message
	}
	return fmt.Sprintf("Stripe answered %d %s %s: %s (%s)", f.status, f.kind, f.code, f.message, f.requestID)
}

// failed is what Stripe answered if that is the error.
func failed(err error) *failure {
	f, is := errors.AsType[*failure](err)
	if !is {
		return &failure{}
	}
	return f
}

// declined tells that the bank refused.
func (f *failure) declined() bool { return f.status == http.StatusPaymentRequired }

// missing tells that what the call named does not exist.
func (f *failure) missing() bool { return f.code == stripe.ErrorCodeResourceMissing }

// refused tells that the call can never succeed as it is.
func (f *failure) refused() bool {
	return f.status == http.StatusBadRequest || f.status == http.StatusNotFound
}

// errDeclined tells the owner why the bank refused. Stripe writes the message of a card's error for
// the one whose card it is.
func errDeclined(f *failure) *fault.Error {
	reason := "The card was declined."
	switch {
	case strings.HasSuffix(string(f.code), "requires_action"), f.code == stripe.ErrorCodeAuthenticationRequired:
		reason = "The bank wants each payment with this card to be confirmed, which is not possible here."
	case f.kind == stripe.ErrorTypeCard && f.message != "":
		reason = f.message
	}
	return fault.New(fault.CardDeclined, "%s Your request was not carried out. Set another card, or ask your bank.", reason)
}

// once gives a call its idempotency key: whose step it is, and what is asked for, as a step that is
// tried again may have to ask for something else by then. Once Stripe has answered that it is out of order,
// the next attempt has a further key. In case there was an effect all the same, each caller asks first what
// there is, names what it makes, or does what changes nothing the second time; only a customer can be made
// again, and then the first has nothing and is never used.
func once[P stripe.ParamsContainer](of, step string, params P) P {
	values := &form.Values{}
	form.AppendTo(values, params)
	sum := sha256.Sum256([]byte(values.Encode()))
	params.GetParams().SetIdempotencyKey(fmt.Sprintf("%s/%s/%x", of, step, sum[:6]))
	return params
}

// timeOf is what Stripe's clock showed when it answered. The sandbox's can be far ahead of ours.
func (b *Billing) timeOf(answer *stripe.APIResponse) time.Time {
	at, err := http.ParseTime(answer.Header.Get("Date"))
	if err != nil {
		return b.db.Now()
	}
	return at.UTC()
}

// optionalTime reads a time of Stripe's, nil for none.
func optionalTime(unix int64) *time.Time {
	if unix == 0 {
		return nil
	}
	t := time.Unix(unix, 0).UTC()
	return &t
}

// monthsAfter counts months from a time as Stripe does: a day that the month does not have becomes
// its last.
func monthsAfter(from time.Time, months int) time.Time {
	first := time.Date(from.Year(), from.Month()+time.Month(months), 1, from.Hour(), from.Minute(), from.Second(), 0, time.UTC)
	last := first.AddDate(0, 1, -1).Day()
	return first.AddDate(0, 0, min(from.Day(), last)-1)
}
