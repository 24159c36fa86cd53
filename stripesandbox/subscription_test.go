package stripesandbox_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stripe/stripe-go/v85"
)

const day = 24 * time.Hour

// summary is what an invoice comes to.
type summary struct {
	status, reason                       string
	subtotal, total, due, paid, remained int64
	startingBalance, endingBalance       int64
}

func summarize(in *stripe.Invoice) summary {
	return summary{string(in.Status), string(in.BillingReason), in.Subtotal, in.Total, in.AmountDue, in.AmountPaid, in.AmountRemaining,
		in.StartingBalance, in.EndingBalance}
}

// lines are what an invoice bills, with the amounts and the periods.
func lines(in *stripe.Invoice) []string {
	var all []string
	for _, l := range in.Lines.Data {
		off := int64(0)
		for _, d := range l.DiscountAmounts {
			off += d.Amount
		}
		date := func(at int64) string { return time.Unix(at, 0).UTC().Format("2006-01-02T15") }
		all = append(all, fmt.Sprintf("%s: %d-%d, %s to %s", l.Description, l.Amount, off, date(l.Period.Start), date(l.Period.End)))
	}
	return all
}

func (f *fixture) latest(customer string) *stripe.Invoice {
	f.Helper()
	return f.invoices(customer)[0]
}

func (f *fixture) balance(customer string) int64 {
	f.Helper()
	return must[*stripe.Customer](f)(f.client.V1Customers.Retrieve(f.Context(), customer, nil)).Balance
}

// credit gives a customer credit.
func (f *fixture) credit(customer string, amount int64) {
	f.Helper()
	amount = -amount
	must[*stripe.CustomerBalanceTransaction](f)(f.client.V1CustomerBalanceTransactions.Create(f.Context(), &stripe.CustomerBalanceTransactionCreateParams{
		Customer: &customer, Amount: &amount, Currency: stripe.String("usd"),
	}))
}

func (f *fixture) status(subscription string) string {
	f.Helper()
	return string(must[*stripe.Subscription](f)(f.client.V1Subscriptions.Retrieve(f.Context(), subscription, nil)).Status)
}

func TestSubscribe(t *testing.T) {
	t.Parallel()
	t.Run("Paid", func(t *testing.T) {
		each(t, func(f *fixture) {
			c := f.customer("pm_card_visa")
			params := f.subscribeParams(c.ID, compute, storage)
			params.Expand = []*string{stripe.String("latest_invoice")}
			s := must[*stripe.Subscription](f)(f.client.V1Subscriptions.Create(f.Context(), params))
			equal(f, "subscription", []any{s.Status, s.Customer.ID, s.Metadata, s.BillingCycleAnchor, len(s.Items.Data)},
				[]any{stripe.SubscriptionStatusActive, c.ID, map[string]string{"instance_id": "inst_1"}, start.Unix(), 2})
			item := s.Items.Data[1]
			equal(f, "item", []any{item.Quantity, item.Price.UnitAmount, item.Price.Product.ID, string(item.Price.Recurring.Interval), item.CurrentPeriodStart, item.CurrentPeriodEnd},
				[]any{int64(40), int64(25), "studio-storage", "month", start.Unix(), start.Add(28 * day).Unix()})
			in := s.LatestInvoice
			equal(f, "invoice", summarize(in), summary{"paid", "subscription_create", 2999, 2999, 2999, 2999, 0, 0, 0})
			equal(f, "lines", lines(in), []string{
				"1 × Product studio-2gb (at $19.99 / month): 1999-0, 2026-01-31T12 to 2026-02-28T12",
				"40 × Product studio-storage (at $0.25 / month): 1000-0, 2026-01-31T12 to 2026-02-28T12",
			})
			line := in.Lines.Data[0]
			parent := line.Parent.SubscriptionItemDetails
			equal(f, "line", []any{string(line.Parent.Type), parent.Subscription, parent.SubscriptionItem, parent.Proration, line.Pricing.PriceDetails.Product, line.Metadata["instance_id"]},
				[]any{"subscription_item_details", s.ID, s.Items.Data[0].ID, false, "studio-2gb", "inst_1"})
			equal(f, "of the invoice", []any{in.Number, in.Created, in.AttemptCount, in.StatusTransitions.FinalizedAt, in.StatusTransitions.PaidAt,
				in.Parent.SubscriptionDetails.Subscription.ID, in.Parent.SubscriptionDetails.Metadata["instance_id"]},
				[]any{c.InvoicePrefix + "-0001", start.Unix(), int64(1), start.Unix(), start.Unix(), s.ID, "inst_1"})
			equal(f, "charges", f.charges(), []int64{2999})
			f.deliver()
			equal(f, "events", f.told(), []string{"customer.created", "payment_method.attached", "customer.updated", "invoice.created", "invoice.finalized",
				"invoice.updated", "invoice.paid", "invoice.payment_succeeded", "customer.subscription.created"})
		})
	})
	t.Run("Declined", func(t *testing.T) {
		each(t, func(f *fixture) {
			c := f.customer("pm_card_chargeCustomerFail")
			f.credit(c.ID, 100)
			params := f.subscribeParams(c.ID, compute)
			f.unchanged(func() {
				_, err := f.client.V1Subscriptions.Create(f.Context(), params)
				f.refused(err, 402, "card_declined", "Your card was declined.")
			})
		})
	})
	t.Run("NoCard", func(t *testing.T) {
		each(t, func(f *fixture) {
			params := f.subscribeParams(f.customer("").ID, compute)
			f.unchanged(func() {
				_, err := f.client.V1Subscriptions.Create(f.Context(), params)
				f.refused(err, 400, "resource_missing", "This customer has no attached payment source or default payment method. "+
					"Please consider adding a default payment method.")
			})
		})
	})
	t.Run("Free", func(t *testing.T) {
		each(t, func(f *fixture) {
			c := f.customer("")
			s := f.subscribe(c.ID, order{"studio-free", "month", 0, 1})
			equal(f, "status", string(s.Status), "active")
			equal(f, "invoice", summarize(f.latest(c.ID)), summary{status: "paid", reason: "subscription_create"})
		})
	})
	t.Run("Invalid", func(t *testing.T) {
		each(t, func(f *fixture) {
			c := f.customer("pm_card_visa")
			base := "customer=" + c.ID
			item := func(n int, o order) string {
				f.product(o.product, o.product)
				text := "&items[N][price_data][currency]=usd&items[N][price_data][product]=" + o.product + "&items[N][price_data][recurring][interval]=" +
					o.interval + fmt.Sprintf("&items[N][price_data][unit_amount]=%d&items[N][quantity]=%d", o.unit, o.quantity)
				return strings.ReplaceAll(text, "N", strconv.Itoa(n))
			}
			for body, want := range map[string]string{
				base: "A subscription must have at least one item.",
				base + "&items[0][price_data][currency]=usd":                     "Missing required param: items[0][price_data][product].",
				base + item(0, compute) + item(1, yearly):                        "The sandbox wants all items of a subscription to have the same interval and currency.",
				base + item(0, order{"studio-2gb", "week", 1, 1}):                "The sandbox knows only the intervals month and year.",
				base + item(0, order{"studio-2gb", "month", 25, 4_000_000}):      "The amount must be between 0 and 99999999.",
				base + item(0, order{"studio-2gb", "month", -1, 1}):              "The amount must be between 0 and 99999999.",
				base + item(0, compute) + "&payment_behavior=default_incomplete": "The sandbox does not support payment_behavior=default_incomplete.",
				"customer=cus_unknown" + item(0, compute):                        "No such customer: 'cus_unknown'",
			} {
				f.unchanged(func() {
					if status, _, answer := f.raw("POST", "/v1/subscriptions", body); status != 400 || !strings.Contains(answer, want) {
						f.Errorf("%s: got %d %s, want %s", body, status, answer, want)
					}
				})
			}
			f.unchanged(func() {
				params := f.subscribeParams(c.ID, compute)
				params.Items[0].PriceData.Product = stripe.String("unknown")
				_, err := f.client.V1Subscriptions.Create(f.Context(), params)
				f.refused(err, 400, "resource_missing", "No such product: 'unknown'")
			})
		})
	})
	t.Run("Incomplete", func(t *testing.T) {
		each(t, func(f *fixture) {
			c := f.customer("pm_card_chargeCustomerFail")
			params := f.subscribeParams(c.ID, compute)
			params.PaymentBehavior = stripe.String("allow_incomplete")
			s := must[*stripe.Subscription](f)(f.client.V1Subscriptions.Create(f.Context(), params))
			left := must[*stripe.Subscription](f)(f.client.V1Subscriptions.Create(f.Context(), params))
			canceled := must[*stripe.Subscription](f)(f.client.V1Subscriptions.Create(f.Context(), params))
			equal(f, "status", string(s.Status), "incomplete")
			equal(f, "invoice", summarize(f.latest(c.ID)), summary{"open", "subscription_create", 1999, 1999, 1999, 0, 1999, 0, 0})
			f.setCard(c.ID, "pm_card_visa")
			must[*stripe.Invoice](f)(f.client.V1Invoices.Pay(f.Context(), s.LatestInvoice.ID, nil))
			equal(f, "paid", f.status(s.ID), "active")
			f.cancel(canceled.ID)
			f.clock.Advance(23 * time.Hour)
			equal(f, "not paid", f.status(left.ID), "incomplete_expired")
			_, err := f.client.V1Invoices.Pay(f.Context(), left.LatestInvoice.ID, nil)
			f.refused(err, 400, "", "This invoice is void, and can no longer be paid.")
			f.moveTo(start.Add(28 * day))
			equal(f, "renewed", f.charges(), []int64{1999, 1999})
			for status, want := range map[string]int{"": 2, "all": 3, "active": 1, "canceled": 1} {
				found := all(f, f.client.V1Subscriptions.List(f.Context(), &stripe.SubscriptionListParams{Customer: &c.ID, Status: &status}).All(f.Context()))
				equal(f, "how many are "+status, len(found), want)
			}
		})
	})
	t.Run("Expand", func(t *testing.T) {
		each(t, func(f *fixture) {
			c := f.customer("pm_card_visa")
			f.codes("tenpercent")
			params := f.subscribeParams(c.ID, compute)
			params.Discounts = []*stripe.SubscriptionCreateDiscountParams{{Coupon: stripe.String("tenpercent")}}
			must[*stripe.Subscription](f)(f.client.V1Subscriptions.Create(f.Context(), params))
			list := &stripe.SubscriptionListParams{Customer: &c.ID}
			for _, path := range []string{"data.latest_invoice.customer", "data.discounts.source.coupon", "data.discounts"} {
				list.Expand = append(list.Expand, stripe.String(path))
			}
			for _, s := range all(f, f.client.V1Subscriptions.List(f.Context(), list).All(f.Context())) {
				equal(f, "expanded", []any{s.LatestInvoice.Customer.Name, s.Discounts[0].Source.Coupon.PercentOff, s.Discounts[0].End},
					[]any{"Acme", 10.0, start.AddDate(1, 0, 0).Unix()})
			}
		})
	})
}

// update changes a subscription's items at once.
func (f *fixture) update(id string, items ...*stripe.SubscriptionUpdateItemParams) (*stripe.Subscription, error) {
	return f.client.V1Subscriptions.Update(f.Context(), id, &stripe.SubscriptionUpdateParams{
		ProrationBehavior: stripe.String("always_invoice"), PaymentBehavior: stripe.String("error_if_incomplete"), Items: items,
	})
}

func (f *fixture) cancel(id string) *stripe.Subscription {
	f.Helper()
	return must[*stripe.Subscription](f)(f.client.V1Subscriptions.Cancel(f.Context(), id, &stripe.SubscriptionCancelParams{
		Prorate: stripe.Bool(true), InvoiceNow: stripe.Bool(true),
	}))
}

func priceOf(o order) *stripe.SubscriptionUpdateItemPriceDataParams {
	return &stripe.SubscriptionUpdateItemPriceDataParams{Currency: stripe.String("usd"), Product: &o.product, UnitAmount: &o.unit,
		Recurring: &stripe.SubscriptionUpdateItemPriceDataRecurringParams{Interval: &o.interval}}
}

func TestUpdate(t *testing.T) {
	t.Parallel()
	big := order{"studio-4gb", "month", 3999, 1}
	for name, test := range map[string]struct {
		after   time.Duration
		items   func(s *stripe.Subscription) []*stripe.SubscriptionUpdateItemParams
		invoice summary
		lines   []string
	}{
		"Bigger": {14 * day, func(s *stripe.Subscription) []*stripe.SubscriptionUpdateItemParams {
			return []*stripe.SubscriptionUpdateItemParams{{ID: &s.Items.Data[0].ID, PriceData: priceOf(big)}}
		}, summary{"paid", "subscription_update", 1000, 1000, 1000, 1000, 0, 0, 0}, []string{
			"Unused time on 1 × Product studio-2gb after 14 Feb 2026: -1000-0, 2026-02-14T12 to 2026-02-28T12", // 999.5
			"Remaining time on 1 × 4 GB after 14 Feb 2026: 2000-0, 2026-02-14T12 to 2026-02-28T12",             // 1999.5
		}},
		"AtOnce": {0, func(s *stripe.Subscription) []*stripe.SubscriptionUpdateItemParams {
			return []*stripe.SubscriptionUpdateItemParams{{ID: &s.Items.Data[0].ID, PriceData: priceOf(big)}}
		}, summary{"paid", "subscription_update", 2000, 2000, 2000, 2000, 0, 0, 0}, []string{
			"Unused time on 1 × Product studio-2gb after 31 Jan 2026: -1999-0, 2026-01-31T12 to 2026-02-28T12",
			"Remaining time on 1 × 4 GB after 31 Jan 2026: 3999-0, 2026-01-31T12 to 2026-02-28T12",
		}},
		"LastSecond": {28*day - time.Second, func(s *stripe.Subscription) []*stripe.SubscriptionUpdateItemParams {
			return []*stripe.SubscriptionUpdateItemParams{{ID: &s.Items.Data[0].ID, PriceData: priceOf(big)}}
		}, summary{"paid", "subscription_update", 0, 0, 0, 0, 0, 0, 0}, []string{
			"Unused time on 1 × Product studio-2gb after 28 Feb 2026: 0-0, 2026-02-28T11 to 2026-02-28T12",
			"Remaining time on 1 × 4 GB after 28 Feb 2026: 0-0, 2026-02-28T11 to 2026-02-28T12",
		}},
		"Smaller": {10 * day, func(s *stripe.Subscription) []*stripe.SubscriptionUpdateItemParams {
			return []*stripe.SubscriptionUpdateItemParams{{ID: &s.Items.Data[0].ID, PriceData: priceOf(order{"studio-4gb", "month", 999, 1})}}
		}, summary{"paid", "subscription_update", -643, -643, 0, 0, 0, 0, -643}, []string{
			"Unused time on 1 × Product studio-2gb after 10 Feb 2026: -1285-0, 2026-02-10T12 to 2026-02-28T12", // 1285.07
			"Remaining time on 1 × 4 GB after 10 Feb 2026: 642-0, 2026-02-10T12 to 2026-02-28T12",              // 642.21
		}},
		"Quantity": {7*day + time.Second, func(s *stripe.Subscription) []*stripe.SubscriptionUpdateItemParams {
			return []*stripe.SubscriptionUpdateItemParams{{ID: &s.Items.Data[1].ID, Quantity: stripe.Int64(50)}}
		}, summary{"paid", "subscription_update", 187, 187, 187, 187, 0, 0, 0}, []string{
			"Unused time on 40 × Product studio-storage after 7 Feb 2026: -750-0, 2026-02-07T12 to 2026-02-28T12",
			"Remaining time on 50 × Product studio-storage after 7 Feb 2026: 937-0, 2026-02-07T12 to 2026-02-28T12", // 937.4995
		}},
		"AddAndDelete": {21 * day, func(s *stripe.Subscription) []*stripe.SubscriptionUpdateItemParams {
			return []*stripe.SubscriptionUpdateItemParams{
				{ID: &s.Items.Data[0].ID, PriceData: priceOf(compute), Quantity: stripe.Int64(1)}, // unchanged
				{ID: &s.Items.Data[1].ID, Deleted: stripe.Bool(true)},
				{PriceData: priceOf(big), Quantity: stripe.Int64(2)},
			}
		}, summary{"paid", "subscription_update", 1750, 1750, 1750, 1750, 0, 0, 0}, []string{
			"Unused time on 40 × Product studio-storage after 21 Feb 2026: -250-0, 2026-02-21T12 to 2026-02-28T12",
			"Remaining time on 2 × 4 GB after 21 Feb 2026: 2000-0, 2026-02-21T12 to 2026-02-28T12", // 1999.5
		}},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(f *fixture) {
				c := f.customer("pm_card_visa")
				f.product(big.product, "4 GB")
				s := f.subscribe(c.ID, compute, storage)
				f.clock.Advance(test.after)
				changed := must[*stripe.Subscription](f)(f.update(s.ID, test.items(s)...))
				in := f.latest(c.ID)
				equal(f, "invoice", summarize(in), test.invoice)
				equal(f, "lines", lines(in), test.lines)
				equal(f, "of the subscription", []any{changed.LatestInvoice.ID, string(changed.Status)}, []any{in.ID, "active"})
				equal(f, "balance", f.balance(c.ID), test.invoice.endingBalance)
				for _, l := range in.Lines.Data {
					if l.Discountable || !l.Parent.SubscriptionItemDetails.Proration {
						f.Errorf("%s is no proration", l.Description)
					}
				}
				var next int64
				for _, i := range changed.Items.Data {
					next += i.Quantity * i.Price.UnitAmount
					equal(f, "end", i.CurrentPeriodEnd, start.Add(28*day).Unix())
				}
				f.moveTo(start.Add(28 * day))
				equal(f, "next total", f.latest(c.ID).Total, next)
			})
		})
	}
	t.Run("TwiceThenCancel", func(t *testing.T) {
		each(t, func(f *fixture) {
			c := f.customer("pm_card_visa")
			f.product(big.product, "4 GB")
			s := f.subscribe(c.ID, compute)
			f.clock.Advance(7 * day)
			must[*stripe.Subscription](f)(f.update(s.ID, &stripe.SubscriptionUpdateItemParams{ID: &s.Items.Data[0].ID, PriceData: priceOf(big)}))
			f.clock.Advance(7 * day)
			must[*stripe.Subscription](f)(f.update(s.ID, &stripe.SubscriptionUpdateItemParams{ID: &s.Items.Data[0].ID, PriceData: priceOf(compute)}))
			f.clock.Advance(7 * day)
			f.cancel(s.ID)
			var totals []int64
			for _, in := range f.invoices(c.ID) {
				totals = append(totals, in.Total)
			}
			// 1999×¾ = 1499.25 and 3999×¾ = 2999.25; 1999.5 and 999.5; 499.75.
			equal(f, "totals", totals, []int64{-500, -1000, 1500, 1999})
			equal(f, "balance", f.balance(c.ID), -1500)
		})
	})
	t.Run("Unchanged", func(t *testing.T) {
		each(t, func(f *fixture) {
			c := f.customer("pm_card_visa")
			s := f.subscribe(c.ID, compute)
			f.clock.Advance(day)
			got := must[*stripe.Subscription](f)(f.update(s.ID, &stripe.SubscriptionUpdateItemParams{ID: &s.Items.Data[0].ID, PriceData: priceOf(compute)}))
			equal(f, "price", got.Items.Data[0].Price.ID, s.Items.Data[0].Price.ID)
			got = must[*stripe.Subscription](f)(f.client.V1Subscriptions.Update(f.Context(), s.ID, &stripe.SubscriptionUpdateParams{Metadata: map[string]string{"instance_name": "new"}}))
			equal(f, "metadata", got.Metadata, map[string]string{"instance_id": "inst_1", "instance_name": "new"})
			equal(f, "invoices", len(f.invoices(c.ID)), 1)
		})
	})
	t.Run("WithoutProration", func(t *testing.T) {
		each(t, func(f *fixture) {
			c := f.customer("pm_card_visa")
			s := f.subscribe(c.ID, compute)
			must[*stripe.Subscription](f)(f.client.V1Subscriptions.Update(f.Context(), s.ID, &stripe.SubscriptionUpdateParams{
				ProrationBehavior: stripe.String("none"), Items: []*stripe.SubscriptionUpdateItemParams{{ID: &s.Items.Data[0].ID, Quantity: stripe.Int64(2)}},
			}))
			equal(f, "charges", f.charges(), []int64{1999})
			f.cancel(s.ID)
			equal(f, "given back is what was paid", f.balance(c.ID), -1999)
		})
	})
	t.Run("Declined", func(t *testing.T) {
		each(t, func(f *fixture) {
			c := f.customer("pm_card_visa")
			s := f.subscribe(c.ID, compute)
			f.setCard(c.ID, "pm_card_chargeCustomerFail")
			more := &stripe.SubscriptionUpdateItemParams{ID: &s.Items.Data[0].ID, Quantity: stripe.Int64(2)}
			f.unchanged(func() {
				_, err := f.update(s.ID, more)
				f.refused(err, 402, "card_declined", "Your card was declined.")
			})
			got := must[*stripe.Subscription](f)(f.client.V1Subscriptions.Update(f.Context(), s.ID, &stripe.SubscriptionUpdateParams{
				ProrationBehavior: stripe.String("always_invoice"), Items: []*stripe.SubscriptionUpdateItemParams{more},
			}))
			equal(f, "incomplete allowed", []any{string(got.Status), got.Items.Data[0].Quantity}, []any{"past_due", int64(2)})
			in := f.latest(c.ID)
			equal(f, "invoice", summarize(in), summary{"open", "subscription_update", 1999, 1999, 1999, 0, 1999, 0, 0})
			equal(f, "next attempt", in.NextPaymentAttempt, start.Add(3*day).Unix())
		})
	})
	t.Run("Invalid", func(t *testing.T) {
		each(t, func(f *fixture) {
			c := f.customer("pm_card_visa")
			f.product(yearly.product, "Installed")
			s := f.subscribe(c.ID, compute)
			item := &s.Items.Data[0].ID
			f.unchanged(func() {
				_, err := f.update(s.ID, &stripe.SubscriptionUpdateItemParams{ID: stripe.String("si_unknown"), Quantity: stripe.Int64(2)})
				f.refused(err, 400, "resource_missing", "No such subscription item: 'si_unknown'")
				_, err = f.update(s.ID, &stripe.SubscriptionUpdateItemParams{ID: item, Deleted: stripe.Bool(true)})
				f.refused(err, 400, "parameter_missing", "A subscription must have at least one item.")
				_, err = f.update(s.ID, &stripe.SubscriptionUpdateItemParams{ID: item, PriceData: priceOf(yearly)})
				f.refused(err, 400, "", "The sandbox cannot change a subscription's interval.")
				_, err = f.client.V1Subscriptions.Update(f.Context(), s.ID, &stripe.SubscriptionUpdateParams{
					Items: []*stripe.SubscriptionUpdateItemParams{{ID: item, Quantity: stripe.Int64(2)}},
				})
				f.refused(err, 400, "", "The sandbox does not support proration_behavior=create_prorations.")
				_, err = f.update("sub_unknown")
				f.refused(err, 404, "resource_missing", "No such subscription: 'sub_unknown'")
			})
		})
	})
}

func TestCancel(t *testing.T) {
	t.Parallel()
	t.Run("Prorated", func(t *testing.T) {
		each(t, func(f *fixture) {
			c := f.customer("pm_card_visa")
			s := f.subscribe(c.ID, compute, storage)
			f.clock.Advance(7 * day)
			f.deliver()
			f.told()
			at := f.clock.Now().Unix()
			got := f.cancel(s.ID)
			equal(f, "subscription", []any{string(got.Status), got.CanceledAt, got.EndedAt}, []any{"canceled", at, at})
			in := f.latest(c.ID)
			equal(f, "invoice", summarize(in), summary{"paid", "subscription_update", -2249, -2249, 0, 0, 0, 0, -2249})
			equal(f, "lines", lines(in), []string{
				"Unused time on 1 × Product studio-2gb after 7 Feb 2026: -1499-0, 2026-02-07T12 to 2026-02-28T12", // 1499.25
				"Unused time on 40 × Product studio-storage after 7 Feb 2026: -750-0, 2026-02-07T12 to 2026-02-28T12",
			})
			equal(f, "balance", f.balance(c.ID), -2249)
			f.deliver()
			equal(f, "events", f.told(), []string{"customer.updated", "invoice.created", "invoice.finalized", "invoice.updated",
				"invoice.paid", "invoice.payment_succeeded", "customer.subscription.deleted"})
			f.unchanged(func() {
				_, err := f.client.V1Subscriptions.Cancel(f.Context(), s.ID, nil)
				f.refused(err, 404, "resource_missing", "No such subscription: '"+s.ID+"'")
				_, err = f.update(s.ID)
				f.refused(err, 400, "", "A canceled subscription can only update its cancellation_details and metadata.")
			})
			equal(f, "billed later", f.moveTo(start.AddDate(1, 0, 0)), 0)
		})
	})
	t.Run("WithoutProration", func(t *testing.T) {
		each(t, func(f *fixture) {
			c := f.customer("pm_card_visa")
			s := f.subscribe(c.ID, compute)
			f.unchanged(func() {
				_, err := f.client.V1Subscriptions.Cancel(f.Context(), s.ID, &stripe.SubscriptionCancelParams{Prorate: stripe.Bool(true)})
				f.refused(err, 400, "", "The sandbox does not support prorate=true&invoice_now=false.")
			})
			must[*stripe.Subscription](f)(f.client.V1Subscriptions.Cancel(f.Context(), s.ID, nil))
			equal(f, "invoices", len(f.invoices(c.ID)), 1)
			equal(f, "balance", f.balance(c.ID), 0)
		})
	})
	t.Run("PastDue", func(t *testing.T) {
		each(t, func(f *fixture) {
			c := f.customer("pm_card_visa")
			s := f.subscribe(c.ID, compute)
			f.setCard(c.ID, "pm_card_chargeCustomerFail")
			f.moveTo(start.Add(28 * day))
			open := f.latest(c.ID)
			must[*stripe.Subscription](f)(f.client.V1Subscriptions.Cancel(f.Context(), s.ID, nil))
			f.setCard(c.ID, "pm_card_visa")
			f.moveTo(start.AddDate(0, 2, 0))
			open = must[*stripe.Invoice](f)(f.client.V1Invoices.Retrieve(f.Context(), open.ID, nil))
			equal(f, "collected no more", []any{string(open.Status), open.AutoAdvance, open.NextPaymentAttempt}, []any{"open", false, int64(0)})
			must[*stripe.Invoice](f)(f.client.V1Invoices.Pay(f.Context(), open.ID, nil))
			equal(f, "status", f.status(s.ID), "canceled")
			equal(f, "charges", f.charges(), []int64{1999, 1999})
		})
	})
}

func TestCredit(t *testing.T) {
	t.Parallel()
	t.Run("OverInvoices", func(t *testing.T) {
		each(t, func(f *fixture) {
			c := f.customer("pm_card_visa")
			f.credit(c.ID, 5000)
			f.subscribe(c.ID, compute)
			f.moveTo(start.AddDate(0, 3, 0)) // 30 April, 12:00 is due
			invoices := f.invoices(c.ID)
			var got []summary
			for _, in := range invoices {
				got = append(got, summarize(in))
			}
			equal(f, "invoices", got, []summary{
				{"paid", "subscription_cycle", 1999, 1999, 1999, 1999, 0, 0, 0},
				{"paid", "subscription_cycle", 1999, 1999, 997, 997, 0, -1002, 0},
				{"paid", "subscription_cycle", 1999, 1999, 0, 0, 0, -3001, -1002},
				{"paid", "subscription_create", 1999, 1999, 0, 0, 0, -5000, -3001},
			})
			equal(f, "charges", f.charges(), []int64{997, 1999})
			equal(f, "balance", f.balance(c.ID), 0)
			var amounts []int64
			for _, b := range all(f, f.client.V1CustomerBalanceTransactions.List(f.Context(), &stripe.CustomerBalanceTransactionListParams{Customer: &c.ID}).All(f.Context())) {
				amounts = append(amounts, b.Amount)
				if b.Amount > 0 && (b.Invoice == nil || b.Type != "applied_to_invoice") {
					f.Errorf("%d is of type %s", b.Amount, b.Type)
				}
			}
			equal(f, "transactions", amounts, []int64{1002, 1999, 1999, -5000})
		})
	})
	t.Run("WithoutCard", func(t *testing.T) {
		for _, card := range []string{"", "pm_card_chargeCustomerFail"} {
			t.Run(card, func(t *testing.T) {
				each(t, func(f *fixture) {
					c := f.customer(card)
					f.credit(c.ID, 1999)
					equal(f, "status", string(f.subscribe(c.ID, compute).Status), "active")
					equal(f, "invoice", summarize(f.latest(c.ID)), summary{"paid", "subscription_create", 1999, 1999, 0, 0, 0, -1999, 0})
					equal(f, "charges", f.charges(), []int64{})
				})
			})
		}
	})
	t.Run("OfProrations", func(t *testing.T) {
		each(t, func(f *fixture) {
			c := f.customer("pm_card_visa")
			f.credit(c.ID, 300)
			s := f.subscribe(c.ID, compute)
			f.cancel(s.ID)
			equal(f, "invoice", summarize(f.latest(c.ID)), summary{"paid", "subscription_update", -1999, -1999, 0, 0, 0, 0, -1999})
			f.credit(c.ID, 300)
			other := f.subscribe(c.ID, storage)
			f.cancel(other.ID)
			equal(f, "on top", summarize(f.latest(c.ID)), summary{"paid", "subscription_update", -1000, -1000, 0, 0, 0, -1299, -2299})
		})
	})
	t.Run("TooLittle", func(t *testing.T) {
		each(t, func(f *fixture) {
			c := f.customer("pm_card_visa")
			for _, test := range []struct{ amount, due, starting, ending int64 }{{49, 0, 0, 49}, {1, 50, 49, 0}, {49, 0, 0, 49}, {51, 100, 49, 0}} {
				f.subscribe(c.ID, order{"studio-2gb", "month", test.amount, 1})
				equal(f, "invoice", summarize(f.latest(c.ID)),
					summary{"paid", "subscription_create", test.amount, test.amount, test.due, test.due, 0, test.starting, test.ending})
				equal(f, "balance", f.balance(c.ID), test.ending)
			}
			equal(f, "charges", f.charges(), []int64{50, 100})
		})
	})
	t.Run("Debt", func(t *testing.T) {
		each(t, func(f *fixture) {
			c := f.customer("pm_card_visa")
			f.credit(c.ID, -500)
			f.subscribe(c.ID, compute)
			equal(f, "invoice", summarize(f.latest(c.ID)), summary{"paid", "subscription_create", 1999, 1999, 2499, 2499, 0, 500, 0})
		})
	})
}

func TestDiscounts(t *testing.T) {
	t.Parallel()
	subscribe := func(f *fixture, customer string, coupons []string, orders ...order) *stripe.Subscription {
		f.codes("tenpercent") // makes the coupons known
		params := f.subscribeParams(customer, orders...)
		for _, id := range coupons {
			params.Discounts = append(params.Discounts, &stripe.SubscriptionCreateDiscountParams{Coupon: &id})
		}
		return must[*stripe.Subscription](f)(f.client.V1Subscriptions.Create(f.Context(), params))
	}
	percent := func(f *fixture, id string, off float64, duration string) {
		params := &stripe.CouponCreateParams{ID: &id, PercentOff: &off, Duration: &duration}
		must[*stripe.Coupon](f)(f.client.V1Coupons.Create(f.Context(), params))
	}
	t.Run("TwelveMonths", func(t *testing.T) {
		each(t, func(f *fixture) {
			c := f.customer("pm_card_visa")
			subscribe(f, c.ID, []string{"tenpercent"}, compute, storage)
			equal(f, "billed", f.moveTo(start.AddDate(1, 1, 0)), 13)
			var totals []int64
			for _, in := range f.invoices(c.ID) {
				totals = append([]int64{in.Total}, totals...)
			}
			equal(f, "totals", totals, []int64{2699, 2699, 2699, 2699, 2699, 2699, 2699, 2699, 2699, 2699, 2699, 2699, 2999, 2999})
		})
	})
	t.Run("Lines", func(t *testing.T) {
		each(t, func(f *fixture) {
			c := f.customer("pm_card_visa")
			percent(f, "third", 33.33, "forever")
			s := subscribe(f, c.ID, []string{"tenpercent", "third"}, compute, storage, order{"studio-tiny", "month", 1, 1})
			in := f.latest(c.ID)
			// 10 % of 3000 is 300: 199.9, 100.0 and 0.1. 33.33 % of 2700 is 899.91: 600 of 1799 and 900, and 0.
			equal(f, "invoice", summarize(in), summary{"paid", "subscription_create", 3000, 1800, 1800, 1800, 0, 0, 0})
			var got []int64
			for _, l := range in.Lines.Data {
				for _, d := range l.DiscountAmounts {
					got = append(got, d.Amount)
				}
			}
			equal(f, "parts", got, []int64{200, 600, 100, 300, 0, 0})
			equal(f, "sums", []any{len(in.TotalDiscountAmounts), in.TotalDiscountAmounts[0].Amount, in.TotalDiscountAmounts[1].Amount, in.TotalDiscountAmounts[0].Discount.ID},
				[]any{2, int64(300), int64(900), s.Discounts[0].ID})
			f.cancel(s.ID)
			equal(f, "given back is what was paid", f.balance(c.ID), -1800)
		})
	})
	t.Run("Proration", func(t *testing.T) {
		each(t, func(f *fixture) {
			c := f.customer("pm_card_visa")
			s := subscribe(f, c.ID, []string{"tenpercent"}, compute)
			f.clock.Advance(14 * day)
			must[*stripe.Subscription](f)(f.update(s.ID, &stripe.SubscriptionUpdateItemParams{ID: &s.Items.Data[0].ID, PriceData: priceOf(order{"studio-2gb", "month", 3999, 1})}))
			in := f.latest(c.ID)
			equal(f, "lines", lines(in), []string{
				"Unused time on 1 × Product studio-2gb after 14 Feb 2026: -900-0, 2026-02-14T12 to 2026-02-28T12",    // half of 1799
				"Remaining time on 1 × Product studio-2gb after 14 Feb 2026: 1800-0, 2026-02-14T12 to 2026-02-28T12", // half of 3599
			})
			equal(f, "discounts", len(in.TotalDiscountAmounts), 0)
			equal(f, "charges", f.charges(), []int64{1799, 900})
		})
	})
	t.Run("Replaced", func(t *testing.T) {
		each(t, func(f *fixture) {
			c := f.customer("pm_card_visa")
			s := subscribe(f, c.ID, nil, compute)
			change := func(coupons ...string) *stripe.Subscription {
				params := &stripe.SubscriptionUpdateParams{Discounts: []*stripe.SubscriptionUpdateDiscountParams{}}
				for _, id := range coupons {
					params.Discounts = append(params.Discounts, &stripe.SubscriptionUpdateDiscountParams{Coupon: &id})
				}
				return must[*stripe.Subscription](f)(f.client.V1Subscriptions.Update(f.Context(), s.ID, params))
			}
			f.clock.Advance(14 * day)
			first := change("tenpercent").Discounts[0]
			equal(f, "charges", f.charges(), []int64{1999})
			must[*stripe.Subscription](f)(f.update(s.ID, &stripe.SubscriptionUpdateItemParams{ID: &s.Items.Data[0].ID, Quantity: stripe.Int64(2)}))
			// Half of 1999, which was paid without a discount, for half of 3598.
			equal(f, "prorated", f.charges(), []int64{1999, 799})
			f.moveTo(start.Add(28 * day))
			equal(f, "renewed", f.latest(c.ID).Total, 3598)
			percent(f, "half", 50, "forever")
			kept := must[*stripe.Subscription](f)(f.client.V1Subscriptions.Update(f.Context(), s.ID, &stripe.SubscriptionUpdateParams{
				Discounts: []*stripe.SubscriptionUpdateDiscountParams{{Discount: &first.ID}, {Coupon: stripe.String("half")}},
			}))
			equal(f, "discounts", []any{len(kept.Discounts), kept.Discounts[0].ID}, []any{2, first.ID})
			f.moveTo(start.AddDate(0, 2, 0))
			equal(f, "renewed with both", f.latest(c.ID).Total, 1799)
			equal(f, "none", len(change().Discounts), 0)
			f.unchanged(func() {
				_, err := f.client.V1Subscriptions.Update(f.Context(), s.ID, &stripe.SubscriptionUpdateParams{
					Discounts: []*stripe.SubscriptionUpdateDiscountParams{{Discount: &first.ID}},
				})
				f.refused(err, 400, "resource_missing", "No such discount: '"+first.ID+"'")
			})
			f.moveTo(start.AddDate(0, 3, 0))
			equal(f, "renewed without", f.latest(c.ID).Total, 3998)
		})
	})
	t.Run("Once", func(t *testing.T) {
		each(t, func(f *fixture) {
			c := f.customer("pm_card_visa")
			percent(f, "once", 50, "once")
			s := subscribe(f, c.ID, []string{"once"}, compute)
			f.clock.Advance(14 * day)
			must[*stripe.Subscription](f)(f.update(s.ID, &stripe.SubscriptionUpdateItemParams{ID: &s.Items.Data[0].ID, Quantity: stripe.Int64(2)}))
			f.moveTo(start.Add(28 * day))
			// Half of 1999; half of 3998 for half of what was paid; all.
			equal(f, "charges", f.charges(), []int64{999, 1499, 3998})
			equal(f, "discounts left", len(must[*stripe.Subscription](f)(f.client.V1Subscriptions.Retrieve(f.Context(), s.ID, nil)).Discounts), 0)
		})
	})
	t.Run("Everything", func(t *testing.T) {
		each(t, func(f *fixture) {
			c := f.customer("")
			percent(f, "all", 100, "forever")
			subscribe(f, c.ID, []string{"all", "tenpercent"}, compute)
			equal(f, "invoice", summarize(f.latest(c.ID)), summary{"paid", "subscription_create", 1999, 0, 0, 0, 0, 0, 0})
		})
	})
}
