package db

// Trips: how reads get to PostgreSQL and back. On a busy server those of several requests travel together,
// as the way costs more than most of them do there.

import (
	"context"
	"fmt"
	"maps"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	// tripLength is how many requests' reads travel together at the most.
	tripLength = 16
	// tripTime is how long they may take together.
	tripTime = 10 * time.Second
)

// ways is how many connections reads use. With more, they would rather wait for a processor than for
// company.
var ways = runtime.GOMAXPROCS(0) + 1

// trips are the connections of reads. Whoever finds one free goes at once; the others wait, and the first
// of them that gets one takes all with it. So nobody waits for company, and the busier the server is, the
// fewer trips there are for as many requests.
type trips struct {
	pool *pgxpool.Pool

	mu      sync.Mutex
	free    int // connections
	waiting []*traveller
}

// newTrips connects when somebody travels.
func newTrips(address string) (*trips, error) {
	config, err := pgxpool.ParseConfig(address)
	if err != nil {
		return nil, err
	}
	config.MaxConns = int32(ways) + 1 // for signals
	maps.Copy(config.ConnConfig.RuntimeParams, planning)
	pool, err := pgxpool.NewWithConfig(context.Background(), config)
	return &trips{pool: pool, free: ways}, err
}

// traveller is one request's reads.
type traveller struct {
	reads []Read
	err   error
	// lead is sent to once: true when a connection is free, and false when the reads are done, as those
	// of others were sent with them.
	lead chan bool
}

// read sends reads, and hands out their rows in order, maybe in the goroutine of another request. After
// an error, rows may still be handed out.
func (t *trips) read(ctx context.Context, reads []Read) error {
	own := &traveller{reads: reads, lead: make(chan bool, 1)}
	if t.waits(own) {
		var lead bool
		select {
		case lead = <-own.lead:
		case <-ctx.Done():
			if t.leave(own) {
				return ctx.Err()
			}
			lead = <-own.lead // which comes soon, as it is on its way
		}
		if !lead {
			return own.err
		}
	}
	company := t.company(own)
	t.travel(ctx, company)
	t.next()
	for _, other := range company[1:] {
		other.lead <- false
	}
	return own.err
}

// waits takes a free connection, or a place among those who wait.
func (t *trips) waits(own *traveller) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.free > 0 {
		t.free--
		return false
	}
	t.waiting = append(t.waiting, own)
	return true
}

// leave gives up a place among those who wait; false when it is too late.
func (t *trips) leave(own *traveller) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	i := slices.Index(t.waiting, own)
	if i >= 0 {
		t.waiting = slices.Delete(t.waiting, i, i+1)
	}
	return i >= 0
}

// company is who travels along.
func (t *trips) company(leader *traveller) []*traveller {
	t.mu.Lock()
	defer t.mu.Unlock()
	others := t.waiting[:min(len(t.waiting), tripLength-1)]
	company := append([]*traveller{leader}, others...)
	t.waiting = slices.Delete(t.waiting, 0, len(others))
	return company
}

// next gives the connection to the first who waits.
func (t *trips) next() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.waiting) == 0 {
		t.free++
		return
	}
	t.waiting[0].lead <- true
	t.waiting = slices.Delete(t.waiting, 0, 1)
}

// travel sends all that the company reads. What cannot be read keeps those who come after it from reading.
func (t *trips) travel(ctx context.Context, company []*traveller) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tripTime) // it goes on for the others
	defer cancel()
	var batch pgx.Batch
	for _, one := range company {
		for _, read := range one.reads {
			batch.Queue(read.SQL, read.Arguments...)
		}
	}
	results := t.pool.SendBatch(ctx, &batch)
	for _, one := range company {
		one.err = one.receive(results)
	}
	_ = results.Close() // whose rows have all come is not concerned
}

// receive hands out the rows. A panic is an error of the request whose rows they are.
func (t *traveller) receive(results pgx.BatchResults) (err error) {
	defer func() {
		if reason := recover(); reason != nil {
			err = fmt.Errorf("panic: %v\n%s", reason, debug.Stack())
		}
	}()
	for _, read := range t.reads {
		rows, err := results.Query()
		if err != nil {
			return err
		}
		for rows.Next() {
			read.Row(Row{rows.RawValues(), rows.FieldDescriptions()})
		}
		if err := rows.Err(); err != nil {
			return err
		}
	}
	return nil
}
