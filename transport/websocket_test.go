package transport

// Tests of operations over WebSocket.

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// client is the other end of a WebSocket.
type client struct {
	*testing.T
	socket *websocket.Conn
}

// dial opens a WebSocket; headers are given as "Name: value".
func dial(t *testing.T, server *httptest.Server, headers ...string) client {
	t.Helper()
	options := &websocket.DialOptions{Subprotocols: []string{subprotocol}, HTTPHeader: http.Header{}}
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		options.HTTPHeader.Add(name, value)
	}
	socket, _, err := websocket.Dial(t.Context(), server.URL, options)
	if err != nil {
		t.Fatal(err)
	}
	socket.SetReadLimit(1 << 22)
	t.Cleanup(func() { _ = socket.CloseNow() })
	return client{t, socket}
}

// open opens a WebSocket and has it acknowledged.
func open(t *testing.T, server *httptest.Server) client {
	t.Helper()
	c := dial(t, server)
	c.send(initialize)
	c.expect(acknowledged)
	return c
}

func (c client) send(message string) {
	c.Helper()
	if err := c.socket.Write(c.Context(), websocket.MessageText, []byte(message)); err != nil {
		c.Fatal(err)
	}
}

func (c client) subscribe(id, query string) {
	c.Helper()
	c.send(`{"id":"` + id + `","type":"subscribe","payload":{"query":"` + query + `"}}`)
}

// expect reads one message.
func (c client) expect(want string) {
	c.Helper()
	ctx, cancel := context.WithTimeout(c.Context(), time.Minute)
	defer cancel()
	_, data, err := c.socket.Read(ctx)
	if err != nil {
		c.Fatalf("want %s: %v", want, err)
	}
	if string(data) != want {
		c.Fatalf("got  %s\nwant %s", data, want)
	}
}

// expectClose reads until the server closes.
func (c client) expectClose(code websocket.StatusCode, reason string) {
	c.Helper()
	ctx, cancel := context.WithTimeout(c.Context(), time.Minute)
	defer cancel()
	_, data, err := c.socket.Read(ctx)
	if err == nil {
		c.Fatalf("got %s, want close %d", data, code)
	}
	want := websocket.CloseError{Code: code, Reason: reason}
	if websocket.CloseStatus(err) != code || !strings.Contains(err.Error(), want.Error()) {
		c.Fatalf("got %v\nwant %v", err, want)
	}
}

const (
	initialize   = `{"type":"connection_init"}`
	acknowledged = `{"type":"connection_ack"}`
)

func TestWebSocket(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		send []string
		want []string
	}{
		"Ping":     {[]string{`{"type":"ping"}`}, []string{`{"type":"pong"}`}},
		"PingBack": {[]string{`{"type":"ping","payload":{"a":1}}`}, []string{`{"type":"pong","payload":{"a":1}}`}},
		"Pong":     {[]string{`{"type":"pong"}`, `{"type":"ping"}`}, []string{`{"type":"pong"}`}},
		"Query": {[]string{`{"id":"1","type":"subscribe","payload":{"query":"{__typename}"}}`},
			[]string{`{"id":"1","type":"next","payload":{"data":{"__typename":"Query"}}}`, `{"id":"1","type":"complete"}`}},
		"Mutation": {[]string{`{"id":"1","type":"subscribe","payload":{"query":"mutation{touch}"}}`},
			[]string{`{"id":"1","type":"next","payload":{"data":{"touch":1}}}`, `{"id":"1","type":"complete"}`}},
		"Subscription": {[]string{`{"id":"1","type":"subscribe","payload":{"query":"subscription($n:Int!){count(to:$n)}","variables":{"n":2}}}`},
			[]string{`{"id":"1","type":"next","payload":{"data":{"count":1}}}`,
				`{"id":"1","type":"next","payload":{"data":{"count":2}}}`, `{"id":"1","type":"complete"}`}},
		"Invalid": {[]string{`{"id":"1","type":"subscribe","payload":{"query":"{nope}"}}`},
			[]string{`{"id":"1","type":"error","payload":[{"message":"Cannot query field \"nope\" on type \"Query\".",` +
				`"locations":[{"line":1,"column":2}],"extensions":{"code":"GRAPHQL_VALIDATION_FAILED"}}]}`}},
		"Denied": {[]string{`{"id":"1","type":"subscribe","payload":{"query":"subscription{denied}"}}`},
			[]string{`{"id":"1","type":"error","payload":[{"message":"There is no such project.","extensions":{"code":"NOT_FOUND"}}]}`}},
		"Ends": {[]string{`{"id":"1","type":"subscribe","payload":{"query":"subscription{ends}"}}`},
			[]string{`{"id":"1","type":"next","payload":{"data":{"ends":1}}}`,
				`{"id":"1","type":"error","payload":[{"message":"You were removed from the workspace.","extensions":{"code":"FORBIDDEN"}}]}`}},
		"Panic": {[]string{`{"id":"1","type":"subscribe","payload":{"query":"subscription{panics}"}}`},
			[]string{`{"id":"1","type":"error","payload":[{"message":"Something failed here. Try again.","extensions":{"code":"INTERNAL"}}]}`}},
		"Timeout": {[]string{`{"id":"1","type":"subscribe","payload":{"query":"{slow}"}}`},
			[]string{`{"id":"1","type":"next","payload":{"errors":[{"message":"The operation took longer than 100ms and was stopped. ` +
				`Try again later, or ask for less at once.","extensions":{"code":"UNAVAILABLE"}}],"data":{"slow":null}}}`, `{"id":"1","type":"complete"}`}},
		"CompleteUnknown": {[]string{`{"id":"1","type":"complete"}`, `{"type":"ping"}`}, []string{`{"type":"pong"}`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, server := serve(t, func(h *Handler) {
				if name == "Timeout" {
					h.timeout = 100 * time.Millisecond
				}
			})
			c := open(t, server)
			for _, message := range test.send {
				c.send(message)
			}
			for _, want := range test.want {
				c.expect(want)
			}
			// Nothing else was sent, and the connection still works.
			c.send(`{"type":"ping"}`)
			c.expect(`{"type":"pong"}`)
		})
	}
}

func TestWebSocketClose(t *testing.T) {
	t.Parallel()
	const wait = `{"id":"1","type":"subscribe","payload":{"query":"subscription{wait}"}}`
	for name, test := range map[string]struct {
		send   []string
		code   websocket.StatusCode
		reason string
	}{
		"NotJSON":          {[]string{`hello`}, 4400, "The JSON is malformed. Send one JSON value and nothing after it."},
		"NotObject":        {[]string{`[]`}, 4400, "A message must be a JSON object."},
		"NoType":           {[]string{`{}`}, 4400, "The type must be connection_init, ping, pong, subscribe or complete."},
		"ServerType":       {[]string{`{"type":"next","id":"1","payload":{}}`}, 4400, "The type must be connection_init, ping, pong, subscribe or complete."},
		"BadPayload":       {[]string{`{"type":"ping","payload":1}`}, 4400, "The payload of a message must be an object."},
		"NoID":             {[]string{initialize, `{"type":"subscribe","payload":{"query":"{__typename}"}}`}, 4400, "The message needs an id that is a string and not empty."},
		"NumberID":         {[]string{initialize, `{"id":1,"type":"complete"}`}, 4400, "The message needs an id that is a string and not empty."},
		"NoQuery":          {[]string{initialize, `{"id":"1","type":"subscribe"}`}, 4400, "`query` is missing. Send the GraphQL document as a string in `query`."},
		"BadVariables":     {[]string{initialize, `{"id":"1","type":"subscribe","payload":{"query":"{__typename}","variables":1}}`}, 4400, "`variables` must be an object or null."},
		"BadAuthorization": {[]string{`{"type":"connection_init","payload":{"Authorization":1}}`}, 4400, "The Authorization in the payload must be a string."},
		"BeforeAck":        {[]string{wait}, 4401, "Unauthorized"},
		"BadToken":         {[]string{`{"type":"connection_init","payload":{"Authorization":"Bearer no"}}`}, 4403, "The token is not valid. Sign in again."},
		"Busy":             {[]string{`{"type":"connection_init","payload":{"authorization":"Bearer busy"}}`}, 1013, "Too many requests. Wait."},
		"DuplicateID":      {[]string{initialize, wait, wait}, 4409, "Subscriber for 1 already exists"},
		"SecondInit":       {[]string{initialize, initialize}, 4429, "Too many initialisation requests"},
		"LargeGreeting":    {[]string{`{"type":"ping","payload":{"a":"` + strings.Repeat("a", 9000) + `"}}`}, 1009, "read limited at 8193 bytes"},
		"TooLarge":         {[]string{initialize, strings.Repeat(" ", 5000)}, 1009, "read limited at 4097 bytes"},
		"InitTimeout":      {nil, 4408, "Connection initialisation timeout"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, server := serve(t, func(h *Handler) {
				if name == "InitTimeout" {
					h.initTimeout = 50 * time.Millisecond
				}
			})
			c := dial(t, server)
			for i, message := range test.send {
				c.send(message)
				if i == 0 && message == initialize {
					c.expect(acknowledged)
				}
			}
			c.expectClose(test.code, test.reason)
		})
	}
}

func TestWebSocketCaller(t *testing.T) {
	t.Parallel()
	const token = `{"type":"connection_init","payload":{"Authorization":"Bearer ada"}}`
	for name, test := range map[string]struct {
		init    string
		headers []string
		want    string
	}{
		"Nobody":        {initialize, nil, `null`},
		"Payload":       {token, nil, `"Ada"`},
		"LowerCase":     {strings.ToLower(token[:45]) + token[45:], nil, `"Ada"`},
		"Header":        {initialize, []string{"Authorization: Bearer ada"}, `"Ada"`},
		"PayloadFirst":  {token, []string{"Authorization: Bearer no"}, `"Ada"`},
		"ForeignOrigin": {token, []string{"Origin: https://evil.example"}, `"Ada"`},
		"Cookie":        {initialize, []string{withCookie, "Origin: https://studio.example"}, `"session 1"`},
		"TokenFirst":    {token, []string{withCookie, "Origin: https://studio.example"}, `"Ada"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, server := serve(t, nil)
			c := dial(t, server, test.headers...)
			c.send(test.init)
			c.expect(acknowledged)
			c.subscribe("1", "{caller}")
			c.expect(`{"id":"1","type":"next","payload":{"data":{"caller":` + test.want + `}}}`)
		})
	}
	t.Run("CookieSameHost", func(t *testing.T) {
		t.Parallel()
		_, server := serve(t, nil)
		dial(t, server, withCookie, "Origin: "+server.URL)
	})
}

func TestWebSocketHandshake(t *testing.T) {
	t.Parallel()
	const version, key = "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
	for name, test := range map[string]struct {
		headers []string
		status  int
		code    string
	}{
		"CookieNoOrigin":      {[]string{version, key, withCookie}, 403, "FORBIDDEN"},
		"CookieForeignOrigin": {[]string{version, key, withCookie, "Origin: https://evil.example"}, 403, "FORBIDDEN"},
		"CookieNullOrigin":    {[]string{version, key, withCookie, "Origin: null"}, 403, "FORBIDDEN"},
		"CookieOtherPort":     {[]string{version, key, withCookie, "Origin: http://127.0.0.1:1"}, 403, "FORBIDDEN"},
		"OldVersion":          {[]string{"Sec-WebSocket-Version: 8", key}, 426, "BAD_REQUEST"},
		"NoKey":               {[]string{version}, 400, "BAD_REQUEST"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, server := serve(t, nil)
			headers := append([]string{"Connection: keep-alive, Upgrade", "Upgrade: websocket"}, test.headers...)
			send(t, server, "GET", "", "", headers...).expect(t, test.status, test.code)
		})
	}
	t.Run("Subprotocol", func(t *testing.T) {
		t.Parallel()
		_, server := serve(t, nil)
		options := &websocket.DialOptions{Subprotocols: []string{"graphql-ws"}}
		socket, _, err := websocket.Dial(t.Context(), server.URL, options)
		if err != nil {
			t.Fatal(err)
		}
		client{t, socket}.expectClose(4406, "Subprotocol not acceptable")
	})
}

func TestWebSocketComplete(t *testing.T) {
	t.Parallel()
	schema, server := serve(t, nil)
	c := open(t, server)
	c.subscribe("1", "subscription{wait}")
	arrives(t, schema.started, "subscription")
	c.send(`{"id":"1","type":"complete"}`)
	arrives(t, schema.canceled, "cancellation")
	c.subscribe("1", "subscription{count(to:1)}")
	c.expect(`{"id":"1","type":"next","payload":{"data":{"count":1}}}`)
	c.expect(`{"id":"1","type":"complete"}`)
}

func TestWebSocketManyAtOnce(t *testing.T) {
	t.Parallel()
	schema, server := serve(t, func(h *Handler) { h.maxOperations = 2 })
	c := open(t, server)
	c.subscribe("1", "subscription{wait}")
	c.subscribe("2", "subscription{wait}")
	c.subscribe("3", "subscription{wait}")
	c.expect(`{"id":"3","type":"error","payload":[{"message":"This connection has 2 operations open. ` +
		`Complete one first, or open another connection.","extensions":{"code":"RATE_LIMITED"}}]}`)
	arrives(t, schema.started, "first subscription")
	arrives(t, schema.started, "second subscription")
	c.send(`{"id":"1","type":"complete"}`)
	arrives(t, schema.canceled, "cancellation")
	c.subscribe("3", "{__typename}")
	c.expect(`{"id":"3","type":"next","payload":{"data":{"__typename":"Query"}}}`)
}

func TestWebSocketClientGone(t *testing.T) {
	t.Parallel()
	schema, server := serve(t, nil)
	c := open(t, server)
	c.subscribe("1", "subscription{wait}")
	arrives(t, schema.started, "subscription")
	_ = c.socket.CloseNow()
	arrives(t, schema.canceled, "cancellation")
}

func TestWebSocketClientDoesNotPong(t *testing.T) {
	t.Parallel()
	_, server := serve(t, func(h *Handler) {
		h.keepAlive, h.writeTimeout, h.initTimeout = 20*time.Millisecond, 20*time.Millisecond, time.Hour
	})
	ended := served(server)
	// Only a client that reads answers pings.
	dial(t, server)
	arrives(t, ended, "end of the connection")
}

func TestWebSocketClientDoesNotRead(t *testing.T) {
	t.Parallel()
	schema, server := serve(t, func(h *Handler) { h.writeTimeout = 250 * time.Millisecond })
	c := open(t, server)
	c.subscribe("1", "subscription{wait}")
	arrives(t, schema.started, "subscription")
	c.subscribe("2", "subscription{flood}")
	arrives(t, schema.canceled, "cancellation")
}

func TestWebSocketDraining(t *testing.T) {
	t.Parallel()
	draining, drain := context.WithCancel(t.Context())
	schema, server := serve(t, func(h *Handler) { h.Draining = draining })
	c := open(t, server)
	c.subscribe("1", "subscription{wait}")
	c.subscribe("2", "mutation{finish}")
	arrives(t, schema.started, "subscription")
	arrives(t, schema.started, "mutation")
	drain()
	arrives(t, schema.canceled, "cancellation")
	close(schema.finish)
	c.expect(`{"id":"2","type":"next","payload":{"data":{"finish":1}}}`)
	c.expect(`{"id":"2","type":"complete"}`)
	c.expectClose(1001, "server is restarting, reconnect")
}

// TestWebSocketHandedOver shows that nothing is lost which came before the WebSocket was taken over.
func TestWebSocketHandedOver(t *testing.T) {
	t.Parallel()
	_, server := serve(t, nil)
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	frame := append([]byte{0x81, 0x80 | byte(len(initialize)), 0, 0, 0, 0}, initialize...) // masked with zeros
	if _, err := conn.Write(append([]byte("GET / HTTP/1.1\r\nHost: studio.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\nSec-WebSocket-Protocol: "+subprotocol+"\r\n\r\n"), frame...)); err != nil {
		t.Fatal(err)
	}
	reader := bufio.NewReader(conn)
	response, err := http.ReadResponse(reader, nil)
	if err != nil || response.StatusCode != http.StatusSwitchingProtocols {
		t.Fatal(response, err)
	}
	answer := make([]byte, 2+len(acknowledged))
	if _, err := io.ReadFull(reader, answer); err != nil || string(answer[2:]) != acknowledged {
		t.Fatalf("got %q, %v", answer, err)
	}
}

func TestWebSocketPanic(t *testing.T) {
	t.Parallel()
	_, server := serve(t, func(h *Handler) {
		h.authenticate = func(context.Context, http.ResponseWriter, *http.Request, string) (context.Context, error) {
			panic("out of cheese")
		}
	})
	c := dial(t, server)
	c.send(initialize)
	c.expectClose(websocket.StatusInternalError, "Something failed here. Try again.")
	dial(t, server) // the server lives
}
