package job

// Running: which jobs a process takes up, and what comes of each.

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"studio/db"
	"studio/fault"
	"studio/text"
)

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
					_ = q.do(ctx, row) // it stores its outcome itself
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

// claim finishes also when the server begins to stop meanwhile: what the database has given away, nobody
// else takes up before its lease is over.
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

// do runs a job to its end, also when the server stops meanwhile, and returns what came of it. If the lease
// was lost and another process took the job over, ErrPending stands in for a refusal or a failure.
func (q *Queue) do(ctx context.Context, row *db.Job) error {
	ctx = context.WithoutCancel(ctx)
	log := zerolog.Ctx(ctx).With().Str("job", row.ID).Str("kind", row.Kind).Int("attempt", row.Attempts).Logger()
	err := q.attempt(ctx, row)
	// What came of it is stored also when the time was over.
	ctx, cancel := context.WithTimeout(ctx, lease)
	defer cancel()
	if row.Lane != nil {
		defer q.free()
	}
	if _, refused := errors.AsType[*fault.Error](err); err == nil || refused {
		return q.finish(ctx, &log, row, err)
	}
	return q.fail(ctx, &log, row, err)
}

// attempt does a job within its time; errSpent when no attempt is left.
func (q *Queue) attempt(ctx context.Context, row *db.Job) error {
	handler := q.handlers[row.Kind]
	if row.Attempts > maxAttempts || handler.noRetry && row.LastError != nil {
		return errSpent
	}
	ctx, cancel := context.WithTimeout(ctx, q.timeLimit)
	defer cancel()
	defer q.keepLease(ctx, row)()
	return handler.do(ctx, row)
}

// finish removes a job that is over, with the refusal or nil.
func (q *Queue) finish(ctx context.Context, log *zerolog.Logger, row *db.Job, refusal error) error {
	switch err := q.db.DeleteJob(ctx, row); {
	case errors.Is(err, db.ErrNotFound) && refusal != nil:
		return ErrPending
	case err != nil && !errors.Is(err, db.ErrNotFound):
		log.Error().Err(err).Msg("a job is done but cannot be removed; it will run again")
	}
	if refusal != nil {
		log.Info().Err(refusal).Msg("a job was refused")
	}
	return refusal
}

// fail stores how a job failed, and when it is tried again, or gives it up.
func (q *Queue) fail(ctx context.Context, log *zerolog.Logger, row *db.Job, failure error) error {
	log.Warn().Err(failure).Msg("a job failed")
	if !errors.Is(failure, errSpent) {
		said := text.Storable(failure.Error()) // maybe by a server elsewhere
		row.LastError = &said
	}
	row.RunAt = q.db.Now().Add(backoff(row.Attempts))
	row.LeasedUntil = nil
	handler := q.handlers[row.Kind]
	if handler.noRetry || errors.Is(failure, q.permanent) || row.Attempts >= maxAttempts {
		if err := handler.failed(ctx, row); err != nil {
			log.Error().Err(err).Msg("a job cannot be given up; that is tried again")
		} else {
			now := q.db.Now()
			row.FailedAt = &now
		}
	}
	switch err := q.db.UpdateJob(ctx, row); {
	case errors.Is(err, db.ErrNotFound):
		return ErrPending
	case err != nil:
		log.Error().Err(err).Msg("cannot store how a job failed; it runs again after its lease")
	}
	return failure
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
