package db

// Signals: a transaction tells all processes on the database that something is new, once it is
// committed. A signal only wakes; whoever is woken reads the tables, so that a lost one costs time
// and nothing else.

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"
)

// channel is the one notification channel; what is new stands in the payload.
const channel = "studio"

// signals carries payloads to the listeners of this process: directly on SQLite, which has one
// process, and through LISTEN and NOTIFY on PostgreSQL.
type signals struct {
	postgres *pgx.ConnConfig // nil on SQLite
	done     chan struct{}
	closing  sync.Once

	mu        sync.Mutex
	listeners []func(payload string)
}

func newSignals(postgres *pgx.ConnConfig) *signals {
	return &signals{postgres: postgres, done: make(chan struct{})}
}

// Signal sends a short text (under 8,000 bytes) to the listeners of all processes when the
// transaction commits.
func (d *DB) Signal(ctx context.Context, payload string) error {
	if d.isPostgres() {
		_, err := d.bun.ExecContext(ctx, "SELECT pg_notify(?, ?)", channel, payload)
		return mapError(err)
	}
	d.AfterCommit(func() { d.signals.deliver(payload) })
	return nil
}

// Listen calls fn with every signal from now on, in its own goroutine, until the database is
// closed. On PostgreSQL it holds a connection of its own and connects again when that is lost;
// fn is then called with an empty payload, as anything may have been missed.
func (d *DB) Listen(ctx context.Context, fn func(payload string)) {
	s := d.signals
	s.mu.Lock()
	s.listeners = append(s.listeners, fn)
	first := len(s.listeners) == 1
	s.mu.Unlock()
	if s.postgres != nil && first {
		ctx, cancel := context.WithCancel(ctx)
		go func() { <-s.done; cancel() }()
		go s.receive(ctx)
	}
}

func (s *signals) deliver(payload string) {
	s.mu.Lock()
	listeners := s.listeners
	s.mu.Unlock()
	for _, fn := range listeners {
		fn(payload)
	}
}

func (s *signals) receive(ctx context.Context) {
	for ctx.Err() == nil {
		if err := s.session(ctx); err != nil && ctx.Err() == nil {
			zerolog.Ctx(ctx).Warn().Err(err).Msg("the notification connection is lost; connecting again")
			select {
			case <-ctx.Done():
			case <-time.After(500 * time.Millisecond):
			}
		}
	}
}

func (s *signals) session(ctx context.Context) error {
	conn, err := pgx.ConnectConfig(ctx, s.postgres)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if _, err := conn.Exec(ctx, "LISTEN "+channel); err != nil {
		return err
	}
	s.deliver("")
	for {
		notification, err := conn.WaitForNotification(ctx)
		if err != nil {
			return err
		}
		s.deliver(notification.Payload)
	}
}

func (s *signals) close() { s.closing.Do(func() { close(s.done) }) }
