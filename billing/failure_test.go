package billing_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"studio/db"
	"studio/fault"
	"studio/job"
)

// operation is something that talks to Stripe.
type operation struct {
	// prepare makes what do needs.
	prepare func(s *server, name string) *group
	do      func(g *group) error
	// retried tells that the job goes on by itself when Stripe fails; the others are over, and can be
	// repeated.
	retried bool
	// repeated is what a repetition may be answered with, when the first did succeed at Stripe.
	repeated fault.Code
	charged  []int64
	check    func(g *group)
}

// withInstance makes an organization with a card and a paid instance for 28 days.
func withInstance(s *server, name string) *group {
	g := s.carded(name)
	g.paid("one", db.Month, 2800, 0)
	g.work()
	return g
}

func (g *group) only() *db.Instance {
	g.Helper()
	return must(g.db.InstancesOf(g.ctx, g.id))(g.server)[0]
}

var operations = map[string]operation{
	"FirstCard": {
		prepare: (*server).group,
		do:      func(g *group) error { _, err := g.bills.SetCard(g.ctx, g.owner, g.id, "pm_card_visa"); return err },
		charged: []int64{},
		check:   func(g *group) { equal(g.server, "last4", g.account().CardLast4, "4242") },
	},
	"OtherCard": {
		prepare: withInstance,
		do: func(g *group) error {
			_, err := g.bills.SetCard(g.ctx, g.owner, g.id, "pm_card_mastercard")
			return err
		},
		charged: []int64{2800},
		check:   func(g *group) { equal(g.server, "last4", g.account().CardLast4, "4444") },
	},
	"NoCard": {
		prepare: (*server).carded,
		do:      func(g *group) error { _, err := g.bills.RemoveCard(g.ctx, g.owner, g.id); return err },
		charged: []int64{},
		check:   func(g *group) { equal(g.server, "last4", g.account().CardLast4, nil) },
	},
	"Credit": {
		prepare:  (*server).group,
		do:       func(g *group) error { _, _, err := g.bills.AddCoupon(g.ctx, g.owner, g.id, "WELCOME50"); return err },
		retried:  true,
		repeated: fault.CouponAlreadyAdded,
		charged:  []int64{},
		check:    func(g *group) { equal(g.server, "credit", g.account().Credit, 5000) },
	},
	"Percentage": {
		prepare:  withInstance,
		do:       func(g *group) error { _, _, err := g.bills.AddCoupon(g.ctx, g.owner, g.id, "TENPERCENT"); return err },
		retried:  true,
		repeated: fault.CouponAlreadyAdded,
		charged:  []int64{2800},
		check: func(g *group) {
			equal(g.server, "discounts", len(g.live()[0].Discounts), 1)
			equal(g.server, "coupons", len(must(g.db.CouponsOfOrganizations(g.ctx, []string{g.id}))(g.server)[0]), 1)
		},
	},
	"Create": {
		prepare: func(s *server, name string) *group {
			g := s.carded(name)
			g.add("TENPERCENT")
			g.work()
			g.instance("one", db.Month, 1999, 12250)
			return g
		},
		do:      func(g *group) error { return g.bill(g.only(), items(1999, 12250)) },
		retried: true,
		charged: []int64{12824},
		check:   func(g *group) { equal(g.server, "status", g.only().Status, db.InstanceActive) },
	},
	"Resize": {
		prepare: withInstance,
		do:      func(g *group) error { return g.bill(g.only(), items(5600, 100)) },
		retried: true,
		charged: []int64{2800, 2900},
		check:   func(g *group) { equal(g.server, "items", len(g.live()[0].Items.Data), 2) },
	},
	"End": {
		prepare: withInstance,
		do:      func(g *group) error { return g.queue.Do(g.ctx, g.order(g.only(), nil, true)) },
		retried: true,
		charged: []int64{2800},
		check: func(g *group) {
			equal(g.server, "live", len(g.live()), 0)
			equal(g.server, "credit", g.account().Credit, 2800)
		},
	},
	"Pay": {
		prepare: func(s *server, name string) *group {
			g := withInstance(s, name)
			g.setCard("pm_card_chargeCustomerFail")
			s.advance(g.only().PeriodEnd.AddDate(0, 0, 1))
			g.setCard("pm_card_visa")
			g.work()
			return g
		},
		do:       func(g *group) error { return g.pay(g.invoices()[1]) },
		repeated: fault.InvalidInput,
		charged:  []int64{2800, 2800},
		check:    func(g *group) { equal(g.server, "overdue", g.account().Overdue, false) },
	},
	"Close": {
		prepare: func(s *server, name string) *group {
			g := withInstance(s, name)
			if err := s.db.DeleteInstance(s.ctx, g.only().ID); err != nil {
				s.Fatal(err)
			}
			return g
		},
		do:      func(g *group) error { return g.organizations.Delete(g.ctx, g.owner, g.id, g.name) },
		charged: []int64{2800},
		check:   func(g *group) { equal(g.server, "live", len(g.live()), 0) },
	},
}

// eachOperation runs a test of every operation on every engine.
func eachOperation(t *testing.T, test func(s *server, o operation)) {
	t.Parallel()
	for name, o := range operations {
		t.Run(name, func(t *testing.T) {
			each(t, func(s *server) { test(s, o) })
		})
	}
}

// TestStripeFails cuts the wire at each call of each operation, before Stripe has heard and after the
// call has had its effect. Afterwards everything has happened, once. As it takes long, each engine has
// half of it: the one that a call is cut before of, the other is cut after.
func TestStripeFails(t *testing.T) {
	eachOperation(t, testStripeFails)
}

func testStripeFails(s *server, o operation) {
	for n := 1; ; n++ {
		onPostgres := s.db.CanRead()
		before := onPostgres == (n%2 == 0)
		g := o.prepare(s, fmt.Sprintf("x%d", n))
		met := false
		s.cutting(func(call int, b bool) bool {
			met = met || call == n
			return call == n && b == before
		})
		err := o.do(g)
		s.up()
		if !met { // all calls have been cut
			if err != nil {
				s.Error(err)
			}
			equal(s, "jobs left", s.work(), 0)
			o.done(g)
			return
		}
		refused, over := errors.AsType[*fault.Error](err)
		switch {
		case err == nil:
			s.Errorf("call %d, before: %v: nobody told of the failure", n, before)
		case over && refused.Code != fault.Unavailable, !over && !o.retried:
			s.Errorf("call %d, before: %v: %v", n, before, err)
		}
		if o.retried { // the others are repeated at once
			equal(s, "jobs left", s.work(), 0)
		}
		if !o.retried || over {
			if err := o.do(g); err != nil {
				if again, is := errors.AsType[*fault.Error](err); !is || again.Code != o.repeated {
					s.Errorf("call %d, before: %v: again: %v", n, before, err)
				}
			}
		}
		equal(s, "jobs left", s.work(), 0)
		o.done(g)
		if s.Failed() {
			s.Fatalf("with call %d cut, before: %v", n, before)
		}
	}
}

// TestOvertaken stops each operation before each answer until its job, whose lease is over meanwhile, has
// been done by somebody else. Everything has happened once. As it takes long, each engine has every
// other answer.
func TestOvertaken(t *testing.T) {
	eachOperation(t, testOvertaken)
}

func testOvertaken(s *server, o operation) {
	n := 1
	if onPostgres := s.db.CanRead(); onPostgres {
		n = 2
	}
	for ; ; n += 2 {
		g := o.prepare(s, fmt.Sprintf("x%d", n))
		met := false
		s.cutting(func(call int, before bool) bool {
			if call == n && !before {
				met = true
				s.exec("UPDATE jobs SET leased_until = NULL WHERE leased_until IS NOT NULL")
				for _, id := range s.jobs() {
					if err := s.queue.Do(s.ctx, id); err != nil {
						s.Errorf("call %d: overtaking: %v", n, err)
					}
				}
			}
			return false
		})
		err := o.do(g) // which may not know how the other has fared
		refused, is := errors.AsType[*fault.Error](err)
		if err != nil && !errors.Is(err, job.ErrPending) && (!is || refused.Code != fault.Unavailable) {
			s.Errorf("call %d: %v", n, err)
		}
		s.up()
		equal(s, "jobs left", s.work(), 0)
		o.done(g)
		if s.Failed() {
			s.Fatalf("overtaken at call %d", n)
		}
		if !met {
			return
		}
	}
}

// done checks that the operation has happened once.
func (o operation) done(g *group) {
	g.Helper()
	o.check(g)
	g.agree()
	equal(g.server, "charged", g.charged(), o.charged)
	told := g.told()
	for i, event := range told {
		if slices.Contains(told[i+1:], event) {
			g.Errorf("told twice: %s", event)
		}
	}
}

// TestDropped loses the connection instead of an answer, once and for good.
func TestDropped(t *testing.T) {
	each(t, func(s *server) {
		g, other := s.group("Olive"), s.group("Otto")
		s.drop(true)
		s.cutting(func(call int, before bool) bool { return call == 3 && !before }) // look-up, balance, credit
		g.add("WELCOME50")
		s.down()
		_, _, err := s.bills.AddCoupon(s.ctx, other.owner, other.id, "WELCOME50")
		s.refused(err, fault.Unavailable, "")
		s.up()
		equal(s, "jobs left", s.work(), 0)
		equal(s, "credit", g.account().Credit, 5000)
		other.add("WELCOME50")
		equal(s, "credit", other.account().Credit, 5000)
	})
}
