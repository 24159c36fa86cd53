// Studio serves the organizations of HarperDB Studio as a GraphQL API.
package main

//go:generate go run github.com/99designs/gqlgen generate

import (
	"context"
	"errors"
	"fmt"
	stdlog "log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/IBM/pgxpoolprometheus"
	"github.com/alecthomas/kong"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/rs/zerolog"

	"studio/account"
	"studio/billing"
	"studio/db"
	"studio/event"
	"studio/instance"
	"studio/job"
	studiomail "studio/mail"
	"studio/organization"
	"studio/resolvers"
	"studio/stripesandbox"
	"studio/web"
	"studio/webhook"
)

// version is set by the linker.
var version = "development"

// commands is the command line; each setting is also an environment variable.
type commands struct {
	Serve   serveCommand   `cmd:"" default:"withargs" help:"Serve the API (what happens without a command)."`
	Migrate migrateCommand `cmd:"" help:"Bring the database's tables up to date, take the newest change back, or list the changes."`
	Backup  backupCommand  `cmd:"" help:"Copy a SQLite database, also while a server uses it."`
	Seed    seedCommand    `cmd:"" help:"Add two users and an organization to try the API with, or many."`
	Version versionCommand `cmd:"" help:"Print the version."`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	log, flush := newLog(os.Stderr)
	var given commands
	parsed := kong.Parse(&given, kong.Name("studio"),
		kong.Description("Organizations, users, instances and billing as a GraphQL API."))
	parsed.BindTo(log.WithContext(ctx), (*context.Context)(nil))
	err := parsed.Run()
	flush()
	parsed.FatalIfErrorf(err)
}

// Run serves until the process is told to stop, and then lets what runs finish.
func (s *serveCommand) Run(ctx context.Context) error {
	log := zerolog.Ctx(ctx)
	stopTracing, err := startTracing(ctx)
	if err != nil {
		return of("OTEL_TRACES_EXPORTER", err)
	}
	var options []db.Option
	if s.traced = stopTracing != nil; s.traced {
		options = append(options, db.WithTracing())
	}
	database, err := db.Open(s.DatabaseURL, options...)
	if err != nil {
		return of("STUDIO_DATABASE_URL", err)
	}
	defer func() { _ = database.Close() }()
	if err := database.Migrate(ctx); err != nil {
		return of("STUDIO_DATABASE_URL", err)
	}
	listener, err := listen(ctx, s.Addr)
	if err != nil {
		return of("STUDIO_ADDR", err)
	}
	// After listening, which fails for a server that is started by mistake while another one runs.
	if err := database.ReleaseJobs(ctx); err != nil {
		return of("STUDIO_DATABASE_URL", err)
	}

	stripe := billing.Settings(s.Stripe)
	var sandbox net.Listener // on a port of its own, which stays open until the last job has ended
	if s.Stripe.SecretKey == "" {
		if sandbox, err = (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0"); err != nil {
			return fmt.Errorf("cannot listen on the loopback interface: %w", err)
		}
		defer func() { _ = sandbox.Close() }()
		stripe = billing.Settings{
			SecretKey: stripesandbox.SecretKey, PublishableKey: stripesandbox.PublishableKey, WebhookSecret: stripesandbox.WebhookSecret,
			APIURL: "http://" + sandbox.Addr().String(),
		}
	}
	studio := s.wire(database, stripe)
	if sandbox != nil {
		studio.sandbox = stripesandbox.New(database, studio.jobs, "http://"+loopback(listener.Addr())+"/webhooks/stripe", stripesandbox.WebhookSecret)
		go func() { _ = http.Serve(sandbox, studio.sandbox.API()) }()
	}

	draining, drain := context.WithCancel(context.WithoutCancel(ctx))
	defer drain()
	serving := &serving{
		server: &http.Server{
			Handler:           s.handler(ctx, draining, studio),
			ReadHeaderTimeout: 10 * time.Second,
			MaxHeaderBytes:    64 << 10,
			IdleTimeout:       2 * time.Minute,
			ErrorLog:          stdlog.New(log.With().Str("level", "warn").Logger(), "", 0),
			BaseContext:       func(net.Listener) context.Context { return log.WithContext(context.Background()) },
		},
		listener:       listener,
		failed:         make(chan error, 1),
		drain:          drain,
		open:           &studio.open,
		stopBackground: studio.startBackground(log.WithContext(context.WithoutCancel(ctx))),
		stopTracing:    stopTracing,
	}
	go func() { serving.failed <- serving.server.Serve(listener) }()
	log.Info().Str("studio", s.PublicURL).Str("playground", s.PublicURL+"/playground").Msg("serving")
	if !web.Built() {
		log.Warn().Msg("the front end and the Playground are not built: make run builds them, with Node.js; the API is served all the same")
	}
	if studio.sandbox != nil {
		log.Info().Msg("no STUDIO_STRIPE_SECRET_KEY: the embedded sandbox stands in for Stripe, and no card is ever charged")
	}
	if s.SMTPURL == "" {
		log.Info().Str("mailbox", s.PublicURL+"/dev/mailbox").Msg("no STUDIO_SMTP_URL: mails go to the mailbox page only")
	}
	select {
	case err := <-serving.failed:
		return err
	case <-ctx.Done():
		return serving.stop(context.WithoutCancel(ctx), s.shutdownDelay)
	}
}

// studio is the server but for HTTP: its parts, connected.
type studio struct {
	database      *db.DB
	mailbox       *studiomail.Mailbox // nil with an SMTP server
	accounts      *account.Accounts
	organizations *organization.Organizations
	bills         *billing.Billing
	webhooks      *webhook.Webhooks
	edge          *resolvers.Resolvers
	sandbox       *stripesandbox.Sandbox // nil with a Stripe account
	jobs          *job.Queue
	events        *event.Hub
	open          sync.WaitGroup // requests of GraphQL under way, streams and WebSockets too
}

// wire connects the parts, but for the sandbox, which has to know where the server is reached.
func (s *serveCommand) wire(database *db.DB, stripe billing.Settings) *studio {
	studio := &studio{
		database: database,
		jobs:     job.NewQueue(database, studiomail.ErrPermanent),
		events:   event.NewHub(database),
	}
	var mails studiomail.Sender
	if s.SMTPURL != "" {
		mails = studiomail.NewSMTP(s.smtpServer, s.mailFrom)
	} else {
		studio.mailbox = studiomail.NewMailbox(database.Now)
		mails = studio.mailbox
	}
	studio.bills = billing.New(database, studio.jobs, mails, s.PublicURL, stripe, instance.Items)
	studio.organizations = organization.New(database, studio.jobs, mails, s.PublicURL, studio.bills.Close)
	studio.webhooks = webhook.New(database, s.Webhook.key, s.Webhook.networks)
	studio.accounts = account.New(database, studio.jobs, mails, studio.organizations, s.PublicURL)
	studio.edge = &resolvers.Resolvers{
		DB: database, Accounts: studio.accounts, Organizations: studio.organizations, Bills: studio.bills,
		Instances: instance.New(database, studio.jobs, studio.bills, instance.Embedded{Delay: instance.EmbeddedDelay}),
		Webhooks:  studio.webhooks, Events: studio.events,
	}
	return studio
}

// handler serves all that is reached over HTTP. Leaving is done when requests are to go elsewhere, and
// draining when streams are to end.
func (s *serveCommand) handler(leaving, draining context.Context, studio *studio) http.Handler {
	mux := http.NewServeMux()
	studio.edge.Register(mux, resolvers.HandlerOptions{
		Secure: s.onHTTPS(),
		// The server's own too, in case a proxy changes the Host that a WebSocket's origin is compared with.
		Origins:        append(s.CORSOrigins, s.PublicURL),
		TrustedProxies: s.trustedProxies,
		RateLimit:      s.rateLimit,
		Traced:         s.traced,
		Open:           &studio.open,
		Draining:       draining,
	})
	mux.Handle("/webhooks/stripe", studio.bills.Webhook())
	mux.Handle("/", web.Pages(s.Stripe.SecretKey != ""))
	mux.Handle("/dev/", studio.dev())
	for _, closed := range []string{"/graphql/", "/webhooks/"} { // what is missing there is no page of the front end
		mux.Handle(closed, http.NotFoundHandler())
	}
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprintln(w, "ok") })
	mux.Handle("GET /readyz", readiness(leaving, studio.database))
	mux.Handle("GET /metrics", studio.metrics())
	handler := unkept(leaving, s.secured(arriving(bodyTime, mux)))
	if s.traced {
		handler = traced(handler)
	}
	return logged(handler)
}

// loopback is how a process on this machine reaches what listens on an address, also on one that
// stands for all of them.
func loopback(address net.Addr) string {
	tcp, known := address.(*net.TCPAddr)
	if !known || !tcp.IP.IsUnspecified() {
		return address.String()
	}
	return net.JoinHostPort("localhost", strconv.Itoa(tcp.Port))
}

// onHTTPS tells whether users reach the server over https alone.
func (s *serveCommand) onHTTPS() bool { return strings.HasPrefix(s.PublicURL, "https://") }

// startBackground runs jobs, live updates, and each hour the removal of what has expired and the look
// for what no webhook told. The returned function stops them and waits until they have ended.
func (s *studio) startBackground(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { s.jobs.Run(ctx) })
	running.Go(func() { s.webhooks.Run(ctx) })
	running.Go(func() { s.events.Run(ctx) })
	running.Go(func() {
		ticker := time.NewTicker(time.Hour)
		defer ticker.Stop()
		for {
			if err := errors.Join(s.accounts.Sweep(ctx), s.bills.Sweep(ctx), s.webhooks.Sweep(ctx), s.edge.Sweep(ctx)); err != nil && ctx.Err() == nil {
				zerolog.Ctx(ctx).Error().Err(err).Msg("cannot sweep; it is tried again in an hour")
			}
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
		}
	})
	return func() {
		cancel()
		running.Wait()
	}
}

// bodyTime is how long a request's body may take to arrive.
const bodyTime = 30 * time.Second

// arriving ends the wait for a body, of which net/http reads a good part before it answers, also when no
// handler reads any. A handler that answers for longer clears it once it has the body (transport/request.go).
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

// readiness tells whether new requests are welcome.
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
