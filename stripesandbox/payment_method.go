package stripesandbox

// Cards. They come from Stripe's test payment methods, as no card data can be entered here.

import "strings"

type paymentMethod struct {
	ID       string            `json:"id"`
	Object   string            `json:"object"`
	Card     card              `json:"card"`
	Created  int64             `json:"created"`
	Customer *string           `json:"customer"`
	Livemode bool              `json:"livemode"`
	Metadata map[string]string `json:"metadata"`
	Type     string            `json:"type"`
}

type card struct {
	Brand        string `json:"brand"`
	Country      string `json:"country"`
	DisplayBrand string `json:"display_brand"`
	ExpMonth     int64  `json:"exp_month"`
	ExpYear      int64  `json:"exp_year"`
	Fingerprint  string `json:"fingerprint"`
	Funding      string `json:"funding"`
	Last4        string `json:"last4"`
}

func testCard(brand, last4 string) card {
	return card{Brand: brand, Country: "US", DisplayBrand: brand, ExpMonth: 12, ExpYear: 2034,
		Fingerprint: "sandbox" + last4, Funding: "credit", Last4: last4}
}

// testMethods are those that anybody may attach. Each attachment makes a payment method of its own.
var testMethods = map[string]card{
	"pm_card_visa":               testCard("visa", "4242"),
	"pm_card_mastercard":         testCard("mastercard", "4444"),
	"pm_card_chargeDeclined":     testCard("visa", "0002"),
	"pm_card_chargeCustomerFail": testCard("visa", "0341"),
}

const refusesAttaching = "pm_card_chargeDeclined"

// refusesCharges reports whether the bank refuses to pay.
func (c card) refusesCharges() bool { return c == testMethods["pm_card_chargeCustomerFail"] }

func (p paymentMethod) key() (kind, id, customer string) {
	if p.Customer != nil {
		customer = *p.Customer
	}
	return "payment_method", p.ID, customer
}

func (t *turn) paymentMethod() (any, error) {
	if card, is := testMethods[t.id]; is {
		return t.unattached(t.id, card), nil
	}
	return find[paymentMethod](t, t.id, inPath)
}

func (t *turn) unattached(id string, card card) *paymentMethod {
	return &paymentMethod{ID: id, Object: "payment_method", Card: card, Created: t.now, Metadata: map[string]string{}, Type: "card"}
}

func (t *turn) paymentMethods() (any, error) {
	if _, err := find[customer](t, t.id, inPath); err != nil {
		return nil, err
	}
	return page(t, t.id, func(p *paymentMethod) bool { return !t.form.has("type") || p.Type == t.form.text("type") })
}

func (t *turn) attach() (any, error) {
	c, err := find[customer](t, t.form.text("customer"), "customer")
	if err != nil {
		return nil, err
	}
	if card, is := testMethods[t.id]; is {
		if t.id == refusesAttaching {
			return nil, declined()
		}
		p := t.unattached(newID("pm"), card)
		p.Customer = &c.ID
		return p, save(t, p, "payment_method.attached")
	}
	p, err := find[paymentMethod](t, t.id, inPath)
	switch {
	case err != nil:
		return nil, err
	case p.Customer == nil:
		return nil, invalid("", "", "This PaymentMethod was previously used without being attached to a Customer "+
			"or was detached from a Customer, and may not be used again.")
	case *p.Customer != c.ID:
		return nil, invalid("", "", "The payment method you provided has already been attached to a customer.")
	}
	return p, nil
}

func (t *turn) detach() (any, error) {
	p, err := find[paymentMethod](t, t.id, inPath)
	if err != nil {
		return nil, err
	}
	if p.Customer == nil {
		return nil, invalid("", "", "The payment method you provided is not attached to a customer so detachment is impossible.")
	}
	c, err := find[customer](t, *p.Customer, "customer")
	if err != nil {
		return nil, err
	}
	p.Customer = nil
	if err := save(t, p, "payment_method.detached"); err != nil {
		return nil, err
	}
	if chosen := c.InvoiceSettings.DefaultPaymentMethod; chosen != nil && *chosen == p.ID {
		c.InvoiceSettings.DefaultPaymentMethod = nil
		return p, save(t, c, "customer.updated")
	}
	return p, nil
}

type setupIntent struct {
	ID                 string            `json:"id"`
	Object             string            `json:"object"`
	ClientSecret       string            `json:"client_secret"`
	Created            int64             `json:"created"`
	Customer           *string           `json:"customer"`
	Livemode           bool              `json:"livemode"`
	Metadata           map[string]string `json:"metadata"`
	PaymentMethod      *string           `json:"payment_method"`
	PaymentMethodTypes []string          `json:"payment_method_types"`
	Status             string            `json:"status"`
	Usage              string            `json:"usage"`
}

func (s setupIntent) key() (kind, id, customer string) {
	if s.Customer != nil {
		customer = *s.Customer
	}
	return "setup_intent", s.ID, customer
}

func (t *turn) createSetupIntent() (any, error) {
	id := newID("seti")
	s := &setupIntent{ID: id, Object: "setup_intent", ClientSecret: id + "_secret_" + strings.TrimPrefix(newID("secret"), "secret_"),
		Created: t.now, Customer: t.form.optional("customer"), Metadata: t.form.metadata(nil),
		PaymentMethodTypes: t.form.texts("payment_method_types"), Status: "requires_payment_method", Usage: t.form.text("usage")}
	if s.Customer != nil {
		if _, err := find[customer](t, *s.Customer, "customer"); err != nil {
			return nil, err
		}
	}
	if len(s.PaymentMethodTypes) == 0 {
		s.PaymentMethodTypes = []string{"card"}
	}
	if s.Usage == "" {
		s.Usage = "off_session"
	}
	return s, save(t, s, "setup_intent.created")
}
