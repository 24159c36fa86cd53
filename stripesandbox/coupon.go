package stripesandbox

// Products, coupons, and the promotion codes that customers type.

import (
	"errors"
	"strings"
)

type product struct {
	ID          string            `json:"id"`
	Object      string            `json:"object"`
	Active      bool              `json:"active"`
	Created     int64             `json:"created"`
	Description *string           `json:"description"`
	Livemode    bool              `json:"livemode"`
	Metadata    map[string]string `json:"metadata"`
	Name        string            `json:"name"`
	Type        string            `json:"type"`
	Updated     int64             `json:"updated"`
}

func (p product) key() (kind, id, customer string) { return "product", p.ID, "" }

func (t *turn) createProduct() (any, error) {
	p := &product{ID: t.form.text("id"), Object: "product", Active: true, Created: t.now, Description: t.form.optional("description"),
		Metadata: t.form.metadata(nil), Name: t.form.text("name"), Type: "service", Updated: t.now}
	if p.ID == "" {
		p.ID = newID("prod")
	}
	if err := vacant[product](t, p.ID, "Product"); err != nil {
		return nil, err
	}
	return p, save(t, p)
}

// vacant refuses an ID that is taken.
func vacant[T object](t *turn, id, name string) error {
	_, err := find[T](t, id, "id")
	switch _, refused := errors.AsType[*refusal](err); {
	case err == nil:
		return invalid("resource_already_exists", "id", "%s already exists.", name)
	case refused:
		return nil
	}
	return err
}

func (t *turn) product() (any, error) { return find[product](t, t.id, inPath) }

type coupon struct {
	ID               string            `json:"id"`
	Object           string            `json:"object"`
	AmountOff        *int64            `json:"amount_off"`
	Created          int64             `json:"created"`
	Currency         *string           `json:"currency"`
	Duration         string            `json:"duration"`
	DurationInMonths *int64            `json:"duration_in_months"`
	Limit            *appliesTo        `json:"limit,omitempty"` // applies_to, which Stripe shows only when it is expanded
	Livemode         bool              `json:"livemode"`
	MaxRedemptions   *int64            `json:"max_redemptions"`
	Metadata         map[string]string `json:"metadata"`
	Name             *string           `json:"name"`
	PercentOff       *float64          `json:"percent_off"`
	TimesRedeemed    int64             `json:"times_redeemed"`
	Valid            bool              `json:"valid"`
}

type appliesTo struct {
	Products []string `json:"products"`
}

func (c coupon) key() (kind, id, customer string) { return "coupon", c.ID, "" }

func (t *turn) createCoupon() (any, error) {
	if err := t.seed(); err != nil {
		return nil, err
	}
	c := &coupon{ID: t.form.text("id"), AmountOff: t.form.optionalInt("amount_off"), Currency: t.form.optional("currency"),
		Duration: t.form.text("duration"), DurationInMonths: t.form.optionalInt("duration_in_months"),
		MaxRedemptions: t.form.optionalInt("max_redemptions"), Metadata: t.form.metadata(nil), Name: t.form.optional("name")}
	if c.ID == "" {
		c.ID = newID("coupon")
	}
	if c.Duration == "" {
		c.Duration = "once"
	}
	if products := t.form.texts("applies_to[products]"); len(products) > 0 {
		c.Limit = &appliesTo{products}
	}
	percent, _ := hundredths(t.form.text("percent_off")) // checked before
	if percent > 0 {
		off := float64(percent) / 100
		c.PercentOff = &off
	}
	switch {
	case (c.AmountOff == nil) == (c.PercentOff == nil):
		return nil, invalid("parameter_missing", "percent_off", "You must pass either percent_off or amount_off.")
	case percent > 10000:
		return nil, invalid("", "percent_off", "Invalid percent_off: must be between 0 and 100.")
	case c.AmountOff != nil && (*c.AmountOff <= 0 || c.Currency == nil):
		return nil, invalid("", "amount_off", "You must pass currency, and an amount_off greater than 0.")
	case c.Duration != "once" && c.Duration != "forever" && c.Duration != "repeating":
		return nil, invalid("", "duration", "Invalid duration: must be one of forever, once, or repeating")
	case (c.Duration == "repeating") != (c.DurationInMonths != nil && *c.DurationInMonths > 0):
		return nil, invalid("", "duration_in_months", "You must pass duration_in_months with duration repeating, and only then.")
	}
	if err := vacant[coupon](t, c.ID, "Coupon"); err != nil {
		return nil, err
	}
	return c, t.addCoupon(c, "coupon.created")
}

func (t *turn) addCoupon(c *coupon, events ...string) error {
	c.Object, c.Created, c.Valid = "coupon", t.now, true
	return save(t, c, events...)
}

func (t *turn) coupon() (any, error) {
	if err := t.seed(); err != nil {
		return nil, err
	}
	return find[coupon](t, t.id, inPath)
}

// redeem counts a use of a coupon.
func (t *turn) redeem(c *coupon, param string) error {
	if !c.Valid {
		return invalid("coupon_expired", param, "Coupon %s is used up and cannot be applied.", c.ID)
	}
	c.TimesRedeemed++
	c.Valid = c.MaxRedemptions == nil || c.TimesRedeemed < *c.MaxRedemptions
	return save(t, c)
}

type promotionCode struct {
	ID             string            `json:"id"`
	Object         string            `json:"object"`
	Active         bool              `json:"active"`
	Code           string            `json:"code"`
	Created        int64             `json:"created"`
	Customer       *string           `json:"customer"`
	ExpiresAt      *int64            `json:"expires_at"`
	Livemode       bool              `json:"livemode"`
	MaxRedemptions *int64            `json:"max_redemptions"`
	Metadata       map[string]string `json:"metadata"`
	Promotion      promotion         `json:"promotion"`
	TimesRedeemed  int64             `json:"times_redeemed"`
}

type promotion struct {
	Type   string `json:"type"`
	Coupon string `json:"coupon"`
}

func (p promotionCode) key() (kind, id, customer string) { return "promotion_code", p.ID, "" }

func (t *turn) createPromotionCode() (any, error) {
	if err := t.seed(); err != nil {
		return nil, err
	}
	if t.form.text("promotion[type]") != "coupon" {
		return nil, invalid("", "promotion[type]", "Invalid promotion[type]: must be coupon")
	}
	if _, err := find[coupon](t, t.form.text("promotion[coupon]"), "promotion[coupon]"); err != nil {
		return nil, err
	}
	p := &promotionCode{Active: !t.form.has("active") || t.form.bool("active"), Code: t.form.text("code"),
		ExpiresAt: t.form.optionalInt("expires_at"), MaxRedemptions: t.form.optionalInt("max_redemptions"),
		Metadata: t.form.metadata(nil), Promotion: promotion{Type: "coupon", Coupon: t.form.text("promotion[coupon]")}}
	if p.Code == "" {
		id := newID("promo")
		p.Code = strings.ToUpper(id[len(id)-8:])
	}
	same, err := list(t, "", func(other *promotionCode) bool { return t.active(other) && strings.EqualFold(other.Code, p.Code) })
	if err != nil {
		return nil, err
	}
	if p.Active && len(same) > 0 {
		return nil, invalid("", "code", "An active promotion code with `code: %s` already exists.", p.Code)
	}
	return p, t.addPromotionCode(p)
}

func (t *turn) addPromotionCode(p *promotionCode) error {
	p.ID, p.Object, p.Created = newID("promo"), "promotion_code", t.now
	return save(t, p)
}

// active reports whether a code can still be redeemed.
func (t *turn) active(p *promotionCode) bool {
	return p.Active && (p.ExpiresAt == nil || t.now < *p.ExpiresAt) && (p.MaxRedemptions == nil || p.TimesRedeemed < *p.MaxRedemptions)
}

func (t *turn) promotionCodes() (any, error) {
	if err := t.seed(); err != nil {
		return nil, err
	}
	return page(t, "", func(p *promotionCode) bool {
		p.Active = t.active(p)
		return (!t.form.has("code") || strings.EqualFold(p.Code, t.form.text("code"))) &&
			(!t.form.has("active") || p.Active == t.form.bool("active"))
	})
}

// seed adds the codes that everybody knows. It comes before whatever looks a coupon or a code up.
func (t *turn) seed() error {
	_, err := find[coupon](t, "welcome50", "coupon")
	if _, refused := errors.AsType[*refusal](err); !refused {
		return err
	}
	add := func(code, name string, c coupon, expiresAt *int64) error {
		c.ID, c.Name, c.Metadata = strings.ToLower(code), &name, map[string]string{}
		if err := t.addCoupon(&c); err != nil {
			return err
		}
		return t.addPromotionCode(&promotionCode{Active: true, Code: code, ExpiresAt: expiresAt,
			Metadata: map[string]string{}, Promotion: promotion{Type: "coupon", Coupon: c.ID}})
	}
	usd, welcome, trial, ten, twelve, yesterday := "usd", int64(5000), int64(3300), 10.0, int64(12), t.now-24*60*60
	return errors.Join(
		add("WELCOME50", "Welcome credit of $50.00", coupon{AmountOff: &welcome, Currency: &usd, Duration: "once"}, nil),
		add("FREETRIAL", "Free trial credit of $33.00", coupon{AmountOff: &trial, Currency: &usd, Duration: "once"}, nil),
		add("TENPERCENT", "10% off for 12 months", coupon{PercentOff: &ten, Duration: "repeating", DurationInMonths: &twelve}, nil),
		add("EXPIRED1", "Expired credit of $50.00", coupon{AmountOff: &welcome, Currency: &usd, Duration: "once"}, &yesterday),
	)
}
