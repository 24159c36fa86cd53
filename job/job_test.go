package job_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"studio/db"
	"studio/db/dbtest"
	"studio/fault"
	"studio/job"
)

var (
	errPermanent = errors.New("it will never work")
	errOnPurpose = errors.New("on purpose")
	noon         = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
)

// process has a queue that does jobs of the kind "work", and a clock that stands still until the test moves it.
type process struct {
	*testing.T
	*dbtest.Clock
	db    *db.DB
	queue *job.Queue
}

type opener = func(...db.Option) *db.DB

func newProcess[P any](t *testing.T, clock *dbtest.Clock, open opener, work job.Handler[P]) *process {
	t.Helper()
	p := &process{T: t, Clock: clock, db: open(db.WithClock(clock.Now))}
	p.queue = job.NewQueue(p.db, errPermanent)
	job.Handle(p.queue, "work", work)
	return p
}

// on runs a test on every engine, with a process whose queue does not run yet.
func on(t *testing.T, test func(p *process, open opener)) {
	t.Helper()
	dbtest.Each(t, func(t *testing.T, open func(...db.Option) *db.DB) {
		test(newProcess(t, &dbtest.Clock{Start: noon}, open, job.Handler[any]{}), open)
	})
}

// run starts the queue and returns how to stop it, which also happens when the test ends.
func (p *process) run() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { p.queue.Run(ctx) })
	stop = func() {
		cancel()
		running.Wait()
	}
	p.Cleanup(stop)
	return stop
}

// turn runs the queue until all that is due has been done. What is due is claimed before or
// together with a job that is due last.
func (p *process) turn() {
	p.Helper()
	last := make(chan string, 1)
	job.Handle(p.queue, "last", job.Handler[any]{Do: func(_ context.Context, id string, _ any) error {
		last <- id
		return nil
	}})
	p.enqueue("last", nil)
	p.queue.Wake("work", "newer")
	stop := p.run()
	receive(p.T, last, "the queue to look for jobs")
	stop()
}

// enqueue adds a job in a transaction of its own.
func (p *process) enqueue(kind string, payload any, options ...job.Option) (id string) {
	p.Helper()
	err := p.db.InTx(p.Context(), func(tx *db.DB) (err error) {
		id, err = p.queue.Enqueue(p.Context(), tx, kind, payload, options...)
		return err
	})
	if err != nil {
		p.Fatal(err)
	}
	return id
}

// receive waits for what a handler sends.
func receive[E any](t *testing.T, from <-chan E, what string) (e E) {
	t.Helper()
	select {
	case e = <-from:
	case <-time.After(time.Minute):
		t.Fatalf("waited in vain for %s", what)
	}
	return e
}

// await waits for a channel to be closed, or for the test to end.
func (p *process) await(closed <-chan bool) {
	select {
	case <-closed:
	case <-p.Context().Done():
	}
}

// stored is what the table holds of a job that is not done.
type stored struct {
	attempts  int
	lastError string
	failed    bool
}

// jobs are those that are not done.
func (p *process) jobs() []stored {
	p.Helper()
	rows, err := p.db.Pool().QueryContext(p.Context(), "SELECT attempts, last_error, failed_at IS NOT NULL FROM jobs ORDER BY id")
	if err != nil {
		p.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	var jobs []stored
	for rows.Next() {
		var j stored
		var lastError sql.NullString
		if err := rows.Scan(&j.attempts, &lastError, &j.failed); err != nil {
			p.Fatal(err)
		}
		j.lastError = lastError.String
		jobs = append(jobs, j)
	}
	if err := rows.Err(); err != nil {
		p.Fatal(err)
	}
	return jobs
}

// claim takes the one job of a kind that is due, as a process does that then dies.
func (p *process) claim(kind string) {
	p.Helper()
	claimed, err := p.db.ClaimJobs(p.Context(), []string{kind}, []string{kind}, p.Now(), 15*time.Second, 1)
	if err != nil || len(claimed) != 1 {
		p.Fatal(len(claimed), err)
	}
}

// loseLeases gives every job away, as when its process was stopped for longer than its lease.
func (p *process) loseLeases() {
	if _, err := p.db.Pool().ExecContext(p.Context(), "UPDATE jobs SET leased_until = NULL"); err != nil {
		p.Error(err)
	}
}

// analyze has the database know its jobs as they are now, which decides how it looks for them.
func (p *process) analyze() {
	p.Helper()
	if _, err := p.db.Pool().ExecContext(p.Context(), "ANALYZE jobs"); err != nil {
		p.Fatal(err)
	}
}

// wantJobs compares the jobs that are not done.
func (p *process) wantJobs(want ...stored) {
	p.Helper()
	if got := p.jobs(); !slices.Equal(got, want) {
		p.Errorf("the jobs left are %+v, want %+v", got, want)
	}
}

// sweep forgets what was given up long ago.
func (p *process) sweep() {
	p.Helper()
	if err := p.queue.Sweep(p.Context()); err != nil {
		p.Error(err)
	}
}

// do is a handler that is never told of a failure.
func do(work func(ctx context.Context, payload string) error) job.Handler[json.RawMessage] {
	return job.Handler[json.RawMessage]{Do: func(ctx context.Context, _ string, payload json.RawMessage) error { return work(ctx, string(payload)) }}
}

func TestQueue(t *testing.T) {
	t.Parallel()
	// The clock stands still, so that a job which its own process is not woken for is never found.
	t.Run("AfterCommit", func(t *testing.T) {
		on(t, func(p *process, _ opener) {
			done := make(chan string, 10)
			job.Handle(p.queue, "work", do(func(_ context.Context, payload string) error {
				done <- payload
				return nil
			}))
			stop := p.run()
			err := p.db.InTx(p.Context(), func(tx *db.DB) error {
				if _, err := p.queue.Enqueue(p.Context(), tx, "work", map[string]int{"number": 1}); err != nil {
					return err
				}
				p.wantJobs() // as others see them
				return nil
			})
			if err != nil {
				p.Fatal(err)
			}
			if got := receive(p.T, done, "the job"); got != `{"number":1}` {
				p.Errorf("the payload is %s", got)
			}
			stop()
			p.wantJobs()
		})
	})
	t.Run("Rollback", func(t *testing.T) {
		on(t, func(p *process, _ opener) {
			var done []string
			job.Handle(p.queue, "work", do(func(_ context.Context, payload string) error {
				done = append(done, payload)
				return nil
			}))
			err := p.db.InTx(p.Context(), func(tx *db.DB) error {
				if _, err := p.queue.Enqueue(p.Context(), tx, "work", "rolled back"); err != nil {
					return err
				}
				return errOnPurpose
			})
			if !errors.Is(err, errOnPurpose) {
				p.Fatal(err)
			}
			p.enqueue("work", "committed")
			p.turn()
			if !slices.Equal(done, []string{`"committed"`}) {
				p.Errorf("done: %v", done)
			}
		})
	})
	t.Run("GivenUpAfterADay", func(t *testing.T) { on(t, testBackoff) })
	// A job that could not be undone comes again until it is, and is not done any more.
	for name, test := range map[string]struct {
		err         error
		given, done int
	}{
		"NotUndone":          {errOnPurpose, 18, 18},
		"NotUndonePermanent": {errPermanent, 1, 3}, // of which only the error tells
	} {
		t.Run(name, func(t *testing.T) {
			on(t, func(p *process, _ opener) {
				done, failed := 0, 0
				job.Handle(p.queue, "work", job.Handler[any]{
					Do: func(context.Context, string, any) error { done++; return test.err },
					Failed: func(context.Context, string, any) error {
						failed++
						switch failed {
						case 1:
							return db.ErrConflict
						case 2:
							panic(errOnPurpose)
						}
						return nil
					},
				})
				p.enqueue("work", nil)
				for range test.given - 1 {
					p.turn()
					p.Advance(5 * time.Hour)
				}
				for _, givenUp := range []bool{false, false, true, true} {
					p.turn()
					p.wantJobs(stored{test.given + min(failed, 3) - 1, test.err.Error(), givenUp})
					p.Advance(5 * time.Hour)
				}
				if done != test.done || failed != 3 {
					p.Errorf("done %d times, undone %d times", done, failed)
				}
			})
		})
	}
	for name, test := range map[string]struct {
		err     error
		noRetry bool
	}{
		"Permanent": {fmt.Errorf("wrapped: %w", errPermanent), false},
		"NoRetry":   {errOnPurpose, true},
	} {
		t.Run(name, func(t *testing.T) {
			on(t, func(p *process, _ opener) {
				failed := 0
				job.Handle(p.queue, "work", job.Handler[any]{
					Do:      func(context.Context, string, any) error { return test.err },
					Failed:  func(context.Context, string, any) error { failed++; return nil },
					NoRetry: test.noRetry,
				})
				p.enqueue("work", nil)
				for range 2 {
					p.turn()
					p.wantJobs(stored{1, test.err.Error(), true})
					p.Advance(30 * 24 * time.Hour)
				}
				if failed != 1 {
					p.Errorf("Failed was called %d times", failed)
				}
			})
		})
	}
	t.Run("NoRetryWhileGivingUp", func(t *testing.T) {
		on(t, func(p *process, _ opener) {
			done, failed := 0, 0
			job.Handle(p.queue, "work", job.Handler[any]{
				Do: func(context.Context, string, any) error { done++; return errOnPurpose },
				Failed: func(context.Context, string, any) error {
					if failed++; failed == 1 {
						return errOnPurpose
					}
					return nil
				},
				NoRetry: true,
			})
			p.enqueue("work", nil)
			p.turn()
			p.Advance(time.Hour)
			p.turn()
			p.wantJobs(stored{2, errOnPurpose.Error(), true})
			if done != 1 {
				p.Errorf("done %d times", done)
			}
		})
	})
	// A panic of one job must end neither the process nor those that try the job after it.
	t.Run("Panic", func(t *testing.T) {
		on(t, func(p *process, _ opener) {
			job.Handle(p.queue, "work", do(func(context.Context, string) error { panic(errOnPurpose) }))
			p.enqueue("work", nil)
			p.turn()
			jobs := p.jobs()
			if len(jobs) != 1 || jobs[0].attempts != 1 || jobs[0].failed || !strings.HasPrefix(jobs[0].lastError, "panic: on purpose") {
				p.Fatalf("the jobs left are %+v", jobs)
			}
		})
	})
	// What a mail server says may be anything, also NUL, which no database stores in a text.
	t.Run("ErrorIsNoText", func(t *testing.T) {
		on(t, func(p *process, _ opener) {
			job.Handle(p.queue, "work", do(func(context.Context, string) error { return errors.New("450 sp\xe4ter\x00") }))
			p.enqueue("work", nil)
			p.turn()
			p.wantJobs(stored{1, "450 spter", false})
			p.Advance(time.Second) // less than the wait, and the lease is given back
			p.turn()
			p.wantJobs(stored{1, "450 spter", false})
		})
	})
	t.Run("UnknownKind", func(t *testing.T) {
		on(t, func(p *process, _ opener) {
			p.enqueue("newer", nil)
			p.turn()
			p.wantJobs(stored{0, "", false})
			job.Handle(p.queue, "newer", do(func(context.Context, string) error { return nil }))
			p.Advance(time.Minute)
			p.turn()
			p.wantJobs()
		})
	})
	t.Run("ProcessDied", func(t *testing.T) { on(t, testProcessDied) })
	t.Run("StopsWhenDone", func(t *testing.T) {
		on(t, func(p *process, _ opener) {
			started, stopping := make(chan bool, 1), make(chan bool)
			job.Handle(p.queue, "work", do(func(ctx context.Context, _ string) error {
				started <- true
				p.await(stopping)
				for range 20 { // a Run that does not wait returns meanwhile, and with it the test looks
					if _, err := p.db.SubdomainTaken(ctx, "example"); err != nil {
						return err
					}
				}
				return nil
			}))
			p.enqueue("work", nil)
			stop := p.run()
			receive(p.T, started, "the job")
			go close(stopping)
			stop()
			p.wantJobs()
		})
	})
	// What it has asked for when it is told to stop is given to it, and so it does that too.
	t.Run("StopsWhileClaiming", func(t *testing.T) {
		on(t, func(p *process, open opener) {
			p.enqueue("work", nil)
			ctx, cancel := context.WithCancel(p.Context())
			queue := job.NewQueue(open(db.WithClock(p.Now), db.WithStatementHook(func(string) { cancel() })), nil)
			job.Handle(queue, "work", do(func(context.Context, string) error { return nil }))
			queue.Wake("work")
			queue.Run(ctx)
			p.wantJobs()
		})
	})
	// Jobs that hang, as mails do when their server does not answer, hold up their own kind alone.
	t.Run("OthersHang", func(t *testing.T) {
		on(t, func(p *process, _ opener) {
			started, end, done := make(chan bool, 6), make(chan bool), make(chan bool, 10)
			job.Handle(p.queue, "hanging", do(func(context.Context, string) error { started <- true; p.await(end); return nil }))
			job.Handle(p.queue, "work", do(func(context.Context, string) error { done <- true; return nil }))
			for range 6 {
				p.enqueue("hanging", nil)
			}
			p.run()
			for range 4 {
				receive(p.T, started, "four jobs to hang")
			}
			for range 10 {
				p.enqueue("work", nil)
			}
			for range 10 {
				receive(p.T, done, "the jobs of another kind")
			}
			close(end)
			for range 2 {
				receive(p.T, started, "the rest of those that hung")
			}
		})
	})
	// However many wait: also with the plan that PostgreSQL has made, and keeps, for a table that it knows
	// as empty. To look for what is due anew for each row seems cheap then.
	t.Run("FourAtOnce", func(t *testing.T) {
		on(t, func(p *process, _ opener) {
			claim := func() int {
				claimed, err := p.db.ClaimJobs(p.Context(), []string{"work"}, []string{"work"}, p.Now(), 15*time.Second, 4)
				if err != nil {
					p.Fatal(err)
				}
				return len(claimed)
			}
			p.analyze()
			claim()
			for range 10 {
				p.enqueue("work", nil)
			}
			for _, want := range []int{4, 4, 2} {
				if got := claim(); got != want {
					p.Errorf("%d jobs were claimed, want %d", got, want)
				}
			}
		})
	})
	// Whether a job is the first of its lane is looked up: to go through all that waits takes, for all that
	// waits, as the square of it.
	t.Run("LongLane", func(t *testing.T) {
		on(t, func(p *process, open opener) {
			var claim string
			claims := open(db.WithClock(p.Now), db.WithStatementHook(func(query string) { claim = query }))
			kinds := strings.Fields("work a b c d e f g h i j k l")
			explain := "EXPLAIN "
			if !p.db.CanRead() {
				explain += "QUERY PLAN "
			}
			for range 100 {
				p.enqueue("work", nil, job.InLane("lane"))
			}
			for _, known := range []string{"nothing", "all"} {
				if _, err := claims.ClaimJobs(p.Context(), []string{"work"}, kinds, p.Now(), 0, 4); err != nil {
					p.Fatal(err)
				}
				plan := fmt.Sprint(dbtest.Query(p.T, p.db, explain+claim))
				for _, index := range []string{"jobs_due", "jobs_one_a_lane", "jobs_of_lane"} {
					if strings.Count(plan, index) != 1 {
						p.Errorf("knowing %s of the table, a claim does not use %s once:\n%s", known, index, plan)
					}
				}
				p.analyze()
			}
		})
	})
	// A job of a newer version, which is gone, does not hold up its lane for good.
	for name, cutOff := range map[string]bool{"LaneOfUnknownKind": false, "LaneOfUnknownKindCutOff": true} {
		t.Run(name, func(t *testing.T) {
			on(t, func(p *process, _ opener) {
				done := make(chan bool, 2)
				job.Handle(p.queue, "work", do(func(context.Context, string) error { done <- true; return nil }))
				p.enqueue("newer", nil, job.InLane("lane"))
				if cutOff {
					p.claim("newer")
				}
				p.Advance(15 * time.Second)
				p.enqueue("work", nil, job.InLane("lane"))
				p.run()
				p.enqueue("work", nil)
				receive(p.T, done, "the queue to run")
				p.Advance(time.Hour)
				receive(p.T, done, "the next job of the lane")
			})
		})
	}
	// Do elsewhere takes a lane while a claim is under way that has a job of it: the claim is not all lost.
	t.Run("LaneTakenMeanwhile", func(t *testing.T) {
		on(t, func(p *process, _ opener) {
			foreground := p.enqueue("work", nil, job.InLane("lane"), job.Foreground())
			p.enqueue("work", nil, job.InLane("lane"))
			other := p.enqueue("work", nil)
			claimed := make(chan []*db.Job, 1)
			err := p.db.InTx(p.Context(), func(tx *db.DB) error {
				if taken, err := tx.ClaimJob(p.Context(), foreground, 15*time.Second); err != nil || taken == nil {
					p.Fatal(taken, err)
				}
				go func() {
					rows, err := p.db.ClaimJobs(p.Context(), []string{"work"}, []string{"work"}, p.Now(), 15*time.Second, 4)
					if err != nil {
						p.Error(err)
					}
					claimed <- rows
				}()
				for p.db.CanRead() { // PostgreSQL, where it begins before this ends
					waiting := dbtest.Query(p.T, p.db, `SELECT pid FROM pg_stat_activity
						WHERE datname = current_database() AND wait_event_type = 'Lock'`)
					if len(waiting) > 0 || len(claimed) > 0 {
						return nil
					}
					time.Sleep(time.Millisecond)
				}
				return nil
			})
			if err != nil {
				p.Fatal(err)
			}
			if rows := receive(p.T, claimed, "the claim"); len(rows) != 1 || rows[0].ID != other {
				p.Errorf("claimed were %v, want %s", rows, other)
			}
		})
	})
	t.Run("EachOnce", func(t *testing.T) { on(t, testEachOnce) })
	t.Run("OneInALane", func(t *testing.T) { on(t, testOneInALane) })
	t.Run("LaneOfTheDead", func(t *testing.T) { on(t, testLaneOfTheDead) })
}

func TestDo(t *testing.T) {
	t.Parallel()
	refusal := fault.New(fault.Conflict, "No.")
	for name, test := range map[string]struct {
		err  error
		left []stored
	}{
		"Done":    {nil, nil},
		"Refused": {refusal, nil},
		"Failed":  {errOnPurpose, []stored{{1, "on purpose", false}}},
	} {
		t.Run(name, func(t *testing.T) {
			on(t, func(p *process, _ opener) {
				job.Handle(p.queue, "work", do(func(context.Context, string) error { return test.err }))
				id := p.enqueue("work", nil, job.Foreground())
				p.turn() // which leaves it to us
				if err := p.queue.Do(p.Context(), id); !errors.Is(err, test.err) {
					p.Errorf("got the error %v, want %v", err, test.err)
				}
				p.wantJobs(test.left...)
			})
		})
	}
	t.Run("Workers", func(t *testing.T) {
		on(t, func(p *process, _ opener) {
			arrived, leave := make(chan string), make(chan struct{})
			job.Handle(p.queue, "work", job.Handler[any]{Workers: 6, Do: func(_ context.Context, id string, _ any) error {
				arrived <- id
				<-leave
				return nil
			}})
			for range 6 {
				p.enqueue("work", nil)
			}
			p.run()
			p.Cleanup(func() { close(leave) }) // before the queue is stopped
			for range 6 {
				receive(p.T, arrived, "six jobs at once")
			}
		})
	})
	t.Run("TooLong", func(t *testing.T) {
		on(t, func(p *process, _ opener) {
			p.queue.Limit(time.Millisecond)
			job.Handle(p.queue, "work", do(func(ctx context.Context, _ string) error {
				<-ctx.Done()
				return ctx.Err()
			}))
			id := p.enqueue("work", nil, job.Foreground())
			if err := p.queue.Do(p.Context(), id); !errors.Is(err, context.DeadlineExceeded) {
				p.Errorf("got the error %v", err)
			}
			p.wantJobs(stored{1, "context deadline exceeded", false})
		})
	})
	// The caller is gone before its turn comes: the job is done all the same.
	t.Run("CallerGone", func(t *testing.T) {
		on(t, func(p *process, _ opener) {
			done := 0
			job.Handle(p.queue, "work", do(func(ctx context.Context, _ string) error { done++; return ctx.Err() }))
			id := p.enqueue("work", nil, job.Foreground())
			ctx, cancel := context.WithCancel(p.Context())
			cancel()
			if err := p.queue.Do(ctx, id); err != nil || done != 1 {
				p.Errorf("done %d times, with the error %v", done, err)
			}
		})
	})
	t.Run("ProcessGone", func(t *testing.T) {
		on(t, func(p *process, _ opener) {
			done := make(chan bool, 2)
			job.Handle(p.queue, "work", do(func(context.Context, string) error { done <- true; return nil }))
			id := p.enqueue("work", nil, job.Foreground())
			p.Advance(30 * time.Second)
			p.turn()
			receive(p.T, done, "another process to do the job")
			if err := p.queue.Do(p.Context(), id); !errors.Is(err, job.ErrPending) || len(done) > 0 {
				p.Errorf("done again, with the error %v", err)
			}
		})
	})
	// Whoever lost the lease does not know how the job has fared that somebody else has taken up.
	for name, err := range map[string]error{"OvertakenRefused": refusal, "OvertakenFailed": errOnPurpose} {
		t.Run(name, func(t *testing.T) {
			on(t, func(p *process, open opener) {
				other := newProcess(p.T, p.Clock, open, do(func(context.Context, string) error { return nil }))
				var id string
				job.Handle(p.queue, "work", do(func(context.Context, string) error {
					p.loseLeases()
					if err := other.queue.Do(p.Context(), id); err != nil {
						p.Error(err)
					}
					return err
				}))
				id = p.enqueue("work", nil, job.Foreground())
				if err := p.queue.Do(p.Context(), id); !errors.Is(err, job.ErrPending) {
					p.Errorf("got the error %v", err)
				}
				p.wantJobs()
			})
		})
	}
	// Nor does it take the job from whoever has it.
	for name, test := range map[string]struct{ err, want error }{
		"OvertakenMeanwhile": {nil, nil}, "OvertakenMeanwhileFailed": {errOnPurpose, job.ErrPending},
	} {
		t.Run(name, func(t *testing.T) {
			on(t, func(p *process, open opener) {
				started, end, ended := make(chan bool, 1), make(chan bool), make(chan error, 1)
				other := newProcess(p.T, p.Clock, open, do(func(context.Context, string) error { started <- true; p.await(end); return errOnPurpose }))
				var id string
				job.Handle(p.queue, "work", do(func(context.Context, string) error {
					p.loseLeases()
					go func() { ended <- other.queue.Do(p.Context(), id) }()
					receive(p.T, started, "the other to take the job up")
					return test.err
				}))
				id = p.enqueue("work", nil, job.Foreground())
				if err := p.queue.Do(p.Context(), id); !errors.Is(err, test.want) {
					p.Errorf("got the error %v, want %v", err, test.want)
				}
				p.wantJobs(stored{2, "", false})
				close(end)
				if err := receive(p.T, ended, "the other"); !errors.Is(err, errOnPurpose) {
					p.Errorf("got the error %v", err)
				}
				p.wantJobs(stored{2, "on purpose", false})
			})
		})
	}
	// Whoever waits for a lane gets it when it is free.
	t.Run("Lane", func(t *testing.T) {
		on(t, func(p *process, _ opener) {
			started, end := make(chan bool, 1), make(chan bool)
			job.Handle(p.queue, "long", do(func(context.Context, string) error { started <- true; p.await(end); return nil }))
			job.Handle(p.queue, "work", do(func(context.Context, string) error { return refusal }))
			p.enqueue("long", nil, job.InLane("lane"))
			p.run()
			receive(p.T, started, "the job that is first")
			id := p.enqueue("work", nil, job.InLane("lane"), job.Foreground())
			answer := make(chan error)
			go func() { answer <- p.queue.Do(p.Context(), id) }()
			close(end)
			if err := receive(p.T, answer, "the answer"); !errors.Is(err, refusal) {
				p.Errorf("got the error %v", err)
			}
		})
	})
}

// testOneInALane lets two processes do jobs of a few lanes, some of them at once with Do.
func testOneInALane(first *process, open opener) {
	const lanes, each = 3, 20
	var mu sync.Mutex
	running, done := map[string]int{}, 0
	work := do(func(_ context.Context, lane string) error {
		mu.Lock()
		running[lane]++
		if running[lane] > 1 {
			first.Errorf("%d jobs run in the lane %s", running[lane], lane)
		}
		mu.Unlock()
		if _, err := first.db.SubdomainTaken(context.Background(), "example"); err != nil { // takes some time
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		running[lane]--
		done++
		return nil
	})
	processes := []*process{first, newProcess(first.T, first.Clock, open, work)}
	job.Handle(first.queue, "work", work)
	for _, p := range processes {
		p.run()
	}
	var callers sync.WaitGroup
	for i := range lanes * each {
		p, lane := processes[i%2], fmt.Sprint("lane", i%lanes)
		if i%4 > 0 {
			p.enqueue("work", lane, job.InLane(lane))
			continue
		}
		callers.Go(func() {
			id := p.enqueue("work", lane, job.InLane(lane), job.Foreground())
			if err := p.queue.Do(p.Context(), id); err != nil {
				p.Error(err)
			}
		})
	}
	callers.Wait()
	deadline := time.After(time.Minute)
	for len(first.jobs()) > 0 {
		first.Advance(time.Second)
		select {
		case <-deadline:
			first.Fatalf("left are %+v", first.jobs())
		case <-time.After(10 * time.Millisecond):
		}
	}
	if done != lanes*each {
		first.Errorf("%d of %d were done", done, lanes*each)
	}
}

// testLaneOfTheDead cuts a job off in the middle: the next of its lane waits until it was taken up.
func testLaneOfTheDead(dying *process, open opener) {
	dying.enqueue("work", "first", job.InLane("lane"))
	dying.claim("work")

	var done []string
	other := newProcess(dying.T, dying.Clock, open, do(func(_ context.Context, payload string) error {
		done = append(done, payload)
		return nil
	}))
	other.enqueue("work", "second", job.InLane("lane"))
	other.Advance(15*time.Second - time.Microsecond)
	other.turn()
	if len(done) > 0 {
		other.Fatalf("%v was done in a lane that is taken", done)
	}
	other.Advance(time.Microsecond)
	other.turn()
	other.turn()
	if !slices.Equal(done, []string{`"first"`, `"second"`}) {
		other.Errorf("done: %v", done)
	}
}

// testBackoff fails a job again and again: the wait doubles from 2 s to 4 h and is up to a fifth
// longer.
func testBackoff(p *process, _ opener) {
	failed := 0
	job.Handle(p.queue, "work", job.Handler[any]{
		Do:     func(context.Context, string, any) error { return errOnPurpose },
		Failed: func(context.Context, string, any) error { failed++; return nil },
	})
	p.enqueue("work", nil)
	p.turn()
	for attempt, wait := 1, 2*time.Second; attempt < 18; attempt, wait = attempt+1, min(2*wait, 4*time.Hour) {
		p.wantJobs(stored{attempt, "on purpose", false})
		p.Advance(wait - time.Microsecond)
		p.turn()
		p.wantJobs(stored{attempt, "on purpose", false})
		p.Advance(wait/5 + time.Microsecond)
		p.turn()
	}
	if passed := p.Now().Sub(noon); passed < 20*time.Hour || passed > 28*time.Hour {
		p.Errorf("given up after %s", passed)
	}
	p.Advance(24 * time.Hour)
	p.turn()
	p.wantJobs(stored{18, "on purpose", true})
	if failed != 1 {
		p.Errorf("Failed was called %d times", failed)
	}

	p.Advance(29 * 24 * time.Hour)
	waiting := p.enqueue("work", nil)
	p.sweep()
	p.wantJobs(stored{18, "on purpose", true}, stored{})
	p.Advance(time.Microsecond)
	p.sweep()
	p.wantJobs(stored{})
	if err := p.queue.Do(p.Context(), waiting); !errors.Is(err, errOnPurpose) {
		p.Errorf("what waits: %v", err)
	}
}

// testProcessDied cuts a job off in the middle.
func testProcessDied(dying *process, open opener) {
	dying.enqueue("work", nil)
	dying.claim("work")

	done := 0
	other := newProcess(dying.T, dying.Clock, open, do(func(context.Context, string) error {
		done++
		return nil
	}))
	other.Advance(15*time.Second - time.Microsecond)
	other.turn()
	other.wantJobs(stored{1, "", false})
	other.Advance(time.Microsecond)
	other.turn()
	other.wantJobs()
	if done != 1 {
		other.Errorf("done %d times", done)
	}
}

// testEachOnce lets two processes do 200 jobs, both of them some.
func testEachOnce(first *process, open opener) {
	const half = 100
	done := make(chan string, 4*half)
	var bothWork sync.WaitGroup
	bothWork.Add(2)
	processes := []*process{first, newProcess(first.T, first.Clock, open, job.Handler[any]{})}
	for i, p := range processes {
		begin := sync.OnceFunc(bothWork.Done)
		job.Handle(p.queue, "work", do(func(_ context.Context, payload string) error {
			begin()
			bothWork.Wait()
			done <- payload
			return nil
		}))
		for number := range half {
			p.enqueue("work", i*half+number)
		}
	}
	times := map[string]int{}
	var stops []func()
	for _, p := range processes {
		stops = append(stops, p.run())
	}
	for range 2 * half {
		times[receive(first.T, done, "all jobs")]++
	}
	for _, stop := range stops {
		stop()
	}
	if len(times) != 2*half || len(done) > 0 {
		first.Errorf("%d of %d jobs were done, and %d again", len(times), 2*half, len(done))
	}
	first.wantJobs()
}
