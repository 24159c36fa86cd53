package db

// Batches: how reads get to PostgreSQL and back. On a busy server those of several requests share a round
// trip, which costs more than most of the statements do.

import (
	"context"
	"fmt"
	"maps"
	"runtime"
	"runtime/debug"
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

// batches are sent over few connections. A request that finds one free is sent at once. The others wait
// until they get one, or until another request that did takes them along. So nobody waits for company, and
// the busier the server is, the fewer round trips there are for as many requests.
type batches struct {
	pool *pgxpool.Pool
	// busy holds a token for each connection in use, and waiting are requests that find no room in it.
	busy    chan struct{}
	waiting chan *request
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
	return &batches{pool, make(chan struct{}, readConnections), make(chan *request)}, err
}

// request is what one request reads in one round trip. It is done when others took it along.
type request struct {
	reads []Read
	err   error
	done  chan struct{}
}

// read is ReadTogether.
func (b *batches) read(ctx context.Context, reads []Read) error {
	own := &request{reads: reads, done: make(chan struct{})}
	select {
	case b.busy <- struct{}{}:
	case b.waiting <- own:
		<-own.done
		return own.err
	case <-ctx.Done():
		return ctx.Err()
	}
	batch := b.gather(own)
	b.send(ctx, batch)
	<-b.busy
	for _, other := range batch[1:] {
		close(other.done)
	}
	return own.err
}

// gather makes a batch of a request and of those that wait just now.
func (b *batches) gather(first *request) []*request {
	batch := []*request{first}
	for len(batch) < maxBatch {
		select {
		case other := <-b.waiting:
			batch = append(batch, other)
		default:
			return batch
		}
	}
	return batch
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
	_ = results.Close() // a failure here cannot concern a request whose rows have all come
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
