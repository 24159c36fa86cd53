package instance_test

import (
	"fmt"
	"testing"
)

// calls is more calls of Stripe's than any change makes.
const calls = 10

// Stripe stops answering somewhere in the middle of each change: the first call of which nobody is
// told has been done. In the end all is as if nothing had happened, and nothing is there twice.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	for answered := range int64(calls) {
		t.Run(fmt.Sprintf("AfterCall%d", answered), func(t *testing.T) {
			on(t, func(s *studio) {
				owner, home := s.paying()
				var id string
				for n, step := range []struct {
					change        func() error
					want          string
					subscriptions int
				}{
					{func() error {
						created, err := s.instances.Create(s.Context(), owner, home.ID, costly)
						s.ok(err)
						id = created.ID
						return nil
					}, "demo ACTIVE cloud-2gb 100 GB 1999+2250 MONTH billed", 1},
					{func() error { return s.resize(owner, id, "cloud-8gb", 500) }, "demo ACTIVE cloud-8gb 500 GB 17520+12250 MONTH billed", 1},
					{func() error { return s.instances.Delete(s.Context(), owner, id, "demo") }, "gone", 0},
				} {
					s.stripe.answers(answered)
					s.ok(step.change())
					if answered == calls-1 && s.stripe.left.Load() < 0 {
						s.Errorf("change %d makes more than %d calls", n, answered)
					}
					s.stripe.works()
					s.settle(id)
					s.wantInstance(id, step.want)
					s.wantBilled(home, step.subscriptions, n+1)
				}
				s.wantCalls("apply demo cloud-2gb", "apply demo cloud-8gb", "remove demo")
				s.wantLog(home,
					"INSTANCE_CREATED Olive Owner created the instance demo.",
					"- INSTANCE_UPDATED demo is running.",
					"INSTANCE_UPDATED Olive Owner resized demo to 8 GB RAM and 500 GB storage.",
					"- INSTANCE_UPDATED demo is running.",
					"INSTANCE_UPDATED Olive Owner is deleting demo.",
					"INSTANCE_DELETED Olive Owner deleted the instance demo.")
			})
		})
	}
}
