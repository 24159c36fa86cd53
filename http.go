package main

// HTTP: what is served where, and what surrounds all of it.

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/IBM/pgxpoolprometheus"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/rs/zerolog"

	"studio/db"
	"studio/resolvers"
	"studio/web"
)

// handler serves all that is reached over HTTP. Leaving is done when requests are to go elsewhere, and
// draining when streams are to end.
func (s *serveCommand) handler(leaving, draining context.Context, app *studio) http.Handler {
	mux := http.NewServeMux()
	app.edge.Register(mux, resolvers.HandlerOptions{
		Secure: s.onHTTPS(),
		// The server's own too, in case a proxy changes the Host that a WebSocket's origin is compared with.
		Origins:        append(s.CORSOrigins, s.PublicURL),
		TrustedProxies: s.trustedProxies,
		RateLimit:      s.rateLimit,
		Traced:         s.traced,
		Open:           &app.open,
		Draining:       draining,
	})
	mux.Handle("/webhooks/stripe", app.bills.Webhook())
	mux.Handle("/", web.Pages(s.Stripe.SecretKey != ""))
	mux.Handle("/dev/", app.dev())
	for _, closed := range []string{"/graphql/", "/webhooks/"} { // what is missing there is no page of the front end
		mux.Handle(closed, http.NotFoundHandler())
	}
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprintln(w, "ok") })
	mux.Handle("GET /readyz", readiness(leaving, app.database))
	mux.Handle("GET /metrics", app.metrics())
	handler := unkept(leaving, s.secured(arriving(bodyTime, mux)))
	if s.traced {
		handler = traced(handler)
	}
	return logged(handler)
}

// onHTTPS reports whether users reach the server over https alone.
func (s *serveCommand) onHTTPS() bool { return strings.HasPrefix(s.PublicURL, "https://") }

// bodyTime is how long a request's body may take to arrive.
const bodyTime = 30 * time.Second

// arriving limits how long a request body may take: net/http reads part of an unread body before it answers.
// Handlers that answer for longer clear the deadline once they have the body (transport/request.go).
func arriving(limit time.Duration, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength != 0 {
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(limit))
		}
		next.ServeHTTP(w, r)
	})
}

// secured says on every response what browsers must not do with it. Pages add their own policy.
func (s *serveCommand) secured(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Content-Security-Policy", "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Referrer-Policy", "no-referrer") // the addresses of mailed links hold tokens
		if s.onHTTPS() {
			header.Set("Strict-Transport-Security", "max-age=31536000")
		}
		next.ServeHTTP(w, r)
	})
}

// readiness reports whether new requests are welcome.
func readiness(leaving context.Context, database *db.DB) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if leaving.Err() != nil {
			http.Error(w, "stopping", http.StatusServiceUnavailable)
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), 5*time.Second)
		defer cancel()
		if err := database.Ready(ctx); err != nil {
			zerolog.Ctx(ctx).Warn().Err(err).Msg("not ready")
			http.Error(w, "the database is not ready", http.StatusServiceUnavailable)
			return
		}
		_, _ = fmt.Fprintln(w, "ok")
	})
}

func (s *studio) metrics() http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(slices.Concat(resolvers.Collectors(), s.bills.Collectors(), s.jobs.Collectors())...)
	registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		collectors.NewDBStatsCollector(s.database.Pool(), "studio"),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "studio_streams", Help: "Open subscriptions."},
			func() float64 { return float64(s.events.Streams()) }),
	)
	if reads := s.database.ReadPool(); reads != nil {
		registry.MustRegister(pgxpoolprometheus.NewCollector(reads, map[string]string{"db_name": "studio"}))
	}
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError}) // also without the database
}
