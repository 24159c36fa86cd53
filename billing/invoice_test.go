package billing_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stripe/stripe-go/v85"

	"studio/db"
	"studio/fault"
)

// overdue is an organization whose card fails when a month has passed. Further owners may join first.
func (s *server) overdue(name string, owners ...*db.User) (*group, *db.Instance) {
	s.Helper()
	g := s.carded(name)
	for _, owner := range owners {
		g.join(owner, true)
	}
	instance := g.paid("demo", db.Month, 1999, 0)
	g.setCard("pm_card_chargeCustomerFail")
	g.work()
	g.told()
	s.advance(must(g.db.InstanceByID(g.ctx, instance.ID))(s).PeriodEnd.Add(time.Hour))
	return g, instance
}

func (g *group) pay(invoice *db.Invoice) error {
	_, err := g.bills.PayInvoice(g.ctx, g.owner, invoice.ID)
	return err
}

func TestPayInvoice(t *testing.T) {
	t.Parallel()
	t.Run("Overdue", func(t *testing.T) { each(t, testOverdue) })
	t.Run("Refused", func(t *testing.T) {
		each(t, func(s *server) {
			g, _ := s.overdue("Olive")
			s.work()
			invoices := g.invoices()
			member, stranger := s.user("Max"), s.user("Eve")
			g.join(member, false)
			for _, c := range []struct {
				caller *db.User
				id     string
				code   fault.Code
			}{
				{g.owner, invoices[0].ID, fault.InvalidInput}, {g.owner, "invoice_none", fault.NotFound},
				{g.owner, db.NewID(db.InvoicePrefix), fault.NotFound}, {g.owner, g.id, fault.NotFound},
				{member, invoices[1].ID, fault.Forbidden}, {stranger, invoices[1].ID, fault.NotFound},
			} {
				_, err := s.bills.PayInvoice(s.ctx, c.caller, c.id)
				s.refused(err, c.code, "invoiceId")
			}
			for _, status := range []db.InvoiceStatus{db.InvoiceVoid, db.InvoiceDraft} {
				s.exec(fmt.Sprintf("UPDATE invoices SET status = '%s' WHERE id = '%s'", status, invoices[1].ID))
				s.refused(g.pay(invoices[1]), fault.InvalidInput, "invoiceId")
			}
			s.exec("UPDATE invoices SET status = 'UNCOLLECTIBLE' WHERE id = '" + invoices[1].ID + "'")
			s.refused(g.pay(invoices[1]), fault.CardDeclined, "")
			must(s.stripe.V1PaymentMethods.Detach(s.ctx, *g.account().PaymentMethodID, nil))(s)
			s.refused(g.pay(invoices[1]), fault.PaymentMethodRequired, "") // told by Stripe
			s.work()
			s.called()
			s.refused(g.pay(invoices[1]), fault.PaymentMethodRequired, "")
			equal(s, "calls", s.called(), nil)
		})
	})
	// Stripe tried again by itself, and nobody told.
	t.Run("PaidMeanwhile", func(t *testing.T) {
		each(t, func(s *server) {
			g, _ := s.overdue("Olive")
			s.work()
			g.setCard("pm_card_visa")
			s.lose(true)
			open := g.invoices()[1]
			must(s.stripe.V1Invoices.Pay(s.ctx, open.StripeID, nil))(s)
			s.work()
			paid := must(s.bills.PayInvoice(s.ctx, g.owner, open.ID))(s)
			equal(s, "status", paid.Status, db.InvoicePaid)
			equal(s, "charged", g.charged(), []int64{1999, 1999})
			g.agree()
		})
	})
	t.Run("Void", func(t *testing.T) {
		each(t, func(s *server) {
			g, _ := s.overdue("Olive")
			s.work()
			open := g.invoices()[1]
			s.exec(`UPDATE sandbox_objects SET body = replace(body, '"status":"open"', '"status":"void"') WHERE id = '` + open.StripeID + "'")
			s.refused(g.pay(open), fault.InvalidInput, "invoiceId")
			equal(s, "status", g.invoices()[1].Status, db.InvoiceVoid)
			equal(s, "overdue", g.account().Overdue, false)
		})
	})
	// The owner has paid before the mail went out.
	t.Run("NoMailWhenPaid", func(t *testing.T) {
		each(t, func(s *server) {
			g, _ := s.overdue("Olive")
			s.lose(true)
			s.work()
			if err := s.bills.Sweep(s.ctx); err != nil {
				t.Fatal(err)
			}
			s.mails = nil
			equal(s, "overdue", g.account().Overdue, true)
			g.setCard("pm_card_visa")
			if err := g.pay(g.invoices()[1]); err != nil {
				t.Fatal(err)
			}
			equal(s, "jobs left", s.work(), 0)
			equal(s, "mails", len(s.mails), 0)
		})
	})
}

// testOverdue fails to collect an invoice, again, and pays it with another card.
func testOverdue(s *server) {
	g, instance := s.overdue("Olive", s.user("Ada"))
	g.join(s.user("Max"), false)
	equal(s, "jobs left", s.work(), 0)
	g.wantTold("INVOICE_CREATED nobody: Invoice #0002 of $19.99 was created.",
		"PAYMENT_FAILED nobody: The payment of invoice #0002 of $19.99 failed.")
	s.refused(affordable(g), fault.PaymentOverdue, "")
	var to []string
	for _, m := range s.mails {
		to = append(to, m.To)
		if m.Subject != "A payment of Olive Inc failed" || !strings.Contains(m.Text, "$19.99") || !strings.Contains(m.Text, publicURL+"/\n") || m.ID == "" {
			s.Errorf("the mail is %+v", m)
		}
	}
	slices.Sort(to)
	equal(s, "mails", to, []string{"ada@example.com", "olive@example.com"})
	s.mails = nil
	open := g.invoices()[1]
	if open.Status != db.InvoiceOpen || open.AmountDue != 1999 || open.AmountPaid != 0 || open.Attempts != 1 || open.PaidAt != nil {
		s.Errorf("the invoice is %+v", open)
	}

	s.refused(g.pay(open), fault.CardDeclined, "")
	equal(s, "jobs left", s.work(), 0)
	g.wantTold()                        // who has asked is told by the answer
	s.advance(noon.AddDate(0, 0, 28+8)) // Stripe tries again after three days and after five more
	equal(s, "jobs left", s.work(), 0)
	g.wantTold("PAYMENT_FAILED nobody: The payment of invoice #0002 of $19.99 failed.") // seen at once
	equal(s, "mails", len(s.mails), 0)

	g.setCard("pm_card_mastercard")
	equal(s, "charged", g.charged(), []int64{1999}) // a new card pays nothing by itself
	g.told()
	paid := must(s.bills.PayInvoice(s.ctx, g.owner, open.ID))(s)
	if paid.ID != open.ID || paid.Status != db.InvoicePaid || paid.AmountDue != 0 || paid.AmountPaid != 1999 || paid.PaidAt == nil {
		s.Errorf("the invoice is %+v", paid)
	}
	g.wantTold("INVOICE_PAID owner: Invoice #0002 of $19.99 was paid.")
	if err := affordable(g); err != nil {
		s.Error(err)
	}
	equal(s, "jobs left", s.work(), 0)
	s.refused(g.pay(open), fault.InvalidInput, "invoiceId")
	equal(s, "charged", g.charged(), []int64{1999, 1999})
	g.wantTold()
	g.agree()
	equal(s, "instance", g.again(instance).Status, db.InstanceActive)
}

// TestLittle has amounts that are too little to be charged.
func TestLittle(t *testing.T) {
	each(t, func(s *server) {
		g := s.carded("Olive")
		for n, c := range []struct{ price, total, discount, carried int64 }{
			{20, 0, 0, -20},
			{5999, 6019, 0, 20},
			{5020, 0, 5000, -20}, // with a coupon
			{10, 0, 0, -10},
			{20, 50, 0, 30},
		} {
			if n == 2 {
				g.add("WELCOME50")
			}
			g.paid(fmt.Sprint("n", n), db.Month, c.price, 0)
			invoice := g.invoices()[n]
			equal(s, "amounts", []int64{invoice.Total, invoice.AmountPaid, invoice.AmountDue, invoice.Discount}, []int64{c.total, c.total, 0, c.discount})
			equal(s, "carried over", invoice.Lines[1].Amount, c.carried)
			equal(s, "subtotal", invoice.Subtotal, c.price+c.carried)
			g.agree()
		}
		equal(s, "charged", g.charged(), []int64{6019, 50})
	})
}

// TestMirrorInvoice shows what the sandbox never does: drafts, tax, many lines.
func TestMirrorInvoice(t *testing.T) {
	t.Parallel()
	t.Run("Draft", func(t *testing.T) {
		each(t, func(s *server) {
			g := s.carded("Olive")
			draft := `{"id": "in_draft", "status": "draft", "currency": "usd", "created": %d, "subtotal": 1000, "total": 980,
				"starting_balance": -30, "total_discount_amounts": [{"amount": 100, "discount": "di_1"}], "total_taxes": [{"amount": 80}],
				"amount_due": 950, "amount_remaining": 950, "hosted_invoice_url": "https://pay.example.com/1", "invoice_pdf": "https://pay.example.com/1.pdf",
				"lines": {"has_more": true, "data": [{"id": "il_1", "amount": 600, "currency": "usd", "description": "first"}]}}`
			s.can("GET /v1/invoices", `{"data": [`+fmt.Sprintf(draft, noon.Unix())+`]}`)
			s.canned["GET /v1/invoices/in_draft/lines"] = `{"data": [{"id": "il_1", "amount": 600, "currency": "usd", "quantity": 2, "description": "first",
				"period": {"start": 2000, "end": 3000}}, {"id": "il_2", "amount": 400, "currency": "usd", "quantity": 1, "description": "second",
				"period": {"start": 1000, "end": 2000}}]}`
			refresh := func() {
				t.Helper()
				if err := s.bills.Sweep(s.ctx); err != nil {
					t.Fatal(err)
				}
			}
			refresh()
			rows := must(s.db.UnsettledInvoices(s.ctx, g.id))(s)
			invoice := rows[0]
			if invoice.Status != db.InvoiceDraft || invoice.Number != nil || invoice.Discount != 130 || invoice.Tax != 80 || invoice.Total != 950 ||
				invoice.AmountDue != 950 || *invoice.HostedURL != "https://pay.example.com/1" || *invoice.PDFURL != "https://pay.example.com/1.pdf" {
				t.Errorf("the invoice is %+v", invoice)
			}
			equal(s, "lines", invoice.Lines, []*db.InvoiceLine{{Description: "first", Quantity: 2, Amount: 600, Currency: "USD"},
				{Description: "second", Quantity: 1, Amount: 400, Currency: "USD"}})
			equal(s, "period", []int64{invoice.PeriodStart.Unix(), invoice.PeriodEnd.Unix()}, []int64{1000, 3000})
			g.wantTold("INVOICE_CREATED nobody: An invoice of $9.50 was created.")
			refresh()
			g.wantTold()
			// Deleted at Stripe, where only drafts can be.
			s.can("GET /v1/invoices", `{"data": []}`)
			refresh()
			equal(s, "status", must(s.db.InvoiceByID(s.ctx, invoice.ID))(s).Status, db.InvoiceVoid)
			g.wantTold()
		})
	})
	t.Run("Uncollectible", func(t *testing.T) {
		each(t, func(s *server) {
			g, _ := s.overdue("Olive")
			s.work()
			g.told()
			s.mails = nil
			open := g.invoices()[1]
			s.exec(`UPDATE sandbox_objects SET body = replace(body, '"status":"open"', '"status":"uncollectible"') WHERE id = '` + open.StripeID + "'")
			if err := s.bills.Sweep(s.ctx); err != nil {
				t.Fatal(err)
			}
			equal(s, "status", g.invoices()[1].Status, db.InvoiceUncollectible)
			equal(s, "overdue", g.account().Overdue, true)
			g.wantTold()
			equal(s, "jobs left", s.work(), 0)
			equal(s, "mails", len(s.mails), 0)
		})
	})
}

func TestUpcoming(t *testing.T) {
	each(t, func(s *server) {
		g, empty := s.carded("Olive"), s.group("Otto")
		equal(s, "nothing", must(s.bills.Upcoming(s.ctx, []string{g.id, empty.id}))(s), [][]any{{}, {}})
		first := g.paid("first", db.Month, 17520, 12250)
		g.paid("installed", db.Year, 57590, 0)
		s.advance(noon.AddDate(0, 0, 10))
		second := g.paid("second", db.Month, 2005, 0)
		leaving := g.paid("leaving", db.Month, 5999, 0)
		s.exec("UPDATE instances SET status = 'DELETING' WHERE id = '" + leaving.ID + "'")
		if err := g.bill(g.instance("free", db.Month, 0, 0), nil); err != nil {
			t.Fatal(err)
		}
		bills := must(s.bills.Upcoming(s.ctx, []string{empty.id, g.id}))(s)
		equal(s, "nothing", bills[0], []any{})
		month, year := bills[1][0], bills[1][1]
		if month.Interval != db.Month || !month.DueAt.Equal(*first.PeriodEnd) || month.Total().Amount != 31775 || month.Total().Currency != "USD" ||
			year.Interval != db.Year || !year.DueAt.Equal(noon.AddDate(1, 0, 0)) || year.Amount != 57590 {
			t.Errorf("the bills are %+v and %+v", month, year)
		}
		line := func(description string, quantity int, amount int64, id string) *db.InvoiceLine {
			return &db.InvoiceLine{Description: description, Quantity: quantity, Amount: amount, Currency: "USD", InstanceID: id}
		}
		equal(s, "lines", month.Lines, []*db.InvoiceLine{line("first: 1 × Compute", 1, 17520, first.ID),
			line("first: 490 × Storage", 490, 12250, first.ID), line("second: 1 × Compute", 1, 2005, second.ID)})

		// Ten percent of each invoice: 2977 and 201 (of 200.5). Then a quarter of what is left of the first: 6698 (of
		// 6698.25); the quarter before would take a cent more. It is over when the second is due, and neither lasts
		// until next year's.
		g.add("TENPERCENT")
		s.exec("UPDATE coupons SET expires_at = '2026-12-31 12:00:00+00:00'")
		s.promote("QUARTER", stripe.CouponCreateParams{PercentOff: stripe.Float64(25), Duration: stripe.String("once")}, 0)
		g.add("QUARTER")
		g.add("WELCOME50")
		amounts := func() []int64 {
			t.Helper()
			var amounts []int64
			for _, bill := range must(s.bills.Upcoming(s.ctx, []string{g.id}))(s)[0] {
				amounts = append(amounts, bill.Amount)
			}
			return amounts
		}
		equal(s, "amounts", amounts(), []int64{31775 - 2977 - 201 - 6698 - 5000, 57590})
		// Credit that is left goes to the next.
		s.exec("UPDATE billing_accounts SET credit = 30000")
		equal(s, "amounts", amounts(), []int64{0, 57590 - (30000 - 21899)})

		s.called()
		s.mu.Lock()
		s.statements = nil
		s.mu.Unlock()
		must(s.bills.Upcoming(s.ctx, []string{g.id, empty.id, db.NewID(db.OrganizationPrefix)}))(s)
		equal(s, "statements", len(s.statements), 3)
		equal(s, "calls", s.called(), nil)

		// Storage that was agreed on at another price than its own of now.
		s.exec("UPDATE instances SET storage_amount = 12260 WHERE id = '" + first.ID + "'")
		equal(s, "line", must(s.bills.Upcoming(s.ctx, []string{g.id}))(s)[0][0].Lines[1], line("first: 490 × Storage", 490, 12260, first.ID))
	})
}
