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

	"github.com/rs/zerolog"
)

// maxShutdownDelay is less than the patience of what stops servers.
const maxShutdownDelay = time.Minute

// settling is how long connections that are being made when no new ones are taken have to arrive.
const settling = 250 * time.Millisecond

// finishing is how long requests may take that run when the server stops. Operations have a limit of their own.
const finishing = 30 * time.Second

// sending is how long the last answers may take, and the last traces.
const sending = 10 * time.Second

// serving is a server at work, with what has to end along with it.
type serving struct {
	server         *http.Server
	listener       *net.TCPListener
	failed         chan error      // how Serve ended
	drain          func()          // ends streams
	open           *sync.WaitGroup // requests, streams and WebSockets too
	stopBackground func()
	stopTracing    func() error // nil without traces
}

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

// stop goes on serving for the delay, takes no more requests after it, and lets what runs finish.
func (s *serving) stop(ctx context.Context, delay time.Duration) error {
	log := zerolog.Ctx(ctx)
	if delay > 0 {
		log.Info().Stringer("delay", delay).Msg("stopping: not ready any more, still serving")
		time.Sleep(delay)
		if err := stopAccepting(s.listener); err != nil {
			log.Warn().Err(err).Msg("connections that are just being made may be lost")
		}
		// Shutdown would complain of a listener that is closed and not given back.
		if err := <-s.failed; !errors.Is(err, net.ErrClosed) {
			return err
		}
	}
	log.Info().Msg("stopping: no new requests, those that run may finish")
	s.drain() // after the listener, or streams would come back here
	ending, cancel := context.WithTimeout(ctx, finishing)
	defer cancel()
	err := finish(ending, s.server, s.open)
	s.stopBackground()
	if s.stopTracing != nil {
		if err := s.stopTracing(); err != nil {
			log.Warn().Err(err).Msg("the last traces are lost")
		}
	}
	return err
}

// stopAccepting closes a listener so that every connection that a client takes for made is served.
// Closing alone would reset those that the system has made and the server has not fetched yet, with
// the requests that are on them.
func stopAccepting(listener *net.TCPListener) error {
	err := ignoreNew(listener)
	time.Sleep(settling)
	return errors.Join(err, listener.Close())
}

// finish takes no more requests and waits for those that run: as long as it takes for what is open (streams
// and WebSockets too, which net/http does not wait for), and for all else until the context ends.
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
