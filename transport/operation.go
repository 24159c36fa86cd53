package transport

// Operations: how one is executed, the same for every way it may have come.

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

// maxErrors is how many errors tell what is wrong with a document, which may be something with each word.
// graphql-js stops there, too.
const maxErrors = 100

type waitKey struct{}

// Entries is what a subscription's resolver returns, with the context that it was given. The entries come
// from next, which waits for one. An error of next ends the stream, and the subscriber gets it.
//
// The goroutine of a stream waits there, and not in the depth of the executor.
func Entries[T any](ctx context.Context, next func(ctx context.Context) (T, error)) <-chan T {
	entries := make(chan T, 1)
	*ctx.Value(waitKey{}).(*func() error) = func() error {
		entry, err := next(ctx)
		if err == nil {
			entries <- entry
		}
		return err
	}
	return entries
}

// prepare parses and validates an operation. The response is nil unless that failed.
func (h *Handler) prepare(
	ctx context.Context, params *graphql.RawParams,
) (*graphql.OperationContext, *graphql.Response) {
	operation, errs := h.executor.CreateOperationContext(graphql.StartOperationTrace(ctx), params)
	if len(errs) > 0 {
		errs = errs[:min(len(errs), maxErrors)]
		return nil, h.executor.DispatchError(graphql.WithOperationContext(ctx, operation), errs)
	}
	return operation, nil
}

// execute yields the responses to an operation, each also as JSON: one to a query or mutation,
// any number to a subscription, whose context the caller cancels when it wants no more. When the
// operation is cut short for a reason that the caller should know, the last response holds it.
func (h *Handler) execute(
	ctx context.Context, operation *graphql.OperationContext,
) iter.Seq2[*graphql.Response, []byte] {
	return func(yield func(*graphql.Response, []byte) bool) {
		wait := func() error { return nil } // unless Entries says what for
		ctx := context.WithValue(graphql.WithOperationContext(ctx, operation), waitKey{}, &wait)
		ctx, cancel := h.bound(ctx, operation)
		defer cancel()

		// A subscription runs on goroutines of its own, where a panic would end the process.
		var reason error
		guarded := func(run func()) {
			defer func() {
				if panicked := recover(); panicked != nil {
					reason = operation.Recover(ctx, panicked)
				}
			}()
			run()
		}
		executed := guarded
		if isSubscription(operation) {
			executed = func(run func()) { apart(func() { guarded(run) }) }
		}
		var responses graphql.ResponseHandler
		executed(func() { responses, ctx = h.executor.DispatchOperation(ctx, operation) })
		for reason == nil {
			if guarded(func() { reason = wait() }); reason != nil {
				break
			}
			var response *graphql.Response
			var body []byte
			executed(func() {
				if response = responses(ctx); response != nil {
					body = encode(response)
				}
			})
			if body == nil {
				break
			}
			if !yield(response, body) || !isSubscription(operation) {
				return
			}
		}

		if reason == nil {
			reason = context.Cause(ctx)
		}
		// Canceled is how the context ends when nobody is listening any more.
		if reason != nil && !errors.Is(reason, context.Canceled) {
			guarded(func() {
				response := h.present(ctx, reason)
				yield(response, encode(response))
			})
		}
	}
}

// apart runs what needs a deep stack on a goroutine of its own, since the one that waits for the next event
// or message would keep that stack for as long as the stream is open.
func apart(run func()) {
	var running sync.WaitGroup
	running.Go(run)
	running.Wait()
}

// bound limits the time of a query or mutation. A subscription lasts until its context ends, which is not
// wrapped for each of many streams.
func (h *Handler) bound(
	ctx context.Context, operation *graphql.OperationContext,
) (context.Context, context.CancelFunc) {
	if isSubscription(operation) {
		return ctx, func() {}
	}
	return context.WithTimeoutCause(ctx, h.timeout, h.tookLong())
}

// present makes the response with an error.
func (h *Handler) present(ctx context.Context, err error) *graphql.Response {
	return h.executor.DispatchError(ctx, gqlerror.List{gqlerror.WrapIfUnwrapped(err)})
}

func isSubscription(operation *graphql.OperationContext) bool {
	return operation.Operation.Operation == ast.Subscription
}

// encode differs from marshalling the response in that data is absent, rather than null, when the
// operation was not executed, and in that data, which is JSON already, is not looked at again.
func encode(response *graphql.Response) []byte {
	if response.Data != nil && len(response.Errors) == 0 && len(response.Extensions) == 0 { // as most are
		return slices.Concat([]byte(`{"data":`), response.Data, []byte(`}`))
	}
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
