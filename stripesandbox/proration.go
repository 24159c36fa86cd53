package stripesandbox

// What a period and the rest of one cost, after discounts.

import (
	"fmt"
	"math"
	"slices"
	"time"
)

type discount struct {
	ID            string         `json:"id"`
	Object        string         `json:"object"`
	Customer      string         `json:"customer"`
	End           *int64         `json:"end"`
	PromotionCode *string        `json:"promotion_code"`
	Source        discountSource `json:"source"`
	Start         int64          `json:"start"`
	Subscription  string         `json:"subscription"`
}

type discountSource struct {
	Coupon string `json:"coupon"`
	Type   string `json:"type"`
}

func (d discount) key() (kind, id, customer string) { return "discount", d.ID, d.Customer }

// setDiscounts gives a subscription the discounts that the request names, and no others.
func (t *turn) setDiscounts(s *subscription) error {
	old := s.Discounts
	s.Discounts = []string{}
	for _, name := range t.form.elements("discounts") {
		if id := t.form.text(name + "[discount]"); id != "" { // one that goes on
			if !slices.Contains(old, id) {
				return missing("discount", id, name+"[discount]")
			}
			s.Discounts = append(s.Discounts, id)
			continue
		}
		if err := t.seed(); err != nil {
			return err
		}
		d := &discount{ID: newID("di"), Object: "discount", Customer: s.Customer, Start: t.now, Subscription: s.ID}
		d.PromotionCode = t.form.optional(name + "[promotion_code]")
		couponID, param := t.form.text(name+"[coupon]"), name+"[coupon]"
		if d.PromotionCode != nil {
			param = name + "[promotion_code]"
			p, err := find[promotionCode](t, *d.PromotionCode, param)
			if err != nil {
				return err
			}
			if !t.active(p) {
				return invalid("promotion_code_expired", param, "This promotion code is not active.")
			}
			p.TimesRedeemed++
			if err := save(t, p); err != nil {
				return err
			}
			couponID = p.Promotion.Coupon
		}
		c, err := find[coupon](t, couponID, param)
		if err != nil {
			return err
		}
		if c.PercentOff == nil {
			return invalid("", param, "The sandbox takes only percentages off subscriptions.")
		}
		if err := t.redeem(c, param); err != nil {
			return err
		}
		d.Source = discountSource{Coupon: c.ID, Type: "coupon"}
		if c.DurationInMonths != nil {
			end := addMonths(t.now, int(*c.DurationInMonths))
			d.End = &end
		}
		if err := save(t, d); err != nil {
			return err
		}
		s.Discounts = append(s.Discounts, d.ID)
	}
	return nil
}

// reduction is a discount that is in force.
type reduction struct {
	discount   *discount
	hundredths int64 // of a percent
	once       bool
}

// reductions are a subscription's at present.
func (t *turn) reductions(s *subscription) ([]reduction, error) {
	var all []reduction
	for _, id := range s.Discounts {
		d, err := find[discount](t, id, "discounts")
		if err != nil {
			return nil, err
		}
		if d.End != nil && t.now >= *d.End {
			continue
		}
		c, err := find[coupon](t, d.Source.Coupon, "coupon")
		if err != nil {
			return nil, err
		}
		all = append(all, reduction{d, int64(math.Round(*c.PercentOff * 100)), c.Duration == "once"})
	}
	return all, nil
}

// share is amount × part / whole, rounded half up. None is negative, and amounts and seconds of a
// year have eight digits.
func share(amount, part, whole int64) int64 { return (2*amount*part + whole) / (2 * whole) }

// periodLines bills all items for their current period. Discounts are taken one after the other off
// what is left of all lines together; their parts on the lines add up.
func (t *turn) periodLines(s *subscription) ([]*line, error) {
	reductions, err := t.reductions(s)
	if err != nil {
		return nil, err
	}
	var lines []*line
	var left int64
	for _, i := range s.Items.Data {
		p, err := find[product](t, i.Price.Product, "product")
		if err != nil {
			return nil, err
		}
		l := t.line(s, i, i.amount(), false)
		l.Description = fmt.Sprintf("%d × %s (at $%d.%02d / %s)", i.Quantity, p.Name,
			i.Price.UnitAmount/100, i.Price.UnitAmount%100, i.Price.Recurring.Interval)
		l.Discountable = true
		i.Net = l.Amount
		left += l.Amount
		lines = append(lines, l)
	}
	for _, r := range reductions {
		off := share(left, r.hundredths, 10_000)
		var before, given int64 // of the lines so far
		for n, l := range lines {
			i := s.Items.Data[n]
			before += i.Net
			part := share(off, before, max(left, 1)) - given
			given += part
			i.Net -= part
			l.Discounts = append(l.Discounts, r.discount.ID)
			l.DiscountAmounts = append(l.DiscountAmounts, discountAmount{part, r.discount.ID})
		}
		left -= off
		if r.once {
			r.discount.End = t.present()
			if err := save(t, r.discount); err != nil {
				return nil, err
			}
		}
	}
	return lines, nil
}

// prorationLines give back what was billed for the rest of the period, and bill what now is to be.
func (t *turn) prorationLines(s *subscription, changes []change) ([]*line, error) {
	reductions, err := t.reductions(s)
	if err != nil {
		return nil, err
	}
	var lines []*line
	add := func(i *subscriptionItem, sign int64, what string) error {
		p, err := find[product](t, i.Price.Product, "product")
		if err != nil {
			return err
		}
		l := t.line(s, i, sign*share(i.Net, i.CurrentPeriodEnd-t.now, i.CurrentPeriodEnd-i.CurrentPeriodStart), true)
		l.Description = fmt.Sprintf("%s time on %d × %s after %s", what, i.Quantity, p.Name, time.Unix(t.now, 0).UTC().Format("2 Jan 2006"))
		l.Period.Start = t.now
		lines = append(lines, l)
		return nil
	}
	for _, c := range changes {
		if c.before != nil {
			if err := add(c.before, -1, "Unused"); err != nil {
				return nil, err
			}
		}
		if c.after != nil {
			c.after.Net = c.after.amount()
			for _, r := range reductions {
				c.after.Net -= share(c.after.Net, r.hundredths, 10_000)
			}
			if err := add(c.after, 1, "Remaining"); err != nil {
				return nil, err
			}
		}
	}
	return lines, nil
}

// dropEnded takes the discounts that are over off a subscription.
func (t *turn) dropEnded(s *subscription) error {
	reductions, err := t.reductions(s)
	if err != nil {
		return err
	}
	s.Discounts = slices.DeleteFunc(s.Discounts, func(id string) bool {
		return !slices.ContainsFunc(reductions, func(r reduction) bool { return r.discount.ID == id })
	})
	return nil
}
