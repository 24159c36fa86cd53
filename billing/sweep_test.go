package billing_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"studio/db"
)

func TestSweep(t *testing.T) {
	t.Parallel()
	sweep := func(s *server) {
		s.Helper()
		if err := s.bills.Sweep(s.ctx); err != nil {
			s.Fatal(err)
		}
	}
	t.Run("WebhooksLost", func(t *testing.T) {
		each(t, func(s *server) {
			g, other := s.carded("Olive"), s.carded("Otto")
			g.paid("one", db.Month, 1999, 0)
			s.work()
			sweep(s)
			equal(s, "drift", s.metrics()["studio_billing_drift_total"], 0)
			g.told()
			s.lose(true)
			s.advance(noon.AddDate(0, 1, 0))
			must(s.stripe.V1PaymentMethods.Detach(s.ctx, *other.account().PaymentMethodID, nil))(s)
			s.work()
			sweep(s)
			g.wantTold("INVOICE_CREATED nobody: Invoice #0002 of $19.99 was created.", "INVOICE_PAID nobody: Invoice #0002 of $19.99 was paid.")
			other.wantTold("CARD_REMOVED nobody: The card was removed: Visa ending in 4242.")
			equal(s, "drift", s.metrics()["studio_billing_drift_total"], 3) // an invoice, a period, a card
			g.agree()
			other.agree()
			sweep(s)
			equal(s, "drift", s.metrics()["studio_billing_drift_total"], 3)
		})
	})
	// A deleted organization stays as it was, and the sweep makes no job that would find that out each hour.
	t.Run("Deleted", func(t *testing.T) {
		each(t, func(s *server) {
			g := s.carded("Olive")
			if err := s.organizations.Delete(s.ctx, g.owner, g.id, g.name); err != nil {
				t.Fatal(err)
			}
			s.work()
			s.statements = nil
			sweep(s)
			equal(s, "jobs", slices.ContainsFunc(s.statements, func(query string) bool { return strings.Contains(query, `INTO "jobs"`) }), false)
		})
	})
	t.Run("Orphan", func(t *testing.T) {
		each(t, func(s *server) {
			g := s.carded("Olive")
			instance := g.paid("one", db.Month, 1999, 0)
			s.lose(true)
			g.subscribe(db.NewID(db.InstancePrefix)) // of no instance
			g.subscribe(instance.ID)                 // the second of one
			foreign := g.subscribe("x")
			s.exec(`UPDATE sandbox_objects SET body = replace(body, '"organization_id":"` + g.id + `"', '"made":"by hand"') WHERE id = '` + foreign.ID + "'")
			s.work()
			sweep(s)
			live := g.live()
			equal(s, "live", []string{live[0].ID, live[1].ID}, []string{foreign.ID, *instance.SubscriptionID})
			equal(s, "credit", g.account().Credit, 2*1999)
		})
	})
	t.Run("NoSubscription", func(t *testing.T) {
		each(t, func(s *server) {
			g := s.carded("Olive")
			g.paid("one", db.Month, 1999, 0)
			s.lose(true)
			must(s.stripe.V1Subscriptions.Cancel(s.ctx, g.live()[0].ID, nil))(s)
			s.work()
			sweep(s)
			equal(s, "drift", s.metrics()["studio_billing_drift_total"], 2) // the row, and that it is not paid for
			sweep(s)
			equal(s, "drift", s.metrics()["studio_billing_drift_total"], 3)
			equal(s, "charged", g.charged(), []int64{1999})
			g.agree()
		})
	})
	t.Run("OtherPrice", func(t *testing.T) {
		for name, c := range map[string]struct {
			row    string
			billed int64 // afterwards
			drift  float64
			again  float64 // after another sweep
		}{
			"Free":     {"compute_amount = 0", 0, 4, 4}, // the amount, and a subscription, an invoice and credit
			"Cheaper":  {"compute_amount = 999", 999, 3, 3},
			"Dearer":   {"compute_amount = 2999", 1999, 1, 2},
			"UnderWay": {"compute_amount = 999, job_id = 'job_1'", 1999, 0, 0},
		} {
			t.Run(name, func(t *testing.T) {
				each(t, func(s *server) {
					g := s.carded("Olive")
					g.paid("one", db.Month, 1999, 0)
					s.lose(true)
					s.exec("UPDATE instances SET " + c.row)
					s.work()
					sweep(s)
					equal(s, "drift", s.metrics()["studio_billing_drift_total"], c.drift)
					var billed int64
					for _, subscription := range g.live() {
						billed += subscription.Items.Data[0].Price.UnitAmount
					}
					equal(s, "billed", billed, c.billed)
					equal(s, "credit", g.account().Credit, 1999-c.billed)
					equal(s, "charged", g.charged(), []int64{1999})
					g.agree()
					sweep(s)
					equal(s, "drift", s.metrics()["studio_billing_drift_total"], c.again)
				})
			})
		}
	})
	t.Run("StripeDown", func(t *testing.T) {
		each(t, func(s *server) {
			s.carded("Olive")
			s.down()
			sweep(s)
			equal(s, "jobs left", len(s.jobs()), 0) // the next sweep comes
			equal(s, "drift", s.metrics()["studio_billing_drift_total"], 0)
		})
	})
	t.Run("EventsForgotten", func(t *testing.T) {
		each(t, func(s *server) {
			g := s.carded("Olive")
			hook := s.hook("evt_1", "invoice.paid", `{"object": "invoice", "customer": "`+g.account().CustomerID+`"}`)
			s.hear(hook)
			for _, c := range []struct {
				after time.Duration
				known bool
			}{{30 * 24 * time.Hour, true}, {time.Second, false}} {
				s.clock.Advance(c.after)
				sweep(s)
				equal(s, "known", must(s.db.StripeEventKnown(s.ctx, "evt_1"))(s), c.known)
			}
		})
	})
	t.Run("ManyAccounts", func(t *testing.T) {
		each(t, func(s *server) {
			owner := s.user("Olive")
			for range 101 {
				created, err := s.organizations.CreateFirst(s.ctx, s.db, owner, nil)
				if err != nil {
					t.Fatal(err)
				}
				account := &db.BillingAccount{OrganizationID: created.ID, CustomerID: created.ID, CreatedAt: s.clock.Now()}
				if _, err := s.db.InsertBillingAccount(s.ctx, account); err != nil {
					t.Fatal(err)
				}
			}
			sweep(s)
			equal(s, "calls", len(s.called()), 101) // each finds no such customer
		})
	})
}
