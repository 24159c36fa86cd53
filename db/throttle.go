package db

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/uptrace/bun"
)

// throttle remembers when something was done, for as long as a limit looks back.
type throttle struct {
	bun.BaseModel `bun:"table:throttles,alias:th"`

	Key       string      `bun:"key,pk"`
	Hits      []time.Time `bun:"hits,type:text"`
	UpdatedAt time.Time   `bun:"updated_at"`
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
	row.Hits = append(row.Hits, d.Now())
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
	return row.wait(d.Now(), limit, window), nil
}

// ForgetHits makes all uses of key undone.
func (d *DB) ForgetHits(ctx context.Context, key string) error {
	return executed(d.bun.NewDelete().Model((*throttle)(nil)).Where("key = ?", key).Exec(ctx))
}

// wait drops the uses that no longer count, and returns for how long the rest uses up the limit. One that
// is further ahead than the window was noted by a clock that has been set right since.
func (t *throttle) wait(now time.Time, limit int, window time.Duration) time.Duration {
	t.Hits = slices.DeleteFunc(t.Hits, func(hit time.Time) bool { return hit.Sub(now).Abs() >= window })
	if len(t.Hits) < limit {
		return 0
	}
	return t.Hits[len(t.Hits)-limit].Add(window).Sub(now)
}

// insertThrottle counts the first use of a key, and reports false when it is not.
func (d *DB) insertThrottle(ctx context.Context, key string) (bool, error) {
	row := &throttle{Key: key, Hits: []time.Time{d.Now()}, UpdatedAt: d.Now()}
	return changed(d.bun.NewInsert().Model(row).On("CONFLICT (key) DO NOTHING").Exec(ctx))
}

func (d *DB) lockThrottle(ctx context.Context, key string) (*throttle, error) {
	row := &throttle{Key: key, Hits: []time.Time{}, UpdatedAt: d.Now()}
	_, err := d.bun.NewInsert().Model(row).
		On("CONFLICT (key) DO UPDATE").Set("updated_at = EXCLUDED.updated_at").Returning("hits").Exec(ctx)
	return row, mapError(err)
}

// DeleteThrottles forgets the keys that were last used before a time.
func (d *DB) DeleteThrottles(ctx context.Context, before time.Time) error {
	return executed(d.bun.NewDelete().Model((*throttle)(nil)).Where("updated_at < ?", before).Exec(ctx))
}
