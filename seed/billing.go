package seed

// How an organization pays: card, coupons and invoices.

import (
	"fmt"
	"time"

	"studio/db"
	"studio/instance"
)

// bill is a period of an instance that was billed.
type bill struct {
	instance   *db.Instance
	start, end time.Time
}

// billing makes the account, and the invoices in the order of their times. The card is set and the
// coupons are added the day before the first.
func (o *organization) billing(bills []bill) {
	began := bills[0].start.Add(-24 * time.Hour)
	method, brand, last4, month, expires := o.id("pm", began), "visa", fmt.Sprintf("%04d", o.IntN(10_000)), 1+o.IntN(12), 2029+o.IntN(4)
	account := &db.BillingAccount{
		OrganizationID: o.ID, CustomerID: o.id("cus", began), PaymentMethodID: &method, CardBrand: &brand, CardLast4: &last4,
		CardExpMonth: &month, CardExpYear: &expires, CreatedAt: began,
	}
	o.record(began, db.CardChanged, o.founder, db.BillingIDOf(o.ID), "%s set the card: Visa ending in %s.", o.founder.Name(), last4)
	var discountUntil time.Time
	if o.index%3 != 0 {
		amount := int64(5000)
		account.Credit = amount
		o.coupon(began.Add(time.Hour), db.Coupon{Code: "WELCOME50", Name: "Welcome credit of $50.00", AmountOff: &amount}, "$50.00 of credit")
	}
	if o.index%3 != 1 {
		percent, added := 10.0, began.Add(2*time.Hour)
		discountUntil = added.AddDate(1, 0, 0)
		o.coupon(added, db.Coupon{Code: "TENPERCENT", Name: "10% off for 12 months", PercentOff: &percent, ExpiresAt: &discountUntil},
			"10 %% off until "+discountUntil.Format("2 January 2006"))
	}
	for i, b := range bills {
		invoice := o.invoice(b, account, discountUntil)
		number := fmt.Sprintf("%08X-%04d", 0x10000000+o.index, i+1)
		invoice.Number = &number
		o.settle(invoice, account, len(bills)-1-i)
		o.batch.Invoices = append(o.batch.Invoices, invoice)
	}
	o.batch.BillingAccounts = append(o.batch.BillingAccounts, account)
}

func (o *organization) coupon(at time.Time, coupon db.Coupon, benefit string) {
	coupon.ID, coupon.OrganizationID, coupon.PromotionCodeID = o.id(db.CouponPrefix, at), o.ID, "promo_"+coupon.Code
	coupon.Currency, coupon.GrantedAt, coupon.AddedAt, coupon.AddedByID = "USD", &at, at, &o.founder.ID
	o.batch.Coupons = append(o.batch.Coupons, &coupon)
	o.record(at, db.CouponAdded, o.founder, coupon.ID, "%s added the coupon "+coupon.Code+": "+benefit+".", o.founder.Name())
}

// invoice bills a period: the discount is taken off while it lasts, and then the credit.
func (o *organization) invoice(b bill, account *db.BillingAccount, discountUntil time.Time) *db.Invoice {
	invoice := &db.Invoice{
		ID: o.id(db.InvoicePrefix, b.start), OrganizationID: o.ID, StripeID: o.id("in", b.start), Currency: "USD",
		PeriodStart: b.start, PeriodEnd: b.end, CreatedAt: b.start, Lines: linesOf(b.instance),
	}
	for _, line := range invoice.Lines {
		invoice.Subtotal += line.Amount
	}
	if b.start.Before(discountUntil) {
		invoice.Discount = (invoice.Subtotal + 5) / 10
	}
	credit := min(account.Credit, invoice.Subtotal-invoice.Discount)
	account.Credit -= credit
	invoice.Discount += credit
	invoice.Total = invoice.Subtotal - invoice.Discount
	return invoice
}

// linesOf are the lines of an instance's invoice, as Stripe words them.
func linesOf(of *db.Instance) []*db.InvoiceLine {
	per := map[db.Interval]string{db.Month: "month", db.Year: "year"}[of.Interval]
	var lines []*db.InvoiceLine
	for _, item := range instance.Items(of) {
		lines = append(lines, &db.InvoiceLine{
			Description: fmt.Sprintf("%s: %d × %s (at %s / %s)", of.Name, item.Quantity, item.Name, dollars(item.UnitAmount), per),
			Quantity:    int(item.Quantity), Amount: item.UnitAmount * item.Quantity, Currency: "USD", InstanceID: of.ID,
		})
	}
	return lines
}

func dollars(cents int64) string { return fmt.Sprintf("$%d.%02d", cents/100, cents%100) }

// settle decides what became of an invoice that so many newer ones followed. Nearly all were paid.
func (o *organization) settle(invoice *db.Invoice, account *db.BillingAccount, newer int) {
	at := invoice.CreatedAt
	name := fmt.Sprintf("nvoice %s of %s", *invoice.Number, dollars(invoice.Total))
	switch {
	case newer == 0 && o.index%30 == 3:
		invoice.Status, invoice.Number, invoice.AmountDue = db.InvoiceDraft, nil, invoice.Total
		o.record(at, db.InvoiceCreated, nil, invoice.ID, "An invoice of %s was created.", dollars(invoice.Total))
		return
	case newer == 0 && invoice.Total > 0 && (o.index%25 == 7 || o.index%60 == 23):
		invoice.Status, invoice.Attempts, invoice.AmountDue = db.InvoiceOpen, 1, invoice.Total
		if o.index%60 == 23 {
			invoice.Status = db.InvoiceUncollectible
		}
		account.Overdue = true
	case newer == 1 && o.index%40 == 11:
		invoice.Status = db.InvoiceVoid
	default:
		paid := at.Add(2 * time.Second)
		invoice.Status, invoice.AmountPaid, invoice.PaidAt = db.InvoicePaid, invoice.Total, &paid
		if invoice.Total > 0 {
			invoice.Attempts = 1
		}
	}
	o.record(at, db.InvoiceCreated, nil, invoice.ID, "I%s was created.", name)
	if invoice.Status == db.InvoicePaid {
		o.record(*invoice.PaidAt, db.InvoiceWasPaid, nil, invoice.ID, "I%s was paid.", name)
	} else if invoice.Overdue() {
		o.record(at.Add(2*time.Second), db.PaymentFailed, nil, invoice.ID, "The payment of i%s failed.", name)
	}
}
