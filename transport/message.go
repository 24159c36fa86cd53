package transport

// The messages on a WebSocket: what each from the client does, and how those to it are written.

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/99designs/gqlgen/graphql"
	"github.com/coder/websocket"

	"studio/fault"
)

// message is what the server sends.
type message struct {
	ID      string          `json:"id,omitempty"`
	Type    string          `json:"type"`
	Payload json.RawMessage `json:"payload,omitempty"`
}

// guarded wraps receive so that a panic closes the socket instead of crashing the process.
func (c *connection) guarded(data []byte) (refused *websocket.CloseError) {
	defer func() {
		if panicked := recover(); panicked != nil {
			refused = closing(websocket.StatusInternalError, c.present(c.ctx, c.Recover(c.ctx, panicked)).Errors[0].Message)
		}
	}()
	return c.receive(data)
}

// receive handles a message from the client, and says how to close when it broke the protocol.
func (c *connection) receive(data []byte) *websocket.CloseError {
	value, err := decode(data)
	if err != nil {
		return closing(closeBadMessage, err.Error())
	}
	fields, ok := value.(map[string]any)
	if !ok {
		return closing(closeBadMessage, "A message must be a JSON object.")
	}
	id, _ := fields["id"].(string)
	payload, ok := fields["payload"].(map[string]any)
	if !ok && fields["payload"] != nil {
		return closing(closeBadMessage, "The payload of a message must be an object.")
	}

	kind, _ := fields["type"].(string)
	switch kind {
	case "connection_init":
		return c.initialize(payload)
	case "ping":
		pong := message{Type: "pong"}
		if payload != nil {
			pong.Payload, _ = json.Marshal(payload)
		}
		c.reply(pong)
		return nil
	case "pong":
		return nil
	case "subscribe", "complete":
		if id == "" {
			return closing(closeBadMessage, "The message needs an id that is a string and not empty.")
		}
		if kind == "subscribe" {
			return c.subscribe(id, payload)
		}
		c.complete(id)
		return nil
	default:
		return closing(closeBadMessage,
			"The type must be connection_init, ping, pong, subscribe or complete.")
	}
}

// initialize authenticates the caller; the init payload stands in for the request's header, which
// a browser cannot set.
func (c *connection) initialize(payload map[string]any) *websocket.CloseError {
	if c.initialized {
		return closing(closeTooManyInitRequests, "Too many initialisation requests")
	}
	c.initialized = true
	c.initTimer.Stop()

	authorization := c.request.Header.Get("Authorization")
	for _, name := range []string{"authorization", "Authorization"} {
		if payload[name] == nil {
			continue
		}
		var ok bool
		if authorization, ok = payload[name].(string); !ok {
			return closing(closeBadMessage, "The Authorization in the payload must be a string.")
		}
	}
	ctx, err := c.authenticate(c.ctx, nil, c.request, authorization)
	if err != nil {
		response := c.present(c.ctx, err)
		code := closeForbidden
		if statusOf(response.Errors[0]) >= http.StatusTooManyRequests {
			code = websocket.StatusTryAgainLater
		}
		return closing(code, response.Errors[0].Message)
	}
	c.ctx = ctx
	c.request = nil
	c.acknowledged = true
	c.socket.SetReadLimit(c.maxBodyBytes)
	c.reply(message{Type: "connection_ack"})
	return nil
}

// subscribe starts an operation. It is parsed and validated before the next message is read, so
// that a client cannot make work faster than it is done.
func (c *connection) subscribe(id string, payload map[string]any) *websocket.CloseError {
	if !c.acknowledged {
		return closing(closeUnauthorized, "Unauthorized")
	}
	params, err := fromJSON(payload)
	if err != nil {
		return closing(closeBadMessage, err.Error())
	}

	c.mu.Lock()
	_, exists := c.subscribers[id]
	open := len(c.subscribers)
	c.mu.Unlock()
	if exists {
		return closing(closeSubscriberExists, "Subscriber for "+id+" already exists")
	}
	if open >= c.maxOperations {
		c.reply(failure(id, c.present(c.ctx, fault.New(fault.RateLimited,
			"This connection has %d operations open. Complete one first, or open another connection.",
			c.maxOperations))))
		return nil
	}
	if err := c.Limit(c.ctx, 1); err != nil {
		c.reply(failure(id, c.present(c.ctx, err)))
		return nil
	}
	operation, failed := c.prepare(c.ctx, params)
	if failed != nil {
		c.reply(failure(id, failed))
		return nil
	}

	ctx, cancel := context.WithCancel(c.ctx)
	added := &subscriber{cancel, isSubscription(operation)}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.draining {
		cancel()
		return nil
	}
	c.subscribers[id] = added
	c.running.Go(func() {
		defer cancel()
		c.run(ctx, id, added, operation)
	})
	return nil
}

// run executes an operation and sends its responses.
func (c *connection) run(
	ctx context.Context, id string, to *subscriber, operation *graphql.OperationContext,
) {
	for response, body := range c.execute(ctx, operation) {
		if response.Data == nil && len(response.Errors) > 0 {
			c.send(to, failure(id, response))
			return
		}
		c.send(to, message{id, "next", body})
	}
	if ctx.Err() == nil {
		c.send(to, message{ID: id, Type: "complete"})
	}
}

// complete ends an operation because the client asks for it.
func (c *connection) complete(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if subscriber, exists := c.subscribers[id]; exists {
		subscriber.cancel()
		delete(c.subscribers, id)
	}
}

// send writes a message to a subscriber, unless that one is gone. Any message but next is the last.
func (c *connection) send(to *subscriber, m message) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.subscribers[m.ID] != to {
		return
	}
	if m.Type != "next" {
		delete(c.subscribers, m.ID)
	}
	c.write(m)
}

// reply writes a message that is for no subscriber.
func (c *connection) reply(m message) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.write(m)
}

// write needs no error: a write that fails or takes too long closes the socket, which ends the
// reading and all else.
func (c *connection) write(m message) {
	data, _ := json.Marshal(m)
	ctx, cancel := context.WithTimeout(c.ctx, c.writeTimeout)
	defer cancel()
	_ = c.socket.Write(ctx, websocket.MessageText, data)
}

// failure is the message with an operation's errors.
func failure(id string, response *graphql.Response) message {
	payload, _ := json.Marshal(response.Errors)
	return message{id, "error", payload}
}

// closing is how to close the socket; a frame has room for 123 bytes of reason.
func closing(code websocket.StatusCode, reason string) *websocket.CloseError {
	reason = strings.ToValidUTF8(reason[:min(len(reason), 123)], "")
	return &websocket.CloseError{Code: code, Reason: reason}
}
