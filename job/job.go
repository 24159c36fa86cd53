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
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"studio/db"
	"studio/fault"
)

const (
	// workers is how many jobs of one kind run at once in a process, unless its handler says another number.
	// Each kind has its own, so that a mail server that does not answer holds up mails alone.
	workers = 4
	// lease is how long a claimed job stays with a process that is gone. One that lives prolongs it.
	lease = 15 * time.Second
	// timeLimit is how long an attempt at a job may take.
	timeLimit = 2 * time.Minute
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
	// strayAfter is for how long at least nobody has taken up a job of an unknown kind that loses its lane.
	strayAfter = time.Hour
	// maxAttempts, with the backoff below, gives up after about a day. Attempts after these, when giving
	// up has failed, are nothing but giving up: what was undone must not be done again.
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
	// NoRetry gives a job up at its first error, as what is done now or not at all. One that was cut off is
	// still taken up again: it has kept its lane.
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
// with the permanent error, if there is one, or maxAttempts times, is given up and kept.
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

// given has a function be given its job's payload, and turns a panic, which would end the process and
// every process that tries the job after it, into an error.
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
// goes on to its end also when ctx is cancelled.
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

// free tells those who wait for their turn in a lane.
func (q *Queue) free() {
	q.mu.Lock()
	close(q.freed)
	q.freed = make(chan struct{})
	q.mu.Unlock()
	q.Wake(q.kinds()...)
}

// kinds are those that there are handlers for. Others are for newer processes, and for other queues.
func (q *Queue) kinds() []string { return slices.Collect(maps.Keys(q.handlers)) }

// Run does jobs until ctx is done, and returns when those under way have ended.
func (q *Queue) Run(ctx context.Context) {
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	kinds := q.kinds()
	all := 0
	for _, kind := range kinds {
		all += q.handlers[kind].workers
	}
	busy, ended := map[string]int{}, make(chan string, all)
	var running sync.WaitGroup
	defer running.Wait()
	// look starts what is due of some kinds, and returns those of which nothing is left.
	look := func(kinds []string, overdue time.Duration) (done []string) {
		for ctx.Err() == nil {
			open, free := q.room(kinds, busy)
			if len(open) == 0 {
				return nil
			}
			jobs, err := q.claim(ctx, open, q.db.Now().Add(-overdue), free)
			if err != nil {
				zerolog.Ctx(ctx).Error().Err(err).Msg("cannot look for jobs")
				return nil
			}
			for _, row := range jobs {
				busy[row.Kind]++
				running.Go(func() {
					_ = q.do(ctx, row) // which stores how it went
					ended <- row.Kind
				})
			}
			if len(jobs) < free {
				return open
			}
		}
		return nil
	}
	released := q.db.Now()
	waiting := map[string]bool{} // kinds of which there may be jobs that this process was woken for
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			look(kinds, grace)
			if now := q.db.Now(); now.Sub(released) >= strayAfter {
				q.releaseLanes(ctx, released)
				released = now
			}
		case <-q.wake:
			q.mu.Lock()
			for _, kind := range kinds {
				if q.woken[kind] {
					waiting[kind] = true
				}
			}
			clear(q.woken)
			q.mu.Unlock()
		case kind := <-ended:
			busy[kind]--
			for len(ended) > 0 { // all that ended during the last look, so that as many are claimed at once
				busy[<-ended]--
			}
		}
		for _, kind := range look(slices.Collect(maps.Keys(waiting)), 0) {
			delete(waiting, kind)
		}
	}
}

// claim claims jobs also when the server is told to stop meanwhile: what the database has given away,
// nobody else takes up before its lease is over.
func (q *Queue) claim(ctx context.Context, kinds []string, due time.Time, limit int) ([]*db.Job, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lease)
	defer cancel()
	return q.db.ClaimJobs(ctx, kinds, q.kinds(), due, lease, limit)
}

// releaseLanes lets the lanes go on in which a job of an unknown kind, as of a newer version, was cut off
// before the given time.
func (q *Queue) releaseLanes(ctx context.Context, before time.Time) {
	switch ids, err := q.db.ReleaseLanes(ctx, q.kinds(), before); {
	case err != nil:
		zerolog.Ctx(ctx).Error().Err(err).Msg("cannot look for lanes that nobody frees")
	case len(ids) > 0:
		zerolog.Ctx(ctx).Error().Strs("jobs", ids).Msg("nobody takes up these jobs, which were cut off; their lanes go on without them")
	}
}

// room lists the kinds of which more jobs can run, and how many of any of them.
func (q *Queue) room(kinds []string, busy map[string]int) (open []string, free int) {
	for _, kind := range kinds {
		if left := q.handlers[kind].workers - busy[kind]; left > 0 {
			if len(open) == 0 || left < free {
				free = left
			}
			open = append(open, kind)
		}
	}
	return open, free
}

// errSpent is what comes of a job of which no attempt is left, so that it is only to be given up.
var errSpent = errors.New("all attempts at the job failed")

// do runs a job to its end, also when the server stops meanwhile, and returns what came of it. When
// the lease was lost on the way and somebody else has taken the job up, that is what they know.
func (q *Queue) do(ctx context.Context, row *db.Job) error {
	working, cancel := context.WithTimeout(context.WithoutCancel(ctx), q.timeLimit)
	defer cancel()
	log := zerolog.Ctx(ctx).With().Str("job", row.ID).Str("kind", row.Kind).Int("attempt", row.Attempts).Logger()
	handler := q.handlers[row.Kind]
	err := errSpent
	if row.Attempts <= maxAttempts {
		stop := q.keepLease(working, row)
		err = handler.do(working, row)
		stop()
	}
	// What came of it is stored also when the time was over.
	ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), lease)
	defer cancel()
	if row.Lane != nil {
		defer q.free()
	}
	if _, refused := errors.AsType[*fault.Error](err); err == nil || refused {
		switch deleteErr := q.db.DeleteJob(ctx, row); {
		case errors.Is(deleteErr, db.ErrNotFound) && refused:
			return ErrPending
		case deleteErr != nil && !errors.Is(deleteErr, db.ErrNotFound):
			log.Error().Err(deleteErr).Msg("a job is done but cannot be removed; it will run again")
		}
		if refused {
			log.Info().Err(err).Msg("a job was refused")
		}
		return err
	}
	log.Warn().Err(err).Msg("a job failed")
	if !errors.Is(err, errSpent) {
		text := err.Error()
		row.LastError = &text
	}
	row.RunAt = q.db.Now().Add(backoff(row.Attempts))
	row.LeasedUntil = nil
	if handler.noRetry || errors.Is(err, q.permanent) || row.Attempts >= maxAttempts {
		if failedErr := handler.failed(ctx, row); failedErr != nil {
			log.Error().Err(failedErr).Msg("a job cannot be given up; that is tried again")
		} else {
			now := q.db.Now()
			row.FailedAt = &now
		}
	}
	switch updateErr := q.db.UpdateJob(ctx, row); {
	case errors.Is(updateErr, db.ErrNotFound):
		return ErrPending
	case updateErr != nil:
		log.Error().Err(updateErr).Msg("cannot store how a job failed; it runs again after its lease")
	}
	return err
}

// keepLease prolongs a job's lease until it is stopped.
func (q *Queue) keepLease(ctx context.Context, row *db.Job) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() {
		ticker := time.NewTicker(lease / 3)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				if err := q.db.ProlongLease(ctx, row, lease); err != nil && ctx.Err() == nil {
					zerolog.Ctx(ctx).Warn().Err(err).Str("job", row.ID).Msg("cannot prolong the lease of a job")
				}
			}
		}
	})
	return func() {
		cancel()
		running.Wait()
	}
}

// backoff is the wait after an attempt: 2 s, then twice as long each time up to four hours, and up
// to a fifth more, so that jobs that failed together do not come back together.
func backoff(attempts int) time.Duration {
	wait := min(time.Second<<min(attempts, 20), 4*time.Hour)
	return wait + rand.N(wait/5)
}
