// One request, a stream of responses: the graphql-sse protocol with distinct connections.

package transport

import (
	"context"
	"io"
	"net/http"
	"time"

	"github.com/99designs/gqlgen/graphql"

	"studio/fault"
)

// serveEvents answers with a stream of events, one for each response. The error is for the caller.
func (h *Handler) serveEvents(
	ctx context.Context, w http.ResponseWriter, r *http.Request, params *graphql.RawParams,
) error {
	operation, failed := h.prepare(ctx, params)
	draining := h.Draining
	if failed == nil {
		if err := allowed(r, operation); err != nil {
			return err
		}
		if !isSubscription(operation) {
			draining = nil
		}
	}

	ctx, cancel := context.WithCancelCause(ctx)
	bodies := make(chan []byte)
	go func() {
		defer close(bodies)
		if failed != nil {
			bodies <- encode(failed)
			return
		}
		for _, body := range h.execute(ctx, operation) {
			bodies <- body
		}
	}()
	defer func() {
		cancel(nil)
		for range bodies {
		}
	}()

	w.Header().Set("Content-Type", typeEventStream+"; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	// A proxy that buffers would hold events back.
	w.Header().Set("X-Accel-Buffering", "no")
	idle := time.NewTicker(h.KeepAlive)
	defer idle.Stop()
	// Some browsers take a stream to be open only when something was sent; comments are ignored.
	const comment = ":\n\n"
	err := h.push(w, comment)
	for err == nil {
		select {
		case body, open := <-bodies:
			if !open {
				_ = h.push(w, "event: complete\ndata:\n\n")
				return nil
			}
			err = h.push(w, "event: next\ndata: "+string(body)+"\n\n")
			idle.Reset(h.KeepAlive)
		case <-idle.C:
			err = h.push(w, comment)
		case <-draining:
			draining = nil
			cancel(fault.New(fault.Unavailable, "The server is restarting. Subscribe again."))
		}
	}
	return nil
}

// push passes text on to the client at once. An error means that it went away or does not read.
func (h *Handler) push(w http.ResponseWriter, text string) error {
	controller := http.NewResponseController(w)
	_ = controller.SetWriteDeadline(time.Now().Add(h.WriteTimeout))
	if _, err := io.WriteString(w, text); err != nil {
		return err
	}
	return controller.Flush()
}
