package stripesandbox_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stripe/stripe-go/v85"
)

func TestProducts(t *testing.T) {
	each(t, func(f *fixture) {
		create := func() (*stripe.Product, error) {
			return f.client.V1Products.Create(f.Context(), &stripe.ProductCreateParams{ID: stripe.String("studio-2gb"), Name: stripe.String("2 GB")})
		}
		must[*stripe.Product](f)(create())
		_, err := create()
		f.refused(err, 400, "resource_already_exists", "Product already exists.")
		got := must[*stripe.Product](f)(f.client.V1Products.Retrieve(f.Context(), "studio-2gb", nil))
		equal(f, "product", []any{got.Name, got.Active}, []any{"2 GB", true})
		_, err = f.client.V1Products.Retrieve(f.Context(), "studio-4gb", nil)
		f.refused(err, 404, "resource_missing", "No such product: 'studio-4gb'")
	})
}

func TestCoupons(t *testing.T) {
	cases := map[string]struct {
		params  stripe.CouponCreateParams
		message string // "" if it is made
	}{
		"Percent":     {params: stripe.CouponCreateParams{PercentOff: stripe.Float64(12.5), Duration: stripe.String("forever")}},
		"Months":      {params: stripe.CouponCreateParams{PercentOff: stripe.Float64(10), Duration: stripe.String("repeating"), DurationInMonths: stripe.Int64(11)}},
		"Amount":      {params: stripe.CouponCreateParams{AmountOff: stripe.Int64(500), Currency: stripe.String("usd")}},
		"Nothing":     {stripe.CouponCreateParams{}, "You must pass either percent_off or amount_off."},
		"Both":        {stripe.CouponCreateParams{PercentOff: stripe.Float64(10), AmountOff: stripe.Int64(500)}, "You must pass either percent_off or amount_off."},
		"TooMuch":     {stripe.CouponCreateParams{PercentOff: stripe.Float64(100.5)}, "Invalid percent_off: must be between 0 and 100."},
		"NoCurrency":  {stripe.CouponCreateParams{AmountOff: stripe.Int64(500)}, "You must pass currency, and an amount_off greater than 0."},
		"BadDuration": {stripe.CouponCreateParams{PercentOff: stripe.Float64(10), Duration: stripe.String("week")}, "Invalid duration: must be one of forever, once, or repeating"},
		"NoMonths":    {stripe.CouponCreateParams{PercentOff: stripe.Float64(10), Duration: stripe.String("repeating")}, "You must pass duration_in_months with duration repeating, and only then."},
	}
	each(t, func(f *fixture) {
		for name, test := range cases {
			f.run(name, func() {
				params := test.params
				params.ID = &name
				made, err := f.client.V1Coupons.Create(f.Context(), &params)
				if test.message != "" {
					if err == nil || !strings.Contains(err.Error(), test.message) {
						f.Errorf("got %v", err)
					}
					return
				}
				if err != nil {
					f.Fatal(err)
				}
				got := must[*stripe.Coupon](f)(f.client.V1Coupons.Retrieve(f.Context(), made.ID, nil))
				equal(f, "coupon", []any{got.PercentOff, got.AmountOff, got.DurationInMonths, got.Valid, got.TimesRedeemed},
					[]any{value(params.PercentOff), value(params.AmountOff), value(params.DurationInMonths), true, int64(0)})
				_, err = f.client.V1Coupons.Create(f.Context(), &params)
				f.refused(err, 400, "resource_already_exists", "Coupon already exists.")
				f.deliver()
				equal(f, "events", f.told(), []string{"coupon.created"})
			})
		}
	})
}

func TestCouponOfProducts(t *testing.T) {
	each(t, func(f *fixture) {
		c := must[*stripe.Coupon](f)(f.client.V1Coupons.Create(f.Context(), &stripe.CouponCreateParams{
			PercentOff: stripe.Float64(10), AppliesTo: &stripe.CouponCreateAppliesToParams{Products: stripe.StringSlice([]string{"prod_1", "prod_2"})},
		}))
		for id, want := range map[string]*stripe.CouponAppliesTo{c.ID: {Products: []string{"prod_1", "prod_2"}}, "welcome50": nil} {
			expanded := must[*stripe.Coupon](f)(f.client.V1Coupons.Retrieve(f.Context(), id, &stripe.CouponRetrieveParams{
				Expand: []*string{stripe.String("applies_to")},
			}))
			equal(f, id+" expanded", expanded.AppliesTo, want)
			if plain := must[*stripe.Coupon](f)(f.client.V1Coupons.Retrieve(f.Context(), id, nil)); plain.AppliesTo != nil {
				f.Errorf("%s shows what it applies to without being asked", id)
			}
		}
	})
}

func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

func (f *fixture) codes(code string) []*stripe.PromotionCode {
	f.Helper()
	return all(f, f.client.V1PromotionCodes.List(f.Context(), &stripe.PromotionCodeListParams{
		Code: &code, Expand: []*string{stripe.String("data.promotion.coupon")},
	}).All(f.Context()))
}

func TestPromotionCodes(t *testing.T) {
	t.Parallel()
	t.Run("Known", func(t *testing.T) {
		each(t, func(f *fixture) {
			for code, want := range map[string][]any{
				"WELCOME50":  {true, int64(5000), 0.0, "once", int64(0), "Welcome credit of $50.00"},
				"welcome50":  {true, int64(5000), 0.0, "once", int64(0), "Welcome credit of $50.00"},
				"FREETRIAL":  {true, int64(3300), 0.0, "once", int64(0), "Free trial credit of $33.00"},
				"TenPercent": {true, int64(0), 10.0, "repeating", int64(12), "10% off for 12 months"},
				"EXPIRED1":   {false, int64(5000), 0.0, "once", int64(0), "Expired credit of $50.00"},
			} {
				f.run(code, func() {
					found := f.codes(code)
					if len(found) != 1 {
						f.Fatalf("got %d", len(found))
					}
					p := found[0]
					c := p.Promotion.Coupon
					equal(f, "code", []any{p.Active, c.AmountOff, c.PercentOff, string(c.Duration), c.DurationInMonths, c.Name}, want)
					if c.AmountOff != 0 && c.Currency != "usd" || !strings.EqualFold(p.Code, code) {
						f.Errorf("it is %s in %s", p.Code, c.Currency)
					}
					if !p.Active && p.ExpiresAt >= start.Unix() {
						f.Errorf("it expires at %d", p.ExpiresAt)
					}
				})
			}
			equal(f, "unknown codes", len(f.codes("NOSUCHCODE")), 0)
		})
	})
	t.Run("Expires", func(t *testing.T) {
		each(t, func(f *fixture) {
			create := func() (*stripe.PromotionCode, error) {
				return f.client.V1PromotionCodes.Create(f.Context(), &stripe.PromotionCodeCreateParams{
					Promotion: &stripe.PromotionCodeCreatePromotionParams{Type: stripe.String("coupon"), Coupon: stripe.String("tenpercent")},
					Code:      stripe.String("SPRING"), ExpiresAt: stripe.Int64(start.Add(time.Hour).Unix()), MaxRedemptions: stripe.Int64(2),
				})
			}
			must[*stripe.PromotionCode](f)(create())
			_, err := create()
			f.refused(err, 400, "", "An active promotion code with `code: SPRING` already exists.")
			found := f.codes("spring")
			equal(f, "before", []any{len(found), found[0].Active, found[0].MaxRedemptions}, []any{1, true, int64(2)})
			f.clock.Advance(time.Hour)
			equal(f, "after", f.codes("spring")[0].Active, false)
			active := all(f, f.client.V1PromotionCodes.List(f.Context(), &stripe.PromotionCodeListParams{Active: stripe.Bool(true)}).All(f.Context()))
			equal(f, "active codes", len(active), 3)
			_, err = f.client.V1PromotionCodes.Create(f.Context(), &stripe.PromotionCodeCreateParams{
				Promotion: &stripe.PromotionCodeCreatePromotionParams{Type: stripe.String("coupon"), Coupon: stripe.String("unknown")},
			})
			f.refused(err, 400, "resource_missing", "No such coupon: 'unknown'")
		})
	})
	t.Run("Redeemed", func(t *testing.T) {
		each(t, func(f *fixture) {
			c := f.customer("pm_card_visa")
			p := must[*stripe.PromotionCode](f)(f.client.V1PromotionCodes.Create(f.Context(), &stripe.PromotionCodeCreateParams{
				Promotion:      &stripe.PromotionCodeCreatePromotionParams{Type: stripe.String("coupon"), Coupon: stripe.String("tenpercent")},
				MaxRedemptions: stripe.Int64(1),
			}))
			params := f.subscribeParams(c.ID, compute)
			params.Discounts = []*stripe.SubscriptionCreateDiscountParams{{PromotionCode: &p.ID}}
			must[*stripe.Subscription](f)(f.client.V1Subscriptions.Create(f.Context(), params))
			equal(f, "charges", f.charges(), []int64{1799})
			got := f.codes(p.Code)[0]
			equal(f, "code", []any{got.TimesRedeemed, got.Active, got.Promotion.Coupon.TimesRedeemed}, []any{int64(1), false, int64(1)})
			f.unchanged(func() {
				_, err := f.client.V1Subscriptions.Create(f.Context(), params)
				f.refused(err, 400, "promotion_code_expired", "This promotion code is not active.")
			})
		})
	})
	t.Run("CouponUsedUp", func(t *testing.T) {
		each(t, func(f *fixture) {
			c := f.customer("pm_card_visa")
			must[*stripe.Coupon](f)(f.client.V1Coupons.Create(f.Context(), &stripe.CouponCreateParams{
				ID: stripe.String("rare"), PercentOff: stripe.Float64(50), MaxRedemptions: stripe.Int64(1)}))
			params := f.subscribeParams(c.ID, compute)
			params.Discounts = []*stripe.SubscriptionCreateDiscountParams{{Coupon: stripe.String("rare")}}
			must[*stripe.Subscription](f)(f.client.V1Subscriptions.Create(f.Context(), params))
			f.unchanged(func() {
				_, err := f.client.V1Subscriptions.Create(f.Context(), params)
				f.refused(err, 400, "coupon_expired", "Coupon rare is used up and cannot be applied.")
				params.Discounts[0].Coupon = stripe.String("unknown")
				_, err = f.client.V1Subscriptions.Create(f.Context(), params)
				f.refused(err, 400, "resource_missing", "No such coupon: 'unknown'")
				params.Discounts[0].Coupon = stripe.String("welcome50")
				_, err = f.client.V1Subscriptions.Create(f.Context(), params)
				f.refused(err, 400, "", "The sandbox takes only percentages off subscriptions.")
			})
		})
	})
}
