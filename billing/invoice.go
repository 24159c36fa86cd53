package billing

// Invoices: how Stripe's become ours, how one is paid, and what the next will be.

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/stripe/stripe-go/v85"

	"studio/db"
	"studio/event"
	"studio/fault"
)

// mirrorInvoice stores an invoice that is new or has changed, and reports whether it did.
func (b *Billing) mirrorInvoice(ctx context.Context, tx *db.DB, owning *db.Organization, of *stripe.Invoice, actor *db.User) (bool, error) {
	store := tx.UpdateInvoice
	before, err := tx.InvoiceByStripeID(ctx, owning.ID, of.ID)
	switch {
	case errors.Is(err, db.ErrNotFound):
		store = tx.InsertInvoice
	case err != nil:
		return false, err
	}
	invoice := mirrored(of, owning.ID, before)
	if before != nil && same(before, invoice) {
		return false, nil
	}
	if err := store(ctx, invoice); err != nil {
		return false, err
	}
	record := func(kind db.EventType, text string) error {
		summary := fmt.Sprintf(text, nameOf(invoice))
		return event.Record(ctx, tx, owning.ID, kind, actor, invoice.ID, strings.ToUpper(summary[:1])+summary[1:])
	}
	if before == nil {
		if err := record(db.InvoiceCreated, "%s was created."); err != nil {
			return false, err
		}
		before = &db.Invoice{}
	}
	if invoice.Status == db.InvoicePaid && before.Status != db.InvoicePaid {
		return true, record(db.InvoiceWasPaid, "%s was paid.")
	}
	if invoice.Collectible() && invoice.Attempts > before.Attempts {
		if err := record(db.PaymentFailed, "The payment of %s failed."); err != nil {
			return false, err
		}
	}
	if invoice.Overdue() && !before.Overdue() {
		return true, b.mailOwners(ctx, tx, invoice)
	}
	return true, nil
}

// nameOf names an invoice for people.
func nameOf(invoice *db.Invoice) string {
	if invoice.Number == nil {
		return "an invoice of " + written(invoice.Total)
	}
	return fmt.Sprintf("invoice %s of %s", *invoice.Number, written(invoice.Total))
}

// mirrored is our form of an invoice of Stripe's, of which before is what was stored, if anything.
func mirrored(of *stripe.Invoice, organizationID string, before *db.Invoice) *db.Invoice {
	if of.Deleted { // a draft, which nobody will have to pay
		voided := *before
		voided.Status, voided.AmountDue = db.InvoiceVoid, 0
		return &voided
	}
	created := time.Unix(of.Created, 0).UTC()
	starting, ending := of.StartingBalance, of.EndingBalance
	if of.Status == stripe.InvoiceStatusDraft { // the balance changes when the invoice is made final
		ending = starting + of.Total - of.AmountDue
	}
	invoice := &db.Invoice{
		OrganizationID: organizationID,
		StripeID:       of.ID,
		Number:         orNil(of.Number),
		Status:         db.InvoiceStatus(strings.ToUpper(string(of.Status))),
		Currency:       strings.ToUpper(string(of.Currency)),
		Subtotal:       of.Subtotal,
		Discount:       max(0, max(0, -starting)-max(0, -ending)), // a balance is below zero while there is credit
		AmountPaid:     of.AmountPaid,
		AmountDue:      of.AmountRemaining,
		Attempts:       int(of.AttemptCount),
		Lines:          mirroredLines(of),
		HostedURL:      orNil(of.HostedInvoiceURL),
		PDFURL:         orNil(of.InvoicePDF),
		CreatedAt:      created,
	}
	// Above zero is what Stripe could not charge, as it was too little, and adds to the next invoice. It is a
	// line of its own here, so that the amounts add up.
	if carried := max(0, starting) - max(0, ending); carried != 0 {
		description := "Carried over from an earlier invoice"
		if carried < 0 {
			description = "Carried over to the next invoice"
		}
		invoice.Subtotal += carried
		invoice.Lines = append(invoice.Lines, &db.InvoiceLine{Description: description, Quantity: 1, Amount: carried, Currency: invoice.Currency})
	}
	invoice.PeriodStart, invoice.PeriodEnd = period(of)
	if before != nil {
		invoice.ID, invoice.CreatedAt = before.ID, before.CreatedAt
	} else {
		invoice.ID = db.NewIDAt(db.InvoicePrefix, created)
	}
	for _, off := range of.TotalDiscountAmounts {
		invoice.Discount += off.Amount
	}
	for _, tax := range of.TotalTaxes {
		invoice.Tax += tax.Amount
	}
	switch invoice.Status {
	case db.InvoiceDraft:
		invoice.AmountDue = of.AmountDue
	case db.InvoicePaid, db.InvoiceVoid:
		invoice.AmountDue = 0
	}
	invoice.Total = invoice.Subtotal - invoice.Discount + invoice.Tax
	if of.StatusTransitions != nil && invoice.Status == db.InvoicePaid {
		invoice.PaidAt = optionalTime(of.StatusTransitions.PaidAt)
	}
	return invoice
}

// period is the time that an invoice's lines are about. Its own is the one before, see
// https://docs.stripe.com/api/invoices/object#invoice_object-period_start.
func period(of *stripe.Invoice) (start, end time.Time) {
	from, to := of.PeriodStart, of.PeriodEnd
	if of.Lines != nil && len(of.Lines.Data) > 0 {
		from, to = math.MaxInt64, 0
		for _, line := range of.Lines.Data {
			from, to = min(from, line.Period.Start), max(to, line.Period.End)
		}
	}
	return time.Unix(from, 0).UTC(), time.Unix(to, 0).UTC()
}

func mirroredLines(of *stripe.Invoice) []*db.InvoiceLine {
	lines := []*db.InvoiceLine{}
	if of.Lines == nil {
		return lines
	}
	var about map[string]string // the metadata of the subscription
	if of.Parent != nil && of.Parent.SubscriptionDetails != nil {
		about = of.Parent.SubscriptionDetails.Metadata
	}
	for _, line := range of.Lines.Data {
		lines = append(lines, &db.InvoiceLine{
			Description: describe(about["instance_name"], line.Description),
			Quantity:    int(line.Quantity),
			Amount:      line.Amount,
			Currency:    strings.ToUpper(string(line.Currency)),
			InstanceID:  about["instance_id"],
		})
	}
	return lines
}

// describe tells of a line what it is for, and of which instance if it is of one.
func describe(instance, what string) string {
	if instance == "" {
		return what
	}
	return instance + ": " + what
}

func orNil(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// PayInvoice tries again to collect an open invoice. CARD_DECLINED, PAYMENT_METHOD_REQUIRED,
// INVALID_INPUT when there is nothing to collect.
func (b *Billing) PayInvoice(ctx context.Context, actor *db.User, invoiceID string) (*db.Invoice, error) {
	missing := fault.ErrNoInvoice.On("invoiceId")
	invoice, err := b.db.InvoiceByID(ctx, invoiceID)
	if errors.Is(err, db.ErrNotFound) {
		return nil, missing
	}
	if err != nil {
		return nil, err
	}
	t := &task{OrganizationID: invoice.OrganizationID, InvoiceID: invoiceID}
	err = b.change(ctx, actor, payJob, t, missing, func(tx *db.DB) (bool, error) {
		if invoice, err = tx.InvoiceByID(ctx, invoiceID); err != nil {
			return false, err
		}
		if err := payable(invoice); err != nil {
			return false, err
		}
		account, err := tx.BillingAccountOf(ctx, invoice.OrganizationID)
		if err == nil && account.PaymentMethodID == nil {
			err = errNoCard
		}
		return true, err
	})
	if err != nil {
		return nil, err
	}
	return b.db.InvoiceByID(ctx, invoiceID)
}

// payable refuses an invoice that cannot be collected.
func payable(invoice *db.Invoice) error {
	switch invoice.Status {
	case db.InvoicePaid:
		return fault.Invalid("invoiceId", "This invoice is paid already.")
	case db.InvoiceVoid:
		return fault.Invalid("invoiceId", "This invoice is void; nothing has to be paid.")
	case db.InvoiceDraft:
		return fault.Invalid("invoiceId", "This invoice is not final yet; it is collected automatically.")
	}
	return nil
}

// payInvoice is the job of PayInvoice.
func (b *Billing) payInvoice(ctx context.Context, jobID string, t task) error {
	actor, err := b.db.UserByID(ctx, t.ActorID)
	if err != nil {
		return err
	}
	invoice, err := b.db.InvoiceByID(ctx, t.InvoiceID)
	if err == nil {
		_, err = b.db.OrganizationByID(ctx, t.OrganizationID)
	}
	if errors.Is(err, db.ErrNotFound) {
		return fault.ErrNoInvoice.On("invoiceId") // the organization was deleted while the job waited
	}
	if err != nil {
		return err
	}
	_, payErr := b.stripe.V1Invoices.Pay(ctx, invoice.StripeID, once(jobID, "pay", &stripe.InvoicePayParams{OffSession: stripe.Bool(true)}))
	f := failed(payErr)
	if payErr != nil && !f.declined() && f.status != http.StatusBadRequest {
		return b.giveUp(ctx, t.OrganizationID, payErr)
	}
	// The failure of a payment is news too, and Stripe refuses what was paid meanwhile.
	if _, err := b.refresh(ctx, t.OrganizationID, cause{invoices: actor}, nil); err != nil {
		if err := b.giveUp(ctx, t.OrganizationID, err); !f.declined() {
			return err
		}
	}
	switch {
	case payErr == nil:
		return nil
	case f.declined():
		return errDeclined(f)
	}
	if invoice, err = b.db.InvoiceByID(ctx, t.InvoiceID); err != nil || invoice.Status == db.InvoicePaid {
		return err
	}
	if err := payable(invoice); err != nil {
		return err
	}
	account, err := b.db.BillingAccountOf(ctx, t.OrganizationID)
	if err == nil && account.PaymentMethodID == nil {
		return errNoCard
	}
	return b.giveUp(ctx, t.OrganizationID, errors.Join(err, payErr))
}

// Upcoming is the next bill of an interval: everything that is billed at it, on the day when the
// first of it is due.
type Upcoming struct {
	Interval db.Interval
	DueAt    time.Time
	// Amount is what the card would be charged, after percentages and credit, in cents.
	Amount int64
	Lines  []*db.InvoiceLine
}

// Total is what the card would be charged.
func (u *Upcoming) Total() *Money { return Dollars(u.Amount) }

// Upcoming works out the next bills of organizations, one for each interval that something is billed
// at, the one that is due first first.
func (b *Billing) Upcoming(ctx context.Context, organizationIDs []string) ([][]*Upcoming, error) {
	instances, err := b.db.BilledInstancesOf(ctx, organizationIDs)
	if err != nil {
		return nil, err
	}
	coupons, err := b.db.CouponsOfOrganizations(ctx, organizationIDs)
	if err != nil {
		return nil, err
	}
	accounts, err := b.db.BillingAccountsOf(ctx, organizationIDs)
	if err != nil {
		return nil, err
	}
	all := make([][]*Upcoming, len(organizationIDs))
	for i, id := range organizationIDs {
		own := slices.DeleteFunc(slices.Clone(instances), func(n *db.Instance) bool { return n.OrganizationID != id })
		all[i] = b.upcoming(own, coupons[i])
		if accounts[i] == nil {
			continue
		}
		credit := accounts[i].Credit
		for _, bill := range all[i] {
			used := min(credit, bill.Amount)
			credit, bill.Amount = credit-used, bill.Amount-used
		}
	}
	return all, nil
}

// upcoming are the bills before credit, for instances that come in the order in which they are due.
func (b *Billing) upcoming(instances []*db.Instance, coupons []*db.Coupon) []*Upcoming {
	bills := []*Upcoming{}
	for _, instance := range instances {
		n := slices.IndexFunc(bills, func(u *Upcoming) bool { return u.Interval == instance.Interval })
		if n < 0 {
			n = len(bills)
			bills = append(bills, &Upcoming{Interval: instance.Interval, DueAt: *instance.PeriodEnd, Lines: []*db.InvoiceLine{}})
		}
		bill := bills[n]
		items, left := b.items(instance), instance.Amount()
		for i, item := range items {
			amount := item.UnitAmount * item.Quantity
			if i == len(items)-1 {
				amount = left // as agreed, though it may cost something else by now
			}
			left -= amount
			bill.Lines = append(bill.Lines, &db.InvoiceLine{
				Description: describe(instance.Name, fmt.Sprintf("%d × %s", item.Quantity, item.Name)),
				Quantity:    int(item.Quantity), Amount: amount, Currency: Currency, InstanceID: instance.ID,
			})
		}
		bill.Amount += afterPercentages(instance.Amount(), coupons, *instance.PeriodEnd)
	}
	return bills
}

// afterPercentages is what coupons leave of an amount, as Stripe works it out for the invoice of a
// subscription: one after the other, rounded half away from zero. They are given newest first.
func afterPercentages(amount int64, coupons []*db.Coupon, due time.Time) int64 {
	for _, coupon := range slices.Backward(coupons) {
		if coupon.PercentOff == nil || coupon.ExpiresAt != nil && !coupon.ExpiresAt.After(due) {
			continue
		}
		hundredths := int64(math.Round(*coupon.PercentOff * 100))
		amount -= (amount*hundredths + 5_000) / 10_000
	}
	return amount
}
