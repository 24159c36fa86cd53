package db

import (
	"context"
	"time"

	"github.com/uptrace/bun"
)

// Coupon is a promotion code that an organization has redeemed, once.
type Coupon struct {
	bun.BaseModel `bun:"table:coupons,alias:k"`

	ID              string `bun:"id,pk"`
	OrganizationID  string `bun:"organization_id"`
	PromotionCodeID string `bun:"promotion_code_id"` // Stripe's
	// StripeID is the coupon that the promotion code is of, nil in rows from before it was noted.
	StripeID *string `bun:"stripe_id"`
	// Code is in upper case.
	Code     string `bun:"code"`
	Name     string `bun:"name"`
	Currency string `bun:"currency"`
	// AmountOff is credit in cents, and PercentOff a share of each invoice; one of them is set.
	AmountOff  *int64   `bun:"amount_off"`
	PercentOff *float64 `bun:"percent_off"`
	// ExpiresAt is when a percentage ends; nil when it does not.
	ExpiresAt *time.Time `bun:"expires_at"`
	// GrantedAt is nil while the code is only reserved: Stripe does not know of it yet.
	GrantedAt *time.Time `bun:"granted_at"`
	AddedAt   time.Time  `bun:"added_at"`
	AddedByID *string    `bun:"added_by_id"`
}

var couponOrder = order{columns: []string{"added_at", "id"}, descending: true}

// LockRedemptions keeps every other redemption of a coupon of Stripe's, by whatever promotion code, waiting
// until the transaction ends, so that redemptions can be counted.
func (d *DB) LockRedemptions(ctx context.Context, stripeID string) error {
	if !d.isPostgres() { // a transaction that writes is alone from its beginning
		return nil
	}
	return executed(d.bun.ExecContext(ctx, "SELECT pg_advisory_xact_lock(hashtextextended(?, 0))", stripeID))
}

// CountRedemptions counts how often a promotion code was redeemed, and how often the coupon of Stripe's that
// it is of, also by organizations that are deleted.
func (d *DB) CountRedemptions(ctx context.Context, promotionCodeID, stripeID string) (ofCode, ofCoupon int64, err error) {
	err = d.bun.NewSelect().Model((*Coupon)(nil)).
		ColumnExpr("count(*) FILTER (WHERE promotion_code_id = ?)", promotionCodeID).ColumnExpr("count(*)").
		Where("promotion_code_id = ? OR stripe_id = ?", promotionCodeID, stripeID).Scan(ctx, &ofCode, &ofCoupon)
	return ofCode, ofCoupon, mapError(err)
}

// InsertCoupon adds a coupon; ErrDuplicate when the organization has redeemed the code.
func (d *DB) InsertCoupon(ctx context.Context, coupon *Coupon) error {
	return executed(d.bun.NewInsert().Model(coupon).Exec(ctx))
}

// GrantCoupon notes that Stripe gives what a coupon promises, and reports whether nobody had.
func (d *DB) GrantCoupon(ctx context.Context, id string) (first bool, err error) {
	return changed(d.bun.NewUpdate().Model((*Coupon)(nil)).Set("granted_at = ?", d.Now()).
		Where("id = ?", id).Where("granted_at IS NULL").Exec(ctx))
}

// DeleteCoupon takes a coupon back if it was only reserved.
func (d *DB) DeleteCoupon(ctx context.Context, id string) error {
	return executed(d.bun.NewDelete().Model((*Coupon)(nil)).Where("id = ?", id).Where("granted_at IS NULL").Exec(ctx))
}

// CouponByCode finds what an organization has redeemed or reserved; ErrNotFound when it has not.
func (d *DB) CouponByCode(ctx context.Context, organizationID, code string) (*Coupon, error) {
	return one[Coupon](ctx, d.bun.NewSelect().Model((*Coupon)(nil)).Where("organization_id = ?", organizationID).Where("code = ?", code))
}

// CouponsByID finds granted coupons, in the order of ids, nil where there is none.
func (d *DB) CouponsByID(ctx context.Context, ids []string) ([]*Coupon, error) {
	coupons, err := many[Coupon](ctx, d.bun.NewSelect().Model((*Coupon)(nil)).
		Where("?", d.among("k.id", ids)).Where("granted_at IS NOT NULL"))
	return byKey(ids, coupons, func(k *Coupon) string { return k.ID }), err
}

// CouponsOfOrganizations lists the granted coupons of each organization, newest first.
func (d *DB) CouponsOfOrganizations(ctx context.Context, organizationIDs []string) ([][]*Coupon, error) {
	query := d.bun.NewSelect().Model((*Coupon)(nil)).
		Where("?", d.among("organization_id", organizationIDs)).Where("granted_at IS NOT NULL")
	coupons, err := many[Coupon](ctx, couponOrder.sort(query, false))
	return listsByKey(organizationIDs, coupons, func(k *Coupon) string { return k.OrganizationID }), err
}
