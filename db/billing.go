package db

import (
	"context"
	"time"

	"github.com/uptrace/bun"
)

// BillingAccount is what is known of an organization as a customer of Stripe. An organization that
// never had to do with Stripe has none.
type BillingAccount struct {
	bun.BaseModel `bun:"table:billing_accounts,alias:b"`

	OrganizationID string `bun:"organization_id,pk"`
	CustomerID     string `bun:"customer_id"`
	// PaymentMethodID is nil when there is no card. While one is being removed its details are still
	// there, otherwise they are nil too.
	PaymentMethodID *string `bun:"payment_method_id"`
	CardBrand       *string `bun:"card_brand"`
	CardLast4       *string `bun:"card_last4"`
	CardExpMonth    *int    `bun:"card_exp_month"`
	CardExpYear     *int    `bun:"card_exp_year"`
	// Credit is in cents; it is spent before the card is charged.
	Credit int64 `bun:"credit"`
	// Overdue is set when an invoice could not be collected.
	Overdue   bool      `bun:"overdue"`
	CreatedAt time.Time `bun:"created_at"`
}

// InsertBillingAccount adds an account, and reports false when the organization has one.
func (d *DB) InsertBillingAccount(ctx context.Context, account *BillingAccount) (bool, error) {
	return changed(d.bun.NewInsert().Model(account).On("CONFLICT (organization_id) DO NOTHING").Exec(ctx))
}

// UpdateBillingAccount stores all of an account; the organization's row must be locked.
func (d *DB) UpdateBillingAccount(ctx context.Context, account *BillingAccount) error {
	return requireRow(d.bun.NewUpdate().Model(account).WherePK().Exec(ctx))
}

// BillingAccountOf finds an organization's account; ErrNotFound when there is none.
func (d *DB) BillingAccountOf(ctx context.Context, organizationID string) (*BillingAccount, error) {
	return one[BillingAccount](ctx, d.bun.NewSelect().Model((*BillingAccount)(nil)).Where("organization_id = ?", organizationID))
}

// BillingAccountsOf finds accounts, in the order of organizationIDs, nil where there is none.
func (d *DB) BillingAccountsOf(ctx context.Context, organizationIDs []string) ([]*BillingAccount, error) {
	accounts, err := many[BillingAccount](ctx, d.bun.NewSelect().Model((*BillingAccount)(nil)).
		Where("?", d.among("organization_id", organizationIDs)))
	return byKey(organizationIDs, accounts, func(a *BillingAccount) string { return a.OrganizationID }), err
}

// BillingAccountByCustomer finds the account of a customer of Stripe's.
func (d *DB) BillingAccountByCustomer(ctx context.Context, customerID string) (*BillingAccount, error) {
	return one[BillingAccount](ctx, d.bun.NewSelect().Model((*BillingAccount)(nil)).Where("customer_id = ?", customerID))
}

// BillingAccountsAfter lists up to limit accounts in the order of their organizations' IDs, from the
// first that follows the given ID. It leaves out organizations that are deleted.
func (d *DB) BillingAccountsAfter(ctx context.Context, organizationID string, limit int) ([]*BillingAccount, error) {
	return many[BillingAccount](ctx, d.bun.NewSelect().Model((*BillingAccount)(nil)).
		Join("JOIN organizations AS o ON o.id = b.organization_id").Where("o.deleted_at IS NULL").
		Where("organization_id > ?", organizationID).OrderExpr("organization_id").Limit(int64(limit)))
}

// stripeEvent is a webhook that has had its effect.
type stripeEvent struct {
	bun.BaseModel `bun:"table:stripe_events"`

	ID         string    `bun:"id,pk"`
	ReceivedAt time.Time `bun:"received_at"`
}

// InsertStripeEvent notes that a webhook has its effect in this transaction, and reports false when
// it had it before.
func (d *DB) InsertStripeEvent(ctx context.Context, id string) (bool, error) {
	return changed(d.bun.NewInsert().Model(&stripeEvent{ID: id, ReceivedAt: d.Now()}).On("CONFLICT (id) DO NOTHING").Exec(ctx))
}

// StripeEventKnown reports whether a webhook has had its effect.
func (d *DB) StripeEventKnown(ctx context.Context, id string) (bool, error) {
	known, err := d.bun.NewSelect().Model((*stripeEvent)(nil)).Where("id = ?", id).Exists(ctx)
	return known, mapError(err)
}

// DeleteStripeEvents forgets the webhooks that were received before a time.
func (d *DB) DeleteStripeEvents(ctx context.Context, before time.Time) error {
	return executed(d.bun.NewDelete().Model((*stripeEvent)(nil)).Where("received_at < ?", before).Exec(ctx))
}
