package billing_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stripe/stripe-go/v85"

	"studio/billing"
	"studio/db"
	"studio/fault"
)

func TestBill(t *testing.T) {
	t.Parallel()
	t.Run("New", func(t *testing.T) { each(t, testBillNew) })
	t.Run("Change", func(t *testing.T) { each(t, testBillChange) })
	t.Run("Again", func(t *testing.T) {
		each(t, func(s *server) {
			g := s.carded("Olive")
			instance := g.paid("one", db.Month, 1999, 12250)
			g.work()
			s.called()
			if err := g.bill(instance, items(1999, 12250)); err != nil {
				t.Fatal(err)
			}
			for _, call := range s.called() {
				if !strings.HasPrefix(call, "GET ") {
					t.Errorf("called %s", call)
				}
			}
			equal(s, "charged", g.charged(), []int64{1999 + 12250})
		})
	})
	t.Run("End", func(t *testing.T) {
		each(t, func(s *server) {
			g := s.carded("Olive")
			instance := g.paid("one", db.Year, 36500, 0)
			s.advance(noon.AddDate(0, 0, 65))
			if err := g.queue.Do(g.ctx, g.order(instance, nil, true)); err != nil {
				t.Fatal(err)
			}
			equal(s, "jobs left", s.work(), 0)
			equal(s, "credit", g.account().Credit, 30000)
			last := g.invoices()[1]
			if last.Status != db.InvoicePaid || last.Total != -30000 || last.AmountPaid != 0 || last.AmountDue != 0 || last.Discount != 0 {
				t.Errorf("the invoice is %+v", last)
			}
			equal(s, "line", last.Lines[0].Description, "one: Unused time on 1 × Compute after 6 Apr 2026")
			equal(s, "live", len(g.live()), 0)
			g.agree()
		})
	})
	// What was not paid gives no credit, and stays to be paid.
	t.Run("Overdue", func(t *testing.T) {
		for name, smaller := range map[string][]billing.Item{"End": nil, "Smaller": items(999, 0)} {
			t.Run(name, func(t *testing.T) {
				each(t, func(s *server) {
					g, instance := s.overdue("Olive")
					s.work()
					if err := g.queue.Do(g.ctx, g.order(instance, smaller, smaller == nil)); err != nil {
						t.Fatal(err)
					}
					equal(s, "jobs left", s.work(), 0)
					equal(s, "credit", g.account().Credit, 0)
					equal(s, "totals", g.totals(), []int64{1999, 1999})
					g.setCard("pm_card_visa")
					if err := g.pay(g.invoices()[1]); err != nil {
						t.Fatal(err)
					}
					equal(s, "charged", g.charged(), []int64{1999, 1999})
					equal(s, "overdue", g.account().Overdue, false)
					g.agree()
				})
			})
		}
	})
	// Stripe shows a subscription as active before its period is paid, and when that is given up.
	t.Run("NotPaid", func(t *testing.T) {
		for _, status := range []string{"draft", "open", "uncollectible", "void"} {
			t.Run(status, func(t *testing.T) {
				each(t, func(s *server) {
					s.lose(true)
					g, instance := s.overdue("Olive")
					s.exec(`UPDATE sandbox_objects SET body = replace(replace(body, '"status":"open"', '"status":"` + status + `"'),
						'"status":"past_due"', '"status":"active"') WHERE kind IN ('invoice', 'subscription')`)
					if err := g.bill(instance, items(999, 0)); err != nil {
						t.Fatal(err)
					}
					equal(s, "credit", g.account().Credit, 0)
					g.setCard("pm_card_visa")
					if err := g.bill(instance, items(5999, 0)); err != nil { // which is billed
						t.Fatal(err)
					}
					equal(s, "charges", len(g.charged()), 2)
					if err := g.bill(instance, nil); err != nil {
						t.Fatal(err)
					}
					equal(s, "live", len(g.live()), 0)
					equal(s, "credit", g.account().Credit, 0)
				})
			})
		}
	})
	// The payment has failed, and no webhook told.
	t.Run("OverdueUnseen", func(t *testing.T) {
		each(t, func(s *server) {
			s.lose(true)
			g, instance := s.overdue("Olive")
			if err := affordable(g); err != nil {
				t.Fatal(err)
			}
			s.refused(g.bill(instance, items(17520, 0)), fault.PaymentOverdue, "")
			equal(s, "amount", g.again(instance).ComputeAmount, 1999)
			g.wantTold("INVOICE_CREATED nobody: Invoice #0002 of $19.99 was created.",
				"PAYMENT_FAILED nobody: The payment of invoice #0002 of $19.99 failed.")
			s.refused(affordable(g), fault.PaymentOverdue, "")
			g.setCard("pm_card_visa")
			if err := g.pay(g.invoices()[1]); err != nil {
				t.Fatal(err)
			}
			equal(s, "charged", g.charged(), []int64{1999, 1999})
			g.agree()
		})
	})
	t.Run("Free", func(t *testing.T) {
		each(t, func(s *server) {
			g := s.group("Olive")
			instance := g.instance("free", db.Month, 0, 0)
			if err := g.bill(instance, nil); err != nil {
				t.Fatal(err)
			}
			equal(s, "status", g.again(instance).Status, db.InstanceActive)
			equal(s, "calls", s.called(), nil)
		})
	})
	t.Run("NoCard", func(t *testing.T) {
		each(t, func(s *server) {
			g := s.group("Olive")
			instance := g.instance("one", db.Month, 1999, 0)
			s.refused(g.bill(instance, items(1999, 0)), fault.PaymentMethodRequired, "")
			s.refused(affordable(g), fault.PaymentMethodRequired, "")
			g.add("WELCOME50") // which is no card
			s.refused(g.bill(instance, items(1999, 0)), fault.PaymentMethodRequired, "")
			s.refused(affordable(g), fault.PaymentMethodRequired, "")
			equal(s, "status", g.again(instance).Status, db.InstanceCreating)
			equal(s, "live", len(g.live()), 0)
			g.setCard("pm_card_visa")
			if err := affordable(g); err != nil {
				t.Error(err)
			}
		})
	})
	t.Run("Declined", func(t *testing.T) {
		each(t, func(s *server) {
			g := s.carded("Olive")
			instance := g.paid("one", db.Month, 1999, 0)
			g.setCard("pm_card_chargeCustomerFail")
			g.work()
			g.told()
			s.advance(noon.AddDate(0, 0, 14))
			s.refused(g.bill(instance, items(5999, 0)), fault.CardDeclined, "")
			other := g.instance("two", db.Month, 1999, 0)
			err := g.bill(other, items(1999, 0))
			s.refused(err, fault.CardDeclined, "")
			equal(s, "message", err.Error(), "Your card was declined. Your request was not carried out. Set another card, or ask your bank.")
			equal(s, "jobs left", s.work(), 0)
			g.wantTold()
			equal(s, "totals", g.totals(), []int64{1999})
			equal(s, "amount", g.again(instance).ComputeAmount, 1999)
			g.agree()
			// What costs nothing more needs no card that works.
			if err := g.bill(instance, items(999, 0)); err != nil {
				t.Error(err)
			}
			equal(s, "credit", g.account().Credit, 500)
		})
	})
	t.Run("Twice", func(t *testing.T) {
		each(t, func(s *server) {
			g := s.carded("Olive")
			instance := g.paid("one", db.Month, 1999, 0)
			g.subscribe(instance.ID)
			if err := g.bill(instance, items(1999, 0)); err != nil {
				t.Fatal(err)
			}
			g.agree()
			equal(s, "subscription", g.again(instance).SubscriptionID, instance.SubscriptionID)
		})
	})
	t.Run("ThenFails", func(t *testing.T) {
		each(t, func(s *server) {
			g := s.carded("Olive")
			instance := g.instance("one", db.Month, 1999, 0)
			id := g.order(instance, items(1999, 0), false)
			if err := s.db.DeleteInstance(s.ctx, instance.ID); err != nil {
				t.Fatal(err)
			}
			if err := s.queue.Do(s.ctx, id); err != nil {
				t.Error(err)
			}
			equal(s, "live", len(g.live()), 0)
		})
	})
}

// subscribe makes a subscription at Stripe that nobody ordered.
func (g *group) subscribe(instanceID string) *stripe.Subscription {
	g.Helper()
	amount, interval, product := int64(1999), "month", "studio-compute-1999"
	return must(g.stripe.V1Subscriptions.Create(g.ctx, &stripe.SubscriptionCreateParams{
		Customer: &g.account().CustomerID,
		Metadata: map[string]string{"organization_id": g.id, "instance_id": instanceID, "instance_name": "ghost"},
		Items: []*stripe.SubscriptionCreateItemParams{{PriceData: &stripe.SubscriptionCreateItemPriceDataParams{
			Currency: stripe.String("usd"), Product: &product, UnitAmount: &amount,
			Recurring: &stripe.SubscriptionCreateItemPriceDataRecurringParams{Interval: &interval}}}},
	}))(g.server)
}

func testBillNew(s *server) {
	g := s.carded("Olive")
	instance := g.paid("demo", db.Month, 17520, 12250)
	g.wantTold("INVOICE_CREATED owner: Invoice #0001 of $297.70 was created.", "INVOICE_PAID owner: Invoice #0001 of $297.70 was paid.")
	live := g.live()
	equal(s, "metadata", live[0].Metadata, map[string]string{"organization_id": g.id, "instance_id": instance.ID, "instance_name": "demo"})
	equal(s, "subscription", instance.SubscriptionID, live[0].ID)
	equal(s, "period end", instance.PeriodEnd, noon.AddDate(0, 0, 28))
	equal(s, "charged", g.charged(), []int64{29770})
	invoice := g.invoices()[0]
	if invoice.Currency != "USD" || invoice.Subtotal != 29770 || invoice.Discount != 0 || invoice.Tax != 0 || invoice.AmountPaid != 29770 ||
		invoice.AmountDue != 0 || invoice.Attempts != 1 || invoice.HostedURL != nil || invoice.PDFURL != nil ||
		!invoice.PaidAt.Equal(noon) || !invoice.CreatedAt.Equal(noon) {
		s.Errorf("the invoice is %+v", invoice)
	}
	equal(s, "lines", invoice.Lines, []*db.InvoiceLine{
		{Description: "demo: 1 × Compute (at $175.20 / month)", Quantity: 1, Amount: 17520, Currency: "USD", InstanceID: instance.ID},
		{Description: "demo: 490 × Storage (at $0.25 / month)", Quantity: 490, Amount: 12250, Currency: "USD", InstanceID: instance.ID},
	})
	// The webhooks of all that find nothing new.
	equal(s, "jobs left", s.work(), 0)
	g.wantTold()
	// The next months are told by webhooks alone.
	s.advance(noon.AddDate(0, 2, 0))
	equal(s, "jobs left", s.work(), 0)
	g.wantTold("INVOICE_CREATED nobody: Invoice #0002 of $297.70 was created.", "INVOICE_PAID nobody: Invoice #0002 of $297.70 was paid.",
		"INVOICE_CREATED nobody: Invoice #0003 of $297.70 was created.", "INVOICE_PAID nobody: Invoice #0003 of $297.70 was paid.")
	april := time.Date(2026, 4, 30, 12, 0, 0, 0, time.UTC)
	equal(s, "period end", g.again(instance).PeriodEnd, april)
	bounds := []time.Time{noon, noon.AddDate(0, 0, 28), noon.AddDate(0, 2, 0), april}
	for n, invoice := range g.invoices() {
		equal(s, "period", []time.Time{invoice.PeriodStart, invoice.PeriodEnd}, bounds[n:n+2])
	}
	g.agree()
}

// testBillChange resizes in the middle of a month of 28 days.
func testBillChange(s *server) {
	g := s.carded("Olive")
	instance := g.paid("demo", db.Month, 2800, 5600)
	subscription := instance.SubscriptionID
	for _, c := range []struct {
		after            time.Duration
		compute, storage int64
		total            int64
		items            int
	}{
		{7 * 24 * time.Hour, 5600, 5600, 2100, 2}, // three quarters of what it costs more
		{14 * 24 * time.Hour, 5600, 8400, 1400, 2},
		{14 * 24 * time.Hour, 5600, 0, -4200, 1},
		{21 * 24 * time.Hour, 0, 2800, -700, 1},
	} {
		s.clock.Set(noon.Add(c.after))
		if err := g.bill(instance, items(c.compute, c.storage)); err != nil {
			s.Fatal(err)
		}
		totals := g.totals()
		invoices := g.invoices()
		equal(s, "subtotal", invoices[len(invoices)-1].Subtotal, c.total)
		if c.total > 0 {
			equal(s, "total", totals[len(totals)-1], c.total)
		}
		equal(s, "items", len(g.live()[0].Items.Data), c.items)
		equal(s, "subscription", g.again(instance).SubscriptionID, subscription)
	}
	equal(s, "jobs left", s.work(), 0)
	equal(s, "charged", g.charged(), []int64{8400, 2100, 1400})
	equal(s, "credit", g.account().Credit, 4900)
	g.agree()
}

func TestClose(t *testing.T) {
	t.Parallel()
	t.Run("Nothing", func(t *testing.T) {
		each(t, func(s *server) {
			g := s.group("Olive")
			if err := s.organizations.Delete(s.ctx, g.owner, g.id, "Olive Inc"); err != nil {
				t.Fatal(err)
			}
			equal(s, "calls", s.called(), nil)
		})
	})
	t.Run("All", func(t *testing.T) {
		each(t, func(s *server) {
			g := s.carded("Olive")
			g.subscribe0()
			if err := s.organizations.Delete(s.ctx, g.owner, g.id, "Olive Inc"); err != nil {
				t.Fatal(err)
			}
			equal(s, "live", len(g.live()), 0)
			g.agree()
			told := g.told()
			if len(told) == 0 || told[len(told)-1] != "ORGANIZATION_DELETED owner: Olive Owner deleted the organization Olive Inc." ||
				!strings.Contains(strings.Join(told, ""), "CARD_REMOVED nobody: The card was removed: Visa ending in 4242.") {
				t.Error(told)
			}
			// What comes later finds nobody, and does nothing.
			s.clock.Advance(time.Hour)
			equal(s, "jobs left", s.work(), 0)
			if err := s.bills.Sweep(s.ctx); err != nil {
				t.Error(err)
			}
			g.wantTold()
		})
	})
	t.Run("StripeDown", func(t *testing.T) {
		each(t, func(s *server) {
			g := s.carded("Olive")
			g.subscribe0()
			g.work()
			s.down()
			err := s.organizations.Delete(s.ctx, g.owner, g.id, "Olive Inc")
			s.refused(err, fault.Unavailable, "")
			equal(s, "message", err.Error(), "The payment service is not responding, so the organization was not deleted. Try again.")
			s.up()
			equal(s, "live", len(g.live()), 1)
			equal(s, "card", g.account().CardLast4, "4242")
			if err := s.organizations.Delete(s.ctx, g.owner, g.id, "Olive Inc"); err != nil {
				t.Error(err)
			}
			if _, err := s.db.LockOrganization(s.ctx, g.id); !errors.Is(err, db.ErrNotFound) {
				t.Error(err)
			}
		})
	})
}

// TestCustomerGone has somebody delete the customer in Stripe's dashboard, or not even a trace of it left.
func TestCustomerGone(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer string // to who asks for the customer; the sandbox's when ""
		told   []string
	}{
		"Deleted": {`{"id": "cus_1", "object": "customer", "deleted": true}`, []string{"CARD_REMOVED nobody: The card was removed: Visa ending in 4242."}},
		"Missing": {"", nil},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(s *server) {
				g := s.carded("Olive")
				s.exec("DELETE FROM sandbox_objects WHERE kind = 'customer'")
				s.can("GET /v1/customers/"+g.account().CustomerID, c.answer)
				_, err := s.bills.SetCard(s.ctx, g.owner, g.id, "pm_card_visa") // with which nothing is wrong
				s.refused(err, fault.Unavailable, "")
				s.work()
				g.wantTold(c.told...)
				if err := s.organizations.Delete(s.ctx, g.owner, g.id, "Olive Inc"); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// subscribe0 makes a subscription that no instance is behind.
func (g *group) subscribe0() {
	g.Helper()
	product := stripe.ProductCreateParams{ID: stripe.String("studio-compute-1999"), Name: stripe.String("Compute")}
	must(g.stripe.V1Products.Create(g.ctx, &product))(g.server)
	g.subscribe(db.NewID(db.InstancePrefix))
}
