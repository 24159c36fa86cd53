package instance_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/tidwall/gjson"

	"studio/db"
	"studio/fault"
	"studio/instance"
)

// resize asks for another compute plan unless it is "", and for other storage unless it is 0.
func (s *studio) resize(actor *db.User, id, computePlanID string, storageGB int) error {
	s.Helper()
	var plan *string
	if computePlanID != "" {
		plan = &computePlanID
	}
	var storage *int
	if storageGB != 0 {
		storage = &storageGB
	}
	_, err := s.instances.Resize(s.Context(), actor, id, plan, storage)
	return err
}

func TestResize(t *testing.T) {
	t.Parallel()
	t.Run("Both", func(t *testing.T) {
		on(t, func(s *studio) {
			owner, home := s.paying()
			demo := s.running(owner, home, costly)
			plan, storage := "cloud-4gb", 500
			resized, err := s.instances.Resize(s.Context(), owner, demo.ID, &plan, &storage)
			s.ok(err)
			if got := describe(resized); got != "demo UPDATING cloud-4gb 500 GB 5999+12250 MONTH billed" {
				s.Errorf("got %s", got)
			}
			s.settle(demo.ID)
			s.wantInstance(demo.ID, "demo ACTIVE cloud-4gb 500 GB 5999+12250 MONTH billed")
			s.wantCalls("apply demo cloud-2gb", "apply demo cloud-4gb")
			s.wantLog(home,
				"INSTANCE_CREATED Olive Owner created the instance demo.",
				"- INSTANCE_UPDATED demo is running.",
				"INSTANCE_UPDATED Olive Owner resized demo to 4 GB RAM and 500 GB storage.",
				"- INSTANCE_UPDATED demo is running.")
		})
	})
	t.Run("Down", func(t *testing.T) {
		on(t, func(s *studio) {
			owner, home := s.paying()
			demo := s.running(owner, home, instance.Cloud{Name: "demo", Region: "eu-west-1", ComputePlanID: "cloud-8gb", StorageGB: 10})
			s.ok(s.resize(owner, demo.ID, "cloud-2gb", 0))
			s.settle(demo.ID)
			s.wantInstance(demo.ID, "demo ACTIVE cloud-2gb 10 GB 1999+0 MONTH billed")
		})
	})
	t.Run("UserInstalled", func(t *testing.T) {
		on(t, func(s *studio) {
			owner, home := s.paying()
			mine, err := s.instances.Register(s.Context(), owner, home.ID, installed)
			s.ok(err)
			s.settle(mine.ID)
			s.ok(s.resize(owner, mine.ID, "enterprise-8gb", 0))
			s.settle(mine.ID)
			s.wantInstance(mine.ID, "mine ACTIVE enterprise-8gb 168192+0 YEAR billed")
			s.wantLog(home,
				"INSTANCE_CREATED Olive Owner registered the instance mine.",
				"- INSTANCE_UPDATED mine is running.",
				"INSTANCE_UPDATED Olive Owner resized mine to 8 GB RAM.",
				"- INSTANCE_UPDATED mine is running.")
			s.ok(s.resize(owner, mine.ID, "enterprise-1gb", 0))
			s.settle(mine.ID)
			s.running(owner, home, free) // whose place is not taken by what runs elsewhere for nothing
		})
	})
	// The founder's free instance becomes a paid one, gives the place free, and takes it again, whoever resizes it.
	t.Run("FromFreeAndBack", func(t *testing.T) {
		on(t, func(s *studio) {
			owner, home := s.paying()
			demo := s.running(owner, home, free)
			s.ok(s.resize(owner, demo.ID, "cloud-2gb", 0))
			s.settle(demo.ID)
			s.wantInstance(demo.ID, "demo ACTIVE cloud-2gb 10 GB 1999+0 MONTH billed")
			other := free
			other.Name = "other"
			second := s.running(owner, home, other)
			s.refuses(home, fault.FreeLimitReached, "computePlanId", func() error { return s.resize(owner, demo.ID, "cloud-1gb", 0) })
			s.ok(s.instances.Delete(s.Context(), owner, second.ID, "other"))
			s.settle(second.ID)
			guest := s.member(home)
			_, err := s.db.Pool().ExecContext(s.Context(), "UPDATE memberships SET is_owner = TRUE")
			s.ok(err)
			s.ok(s.resize(guest, demo.ID, "cloud-1gb", 0))
			s.settle(demo.ID)
			s.wantInstance(demo.ID, "demo ACTIVE cloud-1gb 10 GB 0+0 MONTH free")
			_, err = s.instances.Create(s.Context(), owner, s.found(owner).ID, free)
			s.wantFault(err, fault.FreeLimitReached, "computePlanId")
		})
	})
	t.Run("Nothing", func(t *testing.T) {
		on(t, func(s *studio) {
			owner, home := s.owner()
			demo := s.running(owner, home, free)
			before := s.state(home)
			s.ok(s.resize(owner, demo.ID, "", 0))
			s.ok(s.resize(owner, demo.ID, "cloud-1gb", 10))
			if after := s.state(home); after != before {
				s.Errorf("there is\n%s\nbefore there was\n%s", after, before)
			}
		})
	})
	t.Run("Cooldown", func(t *testing.T) { on(t, testCooldown) })
	t.Run("Refused", func(t *testing.T) { on(t, testResizeRefused) })
	// What was agreed stays, until it is changed itself.
	t.Run("OlderPrice", func(t *testing.T) {
		on(t, func(s *studio) {
			owner, home := s.paying()
			demo := s.running(owner, home, costly)
			_, err := s.db.Pool().ExecContext(s.Context(), "UPDATE instances SET compute_amount = 1500")
			s.ok(err)
			s.ok(s.resize(owner, demo.ID, "", 250))
			s.settle(demo.ID)
			s.wantInstance(demo.ID, "demo ACTIVE cloud-2gb 250 GB 1500+6000 MONTH billed")
			s.ok(s.resize(owner, demo.ID, "cloud-4gb", 0))
			s.settle(demo.ID)
			s.wantInstance(demo.ID, "demo ACTIVE cloud-4gb 250 GB 5999+6000 MONTH billed")
		})
	})
	t.Run("Declined", func(t *testing.T) {
		on(t, func(s *studio) {
			owner, home := s.paying()
			demo := s.running(owner, home, costly)
			s.card(owner, home, "pm_card_chargeCustomerFail")
			s.refuses(home, fault.CardDeclined, "", func() error { return s.resize(owner, demo.ID, "cloud-8gb", 500) })
			s.ok(s.resize(owner, demo.ID, "cloud-1gb", 0)) // which costs less
			s.settle(demo.ID)
			s.wantInstance(demo.ID, "demo ACTIVE cloud-1gb 100 GB 0+2250 MONTH billed")
		})
	})
	// The attempts at setting up what has failed go on when the resize is refused.
	t.Run("DeclinedWhenFailed", func(t *testing.T) {
		on(t, func(s *studio) {
			owner, home := s.owner()
			s.card(owner, home, "pm_card_chargeCustomerFail")
			demo, err := s.instances.Create(s.Context(), owner, home.ID, free)
			s.ok(err)
			s.provisioner.will(fails)
			if err := s.turn(demo.ID); !errors.Is(err, errOnPurpose) {
				s.Fatal(err)
			}
			s.provisioner.will(nil)
			s.wantFault(s.resize(owner, demo.ID, "cloud-2gb", 0), fault.CardDeclined, "")
			s.wantInstance(demo.ID, "demo FAILED cloud-1gb 10 GB 0+0 MONTH free")
			s.settle(demo.ID)
			s.wantInstance(demo.ID, "demo ACTIVE cloud-1gb 10 GB 0+0 MONTH free")
		})
	})
	t.Run("DeclinedInTheBackground", func(t *testing.T) {
		on(t, func(s *studio) {
			owner, home := s.paying()
			demo := s.running(owner, home, costly)
			s.card(owner, home, "pm_card_chargeCustomerFail")
			s.stripe.answers(0)
			s.ok(s.resize(owner, demo.ID, "cloud-8gb", 0))
			s.wantInstance(demo.ID, "demo UPDATING cloud-2gb 100 GB 1999+2250 MONTH billed")
			s.stripe.works()
			s.wantFault(s.turn(demo.ID), fault.CardDeclined, "")
			s.wantInstance(demo.ID, "demo ACTIVE cloud-2gb 100 GB 1999+2250 MONTH billed")
			log := s.log(home)
			if last := log[len(log)-1]; last != "- PAYMENT_FAILED The instance demo was not resized: "+declined {
				s.Errorf("the log ends with %s", last)
			}
		})
	})
	// A failed attempt at setting up the old size is tried again while the new one is being billed.
	t.Run("LateProvisioning", func(t *testing.T) {
		on(t, func(s *studio) {
			owner, home := s.paying()
			demo, err := s.instances.Create(s.Context(), owner, home.ID, free)
			s.ok(err)
			s.provisioner.will(fails)
			if err := s.turn(demo.ID); !errors.Is(err, errOnPurpose) {
				s.Fatal(err)
			}
			late := *s.instance(demo.ID).JobID
			s.provisioner.will(nil)
			s.stripe.answers(0)
			s.ok(s.resize(owner, demo.ID, "cloud-2gb", 0))
			s.ok(s.jobs.Do(s.Context(), late))
			s.wantInstance(demo.ID, "demo UPDATING cloud-1gb 10 GB 0+0 MONTH free")
			s.stripe.works()
			s.settle(demo.ID)
			s.wantInstance(demo.ID, "demo ACTIVE cloud-2gb 10 GB 1999+0 MONTH billed")
			s.wantCalls("apply demo cloud-1gb", "apply demo cloud-2gb")
		})
	})
	t.Run("GivenUp", func(t *testing.T) {
		on(t, func(s *studio) {
			owner, home := s.paying()
			demo := s.running(owner, home, instance.Cloud{Name: "demo", Region: "eu-west-1", ComputePlanID: "cloud-2gb", StorageGB: 10})
			s.stripe.answers(0)
			s.ok(s.resize(owner, demo.ID, "cloud-1gb", 0))
			s.wantInstance(demo.ID, "demo UPDATING cloud-2gb 10 GB 1999+0 MONTH billed free")
			s.lastAttempt(demo.ID)
			s.wantInstance(demo.ID, "demo ACTIVE cloud-2gb 10 GB 1999+0 MONTH billed")
			s.stripe.works()
			s.running(owner, home, instance.Cloud{Name: "other", Region: "eu-west-1", ComputePlanID: "cloud-1gb", StorageGB: 10})
		})
	})
	// Stripe did it and did not answer, not even until that was given up.
	t.Run("GivenUpThoughBilled", func(t *testing.T) {
		for name, c := range map[string]struct {
			instance    instance.Cloud
			row, billed string
		}{
			"Free":   {free, "demo ACTIVE cloud-1gb 10 GB 0+0 MONTH free", ""},
			"Costly": {costly, "demo ACTIVE cloud-2gb 100 GB 1999+2250 MONTH billed", "studio-storage 25, studio-cloud-2gb 1999, "},
		} {
			t.Run(name, func(t *testing.T) {
				on(t, func(s *studio) {
					owner, home := s.paying()
					demo := s.running(owner, home, c.instance)
					s.stripe.answers(3) // the customer, the subscriptions, and a new product
					s.ok(s.resize(owner, demo.ID, "cloud-8gb", 0))
					s.lastAttempt(demo.ID)
					s.stripe.works()
					s.ok(s.bills.Sweep(s.Context()))
					s.wantInstance(demo.ID, c.row)
					account, err := s.db.BillingAccountOf(s.Context(), home.ID)
					s.ok(err)
					objects, err := s.db.SandboxObjects(s.Context(), "subscription", account.CustomerID)
					s.ok(err)
					billed := ""
					for _, item := range gjson.Get(objects[0].Body, `items.data`).Array() {
						if gjson.Get(objects[0].Body, "status").String() == "active" {
							billed += fmt.Sprintf("%s %d, ", item.Get("price.product"), item.Get("price.unit_amount").Int())
						}
					}
					if len(objects) != 1 || billed != c.billed {
						s.Errorf("Stripe has %d subscriptions and bills %s", len(objects), billed)
					}
				})
			})
		}
	})
	t.Run("AgainstDelete", func(t *testing.T) {
		on(t, func(s *studio) {
			owner, home := s.paying()
			for range 20 {
				demo := s.running(owner, home, free)
				results := race(
					func() error { return s.resize(owner, demo.ID, "cloud-2gb", 0) },
					func() error { return s.instances.Delete(s.Context(), owner, demo.ID, "demo") },
				)
				s.wantOneWinner(results, fault.InstanceBusy)
				s.settle(demo.ID)
				if results[1] == nil {
					s.wantInstance(demo.ID, "gone")
					continue
				}
				s.wantInstance(demo.ID, "demo ACTIVE cloud-2gb 10 GB 1999+0 MONTH billed")
				s.ok(s.instances.Delete(s.Context(), owner, demo.ID, "demo"))
				s.settle(demo.ID)
			}
		})
	})
}

func testCooldown(s *studio) {
	owner, home := s.paying()
	demo := s.running(owner, home, costly)
	s.ok(s.resize(owner, demo.ID, "", 250))
	s.settle(demo.ID)
	changed := s.instance(demo.ID)
	at := changed.StorageChangedAt.Add(6 * time.Hour)
	for now, want := range map[time.Time]bool{*changed.StorageChangedAt: false, at.Add(-time.Microsecond): false, at: true} {
		if got := instance.StorageResizableAt(changed, now); (got == nil) != want || got != nil && !got.Equal(at) {
			s.Errorf("at %s storage is resizable at %v", now, got)
		}
	}
	s.refuses(home, fault.ResizeCooldown, "storageGb", func() error {
		err := s.resize(owner, demo.ID, "", 500)
		if refused, _ := errors.AsType[*fault.Error](err); refused.RetryAfter <= 6*time.Hour-time.Minute || refused.RetryAfter > 6*time.Hour {
			s.Errorf("to be tried again after %s", refused.RetryAfter)
		}
		return err
	})
	s.clock.Advance(5 * time.Hour)
	s.ok(s.resize(owner, demo.ID, "cloud-4gb", 0)) // compute neither has a cooldown nor begins one
	s.settle(demo.ID)
	s.clock.Advance(time.Hour)
	s.ok(s.resize(owner, demo.ID, "", 500))
	s.settle(demo.ID)
	s.wantInstance(demo.ID, "demo ACTIVE cloud-4gb 500 GB 5999+12250 MONTH billed")
}

func testResizeRefused(s *studio) {
	owner, home := s.paying()
	demo := s.running(owner, home, costly)
	mine, err := s.instances.Register(s.Context(), owner, home.ID, installed)
	s.ok(err)
	s.settle(mine.ID)
	poor, other := s.owner()
	unpaid := s.running(poor, other, free)
	member, stranger := s.member(home), s.user()
	for name, test := range map[string]struct {
		actor     *db.User
		id, plan  string
		storageGB int
		code      fault.Code
		field     string
	}{
		"NoPlan":               {owner, demo.ID, "cloud-16gb", 0, fault.InvalidInput, "computePlanId"},
		"PlanOfAnotherType":    {owner, demo.ID, "enterprise-2gb", 0, fault.InvalidInput, "computePlanId"},
		"LessStorage":          {owner, demo.ID, "", 10, fault.InvalidInput, "storageGb"},
		"LessStorageMoreRAM":   {owner, demo.ID, "cloud-8gb", 10, fault.InvalidInput, "storageGb"},
		"NoSuchStorage":        {owner, demo.ID, "", 101, fault.InvalidInput, "storageGb"},
		"UserInstalledStorage": {owner, mine.ID, "", 100, fault.InvalidInput, "storageGb"},
		"UserInstalledCloud":   {owner, mine.ID, "cloud-2gb", 0, fault.InvalidInput, "computePlanId"},
		"NoCard":               {poor, unpaid.ID, "cloud-2gb", 0, fault.PaymentMethodRequired, ""},
		"Member":               {member, demo.ID, "cloud-4gb", 0, fault.Forbidden, "instanceId"},
		"Stranger":             {stranger, demo.ID, "cloud-4gb", 0, fault.NotFound, "instanceId"},
		"NoInstance":           {owner, db.NewID(db.InstancePrefix), "cloud-4gb", 0, fault.NotFound, "instanceId"},
		"NoID":                 {owner, home.ID, "cloud-4gb", 0, fault.NotFound, "instanceId"},
	} {
		s.refuses(home, test.code, test.field, func() error {
			return fmt.Errorf("%s: %w", name, s.resize(test.actor, test.id, test.plan, test.storageGB))
		})
	}
	for _, status := range []db.InstanceStatus{db.InstanceCreating, db.InstanceUpdating, db.InstanceDeleting} {
		busy := *demo
		busy.Status = status
		s.ok(s.db.UpdateInstance(s.Context(), &busy))
		s.refuses(home, fault.InstanceBusy, "instanceId", func() error { return s.resize(owner, demo.ID, "cloud-4gb", 0) })
	}
	s.ok(s.db.UpdateInstance(s.Context(), demo))
	s.overdue(home)
	s.refuses(home, fault.PaymentOverdue, "", func() error { return s.resize(owner, demo.ID, "cloud-4gb", 0) })
	s.ok(s.resize(owner, demo.ID, "cloud-1gb", 0)) // which costs less
}
