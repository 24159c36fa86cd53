// One request, a stream of responses: the graphql-sse protocol with distinct connections.

package transport

import (
	"context"
	"io"
	"net"
	"net/http"
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

	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	w.Header().Set("Content-Type", typeEventStream+"; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	// A proxy that buffers would hold events back.
	w.Header().Set("X-Accel-Buffering", "no")
	stream := h.newEvents(w, func() { cancel(nil) })
	defer stream.close()
	// Some browsers take a stream to be open only when something was sent.
	if stream.push(comment) != nil {
		return nil
	}
	if failed != nil {
		_ = stream.push(event(encode(failed)))
		_ = stream.push(complete)
		return nil
	}
	if isSubscription(operation) {
		defer context.AfterFunc(h.Draining, func() {
			cancel(fault.New(fault.Unavailable, "The server is restarting. Subscribe again."))
		})()
	}
	for _, body := range h.execute(ctx, operation) {
		if stream.push(event(body)) != nil {
			return nil
		}
	}
	_ = stream.push(complete)
	return nil
}

const (
	comment  = ":\n\n" // which clients ignore
	complete = "event: complete\ndata:\n\n"
)

func event(body []byte) string { return "event: next\ndata: " + string(body) + "\n\n" }

// events is an answer that is a stream of events. No goroutine waits for the next sign of life: there
// are many streams, and little happens on each.
type events struct {
	*Handler

	mu     sync.Mutex
	w      http.ResponseWriter
	idle   *time.Timer // when it fires, a sign of life is due
	closed bool
}

// newEvents begins a stream, and calls gone when nobody takes the signs of life any more.
func (h *Handler) newEvents(w http.ResponseWriter, gone func()) *events {
	s := &events{Handler: h, w: w}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.idle = time.AfterFunc(h.KeepAlive, func() {
		if s.push(comment) != nil {
			gone()
		}
	})
	return s
}

// push passes text on to the client at once. An error means that it went away or does not read.
func (s *events) push(text string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return net.ErrClosed
	}
	s.idle.Reset(s.KeepAlive)
	controller := http.NewResponseController(s.w)
	_ = controller.SetWriteDeadline(time.Now().Add(s.WriteTimeout))
	if _, err := io.WriteString(s.w, text); err != nil {
		return err
	}
	return controller.Flush()
}

// close lets no sign of life come after the end.
func (s *events) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.idle.Stop()
}
