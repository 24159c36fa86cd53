package billing_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/rs/zerolog"
	"github.com/stripe/stripe-go/v85"

	"studio/billing"
	"studio/db"
	"studio/fault"
	"studio/stripesandbox"
)

func TestStartCardSetup(t *testing.T) {
	t.Parallel()
	t.Run("Secret", func(t *testing.T) {
		each(t, func(s *server) {
			g := s.group("Olive")
			for range 2 {
				secret, key, err := s.bills.StartCardSetup(s.ctx, g.owner, g.id)
				if err != nil || !strings.Contains(secret, "_secret_") || key != stripesandbox.PublishableKey {
					t.Fatal(secret, key, err)
				}
			}
			customers := all(s, s.stripe.V1Customers.List(s.ctx, nil).All(s.ctx))
			if len(customers) != 1 || customers[0].Name != "Olive Inc" || customers[0].Metadata["organization_id"] != g.id {
				t.Errorf("the customers are %+v", customers)
			}
			g.wantTold()
		})
	})
	// The answer is cut short, and the library's error quotes it.
	t.Run("Unreadable", func(t *testing.T) {
		each(t, func(s *server) {
			g := s.carded("Olive")
			s.can("POST /v1/setup_intents", `{"id": "seti_1", "client_secret": "seti_1_secret_1",`)
			var log bytes.Buffer
			_, _, err := s.bills.StartCardSetup(zerolog.New(&log).WithContext(s.ctx), g.owner, g.id)
			s.refused(err, fault.Unavailable, "")
			if text := log.String(); !strings.Contains(text, "cannot be read") || strings.Contains(text, "_secret_") {
				s.Errorf("the log says %s", text)
			}
		})
	})
	t.Run("Refused", func(t *testing.T) {
		each(t, func(s *server) {
			g := s.group("Olive")
			member, stranger := s.user("Max"), s.user("Eve")
			g.join(member, false)
			for _, c := range []struct {
				caller *db.User
				id     string
				code   fault.Code
			}{{member, g.id, fault.Forbidden}, {stranger, g.id, fault.NotFound}, {g.owner, "org_none", fault.NotFound}} {
				_, _, err := s.bills.StartCardSetup(s.ctx, c.caller, c.id)
				s.refused(err, c.code, "organizationId")
				_, err = s.bills.SetCard(s.ctx, c.caller, c.id, "pm_card_visa")
				s.refused(err, c.code, "organizationId")
				_, err = s.bills.RemoveCard(s.ctx, c.caller, c.id)
				s.refused(err, c.code, "organizationId")
				_, _, err = s.bills.AddCoupon(s.ctx, c.caller, c.id, "WELCOME50")
				s.refused(err, c.code, "organizationId")
			}
			equal(s, "calls", s.called(), nil)
		})
	})
}

func TestSetCard(t *testing.T) {
	t.Parallel()
	t.Run("Replaced", func(t *testing.T) {
		each(t, func(s *server) {
			g := s.group("Olive")
			account := must(s.bills.SetCard(s.ctx, g.owner, g.id, " pm_card_visa "))(s)
			if *account.CardBrand != "visa" || *account.CardLast4 != "4242" || *account.CardExpMonth != 12 || *account.CardExpYear != 2034 {
				t.Errorf("the card is %+v", account)
			}
			g.wantTold("CARD_CHANGED owner: Olive Owner set the card: Visa ending in 4242.")
			account = must(s.bills.SetCard(s.ctx, g.owner, g.id, "pm_card_mastercard"))(s)
			equal(s, "last4", account.CardLast4, "4444")
			g.agree()
			equal(s, "jobs left", s.work(), 0)
			g.wantTold("CARD_CHANGED owner: Olive Owner set the card: Mastercard ending in 4444.")
			g.agree()
		})
	})
	t.Run("Refused", func(t *testing.T) {
		each(t, func(s *server) {
			g := s.carded("Olive")
			for _, id := range []string{"", "pm_", "card_visa", "pm_card visa", "pm_a/detach", "pm_" + strings.Repeat("x", 253), "pm_unknown"} {
				_, err := s.bills.SetCard(s.ctx, g.owner, g.id, id)
				s.refused(err, fault.InvalidInput, "paymentMethodId")
			}
			other := s.carded("Otto")
			_, err := s.bills.SetCard(s.ctx, g.owner, g.id, *other.account().PaymentMethodID)
			s.refused(err, fault.InvalidInput, "paymentMethodId")
			_, err = s.bills.SetCard(s.ctx, g.owner, g.id, "pm_card_chargeDeclined")
			s.refused(err, fault.CardDeclined, "paymentMethodId")
			if !strings.HasPrefix(err.Error(), "Your card was declined. ") {
				t.Error(err)
			}
			equal(s, "jobs left", s.work(), 0)
			g.agree()
			equal(s, "last4", g.account().CardLast4, "4242")
			g.wantTold()
		})
	})
	// Another process has made a customer meanwhile, under another key.
	t.Run("MadeMeanwhile", func(t *testing.T) {
		each(t, func(s *server) {
			g := s.group("Olive")
			other := must(s.stripe.V1Customers.Create(s.ctx, nil))(s)
			s.cutting(func(call int, before bool) bool {
				if call == 1 && before {
					must(s.db.InsertBillingAccount(s.ctx, &db.BillingAccount{OrganizationID: g.id, CustomerID: other.ID, CreatedAt: s.db.Now()}))(s)
				}
				return false
			})
			g.setCard("pm_card_visa")
			equal(s, "customer", g.account().CustomerID, other.ID)
			equal(s, "last4", g.account().CardLast4, "4242")
		})
	})
	// A customer whose making nobody heard of is found again under whatever name.
	for name, call := range map[string]string{"Renamed": "POST /v1/customers", "RenamedUnnamed": "POST /v1/customers/"} {
		t.Run(name, func(t *testing.T) {
			each(t, func(s *server) {
				g := s.group("Olive")
				s.drop(true)
				s.cutting(func(_ int, before bool) bool { return !before && s.last(call) })
				_, err := s.bills.SetCard(s.ctx, g.owner, g.id, "pm_card_visa")
				s.refused(err, fault.Unavailable, "")
				s.up()
				must(s.organizations.Rename(s.ctx, g.owner, g.id, "Other Inc"))(s)
				g.setCard("pm_card_visa")
				equal(s, "jobs left", s.work(), 0)
				g.agree()
				equal(s, "name", must(s.stripe.V1Customers.Retrieve(s.ctx, g.account().CustomerID, nil))(s).Name, "Other Inc")
			})
		})
	}
}

func TestRemoveCard(t *testing.T) {
	t.Parallel()
	t.Run("None", func(t *testing.T) {
		each(t, func(s *server) {
			g := s.group("Olive")
			account := must(s.bills.RemoveCard(s.ctx, g.owner, g.id))(s)
			equal(s, "account", account, db.BillingAccount{OrganizationID: g.id})
			equal(s, "calls", s.called(), nil)
			g.wantTold()
		})
	})
	t.Run("Removed", func(t *testing.T) {
		each(t, func(s *server) {
			g := s.carded("Olive")
			free := g.instance("free", db.Month, 0, 0)
			if err := g.bill(free, nil); err != nil {
				t.Fatal(err)
			}
			account := must(s.bills.RemoveCard(s.ctx, g.owner, g.id))(s)
			if account.PaymentMethodID != nil || account.CardBrand != nil || account.CardLast4 != nil || account.CardExpMonth != nil {
				t.Errorf("the card is %+v", account)
			}
			equal(s, "jobs left", s.work(), 0)
			g.wantTold("CARD_REMOVED owner: Olive Owner removed the card: Visa ending in 4242.")
			g.agree()
			s.refused(affordable(g), fault.PaymentMethodRequired, "")
		})
	})
	t.Run("InUse", func(t *testing.T) {
		each(t, func(s *server) {
			g := s.carded("Olive")
			being := g.instance("being", db.Month, 1999, 0)
			_, err := s.bills.RemoveCard(s.ctx, g.owner, g.id)
			s.refused(err, fault.CardInUse, "")
			if err := g.bill(being, items(1999, 0)); err != nil {
				t.Fatal(err)
			}
			s.called()
			_, err = s.bills.RemoveCard(s.ctx, g.owner, g.id)
			s.refused(err, fault.CardInUse, "")
			equal(s, "calls", s.called(), nil)
			g.agree()
		})
	})
	// What an update costs is not stored before Stripe has answered, which may take several attempts.
	t.Run("Updating", func(t *testing.T) {
		each(t, func(s *server) {
			g := s.carded("Olive")
			free := g.instance("free", db.Month, 0, 0)
			if err := g.bill(free, nil); err != nil {
				t.Fatal(err)
			}
			free = g.again(free)
			free.Status = db.InstanceUpdating
			if err := s.db.UpdateInstance(s.ctx, free); err != nil {
				t.Fatal(err)
			}
			_, err := s.bills.RemoveCard(s.ctx, g.owner, g.id)
			s.refused(err, fault.CardInUse, "")
		})
	})
	// While the card is being removed, nothing that costs money begins.
	t.Run("Meanwhile", func(t *testing.T) {
		each(t, func(s *server) {
			g := s.carded("Olive")
			asked := 0
			s.cutting(func(_ int, before bool) bool {
				if before && s.last("POST /v1/payment_methods/") {
					asked++
					s.refused(affordable(g), fault.PaymentMethodRequired, "")
				}
				return false
			})
			must(s.bills.RemoveCard(s.ctx, g.owner, g.id))(s)
			equal(s, "asked", asked, 1)
		})
	})
	// The card that Stripe could not be told to remove is there again, without a word.
	t.Run("StripeDown", func(t *testing.T) {
		each(t, func(s *server) {
			g := s.carded("Olive")
			s.lose(true)
			s.down()
			_, err := s.bills.RemoveCard(s.ctx, g.owner, g.id)
			s.refused(err, fault.Unavailable, "")
			equal(s, "card", g.account().PaymentMethodID, nil)
			equal(s, "jobs left", s.work(), 1)
			s.up()
			equal(s, "jobs left", s.work(), 0)
			g.wantTold()
			g.agree()
			if err := affordable(g); err != nil {
				t.Error(err)
			}
			must(s.bills.RemoveCard(s.ctx, g.owner, g.id))(s)
			g.wantTold("CARD_REMOVED owner: Olive Owner removed the card: Visa ending in 4242.")
		})
	})
	// After that, setting the same card anew is told, as with any other.
	t.Run("SetAnew", func(t *testing.T) {
		each(t, func(s *server) {
			g := s.carded("Olive")
			s.down()
			_, err := s.bills.RemoveCard(s.ctx, g.owner, g.id)
			s.refused(err, fault.Unavailable, "")
			s.up()
			g.setCard("pm_card_visa")
			equal(s, "jobs left", s.work(), 0)
			g.wantTold("CARD_CHANGED owner: Olive Owner set the card: Visa ending in 4242.")
			g.agree()
		})
	})
	// Removed at Stripe, where somebody may do so by hand.
	t.Run("AtStripe", func(t *testing.T) {
		each(t, func(s *server) {
			g := s.carded("Olive")
			must(s.stripe.V1PaymentMethods.Detach(s.ctx, *g.account().PaymentMethodID, nil))(s)
			equal(s, "jobs left", s.work(), 0)
			g.wantTold("CARD_REMOVED nobody: The card was removed: Visa ending in 4242.")
			g.agree()
		})
	})
	t.Run("AgainstBill", func(t *testing.T) { each(t, testRemoveAgainstBill) })
}

// TestLaterCard sets a card after a change of the card that went wrong, or is still under way in a process
// that lost it: the later one stays.
func TestLaterCard(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(g *group) error{
		"Set": func(g *group) error {
			_, err := g.bills.SetCard(g.ctx, g.owner, g.id, "pm_card_mastercard")
			return err
		},
		"Remove": func(g *group) error { _, err := g.bills.RemoveCard(g.ctx, g.owner, g.id); return err },
	} {
		kept := func(g *group) {
			equal(g.server, "jobs left", g.work(), 0)
			equal(g.server, "last4", g.account().CardLast4, "4242")
			g.agree()
		}
		t.Run(name+"Failed", func(t *testing.T) {
			for _, table := range []string{"users", "invoices"} { // which are read before and after Stripe is told
				t.Run(table, func(t *testing.T) {
					each(t, func(s *server) {
						g := s.carded("Olive")
						s.exec("ALTER TABLE " + table + " RENAME TO lost")
						if change(g) == nil {
							t.Error("nobody told of the failure")
						}
						s.exec("ALTER TABLE lost RENAME TO " + table)
						g.setCard("pm_card_visa")
						kept(g)
					})
				})
			}
		})
		t.Run(name+"Overtaken", func(t *testing.T) {
			each(t, func(s *server) {
				g := s.carded("Olive")
				var overtaken atomic.Bool
				s.cutting(func(_ int, before bool) bool {
					if before && s.last("GET /v1/customers/"+g.account().CustomerID+"/payment_methods") && !overtaken.Swap(true) {
						s.exec("UPDATE jobs SET leased_until = NULL WHERE leased_until IS NOT NULL")
						equal(s, "jobs left", s.work(), 0)
						g.setCard("pm_card_visa")
					}
					return false
				})
				_ = change(g) // which may not know how the other has fared
				kept(g)
			})
		})
	}
	// The webhook that tells of another card is late, also after a removal in vain.
	for name, removedInVain := range map[string]bool{"RemoveUnseen": false, "RemoveAgainUnseen": true} {
		t.Run(name, func(t *testing.T) {
			each(t, func(s *server) {
				g := s.carded("Olive")
				s.lose(true)
				customer, seen := &g.account().CustomerID, *g.account().PaymentMethodID
				if removedInVain {
					s.down()
					_, err := s.bills.RemoveCard(s.ctx, g.owner, g.id)
					s.refused(err, fault.Unavailable, "")
					s.up()
				}
				other := must(s.stripe.V1PaymentMethods.Attach(s.ctx, "pm_card_mastercard", &stripe.PaymentMethodAttachParams{Customer: customer}))(s)
				must(s.stripe.V1Customers.Update(s.ctx, *customer, &stripe.CustomerUpdateParams{
					InvoiceSettings: &stripe.CustomerUpdateInvoiceSettingsParams{DefaultPaymentMethod: &other.ID},
				}))(s)
				must(s.stripe.V1PaymentMethods.Detach(s.ctx, seen, nil))(s)
				_, err := s.bills.RemoveCard(s.ctx, g.owner, g.id)
				s.refused(err, fault.Conflict, "")
				equal(s, "last4", g.account().CardLast4, "4444")
				if told := g.told(); strings.Contains(fmt.Sprint(told), "Olive Owner set the card: Mastercard") {
					s.Errorf("the log says %v", told)
				}
				must(s.bills.RemoveCard(s.ctx, g.owner, g.id))(s)
				equal(s, "card", g.account().CardLast4 == nil, true)
			})
		})
	}
	// A call that nobody waits for any more has a refresh left all the same.
	t.Run("Canceled", func(t *testing.T) {
		each(t, func(s *server) {
			g := s.carded("Olive")
			ctx, cancel := context.WithCancel(s.ctx)
			s.cutting(func(_ int, before bool) bool { cancel(); return before })
			_, _, err := s.bills.StartCardSetup(ctx, g.owner, g.id)
			s.refused(err, fault.Unavailable, "")
			s.up()
			equal(s, "jobs", len(s.jobs()), 1)
		})
	})
}

// affordable asks whether something that costs money could be paid for.
func affordable(g *group) error {
	return g.db.InTx(g.ctx, func(tx *db.DB) error {
		if _, err := tx.LockOrganization(g.ctx, g.id); err != nil {
			return err
		}
		return billing.Affordable(g.ctx, tx, g.id)
	})
}

// testRemoveAgainstBill removes the card while an instance is ordered: one of the two is refused.
func testRemoveAgainstBill(s *server) {
	for _, name := range []string{"Ada", "Ben", "Cleo", "Dan"} {
		g := s.carded(name)
		var removed, created error
		var running sync.WaitGroup
		running.Go(func() { _, removed = s.bills.RemoveCard(s.ctx, g.owner, g.id) })
		running.Go(func() {
			var instance *db.Instance
			var jobID string
			created = g.db.InTx(g.ctx, func(tx *db.DB) error {
				if _, err := tx.LockOrganization(g.ctx, g.id); err != nil {
					return err
				}
				return billing.Affordable(g.ctx, tx, g.id)
			})
			if created != nil {
				return
			}
			// The window that createInstance closes by its lock is left open here.
			instance = g.instance("new", db.Month, 1999, 0)
			jobID = g.order(instance, items(1999, 0), false)
			if created = s.queue.Do(s.ctx, jobID); created != nil {
				if err := s.db.DeleteInstance(s.ctx, instance.ID); err != nil {
					s.Error(err)
				}
			}
		})
		running.Wait()
		if (removed == nil) == (created == nil) {
			s.Errorf("removing: %v; creating: %v", removed, created)
		}
		if created != nil && !errors.As(created, new(*fault.Error)) || removed != nil && !errors.As(removed, new(*fault.Error)) {
			s.Errorf("removing: %v; creating: %v", removed, created)
		}
		equal(s, "jobs left", s.work(), 0)
		g.agree()
	}
}
