package main

// Draining: a server behind a load balancer goes without a request being lost. It first says that it
// wants no more (not ready, and connections are not kept), then it takes no more, then it finishes.

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"
)

// maxShutdownDelay is less than the patience of what stops servers.
const maxShutdownDelay = time.Minute

// settling is how long connections that are being made when no new ones are taken have to arrive.
const settling = 250 * time.Millisecond

// finishing is how long requests may take that run when the server stops. Operations have a limit of their own.
const finishing = 30 * time.Second

// sending is how long the last answers may take, and the last traces.
const sending = 10 * time.Second

// listen takes connections in a way that stopAccepting can end. Multipath TCP, which Go would use for
// clients that ask for it, knows no filter.
func listen(ctx context.Context, address string) (*net.TCPListener, error) {
	var config net.ListenConfig
	config.SetMultipathTCP(false)
	listener, err := config.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return listener.(*net.TCPListener), nil
}

// stopAccepting closes a listener so that every connection that a client takes for made is served.
// Closing alone would reset those that the system has made and the server has not fetched yet, with
// the requests that are on them.
func stopAccepting(listener *net.TCPListener) error {
	err := ignoreNew(listener)
	time.Sleep(settling)
	return errors.Join(err, listener.Close())
}

// finish takes no more requests and waits for those that run: for what is open, streams and WebSockets too,
// of which the server does not know, as long as that takes, and for all else until the context ends.
func finish(ending context.Context, server *http.Server, open *sync.WaitGroup) error {
	err := server.Shutdown(ending)
	open.Wait()
	if errors.Is(err, context.DeadlineExceeded) { // perhaps for what has ended since, whose answer is on its way
		last, cancel := context.WithTimeout(context.WithoutCancel(ending), sending)
		defer cancel()
		err = server.Shutdown(last)
	}
	return err
}

// unkept makes clients use each connection for one more request only, once the server is leaving. An
// idle connection that the server ends may just be getting a request.
func unkept(leaving context.Context, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if leaving.Err() != nil {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}
