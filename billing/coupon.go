package billing

// Coupons: promotion codes of Stripe's that an organization redeems. One with an amount off becomes
// credit. One with a percentage becomes a discount of each subscription, by a coupon that is made for
// what is left of its time, since an instance that comes later gets only the rest.

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"github.com/stripe/stripe-go/v85"

	"studio/db"
	"studio/event"
	"studio/fault"
	"studio/organization"
)

var promotionCode = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,64}$`)

// AddCoupon redeems a promotion code. COUPON_INVALID, COUPON_EXPIRED, COUPON_ALREADY_ADDED; after
// UNAVAILABLE it may be added later.
func (b *Billing) AddCoupon(ctx context.Context, actor *db.User, organizationID, code string) (*db.Coupon, *db.BillingAccount, error) {
	code = strings.TrimSpace(code)
	if !promotionCode.MatchString(code) {
		return nil, nil, errNoCode
	}
	code = strings.ToUpper(code) // last: there are letters that only then become A-Z
	t := &task{OrganizationID: organizationID, Code: code, CouponID: db.NewID(db.CouponPrefix)}
	err := b.change(ctx, actor, couponJob, t, organization.ErrMissing, func(tx *db.DB) (bool, error) {
		_, err := tx.CouponByCode(ctx, organizationID, code)
		switch {
		case err == nil:
			return false, errCodeUsed
		case errors.Is(err, db.ErrNotFound):
			return true, nil
		}
		return false, err
	})
	if failure, is := errors.AsType[*failure](err); is { // while it was being granted
		zerolog.Ctx(ctx).Error().Err(failure).Str("organization", organizationID).Msg("a coupon cannot be granted yet")
		err = errCouponLater
	}
	if err != nil {
		return nil, nil, err
	}
	coupon, err := b.db.CouponByCode(ctx, organizationID, code)
	if err != nil {
		return nil, nil, err
	}
	account, err := accountOf(ctx, b.db, organizationID)
	return coupon, account, err
}

var (
	errNoCode      = fault.New(fault.CouponInvalid, "There is no such code. Check the spelling.").On("code")
	errCodeUsed    = fault.New(fault.CouponAlreadyAdded, "This code has been added to the organization already; it can be added once.").On("code")
	errCodeGone    = fault.New(fault.CouponInvalid, "This code has been used as often as it may be.").On("code")
	errCouponLater = fault.New(fault.Unavailable, "The payment service is not responding. The coupon is added as soon as it responds.").GoingOn()
)

// addCoupon is the job of AddCoupon: the code is reserved, then granted by Stripe, then ours.
func (b *Billing) addCoupon(ctx context.Context, jobID string, t task) error {
	actor, err := b.db.UserByID(ctx, t.ActorID)
	if err != nil {
		return err
	}
	coupon, err := b.db.CouponByCode(ctx, t.OrganizationID, t.Code)
	switch {
	case errors.Is(err, db.ErrNotFound):
		if coupon, err = b.reserve(ctx, t); err != nil {
			return b.giveUp(ctx, t.OrganizationID, err)
		}
	case err != nil:
		return err
	case coupon.ID != t.CouponID:
		return errCodeUsed
	case coupon.GrantedAt != nil:
		return nil // by an earlier attempt of this job
	}
	err = b.grant(ctx, jobID, coupon)
	if errors.Is(err, organization.ErrMissing) {
		if err := b.couponGivenUp(ctx, jobID, t); err != nil {
			return err
		}
	}
	if err != nil {
		return err
	}
	_, err = b.refresh(ctx, t.OrganizationID, cause{}, func(tx *db.DB) error {
		first, err := tx.GrantCoupon(ctx, coupon.ID)
		if err != nil || !first {
			return err
		}
		summary := fmt.Sprintf("%s added the coupon %s: %s.", actor.Name(), coupon.Code, benefit(coupon))
		return event.Record(ctx, tx, t.OrganizationID, db.CouponAdded, actor, coupon.ID, summary)
	})
	return err
}

// benefit is what a coupon gives, for people.
func benefit(coupon *db.Coupon) string {
	switch {
	case coupon.AmountOff != nil:
		return written(*coupon.AmountOff) + " of credit"
	case coupon.ExpiresAt == nil:
		return fmt.Sprintf("%v %% off", *coupon.PercentOff)
	}
	return fmt.Sprintf("%v %% off until %s", *coupon.PercentOff, coupon.ExpiresAt.Format("2 January 2006"))
}

// reserve counts a redemption before Stripe is told of it, as redemptions are limited over all
// organizations. Stripe does not count those by organizations.
func (b *Billing) reserve(ctx context.Context, t task) (*db.Coupon, error) {
	account, err := b.customer(ctx, t.OrganizationID)
	if err != nil {
		return nil, err
	}
	promotion, now, err := b.findPromotion(ctx, account, t.Code)
	if err != nil {
		return nil, err
	}
	of := promotion.Promotion.Coupon
	coupon := &db.Coupon{
		ID: t.CouponID, OrganizationID: t.OrganizationID, PromotionCodeID: promotion.ID, StripeID: &of.ID,
		Code: t.Code, Name: cmp.Or(of.Name, t.Code), Currency: Currency, AddedByID: &t.ActorID,
	}
	if of.AmountOff > 0 {
		coupon.AmountOff = &of.AmountOff
	} else {
		coupon.PercentOff = &of.PercentOff
		var expires time.Time
		switch of.Duration {
		case stripe.CouponDurationRepeating:
			expires = monthsAfter(now, int(of.DurationInMonths))
		case stripe.CouponDurationOnce:
			expires = monthsAfter(now, 1)
		}
		if !expires.IsZero() {
			coupon.ExpiresAt = &expires
		}
	}
	err = b.db.InTx(ctx, func(tx *db.DB) error {
		if _, err := tx.LockOrganization(ctx, t.OrganizationID); err != nil {
			return err
		}
		if err := restricted(ctx, tx, promotion, t.OrganizationID); err != nil {
			return err
		}
		if err := tx.LockRedemptions(ctx, of.ID); err != nil {
			return err
		}
		ofCode, ofCoupon, err := tx.CountRedemptions(ctx, promotion.ID, of.ID)
		if err != nil {
			return err
		}
		if usedUp(promotion, ofCode, ofCoupon) {
			return errCodeGone
		}
		coupon.AddedAt = tx.Now()
		return tx.InsertCoupon(ctx, coupon)
	})
	return coupon, err
}

// findPromotion looks a code up, and tells when that was by Stripe's clock.
func (b *Billing) findPromotion(ctx context.Context, account *db.BillingAccount, code string) (*stripe.PromotionCode, time.Time, error) {
	params := &stripe.PromotionCodeListParams{Code: &code, Expand: stripe.StringSlice([]string{"data.promotion.coupon.applies_to"})}
	params.Limit = stripe.Int64(100)
	list := b.stripe.V1PromotionCodes.List(ctx, params)
	var best *stripe.PromotionCode // codes are unique only among those that are active
	for promotion, err := range list.All(ctx) {
		if err != nil {
			return nil, time.Time{}, err
		}
		if promotion.Customer != nil && promotion.Customer.ID != account.CustomerID {
			continue
		}
		if best == nil || promotion.Active && !best.Active {
			best = promotion
		}
	}
	if best == nil || best.Promotion == nil || best.Promotion.Coupon == nil {
		return nil, time.Time{}, errNoCode
	}
	coupon, now := best.Promotion.Coupon, b.timeOf(list.LastResponse())
	past := func(unix int64) bool { return unix != 0 && unix <= now.Unix() }
	switch {
	case usedUp(best, 0, 0):
		return nil, now, errCodeGone
	case !best.Active, !coupon.Valid, past(best.ExpiresAt), past(coupon.RedeemBy):
		return nil, now, fault.New(fault.CouponExpired, "This code can no longer be used.").On("code")
	case coupon.AmountOff > 0 && !strings.EqualFold(string(coupon.Currency), Currency):
		return nil, now, fault.New(fault.CouponInvalid, "This code is for another currency than %s.", Currency).On("code")
	case coupon.AmountOff <= 0 && coupon.PercentOff <= 0:
		return nil, now, fault.New(fault.CouponInvalid, "This code takes nothing off here.").On("code")
	case coupon.AppliesTo != nil && len(coupon.AppliesTo.Products) > 0:
		return nil, now, fault.New(fault.CouponInvalid, "This code is for certain products only, and cannot be used here.").On("code")
	case best.Restrictions != nil && best.Restrictions.MinimumAmount > 0:
		return nil, now, fault.New(fault.CouponInvalid, "This code is for a single purchase of a minimum amount, and cannot be used here.").On("code")
	}
	return best, now, nil
}

// restricted refuses a code that is for new customers to one who is none.
func restricted(ctx context.Context, tx *db.DB, promotion *stripe.PromotionCode, organizationID string) error {
	if promotion.Restrictions == nil || !promotion.Restrictions.FirstTimeTransaction {
		return nil
	}
	_, err := tx.NewestInvoice(ctx, organizationID)
	if err == nil {
		return fault.New(fault.CouponInvalid, "This code is for organizations that have not paid anything yet.").On("code")
	}
	if !errors.Is(err, db.ErrNotFound) {
		return err
	}
	return nil
}

// usedUp tells whether a code or its coupon was redeemed as often as it may be, by those whom Stripe counts
// and by organizations.
func usedUp(promotion *stripe.PromotionCode, ofCode, ofCoupon int64) bool {
	coupon := promotion.Promotion.Coupon
	return promotion.MaxRedemptions > 0 && promotion.TimesRedeemed+ofCode >= promotion.MaxRedemptions ||
		coupon.MaxRedemptions > 0 && coupon.TimesRedeemed+ofCoupon >= coupon.MaxRedemptions
}

// grant makes Stripe give what is reserved, unless the organization was deleted meanwhile. It may be called again.
func (b *Billing) grant(ctx context.Context, jobID string, coupon *db.Coupon) error {
	account, err := b.customer(ctx, coupon.OrganizationID)
	if err != nil {
		return err
	}
	if coupon.AmountOff != nil {
		return b.grantCredit(ctx, account, coupon)
	}
	s, err := b.look(ctx, account)
	if err != nil {
		return err
	}
	id, err := b.discount(ctx, jobID, coupon, s.at)
	if err != nil || id == "" {
		return err
	}
	for _, subscription := range s.live {
		if slices.ContainsFunc(subscription.Discounts, func(d *stripe.Discount) bool { return isOf(d, coupon) }) {
			continue
		}
		params := &stripe.SubscriptionUpdateParams{ProrationBehavior: stripe.String("none")}
		for _, old := range subscription.Discounts {
			params.Discounts = append(params.Discounts, &stripe.SubscriptionUpdateDiscountParams{Discount: &old.ID})
		}
		params.Discounts = append(params.Discounts, &stripe.SubscriptionUpdateDiscountParams{Coupon: &id})
		_, err := b.stripe.V1Subscriptions.Update(ctx, subscription.ID, once(jobID, "discount "+subscription.ID, params))
		if err != nil {
			return err
		}
	}
	return nil
}

// grantCredit adds to the customer's balance, unless that was done before Stripe forgot the key: also by
// a job that could not tell, and was given up.
func (b *Billing) grantCredit(ctx context.Context, account *db.BillingAccount, coupon *db.Coupon) error {
	params := &stripe.CustomerBalanceTransactionListParams{Customer: &account.CustomerID}
	params.Limit = stripe.Int64(100)
	for transaction, err := range b.stripe.V1CustomerBalanceTransactions.List(ctx, params).All(ctx) {
		if err != nil {
			return err
		}
		if transaction.Metadata["promotion_code_id"] == coupon.PromotionCodeID ||
			transaction.Metadata["coupon_id"] == coupon.ID { // from before codes were noted
			return nil
		}
	}
	// Not the coupon's ID, as it is another one when a code that was given up is added again.
	step := coupon.OrganizationID + "/" + coupon.PromotionCodeID
	_, err := b.stripe.V1CustomerBalanceTransactions.Create(ctx, once("coupon", step, &stripe.CustomerBalanceTransactionCreateParams{
		Customer: &account.CustomerID, Amount: stripe.Int64(-*coupon.AmountOff), Currency: currency(),
		Description: stripe.String("Coupon " + coupon.Code), Metadata: map[string]string{"promotion_code_id": coupon.PromotionCodeID},
	}))
	return err
}

// discount is the ID of the coupon at Stripe that gives what is left of a percentage, which is made
// unless it is there; "" when nothing is left.
func (b *Billing) discount(ctx context.Context, jobID string, coupon *db.Coupon, now time.Time) (string, error) {
	if coupon.PercentOff == nil {
		return "", nil
	}
	name := []rune(coupon.Name)
	params := &stripe.CouponCreateParams{
		PercentOff: coupon.PercentOff, Duration: stripe.String("forever"),
		Name: stripe.String(string(name[:min(len(name), 40)])), // Stripe's limit
	}
	id := discountID(coupon) + "forever"
	if coupon.ExpiresAt != nil {
		months := int64(0)
		for coupon.ExpiresAt.After(monthsAfter(now, int(months))) {
			months++
		}
		if months == 0 {
			return "", nil
		}
		id = fmt.Sprintf("%s%dm", discountID(coupon), months)
		params.Duration, params.DurationInMonths = stripe.String("repeating"), &months
	}
	params.ID = &id
	_, err := b.stripe.V1Coupons.Create(ctx, once(jobID, id, params))
	if failed(err).code == stripe.ErrorCodeResourceAlreadyExists {
		err = nil
	}
	return id, err
}

// discountID begins the IDs of a percentage's coupons at Stripe.
func discountID(coupon *db.Coupon) string { return coupon.PromotionCodeID + "-" }

// isOf tells whether a discount comes from the coupon.
func isOf(d *stripe.Discount, coupon *db.Coupon) bool {
	return d.Source != nil && d.Source.Coupon != nil && strings.HasPrefix(d.Source.Coupon.ID, discountID(coupon))
}

// couponGivenUp takes a reservation back that Stripe could not grant in a day, or need not any more.
func (b *Billing) couponGivenUp(ctx context.Context, _ string, t task) error {
	return b.db.DeleteCoupon(ctx, t.CouponID)
}
