package transport

// One connection, many operations: the graphql-transport-ws protocol over WebSocket.

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
	"golang.org/x/net/http/httpguts"

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
	request      *http.Request // until it is acknowledged
	initTimer    *time.Timer
	ctx          context.Context
	initialized  bool
	acknowledged bool
	running      sync.WaitGroup

	// mu also guards writing, so that no message of an operation follows its end.
	mu          sync.Mutex
	idle        *time.Timer // when it fires, the client is asked whether it is there
	draining    bool
	subscribers map[string]*subscriber
}

// subscriber is a client's interest in an operation, until either side ends it.
type subscriber struct {
	cancel    context.CancelFunc
	streaming bool
}

// AsksForWebSocket reports whether the request is to become a WebSocket.
func AsksForWebSocket(r *http.Request) bool {
	return r.Method == http.MethodGet && r.ProtoMajor == 1 && strings.EqualFold(r.Header.Get("Upgrade"), "websocket") &&
		httpguts.HeaderValuesContainsToken(r.Header.Values("Connection"), "upgrade")
}

// serveWebSocket turns the request into a WebSocket, which goes on without the request: what net/http
// keeps for one was half of the 80 KiB that a WebSocket took (measured). The error is for the caller.
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
	socket, err := websocket.Accept(smallBuffers{w}, r, options)
	if err != nil {
		return nil
	}
	if socket.Subprotocol() == "" {
		_ = socket.Close(closeBadSubprotocol, "Subprotocol not acceptable")
		return nil
	}
	socket.SetReadLimit(maxGreeting)
	h.Open.Add(1) // before the request is over
	go h.converse(socket, r)
	return nil
}

// maxGreeting is how large a message may be before its sender is known, in bytes: tokens are far smaller.
const maxGreeting = 8 << 10

// bufferSize has room for most messages. Each WebSocket keeps two buffers, and net/http's are of 4 KiB.
const bufferSize = 1 << 10

// smallBuffers hands connections over with smaller buffers than net/http's.
type smallBuffers struct{ http.ResponseWriter }

// Hijack takes the connection over, with what the client has sent already.
func (w smallBuffers) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, large, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	ahead, _ := large.Peek(large.Reader.Buffered())
	reader := bufio.NewReaderSize(io.MultiReader(bytes.NewReader(ahead), conn), max(bufferSize, len(ahead)))
	_, _ = reader.Peek(len(ahead))
	return conn, bufio.NewReadWriter(reader, bufio.NewWriterSize(conn, bufferSize)), nil
}

// converse serves a WebSocket until it closes and no operation of it runs any more.
func (h *Handler) converse(socket *websocket.Conn, r *http.Request) {
	defer h.Open.Done()
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.Context()))
	c := &connection{
		Handler:     h,
		socket:      socket,
		request:     r,
		ctx:         ctx,
		subscribers: map[string]*subscriber{},
		initTimer: time.AfterFunc(h.initTimeout, func() {
			_ = socket.Close(closeInitTimeout, "Connection initialisation timeout")
		}),
	}
	c.attend(ctx)
	undrained := context.AfterFunc(h.Draining, c.drain)
	defer func() {
		c.initTimer.Stop()
		undrained()
		c.mu.Lock()
		c.idle.Stop()
		c.mu.Unlock()
		_ = socket.CloseNow()
		cancel()
		c.running.Wait()
	}()

	for {
		_, data, err := socket.Read(ctx)
		if err != nil {
			return
		}
		var refused *websocket.CloseError
		apart(func() { refused = c.guarded(data) })
		if refused != nil {
			_ = socket.Close(refused.Code, refused.Reason)
			return
		}
	}
}

// attend asks the client now and then whether it is there, and closes when it does not answer.
func (c *connection) attend(ctx context.Context) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.idle = time.AfterFunc(c.keepAlive, func() {
		deadline, cancel := context.WithTimeout(ctx, c.writeTimeout)
		defer cancel()
		if c.socket.Ping(deadline) != nil {
			_ = c.socket.CloseNow()
			return
		}
		c.attend(ctx)
	})
}

// drain ends the subscriptions, lets queries and mutations finish, and closes. Subscribers get
// no word of the end of their streams, so that they resume them on a new connection.
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
