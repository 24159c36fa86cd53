package instance_test

import (
	"errors"
	"fmt"
	"testing"

	"studio/db"
	"studio/fault"
)

func TestDelete(t *testing.T) {
	t.Parallel()
	t.Run("Free", func(t *testing.T) {
		on(t, func(s *studio) {
			owner, home := s.owner()
			demo := s.running(owner, home, free)
			s.ok(s.instances.Delete(s.Context(), owner, demo.ID, "demo"))
			s.wantInstance(demo.ID, "demo DELETING cloud-1gb 10 GB 0+0 MONTH free")
			s.settle(demo.ID)
			s.wantInstance(demo.ID, "gone")
			s.wantCalls("apply demo cloud-1gb", "remove demo")
			s.wantLog(home,
				"INSTANCE_CREATED Olive Owner created the instance demo.",
				"- INSTANCE_UPDATED demo is running.",
				"INSTANCE_UPDATED Olive Owner is deleting demo.",
				"INSTANCE_DELETED Olive Owner deleted the instance demo.")
			s.running(owner, home, free) // name and free place are to be had again
		})
	})
	t.Run("Paid", func(t *testing.T) {
		on(t, func(s *studio) {
			owner, home := s.paying()
			demo := s.running(owner, home, costly)
			s.ok(s.instances.Delete(s.Context(), owner, demo.ID, "demo"))
			s.wantInstance(demo.ID, "demo DELETING cloud-2gb 100 GB 1999+2250 MONTH") // no longer billed
			s.settle(demo.ID)
			s.wantInstance(demo.ID, "gone")
			s.wantLog(home,
				"INSTANCE_CREATED Olive Owner created the instance demo.",
				"- INSTANCE_UPDATED demo is running.",
				"INSTANCE_UPDATED Olive Owner is deleting demo.",
				"INSTANCE_DELETED Olive Owner deleted the instance demo.")
		})
	})
	// The price that was agreed is none, and Stripe bills nevertheless.
	t.Run("PaidForNothing", func(t *testing.T) {
		on(t, func(s *studio) {
			owner, home := s.paying()
			demo := s.running(owner, home, costly)
			_, err := s.db.Pool().ExecContext(s.Context(), "UPDATE instances SET compute_amount = 0, storage_amount = 0")
			s.ok(err)
			s.ok(s.instances.Delete(s.Context(), owner, demo.ID, "demo"))
			s.settle(demo.ID)
			s.wantBilled(home, 0, 2) // with the one that credits what was not used
		})
	})
	t.Run("UserInstalled", func(t *testing.T) {
		on(t, func(s *studio) {
			owner, home := s.owner()
			mine, err := s.instances.Register(s.Context(), owner, home.ID, installed)
			s.ok(err)
			s.settle(mine.ID)
			s.ok(s.instances.Delete(s.Context(), owner, mine.ID, "mine"))
			s.settle(mine.ID)
			s.wantInstance(mine.ID, "gone")
		})
	})
	// Stripe does not answer: what was asked for goes on in the background.
	t.Run("InTheBackground", func(t *testing.T) {
		on(t, func(s *studio) {
			owner, home := s.paying()
			demo := s.running(owner, home, costly)
			s.stripe.answers(0)
			s.ok(s.instances.Delete(s.Context(), owner, demo.ID, "demo"))
			s.wantInstance(demo.ID, "demo DELETING cloud-2gb 100 GB 1999+2250 MONTH billed")
			s.stripe.works()
			s.settle(demo.ID)
			s.wantInstance(demo.ID, "gone")
		})
	})
	// The process ends after Stripe was told and before the job is removed.
	t.Run("Again", func(t *testing.T) {
		on(t, func(s *studio) {
			owner, home := s.paying()
			demo := s.running(owner, home, costly)
			s.stripe.answers(0)
			s.ok(s.instances.Delete(s.Context(), owner, demo.ID, "demo"))
			s.stripe.works()
			again := s.copyJob(demo.ID)
			s.ok(s.turn(demo.ID))
			other := s.process(s.T)
			again(other)
			s.settle(demo.ID)
			again(other)
			s.wantCalls("apply demo cloud-2gb", "remove demo")
			s.wantLog(home,
				"INSTANCE_CREATED Olive Owner created the instance demo.",
				"- INSTANCE_UPDATED demo is running.",
				"INSTANCE_UPDATED Olive Owner is deleting demo.",
				"INSTANCE_DELETED Olive Owner deleted the instance demo.")
		})
	})
	t.Run("GivenUp", func(t *testing.T) {
		on(t, func(s *studio) {
			owner, home := s.paying()
			demo := s.running(owner, home, costly)
			s.stripe.answers(0)
			s.ok(s.instances.Delete(s.Context(), owner, demo.ID, "demo"))
			s.lastAttempt(demo.ID)
			s.wantInstance(demo.ID, "demo ACTIVE cloud-2gb 100 GB 1999+2250 MONTH billed")
			log := s.log(home)
			if last := log[len(log)-1]; last != "- INSTANCE_UPDATED The instance demo was not deleted: The payment service did not answer." {
				s.Errorf("the log ends with %s", last)
			}
		})
	})
	// What cannot be removed stays in deletion while that is tried, and can then be deleted anew.
	t.Run("CannotBeRemoved", func(t *testing.T) {
		on(t, func(s *studio) {
			owner, home := s.owner()
			demo := s.running(owner, home, free)
			s.ok(s.instances.Delete(s.Context(), owner, demo.ID, "demo"))
			s.provisioner.will(fails)
			if err := s.turn(demo.ID); !errors.Is(err, errOnPurpose) {
				s.Errorf("got the error %v", err)
			}
			s.wantInstance(demo.ID, "demo DELETING cloud-1gb 10 GB 0+0 MONTH free")
			s.deletableOnceGivenUp(owner, demo.ID)
			s.wantLog(home,
				"INSTANCE_CREATED Olive Owner created the instance demo.",
				"- INSTANCE_UPDATED demo is running.",
				"INSTANCE_UPDATED Olive Owner is deleting demo.",
				"- INSTANCE_UPDATED demo could not be deleted.",
				"INSTANCE_UPDATED Olive Owner is deleting demo.",
				"INSTANCE_DELETED Olive Owner deleted the instance demo.")
		})
	})
	t.Run("Refused", func(t *testing.T) {
		on(t, func(s *studio) {
			owner, home := s.owner()
			demo := s.running(owner, home, free)
			member, stranger := s.member(home), s.user()
			for name, test := range map[string]struct {
				actor       *db.User
				id, confirm string
				code        fault.Code
				field       string
			}{
				"OtherName":  {owner, demo.ID, "dem", fault.ConfirmationMismatch, "confirmName"},
				"Case":       {owner, demo.ID, "Demo", fault.ConfirmationMismatch, "confirmName"},
				"Space":      {owner, demo.ID, "demo ", fault.ConfirmationMismatch, "confirmName"},
				"Empty":      {owner, demo.ID, "", fault.ConfirmationMismatch, "confirmName"},
				"Member":     {member, demo.ID, "demo", fault.Forbidden, "instanceId"},
				"Stranger":   {stranger, demo.ID, "demo", fault.NotFound, "instanceId"},
				"NoInstance": {owner, db.NewID(db.InstancePrefix), "demo", fault.NotFound, "instanceId"},
			} {
				s.refuses(home, test.code, test.field, func() error {
					return fmt.Errorf("%s: %w", name, s.instances.Delete(s.Context(), test.actor, test.id, test.confirm))
				})
			}
			for _, status := range []db.InstanceStatus{db.InstanceCreating, db.InstanceUpdating, db.InstanceDeleting} {
				busy := *demo
				busy.Status = status
				s.ok(s.db.UpdateInstance(s.Context(), &busy))
				s.refuses(home, fault.InstanceBusy, "instanceId", func() error {
					return s.instances.Delete(s.Context(), owner, demo.ID, "demo")
				})
			}
		})
	})
	t.Run("AtOnce", func(t *testing.T) {
		on(t, func(s *studio) {
			owner, home := s.owner()
			for range 5 {
				demo := s.running(owner, home, free)
				attempt := func() error { return s.instances.Delete(s.Context(), owner, demo.ID, "demo") }
				s.wantOneWinner(race(attempt, attempt, attempt, attempt), fault.InstanceBusy, fault.NotFound)
				s.settle(demo.ID)
				s.wantInstance(demo.ID, "gone")
			}
		})
	})
}
