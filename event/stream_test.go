package event

import (
	"context"
	"sync"
	"testing"

	"studio/db"
	"studio/fault"
)

// TestRevokedWhileReading takes what a caller is in the middle of reading: the next is what comes next, or nothing.
func TestRevokedWhileReading(t *testing.T) {
	t.Parallel()
	const events = 10
	organizationID := db.NewID(db.OrganizationPrefix)
	for name, revoke := range map[string]func(f *follower){
		"Demoted":   func(f *follower) { f.see(&db.Membership{}) },
		"SignedOut": func(f *follower) { f.revoke(fault.ErrSignedOut) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for range 5_000 {
				f := &follower{subscription: newSubscription[*db.Event](Caller{}, withCursor), owner: true}
				for seq := range events {
					f.offer(&db.Event{Seq: int64(seq), SubjectID: organizationID})
				}
				var reading sync.WaitGroup
				reading.Go(func() {
					for want := range events {
						if e, err := f.Next(context.Background()); err != nil {
							return
						} else if e.Seq != int64(want) {
							t.Errorf("number %d came instead of %d", e.Seq, want)
						}
					}
				})
				revoke(f)
				reading.Wait()
			}
		})
	}
}
