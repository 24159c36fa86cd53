package db_test

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/sync/errgroup"

	"studio/db"
	"studio/db/dbtest"
)

var errOnPurpose = errors.New("on purpose")

// conflict is what PostgreSQL says when it stops a transaction that may be tried again.
var conflict = &pgconn.PgError{Code: "40001"}

func TestInTx(t *testing.T) {
	t.Parallel()
	t.Run("Outcome", func(t *testing.T) {
		on(t, func(s *store) {
			for _, test := range []struct {
				fn        func(attempt int) error
				attempts  int
				committed bool
				wantErr   error
			}{
				{func(int) error { return nil }, 1, true, nil},
				{func(int) error { return errOnPurpose }, 1, false, errOnPurpose},
				{conflicts(1), 2, true, nil},
				{conflicts(3), 4, true, nil},
				{conflicts(4), 4, false, db.ErrConflict},
			} {
				organization := s.organization("old")
				attempts, after := 0, 0
				err := s.InTx(s.Context(), func(tx *db.DB) error {
					attempts++
					tx.AfterCommit(func() {
						after++
						if got := s.nameOf(organization.ID); got != "new" {
							s.Errorf("after the commit the name is %s", got)
						}
					})
					s.ok(rename(s.Context(), tx, organization.ID, "new"))
					if after > 0 {
						s.Error("called before the commit")
					}
					return test.fn(attempts)
				})
				wantError(s.T, "InTx", err, test.wantErr)
				s.wantOutcome(organization.ID, test.committed, after)
				if attempts != test.attempts {
					s.Errorf("tried %d times, want %d", attempts, test.attempts)
				}
			}
		})
	})
	t.Run("Panic", func(t *testing.T) {
		on(t, func(s *store) {
			organization := s.organization("old")
			after := 0
			func() {
				defer func() {
					if recover() == nil {
						s.Error("the panic was swallowed")
					}
				}()
				_ = s.InTx(s.Context(), func(tx *db.DB) error {
					tx.AfterCommit(func() { after++ })
					s.ok(rename(s.Context(), tx, organization.ID, "new"))
					panic("on purpose")
				})
			}()
			s.wantOutcome(organization.ID, false, after)
		})
	})
	t.Run("Joined", func(t *testing.T) {
		on(t, func(s *store) {
			for _, outer := range []error{nil, errOnPurpose} {
				organization := s.organization("old")
				after := 0
				err := s.InTx(s.Context(), func(tx *db.DB) error {
					s.ok(tx.InTx(s.Context(), func(inner *db.DB) error {
						inner.AfterCommit(func() { after++ })
						return rename(s.Context(), inner, organization.ID, "new")
					}))
					if after > 0 {
						s.Error("the inner transaction was committed by itself")
					}
					return outer
				})
				wantError(s.T, "InTx", err, outer)
				s.wantOutcome(organization.ID, outer == nil, after)
			}
		})
	})
	t.Run("AfterCommitWithoutTransaction", func(t *testing.T) {
		on(t, func(s *store) {
			after := 0
			s.AfterCommit(func() { after++ })
			if after != 1 {
				s.Errorf("called %d times", after)
			}
		})
	})
	t.Run("Deadlock/postgres", func(t *testing.T) {
		t.Parallel()
		testDeadlock(open(t, dbtest.Postgres(t)))
	})
}

// conflicts fails that many attempts.
func conflicts(count int) func(attempt int) error {
	return func(attempt int) error {
		if attempt <= count {
			return fmt.Errorf("deep inside: %w", conflict) // as callers wrap what they get
		}
		return nil
	}
}

// wantOutcome checks what a transaction left that renamed "old" to "new".
func (s *store) wantOutcome(organizationID string, committed bool, after int) {
	s.Helper()
	wantName, wantAfter := "old", 0
	if committed {
		wantName, wantAfter = "new", 1
	}
	if got := s.nameOf(organizationID); got != wantName || after != wantAfter {
		s.Errorf("the name is %s, want %s; called %d times after the commit, want %d", got, wantName, after, wantAfter)
	}
}

// testDeadlock lets two transactions lock the same two rows in opposite order; on SQLite the second
// would not even begin.
func testDeadlock(s *store) {
	first, second := s.organization("old"), s.organization("old")
	var bothHold sync.WaitGroup
	bothHold.Add(2)
	var attempts, after atomic.Int32
	committed := make(chan struct{})
	both, ctx := errgroup.WithContext(s.Context())
	for _, locks := range [][]string{{first.ID, second.ID}, {second.ID, first.ID}} {
		tried := false
		both.Go(func() error {
			return s.InTx(ctx, func(tx *db.DB) error {
				attempts.Add(1)
				if tried {
					<-committed // or the two could meet again
				}
				tx.AfterCommit(func() {
					if after.Add(1) == 1 {
						close(committed)
					}
				})
				if err := rename(ctx, tx, locks[0], "new"); err != nil {
					return err
				}
				if !tried {
					tried = true
					bothHold.Done()
					bothHold.Wait()
				}
				return rename(ctx, tx, locks[1], "new")
			})
		})
	}
	s.ok(both.Wait())
	if attempts.Load() != 3 || after.Load() != 2 {
		s.Errorf("%d attempts and %d calls after commits, want 3 and 2", attempts.Load(), after.Load())
	}
}

// ear listens to signals.
type ear struct {
	*testing.T
	heard chan string
}

func (s *store) listen() *ear {
	e := &ear{s.T, make(chan string, 100)}
	s.Listen(s.Context(), func(payload string) { e.heard <- payload })
	return e
}

// next waits for a signal.
func (e *ear) next() string {
	e.Helper()
	select {
	case payload := <-e.heard:
		return payload
	case <-time.After(time.Minute):
		e.Fatal("no signal came")
		return ""
	}
}

// want checks which signals come next, in this order and with none between.
func (e *ear) want(payloads ...string) {
	e.Helper()
	for _, payload := range payloads {
		if got := e.next(); got != payload {
			e.Fatalf("got the signal %q, want %q", got, payload)
		}
	}
}

func TestSignal(t *testing.T) {
	t.Parallel()
	t.Run("Outcome/sqlite", func(t *testing.T) {
		t.Parallel()
		s := open(t, dbtest.SQLite(t))
		testSignals(s, s.listen(), s.listen())
	})
	t.Run("Outcome/postgres", func(t *testing.T) {
		t.Parallel()
		address := dbtest.Postgres(t)
		s, other := open(t, address), open(t, address)
		here, there := s.listen(), other.listen()
		here.want("") // they are connected
		there.want("")
		testSignals(s, here, there)
	})
	t.Run("ConnectionLost/postgres", func(t *testing.T) {
		t.Parallel()
		s := open(t, dbtest.Postgres(t))
		heard := s.listen()
		heard.want("")
		s.ok(s.exec("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN %'"))
		heard.want("")
		s.Signal("again")
		heard.want("again")
	})
}

// testSignals sends signals that must not come before others that must: what comes out of order
// is found without waiting for nothing to happen.
func testSignals(s *store, ears ...*ear) {
	s.Helper()
	signal := func(payload string, fails error) {
		err := s.InTx(s.Context(), func(tx *db.DB) error {
			tx.Signal(payload)
			s.Signal("before " + payload) // by itself, while the other is not committed
			return fails
		})
		if !errors.Is(err, fails) {
			s.Fatal(err)
		}
	}
	signal("committed", nil)
	signal("rolled back", errOnPurpose)
	signal("end", nil)
	for _, ear := range ears {
		ear.want("before committed", "committed", "before rolled back", "before end", "end")
	}
}

// TestConcurrentWriters lets many write at once into a file that takes one writer at a time.
func TestConcurrentWriters(t *testing.T) {
	t.Parallel()
	s := open(t, dbtest.SQLite(t))
	organization := s.organization("Example")
	writers, ctx := errgroup.WithContext(t.Context())
	for range 16 {
		writers.Go(func() error {
			for range 50 {
				err := s.InTx(ctx, func(tx *db.DB) error {
					if _, err := tx.LockOrganization(ctx, organization.ID); err != nil { // reads before it writes
						return err
					}
					return log(ctx, tx, organization.ID)
				})
				if err != nil {
					return err
				}
			}
			return nil
		})
	}
	s.ok(writers.Wait())
	heads, err := s.EventHeads(t.Context(), []string{organization.ID})
	s.ok(err)
	if got := heads[organization.ID]; got != 16*50 {
		t.Errorf("%d transactions left something, want all of %d", got, 16*50)
	}
}
