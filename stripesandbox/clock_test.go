package stripesandbox_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stripe/stripe-go/v85"

	"studio/db"
	"studio/stripesandbox"
)

func TestPeriods(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		start    time.Time
		interval string
		ends     []string
	}{
		"LastOfMonth": {start, "month", []string{"2026-02-28T12", "2026-03-31T12", "2026-04-30T12", "2026-05-31T12"}},
		"LeapYear": {time.Date(2027, 12, 30, 23, 0, 0, 0, time.UTC), "month",
			[]string{"2028-01-30T23", "2028-02-29T23", "2028-03-30T23"}},
		"YearEnd":   {time.Date(2026, 11, 15, 0, 0, 0, 0, time.UTC), "month", []string{"2026-12-15T00", "2027-01-15T00", "2027-02-15T00"}},
		"LeapDay":   {time.Date(2028, 2, 29, 6, 0, 0, 0, time.UTC), "year", []string{"2029-02-28T06", "2030-02-28T06", "2031-02-28T06", "2032-02-29T06"}},
		"OtherZone": {time.Date(2026, 1, 31, 23, 0, 0, 0, time.FixedZone("", -3*60*60)), "month", []string{"2026-03-01T02", "2026-04-01T02"}},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(f *fixture) {
				f.clock.Set(test.start)
				c := f.customer("pm_card_visa")
				s := f.subscribe(c.ID, order{"studio-2gb", test.interval, 1000, 1})
				from := test.start.UTC()
				for _, end := range test.ends {
					s = must[*stripe.Subscription](f)(f.client.V1Subscriptions.Retrieve(f.Context(), s.ID, nil))
					to := time.Unix(s.Items.Data[0].CurrentPeriodEnd, 0).UTC()
					equal(f, "period", []string{time.Unix(s.Items.Data[0].CurrentPeriodStart, 0).UTC().Format(time.RFC3339), to.Format("2006-01-02T15")},
						[]string{from.Format(time.RFC3339), end})
					line := f.latest(c.ID).Lines.Data[0].Period
					equal(f, "line", []int64{line.Start, line.End}, []int64{from.Unix(), to.Unix()})
					equal(f, "billed before it ends", f.moveTo(to.Add(-time.Second)), 0)
					equal(f, "billed at its end", f.moveTo(to), 1)
					in := f.latest(c.ID)
					equal(f, "invoice", []int64{in.Created, in.PeriodStart, in.PeriodEnd}, []int64{to.Unix(), from.Unix(), to.Unix()})
					from = to
				}
			})
		})
	}
}

// TestTime lets time pass by itself: what is due is billed before the next request is answered.
func TestTime(t *testing.T) {
	each(t, func(f *fixture) {
		c := f.customer("pm_card_visa")
		f.subscribe(c.ID, compute)
		f.clock.Advance(59 * day) // 31 March
		equal(f, "invoices", len(f.invoices(c.ID)), 3)
		f.clock.Advance(31 * day)
		f.unchanged(func() {}) // until somebody asks
		// Also of a request that is refused, what time did stays done.
		_, err := f.client.V1Customers.Retrieve(f.Context(), "cus_unknown", nil)
		f.refused(err, 404, "resource_missing", "No such customer: 'cus_unknown'")
		equal(f, "charges", f.charges(), []int64{1999, 1999, 1999, 1999})
		f.deliver()
		got := f.told()
		equal(f, "events of the last renewal", got[len(got)-6:], []string{"invoice.created", "invoice.finalized", "invoice.updated",
			"invoice.paid", "invoice.payment_succeeded", "customer.subscription.updated"})
	})
}

func TestRetries(t *testing.T) {
	t.Parallel()
	due := start.Add(28 * day)
	// failing has a subscription whose renewal failed.
	failing := func(t *testing.T, test func(f *fixture, customer, subscription string)) {
		each(t, func(f *fixture) {
			c := f.customer("pm_card_visa")
			s := f.subscribe(c.ID, compute)
			f.setCard(c.ID, "pm_card_chargeCustomerFail")
			f.deliver()
			f.told()
			f.moveTo(due)
			test(f, c.ID, s.ID)
		})
	}
	state := func(f *fixture, in *stripe.Invoice) []any {
		in = must[*stripe.Invoice](f)(f.client.V1Invoices.Retrieve(f.Context(), in.ID, nil))
		return []any{string(in.Status), in.AttemptCount, in.NextPaymentAttempt, in.AutoAdvance, in.AmountRemaining}
	}
	t.Run("Schedule", func(t *testing.T) {
		failing(t, func(f *fixture, customer, subscription string) {
			in := f.latest(customer)
			equal(f, "events", f.told(), []string{"invoice.created", "invoice.finalized", "invoice.updated", "invoice.payment_failed", "customer.subscription.updated"})
			equal(f, "first", state(f, in), []any{"open", int64(1), due.Add(3 * day).Unix(), true, int64(1999)})
			equal(f, "subscription", f.status(subscription), "past_due")
			f.moveTo(due.Add(3*day - time.Second))
			equal(f, "too early", state(f, in)[1], any(int64(1)))
			f.moveTo(due.Add(3 * day))
			equal(f, "second", state(f, in), []any{"open", int64(2), due.Add(8 * day).Unix(), true, int64(1999)})
			f.moveTo(due.Add(8 * day))
			equal(f, "third", state(f, in), []any{"open", int64(3), due.Add(15 * day).Unix(), true, int64(1999)})
			equal(f, "events of retries", f.told(), []string{"invoice.updated", "invoice.payment_failed", "invoice.updated", "invoice.payment_failed"})
			f.moveTo(due.Add(30 * day))
			equal(f, "fourth and last", state(f, in), []any{"open", int64(4), int64(0), false, int64(1999)})
			equal(f, "subscription", f.status(subscription), "past_due")
			equal(f, "charges", f.charges(), []int64{1999})
		})
	})
	t.Run("Recovers", func(t *testing.T) {
		failing(t, func(f *fixture, customer, subscription string) {
			in := f.latest(customer)
			f.setCard(customer, "pm_card_visa")
			f.moveTo(due.Add(3 * day))
			equal(f, "invoice", state(f, in), []any{"paid", int64(2), int64(0), false, int64(0)})
			equal(f, "subscription", f.status(subscription), "active")
			f.moveTo(due.Add(20 * day))
			equal(f, "charges", f.charges(), []int64{1999, 1999})
		})
	})
	t.Run("WithoutCard", func(t *testing.T) {
		failing(t, func(f *fixture, customer, _ string) {
			in := f.latest(customer)
			f.raw("POST", "/v1/customers/"+customer, "invoice_settings[default_payment_method]=")
			f.moveTo(due.Add(3 * day))
			equal(f, "invoice", state(f, in), []any{"open", int64(2), due.Add(8 * day).Unix(), true, int64(1999)})
			f.unchanged(func() {
				_, err := f.client.V1Invoices.Pay(f.Context(), in.ID, nil)
				f.refused(err, 400, "resource_missing", "This customer has no attached payment source or default payment method. "+
					"Please consider adding a default payment method.")
			})
		})
	})
	t.Run("Pay", func(t *testing.T) {
		failing(t, func(f *fixture, customer, subscription string) {
			in := f.latest(customer)
			params := &stripe.InvoicePayParams{}
			params.SetIdempotencyKey("job_1/pay")
			for range 2 { // the second is an echo
				_, err := f.client.V1Invoices.Pay(f.Context(), in.ID, params)
				f.refused(err, 402, "card_declined", "Your card was declined.")
			}
			equal(f, "declined", state(f, in), []any{"open", int64(1), due.Add(3 * day).Unix(), true, int64(1999)})
			f.moveTo(due.Add(3 * day))
			equal(f, "retried nevertheless", state(f, in), []any{"open", int64(2), due.Add(8 * day).Unix(), true, int64(1999)})
			f.setCard(customer, "pm_card_visa")
			paid := must[*stripe.Invoice](f)(f.client.V1Invoices.Pay(f.Context(), in.ID, nil))
			equal(f, "paid", summarize(paid), summary{"paid", "subscription_cycle", 1999, 1999, 1999, 1999, 0, 0, 0})
			equal(f, "subscription", f.status(subscription), "active")
			f.unchanged(func() {
				_, err := f.client.V1Invoices.Pay(f.Context(), in.ID, nil)
				f.refused(err, 400, "", "Invoice is already paid")
				_, err = f.client.V1Invoices.Pay(f.Context(), "in_unknown", nil)
				f.refused(err, 404, "resource_missing", "No such invoice: 'in_unknown'")
			})
			f.moveTo(due.Add(20 * day))
			equal(f, "charges", f.charges(), []int64{1999, 1999})
		})
	})
	t.Run("SeveralOpen", func(t *testing.T) {
		failing(t, func(f *fixture, customer, subscription string) {
			f.moveTo(start.AddDate(0, 2, 0))
			f.setCard(customer, "pm_card_visa")
			open := all(f, f.client.V1Invoices.List(f.Context(), &stripe.InvoiceListParams{
				Customer: &customer, Subscription: &subscription, Status: stripe.String("open"), CreatedRange: &stripe.RangeQueryParams{GreaterThanOrEqual: due.Unix()},
			}).All(f.Context()))
			equal(f, "open", len(open), 2)
			must[*stripe.Invoice](f)(f.client.V1Invoices.Pay(f.Context(), open[0].ID, nil))
			equal(f, "with one open", f.status(subscription), "past_due")
			must[*stripe.Invoice](f)(f.client.V1Invoices.Pay(f.Context(), open[1].ID, nil))
			equal(f, "with none open", f.status(subscription), "active")
		})
	})
}

func TestAdvance(t *testing.T) {
	t.Parallel()
	t.Run("InOrder", func(t *testing.T) {
		each(t, func(f *fixture) {
			c := f.customer("pm_card_visa")
			annual := f.subscribe(c.ID, yearly)
			f.clock.Advance(10 * day)
			monthly := f.subscribe(c.ID, compute)
			f.clock.Advance(time.Hour)
			other := f.customer("pm_card_mastercard")
			third := f.subscribe(other.ID, storage)
			equal(f, "billed", f.moveTo(start.AddDate(1, 0, 0)), 23)
			invoices := all(f, f.client.V1Invoices.List(f.Context(), nil).All(f.Context()))
			byTime := slices.IsSortedFunc(invoices, func(a, b *stripe.Invoice) int { return int(b.Created - a.Created) })
			if !byTime {
				f.Error("they are not in the order of time")
			}
			of := map[string]int{}
			for _, in := range invoices {
				of[in.Parent.SubscriptionDetails.Subscription.ID]++
			}
			equal(f, "of each", of, map[string]int{annual.ID: 2, monthly.ID: 12, third.ID: 12})
			equal(f, "jobs left", f.read("SELECT coalesce(last_error, 'not tried') || payload FROM jobs WHERE payload LIKE '%subscription_cycle%'"), "")
		})
	})
	t.Run("Clock", func(t *testing.T) {
		each(t, func(f *fixture) {
			f.clock.Advance(400 * time.Millisecond)
			status, body := f.post(`{"to": "2026-03-01T10:00:00.7+02:00"}`)
			equal(f, "answer", []any{status, body}, []any{200, map[string]any{"now": "2026-03-01T08:00:01Z", "invoices": 0.0}})
			equal(f, "created", f.customer("").Created, time.Date(2026, 3, 1, 8, 0, 1, 0, time.UTC).Unix())
			f.clock.Advance(time.Hour)
			equal(f, "an hour later", f.customer("").Created, time.Date(2026, 3, 1, 9, 0, 1, 0, time.UTC).Unix())
		})
	})
	t.Run("Refused", func(t *testing.T) {
		each(t, func(f *fixture) {
			f.moveTo(start.Add(10 * day))
			for name, test := range map[string]struct{ body, want string }{
				"NoJSON":   {`to=2026-03-01`, `the body must be {"to": "2026-01-31T12:00:00Z"}, with the time to move the clock to`},
				"NoTime":   {`{"to": "tomorrow"}`, `the body must be {"to": "2026-01-31T12:00:00Z"}, with the time to move the clock to`},
				"Empty":    {`{}`, "the sandbox's clock is at 2026-02-10T12:00:00Z already; it only moves ahead"},
				"Now":      {`{"to": "2026-02-10T12:00:00Z"}`, "the sandbox's clock is at 2026-02-10T12:00:00Z already; it only moves ahead"},
				"Back":     {`{"to": "2026-02-09T12:00:00Z"}`, "the sandbox's clock is at 2026-02-10T12:00:00Z already; it only moves ahead"},
				"FarAhead": {`{"to": "2031-02-10T12:00:01Z"}`, "the sandbox's clock is at 2026-02-10T12:00:00Z; move it by at most 5 years at once"},
			} {
				f.run(name, func() {
					f.unchanged(func() {
						status, body := f.post(test.body)
						equal(f, "answer", []any{status, body["error"]}, []any{400, test.want})
					})
				})
			}
		})
	})
	t.Run("OtherPage", func(t *testing.T) {
		each(t, func(f *fixture) {
			to := f.clock.Now().Add(time.Hour).Format(time.RFC3339)
			r := httptest.NewRequest(http.MethodPost, "/dev/stripe/advance", strings.NewReader(`{"to": "`+to+`"}`))
			r.Header.Set("Origin", "https://evil.example")
			w := httptest.NewRecorder()
			f.advance.ServeHTTP(w, r)
			if w.Code != http.StatusForbidden || f.ahead() != 0 {
				f.Errorf("got %d %s; the clock is %s ahead", w.Code, w.Body, f.ahead())
			}
		})
	})
}

// ahead is by how much the sandbox's clock is.
func (f *fixture) ahead() (ahead time.Duration) {
	f.Helper()
	err := f.db.InTx(f.Context(), func(tx *db.DB) (err error) {
		ahead, err = tx.LockSandbox(f.Context())
		return err
	})
	if err != nil {
		f.Fatal(err)
	}
	return ahead
}

func TestWebhooks(t *testing.T) {
	t.Parallel()
	t.Run("Event", func(t *testing.T) {
		each(t, func(f *fixture) {
			params := &stripe.CustomerCreateParams{Name: stripe.String("Acme")}
			params.SetIdempotencyKey("job_1/customer")
			c := must[*stripe.Customer](f)(f.client.V1Customers.Create(f.Context(), params))
			f.deliver()
			if len(f.events) != 1 {
				f.Fatalf("got %d", len(f.events))
			}
			e := f.events[0]
			equal(f, "event", []any{e.APIVersion, e.Created, e.Livemode, e.Request.ID, e.Request.IdempotencyKey, e.Data.Object["id"], e.Data.Object["name"]},
				[]any{stripe.APIVersion, start.Unix(), false, c.LastResponse.RequestID, "job_1/customer", c.ID, "Acme"})
		})
	})
	t.Run("Again", func(t *testing.T) {
		each(t, func(f *fixture) {
			f.hook = func() int { return http.StatusInternalServerError }
			f.customer("")
			id := strings.TrimSpace(f.read("SELECT id FROM jobs"))
			if err := f.queue.Do(f.Context(), id); err == nil || !strings.Contains(err.Error(), "500 Internal Server Error") {
				f.Errorf("got %v", err)
			}
			equal(f, "events", f.told(), []string{})
			f.deliver()
			equal(f, "events", f.told(), []string{"customer.created"})
		})
	})
	t.Run("RefusedNever", func(t *testing.T) {
		each(t, func(f *fixture) {
			c := f.customer("")
			f.deliver()
			f.told()
			_, err := f.client.V1Subscriptions.Create(f.Context(), f.subscribeParams(c.ID, compute))
			f.refused(err, 400, "resource_missing", "This customer has no attached payment source or default payment method. "+
				"Please consider adding a default payment method.")
			f.deliver()
			equal(f, "events", f.told(), []string{})
		})
	})
	t.Run("Advance", func(t *testing.T) {
		each(t, func(f *fixture) {
			c := f.customer("pm_card_visa")
			f.subscribe(c.ID, compute)
			f.deliver()
			f.told()
			f.hook = func() int { return http.StatusServiceUnavailable }
			equal(f, "billed", f.moveTo(start.Add(28*day)), 1)
			equal(f, "events that arrived", f.told(), []string{"invoice.finalized", "invoice.updated", "invoice.paid", "invoice.payment_succeeded", "customer.subscription.updated"})
			f.deliver()
			equal(f, "events that did not", f.told(), []string{"invoice.created"})
		})
	})
	t.Run("Nobody", func(t *testing.T) {
		each(t, func(f *fixture) {
			api := httptest.NewServer(stripesandbox.New(f.db, f.queue, "").API())
			f.Cleanup(api.Close)
			f.api = api
			if status, _, answer := f.raw("POST", "/v1/customers", "name=Acme"); status != 200 {
				f.Errorf("got %d %s", status, answer)
			}
			equal(f, "jobs", f.read("SELECT id FROM jobs"), "")
		})
	})
}
