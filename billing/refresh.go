package billing

// The mirror: what Stripe knows is fetched, stored, and told where it differs from what was stored.

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stripe/stripe-go/v85"

	"studio/db"
	"studio/event"
	"studio/mail"
)

// seen is what Stripe knows of a customer.
type seen struct {
	account  *db.BillingAccount
	at       time.Time // by Stripe's clock
	customer *stripe.Customer
	// live are the subscriptions that are not over, oldest first.
	live []*stripe.Subscription
	// invoices are those that may be new or have changed, oldest first.
	invoices []*stripe.Invoice
}

// card is nil when there is none.
func (s *seen) card() *stripe.PaymentMethod {
	if s.customer.InvoiceSettings == nil || s.customer.InvoiceSettings.DefaultPaymentMethod == nil ||
		s.customer.InvoiceSettings.DefaultPaymentMethod.Card == nil {
		return nil
	}
	return s.customer.InvoiceSettings.DefaultPaymentMethod
}

// subscriptions are the live ones of an instance, oldest first; there should be at most one.
func (s *seen) subscriptions(instanceID string) []*stripe.Subscription {
	var own []*stripe.Subscription
	for _, subscription := range s.live {
		if subscription.Metadata["instance_id"] == instanceID {
			own = append(own, subscription)
		}
	}
	return own
}

// look asks Stripe for a customer and its live subscriptions. It must be called in the
// organization's lane, like all that follows from what is seen.
func (b *Billing) look(ctx context.Context, account *db.BillingAccount) (*seen, error) {
	customer, err := b.stripe.V1Customers.Retrieve(ctx, account.CustomerID, &stripe.CustomerRetrieveParams{
		Expand: stripe.StringSlice([]string{"invoice_settings.default_payment_method"}),
	})
	if err != nil {
		return nil, err
	}
	s := &seen{account: account, at: b.timeOf(customer.LastResponse), customer: customer}
	if customer.Deleted { // in Stripe's dashboard, which ends all subscriptions
		return s, nil
	}
	params := &stripe.SubscriptionListParams{Customer: &account.CustomerID, Expand: stripe.StringSlice([]string{"data.discounts"})}
	params.Limit = stripe.Int64(100)
	for subscription, err := range b.stripe.V1Subscriptions.List(ctx, params).All(ctx) {
		if err != nil {
			return nil, err
		}
		if subscription.Status != stripe.SubscriptionStatusCanceled && subscription.Status != stripe.SubscriptionStatusIncompleteExpired {
			s.live = append(s.live, subscription)
		}
	}
	slices.Reverse(s.live)
	return s, nil
}

// overlap is how long before the newest invoice that is mirrored others are still looked for, in case
// Stripe did not list one at once.
const overlap = 24 * time.Hour

// fetch looks, and asks for the invoices since the newest that is mirrored, and for those that could
// still change.
func (b *Billing) fetch(ctx context.Context, account *db.BillingAccount) (*seen, error) {
	s, err := b.look(ctx, account)
	if err != nil {
		return nil, err
	}
	params := &stripe.InvoiceListParams{Customer: &account.CustomerID}
	params.Limit = stripe.Int64(100)
	newest, err := b.db.NewestInvoice(ctx, account.OrganizationID)
	switch {
	case err == nil:
		params.CreatedRange = &stripe.RangeQueryParams{GreaterThanOrEqual: newest.CreatedAt.Add(-overlap).Unix()}
	case !errors.Is(err, db.ErrNotFound):
		return nil, err
	}
	listed := map[string]bool{}
	for invoice, err := range b.stripe.V1Invoices.List(ctx, params).All(ctx) {
		if err != nil {
			return nil, err
		}
		listed[invoice.ID] = true
		s.invoices = append(s.invoices, invoice)
	}
	unsettled, err := b.db.UnsettledInvoices(ctx, account.OrganizationID)
	if err != nil {
		return nil, err
	}
	for _, mirrored := range unsettled {
		if listed[mirrored.StripeID] {
			continue
		}
		invoice, err := b.stripe.V1Invoices.Retrieve(ctx, mirrored.StripeID, nil)
		if failed(err).missing() { // a draft can be deleted
			invoice, err = &stripe.Invoice{ID: mirrored.StripeID, Deleted: true}, nil
		}
		if err != nil {
			return nil, err
		}
		s.invoices = append(s.invoices, invoice)
	}
	for _, invoice := range s.invoices {
		if err := b.allLines(ctx, invoice); err != nil {
			return nil, err
		}
	}
	slices.Reverse(s.invoices)
	slices.SortStableFunc(s.invoices, func(a, b *stripe.Invoice) int { return int(a.Created - b.Created) })
	return s, nil
}

// allLines completes the lines of an invoice, of which Stripe shows only the first.
func (b *Billing) allLines(ctx context.Context, invoice *stripe.Invoice) error {
	if invoice.Lines == nil || !invoice.Lines.HasMore {
		return nil
	}
	params := &stripe.InvoiceListLinesParams{Invoice: &invoice.ID}
	params.Limit = stripe.Int64(100)
	invoice.Lines.Data = nil
	for line, err := range b.stripe.V1Invoices.ListLines(ctx, params).All(ctx) {
		if err != nil {
			return err
		}
		invoice.Lines.Data = append(invoice.Lines.Data, line)
	}
	return nil
}

// cause is who is named in the log for what a refresh finds, nil for nobody.
type cause struct{ card, invoices *db.User }

// refresh fetches what Stripe knows and mirrors it. What first does is part of the transaction, and
// comes first. The result is how many differences there were. An organization that is no customer has
// nothing to refresh.
func (b *Billing) refresh(ctx context.Context, organizationID string, by cause, first func(tx *db.DB) error) (differences int, err error) {
	account, err := accountOf(ctx, b.db, organizationID)
	if err != nil {
		return 0, err
	}
	var s *seen
	if account.CustomerID != "" {
		if s, err = b.fetch(ctx, account); err != nil {
			return 0, err
		}
	}
	err = b.db.InTx(ctx, func(tx *db.DB) error {
		owning, err := tx.LockOrganization(ctx, organizationID)
		if err != nil {
			return err
		}
		if first != nil {
			if err := first(tx); err != nil {
				return err
			}
		}
		if s != nil {
			differences, err = b.mirror(ctx, tx, owning, s, by)
		}
		return err
	})
	return differences, err
}

// mirror stores what was seen of a locked organization, records what has changed, and counts it.
func (b *Billing) mirror(ctx context.Context, tx *db.DB, owning *db.Organization, s *seen, by cause) (differences int, err error) {
	differences, err = mirrorSubscriptions(ctx, tx, s)
	if err != nil {
		return 0, err
	}
	for _, invoice := range s.invoices {
		changed, err := b.mirrorInvoice(ctx, tx, owning, invoice, by.invoices)
		if err != nil {
			return 0, err
		}
		if changed {
			differences++
		}
	}
	account, err := tx.BillingAccountOf(ctx, owning.ID)
	if err != nil {
		return 0, err
	}
	before := *account
	if err := mirrorCard(ctx, tx, account, s.card(), by.card); err != nil {
		return 0, err
	}
	account.Credit = max(0, -s.customer.Balance)
	unsettled, err := tx.UnsettledInvoices(ctx, owning.ID)
	if err != nil {
		return 0, err
	}
	account.Overdue = slices.ContainsFunc(unsettled, (*db.Invoice).Overdue)
	if same(&before, account) {
		return differences, nil
	}
	return differences + 1, tx.UpdateBillingAccount(ctx, account)
}

// same compares two rows by what they hold and not by where.
func same[T any](a, b *T) bool {
	first, err := json.Marshal(a)
	second, otherErr := json.Marshal(b)
	return err == nil && otherErr == nil && string(first) == string(second)
}

// mirrorSubscriptions notes which subscription bills which instance, and until when it is paid.
func mirrorSubscriptions(ctx context.Context, tx *db.DB, s *seen) (differences int, err error) {
	instances, err := tx.InstancesOf(ctx, s.account.OrganizationID)
	if err != nil {
		return 0, err
	}
	for _, instance := range instances {
		var id *string
		var end *time.Time
		if own := s.subscriptions(instance.ID); len(own) > 0 {
			id = &own[0].ID
			if len(own[0].Items.Data) > 0 {
				end = optionalTime(own[0].Items.Data[0].CurrentPeriodEnd)
			}
		}
		if same(&id, &instance.SubscriptionID) && same(&end, &instance.PeriodEnd) {
			continue
		}
		differences++
		if err := tx.SetSubscription(ctx, instance.ID, id, end); err != nil {
			return 0, err
		}
	}
	return differences, nil
}

// show makes the account show a card, nil for none.
func show(account *db.BillingAccount, method *stripe.PaymentMethod) {
	account.PaymentMethodID, account.CardBrand, account.CardLast4, account.CardExpMonth, account.CardExpYear = nil, nil, nil, nil, nil
	if method != nil {
		brand, month, year := string(method.Card.Brand), int(method.Card.ExpMonth), int(method.Card.ExpYear)
		account.PaymentMethodID, account.CardBrand, account.CardLast4 = &method.ID, &brand, &method.Card.Last4
		account.CardExpMonth, account.CardExpYear = &month, &year
	}
}

// mirrorCard has the account show the card, and tells of another than before.
func mirrorCard(ctx context.Context, tx *db.DB, account *db.BillingAccount, method *stripe.PaymentMethod, actor *db.User) error {
	was := *account
	show(account, method)
	if actor == nil && method != nil && was.PaymentMethodID == nil && was.CardLast4 != nil {
		was.PaymentMethodID = &method.ID // it was to be removed, and was not
	}
	if same(&was, account) || method == nil && was.CardLast4 == nil {
		return nil
	}
	kind, shown, passive, active := db.CardChanged, account, "The card was changed: %s.", "set the card: %s."
	if method == nil {
		kind, shown, passive, active = db.CardRemoved, &was, "The card was removed: %s.", "removed the card: %s."
	}
	summary := fmt.Sprintf(passive, cardName(shown))
	if actor != nil {
		summary = actor.Name() + " " + fmt.Sprintf(active, cardName(shown))
	}
	return event.Record(ctx, tx, account.OrganizationID, kind, actor, db.BillingIDOf(account.OrganizationID), summary)
}

// cardName names a card for people.
func cardName(account *db.BillingAccount) string {
	brand := *account.CardBrand
	switch stripe.PaymentMethodCardBrand(brand) {
	case stripe.PaymentMethodCardBrandAmex:
		brand = "American Express"
	case stripe.PaymentMethodCardBrandJCB:
		brand = "JCB"
	case stripe.PaymentMethodCardBrandUnknown, "":
		brand = "card"
	default:
		brand = strings.ToUpper(brand[:1]) + brand[1:]
	}
	return brand + " ending in " + *account.CardLast4
}

// refreshNow is the job that webhooks, the sweep and interrupted jobs leave.
func (b *Billing) refreshNow(ctx context.Context, jobID string, t task) error {
	_, err := b.db.OrganizationByID(ctx, t.OrganizationID)
	if errors.Is(err, db.ErrNotFound) {
		return nil // a deleted organization stays as it was
	}
	if err != nil {
		return err
	}
	switch {
	case t.EventID != "":
		err = b.hear(ctx, t)
	case t.Sweep:
		err = b.repair(ctx, jobID, t)
	default:
		_, err = b.refresh(ctx, t.OrganizationID, cause{}, nil)
		return err
	}
	if _, is := errors.AsType[*failure](err); is {
		return errUnavailable // over: Stripe sends a webhook again, and the next sweep comes
	}
	return err
}

// failedPaymentPayload is what the job that mails of a failed payment is given.
type failedPaymentPayload struct{ InvoiceID, MembershipID string }

// mailOwners has the owners told, each by a mail of their own, that an invoice became overdue.
func (b *Billing) mailOwners(ctx context.Context, tx *db.DB, invoice *db.Invoice) error {
	owners, err := tx.OwnersOf(ctx, invoice.OrganizationID)
	if err != nil {
		return err
	}
	for _, owner := range owners {
		if _, err := b.jobs.Enqueue(ctx, tx, mailJob, failedPaymentPayload{invoice.ID, owner.ID}); err != nil {
			return err
		}
	}
	return nil
}

// mailFailure is the job, which has nothing to do any more when the invoice has been paid meanwhile,
// or the owner is none.
func (b *Billing) mailFailure(ctx context.Context, jobID string, p failedPaymentPayload) error {
	invoice, err := b.db.InvoiceByID(ctx, p.InvoiceID)
	if err != nil {
		return err
	}
	owning, err := b.db.OrganizationByID(ctx, invoice.OrganizationID)
	var owner *db.Membership
	if err == nil {
		owner, err = b.db.MembershipByID(ctx, p.MembershipID)
	}
	if errors.Is(err, db.ErrNotFound) {
		return nil
	}
	if err != nil || !owner.IsOwner || !invoice.Overdue() {
		return err
	}
	message := mail.PaymentFailed(owner.Email, mail.PaymentFailedParams{
		OrganizationName: owning.Name, Amount: written(invoice.AmountDue), Link: b.publicURL + "/",
	})
	message.ID = jobID
	return b.mails.Send(ctx, message)
}
