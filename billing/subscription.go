package billing

// Subscriptions: what Stripe bills for an instance again and again.

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/stripe/stripe-go/v85"

	"studio/db"
)

// Order is what Stripe is to bill for an instance.
type Order struct {
	Instance *db.Instance
	// Items are empty when the instance is to cost nothing, or is to be deleted.
	Items []Item
}

// amount is what is to be billed for an interval, in cents.
func (o Order) amount() (cents int64) {
	for _, item := range o.Items {
		cents += item.UnitAmount * item.Quantity
	}
	return cents
}

// Item is a part of what is billed. An order has at most one of each product.
type Item struct {
	// ProductID is what it is at Stripe, for example studio-cloud-2gb, and Name what stands on
	// invoices.
	ProductID, Name string
	// UnitAmount is in cents.
	UnitAmount, Quantity int64
}

// Bill makes Stripe bill for an instance what is ordered, by whatever is needed: a new subscription,
// a change, an end, or nothing. What a change costs is billed at once, and what was paid and is not
// used becomes credit; a period that is not paid gives none, and cannot become a more expensive one.
// Then it stores what Stripe knows, in one transaction under the organization's lock that begins with
// then. It must be called by a job in the organization's lane, and may be called again. CARD_DECLINED,
// PAYMENT_METHOD_REQUIRED and PAYMENT_OVERDUE have changed nothing; after any other error it is not
// known whether something was.
func (b *Billing) Bill(ctx context.Context, jobID string, actor *db.User, order Order, then func(tx *db.DB) error) error {
	account, err := accountOf(ctx, b.db, order.Instance.OrganizationID)
	switch {
	case err != nil:
		return err
	case account.CustomerID != "": // an organization that never paid has nothing at Stripe
		err = b.arrange(ctx, jobID, account, order)
	case len(order.Items) > 0:
		return errNoCard
	}
	if err != nil {
		return err
	}
	_, err = b.refresh(ctx, order.Instance.OrganizationID, cause{invoices: actor}, then)
	return err
}

// arrange makes the instance's subscription the one that is ordered.
func (b *Billing) arrange(ctx context.Context, jobID string, account *db.BillingAccount, order Order) error {
	s, err := b.look(ctx, account)
	if err != nil {
		return err
	}
	own := s.subscriptions(order.Instance.ID)
	if len(own) > 0 && overdue(own[0]) && order.amount() > billed(own[0]) {
		// Affordable did not know, as the mirror does not yet.
		if _, err := b.refresh(ctx, account.OrganizationID, cause{}, nil); err != nil {
			return err
		}
		return errOverdue
	}
	for i, subscription := range own {
		if i > 0 || len(order.Items) == 0 {
			if err := b.cancel(ctx, subscription); err != nil {
				return err
			}
		}
	}
	if len(order.Items) == 0 {
		return nil
	}
	if err := b.makeProducts(ctx, jobID, order.Items); err != nil {
		return err
	}
	if len(own) > 0 {
		err = b.update(ctx, jobID, own[0], order)
	} else {
		err = b.subscribe(ctx, jobID, s, order)
	}
	if f := failed(err); f.declined() {
		return errDeclined(f)
	} else if f.refused() && s.card() == nil {
		return errNoCard
	}
	return err
}

// makeProducts makes what the items are at Stripe, unless it is there.
func (b *Billing) makeProducts(ctx context.Context, jobID string, items []Item) error {
	for _, item := range items {
		if _, known := b.products.Load(item.ProductID); known {
			continue
		}
		_, err := b.stripe.V1Products.Create(ctx, once(jobID, "product "+item.ProductID, &stripe.ProductCreateParams{
			ID: &item.ProductID, Name: &item.Name,
		}))
		if err != nil && failed(err).code != stripe.ErrorCodeResourceAlreadyExists {
			return err
		}
		b.products.Store(item.ProductID, true)
	}
	return nil
}

// subscribe begins a subscription, with what is left of the organization's percentages.
func (b *Billing) subscribe(ctx context.Context, jobID string, s *seen, order Order) error {
	if s.card() == nil {
		return errNoCard
	}
	coupons, err := b.db.CouponsOfOrganizations(ctx, []string{s.account.OrganizationID})
	if err != nil {
		return err
	}
	params := &stripe.SubscriptionCreateParams{
		Customer:        &s.account.CustomerID,
		OffSession:      stripe.Bool(true),
		PaymentBehavior: stripe.String("error_if_incomplete"),
		Metadata: map[string]string{
			"organization_id": s.account.OrganizationID, "instance_id": order.Instance.ID, "instance_name": order.Instance.Name,
		},
	}
	for _, coupon := range slices.Backward(coupons[0]) { // the oldest first, see afterPercentages
		id, err := b.discount(ctx, jobID, coupon, s.at)
		if err != nil {
			return err
		}
		if id != "" {
			params.Discounts = append(params.Discounts, &stripe.SubscriptionCreateDiscountParams{Coupon: &id})
		}
	}
	for _, item := range order.Items {
		params.Items = append(params.Items, &stripe.SubscriptionCreateItemParams{
			PriceData: &stripe.SubscriptionCreateItemPriceDataParams{
				Currency: currency(), Product: &item.ProductID, UnitAmount: &item.UnitAmount,
				Recurring: &stripe.SubscriptionCreateItemPriceDataRecurringParams{Interval: interval(order.Instance.Interval)},
			},
			Quantity: &item.Quantity,
		})
	}
	_, err = b.stripe.V1Subscriptions.Create(ctx, once(jobID, "subscribe", params))
	return err
}

// update changes the items that differ.
func (b *Billing) update(ctx context.Context, jobID string, subscription *stripe.Subscription, order Order) error {
	params := &stripe.SubscriptionUpdateParams{
		OffSession:        stripe.Bool(true),
		PaymentBehavior:   stripe.String("error_if_incomplete"),
		ProrationBehavior: stripe.String("always_invoice"),
	}
	present := map[string]*stripe.SubscriptionItem{}
	for _, item := range subscription.Items.Data {
		present[item.Price.Product.ID] = item
	}
	for _, item := range order.Items {
		change := &stripe.SubscriptionUpdateItemParams{Quantity: &item.Quantity}
		old := present[item.ProductID]
		delete(present, item.ProductID)
		samePrice := old != nil && old.Price.UnitAmount == item.UnitAmount &&
			old.Price.Recurring != nil && string(old.Price.Recurring.Interval) == *interval(order.Instance.Interval)
		if samePrice && old.Quantity == item.Quantity {
			continue
		}
		if old != nil {
			change.ID = &old.ID
		}
		if !samePrice {
			change.PriceData = &stripe.SubscriptionUpdateItemPriceDataParams{
				Currency: currency(), Product: &item.ProductID, UnitAmount: &item.UnitAmount,
				Recurring: &stripe.SubscriptionUpdateItemPriceDataRecurringParams{Interval: interval(order.Instance.Interval)},
			}
		}
		params.Items = append(params.Items, change)
	}
	for _, item := range subscription.Items.Data {
		if present[item.Price.Product.ID] != nil {
			params.Items = append(params.Items, &stripe.SubscriptionUpdateItemParams{ID: &item.ID, Deleted: stripe.Bool(true)})
		}
	}
	if len(params.Items) == 0 {
		return nil
	}
	if order.amount() < billed(subscription) {
		unpaid, err := b.unpaid(ctx, subscription)
		if err != nil {
			return err
		}
		if unpaid {
			params.ProrationBehavior = stripe.String("none")
		}
	}
	_, err := b.stripe.V1Subscriptions.Update(ctx, subscription.ID, once(jobID, "update", params))
	return err
}

// cancel ends a subscription at once; the unused time becomes credit. One that is over already is
// missing.
func (b *Billing) cancel(ctx context.Context, subscription *stripe.Subscription) error {
	unpaid, err := b.unpaid(ctx, subscription)
	if err != nil {
		return err
	}
	prorate := !unpaid
	_, err = b.stripe.V1Subscriptions.Cancel(ctx, subscription.ID, &stripe.SubscriptionCancelParams{
		Prorate: &prorate, InvoiceNow: &prorate,
	})
	if failed(err).missing() {
		return nil
	}
	return err
}

// unpaid reports whether a subscription's period is not paid, or not yet. Stripe would give back its unused
// time all the same, see https://docs.stripe.com/billing/subscriptions/prorations. The status alone does not
// tell: it is active while the period's invoice is a draft, and again once that is given up, as void or uncollectible.
// Nor does the latest invoice, which can be that of an upgrade.
func (b *Billing) unpaid(ctx context.Context, subscription *stripe.Subscription) (bool, error) {
	if overdue(subscription) {
		return true, nil
	}
	params := &stripe.InvoiceListParams{Subscription: &subscription.ID}
	params.Limit = stripe.Int64(100)
	for invoice, err := range b.stripe.V1Invoices.List(ctx, params).All(ctx) {
		if err != nil {
			return false, err
		}
		switch invoice.BillingReason {
		case stripe.InvoiceBillingReasonSubscriptionCreate, stripe.InvoiceBillingReasonSubscriptionCycle:
			return invoice.Status != stripe.InvoiceStatusPaid, nil
		}
	}
	return false, nil
}

// overdue reports whether the payment of a subscription has failed.
func overdue(subscription *stripe.Subscription) bool {
	return subscription.Status == stripe.SubscriptionStatusPastDue || subscription.Status == stripe.SubscriptionStatusUnpaid
}

// billed is what a subscription bills for an interval before percentages, in cents.
func billed(subscription *stripe.Subscription) (cents int64) {
	for _, item := range subscription.Items.Data {
		cents += item.Price.UnitAmount * item.Quantity
	}
	return cents
}

func currency() *string { return stripe.String(strings.ToLower(Currency)) }

func interval(i db.Interval) *string { return stripe.String(strings.ToLower(string(i))) }

// Close ends what an organization has with Stripe: subscriptions first, so that the card is still
// there when that fails. It must be called by a job in the organization's lane, and may be called
// again. The error is a fault when Stripe failed.
func (b *Billing) Close(ctx context.Context, jobID, organizationID string) error {
	err := b.close(ctx, jobID, organizationID)
	if _, is := errors.AsType[*failure](err); is {
		return errors.Join(errUnavailable, err)
	}
	return err
}

func (b *Billing) close(ctx context.Context, jobID, organizationID string) error {
	account, err := accountOf(ctx, b.db, organizationID)
	if err != nil || account.CustomerID == "" {
		return err
	}
	s, err := b.look(ctx, account)
	if failed(err).missing() || err == nil && s.customer.Deleted {
		return nil // with the customer all is gone
	}
	if err != nil {
		return err
	}
	for _, subscription := range s.live {
		if err := b.cancel(ctx, subscription); err != nil {
			return err
		}
	}
	cards, err := b.cards(ctx, account)
	if err != nil {
		return err
	}
	if err := b.detach(ctx, jobID, cards...); err != nil {
		return err
	}
	_, err = b.refresh(ctx, organizationID, cause{}, nil)
	if errors.Is(err, db.ErrNotFound) {
		return nil // it was deleted, by a job that could not say so
	}
	return err
}
