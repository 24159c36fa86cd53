package transport

// Requests: the media types and parameters of one, and whether another site may have forged it.

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/99designs/gqlgen/graphql"

	"studio/fault"
)

const (
	typeJSON            = "application/json"
	typeGraphQLResponse = "application/graphql-response+json"
	typeEventStream     = "text/event-stream"
)

// accepted is the media type to answer with: the one that the client likes best, or listed first
// among equals. It is empty when there is none.
func accepted(r *http.Request) string {
	ranges := strings.Join(r.Header.Values("Accept"), ",")
	if ranges == "" || ranges == typeJSON { // as most clients say it
		return typeJSON
	}
	best, highest := "", 0.0
	for mediaRange := range strings.SplitSeq(ranges, ",") {
		offer, params, err := mime.ParseMediaType(mediaRange)
		if err != nil {
			continue
		}
		switch offer {
		case typeJSON, typeGraphQLResponse, typeEventStream:
		case "*/*", "application/*":
			offer = typeJSON
		default:
			continue
		}
		quality, err := strconv.ParseFloat(cmp.Or(params["q"], "1"), 64)
		if err == nil && quality > highest {
			best, highest = offer, quality
		}
	}
	return best
}

// hasJSON tells whether the body claims to be JSON, which is always UTF-8.
func hasJSON(r *http.Request) bool {
	contentType := r.Header.Get("Content-Type")
	if contentType == typeJSON {
		return true
	}
	mediaType, params, err := mime.ParseMediaType(contentType)
	return err == nil && mediaType == typeJSON &&
		strings.EqualFold(cmp.Or(params["charset"], "utf-8"), "utf-8")
}

// hasCookie tells whether the request carries the session cookie.
func (h *Handler) hasCookie(r *http.Request) bool {
	_, err := r.Cookie(h.CookieName)
	return err == nil
}

// forgeable tells whether the request relies on the session cookie although another site could
// have made the browser send it. A browser asks before it lets a site send JSON or a header.
func (h *Handler) forgeable(r *http.Request) bool {
	return h.hasCookie(r) && r.Header.Get("Authorization") == "" &&
		!hasJSON(r) && len(r.Header.Values("GraphQL-Require-Preflight")) == 0
}

// fromAllowedOrigin tells whether a page opened the WebSocket that may use the session cookie.
// A browser does not ask before it opens a WebSocket, but it says for which origin.
func (h *Handler) fromAllowedOrigin(r *http.Request) bool {
	header := r.Header.Get("Origin")
	origin, err := url.Parse(header)
	return err == nil && origin.Host != "" &&
		(strings.EqualFold(origin.Host, r.Host) || slices.Contains(h.AllowedOrigins, header))
}

// usualBody is more than the bodies of nearly all requests have, in bytes.
const usualBody = 16 << 10

// read gives the parameters of each operation in the request, and whether they came as a batch.
func (h *Handler) read(w http.ResponseWriter, r *http.Request) (operations []*graphql.RawParams, batch bool, err error) {
	if r.Method == http.MethodGet {
		params, err := fromQuery(r.URL.RawQuery)
		return []*graphql.RawParams{params}, false, err
	}

	// The deadline is for this body alone: left in place, it would end a stream.
	controller := http.NewResponseController(w)
	_ = controller.SetReadDeadline(time.Now().Add(h.timeout))
	var body bytes.Buffer
	// What a client says is to come may never do so.
	body.Grow(int(min(max(r.ContentLength, 0), usualBody)) + bytes.MinRead)
	_, err = body.ReadFrom(http.MaxBytesReader(w, r.Body, h.maxBodyBytes))
	if err == nil { // or the rest would be waited for without end
		_ = controller.SetReadDeadline(time.Time{})
	}
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return nil, false, refusal{http.StatusRequestEntityTooLarge,
			fault.New(fault.BadRequest, "The body is too large. Send at most %d bytes.", h.maxBodyBytes)}
	}
	if err != nil {
		return nil, false, fault.New(fault.BadRequest,
			"The body did not arrive in full. Send the request again.")
	}

	value, err := decode(body.Bytes())
	if err != nil {
		return nil, false, err
	}
	list, batch := value.([]any)
	if !batch {
		list = []any{value}
	}
	if len(list) == 0 {
		return nil, batch, fault.New(fault.BadRequest,
			"The batch is empty. Send at least one operation.")
	}
	if len(list) > h.maxBatch {
		return nil, batch, fault.New(fault.QueryTooComplex,
			"The batch has %d operations. Send at most %d at once.", len(list), h.maxBatch)
	}
	for _, value := range list {
		params, err := fromJSON(value)
		if err != nil {
			return nil, batch, err
		}
		operations = append(operations, params)
	}
	return operations, batch, nil
}

// fromQuery reads the parameters of an operation from a URL.
func fromQuery(rawQuery string) (*graphql.RawParams, error) {
	query, err := url.ParseQuery(rawQuery)
	if err != nil {
		return nil, fault.New(fault.BadRequest, "The URL's query is malformed. Percent-encode its parameters.")
	}
	fields := map[string]any{}
	for _, name := range []string{"query", "operationName"} {
		if query.Has(name) {
			fields[name] = query.Get(name)
		}
		if !utf8.ValidString(query.Get(name)) {
			return nil, fault.New(fault.BadRequest, "`%s` is not valid UTF-8.", name)
		}
	}
	for _, name := range []string{"variables", "extensions"} {
		if query.Get(name) == "" {
			continue
		}
		if fields[name], err = decode([]byte(query.Get(name))); err != nil {
			return nil, fault.New(fault.BadRequest, "`%s` must be a JSON object in UTF-8.", name)
		}
	}
	return fromJSON(fields)
}

// fromJSON reads the parameters of an operation from a decoded JSON value.
func fromJSON(value any) (*graphql.RawParams, error) {
	fields, ok := value.(map[string]any)
	if !ok {
		return nil, fault.New(fault.BadRequest,
			"A request must be a JSON object with a `query`, or an array of such objects.")
	}
	params := &graphql.RawParams{}
	if params.Query, ok = fields["query"].(string); !ok && fields["query"] != nil {
		return nil, fault.New(fault.BadRequest, "`query` must be a string.")
	}
	if params.OperationName, ok = fields["operationName"].(string); !ok && fields["operationName"] != nil {
		return nil, fault.New(fault.BadRequest, "`operationName` must be a string or null.")
	}
	if params.Variables, ok = fields["variables"].(map[string]any); !ok && fields["variables"] != nil {
		return nil, fault.New(fault.BadRequest, "`variables` must be an object or null.")
	}
	if params.Extensions, ok = fields["extensions"].(map[string]any); !ok && fields["extensions"] != nil {
		return nil, fault.New(fault.BadRequest, "`extensions` must be an object or null.")
	}
	// A persisted query may be named by its hash alone.
	if fields["query"] == nil && params.Extensions["persistedQuery"] == nil {
		return nil, fault.New(fault.BadRequest,
			"`query` is missing. Send the GraphQL document as a string in `query`.")
	}
	return params, nil
}

// decode reads one JSON value, and nothing after it.
func decode(data []byte) (any, error) {
	if !utf8.Valid(data) {
		return nil, fault.New(fault.BadRequest, "The JSON is not valid UTF-8. Encode it as UTF-8.")
	}
	var value any
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	if err := decoder.Decode(&value); err == nil {
		if _, err := decoder.Token(); errors.Is(err, io.EOF) {
			return numbered(value), nil
		}
	}
	return nil, fault.New(fault.BadRequest, "The JSON is malformed. Send one JSON value and nothing after it.")
}

// numbered makes numbers of a JSON value's numbers, which gqlparser would take for strings otherwise; whole
// ones stay exact.
func numbered(value any) any {
	switch value := value.(type) {
	case json.Number:
		if whole, err := value.Int64(); err == nil {
			return whole
		}
		number, _ := value.Float64() // infinite when it is too large, which fits no type
		return number
	case []any:
		for i := range value {
			value[i] = numbered(value[i])
		}
	case map[string]any:
		for name := range value {
			value[name] = numbered(value[name])
		}
	}
	return value
}
