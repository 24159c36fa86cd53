package db

import (
	"context"
	"errors"
	"time"

	"github.com/uptrace/bun"
)

// Job is work that is committed with its cause and done after it. A job that is done is deleted;
// one that cannot be done is kept for a month, with FailedAt set.
type Job struct {
	bun.BaseModel `bun:"table:jobs,alias:j"`

	ID      string `bun:"id,pk"`
	Kind    string `bun:"kind"`
	Payload string `bun:"payload"`
	// Lane, if set, names what only one job at a time may work on.
	Lane *string `bun:"lane"`
	// RunAt is when the job is due.
	RunAt time.Time `bun:"run_at"`
	// LeasedUntil is set while a process does the job. When it has passed, that process is gone and
	// the job is anybody's again; until somebody takes it up, or ReleaseLanes, it keeps its lane.
	LeasedUntil *time.Time `bun:"leased_until"`
	Attempts    int        `bun:"attempts"`
	LastError   *string    `bun:"last_error"`
	FailedAt    *time.Time `bun:"failed_at"`
	CreatedAt   time.Time  `bun:"created_at"`
}

// InsertJob adds a job.
func (d *DB) InsertJob(ctx context.Context, job *Job) error {
	return executed(d.bun.NewInsert().Model(job).Exec(ctx))
}

// ClaimJobs takes up to limit jobs of some kinds that were due at the given time, of each lane one, and
// nobody else gets them until the lease is over. In a lane they wait for those before them of the known
// kinds: others may be for a process that never comes.
func (d *DB) ClaimJobs(ctx context.Context, kinds, known []string, due time.Time, lease time.Duration, limit int) ([]*Job, error) {
	// The lanes that are taken are few, and found once, whatever waits in them.
	next := d.bun.NewSelect().Model((*Job)(nil)).Column("id").
		Where("kind IN (?)", bun.List(kinds)). // of one kind, the index then yields them in order
		Where("failed_at IS NULL").Where("run_at <= ?", due).
		Where("leased_until IS NULL OR leased_until <= ?", d.Now()).
		Where(`lane IS NULL OR leased_until IS NOT NULL
			OR lane NOT IN (SELECT other.lane FROM jobs AS other WHERE other.lane IS NOT NULL AND other.leased_until IS NOT NULL)
			AND NOT EXISTS (SELECT 1 FROM jobs AS other WHERE other.lane = j.lane AND other.failed_at IS NULL AND other.kind IN (?)
				AND other.run_at <= ? AND (other.run_at, other.id) < (j.run_at, j.id))`, bun.List(known), due).
		OrderExpr("run_at, id").Limit(int64(limit))
	among := "id IN (?)"
	if d.isPostgres() {
		// An array is made once. What IN asks may be asked anew for each row, and then yields others.
		among, next = "id = ANY (ARRAY(?))", next.For("UPDATE SKIP LOCKED")
	}
	for range 2 { // another process may take a lane at the same moment, which the second attempt then sees
		jobs := []*Job{}
		err := mapError(d.claim(lease).Where(among, next).Returning("?Columns").Scan(ctx, &jobs))
		if !errors.Is(err, ErrDuplicate) {
			return jobs, err
		}
	}
	return nil, nil
}

// ClaimJob takes one job, due or not; nil while its lane is taken, ErrNotFound when it is done or in
// other hands.
func (d *DB) ClaimJob(ctx context.Context, id string, lease time.Duration) (*Job, error) {
	jobs := []*Job{}
	// Make it due now, so that after a crash it waits only until its lease is over.
	err := d.claim(lease).Set("run_at = ?", d.Now()).Where("id = ?", id).Where("failed_at IS NULL").Where("leased_until IS NULL").
		Where(`lane IS NULL OR NOT EXISTS (SELECT 1 FROM jobs AS other
			WHERE other.lane = j.lane AND other.leased_until IS NOT NULL)`).
		Returning("?Columns").Scan(ctx, &jobs)
	if err = mapError(err); errors.Is(err, ErrDuplicate) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if len(jobs) > 0 {
		return jobs[0], nil
	}
	waits, err := d.bun.NewSelect().Model((*Job)(nil)).
		Where("id = ?", id).Where("failed_at IS NULL").Where("leased_until IS NULL").Exists(ctx)
	if err == nil && !waits {
		return nil, ErrNotFound
	}
	return nil, mapError(err)
}

func (d *DB) claim(lease time.Duration) *bun.UpdateQuery {
	return d.bun.NewUpdate().Model((*Job)(nil)).Set("leased_until = ?", d.Now().Add(lease)).Set("attempts = attempts + 1")
}

// ProlongLease keeps a claimed job for longer. ErrNotFound if another process has claimed the job since,
// recognizable by its attempts; the same holds for DeleteJob and UpdateJob.
func (d *DB) ProlongLease(ctx context.Context, job *Job, lease time.Duration) error {
	return requireRow(d.bun.NewUpdate().Model(job).Set("leased_until = ?", d.Now().Add(lease)).WherePK().
		Where("attempts = ?", job.Attempts).Exec(ctx))
}

// ReleaseJobs gives back, when a server starts on SQLite, what the one before it was doing when it
// ended: there is no other process that could be doing it. On PostgreSQL there may be, and leases
// run out.
func (d *DB) ReleaseJobs(ctx context.Context) error {
	if d.isPostgres() {
		return nil
	}
	return executed(d.bun.NewUpdate().Model((*Job)(nil)).Set("leased_until = ?", d.Now()).Where("leased_until > ?", d.Now()).Exec(ctx))
}

// ReleaseLanes takes from jobs of other than the known kinds the leases, and so the lanes, that were over
// at the given time, and returns the jobs' IDs.
func (d *DB) ReleaseLanes(ctx context.Context, known []string, over time.Time) ([]string, error) {
	ids := []string{}
	err := d.bun.NewUpdate().Model((*Job)(nil)).Set("leased_until = NULL").
		Where("leased_until <= ?", over).Where("kind NOT IN (?)", bun.List(known)).Returning("id").Scan(ctx, &ids)
	return ids, mapError(err)
}

// DeleteJob removes a claimed job that is done.
func (d *DB) DeleteJob(ctx context.Context, job *Job) error {
	return requireRow(d.bun.NewDelete().Model(job).WherePK().Where("attempts = ?", job.Attempts).Exec(ctx))
}

// UpdateJob stores how an attempt at a claimed job went wrong and when the next one is due, if any, and
// gives the lane free.
func (d *DB) UpdateJob(ctx context.Context, job *Job) error {
	return requireRow(d.bun.NewUpdate().Model(job).Column("run_at", "leased_until", "last_error", "failed_at").WherePK().
		Where("attempts = ?", job.Attempts).Exec(ctx))
}

// DeleteFailedJobs removes the jobs that were given up before the given time.
func (d *DB) DeleteFailedJobs(ctx context.Context, before time.Time) error {
	return executed(d.bun.NewDelete().Model((*Job)(nil)).Where("failed_at < ?", before).Exec(ctx))
}

// JobBacklog is how much work there is.
type JobBacklog struct {
	Waiting int64 `bun:"waiting"`
	Failed  int64 `bun:"failed"`
	// OldestDue is when the job became due that has been for longest, nil when none is.
	OldestDue *time.Time `bun:"oldest_due"`
}

// JobBacklog counts the jobs.
func (d *DB) JobBacklog(ctx context.Context) (*JobBacklog, error) {
	found := &JobBacklog{}
	err := d.bun.NewSelect().Model((*Job)(nil)).
		ColumnExpr("count(*) FILTER (WHERE failed_at IS NULL) AS waiting").
		ColumnExpr("count(*) FILTER (WHERE failed_at IS NOT NULL) AS failed").
		ColumnExpr("min(run_at) FILTER (WHERE failed_at IS NULL AND run_at <= ?) AS oldest_due", d.Now()).
		Scan(ctx, found)
	return found, mapError(err)
}
