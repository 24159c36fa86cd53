package resolvers

// Idempotency: a mutation that is sent again with its Idempotency-Key gets the first one's answer,
// and has no second effect.
//
// The key is noted before the mutation runs, and nobody else runs it from then on: what was cut off
// in the middle may have had its effect. An answer is kept only when something may have changed.

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/rs/zerolog"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"studio/db"
	"studio/fault"
	"studio/transport"
)

const (
	maxIdempotencyKey   = 255
	idempotencyLifetime = 24 * time.Hour
	// answering is how long a first request may take until it counts as cut off. It is longer than
	// any mutation, which waits for its turn and for a job.
	answering = 3 * time.Minute
	// answerPatience is how long another request with the key waits for the answer to the first.
	answerPatience = 20 * time.Second
)

// once keeps a mutation that comes with a key from having its effect twice.
func (r *Resolvers) once(schema *ast.Schema) graphql.OperationMiddleware {
	secretive := secretiveMutations(schema)
	return func(ctx context.Context, next graphql.OperationHandler) graphql.ResponseHandler {
		operation := graphql.GetOperationContext(ctx)
		keys := requestOf(ctx).idempotencyKeys
		if len(keys) == 0 || operation.Operation.Operation != ast.Mutation {
			return next(ctx)
		}
		fields := graphql.CollectFields(operation, operation.Operation.SelectionSet, []string{schema.Mutation.Name})
		keyHash, requestHash, err := identify(ctx, keys, operation)
		for _, field := range fields {
			if secretive[field.Name] {
				err = fault.New(fault.BadRequest, "%s takes or answers with a secret, which is kept nowhere. Send it without an %s.", field.Name, transport.IdempotencyHeader)
			}
		}
		var earlier *graphql.Response
		if err == nil {
			earlier, err = r.firstAnswer(ctx, keyHash, requestHash)
		}
		switch {
		case err != nil:
			return graphql.OneShot(&graphql.Response{Errors: gqlerror.List{present(ctx, err)}})
		case earlier != nil:
			return graphql.OneShot(earlier)
		}
		respond := next(ctx)
		return func(ctx context.Context) *graphql.Response {
			response := respond(ctx)
			if err := r.keepAnswer(ctx, keyHash, response, fields); err != nil {
				zerolog.Ctx(ctx).Error().Err(err).Msg("cannot keep the answer to a mutation with an idempotency key; its repetition will be refused")
			}
			return response
		}
	}
}

// secretiveMutations are those with a @secret in their input or payload.
func secretiveMutations(schema *ast.Schema) map[string]bool {
	found := map[string]bool{}
	for _, mutation := range schema.Mutation.Fields {
		parts := schema.Types[mutation.Type.Name()].Fields
		for _, argument := range mutation.Arguments {
			parts = append(parts, schema.Types[argument.Type.Name()].Fields...)
		}
		for _, part := range parts {
			if part.Directives.ForName("secret") != nil {
				found[mutation.Name] = true
			}
		}
	}
	return found
}

// identify gives the hashes of who calls with which key, and of what they ask for.
func identify(ctx context.Context, keys []string, operation *graphql.OperationContext) (keyHash, requestHash string, err error) {
	unprintable := func(c rune) bool { return c < ' ' || c > '~' }
	if key := keys[0]; len(keys) > 1 || key == "" || len(key) > maxIdempotencyKey || strings.ContainsFunc(key, unprintable) {
		return "", "", fault.New(fault.BadRequest, "The %s must be one of 1 to %d printable ASCII characters, for example a UUID.", transport.IdempotencyHeader, maxIdempotencyKey)
	}
	who := "client " + requestOf(ctx).client.IPAddress
	if caller := callerOf(ctx); caller != nil {
		who = caller.User.ID
	}
	request, err := json.Marshal([]any{operation.RawQuery, operation.OperationName, operation.Variables})
	return db.HashToken(who + " " + keys[0]), db.HashToken(string(request)), err
}

// firstAnswer waits for the answer to the first request with a key; nil when this is the first.
func (r *Resolvers) firstAnswer(ctx context.Context, keyHash, requestHash string) (*graphql.Response, error) {
	patience := time.After(answerPatience)
	for wait := 20 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		earlier, err := r.DB.TakeIdempotencyKey(ctx, keyHash, requestHash)
		if err != nil || earlier == nil {
			return nil, err
		}
		switch {
		case earlier.RequestHash != requestHash:
			return nil, fault.New(fault.BadRequest, "This %s came with another request before. Use a new key for each request.", transport.IdempotencyHeader)
		case earlier.Answer != nil:
			response := &graphql.Response{}
			return response, json.Unmarshal([]byte(*earlier.Answer), response)
		case !r.DB.Now().Before(earlier.CreatedAt.Add(answering)):
			return nil, fault.New(fault.Conflict, "The first request with this %s was cut off, and may have taken effect or not. "+
				"Look at what is there, and use a new key if it must be sent again.", transport.IdempotencyHeader)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-patience:
			return nil, fault.New(fault.Conflict, "The first request with this %s is still under way. Send it again later.", transport.IdempotencyHeader).After(answerPatience)
		case <-time.After(wait):
		}
	}
}

// keepAnswer keeps an answer for those who ask again. When every field was refused, nothing has
// changed, and the key is free again, so that the request can be repeated once the cause is mended. When
// it was cut off, as its time is over or the database was lost, what looks like a refusal may have had its
// effect, and the key stays without an answer.
func (r *Resolvers) keepAnswer(ctx context.Context, keyHash string, response *graphql.Response, fields []graphql.CollectedField) error {
	refused := map[string]bool{}
	cut := ctx.Err() != nil
	if response != nil {
		for _, err := range response.Errors {
			if len(err.Path) == 1 { // a longer one is about the payload of a field that succeeded
				problem, known := errors.AsType[*fault.Error](err)
				late := err.Extensions["code"] == string(fault.Internal) || known && problem.Later
				refused[err.Path.String()] = !late // or it may have had its effect, or have it yet
				cut = cut || errors.Is(err, db.ErrUncertain)
			}
		}
	}
	isRefused := func(field graphql.CollectedField) bool { return response == nil || refused[field.Alias] }
	notRefused := func(field graphql.CollectedField) bool { return !isRefused(field) }
	ctx = context.WithoutCancel(ctx)
	switch {
	case cut && slices.ContainsFunc(fields, isRefused):
		return nil
	case !slices.ContainsFunc(fields, notRefused):
		return r.DB.ReleaseIdempotencyKey(ctx, keyHash)
	}
	answer, err := json.Marshal(response)
	if err != nil {
		return err
	}
	return r.DB.AnswerIdempotencyKey(ctx, keyHash, string(answer))
}

// Sweep forgets the idempotency keys that are a day old.
func (r *Resolvers) Sweep(ctx context.Context) error {
	return r.DB.DeleteIdempotencyKeys(ctx, r.DB.Now().Add(-idempotencyLifetime))
}
