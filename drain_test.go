package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync"
	"syscall"
	"testing"
)

// TestStopAccepting connects as fast as it can while listeners close: each connection that is made has
// to be served.
func TestStopAccepting(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Log("only Linux can close a listener without a loss; this runs the code")
	}
	for range 8 {
		listener, err := listen(t.Context(), "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			for {
				conn, err := listener.Accept()
				if err != nil {
					return
				}
				go func() {
					defer func() { _ = conn.Close() }()
					_, _ = io.CopyN(conn, conn, 1)
				}()
			}
		}()
		ctx, cancel := context.WithCancel(t.Context())
		var clients sync.WaitGroup
		for range 32 {
			clients.Go(func() {
				for ctx.Err() == nil {
					conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", listener.Addr().String())
					if errors.Is(err, syscall.ECONNREFUSED) || ctx.Err() != nil {
						return
					}
					if err != nil {
						t.Error(err)
						return
					}
					_, _ = conn.Write([]byte{1})
					if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil && runtime.GOOS == "linux" {
						t.Errorf("a connection was made, and not served: %v", err)
					}
					_ = conn.Close()
				}
			})
		}
		if err := stopAccepting(listener); err != nil {
			t.Error(err)
		}
		cancel()
		clients.Wait()
	}
}

// TestFinish stops a server that has no time left while an operation runs: that is waited for and answered.
func TestFinish(t *testing.T) {
	t.Parallel()
	var open sync.WaitGroup
	started, stopping := make(chan struct{}), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		open.Add(1)
		defer open.Done()
		close(started)
		<-stopping
		_, _ = io.WriteString(w, "done")
	}))
	t.Cleanup(server.Close)
	server.Config.RegisterOnShutdown(sync.OnceFunc(func() { close(stopping) }))
	answered := make(chan string, 1)
	go func() {
		response, err := http.Get(server.URL)
		if err != nil {
			answered <- err.Error()
			return
		}
		defer func() { _ = response.Body.Close() }()
		body, _ := io.ReadAll(response.Body)
		answered <- string(body)
	}()
	<-started
	late, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	if err := finish(late, server.Config, &open); err != nil {
		t.Errorf("stopping ended with %v", err)
	}
	if answer := <-answered; answer != "done" {
		t.Errorf("the operation was answered %q", answer)
	}
}
