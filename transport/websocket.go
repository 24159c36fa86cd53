// One connection, many operations: the graphql-transport-ws protocol over WebSocket.

package transport

import (
	"context"
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"

	"studio/fault"
)

const subprotocol = "graphql-transport-ws"

// The protocol's close codes.
const (
	closeBadMessage          websocket.StatusCode = 4400
	closeUnauthorized        websocket.StatusCode = 4401
	closeForbidden           websocket.StatusCode = 4403
	closeBadSubprotocol      websocket.StatusCode = 4406
	closeInitTimeout         websocket.StatusCode = 4408
	closeSubscriberExists    websocket.StatusCode = 4409
	closeTooManyInitRequests websocket.StatusCode = 4429
)

// connection is one WebSocket and the operations on it. One goroutine reads; everybody writes.
type connection struct {
	*Handler
	socket       *websocket.Conn
	request      *http.Request
	initTimer    *time.Timer
	ctx          context.Context
	initialised  bool
	acknowledged bool
	running      sync.WaitGroup

	// mu also guards writing, so that no message of an operation follows its end.
	mu          sync.Mutex
	draining    bool
	subscribers map[string]*subscriber
}

// subscriber is a client's interest in an operation, until either side ends it.
type subscriber struct {
	cancel    context.CancelFunc
	streaming bool
}

// asksForWebSocket tells whether the request is to become a WebSocket.
func asksForWebSocket(r *http.Request) bool {
	options := strings.Split(strings.Join(r.Header.Values("Connection"), ","), ",")
	return r.Method == http.MethodGet && r.ProtoMajor == 1 &&
		strings.EqualFold(r.Header.Get("Upgrade"), "websocket") &&
		slices.ContainsFunc(options, func(option string) bool {
			return strings.EqualFold(strings.TrimSpace(option), "upgrade")
		})
}

// serveWebSocket turns the request into a WebSocket and serves it until it closes. The error is
// for the caller.
func (h *Handler) serveWebSocket(w http.ResponseWriter, r *http.Request) error {
	if h.hasCookie(r) && !h.fromAllowedOrigin(r) {
		return fault.New(fault.Forbidden, "This origin may not use the session cookie. "+
			"Connect from an allowed origin, or without the cookie and with an access token.")
	}
	if r.Header.Get("Sec-WebSocket-Version") != "13" {
		w.Header().Set("Sec-WebSocket-Version", "13")
		return refusal{http.StatusUpgradeRequired,
			fault.New(fault.BadRequest, "This WebSocket version is not supported. Use version 13.")}
	}
	if key, err := base64.StdEncoding.DecodeString(r.Header.Get("Sec-WebSocket-Key")); err != nil || len(key) != 16 {
		return fault.New(fault.BadRequest,
			"The WebSocket handshake is malformed. Send a Sec-WebSocket-Key of 16 bytes in base64.")
	}

	// Any origin may connect: only the cookie makes it matter, and that was checked.
	options := &websocket.AcceptOptions{Subprotocols: []string{subprotocol}, InsecureSkipVerify: true}
	socket, err := websocket.Accept(w, r, options)
	if err != nil {
		return nil
	}
	if socket.Subprotocol() == "" {
		_ = socket.Close(closeBadSubprotocol, "Subprotocol not acceptable")
		return nil
	}
	socket.SetReadLimit(h.MaxBodyBytes)
	h.converse(socket, r)
	return nil
}

// converse serves a WebSocket until it closes.
func (h *Handler) converse(socket *websocket.Conn, r *http.Request) {
	ctx, cancel := context.WithCancel(r.Context())
	c := &connection{
		Handler:     h,
		socket:      socket,
		request:     r,
		ctx:         ctx,
		subscribers: map[string]*subscriber{},
		initTimer: time.AfterFunc(h.InitTimeout, func() {
			_ = socket.Close(closeInitTimeout, "Connection initialisation timeout")
		}),
	}
	var attending sync.WaitGroup
	attending.Go(func() { c.attend(ctx) })
	defer func() {
		c.initTimer.Stop()
		_ = socket.CloseNow()
		cancel()
		c.running.Wait()
		attending.Wait()
	}()

	for {
		_, data, err := socket.Read(ctx)
		if err != nil {
			return
		}
		if refused := c.receive(data); refused != nil {
			_ = socket.Close(refused.Code, refused.Reason)
			return
		}
	}
}

// attend notices when the client is gone, and tells it when the server is going.
func (c *connection) attend(ctx context.Context) {
	idle := time.NewTicker(c.KeepAlive)
	defer idle.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.Draining.Done():
			c.drain()
			return
		case <-idle.C:
			deadline, cancel := context.WithTimeout(ctx, c.WriteTimeout)
			err := c.socket.Ping(deadline)
			cancel()
			if err != nil {
				_ = c.socket.CloseNow()
				return
			}
		}
	}
}

// drain ends the subscriptions, lets queries and mutations finish, and closes. Subscribers are not
// told of the end of their streams, so that they resume them on a new connection.
func (c *connection) drain() {
	c.mu.Lock()
	c.draining = true
	for _, subscriber := range c.subscribers {
		if subscriber.streaming {
			subscriber.cancel()
		}
	}
	c.mu.Unlock()
	c.running.Wait()
	_ = c.socket.Close(websocket.StatusGoingAway, "server is restarting, reconnect")
}
