package stripesandbox

// Invoices: made final at once, paid from the customer's balance first and then by card.

import (
	"fmt"
	"maps"
)

type invoice struct {
	ID                   string            `json:"id"`
	Object               string            `json:"object"`
	AmountDue            int64             `json:"amount_due"`
	AmountPaid           int64             `json:"amount_paid"`
	AmountRemaining      int64             `json:"amount_remaining"`
	AttemptCount         int64             `json:"attempt_count"`
	Attempted            bool              `json:"attempted"`
	AutoAdvance          bool              `json:"auto_advance"`
	BillingReason        string            `json:"billing_reason"`
	CollectionMethod     string            `json:"collection_method"`
	Created              int64             `json:"created"`
	Currency             string            `json:"currency"`
	Customer             string            `json:"customer"`
	CustomerEmail        *string           `json:"customer_email"`
	CustomerName         *string           `json:"customer_name"`
	Discounts            []string          `json:"discounts"`
	EndingBalance        int64             `json:"ending_balance"`
	HostedInvoiceURL     *string           `json:"hosted_invoice_url"` // there are no pages of it
	InvoicePDF           *string           `json:"invoice_pdf"`
	Lines                listOf[*line]     `json:"lines"`
	Livemode             bool              `json:"livemode"`
	Metadata             map[string]string `json:"metadata"`
	NextPaymentAttempt   *int64            `json:"next_payment_attempt"`
	Number               string            `json:"number"`
	Parent               invoiceParent     `json:"parent"`
	PeriodEnd            int64             `json:"period_end"`
	PeriodStart          int64             `json:"period_start"`
	StartingBalance      int64             `json:"starting_balance"`
	Status               string            `json:"status"`
	StatusTransitions    transitions       `json:"status_transitions"`
	Subtotal             int64             `json:"subtotal"`
	Total                int64             `json:"total"`
	TotalDiscountAmounts []discountAmount  `json:"total_discount_amounts"`
	TotalTaxes           []struct{}        `json:"total_taxes"`
}

type transitions struct {
	FinalizedAt           *int64 `json:"finalized_at"`
	MarkedUncollectibleAt *int64 `json:"marked_uncollectible_at"`
	PaidAt                *int64 `json:"paid_at"`
	VoidedAt              *int64 `json:"voided_at"`
}

type discountAmount struct {
	Amount   int64  `json:"amount"`
	Discount string `json:"discount"`
}

type invoiceParent struct {
	SubscriptionDetails subscriptionDetails `json:"subscription_details"`
	Type                string              `json:"type"`
}

type subscriptionDetails struct {
	Metadata     map[string]string `json:"metadata"`
	Subscription string            `json:"subscription"`
}

func (i invoice) key() (kind, id, customer string) { return "invoice", i.ID, i.Customer }

type line struct {
	ID              string            `json:"id"`
	Object          string            `json:"object"`
	Amount          int64             `json:"amount"`
	Currency        string            `json:"currency"`
	Description     string            `json:"description"`
	DiscountAmounts []discountAmount  `json:"discount_amounts"`
	Discountable    bool              `json:"discountable"`
	Discounts       []string          `json:"discounts"`
	Invoice         string            `json:"invoice"`
	Livemode        bool              `json:"livemode"`
	Metadata        map[string]string `json:"metadata"`
	Parent          lineParent        `json:"parent"`
	Period          period            `json:"period"`
	Pricing         pricing           `json:"pricing"`
	Quantity        int64             `json:"quantity"`
	Subtotal        int64             `json:"subtotal"`
	Taxes           []struct{}        `json:"taxes"`
}

type lineParent struct {
	SubscriptionItemDetails itemDetails `json:"subscription_item_details"`
	Type                    string      `json:"type"`
}

type itemDetails struct {
	Proration        bool   `json:"proration"`
	Subscription     string `json:"subscription"`
	SubscriptionItem string `json:"subscription_item"`
}

type period struct {
	End   int64 `json:"end"`
	Start int64 `json:"start"`
}

type pricing struct {
	PriceDetails      priceDetails `json:"price_details"`
	Type              string       `json:"type"`
	UnitAmountDecimal string       `json:"unit_amount_decimal"`
}

type priceDetails struct {
	Price   string `json:"price"`
	Product string `json:"product"`
}

// line makes a line about an item's current period.
func (t *turn) line(s *subscription, i *subscriptionItem, amount int64, proration bool) *line {
	return &line{
		ID: newID("il"), Object: "line_item", Amount: amount, Subtotal: amount, Currency: s.Currency, Quantity: i.Quantity,
		DiscountAmounts: []discountAmount{}, Discounts: []string{}, Taxes: []struct{}{}, Metadata: maps.Clone(s.Metadata),
		Period: period{End: i.CurrentPeriodEnd, Start: i.CurrentPeriodStart},
		Parent: lineParent{
			SubscriptionItemDetails: itemDetails{Proration: proration, Subscription: s.ID, SubscriptionItem: i.ID},
			Type:                    "subscription_item_details",
		},
		Pricing: pricing{
			PriceDetails: priceDetails{Price: i.Price.ID, Product: i.Price.Product}, Type: "price_details",
			UnitAmountDecimal: i.Price.UnitAmountDecimal,
		},
	}
}

// bill makes an invoice and collects it. If it must be paid and is not, the refusal is returned;
// otherwise it stays open. The caller saves the subscription.
func (t *turn) bill(s *subscription, reason string, lines []*line, mustPay bool) error {
	c, err := find[customer](t, s.Customer, "customer")
	if err != nil {
		return err
	}
	if err := c.use(s.Currency); err != nil {
		return err
	}
	in := &invoice{
		ID: newID("in"), Object: "invoice", BillingReason: reason, CollectionMethod: "charge_automatically",
		Created: t.now, Currency: s.Currency, Customer: c.ID, CustomerEmail: c.Email, CustomerName: c.Name,
		Discounts: []string{}, Metadata: map[string]string{}, TotalDiscountAmounts: []discountAmount{}, TotalTaxes: []struct{}{},
		Number: fmt.Sprintf("%s-%04d", c.InvoicePrefix, c.NextInvoiceSequence),
		Parent: invoiceParent{
			SubscriptionDetails: subscriptionDetails{Metadata: maps.Clone(s.Metadata), Subscription: s.ID},
			Type:                "subscription_details",
		},
		// Like Stripe's, this is the time before, and only the lines say what is billed.
		PeriodStart: t.now, PeriodEnd: t.now,
		StartingBalance: c.Balance, Status: "open", StatusTransitions: transitions{FinalizedAt: t.present()},
	}
	if reason == "subscription_cycle" {
		in.PeriodStart = s.periods(s.start(), -1)
	}
	in.Lines = listOf[*line]{Object: "list", Data: lines, URL: "/v1/invoices/" + in.ID + "/lines"}
	in.add()
	// The balance adds to the total; what is below zero afterwards is credit, and too little is left for later.
	if due := in.Total + c.Balance; due < minCharge {
		in.EndingBalance = due
	} else {
		in.AmountDue = due
	}
	in.AmountRemaining = in.AmountDue
	var changed []string
	if in.EndingBalance != c.Balance {
		changed = []string{"customer.updated"}
		if _, err := t.changeBalance(c, &balanceTransaction{Amount: in.EndingBalance - c.Balance, Currency: in.Currency, Invoice: &in.ID,
			Metadata: map[string]string{}, Type: "applied_to_invoice"}); err != nil {
			return err
		}
	}
	c.NextInvoiceSequence++
	s.LatestInvoice = &in.ID
	t.billed++
	if err := save(t, c, changed...); err != nil {
		return err
	}
	if err := save(t, in, "invoice.created", "invoice.finalized"); err != nil {
		return err
	}
	retries := 0
	if reason == "subscription_create" {
		retries = len(retryAfter) // incomplete subscriptions wait for a person
	}
	refused, err := t.collectOrRetry(in, s, retries)
	if refused != nil && mustPay {
		return refused
	}
	return err
}

// minCharge is the least that Stripe charges, in cents.
const minCharge = 50

// add sums the lines up.
func (i *invoice) add() {
	off := map[string]int{}
	for _, l := range i.Lines.Data {
		l.Invoice = i.ID
		i.Subtotal += l.Amount
		i.Total += l.Amount
		for _, d := range l.DiscountAmounts {
			at, known := off[d.Discount]
			if !known {
				at = len(i.Discounts)
				off[d.Discount] = at
				i.Discounts = append(i.Discounts, d.Discount)
				i.TotalDiscountAmounts = append(i.TotalDiscountAmounts, discountAmount{Discount: d.Discount})
			}
			i.TotalDiscountAmounts[at].Amount += d.Amount
			i.Total -= d.Amount
		}
	}
}

// retryAfter is how long after a failed automatic attempt the next one is made.
var retryAfter = []int64{3 * 24 * 60 * 60, 5 * 24 * 60 * 60, 7 * 24 * 60 * 60}

type charge struct {
	ID            string `json:"id"`
	Object        string `json:"object"`
	Amount        int64  `json:"amount"`
	Created       int64  `json:"created"`
	Currency      string `json:"currency"`
	Customer      string `json:"customer"`
	Invoice       string `json:"invoice"`
	PaymentMethod string `json:"payment_method"`
	Status        string `json:"status"`
}

func (c charge) key() (kind, id, customer string) { return "charge", c.ID, c.Customer }

// collectOrRetry collects an open invoice by itself, after so many retries. When that is refused, it
// is tried again unless it has been often enough.
func (t *turn) collectOrRetry(in *invoice, s *subscription, retries int) (*refusal, error) {
	if retries >= len(retryAfter) {
		return t.collect(in, s, true, nil)
	}
	next := t.now + retryAfter[retries]
	refused, err := t.collect(in, s, true, &next)
	if refused == nil || err != nil {
		return nil, err
	}
	return refused, t.schedule(next, in.ID, retries+1)
}

// collect charges what is due of an open invoice, which is saved, as the subscription is not. When
// that is refused, next is when it is tried again, if ever. After the first attempt, Stripe counts only
// those that are made by itself.
func (t *turn) collect(in *invoice, s *subscription, byItself bool, next *int64) (*refusal, error) {
	refused, err := t.charge(in)
	if err != nil {
		return nil, err
	}
	if in.AmountDue > 0 && (byItself || !in.Attempted) {
		in.AttemptCount++
	}
	in.Attempted = true
	if refused != nil {
		in.NextPaymentAttempt, in.AutoAdvance = next, next != nil
		if s.Status == "active" && in.BillingReason == "subscription_create" {
			s.Status = "incomplete"
		} else if s.Status == "active" {
			s.Status = "past_due"
		}
		return refused, save(t, in, "invoice.updated", "invoice.payment_failed")
	}
	in.NextPaymentAttempt, in.AutoAdvance = nil, false
	in.Status, in.StatusTransitions.PaidAt, in.AmountPaid, in.AmountRemaining = "paid", t.present(), in.AmountDue, 0
	if err := save(t, in, "invoice.updated", "invoice.paid", "invoice.payment_succeeded"); err != nil {
		return nil, err
	}
	if s.Status == "past_due" || s.Status == "incomplete" {
		open, err := t.openInvoices(s)
		if err != nil {
			return nil, err
		}
		if len(open) == 0 {
			s.Status = "active"
		}
	}
	return nil, nil
}

// charge takes what is due of an invoice from the customer's card.
func (t *turn) charge(in *invoice) (*refusal, error) {
	if in.AmountDue == 0 {
		return nil, nil
	}
	c, err := find[customer](t, in.Customer, "customer")
	if err != nil {
		return nil, err
	}
	if c.InvoiceSettings.DefaultPaymentMethod == nil {
		return invalid("resource_missing", "", "This customer has no attached payment source or default payment method. "+
			"Please consider adding a default payment method."), nil
	}
	p, err := find[paymentMethod](t, *c.InvoiceSettings.DefaultPaymentMethod, "default_payment_method")
	if err != nil {
		return nil, err
	}
	if p.Card.refusesCharges() {
		return declined(), nil
	}
	return nil, save(t, &charge{ID: newID("ch"), Object: "charge", Amount: in.AmountDue, Created: t.now, Currency: in.Currency,
		Customer: c.ID, Invoice: in.ID, PaymentMethod: p.ID, Status: "succeeded"})
}

func (t *turn) openInvoices(s *subscription) ([]*invoice, error) {
	return list(t, s.Customer, func(in *invoice) bool {
		return in.Status == "open" && in.Parent.SubscriptionDetails.Subscription == s.ID
	})
}

// stopCollecting leaves a subscription's open invoices to their customer; those of one that never
// was active are void.
func (t *turn) stopCollecting(s *subscription) error {
	open, err := t.openInvoices(s)
	if err != nil {
		return err
	}
	for _, in := range open {
		in.NextPaymentAttempt, in.AutoAdvance = nil, false
		if s.Status == "incomplete" {
			in.Status, in.StatusTransitions.VoidedAt, in.AmountRemaining = "void", t.present(), 0
		}
		if err := save(t, in, "invoice.updated"); err != nil {
			return err
		}
	}
	return nil
}

func (t *turn) invoices() (any, error) {
	f := t.form
	return page(t, f.text("customer"), func(in *invoice) bool {
		return (!f.has("subscription") || in.Parent.SubscriptionDetails.Subscription == f.text("subscription")) &&
			(!f.has("status") || in.Status == f.text("status")) && in.Created >= f.int("created[gte]")
	})
}

func (t *turn) invoice() (any, error) { return find[invoice](t, t.id, inPath) }

// payInvoice tries the card once more. That it was tried stays known when it is refused.
func (t *turn) payInvoice() (any, error) {
	in, err := find[invoice](t, t.id, inPath)
	if err != nil {
		return nil, err
	}
	switch in.Status {
	case "open":
	case "paid":
		return nil, invalid("", "", "Invoice is already paid")
	default:
		return nil, invalid("", "", "This invoice is %s, and can no longer be paid.", in.Status)
	}
	s, err := find[subscription](t, in.Parent.SubscriptionDetails.Subscription, "subscription")
	if err != nil {
		return nil, err
	}
	before := s.Status
	refused, err := t.collect(in, s, false, in.NextPaymentAttempt)
	if err != nil {
		return nil, err
	}
	if refused != nil {
		refused.kept = refused.Type == "card_error" // without a card, nothing was tried
		return nil, refused
	}
	if s.Status != before {
		err = save(t, s, "customer.subscription.updated")
	}
	return in, err
}
