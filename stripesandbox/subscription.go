package stripesandbox

// Subscriptions: what is billed again and again.

import (
	"fmt"
	"slices"
	"time"
)

type subscription struct {
	ID                 string                    `json:"id"`
	Object             string                    `json:"object"`
	BillingCycleAnchor int64                     `json:"billing_cycle_anchor"`
	CanceledAt         *int64                    `json:"canceled_at"`
	CollectionMethod   string                    `json:"collection_method"`
	Created            int64                     `json:"created"`
	Currency           string                    `json:"currency"`
	Customer           string                    `json:"customer"`
	Discounts          []string                  `json:"discounts"`
	EndedAt            *int64                    `json:"ended_at"`
	Items              listOf[*subscriptionItem] `json:"items"`
	LatestInvoice      *string                   `json:"latest_invoice"`
	Livemode           bool                      `json:"livemode"`
	Metadata           map[string]string         `json:"metadata"`
	StartDate          int64                     `json:"start_date"`
	Status             string                    `json:"status"`
}

func (s subscription) key() (kind, id, customer string) { return "subscription", s.ID, s.Customer }

func (s *subscription) start() int64 { return s.Items.Data[0].CurrentPeriodStart }
func (s *subscription) end() int64   { return s.Items.Data[0].CurrentPeriodEnd }

// over reports whether nothing more can happen to a subscription.
func (s *subscription) over() bool { return s.Status == "canceled" || s.Status == "incomplete_expired" }

type subscriptionItem struct {
	ID                 string            `json:"id"`
	Object             string            `json:"object"`
	Created            int64             `json:"created"`
	CurrentPeriodEnd   int64             `json:"current_period_end"`
	CurrentPeriodStart int64             `json:"current_period_start"`
	Metadata           map[string]string `json:"metadata"`
	Price              price             `json:"price"`
	Quantity           int64             `json:"quantity"`
	Subscription       string            `json:"subscription"`

	// Net is not of Stripe's: what was billed for a whole period after discounts, which is given
	// back for the part of it that is not used.
	Net int64 `json:"sandbox_net"`
}

func (i *subscriptionItem) amount() int64 { return i.Price.UnitAmount * i.Quantity }

type price struct {
	ID                string            `json:"id"`
	Object            string            `json:"object"`
	Active            bool              `json:"active"`
	BillingScheme     string            `json:"billing_scheme"`
	Created           int64             `json:"created"`
	Currency          string            `json:"currency"`
	Livemode          bool              `json:"livemode"`
	Metadata          map[string]string `json:"metadata"`
	Product           string            `json:"product"`
	Recurring         recurring         `json:"recurring"`
	Type              string            `json:"type"`
	UnitAmount        int64             `json:"unit_amount"`
	UnitAmountDecimal string            `json:"unit_amount_decimal"`
}

type recurring struct {
	Interval      string `json:"interval"`
	IntervalCount int64  `json:"interval_count"`
	UsageType     string `json:"usage_type"`
}

// maxAmount is Stripe's limit.
const maxAmount = 99_999_999

// item reads the item that the parameters named so describe.
func (t *turn) item(s *subscription, name string) (*subscriptionItem, error) {
	i := &subscriptionItem{ID: newID("si"), Object: "subscription_item", Created: t.now, Metadata: map[string]string{}, Quantity: 1, Subscription: s.ID}
	return i, t.changeItem(i, name, true)
}

// changeItem sets an item's price and quantity to what the parameters say.
func (t *turn) changeItem(i *subscriptionItem, name string, needsPrice bool) error {
	currency, product, interval, unit := name+"[price_data][currency]", name+"[price_data][product]",
		name+"[price_data][recurring][interval]", name+"[price_data][unit_amount]"
	if needsPrice || t.form.has(currency) || t.form.has(product) || t.form.has(interval) || t.form.has(unit) {
		if err := t.form.require(currency, product, interval, unit); err != nil {
			return err
		}
		p := price{ID: newID("price"), Object: "price", BillingScheme: "per_unit", Created: t.now, Currency: t.form.text(currency),
			Metadata: map[string]string{}, Product: t.form.text(product),
			Recurring: recurring{Interval: t.form.text(interval), IntervalCount: 1, UsageType: "licensed"},
			Type:      "recurring", UnitAmount: t.form.int(unit), UnitAmountDecimal: t.form.text(unit)}
		if err := t.checkPrice(&p, name); err != nil {
			return err
		}
		if old := i.Price; p.Currency != old.Currency || p.Product != old.Product || p.Recurring != old.Recurring || p.UnitAmount != old.UnitAmount {
			i.Price = p
		}
	}
	if quantity := name + "[quantity]"; t.form.has(quantity) {
		i.Quantity = t.form.int(quantity)
	}
	if i.Quantity < 0 || i.Quantity > maxAmount || i.Price.UnitAmount < 0 || i.Price.UnitAmount > maxAmount || i.amount() > maxAmount {
		return invalid("amount_too_large", name, "The amount must be between 0 and %d.", maxAmount)
	}
	return nil
}

func (t *turn) checkPrice(p *price, name string) error {
	if p.Recurring.Interval != "month" && p.Recurring.Interval != "year" {
		return invalid("", name+"[price_data][recurring][interval]", "The sandbox knows only the intervals month and year.")
	}
	_, err := find[product](t, p.Product, name+"[price_data][product]")
	return err
}

// unsupported refuses what Stripe can do and the sandbox cannot.
func unsupported(param, value string) *refusal {
	return invalid("", param, "The sandbox does not support %s=%s.", param, value)
}

// mustPay reports whether a change is refused when it cannot be paid for.
func (t *turn) mustPay() (bool, error) {
	switch behavior := t.form.text("payment_behavior"); behavior {
	case "error_if_incomplete":
		return true, nil
	case "", "allow_incomplete":
		return false, nil
	default:
		return false, unsupported("payment_behavior", behavior)
	}
}

func (t *turn) createSubscription() (any, error) {
	c, err := find[customer](t, t.form.text("customer"), "customer")
	if err != nil {
		return nil, err
	}
	mustPay, err := t.mustPay()
	if err != nil {
		return nil, err
	}
	s := &subscription{ID: newID("sub"), Object: "subscription", BillingCycleAnchor: t.now, CollectionMethod: "charge_automatically",
		Created: t.now, Customer: c.ID, Discounts: []string{}, Metadata: t.form.metadata(nil), StartDate: t.now, Status: "active"}
	s.Items = listOf[*subscriptionItem]{Object: "list", URL: "/v1/subscription_items?subscription=" + s.ID}
	for _, name := range t.form.elements("items") {
		i, err := t.item(s, name)
		if err != nil {
			return nil, err
		}
		s.Items.Data = append(s.Items.Data, i)
	}
	if err := s.checkItems(); err != nil {
		return nil, err
	}
	s.Currency = s.Items.Data[0].Price.Currency
	s.begin(t.now)
	if err := t.setDiscounts(s); err != nil {
		return nil, err
	}
	lines, err := t.periodLines(s)
	if err != nil {
		return nil, err
	}
	if err := t.bill(s, "subscription_create", lines, mustPay); err != nil {
		return nil, err
	}
	if s.Status == "incomplete" {
		if err := t.schedule(t.now+incompleteFor, s.ID, 0); err != nil {
			return nil, err
		}
	}
	if err := t.schedule(s.end(), s.ID, 0); err != nil {
		return nil, err
	}
	return s, save(t, s, "customer.subscription.created")
}

// checkItems refuses items that cannot be billed together.
func (s *subscription) checkItems() error {
	if len(s.Items.Data) == 0 {
		return invalid("parameter_missing", "items", "A subscription must have at least one item.")
	}
	first := s.Items.Data[0].Price
	for _, i := range s.Items.Data {
		if i.Price.Recurring != first.Recurring || i.Price.Currency != first.Currency {
			return invalid("", "items", "The sandbox wants all items of a subscription to have the same interval and currency.")
		}
	}
	return nil
}

// begin starts a period.
func (s *subscription) begin(start int64) {
	for _, i := range s.Items.Data {
		i.CurrentPeriodStart, i.CurrentPeriodEnd = start, s.periods(start, 1)
	}
}

// periods counts periods from the start of one.
func (s *subscription) periods(start int64, count int) int64 {
	if s.Items.Data[0].Price.Recurring.Interval == "year" {
		count *= 12
	}
	// What is clamped keeps its month, so the months since the anchor can be counted.
	anchor, from := time.Unix(s.BillingCycleAnchor, 0).UTC(), time.Unix(start, 0).UTC()
	past := 12*(from.Year()-anchor.Year()) + int(from.Month()) - int(anchor.Month())
	return addMonths(s.BillingCycleAnchor, past+count)
}

// addMonths counts months from a time; a day that the month does not have becomes its last.
func addMonths(from int64, months int) int64 {
	at := time.Unix(from, 0).UTC()
	first := time.Date(at.Year(), at.Month()+time.Month(months), 1, at.Hour(), at.Minute(), at.Second(), 0, time.UTC)
	last := first.AddDate(0, 1, -1).Day()
	return first.AddDate(0, 0, min(at.Day(), last)-1).Unix()
}

func (t *turn) subscriptions() (any, error) {
	status := t.form.text("status")
	return page(t, t.form.text("customer"), func(s *subscription) bool {
		switch status {
		case "all":
			return true
		case "":
			return s.Status != "canceled"
		}
		return s.Status == status
	})
}

func (t *turn) subscription() (any, error) { return find[subscription](t, t.id, inPath) }

func (t *turn) updateSubscription() (any, error) {
	s, err := find[subscription](t, t.id, inPath)
	if err != nil {
		return nil, err
	}
	if s.over() {
		return nil, invalid("", "", "A canceled subscription can only update its cancellation_details and metadata.")
	}
	mustPay, err := t.mustPay()
	if err != nil {
		return nil, err
	}
	changes, err := t.changeItems(s)
	if err != nil {
		return nil, err
	}
	if t.form.has("discounts") || len(t.form.elements("discounts")) > 0 {
		if err := t.setDiscounts(s); err != nil {
			return nil, err
		}
	}
	s.Metadata = t.form.metadata(s.Metadata)
	switch behavior := t.form.text("proration_behavior"); {
	case len(changes) == 0 || behavior == "none":
	case behavior != "always_invoice":
		return nil, unsupported("proration_behavior", "create_prorations")
	default:
		lines, err := t.prorationLines(s, changes)
		if err != nil {
			return nil, err
		}
		if err := t.bill(s, "subscription_update", lines, mustPay); err != nil {
			return nil, err
		}
	}
	return s, save(t, s, "customer.subscription.updated")
}

// change is what becomes of an item: nil before it is added, and after it is deleted.
type change struct{ before, after *subscriptionItem }

// changeItems changes a subscription's items as the request says.
func (t *turn) changeItems(s *subscription) ([]change, error) {
	var changes []change
	recurring := s.Items.Data[0].Price.Recurring
	for _, name := range t.form.elements("items") {
		id := t.form.text(name + "[id]")
		if id == "" {
			i, err := t.item(s, name)
			if err != nil {
				return nil, err
			}
			i.CurrentPeriodStart, i.CurrentPeriodEnd = s.start(), s.end()
			s.Items.Data = append(s.Items.Data, i)
			changes = append(changes, change{nil, i})
			continue
		}
		at := slices.IndexFunc(s.Items.Data, func(i *subscriptionItem) bool { return i.ID == id })
		if at < 0 {
			return nil, missing("subscription item", id, name+"[id]")
		}
		if t.form.bool(name + "[deleted]") {
			changes = append(changes, change{s.Items.Data[at], nil})
			s.Items.Data = slices.Delete(s.Items.Data, at, at+1)
			continue
		}
		before := *s.Items.Data[at]
		after := s.Items.Data[at]
		if err := t.changeItem(after, name, false); err != nil {
			return nil, err
		}
		if before.Price.ID != after.Price.ID || before.Quantity != after.Quantity {
			changes = append(changes, change{&before, after})
		}
	}
	if err := s.checkItems(); err != nil {
		return nil, err
	}
	if s.Items.Data[0].Price.Recurring != recurring {
		return nil, invalid("", "items", "The sandbox cannot change a subscription's interval.")
	}
	return changes, nil
}

func (t *turn) cancelSubscription() (any, error) {
	s, err := find[subscription](t, t.id, inPath)
	if err != nil {
		return nil, err
	}
	if s.over() {
		return nil, missing("subscription", s.ID, inPath)
	}
	if t.form.bool("prorate") != t.form.bool("invoice_now") {
		return nil, unsupported("prorate", fmt.Sprint(t.form.bool("prorate"), "&invoice_now=", t.form.bool("invoice_now")))
	}
	if err := t.stopCollecting(s); err != nil {
		return nil, err
	}
	if t.form.bool("prorate") && s.Status != "incomplete" {
		var changes []change
		for _, i := range s.Items.Data {
			changes = append(changes, change{i, nil})
		}
		lines, err := t.prorationLines(s, changes)
		if err != nil {
			return nil, err
		}
		if err := t.bill(s, "subscription_update", lines, false); err != nil {
			return nil, err
		}
	}
	s.Status, s.CanceledAt, s.EndedAt = "canceled", t.present(), t.present()
	return s, save(t, s, "customer.subscription.deleted")
}
