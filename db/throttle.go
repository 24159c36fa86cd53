package db

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/uptrace/bun"
)

// throttle remembers when something was done, for as long as a limit looks back.
type throttle struct {
	bun.BaseModel `bun:"table:throttles,alias:th"`

	Key       string      `bun:"key,pk"`
	Hits      string      `bun:"hits"` // JSON list of times
	UpdatedAt time.Time   `bun:"updated_at"`
	times     []time.Time `bun:"-"`
}

// Hit counts one use of key, of which limit are allowed in any span of window. When they are used
// up it counts nothing and returns how long to wait. The key is locked until the transaction ends.
func (d *DB) Hit(ctx context.Context, key string, limit int, window time.Duration) (wait time.Duration, err error) {
	first, err := d.insertThrottle(ctx, key)
	if err != nil || first {
		return 0, err
	}
	row, err := d.lockThrottle(ctx, key)
	if err != nil {
		return 0, err
	}
	if wait := row.wait(d.Now(), limit, window); wait > 0 {
		return wait, nil
	}
	text, err := json.Marshal(append(row.times, d.Now()))
	if err != nil {
		return 0, fmt.Errorf("throttle %s: %w", key, err)
	}
	row.Hits = string(text)
	return 0, requireRow(d.bun.NewUpdate().Model(row).Column("hits").WherePK().Exec(ctx))
}

// HitWait returns how long to wait until Hit would count, zero when it would now.
func (d *DB) HitWait(ctx context.Context, key string, limit int, window time.Duration) (time.Duration, error) {
	row, err := one[throttle](ctx, d.bun.NewSelect().Model((*throttle)(nil)).Where("key = ?", key))
	if errors.Is(err, ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	if err := row.parse(); err != nil {
		return 0, err
	}
	return row.wait(d.Now(), limit, window), nil
}

// ForgetHits makes all uses of key undone.
func (d *DB) ForgetHits(ctx context.Context, key string) error {
	_, err := d.bun.NewDelete().Model((*throttle)(nil)).Where("key = ?", key).Exec(ctx)
	return mapError(err)
}

// wait drops the uses that no longer count, and tells until when the rest uses up the limit. One that
// is further ahead than the window was noted by a clock that has been set right since.
func (t *throttle) wait(now time.Time, limit int, window time.Duration) time.Duration {
	t.times = slices.DeleteFunc(t.times, func(hit time.Time) bool { return hit.Sub(now).Abs() >= window })
	if len(t.times) < limit {
		return 0
	}
	return t.times[len(t.times)-limit].Add(window).Sub(now)
}

func (t *throttle) parse() error {
	if err := json.Unmarshal([]byte(t.Hits), &t.times); err != nil {
		return fmt.Errorf("throttle %s: %w", t.Key, err)
	}
	return nil
}

// insertThrottle counts the first use of a key, and reports false when it is not.
func (d *DB) insertThrottle(ctx context.Context, key string) (bool, error) {
	text, err := json.Marshal([]time.Time{d.Now()})
	if err != nil {
		return false, fmt.Errorf("throttle %s: %w", key, err)
	}
	row := &throttle{Key: key, Hits: string(text), UpdatedAt: d.Now()}
	return changed(d.bun.NewInsert().Model(row).On("CONFLICT (key) DO NOTHING").Exec(ctx))
}

func (d *DB) lockThrottle(ctx context.Context, key string) (*throttle, error) {
	row := &throttle{Key: key, Hits: "[]", UpdatedAt: d.Now()}
	_, err := d.bun.NewInsert().Model(row).
		On("CONFLICT (key) DO UPDATE").Set("updated_at = EXCLUDED.updated_at").Returning("hits").Exec(ctx)
	if err != nil {
		return nil, mapError(err)
	}
	return row, row.parse()
}

// DeleteThrottles forgets the keys that were last used before a time.
func (d *DB) DeleteThrottles(ctx context.Context, before time.Time) error {
	_, err := d.bun.NewDelete().Model((*throttle)(nil)).Where("updated_at < ?", before).Exec(ctx)
	return mapError(err)
}
