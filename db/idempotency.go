package db

import (
	"context"
	"errors"
	"time"

	"github.com/uptrace/bun"
)

// IdempotencyKey is a mutation that was sent with a key, so that it takes effect once.
type IdempotencyKey struct {
	bun.BaseModel `bun:"table:idempotency_keys,alias:ik"`

	// KeyHash is that of the caller and the key.
	KeyHash     string `bun:"key_hash,pk"`
	RequestHash string `bun:"request_hash"`
	// Answer is nil until the first request with the key is answered.
	Answer    *string   `bun:"answer"`
	CreatedAt time.Time `bun:"created_at"`
}

// TakeIdempotencyKey notes a key for its first request. When there was one already, it returns that
// one's row.
func (d *DB) TakeIdempotencyKey(ctx context.Context, keyHash, requestHash string) (*IdempotencyKey, error) {
	for {
		earlier, err := one[IdempotencyKey](ctx, d.bun.NewSelect().Model((*IdempotencyKey)(nil)).Where("key_hash = ?", keyHash))
		if !errors.Is(err, ErrNotFound) {
			return earlier, err
		}
		row := &IdempotencyKey{KeyHash: keyHash, RequestHash: requestHash, CreatedAt: d.Now()}
		first, err := changed(d.bun.NewInsert().Model(row).On("CONFLICT (key_hash) DO NOTHING").Exec(ctx))
		if err != nil || first {
			return nil, err
		}
	}
}

// AnswerIdempotencyKey keeps the answer to the first request with a key.
func (d *DB) AnswerIdempotencyKey(ctx context.Context, keyHash, answer string) error {
	return requireRow(d.bun.NewUpdate().Model((*IdempotencyKey)(nil)).Set("answer = ?", answer).Where("key_hash = ?", keyHash).Exec(ctx))
}

// ReleaseIdempotencyKey makes the next request with a key the first.
func (d *DB) ReleaseIdempotencyKey(ctx context.Context, keyHash string) error {
	return executed(d.bun.NewDelete().Model((*IdempotencyKey)(nil)).Where("key_hash = ?", keyHash).Exec(ctx))
}

// DeleteIdempotencyKeys forgets the keys that were first used before a time.
func (d *DB) DeleteIdempotencyKeys(ctx context.Context, before time.Time) error {
	return executed(d.bun.NewDelete().Model((*IdempotencyKey)(nil)).Where("created_at < ?", before).Exec(ctx))
}
