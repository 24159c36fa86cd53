package transport

// One request, one response: operations over HTTP POST and GET, alone or in a batch.

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"studio/fault"
)

// IdempotencyHeader is the header by which a mutation that is sent again is known.
const IdempotencyHeader = "Idempotency-Key"

// refusal is an error that HTTP has a status of its own for.
type refusal struct {
	status int
	error
}

// Unwrap gives the error without its status.
func (r refusal) Unwrap() error { return r.error }

// serveHTTP answers every request but that for a WebSocket. The error is for the caller.
func (h *Handler) serveHTTP(w http.ResponseWriter, r *http.Request) error {
	mediaType := accepted(r)
	switch {
	case r.Method != http.MethodPost && r.Method != http.MethodGet:
		return refusal{http.StatusMethodNotAllowed,
			fault.New(fault.BadRequest, "This URL serves GraphQL. Send a POST or GET request.")}
	case mediaType == "":
		return refusal{http.StatusNotAcceptable, fault.New(fault.BadRequest,
			"None of the accepted media types can be served. Accept %s, %s or %s.",
			typeGraphQLResponse, typeJSON, typeEventStream)}
	case h.forgeable(r):
		return fault.New(fault.Forbidden,
			"The session cookie alone is not trusted here, as another site may have caused the request. "+
				"POST with the Content-Type %s, or add the header GraphQL-Require-Preflight.", typeJSON)
	case r.Method == http.MethodPost && !hasJSON(r):
		return refusal{http.StatusUnsupportedMediaType, fault.New(fault.BadRequest,
			"The body's media type is not supported. Send JSON with the Content-Type %s.", typeJSON)}
	case cmp.Or(r.Header.Get("Content-Encoding"), "identity") != "identity":
		return refusal{http.StatusUnsupportedMediaType, fault.New(fault.BadRequest,
			"A body with a Content-Encoding is not supported. Send it as it is.")}
	}

	operations, batch, err := h.read(w, r)
	if err != nil {
		return err
	}
	ofCookies := w
	if mediaType == typeEventStream {
		ofCookies = nil
	}
	ctx, err := h.authenticate(r.Context(), ofCookies, r, r.Header.Get("Authorization"))
	if err != nil {
		return err
	}
	if err := h.Limit(ctx, len(operations)); err != nil {
		return err
	}

	switch {
	case mediaType == typeEventStream && batch:
		return fault.New(fault.BadRequest,
			"A stream carries one operation. Send each operation of the batch alone.")
	case batch && r.Header.Get(IdempotencyHeader) != "":
		return fault.New(fault.BadRequest,
			"An %s is that of one operation. Send each operation of the batch alone.", IdempotencyHeader)
	case mediaType == typeEventStream:
		return h.serveEvents(ctx, w, r, operations[0])
	case batch:
		h.respond(w, mediaType, http.StatusOK, h.answerBatch(ctx, r, operations))
	default:
		response, body, err := h.answer(ctx, r, operations[0])
		if err != nil {
			return err
		}
		status := http.StatusOK
		// A client that accepts plain JSON looks for errors in the body, not in the status.
		if response.Data == nil && mediaType == typeGraphQLResponse {
			status = statusOf(response.Errors[0])
		}
		h.respond(w, mediaType, status, body)
	}
	return nil
}

// answer executes an operation that has one response.
func (h *Handler) answer(
	ctx context.Context, r *http.Request, params *graphql.RawParams,
) (*graphql.Response, []byte, error) {
	operation, failed := h.prepare(ctx, params)
	if failed != nil {
		return failed, encode(failed), nil
	}
	if isSubscription(operation) {
		return nil, nil, fault.New(fault.BadRequest,
			"A subscription needs a stream. Accept %s for server-sent events, "+
				"or open a WebSocket with the subprotocol %s.", typeEventStream, subprotocol)
	}
	if err := allowed(r, operation); err != nil {
		return nil, nil, err
	}
	for response, body := range h.execute(outliving(ctx, r, operation), operation) {
		return response, body, nil
	}
	// Nobody reads this: the caller went away.
	return nil, nil, fault.New(fault.Unavailable, "The request was canceled. Send it again.")
}

// answerBatch executes operations in order; one that fails does not keep the next from running.
func (h *Handler) answerBatch(
	ctx context.Context, r *http.Request, operations []*graphql.RawParams,
) []byte {
	var bodies [][]byte
	for _, params := range operations {
		_, body, err := h.answer(ctx, r, params)
		if err != nil {
			body = encode(h.present(ctx, err))
		}
		bodies = append(bodies, body)
	}
	return append(append([]byte{'['}, bytes.Join(bodies, []byte{','})...), ']')
}

// outliving lets a mutation with an idempotency key go on when its client has gone, who can ask for the answer later.
func outliving(ctx context.Context, r *http.Request, operation *graphql.OperationContext) context.Context {
	if operation.Operation.Operation == ast.Mutation && r.Header.Get(IdempotencyHeader) != "" {
		return context.WithoutCancel(ctx)
	}
	return ctx
}

// allowed refuses to let a GET request change anything: links, prefetches and caches send those.
func allowed(r *http.Request, operation *graphql.OperationContext) error {
	if r.Method == http.MethodGet && operation.Operation.Operation == ast.Mutation {
		return refusal{http.StatusMethodNotAllowed,
			fault.New(fault.BadRequest, "A GET request cannot execute a mutation. Send a POST request.")}
	}
	return nil
}

// refuse answers a request of which nothing was executed.
func (h *Handler) refuse(w http.ResponseWriter, r *http.Request, err error) {
	response := h.present(r.Context(), err)
	status := Refuse(w.Header(), response.Errors[0])
	if refused, ok := errors.AsType[refusal](err); ok {
		status = refused.status
	}
	if status == http.StatusMethodNotAllowed {
		w.Header().Set("Allow", "GET, POST")
		if r.Method == http.MethodGet {
			w.Header().Set("Allow", "POST")
		}
	}
	mediaType := typeJSON
	if accepted(r) == typeGraphQLResponse {
		mediaType = typeGraphQLResponse
	}
	h.respond(w, mediaType, status, encode(response))
}

// Refuse sets the headers that tell of an error, as it is shown to the caller, and returns its status.
func Refuse(header http.Header, err *gqlerror.Error) (status int) {
	status = statusOf(err)
	if status == http.StatusUnauthorized {
		header.Set("WWW-Authenticate", "Bearer")
	}
	if wait, ok := err.Extensions["retryAfter"].(int); ok {
		header.Set("Retry-After", strconv.Itoa(wait))
	}
	return status
}

// statusOf is the status of HTTP for a request that fails with an error.
func statusOf(err *gqlerror.Error) int {
	code, _ := err.Extensions["code"].(string)
	switch fault.Code(code) {
	case fault.Unauthenticated:
		return http.StatusUnauthorized
	case fault.Forbidden:
		return http.StatusForbidden
	case fault.RateLimited:
		return http.StatusTooManyRequests
	case fault.Unavailable:
		return http.StatusServiceUnavailable
	case fault.Internal:
		return http.StatusInternalServerError
	default:
		return http.StatusBadRequest
	}
}

// respond sends a response. An error means that the client went away, which needs no answer.
func (h *Handler) respond(w http.ResponseWriter, mediaType string, status int, body []byte) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(h.writeTimeout))
	w.Header().Set("Content-Type", mediaType+"; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Length", strconv.Itoa(len(body))) // or a longer one is sent in chunks
	w.WriteHeader(status)
	_, _ = w.Write(body)
}
