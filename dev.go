package main

// What stands in for mail and for Stripe while one develops, under /dev/.

import (
	"net/http"
	"net/netip"
	"net/url"
)

// dev serves it, to this machine alone.
func (s *studio) dev() http.Handler {
	mux := http.NewServeMux()
	if s.mailbox != nil {
		mux.Handle("GET /dev/mailbox", s.mailbox.Page())
		mux.Handle("GET /dev/mailbox.json", s.mailbox.JSON())
	}
	if s.sandbox != nil {
		mux.Handle("POST /dev/stripe/advance", s.sandbox.Advance())
	}
	return onThisMachine(mux)
}

// onThisMachine lets through only what was sent from this machine; to anybody else, there is nothing here.
func onThisMachine(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		if !fromLoopback(r) || !byAddress(r) || forwarded(r) {
			http.NotFound(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func fromLoopback(r *http.Request) bool {
	client, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && client.Addr().Unmap().IsLoopback()
}

// byAddress reports whether the client asked for an IP address or localhost. Any other name may be one
// whose owner points it at 127.0.0.1 as soon as a page of theirs is loaded (DNS rebinding): the
// browser, taking us for the page's own server, would let the page read every mail.
func byAddress(r *http.Request) bool {
	host := (&url.URL{Host: r.Host}).Hostname()
	_, err := netip.ParseAddr(host)
	return err == nil || host == "localhost"
}

// forwarded reports whether a proxy on this machine passes on what somebody elsewhere asks.
func forwarded(r *http.Request) bool {
	return r.Header.Get("Forwarded") != "" || r.Header.Get("X-Forwarded-For") != "" || r.Header.Get("Via") != ""
}
