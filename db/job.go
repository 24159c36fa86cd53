package db

import (
	"context"
	"time"

	"github.com/uptrace/bun"
)

// Job is work that is committed with its cause and done after it. A job that is done is deleted;
// one that cannot be done is kept, with FailedAt set.
type Job struct {
	bun.BaseModel `bun:"table:jobs,alias:j"`

	ID      string `bun:"id,pk"`
	Kind    string `bun:"kind"`
	Payload string `bun:"payload"`
	// RunAt is when the job is due. Claiming a job moves it ahead, so that the job comes back if
	// the process that claimed it is gone.
	RunAt     time.Time  `bun:"run_at"`
	Attempts  int        `bun:"attempts"`
	LastError *string    `bun:"last_error"`
	FailedAt  *time.Time `bun:"failed_at"`
	CreatedAt time.Time  `bun:"created_at"`
}

// InsertJob adds a job.
func (d *DB) InsertJob(ctx context.Context, job *Job) error {
	_, err := d.bun.NewInsert().Model(job).Exec(ctx)
	return mapError(err)
}

// ClaimJobs takes up to limit jobs that were due at the given time, and nobody else gets them
// until the lease is over.
func (d *DB) ClaimJobs(ctx context.Context, due time.Time, lease time.Duration, limit int) ([]*Job, error) {
	next := d.bun.NewSelect().Model((*Job)(nil)).Column("id").
		Where("failed_at IS NULL").Where("run_at <= ?", due).OrderExpr("run_at, id").Limit(int64(limit))
	if d.isPostgres() {
		next = next.For("UPDATE SKIP LOCKED")
	}
	jobs := []*Job{}
	err := d.bun.NewUpdate().Model((*Job)(nil)).
		Set("run_at = ?", d.Now().Add(lease)).Set("attempts = attempts + 1").
		Where("id IN (?)", next).Returning("*").Scan(ctx, &jobs)
	return jobs, mapError(err)
}

// DeleteJob removes a job that is done.
func (d *DB) DeleteJob(ctx context.Context, id string) error {
	_, err := d.bun.NewDelete().Model((*Job)(nil)).Where("id = ?", id).Exec(ctx)
	return mapError(err)
}

// UpdateJob stores how an attempt went wrong and when the next one is due, if any.
func (d *DB) UpdateJob(ctx context.Context, job *Job) error {
	_, err := d.bun.NewUpdate().Model(job).Column("run_at", "last_error", "failed_at").WherePK().Exec(ctx)
	return mapError(err)
}
