package db

import (
	"context"
	"time"

	"github.com/uptrace/bun"
)

// SandboxObject is an object of the sandbox that stands in for Stripe.
type SandboxObject struct {
	bun.BaseModel `bun:"table:sandbox_objects"`

	ID       string `bun:"id,pk"`
	Kind     string `bun:"kind"`
	Customer string `bun:"customer"` // "" for what belongs to none
	Body     string `bun:"body"`     // JSON
}

// SandboxAnswer is what the sandbox answered to a request with an idempotency key.
type SandboxAnswer struct {
	bun.BaseModel `bun:"table:sandbox_answers"`

	Key       string    `bun:"key,pk"`
	Request   string    `bun:"request"`
	Status    int       `bun:"status"`
	Body      string    `bun:"body"`
	CreatedAt time.Time `bun:"created_at"`
}

type sandboxClock struct {
	bun.BaseModel `bun:"table:sandbox_clock"`

	ID           int   `bun:"id,pk"`
	AheadSeconds int64 `bun:"ahead_seconds"`
}

// LockSandbox returns by how much the sandbox's clock is ahead, and keeps every other request to the
// sandbox waiting until the transaction ends.
func (d *DB) LockSandbox(ctx context.Context) (ahead time.Duration, err error) {
	row, err := one[sandboxClock](ctx, d.forUpdate(d.bun.NewSelect().Model((*sandboxClock)(nil)).Where("id = 1")))
	if err != nil {
		return 0, err
	}
	return time.Duration(row.AheadSeconds) * time.Second, nil
}

// SetSandboxAhead moves the sandbox's clock; it must be locked.
func (d *DB) SetSandboxAhead(ctx context.Context, ahead time.Duration) error {
	return requireRow(d.bun.NewUpdate().Model((*sandboxClock)(nil)).Set("ahead_seconds = ?", int64(ahead/time.Second)).Where("id = 1").Exec(ctx))
}

// PutSandboxObject adds or replaces an object of the sandbox.
func (d *DB) PutSandboxObject(ctx context.Context, object *SandboxObject) error {
	return executed(d.bun.NewInsert().Model(object).On("CONFLICT (id) DO UPDATE").
		Set("customer = EXCLUDED.customer").Set("body = EXCLUDED.body").Exec(ctx))
}

// DeleteSandboxObject removes an object of the sandbox.
func (d *DB) DeleteSandboxObject(ctx context.Context, id string) error {
	return requireRow(d.bun.NewDelete().Model((*SandboxObject)(nil)).Where("id = ?", id).Exec(ctx))
}

// SandboxObjectByID finds an object of the sandbox.
func (d *DB) SandboxObjectByID(ctx context.Context, kind, id string) (*SandboxObject, error) {
	return one[SandboxObject](ctx, d.bun.NewSelect().Model((*SandboxObject)(nil)).Where("id = ?", id).Where("kind = ?", kind))
}

// SandboxObjects lists the objects of a kind in the order of their IDs, of one customer unless it
// is "".
func (d *DB) SandboxObjects(ctx context.Context, kind, customer string) ([]*SandboxObject, error) {
	query := d.bun.NewSelect().Model((*SandboxObject)(nil)).Where("kind = ?", kind).OrderExpr("id")
	if customer != "" {
		query = query.Where("customer = ?", customer)
	}
	return many[SandboxObject](ctx, query)
}

// FirstSandboxObject finds the first object of a kind in the order of their IDs, if its ID is before
// the given one.
func (d *DB) FirstSandboxObject(ctx context.Context, kind, before string) (*SandboxObject, error) {
	return one[SandboxObject](ctx, d.bun.NewSelect().Model((*SandboxObject)(nil)).
		Where("kind = ?", kind).Where("id < ?", before).OrderExpr("id"))
}

// SandboxAnswerTo finds the answer that was given under an idempotency key.
func (d *DB) SandboxAnswerTo(ctx context.Context, key string) (*SandboxAnswer, error) {
	return one[SandboxAnswer](ctx, d.bun.NewSelect().Model((*SandboxAnswer)(nil)).Where("key = ?", key))
}

// InsertSandboxAnswer keeps an answer.
func (d *DB) InsertSandboxAnswer(ctx context.Context, answer *SandboxAnswer) error {
	return executed(d.bun.NewInsert().Model(answer).Exec(ctx))
}
