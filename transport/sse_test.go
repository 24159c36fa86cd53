package transport

// Tests of operations over server-sent events.

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

// next is the text of an event with a response.
func next(response string) string { return "event: next\ndata: " + response + "\n\n" }

const completed = "event: complete\ndata:\n\n"

func TestSSE(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ query, want string }{
		"Query":        {"{__typename}", next(isQuery)},
		"Mutation":     {"mutation{touch}", next(`{"data":{"touch":1}}`)},
		"Subscription": {"subscription{count(to:2)}", next(`{"data":{"count":1}}`) + next(`{"data":{"count":2}}`)},
		"Invalid": {"{nope}", next(`{"errors":[{"message":"Cannot query field \"nope\" on type \"Query\".",` +
			`"locations":[{"line":1,"column":2}],"extensions":{"code":"GRAPHQL_VALIDATION_FAILED"}}]}`)},
		"Denied": {"subscription{denied}", next(`{"errors":[{"message":"There is no such project.","extensions":{"code":"NOT_FOUND"}}]}`)},
		"Ends": {"subscription{ends}", next(`{"data":{"ends":1}}`) +
			next(`{"errors":[{"message":"You were removed from the workspace.","extensions":{"code":"FORBIDDEN"}}]}`)},
		"Breaks":      {"subscription{breaks}", next(`{"errors":[{"message":"Something failed here. Try again.","extensions":{"code":"INTERNAL"}}]}`)},
		"Panic":       {"subscription{panics}", next(`{"errors":[{"message":"Something failed here. Try again.","extensions":{"code":"INTERNAL"}}]}`)},
		"Unspeakable": {"subscription{unspeakable}", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, server := serve(t, nil)
			answer := send(t, server, "POST", "", `{"query":"`+test.query+`"}`, sendsJSON, acceptsEvents)
			if want := ":\n\n" + test.want + completed; answer.status != 200 || answer.body != want {
				t.Errorf("got %d\n%s\nwant\n%s", answer.status, answer.body, want)
			}
			for header, want := range map[string]string{
				"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-store", "X-Accel-Buffering": "no",
			} {
				if got := answer.header.Get(header); got != want {
					t.Errorf("%s is %q, want %q", header, got, want)
				}
			}
		})
	}
}

func TestSSEGet(t *testing.T) {
	t.Parallel()
	schema, server := serve(t, nil)
	query := "?query=" + url.QueryEscape("subscription{count(to:1)}")
	answer := send(t, server, "GET", query, "", acceptsEvents)
	answer.expect(t, 200, ":\n\n"+next(`{"data":{"count":1}}`)+completed)
	send(t, server, "GET", "?query=mutation{touch}", "", acceptsEvents).expect(t, 405, "BAD_REQUEST")
	if schema.touched > 0 {
		t.Error("the mutation was executed")
	}
}

func TestSSERefused(t *testing.T) {
	t.Parallel()
	_, server := serve(t, nil)
	send(t, server, "POST", "", "{", sendsJSON, acceptsEvents).expect(t, 400, "BAD_REQUEST")
	send(t, server, "POST", "", typename, sendsJSON, acceptsEvents, "Authorization: Bearer no").expect(t, 401, "UNAUTHENTICATED")
	send(t, server, "GET", "?query={__typename}", "", acceptsEvents, withCookie).expect(t, 403, "FORBIDDEN")
}

// stream opens a stream that stays open.
func stream(ctx context.Context, t *testing.T, server *httptest.Server, query string) *bufio.Reader {
	t.Helper()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL, strings.NewReader(`{"query":"`+query+`"}`))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "text/event-stream")
	response, err := server.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = response.Body.Close() })
	return bufio.NewReader(response.Body)
}

// expectLines reads lines that are not empty.
func expectLines(t *testing.T, events *bufio.Reader, lines ...string) {
	t.Helper()
	for _, want := range lines {
		line := "\n"
		for line == "\n" {
			var err error
			if line, err = events.ReadString('\n'); err != nil {
				t.Fatal(err)
			}
		}
		if got := strings.TrimSuffix(line, "\n"); got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
	}
}

func TestSSEKeepAlive(t *testing.T) {
	t.Parallel()
	_, server := serve(t, func(h *Handler) { h.keepAlive = 10 * time.Millisecond })
	expectLines(t, stream(t.Context(), t, server, "subscription{wait}"), ":", ":", ":")
}

func TestSSECallerGone(t *testing.T) {
	t.Parallel()
	schema, server := serve(t, func(h *Handler) { h.keepAlive = 10 * time.Millisecond })
	ctx, cancel := context.WithCancel(t.Context())
	stream(ctx, t, server, "subscription{wait}")
	arrives(t, schema.started, "subscription")
	cancel()
	arrives(t, schema.canceled, "cancellation")
}

// A caller who has closed their side takes what is written, so that writing does not tell.
func TestSSECallerHalfGone(t *testing.T) {
	t.Parallel()
	schema, server := serve(t, func(h *Handler) { h.keepAlive = 10 * time.Millisecond })
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_, err = io.WriteString(conn, "GET /?query=subscription{wait} HTTP/1.1\r\nHost: studio.example\r\nAccept: text/event-stream\r\n\r\n")
	if err != nil {
		t.Fatal(err)
	}
	arrives(t, schema.started, "subscription")
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	arrives(t, schema.canceled, "cancellation")
}

func TestSSECallerDoesNotRead(t *testing.T) {
	t.Parallel()
	var open *sync.WaitGroup
	_, server := serve(t, func(h *Handler) { h.writeTimeout, open = 250*time.Millisecond, h.Open })
	stream(t.Context(), t, server, "subscription{flood}")
	ended := make(chan struct{})
	go func() {
		open.Wait()
		close(ended)
	}()
	arrives(t, ended, "end of the stream")
}

func TestSSEDraining(t *testing.T) {
	t.Parallel()
	draining, drain := context.WithCancel(t.Context())
	schema, server := serve(t, func(h *Handler) { h.Draining = draining })
	events := stream(t.Context(), t, server, "subscription{wait}")
	mutation := stream(t.Context(), t, server, "mutation{finish}")
	arrives(t, schema.started, "subscription")
	arrives(t, schema.started, "mutation")
	drain()
	expectLines(t, events, ":", "event: next",
		`data: {"errors":[{"message":"The server is restarting. Subscribe again.","extensions":{"code":"UNAVAILABLE"}}]}`,
		"event: complete", "data:")
	close(schema.finish)
	expectLines(t, mutation, ":", "event: next", `data: {"data":{"finish":1}}`, "event: complete", "data:")
}
