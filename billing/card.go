package billing

// The card: entered in Stripe's own form, and known to us by Stripe's ID.

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strings"

	"github.com/stripe/stripe-go/v85"

	"studio/db"
	"studio/fault"
	"studio/organization"
)

// StartCardSetup begins entering a card: the secret opens Stripe's card form, in which the
// publishable key stands for us.
func (b *Billing) StartCardSetup(ctx context.Context, actor *db.User, organizationID string) (clientSecret, publishableKey string, err error) {
	var account *db.BillingAccount
	err = b.change(ctx, actor, openJob, &task{OrganizationID: organizationID}, organization.ErrMissing, func(tx *db.DB) (bool, error) {
		account, err = accountOf(ctx, tx, organizationID)
		return err == nil && account.CustomerID == "", err
	})
	if err == nil && account.CustomerID == "" {
		account, err = b.db.BillingAccountOf(ctx, organizationID)
	}
	if err != nil {
		return "", "", err
	}
	// Not in a job: the secret must not be stored, and a setup that is lost is begun anew.
	setup, err := b.stripe.V1SetupIntents.Create(ctx, once(db.NewID(db.JobPrefix), "set up", &stripe.SetupIntentCreateParams{
		Customer: &account.CustomerID, Usage: stripe.String("off_session"), PaymentMethodTypes: stripe.StringSlice([]string{"card"}),
	}))
	if err != nil {
		return "", "", b.giveUp(ctx, organizationID, err)
	}
	return setup.ClientSecret, b.settings.PublishableKey, nil
}

var (
	paymentMethodID  = regexp.MustCompile(`^pm_[A-Za-z0-9_]{1,252}$`)
	errPaymentMethod = fault.Invalid("paymentMethodId", "Give the ID of a payment method that Stripe's card form has made, pm_….")
	errCardChanged   = fault.New(fault.Conflict, "The card was changed in the meantime. Look at it, then try again.")
)

// SetCard makes a payment method the organization's one card. CARD_DECLINED leaves the old one;
// INVALID_INPUT when there is no such payment method.
func (b *Billing) SetCard(ctx context.Context, actor *db.User, organizationID, methodID string) (*db.BillingAccount, error) {
	methodID = strings.TrimSpace(methodID)
	if !paymentMethodID.MatchString(methodID) {
		return nil, errPaymentMethod
	}
	t := &task{OrganizationID: organizationID, PaymentMethodID: methodID}
	err := b.change(ctx, actor, setJob, t, organization.ErrMissing, func(*db.DB) (bool, error) { return true, nil })
	if err != nil {
		return nil, err
	}
	return accountOf(ctx, b.db, organizationID)
}

// setCard is the job of SetCard.
func (b *Billing) setCard(ctx context.Context, jobID string, t task) error {
	actor, err := b.db.UserByID(ctx, t.ActorID)
	if err != nil {
		return err
	}
	account, err := b.customer(ctx, t.OrganizationID)
	if err == nil {
		err = b.replaceCard(ctx, jobID, t, account)
	}
	if err == nil {
		_, err = b.refresh(ctx, t.OrganizationID, cause{card: actor}, nil)
	}
	return b.giveUp(ctx, t.OrganizationID, err)
}

func (b *Billing) replaceCard(ctx context.Context, jobID string, t task, account *db.BillingAccount) error {
	// The ID may be another afterwards: Stripe's test payment methods stand for a new one each time.
	method, err := b.stripe.V1PaymentMethods.Attach(ctx, t.PaymentMethodID, once(jobID, "attach", &stripe.PaymentMethodAttachParams{
		Customer: &account.CustomerID,
	}))
	switch f := failed(err); {
	case f.declined():
		return errDeclined(f).On("paymentMethodId")
	case f.refused() && f.param != "customer":
		return errPaymentMethod // it does not exist, was used before, or is somebody else's
	case err != nil:
		return err
	case method.Card == nil:
		if err := b.detach(ctx, jobID, method.ID); err != nil {
			return err
		}
		return errPaymentMethod
	}
	_, err = b.stripe.V1Customers.Update(ctx, account.CustomerID, once(jobID, "choose", &stripe.CustomerUpdateParams{
		InvoiceSettings: &stripe.CustomerUpdateInvoiceSettingsParams{DefaultPaymentMethod: &method.ID},
	}))
	if err != nil {
		return err
	}
	cards, err := b.cards(ctx, account)
	if err != nil || !slices.Contains(cards, method.ID) {
		return err // without its own card it was overtaken, and the card that is there was set later
	}
	return b.detach(ctx, jobID, without(cards, method.ID)...)
}

// cards lists a customer's cards.
func (b *Billing) cards(ctx context.Context, account *db.BillingAccount) (methodIDs []string, err error) {
	params := &stripe.CustomerListPaymentMethodsParams{Customer: &account.CustomerID, Type: stripe.String("card")}
	params.Limit = stripe.Int64(100)
	for method, err := range b.stripe.V1Customers.ListPaymentMethods(ctx, params).All(ctx) {
		if err != nil {
			return nil, err
		}
		methodIDs = append(methodIDs, method.ID)
	}
	return methodIDs, nil
}

func without(cards []string, one string) []string {
	return slices.DeleteFunc(cards, func(id string) bool { return id == one })
}

func (b *Billing) detach(ctx context.Context, jobID string, methodIDs ...string) error {
	for _, id := range methodIDs {
		if _, err := b.stripe.V1PaymentMethods.Detach(ctx, id, once(jobID, "detach "+id, &stripe.PaymentMethodDetachParams{})); err != nil {
			return err
		}
	}
	return nil
}

// RemoveCard removes the organization's card. CARD_IN_USE while there are paid instances, CONFLICT when
// another card came meanwhile.
func (b *Billing) RemoveCard(ctx context.Context, actor *db.User, organizationID string) (*db.BillingAccount, error) {
	t := &task{OrganizationID: organizationID}
	err := b.change(ctx, actor, removeJob, t, organization.ErrMissing, func(tx *db.DB) (bool, error) {
		account, err := removable(ctx, tx, organizationID)
		if account != nil {
			t.PaymentMethodID = stripe.StringValue(account.PaymentMethodID)
		}
		return account != nil, err
	})
	if err != nil {
		return nil, err
	}
	return accountOf(ctx, b.db, organizationID)
}

// removeCard is the job of RemoveCard.
func (b *Billing) removeCard(ctx context.Context, jobID string, t task) error {
	actor, err := b.db.UserByID(ctx, t.ActorID)
	if err != nil {
		return err
	}
	var account *db.BillingAccount
	err = b.db.InTx(ctx, func(tx *db.DB) error {
		_, err := tx.LockOrganization(ctx, t.OrganizationID)
		if errors.Is(err, db.ErrNotFound) {
			return organization.ErrMissing // it was deleted while the job waited
		}
		if err != nil {
			return err
		}
		if account, err = removable(ctx, tx, t.OrganizationID); err != nil || account == nil {
			return err
		}
		// From now on nothing that costs money begins, see Affordable. The details stay until the
		// card is gone, so that the refresh sees what is gone.
		account.PaymentMethodID = nil
		return tx.UpdateBillingAccount(ctx, account)
	})
	if err != nil || account == nil {
		return err
	}
	return b.giveUp(ctx, t.OrganizationID, b.takeAway(ctx, jobID, account, t.PaymentMethodID, actor))
}

// takeAway has Stripe forget the card with the given ID, and all others that the customer has; "" is the card that
// the account shows.
func (b *Billing) takeAway(ctx context.Context, jobID string, account *db.BillingAccount, methodID string, actor *db.User) (err error) {
	if methodID == "" {
		if methodID, err = b.shown(ctx, account); err != nil {
			return err
		}
	}
	cards, err := b.cards(ctx, account)
	if err != nil {
		return err
	}
	if len(cards) > 0 && !slices.Contains(cards, methodID) {
		// The job was overtaken, or Stripe's webhook is late: nobody has asked for this card to be removed.
		if _, err := b.refresh(ctx, account.OrganizationID, cause{}, nil); err != nil {
			return err
		}
		return errCardChanged
	}
	if len(cards) > 0 {
		if err := b.detach(ctx, jobID, append(without(cards, methodID), methodID)...); err != nil { // its own last
			return err
		}
	}
	_, err = b.refresh(ctx, account.OrganizationID, cause{card: actor}, nil)
	return err
}

// shown is the payment method of the card that the account shows without its ID, as after a removal that Stripe
// did not answer; "" when Stripe has another card.
func (b *Billing) shown(ctx context.Context, account *db.BillingAccount) (methodID string, err error) {
	s, err := b.look(ctx, account)
	if err != nil || s.card() == nil {
		return "", err
	}
	present := *account
	show(&present, s.card())
	present.PaymentMethodID = nil
	if !same(&present, account) {
		return "", nil
	}
	return s.card().ID, nil
}

// removable is the account of a locked organization that has a card to remove, nil when it has none.
func removable(ctx context.Context, tx *db.DB, organizationID string) (*db.BillingAccount, error) {
	account, err := accountOf(ctx, tx, organizationID)
	if err != nil || account.CardLast4 == nil {
		return nil, err
	}
	instances, err := tx.InstancesOf(ctx, organizationID)
	for _, instance := range instances {
		// One that is being updated may cost something at Stripe already.
		if instance.SubscriptionID != nil || instance.Status == db.InstanceUpdating ||
			instance.Amount() > 0 && instance.Status != db.InstanceDeleting {
			return nil, fault.New(fault.CardInUse,
				"The instance %s is paid with this card. Delete the paid instances first, or set another card.", instance.Name)
		}
	}
	return account, err
}
