package transport

// One request, a stream of responses: the graphql-sse protocol with distinct connections.

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/99designs/gqlgen/graphql"

	"studio/fault"
)

// serveEvents answers with a stream of events, one for each response. The error is for the caller.
func (h *Handler) serveEvents(
	ctx context.Context, w http.ResponseWriter, r *http.Request, params *graphql.RawParams,
) error {
	operation, failed := h.prepare(ctx, params)
	if failed == nil {
		if err := allowed(r, operation); err != nil {
			return err
		}
	}

	if h.beginEvents(w) != nil {
		return nil // the client is gone
	}
	if failed == nil && isSubscription(operation) {
		h.takeOver(ctx, w, operation)
		return nil
	}
	var responses string
	if failed != nil {
		responses = event(encode(failed))
	} else {
		for _, body := range h.execute(outliving(ctx, r, operation), operation) {
			responses += event(body)
		}
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(h.writeTimeout))
	_, _ = io.WriteString(w, responses+complete)
	return nil
}

// beginEvents begins a stream. Its connection has to be closed at the end, as nothing else marks that in HTTP.
func (h *Handler) beginEvents(w http.ResponseWriter) error {
	controller := http.NewResponseController(w)
	_ = controller.SetWriteDeadline(time.Now().Add(h.writeTimeout))
	header := w.Header()
	header.Set("Content-Type", typeEventStream+"; charset=utf-8")
	header.Set("Cache-Control", "no-store")
	// A proxy that buffers would hold events back.
	header.Set("X-Accel-Buffering", "no")
	header.Set("Transfer-Encoding", "identity") // net/http's word for it; it is not sent
	// Some browsers take a stream to be open only when something was sent.
	if _, err := io.WriteString(w, comment); err != nil {
		return err
	}
	return controller.Flush()
}

// takeOver has a subscription go on without its request: the goroutine that net/http serves one with, its
// buffers and the request itself would be kept for as long as the stream is open, and were 32 of the 45 KiB
// that one took (measured).
func (h *Handler) takeOver(ctx context.Context, w http.ResponseWriter, operation *graphql.OperationContext) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	h.Open.Add(1) // before the request is over
	go h.stream(context.WithoutCancel(ctx), conn, operation)
}

// stream sends the responses to a subscription and closes the connection.
func (h *Handler) stream(ctx context.Context, conn net.Conn, operation *graphql.OperationContext) {
	defer h.Open.Done()
	defer func() { _ = conn.Close() }()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stream := h.newEvents(conn, func() { cancel(nil) })
	defer stream.close()
	defer context.AfterFunc(h.Draining, func() {
		cancel(fault.New(fault.Unavailable, "The server is restarting. Subscribe again."))
	})()
	for _, body := range h.execute(ctx, operation) {
		if stream.push(event(body)) != nil {
			return
		}
	}
	_ = stream.push(complete)
}

const (
	comment  = ":\n\n" // which clients ignore
	complete = "event: complete\ndata:\n\n"
)

func event(body []byte) string { return "event: next\ndata: " + string(body) + "\n\n" }

// events is a stream of them. No goroutine waits for the next sign of life, or for the client to go:
// there are many streams, and little happens on each.
type events struct {
	*Handler
	conn net.Conn

	mu     sync.Mutex
	idle   *time.Timer // when it fires, a sign of life is due
	closed bool
}

// newEvents begins a stream, and calls gone when a sign of life finds that the client went away or does
// not read.
func (h *Handler) newEvents(conn net.Conn, gone func()) *events {
	s := &events{Handler: h, conn: conn}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.idle = time.AfterFunc(h.keepAlive, func() {
		if s.ended() || s.push(comment) != nil {
			gone()
		}
	})
	return s
}

// ended reports whether the client has closed the connection, which a write alone finds out only when
// it is repeated.
func (s *events) ended() bool {
	_ = s.conn.SetReadDeadline(time.Now().Add(time.Millisecond))
	_, err := s.conn.Read(make([]byte, 1)) // a client has nothing more to say
	return err != nil && !errors.Is(err, os.ErrDeadlineExceeded)
}

// push passes text on to the client at once. An error means that it went away or does not read.
func (s *events) push(text string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return net.ErrClosed
	}
	s.idle.Reset(s.keepAlive)
	_ = s.conn.SetWriteDeadline(time.Now().Add(s.writeTimeout))
	_, err := io.WriteString(s.conn, text)
	return err
}

// close lets no sign of life come after the end.
func (s *events) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.idle.Stop()
}
