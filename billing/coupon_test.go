package billing_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stripe/stripe-go/v85"

	"studio/db"
	"studio/db/dbtest"
	"studio/fault"
)

// promote makes a coupon at Stripe, and a promotion code of it.
func (s *server) promote(code string, coupon stripe.CouponCreateParams, limit int64) *stripe.PromotionCode {
	s.Helper()
	return s.code(code, must(s.stripe.V1Coupons.Create(s.ctx, &coupon))(s).ID, limit)
}

// code makes a promotion code of a coupon at Stripe.
func (s *server) code(code, couponID string, limit int64) *stripe.PromotionCode {
	s.Helper()
	params := &stripe.PromotionCodeCreateParams{Code: &code, Promotion: &stripe.PromotionCodeCreatePromotionParams{
		Type: stripe.String("coupon"), Coupon: &couponID}}
	if limit > 0 {
		params.MaxRedemptions = &limit
	}
	return must(s.stripe.V1PromotionCodes.Create(s.ctx, params))(s)
}

// totals are those of the invoices so far.
func (g *group) totals() []int64 {
	g.Helper()
	totals := []int64{}
	for _, invoice := range g.invoices() {
		totals = append(totals, invoice.Total)
	}
	return totals
}

func (g *group) add(code string) (*db.Coupon, *db.BillingAccount) {
	g.Helper()
	coupon, account, err := g.bills.AddCoupon(g.ctx, g.owner, g.id, code)
	if err != nil {
		g.Fatal(err)
	}
	return coupon, account
}

func TestAddCoupon(t *testing.T) {
	t.Parallel()
	t.Run("Credit", func(t *testing.T) {
		each(t, func(s *server) {
			g := s.group("Olive")
			coupon, account := g.add(" welcome50 ")
			if coupon.Code != "WELCOME50" || *coupon.AmountOff != 5000 || coupon.PercentOff != nil || coupon.ExpiresAt != nil ||
				coupon.GrantedAt == nil || *coupon.AddedByID != g.owner.ID || coupon.Name != "Welcome credit of $50.00" {
				t.Errorf("the coupon is %+v", coupon)
			}
			equal(s, "credit", account.Credit, 5000)
			g.add("FREETRIAL")
			equal(s, "credit", g.account().Credit, 8300)
			equal(s, "jobs left", s.work(), 0)
			g.wantTold("COUPON_ADDED owner: Olive Owner added the coupon WELCOME50: $50.00 of credit.",
				"COUPON_ADDED owner: Olive Owner added the coupon FREETRIAL: $33.00 of credit.")
			g.agree()
			_, _, err := s.bills.AddCoupon(s.ctx, g.owner, g.id, "Welcome50")
			s.refused(err, fault.CouponAlreadyAdded, "code")
			equal(s, "credit", g.account().Credit, 8300)
		})
	})
	// Credit is spent before the card, on as many invoices as it lasts, whatever they are for.
	t.Run("CreditSpent", func(t *testing.T) {
		each(t, func(s *server) {
			g := s.carded("Olive")
			g.add("WELCOME50")
			g.paid("one", db.Month, 1999, 0)
			equal(s, "credit", g.account().Credit, 3001)
			s.advance(noon.AddDate(0, 0, 28))
			g.paid("two", db.Month, 1999, 0)
			equal(s, "jobs left", s.work(), 0)
			equal(s, "credit", g.account().Credit, 0)
			equal(s, "charged", g.charged(), []int64{3*1999 - 5000})
			equal(s, "totals", g.totals(), []int64{0, 0, 997})
			first := g.invoices()[0]
			if first.Subtotal != 1999 || first.Discount != 1999 || first.Status != db.InvoicePaid || first.AmountPaid != 0 || first.PaidAt == nil {
				t.Errorf("the invoice is %+v", first)
			}
			g.agree()
		})
	})
	t.Run("Percentage", func(t *testing.T) { each(t, testPercentage) })
	t.Run("Several", func(t *testing.T) {
		each(t, func(s *server) {
			g := s.carded("Olive")
			s.promote("HALF", stripe.CouponCreateParams{PercentOff: stripe.Float64(50), Duration: stripe.String("forever"),
				Name: stripe.String(strings.Repeat("é", 40))}, 0)
			s.promote("THIRD", stripe.CouponCreateParams{PercentOff: stripe.Float64(33.33), Duration: stripe.String("once")}, 0)
			g.paid("one", db.Month, 1999, 0)
			half, _ := g.add("HALF")
			third, _ := g.add("THIRD")
			if half.ExpiresAt != nil || !third.ExpiresAt.Equal(noon.AddDate(0, 0, 28)) || third.Name != "THIRD" {
				t.Errorf("the coupons are %+v and %+v", half, third)
			}
			equal(s, "invoices", g.totals(), []int64{1999})
			g.paid("two", db.Month, 2000, 0) // 1000 off, then 333 (of 333.3); the other way round would take a cent more
			equal(s, "invoices", g.totals(), []int64{1999, 667})
			equal(s, "jobs left", s.work(), 0)
			for _, subscription := range g.live() {
				equal(s, "discounts", len(subscription.Discounts), 2)
			}
			s.advance(noon.AddDate(0, 2, 0))
			equal(s, "invoices", g.totals()[2:], []int64{999, 1000, 999, 1000})
			g.agree()
		})
	})
	t.Run("Refused", func(t *testing.T) { each(t, testCouponRefused) })
	// A code can be spelled as others that are not active any more.
	t.Run("SpelledAlike", func(t *testing.T) {
		each(t, func(s *server) {
			const code = `{"id": %q, "active": %t, "promotion": {"coupon": {"id": "c", "valid": true, "amount_off": 100, "currency": "usd"}}}`
			s.can("GET /v1/promotion_codes", `{"object": "list", "data": [`+
				fmt.Sprintf(code, "promo_1", false)+","+fmt.Sprintf(code, "promo_2", true)+","+fmt.Sprintf(code, "promo_3", false)+`]}`)
			coupon, _ := s.carded("Olive").add("X")
			equal(s, "code", coupon.PromotionCodeID, "promo_2")
		})
	})
	t.Run("Parallel", func(t *testing.T) {
		each(t, func(s *server) {
			g := s.group("Olive")
			var added atomic.Int64
			var running sync.WaitGroup
			for range 6 {
				running.Go(func() {
					_, _, err := s.bills.AddCoupon(s.ctx, g.owner, g.id, "WELCOME50")
					if err == nil {
						added.Add(1)
						return
					}
					s.refused(err, fault.CouponAlreadyAdded, "code")
				})
			}
			running.Wait()
			equal(s, "added", added.Load(), 1)
			equal(s, "jobs left", s.work(), 0)
			equal(s, "credit", g.account().Credit, 5000)
			g.agree()
		})
	})
	t.Run("Limit", func(t *testing.T) {
		t.Parallel()
		amount := stripe.CouponCreateParams{AmountOff: stripe.Int64(100), Currency: stripe.String("usd")}
		limited := amount
		limited.MaxRedemptions = stripe.Int64(2)
		for name, c := range map[string]struct {
			coupon stripe.CouponCreateParams
			limit  int64 // of each of its two codes
			want   int64
		}{
			"OfCode":   {amount, 2, 4},
			"OfCoupon": {limited, 0, 2},
		} {
			t.Run(name, func(t *testing.T) {
				each(t, func(s *server) {
					s.code("OTHER", s.promote("ONE", c.coupon, c.limit).Promotion.Coupon.ID, c.limit)
					var added atomic.Int64
					var running sync.WaitGroup
					for n := range 5 {
						g := s.group(fmt.Sprintf("Olive%d", n))
						running.Go(func() {
							_, _, err := s.bills.AddCoupon(s.ctx, g.owner, g.id, []string{"ONE", "OTHER"}[n%2])
							if err == nil {
								added.Add(1)
								return
							}
							s.refused(err, fault.CouponInvalid, "code")
						})
					}
					running.Wait()
					equal(s, "added", added.Load(), c.want)
				})
			})
		}
	})
	// Two redemptions are counted before either is stored, unless one waits for the other. On SQLite
	// transactions are alone anyway.
	t.Run("LimitInterleaved", func(t *testing.T) {
		t.Parallel()
		address := dbtest.Postgres(t)
		s := newServer(t, func(options ...db.Option) *db.DB { return dbtest.Open(t, address, options...) })
		s.code("OTHER", s.promote("ONE", stripe.CouponCreateParams{
			AmountOff: stripe.Int64(100), Currency: stripe.String("usd"), MaxRedemptions: stripe.Int64(1)}, 0).Promotion.Coupon.ID, 0)
		groups := map[string]*group{"ONE": s.carded("Ada"), "OTHER": s.carded("Ben")}
		var mu sync.Mutex
		seen := map[string]int{}
		met := make(chan bool)
		meet := sync.OnceFunc(func() { close(met) })
		s.watch = func(statement string) {
			storing := strings.HasPrefix(statement, `INSERT INTO "coupons"`)
			if storing {
				statement = "any" // as they differ in their values
			}
			if storing || strings.Contains(statement, "pg_advisory_xact_lock") {
				mu.Lock()
				seen[statement]++
				if seen[statement] == 2 {
					meet()
				}
				mu.Unlock()
			}
			if storing {
				<-met
			}
		}
		var added atomic.Int64
		var running sync.WaitGroup
		for code, g := range groups {
			running.Go(func() {
				if _, _, err := s.bills.AddCoupon(s.ctx, g.owner, g.id, code); err == nil {
					added.Add(1)
				}
			})
		}
		running.Wait()
		equal(s, "added", added.Load(), 1)
	})
	t.Run("Pending", func(t *testing.T) { each(t, testCouponPending) })
	// Stripe forgets idempotency keys after a day.
	t.Run("KeyForgotten", func(t *testing.T) {
		each(t, func(s *server) {
			g := s.carded("Olive")
			s.cutting(func(_ int, before bool) bool { return !before && s.last("POST /v1/customers/") })
			_, _, err := s.bills.AddCoupon(s.ctx, g.owner, g.id, "WELCOME50")
			s.refused(err, fault.Unavailable, "")
			s.up()
			s.exec("DELETE FROM sandbox_answers")
			equal(s, "jobs left", s.work(), 0)
			equal(s, "credit", g.account().Credit, 5000)
			g.agree()
		})
	})
	t.Run("GivenUp", func(t *testing.T) {
		t.Parallel()
		for name, c := range map[string]struct {
			heard bool         // by Stripe, before it was away
			then  func(*group) // what Stripe has forgotten, or does not show yet
		}{
			"Unheard":   {false, func(*group) {}},
			"Forgotten": {true, func(g *group) { g.exec("DELETE FROM sandbox_answers") }},
			"NotListed": {true, func(g *group) {
				g.can("GET /v1/customers/"+g.account().CustomerID+"/balance_transactions", `{"object": "list", "data": []}`)
			}},
		} {
			t.Run(name, func(t *testing.T) {
				each(t, func(s *server) {
					g := s.carded("Olive")
					var away atomic.Bool
					s.cutting(func(_ int, before bool) bool {
						if before != c.heard && s.last("POST /v1/customers/") {
							away.Store(true)
						}
						return away.Load()
					})
					s.drop(true)
					_, _, err := s.bills.AddCoupon(s.ctx, g.owner, g.id, "WELCOME50")
					s.refused(err, fault.Unavailable, "")
					s.drop(false)
					for range 17 {
						s.work()
					}
					equal(s, "jobs", len(s.jobs()), 0)
					s.up()
					c.then(g)
					g.wantTold()
					g.add("WELCOME50")
					equal(s, "credit", g.account().Credit, 5000)
				})
			})
		}
	})
}

// last tells whether the last call begins so.
func (s *server) last(call string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.HasPrefix(s.calls[len(s.calls)-1], call)
}

// testPercentage follows ten percent for twelve months over a subscription that was there before, and
// one that comes in the second month.
func testPercentage(s *server) {
	g := s.carded("Olive")
	first := g.paid("one", db.Month, 2000, 0)
	coupon, _ := g.add("TENPERCENT")
	end := noon.AddDate(1, 0, 0)
	if *coupon.PercentOff != 10 || coupon.AmountOff != nil || !coupon.ExpiresAt.Equal(end) {
		s.Errorf("the coupon is %+v", coupon)
	}
	equal(s, "totals", g.totals(), []int64{2000}) // what is paid stays paid
	equal(s, "jobs left", s.work(), 0)
	if told := g.told(); told[len(told)-1] != "COUPON_ADDED owner: Olive Owner added the coupon TENPERCENT: 10 % off until 31 January 2027." {
		s.Error(told)
	}
	s.advance(noon.AddDate(0, 0, 40)) // 12 March
	second := g.paid("two", db.Month, 1000, 0)
	s.advance(noon.AddDate(0, 0, 400)) // 7 March of the next year
	equal(s, "jobs left", s.work(), 0)
	totals := map[string][]int64{}
	for _, invoice := range g.invoices() {
		id := invoice.Lines[0].InstanceID
		totals[id] = append(totals[id], invoice.Total)
	}
	repeat := func(times int, amount int64) []int64 {
		list := []int64{}
		for range times {
			list = append(list, amount)
		}
		return list
	}
	// February to December, then January of which the last day is not before the end.
	equal(s, "one", totals[first.ID], append(append([]int64{2000}, repeat(11, 1800)...), 2000, 2000))
	// 12 March to 12 January.
	equal(s, "two", totals[second.ID], append(repeat(11, 900), 1000))
	g.agree()
}

func testCouponRefused(s *server) {
	g, other := s.carded("Olive"), s.carded("Otto")
	amount := stripe.CouponCreateParams{AmountOff: stripe.Int64(100), Currency: stripe.String("usd")}
	s.promote("USEDUP", amount, 1)
	if _, _, err := s.bills.AddCoupon(s.ctx, other.owner, other.id, "USEDUP"); err != nil {
		s.Fatal(err)
	}
	s.promote("EURO", stripe.CouponCreateParams{AmountOff: stripe.Int64(100), Currency: stripe.String("eur")}, 0)
	amount.AppliesTo = &stripe.CouponCreateAppliesToParams{Products: stripe.StringSlice([]string{"prod_1"})}
	s.promote("PRODUCT", amount, 0)
	s.called()
	for code, want := range map[string]fault.Code{
		"": fault.CouponInvalid, "A B": fault.CouponInvalid, "Ä": fault.CouponInvalid, strings.Repeat("A", 65): fault.CouponInvalid,
		"NONE": fault.CouponInvalid, "expired1": fault.CouponExpired, "USEDUP": fault.CouponInvalid, "EURO": fault.CouponInvalid,
		"PRODUCT": fault.CouponInvalid, "exp\u0131red1": fault.CouponInvalid, "\u017fPRING": fault.CouponInvalid,
	} {
		_, _, err := s.bills.AddCoupon(s.ctx, g.owner, g.id, code)
		s.refused(err, want, "code")
	}
	const coupon = `"promotion": {"type": "coupon", "coupon": {"id": "c", "valid": true, "amount_off": 100, "currency": "usd"}}`
	for name, c := range map[string]struct {
		body string
		code fault.Code
	}{
		"Inactive":    {`"active": false, ` + coupon, fault.CouponExpired},
		"Expired":     {`"active": true, "expires_at": 1, ` + coupon, fault.CouponExpired},
		"NotValid":    {`"active": true, "promotion": {"coupon": {"id": "c", "valid": false, "amount_off": 100, "currency": "usd"}}`, fault.CouponExpired},
		"RedeemBy":    {`"active": true, "promotion": {"coupon": {"id": "c", "valid": true, "redeem_by": 1, "amount_off": 100, "currency": "usd"}}`, fault.CouponExpired},
		"OfAnother":   {`"active": true, "customer": "cus_other", ` + coupon, fault.CouponInvalid},
		"Minimum":     {`"active": true, "restrictions": {"minimum_amount": 1000}, ` + coupon, fault.CouponInvalid},
		"NoEffect":    {`"active": true, "promotion": {"coupon": {"id": "c", "valid": true}}`, fault.CouponInvalid},
		"UsedElse":    {`"active": true, "max_redemptions": 3, "times_redeemed": 3, ` + coupon, fault.CouponInvalid},
		"CouponsUsed": {`"active": true, "promotion": {"coupon": {"id": "c", "valid": true, "amount_off": 100, "currency": "usd", "max_redemptions": 1, "times_redeemed": 1}}`, fault.CouponInvalid},
	} {
		s.can("GET /v1/promotion_codes", `{"object": "list", "data": [{"id": "promo_1", "code": "X", `+c.body+`}]}`)
		_, _, err := s.bills.AddCoupon(s.ctx, g.owner, g.id, "X")
		if refused, is := errors.AsType[*fault.Error](err); !is || refused.Code != c.code {
			s.Errorf("%s: %v", name, err)
		}
	}
	// One for new customers, which the organization is not any more.
	s.can("GET /v1/promotion_codes", `{"object": "list", "data": [{"id": "promo_1", "active": true, "restrictions": {"first_time_transaction": true}, `+coupon+`}]}`)
	g.paid("one", db.Month, 1000, 0)
	_, _, err := s.bills.AddCoupon(s.ctx, g.owner, g.id, "X")
	s.refused(err, fault.CouponInvalid, "code")
	equal(s, "jobs left", s.work(), 0)
	equal(s, "credit", g.account().Credit, 0)
	equal(s, "coupons", len(must(s.db.CouponsOfOrganizations(s.ctx, []string{g.id}))(s)[0]), 0)
	g.agree()
}

// testCouponPending loses Stripe while a coupon is granted: it is added as soon as Stripe is back, once.
func testCouponPending(s *server) {
	g := s.carded("Olive")
	s.cutting(func(int, bool) bool { return s.last("POST /v1/customers/") })
	_, _, err := s.bills.AddCoupon(s.ctx, g.owner, g.id, "WELCOME50")
	s.refused(err, fault.Unavailable, "")
	if refused, is := errors.AsType[*fault.Error](err); !is || !refused.Later {
		s.Errorf("%v does not tell that it is added yet", err)
	}
	_, _, err = s.bills.AddCoupon(s.ctx, g.owner, g.id, "WELCOME50")
	s.refused(err, fault.CouponAlreadyAdded, "code")
	equal(s, "coupons", len(must(s.db.CouponsOfOrganizations(s.ctx, []string{g.id}))(s)[0]), 0)
	g.wantTold()
	s.up()
	equal(s, "jobs left", s.work(), 0)
	g.wantTold("COUPON_ADDED owner: Olive Owner added the coupon WELCOME50: $50.00 of credit.")
	equal(s, "credit", g.account().Credit, 5000)
	g.agree()
}
