package dbtest

import (
	"sync/atomic"
	"time"
)

// Clock is the time that a database believes in: the real one, or one that stands still, and what a test
// adds to it.
type Clock struct {
	// Start is where the clock stands still; it goes if this is zero.
	Start time.Time
	ahead atomic.Int64
}

// Now is for db.WithClock.
func (c *Clock) Now() time.Time {
	start := c.Start
	if start.IsZero() {
		start = time.Now()
	}
	return start.Add(time.Duration(c.ahead.Load()))
}

// Advance lets time pass, or sets the clock back.
func (c *Clock) Advance(d time.Duration) { c.ahead.Add(int64(d)) }

// Set moves the clock to a time.
func (c *Clock) Set(to time.Time) { c.Advance(to.Sub(c.Now())) }
