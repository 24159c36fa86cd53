package instance_test

import (
	"errors"
	"fmt"
	"testing"

	"studio/db"
	"studio/fault"
	"studio/instance"
)

func TestCreate(t *testing.T) {
	t.Parallel()
	t.Run("Free", func(t *testing.T) {
		on(t, func(s *studio) {
			owner, home := s.owner()
			created, err := s.instances.Create(s.Context(), owner, home.ID, instance.Cloud{
				Name: " Demo ", Region: "eu-west-1", ComputePlanID: "cloud-1gb", StorageGB: 10,
			})
			s.ok(err)
			if db.PrefixOf(created.ID) != db.InstancePrefix || created.OrganizationID != home.ID || *created.RegionID != "eu-west-1" ||
				created.Type != db.Cloud || created.URL != fmt.Sprintf("https://demo-%s.harperdbcloud.com", home.Subdomain) ||
				*created.FreeForUserID != owner.ID || created.StorageChangedAt != nil {
				s.Errorf("got %+v", created)
			}
			s.wantInstance(created.ID, "demo CREATING cloud-1gb 10 GB 0+0 MONTH free")
			s.settle(created.ID)
			s.wantInstance(created.ID, "demo ACTIVE cloud-1gb 10 GB 0+0 MONTH free")
			s.wantCalls("apply demo cloud-1gb")
			s.wantLog(home,
				"INSTANCE_CREATED Olive Owner created the instance demo.",
				"- INSTANCE_UPDATED demo is running.")
			events, err := s.db.EventsAfter(s.Context(), home.ID, 1, 10)
			s.ok(err)
			for _, e := range events {
				if e.SubjectID != created.ID {
					s.Errorf("%s is about %s", e.Type, e.SubjectID)
				}
			}
		})
	})
	t.Run("Paid", func(t *testing.T) {
		on(t, func(s *studio) {
			owner, home := s.paying()
			created, err := s.instances.Create(s.Context(), owner, home.ID, costly)
			s.ok(err)
			if got := describe(created); got != "demo CREATING cloud-2gb 100 GB 1999+2250 MONTH billed" {
				s.Errorf("got %s", got)
			}
			s.settle(created.ID)
			s.wantInstance(created.ID, "demo ACTIVE cloud-2gb 100 GB 1999+2250 MONTH billed")
			s.wantLog(home,
				"INSTANCE_CREATED Olive Owner created the instance demo.",
				"- INSTANCE_UPDATED demo is running.")
		})
	})
	t.Run("FreePlanWithPaidStorage", func(t *testing.T) {
		on(t, func(s *studio) {
			owner, home := s.paying()
			created := s.running(owner, home, instance.Cloud{Name: "demo", Region: "eu-west-1", ComputePlanID: "cloud-1gb", StorageGB: 100})
			s.wantInstance(created.ID, "demo ACTIVE cloud-1gb 100 GB 0+2250 MONTH billed")
		})
	})
	t.Run("Refused", func(t *testing.T) {
		on(t, testCreateRefused)
	})
	t.Run("Declined", func(t *testing.T) {
		on(t, func(s *studio) {
			owner, home := s.owner()
			s.card(owner, home, "pm_card_chargeCustomerFail")
			s.refuses(home, fault.CardDeclined, "", func() error {
				_, err := s.instances.Create(s.Context(), owner, home.ID, costly)
				return err
			})
			s.wantBilled(home, 0, 0)
			s.card(owner, home, "pm_card_visa")
			s.running(owner, home, costly) // the name is free again
			s.wantBilled(home, 1, 1)
		})
	})
	// Stripe does not answer, and refuses later, when nobody waits for the answer any more.
	t.Run("DeclinedInTheBackground", func(t *testing.T) {
		on(t, func(s *studio) {
			owner, home := s.owner()
			s.card(owner, home, "pm_card_chargeCustomerFail")
			s.stripe.answers(0)
			created, err := s.instances.Create(s.Context(), owner, home.ID, costly)
			s.ok(err)
			s.wantInstance(created.ID, "demo CREATING cloud-2gb 100 GB 1999+2250 MONTH")
			s.stripe.works()
			s.wantFault(s.turn(created.ID), fault.CardDeclined, "")
			s.wantInstance(created.ID, "gone")
			s.wantCalls()
			s.wantLog(home, "- PAYMENT_FAILED The instance demo was not created: "+declined)
		})
	})
	t.Run("BilledInTheBackground", func(t *testing.T) {
		on(t, func(s *studio) {
			owner, home := s.paying()
			s.stripe.answers(0)
			created, err := s.instances.Create(s.Context(), owner, home.ID, costly)
			s.ok(err)
			if err := s.turn(created.ID); err == nil {
				s.Error("Stripe has answered")
			}
			s.stripe.works()
			s.settle(created.ID)
			s.wantInstance(created.ID, "demo ACTIVE cloud-2gb 100 GB 1999+2250 MONTH billed")
		})
	})
	// The process ends after Stripe was told and before the job is removed: another does it again.
	t.Run("Again", func(t *testing.T) {
		on(t, func(s *studio) {
			owner, home := s.paying()
			s.stripe.answers(0)
			created, err := s.instances.Create(s.Context(), owner, home.ID, costly)
			s.ok(err)
			s.stripe.works()
			again := s.copyJob(created.ID)
			s.ok(s.turn(created.ID))
			other := s.process(s.T)
			again(other)
			s.settle(created.ID)
			again(other)
			s.wantCalls("apply demo cloud-2gb")
			s.wantLog(home,
				"INSTANCE_CREATED Olive Owner created the instance demo.",
				"- INSTANCE_UPDATED demo is running.")
		})
	})
	t.Run("GivenUp", func(t *testing.T) {
		on(t, func(s *studio) {
			owner, home := s.paying()
			s.stripe.answers(0)
			created, err := s.instances.Create(s.Context(), owner, home.ID, costly)
			s.ok(err)
			s.lastAttempt(created.ID)
			s.wantInstance(created.ID, "gone")
			s.wantLog(home, "- PAYMENT_FAILED The instance demo was not created: The payment service did not answer.")
		})
	})
	// What cannot be set up is billed no more than it costs, once that is not tried any more.
	t.Run("CannotBeSetUp", func(t *testing.T) {
		on(t, func(s *studio) {
			owner, home := s.paying()
			created, err := s.instances.Create(s.Context(), owner, home.ID, costly)
			s.ok(err)
			s.provisioner.will(fails)
			if err := s.turn(created.ID); !errors.Is(err, errOnPurpose) {
				s.Errorf("got the error %v", err)
			}
			_, err = s.db.Pool().ExecContext(s.Context(), "UPDATE instances SET compute_amount = 999")
			s.ok(err)
			for _, invoices := range []int{1, 2} {
				s.ok(s.bills.Sweep(s.Context()))
				s.wantBilled(home, 1, invoices)
				s.wantInstance(created.ID, "demo FAILED cloud-2gb 100 GB 999+2250 MONTH billed")
				if invoices == 1 {
					s.lastAttempt(created.ID)
				}
			}
		})
	})
	// The organization goes and has nothing, or stays and has the instance.
	t.Run("AgainstDeleteOrganization", func(t *testing.T) {
		on(t, func(s *studio) {
			for n := range 10 {
				wanted := free
				owner, home := s.paying()
				if n%2 == 0 {
					wanted = costly
				}
				results := race(func() error {
					_, err := s.instances.Create(s.Context(), owner, home.ID, wanted)
					return err
				}, func() error {
					return s.organizations.Delete(s.Context(), owner, home.ID, home.Name)
				})
				s.wantOneWinner(results, fault.OrganizationNotEmpty, fault.Conflict, fault.NotFound)
				billed := 0
				if results[0] == nil && n%2 == 0 {
					billed = 1
				}
				s.wantBilled(home, billed, billed)
			}
		})
	})
	// Many ask for one name at once, with plans that have nothing else in common.
	t.Run("NameAtOnce", func(t *testing.T) {
		on(t, func(s *studio) {
			owner, home := s.owner()
			var attempts []func() error
			for n := range 8 {
				wanted := installed
				wanted.Port += n
				attempts = append(attempts, func() error {
					_, err := s.instances.Register(s.Context(), owner, home.ID, wanted)
					return err
				})
			}
			s.wantOneWinner(race(attempts...), fault.InstanceNameTaken)
		})
	})
}

func testCreateRefused(s *studio) {
	owner, home := s.owner()
	s.running(owner, home, instance.Cloud{Name: "taken", Region: "eu-west-1", ComputePlanID: "cloud-1gb", StorageGB: 10})
	member, stranger := s.member(home), s.user()
	for name, test := range map[string]struct {
		actor  *db.User
		change func(wanted *instance.Cloud)
		code   fault.Code
		field  string
	}{
		"Name":              {owner, func(w *instance.Cloud) { w.Name = "-demo" }, fault.InvalidInput, "name"},
		"NameTaken":         {owner, func(w *instance.Cloud) { w.Name = "Taken" }, fault.InstanceNameTaken, "name"},
		"Region":            {owner, func(w *instance.Cloud) { w.Region = "eu-west-9" }, fault.InvalidInput, "region"},
		"NoPlan":            {owner, func(w *instance.Cloud) { w.ComputePlanID = "cloud-16gb" }, fault.InvalidInput, "computePlanId"},
		"PlanOfAnotherType": {owner, func(w *instance.Cloud) { w.ComputePlanID = "enterprise-1gb" }, fault.InvalidInput, "computePlanId"},
		"Storage":           {owner, func(w *instance.Cloud) { w.StorageGB = 11 }, fault.InvalidInput, "storageGb"},
		"FreeLimit":         {owner, func(*instance.Cloud) {}, fault.FreeLimitReached, "computePlanId"},
		"NoCard":            {owner, func(w *instance.Cloud) { w.ComputePlanID = "cloud-2gb" }, fault.PaymentMethodRequired, ""},
		"NoCardForStorage":  {owner, func(w *instance.Cloud) { w.StorageGB = 100 }, fault.PaymentMethodRequired, ""},
		"Member":            {member, func(*instance.Cloud) {}, fault.Forbidden, "organizationId"},
		"Stranger":          {stranger, func(*instance.Cloud) {}, fault.NotFound, "organizationId"},
	} {
		s.refuses(home, test.code, test.field, func() error {
			wanted := free
			test.change(&wanted)
			_, err := s.instances.Create(s.Context(), test.actor, home.ID, wanted)
			return fmt.Errorf("%s: %w", name, err)
		})
	}
	s.ok(s.db.SetOrganizationClosing(s.Context(), home.ID, true))
	s.refuses(home, fault.Conflict, "organizationId", func() error {
		_, err := s.instances.Create(s.Context(), owner, home.ID, free)
		return err
	})
}

func TestRegister(t *testing.T) {
	t.Parallel()
	t.Run("Free", func(t *testing.T) {
		on(t, func(s *studio) {
			owner, home := s.owner()
			registered, err := s.instances.Register(s.Context(), owner, home.ID, installed)
			s.ok(err)
			if registered.Type != db.UserInstalled || registered.URL != "https://db.example.com:9925" || registered.RegionID != nil {
				s.Errorf("got %+v", registered)
			}
			s.settle(registered.ID)
			s.wantInstance(registered.ID, "mine ACTIVE enterprise-1gb 0+0 YEAR")
			s.wantLog(home,
				"INSTANCE_CREATED Olive Owner registered the instance mine.",
				"- INSTANCE_UPDATED mine is running.")
		})
	})
	t.Run("Paid", func(t *testing.T) {
		on(t, func(s *studio) {
			owner, home := s.paying()
			wanted := installed
			wanted.ComputePlanID = "enterprise-2gb"
			registered, err := s.instances.Register(s.Context(), owner, home.ID, wanted)
			s.ok(err)
			s.settle(registered.ID)
			s.wantInstance(registered.ID, "mine ACTIVE enterprise-2gb 19190+0 YEAR billed")
		})
	})
	// The limit of free instances is for those in the cloud.
	t.Run("ManyFree", func(t *testing.T) {
		on(t, func(s *studio) {
			owner, home := s.owner()
			s.running(owner, home, free)
			for n := range 3 {
				wanted := installed
				wanted.Name, wanted.Port = fmt.Sprintf("mine%d", n), 9000+n
				_, err := s.instances.Register(s.Context(), owner, home.ID, wanted)
				s.ok(err)
			}
		})
	})
	// An address is one instance in an organization, and may be one in another.
	t.Run("OtherOrganization", func(t *testing.T) {
		on(t, func(s *studio) {
			owner, home := s.owner()
			for _, organization := range []*db.Organization{home, s.found(owner)} {
				_, err := s.instances.Register(s.Context(), owner, organization.ID, installed)
				s.ok(err)
			}
		})
	})
	t.Run("Refused", func(t *testing.T) {
		on(t, func(s *studio) {
			owner, home := s.owner()
			taken, other := installed, installed
			taken.Name = "taken"
			other.Name, other.Port = "other", 2
			for _, wanted := range []instance.Installed{taken, other} {
				_, err := s.instances.Register(s.Context(), owner, home.ID, wanted)
				s.ok(err)
			}
			for name, test := range map[string]struct {
				change func(wanted *instance.Installed)
				code   fault.Code
				field  string
			}{
				"Name":              {func(w *instance.Installed) { w.Name = "" }, fault.InvalidInput, "name"},
				"Host":              {func(w *instance.Installed) { w.Host = "https://db.example.com" }, fault.InvalidInput, "host"},
				"Port":              {func(w *instance.Installed) { w.Port = 0 }, fault.InvalidInput, "port"},
				"PlanOfAnotherType": {func(w *instance.Installed) { w.ComputePlanID = "cloud-1gb" }, fault.InvalidInput, "computePlanId"},
				"NameTaken":         {func(w *instance.Installed) { w.Name, w.Port = "taken", 1 }, fault.InstanceNameTaken, "name"},
				"BothTaken":         {func(w *instance.Installed) { w.Name, w.Port = "taken", 2 }, fault.InstanceNameTaken, "name"},
				"URLTaken":          {func(w *instance.Installed) { w.Host = "DB.example.com." }, fault.InstanceURLTaken, "host"},
				"NoCard":            {func(w *instance.Installed) { w.Port, w.ComputePlanID = 1, "enterprise-2gb" }, fault.PaymentMethodRequired, ""},
			} {
				s.refuses(home, test.code, test.field, func() error {
					wanted := installed
					test.change(&wanted)
					_, err := s.instances.Register(s.Context(), owner, home.ID, wanted)
					return fmt.Errorf("%s: %w", name, err)
				})
			}
		})
	})
}

// A founder has one free cloud instance over all the organizations they founded.
func TestFreeLimit(t *testing.T) {
	t.Parallel()
	t.Run("OverOrganizations", func(t *testing.T) {
		on(t, func(s *studio) {
			founder, home := s.owner()
			second := s.found(founder)
			first := s.running(founder, home, free)
			s.refuses(second, fault.FreeLimitReached, "computePlanId", func() error {
				_, err := s.instances.Create(s.Context(), founder, second.ID, free)
				return err
			})
			s.ok(s.instances.Delete(s.Context(), founder, first.ID, "demo"))
			s.settle(first.ID)
			s.running(founder, second, free)
		})
	})
	// Whoever creates it: the limit is the founder's, and owners by invitation have their own.
	t.Run("OfTheFounder", func(t *testing.T) {
		on(t, func(s *studio) {
			founder, home := s.owner()
			guest, theirs := s.owner()
			now := s.db.Now()
			s.ok(s.db.InsertMembership(s.Context(), &db.Membership{
				ID: db.NewID(db.MembershipPrefix), OrganizationID: home.ID, Email: guest.Email, UserID: &guest.ID,
				Status: db.Accepted, IsOwner: true, AcceptedAt: &now,
			}))
			s.running(guest, home, free)
			s.running(guest, theirs, free)
			_, err := s.instances.Create(s.Context(), founder, s.found(founder).ID, free)
			s.wantFault(err, fault.FreeLimitReached, "computePlanId")
		})
	})
	t.Run("NoFounder", func(t *testing.T) {
		on(t, func(s *studio) {
			owner, home := s.owner()
			_, err := s.db.Pool().ExecContext(s.Context(), "UPDATE organizations SET created_by_id = NULL")
			s.ok(err)
			first, second := free, free
			second.Name = "second"
			s.running(owner, home, first)
			s.running(owner, home, second)
		})
	})
	t.Run("CreateAtOnce", func(t *testing.T) {
		on(t, func(s *studio) {
			for range 20 {
				founder, home := s.owner()
				second := s.found(founder)
				create := func(in *db.Organization) func() error {
					return func() error {
						_, err := s.instances.Create(s.Context(), founder, in.ID, free)
						return err
					}
				}
				s.wantOneWinner(race(create(home), create(second)), fault.FreeLimitReached)
			}
		})
	})
	t.Run("CreateAgainstResize", func(t *testing.T) {
		on(t, func(s *studio) {
			for range 20 {
				founder, home := s.paying()
				costs := s.running(founder, home, instance.Cloud{Name: "costs", Region: "eu-west-1", ComputePlanID: "cloud-2gb", StorageGB: 10})
				second := s.found(founder)
				plan := "cloud-1gb"
				s.wantOneWinner(race(func() error {
					_, err := s.instances.Create(s.Context(), founder, second.ID, free)
					return err
				}, func() error {
					_, err := s.instances.Resize(s.Context(), founder, costs.ID, &plan, nil)
					return err
				}), fault.FreeLimitReached)
				found, err := s.db.InstancesOf(s.Context(), second.ID)
				s.ok(err)
				isFree := s.instance(costs.ID).FreeForUserID != nil
				if isFree == (len(found) == 1) {
					s.Errorf("resized: %t, created: %d", isFree, len(found))
				}
			}
		})
	})
}

// declined is what people are told of a card that was refused.
const declined = "Your card was declined. Your request was not carried out. Set another card, or ask your bank."
