// Package job is the outbox: work that is committed with its cause and done after it, at least
// once, whatever crashes. What a job does must therefore be safe to do twice.
package job

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"studio/db"
)

const (
	// workers is how many jobs run at once in a process.
	workers = 4
	// lease is how long a claimed job stays with its process; each job must be done by then.
	lease = 2 * time.Minute
	// pollInterval is how often a process looks for jobs that nobody woke it for.
	pollInterval = time.Second
	// grace leaves a new job to the process that made it, which is woken at once. Only when that
	// one is busy or gone do others take it.
	grace = 2 * time.Second
	// maxAttempts, with the backoff below, gives up after about a day.
	maxAttempts = 18
)

// Handler does a job. The payload is what Enqueue was given, as JSON.
type Handler struct {
	Do func(ctx context.Context, jobID string, payload []byte) error
	// Failed, if set, is called when the job is given up.
	Failed func(ctx context.Context, jobID string, payload []byte) error
}

// Queue runs jobs.
type Queue struct {
	db        *db.DB
	permanent error
	handlers  map[string]Handler
	wake      chan struct{}
}

// NewQueue makes a queue; Run makes it work, after all handlers are registered. A job that fails
// with the permanent error, or maxAttempts times, is given up and kept.
func NewQueue(database *db.DB, permanent error) *Queue {
	return &Queue{db: database, permanent: permanent, handlers: map[string]Handler{}, wake: make(chan struct{}, 1)}
}

// Handle registers how jobs of a kind are done.
func (q *Queue) Handle(kind string, handler Handler) { q.handlers[kind] = handler }

// Enqueue adds a job to a transaction and returns its ID. It runs once the transaction is
// committed, and never when it is not. The payload must hold no secret, as it is stored.
func (q *Queue) Enqueue(ctx context.Context, tx *db.DB, kind string, payload any) (string, error) {
	text, err := json.Marshal(payload)
	if err != nil {
		return "", fmt.Errorf("job %s: %w", kind, err)
	}
	row := &db.Job{ID: db.NewID(db.JobPrefix), Kind: kind, Payload: string(text), RunAt: tx.Now(), CreatedAt: tx.Now()}
	if err := tx.InsertJob(ctx, row); err != nil {
		return "", err
	}
	tx.AfterCommit(func() {
		select {
		case q.wake <- struct{}{}:
		default: // a wake-up is waiting already
		}
	})
	return row.ID, nil
}

// Run does jobs until ctx is done, and returns when those under way have ended.
func (q *Queue) Run(ctx context.Context) {
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	slots := make(chan struct{}, workers)
	var running sync.WaitGroup
	defer running.Wait()
	for {
		overdue := grace
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-q.wake:
			overdue = 0
		}
		for {
			free := workers - len(slots)
			if free == 0 {
				slots <- struct{}{} // wait for one to end
				<-slots
				continue
			}
			jobs, err := q.db.ClaimJobs(ctx, q.db.Now().Add(-overdue), lease, free)
			if err != nil && ctx.Err() == nil {
				zerolog.Ctx(ctx).Error().Err(err).Msg("cannot look for jobs")
			}
			for _, row := range jobs {
				slots <- struct{}{}
				running.Go(func() {
					q.do(ctx, row)
					<-slots
				})
			}
			if len(jobs) < free {
				break
			}
		}
	}
}

// do runs a job to its end also when the server stops meanwhile, within the lease.
func (q *Queue) do(ctx context.Context, row *db.Job) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lease)
	defer cancel()
	log := zerolog.Ctx(ctx).With().Str("job", row.ID).Str("kind", row.Kind).Int("attempt", row.Attempts).Logger()
	handler, known := q.handlers[row.Kind]
	err := errors.New("no handler; a newer process will know it")
	if known {
		err = guarded(func() error { return handler.Do(ctx, row.ID, []byte(row.Payload)) })
	}
	if err == nil {
		if err := q.db.DeleteJob(ctx, row.ID); err != nil {
			log.Error().Err(err).Msg("a job is done but cannot be removed; it will run again")
		}
		return
	}
	log.Warn().Err(err).Msg("a job failed")
	text := err.Error()
	row.LastError = &text
	row.RunAt = q.db.Now().Add(backoff(row.Attempts))
	if errors.Is(err, q.permanent) || row.Attempts >= maxAttempts {
		now := q.db.Now()
		row.FailedAt = &now
		if handler.Failed != nil {
			if err := guarded(func() error { return handler.Failed(ctx, row.ID, []byte(row.Payload)) }); err != nil {
				log.Error().Err(err).Msg("cannot note that a job is given up")
			}
		}
	}
	if err := q.db.UpdateJob(ctx, row); err != nil {
		log.Error().Err(err).Msg("cannot store how a job failed; it runs again after its lease")
	}
}

// guarded turns a panic, which would end the process and every process that tries the job after it,
// into an error.
func guarded(work func() error) (err error) {
	defer func() {
		if reason := recover(); reason != nil {
			err = fmt.Errorf("panic: %v\n%s", reason, debug.Stack())
		}
	}()
	return work()
}

// backoff is the wait after an attempt: 2 s, then twice as long each time up to four hours, and up
// to a fifth more, so that jobs that failed together do not come back together.
func backoff(attempts int) time.Duration {
	wait := min(time.Second<<min(attempts, 20), 4*time.Hour)
	return wait + rand.N(wait/5)
}
