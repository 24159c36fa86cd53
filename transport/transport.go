// Package transport is how GraphQL travels: HTTP POST and GET as the GraphQL over HTTP
// specification says, server-sent events (the graphql-sse protocol with distinct connections) and
// WebSocket (the graphql-transport-ws protocol), all at one URL.
package transport

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/99designs/gqlgen/graphql"

	"studio/fault"
)

// Handler serves GraphQL at one URL over HTTP, server-sent events and WebSocket. Its exported fields are set
// before it serves.
type Handler struct {
	// Limit refuses operations of a caller who sends too many, before they are even parsed: once
	// for an HTTP request, with how many it carries, and for each operation over WebSocket.
	Limit func(ctx context.Context, operations int) error

	// CookieName is the name of the session cookie.
	CookieName string

	// AllowedOrigins may open a WebSocket with the session cookie, besides the origin whose host
	// is the request's. Each is a full origin, such as "https://studio.example".
	AllowedOrigins []string

	// Recover makes an error of a panic.
	Recover graphql.RecoverFunc

	// Open counts the requests under way, and the streams of events and the WebSockets, which go on
	// after ServeHTTP has returned.
	Open *sync.WaitGroup

	// Draining is done when the server is shutting down: streams end, while queries and
	// mutations are finished.
	Draining context.Context

	executor      graphql.GraphExecutor
	authenticate  func(ctx context.Context, w http.ResponseWriter, r *http.Request, authorization string) (context.Context, error)
	maxBodyBytes  int64         // of a request's body and of a WebSocket message
	maxBatch      int           // operations that one HTTP request may carry
	maxOperations int           // operations that may be open at once on one WebSocket
	timeout       time.Duration // for a request's body to arrive, and for a query or mutation
	keepAlive     time.Duration // between two signs of life on an idle stream
	initTimeout   time.Duration // for a WebSocket without connection_init
	writeTimeout  time.Duration // for a client to take what it is sent, or to answer a ping
	tookLong      func() error  // why the context of an operation has ended; made once, as every one has it
}

// New makes a handler with sensible limits.
//
// The executor parses, validates and executes. Its error presenter shows every error, also those of the
// transport, whose context has no operation.
//
// Authenticate puts the caller into the context: once for an HTTP request, and once for a WebSocket, when
// the client sent connection_init. Authorization is the header's value; over WebSocket it is the init
// payload's, if there is one. When it is empty, and only then, the request's session cookie may be relied
// on: a request that another site could have forged has been refused. The response may be given cookies;
// it is nil for a stream or a WebSocket, whose headers are sent before an operation runs.
func New(
	executor graphql.GraphExecutor,
	authenticate func(ctx context.Context, w http.ResponseWriter, r *http.Request, authorization string) (context.Context, error),
) *Handler {
	h := &Handler{
		executor:      executor,
		authenticate:  authenticate,
		maxBodyBytes:  1 << 20,
		maxBatch:      10,
		maxOperations: 100,
		timeout:       30 * time.Second,
		keepAlive:     15 * time.Second,
		initTimeout:   10 * time.Second,
		writeTimeout:  10 * time.Second,
	}
	h.tookLong = sync.OnceValue(func() error {
		return fault.New(fault.Unavailable,
			"The operation took longer than %s and was stopped. Try again later, or ask for less at once.", h.timeout)
	})
	return h
}

// ServeHTTP answers a request, or begins the stream of events or the WebSocket that it asks for.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.Open.Add(1)
	defer h.Open.Done()
	serve := h.serveHTTP
	if AsksForWebSocket(r) {
		serve = h.serveWebSocket
	}
	if err := serve(w, r); err != nil {
		h.refuse(w, r, err)
	}
}
