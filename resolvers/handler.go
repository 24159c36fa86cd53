package resolvers

// The handlers: the schema with its resolvers, guards and limits, served over every transport, and the log.

import (
	"context"
	"net"
	"net/http"
	"slices"
	"sync"

	"github.com/99designs/gqlgen/graphql/executor"
	"github.com/99designs/gqlgen/graphql/handler/extension"
	"github.com/maypok86/otter/v2"
	"github.com/rs/cors"
	"github.com/vektah/gqlparser/v2/ast"

	"studio/graph"
	"studio/plan"
	"studio/transport"
)

// maxKept is how many bytes of documents each cache keeps, or keeps something of: what is parsed of one
// can be a hundred times as large.
const maxKept = 512 << 10

// HandlerOptions is what the handlers depend on from outside.
type HandlerOptions struct {
	// Secure marks cookies as fit for https alone.
	Secure bool
	// Origins whose pages may call, as front ends served elsewhere, and open WebSockets with the cookie.
	Origins []string
	// TrustedProxies may tell a client's address in X-Forwarded-For.
	TrustedProxies []net.IPNet
	// RateLimit is how many operations a second a caller may send; there is no limit when it is 0.
	RateLimit int
	// Unplanned leaves all operations to the executor, which tests hold plans against.
	Unplanned bool
	// Traced is set when requests have spans, of which operations are parts.
	Traced bool
	// Open counts the requests of GraphQL, the streams of events and the WebSockets that are open.
	Open *sync.WaitGroup
	// Draining is done when streams are to end, so that clients connect elsewhere.
	Draining context.Context
}

// Register serves GraphQL, and an organization's log as a file. What a caller sends to either counts
// against one limit.
func (r *Resolvers) Register(mux *http.ServeMux, options HandlerOptions) {
	limit := r.limiter(options)
	mux.Handle("/graphql", r.graphQL(options, limit))
	log := r.log(options, limit)
	mux.Handle("GET /organizations/{id}/events.ndjson", log)
	mux.Handle("GET /organizations/{id}/events.csv", log)
}

func (r *Resolvers) graphQL(options HandlerOptions, limit limiter) http.Handler {
	schema := graph.NewExecutableSchema(graph.Config{
		Resolvers: root{r}, Directives: r.directives(), Complexity: complexity(),
	})
	exec := executor.New(schema)
	documents := newCache(func(document string, _ *ast.QueryDocument) uint32 { return uint32(len(document)) })
	exec.SetQueryCache(documents)
	exec.SetParserTokenLimit(maxTokens)
	exec.SetDisableSuggestion(true)
	exec.SetErrorPresenter(present)
	exec.SetRecoverFunc(recovered)

	exec.Use(extension.AutomaticPersistedQuery{
		Cache: newCache(func(_, document string) uint32 { return uint32(len(document)) }),
	})
	exec.Use(unvalidated{documents})
	exec.Use(extension.Introspection{})
	exec.Use(shape{})
	exec.Use(newCost(schema.Schema()))
	if options.Traced {
		exec.AroundOperations(traceOperation)
		exec.AroundRootFields(traceRootField)
	}
	exec.AroundOperations(measured)
	if !options.Unplanned {
		exec.AroundOperations(r.planned(plan.New(r.DB, schema.Schema(), maxKept)))
	}
	exec.AroundOperations(r.authenticate)
	exec.AroundOperations(r.once(schema.Schema()))
	exec.AroundResponses(r.loadersForResponse)
	exec.AroundRootFields(r.beginRootField)

	served := transport.New(exec, r.admit(options, limit))
	served.Limit = limit
	served.Recover = recovered
	served.CookieName = cookieName
	served.AllowedOrigins = options.Origins
	served.Open = options.Open
	served.Draining = options.Draining

	crossOrigin := cors.New(cors.Options{
		// A list that is empty would let everybody in.
		AllowOriginFunc:  func(origin string) bool { return slices.Contains(options.Origins, origin) },
		AllowedMethods:   []string{http.MethodGet, http.MethodPost},
		AllowedHeaders:   []string{"Authorization", "Content-Type", "Accept", "GraphQL-Require-Preflight", transport.IdempotencyHeader},
		ExposedHeaders:   []string{"X-Request-Id", "Retry-After"},
		AllowCredentials: true,
		MaxAge:           600,
	})
	return crossOrigin.Handler(served)
}

// cache is otter's as gqlgen wants it.
type cache[T any] struct{ *otter.Cache[string, T] }

func newCache[T any](weigh func(key string, value T) uint32) cache[T] {
	return cache[T]{otter.Must(&otter.Options[string, T]{MaximumWeight: maxKept, Weigher: weigh})}
}

// Get looks up what is kept.
func (c cache[T]) Get(_ context.Context, key string) (T, bool) { return c.GetIfPresent(key) }

// Add keeps a value while there is room for it.
func (c cache[T]) Add(_ context.Context, key string, value T) { c.Set(key, value) }
