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
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
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
	Serve   serveCommand   `cmd:"" default:"withargs" help:"Serve the API (the default)."`
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

// Run serves until a signal stops the process, and then lets what runs finish.
func (s *serveCommand) Run(ctx context.Context) error {
	log := zerolog.Ctx(ctx)
	stopTracing, err := startTracing(ctx)
	if err != nil {
		return settingError("OTEL_…", err)
	}
	var options []db.Option
	if s.traced = stopTracing != nil; s.traced {
		options = append(options, db.WithTracing())
	}
	database, err := db.Open(s.DatabaseURL, options...)
	if err != nil {
		return settingError("STUDIO_DATABASE_URL", err)
	}
	defer func() { _ = database.Close() }()
	if err := database.Migrate(ctx); err != nil {
		return settingError("STUDIO_DATABASE_URL", err)
	}
	listener, err := listen(ctx, s.Addr)
	if err != nil {
		return settingError("STUDIO_ADDR", err)
	}
	// After listening, which fails for a server that is started by mistake while another one runs.
	if err := database.ReleaseJobs(ctx); err != nil {
		return settingError("STUDIO_DATABASE_URL", err)
	}

	var app *studio
	if s.Stripe.SecretKey != "" {
		app = s.wire(database, billing.Settings(s.Stripe))
	} else {
		var closeSandbox func() error
		if app, closeSandbox, err = s.wireWithSandbox(ctx, database, listener.Addr()); err != nil {
			return err
		}
		defer func() { _ = closeSandbox() }() // open until the last job has ended
	}

	draining, drain := context.WithCancel(context.WithoutCancel(ctx))
	defer drain()
	running := &serving{
		server: &http.Server{
			Handler:           s.handler(ctx, draining, app),
			ReadHeaderTimeout: 10 * time.Second,
			MaxHeaderBytes:    64 << 10,
			IdleTimeout:       2 * time.Minute,
			ErrorLog:          stdlog.New(log.With().Str("level", "warn").Logger(), "", 0),
			BaseContext:       func(net.Listener) context.Context { return log.WithContext(context.Background()) },
		},
		listener:       listener,
		failed:         make(chan error, 1),
		drain:          drain,
		open:           &app.open,
		stopBackground: app.startBackground(log.WithContext(context.WithoutCancel(ctx))),
		stopTracing:    stopTracing,
	}
	go func() { running.failed <- running.server.Serve(listener) }()
	log.Info().Str("studio", s.PublicURL).Str("playground", s.PublicURL+"/playground").Msg("serving")
	if !web.Built() {
		log.Warn().Msg("the front end and the Playground are not built: make run builds them, with Node.js; the API is served all the same")
	}
	if app.sandbox != nil {
		log.Info().Msg("no STUDIO_STRIPE_SECRET_KEY: the embedded sandbox stands in for Stripe, and no card is ever charged")
	}
	if s.SMTPURL == "" {
		log.Info().Str("mailbox", s.PublicURL+"/dev/mailbox").Msg("no STUDIO_SMTP_URL: mails go to the mailbox page only")
	}
	select {
	case err := <-running.failed:
		return err
	case <-ctx.Done():
		return running.stop(context.WithoutCancel(ctx), s.shutdownDelay)
	}
}

// studio is the server but for HTTP: its parts, connected.
type studio struct {
	database *db.DB
	mailbox  *studiomail.Mailbox // nil with an SMTP server
	accounts *account.Accounts
	bills    *billing.Billing
	webhooks *webhook.Webhooks
	edge     *resolvers.Resolvers
	sandbox  *stripesandbox.Sandbox // nil with a Stripe account
	jobs     *job.Queue
	events   *event.Hub
	open     sync.WaitGroup // requests of GraphQL under way, streams and WebSockets too
}

// wireWithSandbox connects the parts and the sandbox, which listens on a loopback port of its own and sends
// events to the server's address.
func (s *serveCommand) wireWithSandbox(ctx context.Context, database *db.DB, server net.Addr) (*studio, func() error, error) {
	sandbox, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, fmt.Errorf("cannot listen on the loopback interface: %w", err)
	}
	app := s.wire(database, billing.Settings{
		SecretKey: stripesandbox.SecretKey, PublishableKey: stripesandbox.PublishableKey, WebhookSecret: stripesandbox.WebhookSecret,
		APIURL: "http://" + sandbox.Addr().String(),
	})
	app.sandbox = stripesandbox.New(database, app.jobs, "http://"+loopback(server)+"/webhooks/stripe")
	go func() { _ = http.Serve(sandbox, app.sandbox.API()) }()
	return app, sandbox.Close, nil
}

// wire connects the parts, but for the sandbox, which has to know where the server is reached.
func (s *serveCommand) wire(database *db.DB, stripe billing.Settings) *studio {
	app := &studio{
		database: database,
		jobs:     job.NewQueue(database, studiomail.ErrPermanent),
		events:   event.NewHub(database),
	}
	var mails studiomail.Sender
	if s.SMTPURL != "" {
		mails = studiomail.NewSMTP(s.smtpServer, s.mailFrom)
	} else {
		app.mailbox = studiomail.NewMailbox(database.Now)
		mails = app.mailbox
	}
	app.bills = billing.New(database, app.jobs, mails, s.PublicURL, stripe, instance.Items)
	organizations := organization.New(database, app.jobs, mails, s.PublicURL, app.bills.Close)
	app.webhooks = webhook.New(database, s.Webhook.key, s.Webhook.networks)
	app.accounts = account.New(database, app.jobs, mails, organizations, s.PublicURL, account.RecommendedHashing)
	app.edge = &resolvers.Resolvers{
		DB: database, Accounts: app.accounts, Organizations: organizations, Bills: app.bills,
		Instances: instance.New(database, app.jobs, app.bills, instance.Embedded{Delay: 2 * time.Second}),
		Webhooks:  app.webhooks, Events: app.events,
	}
	return app
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

// startBackground runs jobs, live updates, and each hour the removal of what has expired and the look
// for what no webhook reported. The returned function stops them and waits until they have ended.
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
			err := errors.Join(s.accounts.Sweep(ctx), s.bills.Sweep(ctx), s.webhooks.Sweep(ctx), s.edge.Sweep(ctx), s.jobs.Sweep(ctx))
			if err != nil && ctx.Err() == nil {
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
