package db_test

import (
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"studio/db"
)

// hit uses a key that may be used three times in ten minutes, in a transaction as it must be.
func (s *store) hit() (wait time.Duration, err error) {
	err = s.InTx(s.Context(), func(tx *db.DB) (err error) {
		wait, err = tx.Hit(s.Context(), "key", 3, 10*time.Minute)
		return err
	})
	return wait, err
}

// wantHit checks what HitWait foretells and Hit then says.
func (s *store) wantHit(want time.Duration) {
	s.Helper()
	foretold, err := s.HitWait(s.Context(), "key", 3, 10*time.Minute)
	s.ok(err)
	wait, err := s.hit()
	s.ok(err)
	if wait != want || foretold != want {
		s.Errorf("at %s: the wait is %s, was foretold as %s, want %s", s.Now().Format(time.TimeOnly), wait, foretold, want)
	}
}

func TestThrottle(t *testing.T) {
	t.Parallel()
	t.Run("SlidingWindow", func(t *testing.T) {
		on(t, func(s *store) {
			for _, step := range []struct{ minute, wait time.Duration }{
				{0, 0}, {4, 0}, {6, 0},
				{7, 3}, {9, 1}, // refused, which does not count
				{10, 0}, // the use in minute 0 is ten minutes ago
				{11, 3}, {14, 0}, {15, 1},
				{38, 0}, {39, 0}, {40, 0}, {40, 8},
			} {
				s.clock.Set(noon.Add(step.minute * time.Minute))
				s.wantHit(step.wait * time.Minute)
			}
			// A limit that was lowered meanwhile counts from the newest uses.
			s.clock.Set(noon.Add(45 * time.Minute))
			wait, err := s.HitWait(s.Context(), "key", 1, 10*time.Minute)
			s.ok(err)
			if wait != 5*time.Minute {
				s.Errorf("with a lower limit the wait is %s", wait)
			}
		})
	})
	t.Run("OtherKeys", func(t *testing.T) {
		on(t, func(s *store) {
			for _, key := range []string{"key", "key 2"} {
				s.ok(s.InTx(s.Context(), func(tx *db.DB) error {
					wait, err := tx.Hit(s.Context(), key, 1, time.Minute)
					if wait > 0 {
						s.Errorf("%s: the wait is %s", key, wait)
					}
					return err
				}))
			}
		})
	})
	t.Run("Rollback", func(t *testing.T) {
		on(t, func(s *store) {
			for range 4 {
				wantError(s.T, "InTx", s.InTx(s.Context(), func(tx *db.DB) error {
					_, err := tx.Hit(s.Context(), "key", 3, 10*time.Minute)
					s.ok(err)
					return errOnPurpose
				}), errOnPurpose)
			}
			s.wantHit(0)
		})
	})
	t.Run("InParallel", func(t *testing.T) {
		on(t, func(s *store) {
			var counted atomic.Int32
			var hits errgroup.Group
			for range 50 {
				hits.Go(func() error {
					wait, err := s.hit()
					if err == nil && wait == 0 {
						counted.Add(1)
					}
					return err
				})
			}
			s.ok(hits.Wait())
			if got := counted.Load(); got != 3 {
				s.Errorf("%d of 50 counted, 3 are allowed", got)
			}
		})
	})
	t.Run("ForgetHits", func(t *testing.T) {
		on(t, func(s *store) {
			for range 3 {
				s.wantHit(0)
			}
			s.wantHit(10 * time.Minute)
			s.ok(s.ForgetHits(s.Context(), "key"))
			s.wantHit(0)
		})
	})
	t.Run("DeleteThrottles", func(t *testing.T) {
		on(t, func(s *store) {
			for range 3 {
				s.wantHit(0)
			}
			s.ok(s.DeleteThrottles(s.Context(), noon))
			s.wantHit(10 * time.Minute)
			s.ok(s.DeleteThrottles(s.Context(), noon.Add(time.Second)))
			s.wantHit(0)
		})
	})
}
