package billing_test

import (
	"errors"
	"strings"
	"testing"

	"studio/db"
	"studio/fault"
	"studio/job"
)

// TestDeleted has an organization deleted while a job waits for its turn.
func TestDeleted(t *testing.T) {
	t.Parallel()
	for kind, field := range map[string]string{
		"set card": "organizationId", "remove card": "organizationId", "pay invoice": "invoiceId", "add coupon": "organizationId",
	} {
		t.Run(kind, func(t *testing.T) {
			each(t, func(s *server) {
				g, _ := s.overdue("Olive")
				s.work()
				order := map[string]string{
					"OrganizationID": g.id, "ActorID": g.owner.ID, "PaymentMethodID": "pm_card_mastercard", "InvoiceID": g.invoices()[1].ID,
					"Code": "WELCOME50", "CouponID": db.NewID(db.CouponPrefix),
				}
				var jobID string
				err := s.db.InTx(s.ctx, func(tx *db.DB) (err error) {
					jobID, err = s.queue.Enqueue(s.ctx, tx, kind, order, job.InLane(g.id), job.Foreground())
					return errors.Join(err, tx.DeleteOrganization(s.ctx, g.id))
				})
				if err != nil {
					t.Fatal(err)
				}
				s.called()
				s.refused(s.queue.Do(s.ctx, jobID), fault.NotFound, field)
				for _, call := range s.called() {
					if !strings.HasPrefix(call, "GET ") {
						t.Errorf("called %s", call)
					}
				}
				equal(s, "jobs left", s.work(), 0)
			})
		})
	}
	// The coupon was reserved, and waits for another attempt at granting it.
	t.Run("Reserved", func(t *testing.T) {
		each(t, func(s *server) {
			g := s.carded("Olive")
			s.cutting(func(int, bool) bool { return s.last("POST /v1/customers/") })
			_, _, err := s.bills.AddCoupon(s.ctx, g.owner, g.id, "WELCOME50")
			s.refused(err, fault.Unavailable, "")
			s.up()
			if err := s.organizations.Delete(s.ctx, g.owner, g.id, g.name); err != nil {
				s.Fatal(err)
			}
			equal(s, "jobs left", s.work(), 0)
			equal(s, "balance", must(s.stripe.V1Customers.Retrieve(s.ctx, g.account().CustomerID, nil))(s).Balance, 0)
			if _, err := s.db.CouponByCode(s.ctx, g.id, "WELCOME50"); !errors.Is(err, db.ErrNotFound) {
				s.Errorf("the reservation is there: %v", err)
			}
		})
	})
	// The job that deleted it runs again when it could not say that it was done.
	t.Run("Close", func(t *testing.T) {
		each(t, func(s *server) {
			g := s.carded("Olive")
			id := db.NewID(db.JobPrefix)
			for range 2 {
				if err := s.bills.Close(s.ctx, id, g.id); err != nil {
					t.Fatal(err)
				}
				if err := s.db.DeleteOrganization(s.ctx, g.id); err != nil && !errors.Is(err, db.ErrNotFound) {
					t.Fatal(err)
				}
			}
		})
	})
}
