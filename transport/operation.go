// How one operation is executed, the same for every way it may have come.

package transport

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
)

type endKey struct{}

// OnEnd has the subscriber told why the stream has ended. A subscription's resolver calls it with the
// context that it was given; reason is asked once nothing more comes, and nil means that the stream is
// complete.
func OnEnd(ctx context.Context, reason func() error) {
	if end, inStream := ctx.Value(endKey{}).(*func() error); inStream {
		*end = reason
	}
}

// prepare parses and validates an operation. The response is nil unless that failed.
func (h *Handler) prepare(
	ctx context.Context, params *graphql.RawParams,
) (*graphql.OperationContext, *graphql.Response) {
	operation, errs := h.Executor.CreateOperationContext(graphql.StartOperationTrace(ctx), params)
	if len(errs) > 0 {
		return nil, h.Executor.DispatchError(graphql.WithOperationContext(ctx, operation), errs)
	}
	return operation, nil
}

// execute yields the responses to an operation, each also as JSON: one to a query or mutation,
// any number to a subscription. When the operation is cut short for a reason that the caller
// should know, the last response holds it.
func (h *Handler) execute(
	ctx context.Context, operation *graphql.OperationContext,
) iter.Seq2[*graphql.Response, []byte] {
	return func(yield func(*graphql.Response, []byte) bool) {
		end := func() error { return nil }
		ctx := context.WithValue(graphql.WithOperationContext(ctx, operation), endKey{}, &end)
		ctx, cancel := h.limit(ctx, operation)
		defer cancel()

		// A subscription runs on goroutines of its own, where a panic would end the process.
		guarded := func(run func()) {
			defer func() {
				if panicked := recover(); panicked != nil {
					err := operation.Recover(ctx, panicked)
					end = func() error { return err }
				}
			}()
			run()
		}
		var responses graphql.ResponseHandler
		dispatch := func() { responses, ctx = h.Executor.DispatchOperation(ctx, operation) }
		if isSubscription(operation) {
			// What begins a stream needs a deep stack, which a goroutine that then waits for events
			// would keep for as long as the stream is open.
			var dispatching sync.WaitGroup
			dispatching.Go(func() { guarded(dispatch) })
			dispatching.Wait()
		} else {
			guarded(dispatch)
		}
		if responses == nil {
			responses = func(context.Context) *graphql.Response { return nil }
		}
		next := func() (response *graphql.Response, body []byte) {
			guarded(func() {
				if answer := responses(ctx); answer != nil {
					response, body = answer, encode(answer)
				}
			})
			return response, body
		}
		for response, body := next(); response != nil; response, body = next() {
			if !yield(response, body) || !isSubscription(operation) {
				return
			}
		}

		reason := end()
		if reason == nil {
			reason = context.Cause(ctx)
		}
		// Canceled is how the context ends when nobody is listening any more.
		if reason != nil && !errors.Is(reason, context.Canceled) {
			response := h.present(ctx, reason)
			yield(response, encode(response))
		}
	}
}

// limitRate refuses operations of a caller who sends too many.
func (h *Handler) limitRate(ctx context.Context, operations int) error {
	if h.Limit == nil {
		return nil
	}
	return h.Limit(ctx, operations)
}

// limit bounds the time of a query or mutation.
func (h *Handler) limit(
	ctx context.Context, operation *graphql.OperationContext,
) (context.Context, context.CancelFunc) {
	if isSubscription(operation) {
		return context.WithCancel(ctx)
	}
	return context.WithTimeoutCause(ctx, h.Timeout, h.tookLong())
}

// present makes the response that tells of an error.
func (h *Handler) present(ctx context.Context, err error) *graphql.Response {
	return h.Executor.DispatchError(ctx, gqlerror.List{gqlerror.WrapIfUnwrapped(err)})
}

func isSubscription(operation *graphql.OperationContext) bool {
	return operation.Operation.Operation == ast.Subscription
}

// encode differs from marshalling the response in that data is absent, rather than null, when the
// operation was not executed, and in that data, which is JSON already, is not looked at again.
func encode(response *graphql.Response) []byte {
	body, err := json.Marshal(struct {
		Errors     gqlerror.List  `json:"errors,omitempty"`
		Extensions map[string]any `json:"extensions,omitempty"`
	}{response.Errors, response.Extensions})
	if err != nil {
		panic(fmt.Errorf("encode a response: %w", err))
	}
	if response.Data == nil {
		return body
	}
	before := body[:len(body)-1] // all but the brace that closes
	if len(before) > 1 {
		before = append(before, ',')
	}
	whole := slices.Grow(before, len(`"data":}`)+len(response.Data))
	return append(append(append(whole, `"data":`...), response.Data...), '}')
}
