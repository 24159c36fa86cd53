package db

// Batches: how reads get to PostgreSQL and back. On a busy server those of several requests share a round
// trip, which costs more than most of the statements do.

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
	// maxBatch is how many requests share a round trip at the most.
	maxBatch = 16
	// batchTime is how long it may take.
	batchTime = 10 * time.Second
)

// readConnections is how many connections reads use. With more, a busy server would make more round trips
// and answer fewer requests: its processors are what they wait for.
var readConnections = runtime.GOMAXPROCS(0) + 1

// batches are sent over few connections. A request that finds one free is sent at once. The others wait,
// and the first of them that gets one leads: it sends what all of them read. So nobody waits for company,
// and the busier the server is, the fewer round trips there are for as many requests.
type batches struct {
	pool *pgxpool.Pool

	mu      sync.Mutex
	free    int // connections
	waiting []*request
}

// newBatches connects when something is read.
func newBatches(address string) (*batches, error) {
	config, err := pgxpool.ParseConfig(address)
	if err != nil {
		return nil, err
	}
	config.MaxConns = int32(readConnections) + 1 // for signals
	maps.Copy(config.ConnConfig.RuntimeParams, planning)
	pool, err := pgxpool.NewWithConfig(context.Background(), config)
	return &batches{pool: pool, free: readConnections}, err
}

// request is what one request reads in one round trip.
type request struct {
	reads []Read
	err   error
	// leads is sent to once: true when a connection is free, and false when another request has led and
	// this one is done.
	leads chan bool
}

// read sends reads, and hands out their rows in order, maybe in the goroutine of another request. After
// an error, rows may still be handed out.
func (b *batches) read(ctx context.Context, reads []Read) error {
	own := &request{reads: reads, leads: make(chan bool, 1)}
	if !b.begin(own) {
		var leads bool
		select {
		case leads = <-own.leads:
		case <-ctx.Done():
			if b.leave(own) {
				return ctx.Err()
			}
			leads = <-own.leads // which comes soon, as it is being read, or its turn
		}
		if !leads {
			return own.err
		}
	}
	batch := b.gather(own)
	b.send(ctx, batch)
	b.release()
	for _, other := range batch[1:] {
		other.leads <- false
	}
	return own.err
}

// begin takes a free connection; false when the request waits for one.
func (b *batches) begin(own *request) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.free > 0 {
		b.free--
		return true
	}
	b.waiting = append(b.waiting, own)
	return false
}

// leave lets a request wait no longer; false when it does not any more.
func (b *batches) leave(own *request) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	i := slices.Index(b.waiting, own)
	if i >= 0 {
		b.waiting = slices.Delete(b.waiting, i, i+1)
	}
	return i >= 0
}

// gather makes a batch of a request and of those that wait.
func (b *batches) gather(leader *request) []*request {
	b.mu.Lock()
	defer b.mu.Unlock()
	others := b.waiting[:min(len(b.waiting), maxBatch-1)]
	batch := append([]*request{leader}, others...)
	b.waiting = slices.Delete(b.waiting, 0, len(others))
	return batch
}

// release gives the connection to the first request that waits.
func (b *batches) release() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.waiting) == 0 {
		b.free++
		return
	}
	b.waiting[0].leads <- true
	b.waiting = slices.Delete(b.waiting, 0, 1)
}

// send reads all that a batch does. When a statement fails, so do those behind it.
func (b *batches) send(ctx context.Context, batch []*request) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), batchTime) // for the others, it goes on
	defer cancel()
	var statements pgx.Batch
	for _, one := range batch {
		for _, read := range one.reads {
			statements.Queue(read.SQL, read.Arguments...)
		}
	}
	results := b.pool.SendBatch(ctx, &statements)
	for _, one := range batch {
		one.err = one.receive(results)
	}
	_ = results.Close() // whose rows have all come is not concerned
}

// receive hands out the rows. A panic is an error of the request whose rows they are.
func (r *request) receive(results pgx.BatchResults) (err error) {
	defer func() {
		if reason := recover(); reason != nil {
			err = fmt.Errorf("panic: %v\n%s", reason, debug.Stack())
		}
	}()
	for _, read := range r.reads {
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
