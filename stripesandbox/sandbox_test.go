package stripesandbox_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stripe/stripe-go/v85"
	"github.com/stripe/stripe-go/v85/webhook"

	"studio/db"
	"studio/db/dbtest"
	"studio/job"
	"studio/stripesandbox"
)

var errPermanent = errors.New("it will never work")

// start is when tests begin: the last day of a long month.
var start = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)

// fixture is a sandbox with a client of Stripe's own library, and a receiver of webhooks.
type fixture struct {
	*testing.T
	clock   *dbtest.Clock
	db      *db.DB
	queue   *job.Queue
	api     *httptest.Server
	advance http.Handler
	client  *stripe.Client

	mu     sync.Mutex
	events []stripe.Event
	// hook, if set, is how the next webhook is answered.
	hook func() int
}

// each runs a test on every engine.
func each(t *testing.T, test func(f *fixture)) {
	t.Helper()
	dbtest.Each(t, func(t *testing.T, open func(...db.Option) *db.DB) {
		test(newFixture(t, open))
	})
}

// run runs a case that needs no database of its own.
func (f *fixture) run(name string, test func()) {
	f.Helper()
	outer := f.T
	defer func() { f.T = outer }()
	outer.Run(name, func(t *testing.T) {
		f.T = t
		test()
	})
}

func newFixture(t *testing.T, open func(...db.Option) *db.DB) *fixture {
	t.Helper()
	f := &fixture{T: t, clock: &dbtest.Clock{Start: start}}
	f.db = open(db.WithClock(f.clock.Now))
	receiver := httptest.NewServer(http.HandlerFunc(f.receive))
	t.Cleanup(receiver.Close)
	f.queue = job.NewQueue(f.db, errPermanent)
	sandbox := stripesandbox.New(f.db, f.queue, receiver.URL)
	f.advance = sandbox.Advance()
	f.api = httptest.NewServer(sandbox.API())
	t.Cleanup(f.api.Close)
	retries := int64(0)
	f.client = stripe.NewClient(stripesandbox.SecretKey, stripe.WithBackends(stripe.NewBackendsWithConfig(&stripe.BackendConfig{
		URL: &f.api.URL, MaxNetworkRetries: &retries, LeveledLogger: &stripe.LeveledLogger{},
	})))
	return f
}

func (f *fixture) receive(w http.ResponseWriter, r *http.Request) {
	payload, err := io.ReadAll(r.Body)
	if err != nil {
		f.Error(err)
	}
	e, err := webhook.ConstructEvent(payload, r.Header.Get("Stripe-Signature"), stripesandbox.WebhookSecret)
	if err != nil {
		f.Error(err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.hook != nil {
		status := f.hook()
		f.hook = nil
		w.WriteHeader(status)
		return
	}
	f.events = append(f.events, e)
}

// told takes the types of the events that were received, in order.
func (f *fixture) told() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	slices.SortFunc(f.events, func(a, b stripe.Event) int { return bytes.Compare([]byte(a.ID), []byte(b.ID)) })
	types := []string{}
	for _, e := range f.events {
		types = append(types, string(e.Type))
	}
	f.events = nil
	return types
}

// must ends the test on an error.
func must[T any](f *fixture) func(value T, err error) T {
	return func(value T, err error) T {
		f.Helper()
		if err != nil {
			f.Fatal(err)
		}
		return value
	}
}

// all reads a list to its end.
func all[T any](f *fixture, seq stripe.Seq2[T, error]) []T {
	f.Helper()
	var found []T
	for value, err := range seq {
		if err != nil {
			f.Fatal(err)
		}
		found = append(found, value)
	}
	return found
}

// refused checks that an error is Stripe's with the status and the code.
func (f *fixture) refused(err error, status int, code stripe.ErrorCode, message string) {
	f.Helper()
	refused, is := errors.AsType[*stripe.Error](err)
	if !is {
		f.Fatalf("got %v, want Stripe's error %d %s", err, status, code)
	}
	if refused.HTTPStatusCode != status || refused.Code != code || refused.Msg != message {
		f.Errorf("refused with %d %s %q, want %d %s %q", refused.HTTPStatusCode, refused.Code, refused.Msg, status, code, message)
	}
	if declined := code == "card_declined"; declined != (refused.Type == stripe.ErrorTypeCard) || declined != (refused.DeclineCode == stripe.DeclineCodeGenericDecline) {
		f.Errorf("refused as %s %s", refused.Type, refused.DeclineCode)
	}
}

// moveTo moves the sandbox's clock and returns how many invoices that made.
func (f *fixture) moveTo(to time.Time) int {
	f.Helper()
	status, body := f.post(fmt.Sprintf(`{"to": %q}`, to.Format(time.RFC3339Nano)))
	if status != http.StatusOK {
		f.Fatalf("advance to %s: %d %v", to, status, body)
	}
	return int(body["invoices"].(float64))
}

func (f *fixture) post(body string) (status int, answer map[string]any) {
	f.Helper()
	r := httptest.NewRequest(http.MethodPost, "http://localhost/dev/stripe/advance", bytes.NewReader([]byte(body)))
	r.RemoteAddr = "127.0.0.1:50000"
	w := httptest.NewRecorder()
	f.advance.ServeHTTP(w, r)
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
		f.Fatalf("%v in %s", err, w.Body)
	}
	return w.Code, answer
}

// customer makes a customer with a card, or without one if it is "".
func (f *fixture) customer(card string) *stripe.Customer {
	f.Helper()
	c := must[*stripe.Customer](f)(f.client.V1Customers.Create(f.Context(), &stripe.CustomerCreateParams{
		Email: stripe.String("owner@example.com"), Name: stripe.String("Acme"), Metadata: map[string]string{"organization_id": "org_1"},
	}))
	if card != "" {
		f.setCard(c.ID, card)
	}
	return c
}

// setCard makes a card the customer's default.
func (f *fixture) setCard(customer, card string) *stripe.PaymentMethod {
	f.Helper()
	p := must[*stripe.PaymentMethod](f)(f.client.V1PaymentMethods.Attach(f.Context(), card, &stripe.PaymentMethodAttachParams{Customer: &customer}))
	must[*stripe.Customer](f)(f.client.V1Customers.Update(f.Context(), customer, &stripe.CustomerUpdateParams{
		InvoiceSettings: &stripe.CustomerUpdateInvoiceSettingsParams{DefaultPaymentMethod: &p.ID},
	}))
	return p
}

func (f *fixture) product(id, name string) {
	f.Helper()
	_, err := f.client.V1Products.Create(f.Context(), &stripe.ProductCreateParams{ID: &id, Name: &name})
	if refused, is := errors.AsType[*stripe.Error](err); err != nil && (!is || refused.Code != stripe.ErrorCodeResourceAlreadyExists) {
		f.Fatal(err)
	}
}

// order describes an item of a subscription.
type order struct {
	product, interval string
	unit, quantity    int64
}

var (
	compute = order{"studio-2gb", "month", 1999, 1}
	storage = order{"studio-storage", "month", 25, 40}
	yearly  = order{"studio-installed", "year", 12000, 1}
)

func (f *fixture) subscribeParams(customer string, orders ...order) *stripe.SubscriptionCreateParams {
	f.Helper()
	params := &stripe.SubscriptionCreateParams{Customer: &customer, PaymentBehavior: stripe.String("error_if_incomplete"),
		Metadata: map[string]string{"instance_id": "inst_1"}}
	for _, o := range orders {
		f.product(o.product, "Product "+o.product)
		params.Items = append(params.Items, &stripe.SubscriptionCreateItemParams{Quantity: &o.quantity, PriceData: &stripe.SubscriptionCreateItemPriceDataParams{
			Currency: stripe.String("usd"), Product: &o.product, UnitAmount: &o.unit,
			Recurring: &stripe.SubscriptionCreateItemPriceDataRecurringParams{Interval: &o.interval},
		}})
	}
	return params
}

func (f *fixture) subscribe(customer string, orders ...order) *stripe.Subscription {
	f.Helper()
	return must[*stripe.Subscription](f)(f.client.V1Subscriptions.Create(f.Context(), f.subscribeParams(customer, orders...)))
}

// invoices are a customer's, newest first.
func (f *fixture) invoices(customer string) []*stripe.Invoice {
	f.Helper()
	return all(f, f.client.V1Invoices.List(f.Context(), &stripe.InvoiceListParams{Customer: &customer}).All(f.Context()))
}

// deliver does all jobs that wait.
func (f *fixture) deliver() {
	f.Helper()
	rows, err := f.db.Pool().QueryContext(f.Context(), "SELECT id FROM jobs WHERE failed_at IS NULL ORDER BY id")
	if err != nil {
		f.Fatal(err)
	}
	var ids []string
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			f.Fatal(err)
		}
		ids = append(ids, id)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		f.Fatal(err)
	}
	for _, id := range ids {
		if err := f.queue.Do(context.WithoutCancel(f.Context()), id); err != nil {
			f.Fatal(err)
		}
	}
}

// objects are all that the sandbox keeps, and the webhooks that wait.
func (f *fixture) objects() string {
	f.Helper()
	return f.read("SELECT id || ' ' || body FROM sandbox_objects ORDER BY id") + f.read("SELECT id FROM jobs ORDER BY id")
}

// read joins the texts that a query yields.
func (f *fixture) read(query string) string {
	f.Helper()
	rows, err := f.db.Pool().QueryContext(f.Context(), query)
	if err != nil {
		f.Fatal(err)
	}
	var found strings.Builder
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			f.Fatal(err)
		}
		found.WriteString(text + "\n")
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		f.Fatal(err)
	}
	return found.String()
}

// charges are the amounts that cards were charged, in order.
func (f *fixture) charges() []int64 {
	f.Helper()
	amounts := []int64{}
	for body := range strings.Lines(f.read("SELECT body FROM sandbox_objects WHERE kind = 'charge' ORDER BY id")) {
		var c struct{ Amount int64 }
		if err := json.Unmarshal([]byte(body), &c); err != nil {
			f.Fatal(err)
		}
		amounts = append(amounts, c.Amount)
	}
	return amounts
}

// unchanged checks that doing something changes nothing.
func (f *fixture) unchanged(do func()) {
	f.Helper()
	before := f.objects()
	do()
	if after := f.objects(); after != before {
		f.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
}

// equal compares what a test names.
func equal[T any](f *fixture, what string, got, want T) {
	f.Helper()
	if !reflect.DeepEqual(got, want) {
		f.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// raw sends a request as it is; the headers are pairs.
func (f *fixture) raw(method, path, body string, headers ...string) (status int, header http.Header, answer string) {
	f.Helper()
	r, err := http.NewRequestWithContext(f.Context(), method, f.api.URL+path, strings.NewReader(body))
	if err != nil {
		f.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+stripesandbox.SecretKey)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for pair := range slices.Chunk(headers, 2) {
		r.Header.Set(pair[0], pair[1])
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		f.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		f.Fatal(err)
	}
	return response.StatusCode, response.Header, string(text)
}

func TestRequests(t *testing.T) {
	cases := map[string]struct {
		method, path, body string
		headers            []string
		status             int
		want               string
	}{
		"NoKey": {method: "GET", path: "/v1/customers", headers: []string{"Authorization", ""}, status: 401,
			want: `{"error":{"type":"invalid_request_error","message":"Invalid API Key provided: give a test key (sk_test_...) as the bearer token."}}`},
		"LiveKey": {method: "GET", path: "/v1/customers", headers: []string{"Authorization", "Bearer sk_live_1"}, status: 401,
			want: `{"error":{"type":"invalid_request_error","message":"Invalid API Key provided: give a test key (sk_test_...) as the bearer token."}}`},
		"UnknownPath": {method: "GET", path: "/v1/refunds", status: 404,
			want: `{"error":{"type":"invalid_request_error","message":"Unrecognized request URL (GET: /v1/refunds)."}}`},
		"UnknownMethod": {method: "DELETE", path: "/v1/customers/cus_1", status: 404,
			want: `{"error":{"type":"invalid_request_error","message":"Unrecognized request URL (DELETE: /v1/customers/cus_1)."}}`},
		"UnknownObject": {method: "GET", path: "/v1/customers/cus_1", status: 404,
			want: `{"error":{"type":"invalid_request_error","code":"resource_missing","message":"No such customer: 'cus_1'","param":"id"}}`},
		"UnknownParameter": {method: "POST", path: "/v1/customers", body: "name=Acme&color=red", status: 400,
			want: `{"error":{"type":"invalid_request_error","code":"parameter_unknown","message":"Received unknown parameter: color","param":"color"}}`},
		"UnknownInside": {method: "POST", path: "/v1/subscriptions", body: "customer=cus_1&items[0][color]=red", status: 400,
			want: `{"error":{"type":"invalid_request_error","code":"parameter_unknown","message":"Received unknown parameter: items[0][color]","param":"items[0][color]"}}`},
		"WithoutIndex": {method: "POST", path: "/v1/subscriptions", body: "customer=cus_1&items[][quantity]=1", status: 400,
			want: `{"error":{"type":"invalid_request_error","code":"parameter_unknown","message":"Received unknown parameter: items[][quantity]","param":"items[][quantity]"}}`},
		"UnknownInQuery": {method: "GET", path: "/v1/invoices?color=red", status: 400,
			want: `{"error":{"type":"invalid_request_error","code":"parameter_unknown","message":"Received unknown parameter: color","param":"color"}}`},
		"MissingParameter": {method: "POST", path: "/v1/products", body: "id=p", status: 400,
			want: `{"error":{"type":"invalid_request_error","code":"parameter_missing","message":"Missing required param: name.","param":"name"}}`},
		"NoInteger": {method: "GET", path: "/v1/invoices?limit=ten", status: 400,
			want: `{"error":{"type":"invalid_request_error","code":"parameter_invalid_integer","message":"Invalid integer: ten","param":"limit"}}`},
		"NoBoolean": {method: "DELETE", path: "/v1/subscriptions/sub_1?prorate=maybe", status: 400,
			want: `{"error":{"type":"invalid_request_error","message":"Invalid boolean: maybe","param":"prorate"}}`},
		"NoDecimal": {method: "POST", path: "/v1/coupons", body: "percent_off=12.345", status: 400,
			want: `{"error":{"type":"invalid_request_error","message":"Invalid decimal: 12.345","param":"percent_off"}}`},
		"BadForm": {method: "POST", path: "/v1/customers", body: "name=%zz", status: 400,
			want: `{"error":{"type":"invalid_request_error","message":"Invalid request: invalid URL escape \"%zz\""}}`},
		"LimitTooHigh": {method: "GET", path: "/v1/invoices?limit=101", status: 400,
			want: `{"error":{"type":"invalid_request_error","code":"parameter_invalid_integer","message":"This value must be between 1 and 100.","param":"limit"}}`},
		"LimitTooLow": {method: "GET", path: "/v1/invoices?limit=0", status: 400,
			want: `{"error":{"type":"invalid_request_error","code":"parameter_invalid_integer","message":"This value must be between 1 and 100.","param":"limit"}}`},
		"UnknownStart": {method: "GET", path: "/v1/invoices?starting_after=in_1", status: 400,
			want: `{"error":{"type":"invalid_request_error","code":"resource_missing","message":"No such invoice: 'in_1'","param":"starting_after"}}`},
		"NotExpandable": {method: "POST", path: "/v1/customers", body: "name=Acme&expand[]=name", status: 400,
			want: `{"error":{"type":"invalid_request_error","message":"This property cannot be expanded (name).","param":"expand"}}`},
		"NothingToExpand": {method: "POST", path: "/v1/customers", body: "name=Acme&expand[0]=color", status: 400,
			want: `{"error":{"type":"invalid_request_error","message":"This property cannot be expanded (color).","param":"expand"}}`},
		"EmptyList": {method: "GET", path: "/v1/invoices", status: 200,
			want: `{"object":"list","data":[],"has_more":false,"url":"/v1/invoices"}`},
	}
	each(t, func(f *fixture) {
		for name, test := range cases {
			f.run(name, func() {
				f.unchanged(func() {
					status, header, got := f.raw(test.method, test.path, test.body, test.headers...)
					if status != test.status || got != test.want {
						f.Errorf("got %d %s\nwant %d %s", status, got, test.status, test.want)
					}
					if !strings.HasPrefix(header.Get("Request-Id"), "req_") || header.Get("Content-Type") != "application/json" {
						f.Errorf("the headers are %v", header)
					}
					if at := header.Get("Date"); test.status != 401 && !strings.HasPrefix(test.body, "name=%") && at != start.Format(http.TimeFormat) {
						f.Errorf("the time is %s", at)
					}
				})
			})
		}
	})
}

func TestIdempotency(t *testing.T) {
	t.Parallel()
	key := []string{"Idempotency-Key", "job_1/customer"}
	t.Run("Replay", func(t *testing.T) {
		each(t, func(f *fixture) {
			status, header, first := f.raw("POST", "/v1/customers", "name=Acme", key...)
			if status != 200 || header.Get("Idempotent-Replayed") != "" {
				f.Fatalf("got %d %v %s", status, header, first)
			}
			f.unchanged(func() {
				status, header, second := f.raw("POST", "/v1/customers", "name=Acme", key...)
				if status != 200 || header.Get("Idempotent-Replayed") != "true" || second != first {
					f.Errorf("got %d %v %s, want %s", status, header, second, first)
				}
			})
			if _, _, other := f.raw("POST", "/v1/customers", "name=Acme", "Idempotency-Key", "job_2/customer"); other == first {
				f.Error("another key has the same answer")
			}
		})
	})
	t.Run("OtherRequest", func(t *testing.T) {
		each(t, func(f *fixture) {
			f.raw("POST", "/v1/customers", "name=Acme", key...)
			f.unchanged(func() {
				for path, body := range map[string]string{"/v1/customers": "name=Other", "/v1/setup_intents": "name=Acme"} {
					status, _, got := f.raw("POST", path, body, key...)
					if status != 400 || !strings.Contains(got, `"type":"idempotency_error"`) {
						f.Errorf("%s: got %d %s", path, status, got)
					}
				}
			})
		})
	})
	t.Run("Refusal", func(t *testing.T) {
		each(t, func(f *fixture) {
			c := f.customer("pm_card_chargeCustomerFail")
			params := f.subscribeParams(c.ID, compute)
			params.SetIdempotencyKey("job_1/subscribe")
			_, err := f.client.V1Subscriptions.Create(f.Context(), params)
			f.refused(err, 402, "card_declined", "Your card was declined.")
			f.setCard(c.ID, "pm_card_visa")
			_, err = f.client.V1Subscriptions.Create(f.Context(), params)
			f.refused(err, 402, "card_declined", "Your card was declined.")
			params.SetIdempotencyKey("job_2/subscribe")
			must[*stripe.Subscription](f)(f.client.V1Subscriptions.Create(f.Context(), params))
			equal(f, "charges", f.charges(), []int64{1999})
		})
	})
	t.Run("Race", func(t *testing.T) {
		each(t, func(f *fixture) {
			c := f.customer("pm_card_visa")
			f.product(compute.product, "Compute")
			body := "customer=" + c.ID + "&items[0][price_data][currency]=usd&items[0][price_data][product]=" + compute.product +
				"&items[0][price_data][unit_amount]=1999&items[0][price_data][recurring][interval]=month"
			answers := make([]string, 4)
			var racing sync.WaitGroup
			for i := range answers {
				racing.Go(func() { _, _, answers[i] = f.raw("POST", "/v1/subscriptions", body, key...) })
			}
			racing.Wait()
			for _, answer := range answers {
				if answer != answers[0] || !strings.Contains(answer, `"object":"subscription"`) {
					f.Errorf("one got %s, another %s", answers[0], answer)
				}
			}
			equal(f, "charges", f.charges(), []int64{1999})
		})
	})
}

func TestPages(t *testing.T) {
	each(t, func(f *fixture) {
		var want []string
		for i := range 13 {
			c := must[*stripe.Customer](f)(f.client.V1Customers.Create(f.Context(), &stripe.CustomerCreateParams{Name: stripe.String(fmt.Sprint(i))}))
			want = append([]string{c.Name}, want...)
		}
		for _, limit := range []int64{1, 5, 10, 13, 100} {
			var got []string
			params := &stripe.CustomerListParams{}
			params.Limit = &limit
			for _, c := range all(f, f.client.V1Customers.List(f.Context(), params).All(f.Context())) {
				got = append(got, c.Name)
			}
			equal(f, fmt.Sprint("pages of ", limit), got, want)
		}
	})
}
