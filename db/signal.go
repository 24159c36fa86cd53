package db

// Signals: all processes on the database learn that something is new, once it is committed. A
// signal only wakes; whoever is woken reads the tables, and does so now and then anyway, so that a
// lost one costs time and nothing else.

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
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
	// waiting are payloads that are still to be sent, and sending is whether somebody does.
	waiting []string
	sending bool
	sent    sync.WaitGroup
}

func newSignals(postgres *pgx.ConnConfig) *signals {
	return &signals{postgres: postgres, done: make(chan struct{})}
}

// Signal sends a short text (under 8,000 bytes) to the listeners of all processes after the
// transaction is committed.
//
// It is no part of the transaction: PostgreSQL lets only one transaction with a NOTIFY commit at a
// time, and that takes as long as the disk does. One that writes nothing waits for no disk.
func (d *DB) Signal(payload string) {
	d.AfterCommit(func() {
		if d.isPostgres() {
			d.signals.send(d.batches.pool, payload)
		} else {
			d.signals.deliver(payload)
		}
	})
}

// send sends what has gathered while the last payloads were sent.
func (s *signals) send(pool *pgxpool.Pool, payload string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting = append(s.waiting, payload)
	if s.sending {
		return
	}
	s.sending = true
	s.sent.Go(func() {
		for {
			s.mu.Lock()
			payloads := s.waiting
			s.waiting, s.sending = nil, len(payloads) > 0
			s.mu.Unlock()
			if len(payloads) == 0 {
				return
			}
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			// One that is lost is made up for by whoever looks now and then.
			_, _ = pool.Exec(ctx, "SELECT pg_notify($1, payload) FROM unnest($2::text[]) AS payload", channel, payloads)
			cancel()
		}
	})
}

// Listen calls fn with every signal from now on, until the database is closed. On SQLite fn runs in the
// goroutine that committed; on PostgreSQL one goroutine calls all listeners, which ends with the ctx of the
// first Listen. So fn must not block. On PostgreSQL that goroutine holds a connection of its own and connects
// again when that is lost; fn is then called with an empty payload, as anything may have been missed.
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

// close ends listening, and waits for what is being sent.
func (s *signals) close() {
	s.closing.Do(func() { close(s.done) })
	s.sent.Wait()
}
