package db_test

// Reads of several requests, which share round trips once no connection is free.

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"studio/db"
	"studio/db/dbtest"
)

// busy opens a database on which no connection is free for reads. What start starts is about to wait for one
// when start returns. Later freeOne frees a connection, and free the others; it waits until all reads have
// ended.
func busy(t *testing.T) (s *store, start func(ctx context.Context, read func(ctx context.Context)), freeOne, free func()) {
	t.Helper()
	s = open(t, dbtest.Postgres(t))
	var reads sync.WaitGroup
	blocked, freed := make(chan bool), make(chan bool)
	for range db.ReadConnections() {
		reads.Go(func() {
			_, err := s.echo(t.Context(), "'block'", func(string) { blocked <- true; <-freed })
			if err != nil {
				t.Error(err)
			}
		})
		<-blocked
	}
	start = func(ctx context.Context, read func(ctx context.Context)) {
		waits := make(chan bool, 1)
		reads.Go(func() { read(waiting{ctx, waits}) })
		<-waits
	}
	return s, start, func() { freed <- true }, func() { close(freed); reads.Wait() }
}

// waiting is a context that tells when somebody begins to wait for its end.
type waiting struct {
	context.Context //nolint:containedctx // it is one

	waits chan bool
}

func (w waiting) Done() <-chan struct{} {
	select {
	case w.waits <- true:
	default:
	}
	return w.Context.Done()
}

// echo reads an expression, and when the transaction began in which it was read.
func (s *store) echo(ctx context.Context, expression string, see func(text string)) (batch time.Time, err error) {
	err = s.ReadTogether(ctx, []db.Read{
		{SQL: "SELECT now()", Row: func(row db.Row) { batch = row.Time(0) }},
		{SQL: "SELECT " + expression, Row: func(row db.Row) { see(row.Text(0)) }},
	})
	return batch, err
}

func TestBatches(t *testing.T) {
	t.Parallel()
	t.Run("Together", func(t *testing.T) {
		t.Parallel()
		s, start, _, free := busy(t)
		requests := 16 * db.ReadConnections()
		seen, batches := make([]string, requests), make([]time.Time, requests)
		for i := range requests {
			start(t.Context(), func(ctx context.Context) {
				var err error
				if batches[i], err = s.echo(ctx, fmt.Sprintf("'%d'", i), func(text string) { seen[i] = text }); err != nil {
					t.Error(err)
				}
			})
		}
		free()
		different := map[time.Time]bool{}
		for i := range requests {
			if seen[i] != fmt.Sprint(i) {
				t.Errorf("request %d read %q", i, seen[i])
			}
			different[batches[i]] = true
		}
		// Sixteen share one at the most, and fewer when connections become free at the same moment.
		if most := 2 * db.ReadConnections(); len(different) > most {
			t.Errorf("%d requests took %d round trips, want %d at the most", requests, len(different), most)
		}
	})
	t.Run("Canceled", func(t *testing.T) {
		t.Parallel()
		s, start, _, free := busy(t)
		ending, cancel := context.WithCancel(t.Context())
		gone := make(chan error)
		start(ending, func(ctx context.Context) {
			_, err := s.echo(ctx, "'gone'", func(string) { t.Error("was read for nobody") })
			gone <- err
		})
		var stayed string
		start(t.Context(), func(ctx context.Context) {
			if _, err := s.echo(ctx, "'stayed'", func(text string) { stayed = text }); err != nil {
				t.Error(err)
			}
		})
		cancel()
		wantError(t, "a request that ended while it waited", <-gone, context.Canceled)
		free()
		if stayed != "stayed" {
			t.Errorf("who waited behind it read %q", stayed)
		}
	})
	t.Run("LeaderCanceled", func(t *testing.T) {
		t.Parallel()
		s, start, freeOne, free := busy(t)
		ending, cancel := context.WithCancel(t.Context())
		// Both read more than is under way at a time, so the second is not there yet when the first ends.
		start(ending, func(ctx context.Context) { _, _ = s.echo(ctx, "repeat('1', 1000000)", func(string) { cancel() }) })
		read, done := 0, make(chan bool)
		start(t.Context(), func(ctx context.Context) {
			defer close(done)
			if _, err := s.echo(ctx, "repeat('2', 10000000)", func(text string) { read = len(text) }); err != nil {
				t.Error(err)
			}
		})
		freeOne()
		<-done
		free()
		if read != 10_000_000 {
			t.Errorf("who was sent with a request that ended read %d bytes", read)
		}
	})
	for name, test := range map[string]struct {
		expression, want string
		alone            bool // whether those behind it read all the same, also in the same batch
	}{
		"Refused": {"1 / 0 || ''", "division by zero", false},
		"Panic":   {"'panic'", "of its row", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, start, _, free := busy(t)
			errs := make([]error, 3)
			for i, expression := range []string{"'before'", test.expression, "'after'"} {
				start(t.Context(), func(ctx context.Context) {
					_, errs[i] = s.echo(ctx, expression, func(text string) {
						if text == "panic" {
							panic("of its row")
						}
					})
				})
			}
			free()
			if errs[0] != nil || errs[1] == nil || !strings.Contains(errs[1].Error(), test.want) || test.alone && errs[2] != nil {
				t.Errorf("got the errors %v", errs)
			}
			for range 2 * db.ReadConnections() { // no connection was lost by it
				if _, err := s.echo(t.Context(), "'next'", func(string) {}); err != nil {
					t.Errorf("the next request: %v", err)
				}
			}
		})
	}
}
