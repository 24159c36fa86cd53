package resolvers

// Rates: how many operations a caller and an address may send. They are counted in memory, by each
// server for itself, so that what is refused reaches no database.

import (
	"context"
	"fmt"
	"hash/maphash"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/time/rate"

	"studio/fault"
)

const (
	// burst is how many seconds' worth of operations may come at once. A batch must fit in.
	burst = 10
	// behindAddress is how many busy callers an address may have: an office shares one.
	behindAddress = 4
	// maxRates bounds the memory: of callers and of addresses, those that were quiet for longest are
	// forgotten, and may begin anew.
	maxRates = 50_000
)

// rates are token buckets, one for each caller and one for each address.
type rates struct {
	now func() time.Time
	// A token that is written like an address must not count as that address: hence two seeds.
	ofAddresses, ofTokens maphash.Seed

	mu        sync.Mutex
	addresses buckets
	callers   buckets
}

// newRates allows a number of operations a second to each caller.
func newRates(perSecond int, now func() time.Time) *rates {
	return &rates{
		now: now, ofAddresses: maphash.MakeSeed(), ofTokens: maphash.MakeSeed(),
		addresses: newBuckets(perSecond * behindAddress), callers: newBuckets(perSecond),
	}
}

// limiter refuses operations of whoever has sent too many.
type limiter func(ctx context.Context, operations int) error

// limiter makes one, which refuses nothing when no limit is set.
func (r *Resolvers) limiter(options HandlerOptions) limiter {
	if options.RateLimit == 0 {
		return func(context.Context, int) error { return nil }
	}
	return newRates(options.RateLimit, r.DB.Now).limit
}

// limit is a limiter. Callers are distinguished by their tokens, as only the database knows whose a token is;
// those without one, by address.
func (r *rates) limit(ctx context.Context, operations int) error {
	in := requestOf(ctx)
	address := maphash.String(r.ofAddresses, in.client.Network())
	caller := address
	if token := in.current(); token != "" {
		caller = maphash.String(r.ofTokens, token)
	}
	if wait := r.take(address, caller, operations); wait > 0 {
		return fault.New(fault.RateLimited, "You sent too many operations in too short a time. Try again later.").After(wait)
	}
	return nil
}

// take takes operations out of both buckets, or out of none and returns how long to wait.
func (r *rates) take(address, caller uint64, operations int) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	ofAddress := r.addresses.reserve(address, now, operations)
	if wait := ofAddress.DelayFrom(now); wait > 0 {
		ofAddress.CancelAt(now)
		return wait
	}
	ofCaller := r.callers.reserve(caller, now, operations)
	wait := ofCaller.DelayFrom(now)
	if wait > 0 {
		ofCaller.CancelAt(now)
		ofAddress.CancelAt(now) // or one who is refused would use up what is for others
	}
	return wait
}

// buckets are those of one kind.
type buckets struct {
	perSecond int
	byKey     *simplelru.LRU[uint64, *rate.Limiter]
}

func newBuckets(perSecond int) buckets {
	byKey, err := simplelru.NewLRU[uint64, *rate.Limiter](maxRates, nil)
	if err != nil {
		panic(fmt.Errorf("make room for rates: %w", err)) // the size is a constant
	}
	return buckets{perSecond, byKey}
}

func (b buckets) reserve(key uint64, now time.Time, operations int) *rate.Reservation {
	limiter, known := b.byKey.Get(key)
	if !known {
		limiter = rate.NewLimiter(rate.Limit(b.perSecond), b.perSecond*burst)
		b.byKey.Add(key, limiter)
	}
	return limiter.ReserveN(now, operations)
}
