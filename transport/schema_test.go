package transport

// A server with a schema written by hand, for the tests of every way to reach it.

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/executor"
	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"studio/fault"
)

var definitions = gqlparser.MustLoadSchema(&ast.Source{Input: `
	type Query {
		caller: String
		fails: String
		broken: String!
		panics: String
		slow: String
	}
	type Mutation {
		touch: Int!
		finish: Int!
	}
	type Subscription {
		count(to: Int!): Int!
		wait: Int!
		ends: Int!
		denied: Int!
		breaks: Int!
		unspeakable: Int!
		panics: Int!
		flood: String!
	}
`})

// schema executes the definitions; it is used by one test each.
type schema struct {
	touched  int
	started  chan struct{} // receives when wait, slow or finish starts
	canceled chan struct{} // receives when the context of wait ends
	finish   chan struct{} // lets finish return
}

func newSchema() *schema {
	return &schema{
		started:  make(chan struct{}, 200),
		canceled: make(chan struct{}, 200),
		finish:   make(chan struct{}),
	}
}

func (s *schema) Schema() *ast.Schema { return definitions }

func (s *schema) Complexity(context.Context, string, string, int, map[string]any) (int, bool) {
	return 0, false
}

func (s *schema) Exec(ctx context.Context) graphql.ResponseHandler {
	operation := graphql.GetOperationContext(ctx)
	if operation.Operation.Operation == ast.Subscription {
		return s.subscribe(ctx, operation.Operation.SelectionSet[0].(*ast.Field))
	}
	executed := false
	return func(ctx context.Context) *graphql.Response {
		if executed {
			return nil
		}
		executed = true
		data := map[string]any{}
		for _, selection := range operation.Operation.SelectionSet {
			field := selection.(*ast.Field)
			value, err := s.resolve(ctx, field)
			if err != nil {
				graphql.AddError(ctx, err)
			}
			if value == nil && field.Definition.Type.NonNull {
				data = nil
				break
			}
			data[field.Alias] = value
		}
		encoded, _ := json.Marshal(data)
		return &graphql.Response{Data: encoded}
	}
}

func (s *schema) resolve(ctx context.Context, field *ast.Field) (any, error) {
	switch field.Name {
	case "__typename":
		return field.ObjectDefinition.Name, nil
	case "caller":
		return ctx.Value(callerKey{}), nil
	case "fails", "broken":
		return nil, errors.New("the password of the database is hunter2")
	case "panics":
		panic("out of cheese")
	case "slow":
		s.started <- struct{}{}
		<-ctx.Done()
		s.canceled <- struct{}{}
		return nil, context.Cause(ctx)
	case "touch":
		s.touched++
		return s.touched, nil
	case "finish":
		s.started <- struct{}{}
		<-s.finish
		return 1, ctx.Err()
	default:
		return nil, nil
	}
}

func (s *schema) subscribe(ctx context.Context, field *ast.Field) graphql.ResponseHandler {
	event := func(value any) *graphql.Response {
		data, _ := json.Marshal(map[string]any{field.Alias: value})
		return &graphql.Response{Data: data}
	}
	sent := 0
	switch field.Name {
	case "denied":
		graphql.AddError(ctx, fault.New(fault.NotFound, "There is no such project."))
		return nil
	case "count":
		to := field.ArgumentMap(graphql.GetOperationContext(ctx).Variables)["to"]
		number, _ := json.Marshal(to)
		var last int
		_ = json.Unmarshal(number, &last)
		return func(context.Context) *graphql.Response {
			if sent == last {
				return nil
			}
			sent++
			return event(sent)
		}
	case "ends":
		entries := Entries(ctx, func(context.Context) (int, error) {
			if sent++; sent > 1 {
				return 0, fault.New(fault.Forbidden, "You were removed from the workspace.")
			}
			return sent, nil
		})
		return func(context.Context) *graphql.Response { return event(<-entries) }
	case "breaks":
		entries := Entries(ctx, func(context.Context) (int, error) { panic("out of cheese") })
		return func(context.Context) *graphql.Response { return event(<-entries) }
	case "unspeakable":
		entries := Entries(ctx, func(context.Context) (int, error) { return 0, unspeakable{} })
		return func(context.Context) *graphql.Response { return event(<-entries) }
	case "panics":
		return func(context.Context) *graphql.Response { panic("out of cheese") }
	case "flood":
		text := string(make([]byte, 1<<20))
		return func(ctx context.Context) *graphql.Response {
			if ctx.Err() != nil {
				return nil
			}
			return event(text)
		}
	default:
		return func(ctx context.Context) *graphql.Response {
			s.started <- struct{}{}
			<-ctx.Done()
			s.canceled <- struct{}{}
			return nil
		}
	}
}

// unspeakable is an error that cannot be told.
type unspeakable struct{}

func (unspeakable) Error() string { panic("out of cheese") }

type callerKey struct{}

// authenticate knows one token and one session.
func authenticate(ctx context.Context, _ http.ResponseWriter, r *http.Request, authorization string) (context.Context, error) {
	caller := ""
	if cookie, err := r.Cookie("studio_session"); err == nil && authorization == "" {
		caller = "session " + cookie.Value
	}
	switch authorization {
	case "":
	case "Bearer ada":
		caller = "Ada"
	case "Bearer busy":
		return nil, fault.New(fault.RateLimited, "Too many requests. Wait.").After(1500 * time.Millisecond)
	default:
		return nil, fault.New(fault.Unauthenticated, "The token is not valid. Sign in again.")
	}
	if caller == "" {
		return ctx, nil
	}
	return context.WithValue(ctx, callerKey{}, caller), nil
}

// present shows faults, and the errors of the parser and validator, and hides all else.
func present(_ context.Context, err error) *gqlerror.Error {
	presented := &gqlerror.Error{
		Message:    "Something failed here. Try again.",
		Extensions: map[string]any{"code": string(fault.Internal)},
	}
	if known, ok := errors.AsType[*fault.Error](err); ok {
		presented.Message, presented.Extensions = known.Message, known.Extensions()
	} else if known, ok := errors.AsType[*gqlerror.Error](err); ok && known.Extensions != nil {
		presented = known
	}
	return presented
}

// serve starts a server for one test; configure may change the handler.
func serve(t *testing.T, configure func(*Handler)) (*schema, *httptest.Server) {
	t.Helper()
	schema, handler := newHandler()
	if configure != nil {
		configure(handler)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return schema, server
}

func newHandler() (*schema, *Handler) {
	schema := newSchema()
	execution := executor.New(schema)
	execution.SetErrorPresenter(present)
	recovered := func(_ context.Context, panicked any) error { return errors.New(panicked.(string)) }
	execution.SetRecoverFunc(recovered)
	handler := New(execution, authenticate)
	handler.Limit = func(context.Context, int) error { return nil }
	handler.Recover = recovered
	handler.Open = &sync.WaitGroup{}
	handler.Draining = context.Background()
	handler.CookieName = "studio_session"
	handler.AllowedOrigins = []string{"https://studio.example"}
	handler.maxBodyBytes = 4096
	return schema, handler
}

// served tells when the server has served a request.
func served(server *httptest.Server) <-chan struct{} {
	done := make(chan struct{}, 1)
	handler := server.Config.Handler
	server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handler.ServeHTTP(w, r)
		done <- struct{}{}
	})
	return done
}

// arrives fails the test when nothing is received in time.
func arrives(t *testing.T, channel <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-channel:
	case <-time.After(time.Minute):
		t.Fatalf("%s: nothing in a minute", what)
	}
}
