// Package job is the outbox: work that is committed with its cause and done after it, at least
// once, whatever crashes. What a job does must therefore be safe to do twice.
package job

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"studio/db"
)

const (
	// workers is how many jobs of one kind run at once in a process, unless its handler says another number.
	// Each kind has its own, so that a mail server that does not answer holds up mails alone.
	workers = 4
	// lease is how long a claimed job stays with a process that is gone. One that lives prolongs it.
	lease = 15 * time.Second
	// timeLimit is how long an attempt at a job may take.
	timeLimit = 2 * time.Minute
	// retention is how long a job that was given up is kept, for those who ask why.
	retention = 30 * 24 * time.Hour
	// patience is how long Do waits for its turn, and foregroundGrace how long a job is left to Do.
	patience        = 20 * time.Second
	foregroundGrace = 30 * time.Second
	// lanePoll is how often Do looks whether its lane is free, when nobody in this process had it.
	lanePoll = 50 * time.Millisecond
	// pollInterval is how often a process looks for jobs that nobody woke it for.
	pollInterval = time.Second
	// grace leaves a new job to the process that made it, which is woken at once. Only when that
	// one is busy or gone do others take it.
	grace = 2 * time.Second
	// strayAfter is how long an abandoned job of an unknown kind keeps its lane, at least.
	strayAfter = time.Hour
	// maxAttempts, with the backoff below, gives up after about a day. Any attempt beyond these only repeats
	// Failed: Do must not run again once Failed may have undone its work.
	maxAttempts = 18
)

// Handler does jobs whose payload is a P, as Enqueue was given it.
type Handler[P any] struct {
	// Do returns nil when the job is done, and a fault when it is over because it was refused; any
	// other error means that it is to be tried again.
	Do func(ctx context.Context, jobID string, payload P) error
	// Failed, if set, undoes what a job that is to be given up has left. It is called again, as Do is,
	// until it returns nil: only then the job is given up.
	Failed func(ctx context.Context, jobID string, payload P) error
	// NoRetry gives a job up at its first error, for work that is done now or not at all. One that was cut
	// off is still taken up again: it has kept its lane.
	NoRetry bool
	// Workers, if set, is how many run at once in a process, for jobs that mostly wait.
	Workers int
}

// Queue runs jobs of the kinds that it has handlers for. A process may have several, so that slow jobs
// do not keep others waiting.
type Queue struct {
	db        *db.DB
	permanent error
	handlers  map[string]handler
	wake      chan struct{}
	timeLimit time.Duration

	mu    sync.Mutex
	woken map[string]bool // the kinds that Wake was called for
	freed chan struct{}   // closed when a job of a lane has ended
}

// NewQueue makes a queue; Run makes it work, after all handlers are registered. A job that fails
// with the permanent error, if there is one, or maxAttempts times, is given up, and kept for a month.
func NewQueue(database *db.DB, permanent error) *Queue {
	return &Queue{
		db: database, permanent: permanent, handlers: map[string]handler{}, wake: make(chan struct{}, 1),
		woken: map[string]bool{}, freed: make(chan struct{}), timeLimit: timeLimit,
	}
}

// handler is a Handler of any payload, complete.
type handler struct {
	do, failed func(ctx context.Context, row *db.Job) error
	noRetry    bool
	workers    int
}

// Handle registers how jobs of a kind are done.
func Handle[P any](q *Queue, kind string, h Handler[P]) {
	if h.Failed == nil {
		h.Failed = func(context.Context, string, P) error { return nil }
	}
	q.handlers[kind] = handler{given(h.Do), given(h.Failed), h.NoRetry, cmp.Or(h.Workers, workers)}
}

// given decodes the payload for a handler and turns a panic into an error; a panic would crash this process,
// and then every process that retries the job.
func given[P any](work func(ctx context.Context, jobID string, payload P) error) func(ctx context.Context, row *db.Job) error {
	return func(ctx context.Context, row *db.Job) (err error) {
		defer func() {
			if reason := recover(); reason != nil {
				err = fmt.Errorf("panic: %v\n%s", reason, debug.Stack())
			}
		}()
		var payload P
		if err := json.Unmarshal([]byte(row.Payload), &payload); err != nil {
			return err
		}
		return work(ctx, row.ID, payload)
	}
}

// Option changes how a job is done.
type Option func(*db.Job)

// InLane keeps the job from running while another of the same lane runs. A job that was cut off in
// the middle keeps its lane until it has been taken up again, or, of a kind that nobody knows, for an hour or two.
func InLane(lane string) Option {
	return func(row *db.Job) { row.Lane = &lane }
}

// Foreground leaves the job to the caller, who gives its ID to Do after the commit. Should the
// process end before, it is done like any other.
func Foreground() Option {
	return func(row *db.Job) { row.RunAt = row.RunAt.Add(foregroundGrace) }
}

// Insert adds a job to a transaction and returns its ID. It runs once the transaction is committed and
// a queue looks for its kind, and never when it is not. The payload must hold no secret, as it is stored.
func Insert(ctx context.Context, tx *db.DB, kind string, payload any, options ...Option) (string, error) {
	text, err := json.Marshal(payload)
	if err != nil {
		return "", fmt.Errorf("job %s: %w", kind, err)
	}
	row := &db.Job{ID: db.NewID(db.JobPrefix), Kind: kind, Payload: string(text), RunAt: tx.Now(), CreatedAt: tx.Now()}
	for _, option := range options {
		option(row)
	}
	return row.ID, tx.InsertJob(ctx, row)
}

// Enqueue is Insert, after whose commit the queue is woken.
func (q *Queue) Enqueue(ctx context.Context, tx *db.DB, kind string, payload any, options ...Option) (string, error) {
	id, err := Insert(ctx, tx, kind, payload, options...)
	if err == nil {
		tx.AfterCommit(func() { q.Wake(kind) })
	}
	return id, err
}

// Wake makes Run look for jobs of some kinds, also for those that another process made just now.
func (q *Queue) Wake(kinds ...string) {
	q.mu.Lock()
	for _, kind := range kinds {
		q.woken[kind] = true
	}
	q.mu.Unlock()
	select {
	case q.wake <- struct{}{}:
	default: // a wake-up is waiting already
	}
}

// ErrPending says that a job is not over yet: its lane was taken for too long, or another process
// has it. It goes on in the background.
var ErrPending = errors.New("the job is not over yet")

// Do does a committed job at once and returns what came of it: nil, the fault with which it was
// refused, ErrPending, or an error after which it is tried again in the background, or given up. It
// goes on to its end also when ctx is canceled.
func (q *Queue) Do(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	for {
		q.mu.Lock()
		freed := q.freed
		q.mu.Unlock()
		row, err := q.db.ClaimJob(ctx, id, lease)
		switch {
		case row != nil:
			return q.do(ctx, row)
		case errors.Is(err, db.ErrNotFound), ctx.Err() != nil:
			return ErrPending
		case err != nil:
			return err
		}
		select {
		case <-ctx.Done():
			return ErrPending
		case <-freed:
		case <-time.After(lanePoll): // another process may have had the lane
		}
	}
}

// Sweep forgets the jobs, of whichever queue, that were given up a month ago.
func (q *Queue) Sweep(ctx context.Context) error {
	return q.db.DeleteFailedJobs(ctx, q.db.Now().Add(-retention))
}

// free wakes those who wait for their turn in a lane.
func (q *Queue) free() {
	q.mu.Lock()
	close(q.freed)
	q.freed = make(chan struct{})
	q.mu.Unlock()
	q.Wake(q.kinds()...)
}

// kinds are those that there are handlers for. Others are for newer processes, and for other queues.
func (q *Queue) kinds() []string { return slices.Collect(maps.Keys(q.handlers)) }
