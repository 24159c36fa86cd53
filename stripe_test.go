package main

// The server and Stripe: the life of an organization, with the sandbox as Stripe is, in another
// process. The server is killed at each step between its database and Stripe, and started again:
// afterwards both sides must agree, nobody may have paid twice, and nothing may be left over on either
// side. And what the server sends is held against Stripe's own description of its API.

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/tidwall/gjson"

	"studio/db"
	"studio/db/dbtest"
	"studio/job"
	"studio/mail"
	"studio/stripesandbox"
)

// moment is when the server is killed: before a request reaches Stripe, after it had its effect but
// before its answer is heard, or before the request that comes next, whichever that is.
type moment string

const (
	before moment = "before"
	after  moment = "after"
	next   moment = "next"
)

// stripe is the sandbox as Stripe is: somewhere else. It outlives the server.
type stripe struct {
	*testing.T
	db      *db.DB
	sandbox *stripesandbox.Sandbox
	// writes are the requests so far that change something; kills tells at which of them, and when,
	// kill is called, and killNext that it is at the next request. Nobody hears an answer then.
	mu       sync.Mutex
	writes   int
	kills    map[int]moment
	killNext bool
	kill     func()
	// trouble, if set, is what requests run into instead.
	trouble http.HandlerFunc
	// heard, if set, is told of each request.
	heard func(r *http.Request, body []byte)
}

func newStripe(t *testing.T, webhookURL string) (s *stripe, url string) {
	t.Helper()
	s = &stripe{T: t, db: dbtest.Open(t, dbtest.SQLite(t))}
	jobs := job.NewQueue(s.db, mail.ErrPermanent)
	s.sandbox = stripesandbox.New(s.db, jobs, webhookURL)
	api := s.sandbox.API()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if trouble := s.troubled(); trouble != nil {
			trouble(w, r)
			return
		}
		if s.heard != nil {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				t.Error(err)
			}
			s.heard(r, body)
			r.Body = io.NopCloser(bytes.NewReader(body))
		}
		switch s.moment(r) {
		case before:
			s.kill()
			panic(http.ErrAbortHandler)
		case after:
			api.ServeHTTP(httptest.NewRecorder(), r)
			s.kill()
			panic(http.ErrAbortHandler)
		}
		api.ServeHTTP(w, r)
	}))
	ctx, cancel := context.WithCancel(zerolog.Nop().WithContext(context.Background()))
	var running sync.WaitGroup
	running.Go(func() { jobs.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
		server.Close()
	})
	return s, server.URL
}

func (s *stripe) troubled() http.HandlerFunc {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.trouble
}

// setTrouble makes requests run into trouble, or none.
func (s *stripe) setTrouble(trouble http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trouble = trouble
}

// moment tells whether the server is killed at a request.
func (s *stripe) moment(r *http.Request) moment {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.killNext {
		s.killNext = false
		return before
	}
	if r.Method == http.MethodGet {
		return ""
	}
	s.writes++
	s.killNext = s.kills[s.writes] == next
	return s.kills[s.writes]
}

// objects are those of a kind, as Stripe shows them.
func (s *stripe) objects(kind string) []gjson.Result {
	s.Helper()
	rows, err := s.db.SandboxObjects(s.Context(), kind, "")
	if err != nil {
		s.Fatal(err)
	}
	var objects []gjson.Result
	for _, row := range rows {
		objects = append(objects, gjson.Parse(row.Body))
	}
	return objects
}

// customer is an organization whose server dies.
type customer struct {
	*testing.T
	stripe         *stripe
	db             *db.DB
	address        string
	settings       []string
	mu             sync.Mutex
	server         *server
	kills          int
	token          string
	organizationID string
}

func newCustomer(t *testing.T, create func(*testing.T) string) *customer {
	t.Helper()
	database := create(t)
	c := &customer{T: t, address: freeAddress(t), db: dbtest.Open(t, database)}
	var url string
	c.stripe, url = newStripe(t, "http://"+c.address+"/webhooks/stripe")
	c.stripe.kill = c.kill
	c.settings = []string{
		"STUDIO_DATABASE_URL=" + database, "STUDIO_STRIPE_API_URL=" + url,
		"STUDIO_STRIPE_SECRET_KEY=" + stripesandbox.SecretKey, "STUDIO_STRIPE_PUBLISHABLE_KEY=" + stripesandbox.PublishableKey,
		"STUDIO_STRIPE_WEBHOOK_SECRET=" + stripesandbox.WebhookSecret,
	}
	c.server = launchAt(t, c.address, c.settings...)
	c.server.ready()
	c.token, c.organizationID = c.server.signUp("owner")
	return c
}

// kill ends the server as a power failure would, and starts it again.
func (c *customer) kill() {
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = c.server.cmd.Process.Kill()
	<-c.server.ended
	c.server = launchAt(c.T, c.address, c.settings...)
	c.kills++
}

// ready tells whether the server, or the one after it, is there.
func (c *customer) ready() bool {
	response, err := http.Get("http://" + c.address + "/readyz")
	if err != nil {
		return false
	}
	_ = response.Body.Close()
	return response.StatusCode == http.StatusOK
}

// send sends an operation and returns its response, nothing when the server died meanwhile.
func (c *customer) send(query string, variables map[string]any) gjson.Result {
	c.Helper()
	body, err := json.Marshal(map[string]any{"query": query, "variables": variables})
	if err != nil {
		c.Fatal(err)
	}
	request, err := http.NewRequestWithContext(c.Context(), http.MethodPost, "http://"+c.address+"/graphql", strings.NewReader(string(body)))
	if err != nil {
		c.Fatal(err)
	}
	request.Header = http.Header{"Content-Type": {"application/json"}, "Authorization": {"Bearer " + c.token}}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return gjson.Result{}
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return gjson.Result{}
	}
	return gjson.ParseBytes(text)
}

// step is something an owner wants, how they ask for it, and how they see that they have it.
type step struct {
	name string
	ask  func(c *customer) gjson.Result
	have func(organization gjson.Result) bool
}

// do does a step as somebody does whose connection is lost now and then: they look whether they have
// what they wanted, and ask again when they do not.
func (c *customer) do(s step) {
	c.Helper()
	var answer gjson.Result
	for range 3 {
		answer = s.ask(c)
		if errors := answer.Get("errors"); errors.Exists() && !strings.Contains(errors.Raw, "UNAVAILABLE") {
			c.Fatalf("%s: %s", s.name, errors.Raw)
		}
		c.settle()
		if s.have(c.look()) {
			return
		}
	}
	c.Fatalf("%s: asked three times, and it did not come true; the last answer is %s", s.name, answer.Raw)
}

// look is what the owner sees of the organization; null when it is gone.
func (c *customer) look() gjson.Result {
	c.Helper()
	var answer gjson.Result
	for !answer.Get("data").Exists() { // as the server may die of a webhook's request too
		c.settle()
		answer = c.send(`query($org: ID!) { organization(id: $org) {
			instances { nodes { id name status computePlan { id } } }
			billing { status card { last4 } coupons { code } invoices(status: OPEN) { nodes { id } } }
		} }`, map[string]any{"org": c.organizationID})
		if answer.Get("errors").Exists() {
			c.Fatalf("the server answers %s", answer.Raw)
		}
	}
	return answer.Get("data.organization")
}

// settle waits until the server is back and all its work is done, and Stripe's.
func (c *customer) settle() {
	c.Helper()
	deadline := time.After(2 * time.Minute)
	for !c.ready() || c.count(c.db, "SELECT count(*) FROM jobs") > 0 || c.count(c.stripe.db, "SELECT count(*) FROM jobs") > 0 {
		select {
		case <-deadline:
			c.Fatal("there is work that is never done")
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (c *customer) count(in *db.DB, query string) (count int) {
	c.Helper()
	if err := in.Pool().QueryRowContext(c.Context(), query).Scan(&count); err != nil {
		c.Fatal(err)
	}
	return count
}

// mutation asks with the organization's ID as $org and, if named, an instance's ID as $instance.
func mutation(query, instance string) func(c *customer) gjson.Result {
	return func(c *customer) gjson.Result {
		variables := map[string]any{"org": c.organizationID}
		if instance != "" {
			variables["instance"] = c.look().Get(`instances.nodes.#(name=="` + instance + `").id`).String()
		}
		return c.send(query, variables)
	}
}

func setCard(paymentMethod, last4 string) step {
	return step{"set " + paymentMethod, mutation(`mutation($org: ID!) {
		setCard(input: { organizationId: $org, paymentMethodId: "`+paymentMethod+`" }) { billing { id } }
	}`, ""), func(o gjson.Result) bool { return o.Get("billing.card.last4").String() == last4 }}
}

func addCoupon(code string) step {
	return step{"add " + code, mutation(`mutation($org: ID!) {
		addCoupon(input: { organizationId: $org, code: "`+code+`" }) { coupon { id } }
	}`, ""), func(o gjson.Result) bool { return o.Get(`billing.coupons.#(code=="` + code + `")`).Exists() }}
}

func deleteInstance(name string) step {
	return step{"delete " + name, mutation(`mutation($instance: ID!) {
		deleteInstance(input: { instanceId: $instance, confirmName: "`+name+`" }) { deletedInstanceId }
	}`, name), func(o gjson.Result) bool { return !o.Get(`instances.nodes.#(name=="` + name + `")`).Exists() }}
}

// runs tells that an instance runs on a plan.
func runs(name, plan string) func(gjson.Result) bool {
	return func(o gjson.Result) bool {
		found := o.Get(`instances.nodes.#(name=="` + name + `")`)
		return found.Get("status").String() == "ACTIVE" && found.Get("computePlan.id").String() == plan
	}
}

// steps are the life of an organization, from its first card to its end.
var steps = []step{
	{"begin to enter a card", mutation(`mutation($org: ID!) {
		startCardSetup(input: { organizationId: $org }) { clientSecret publishableKey }
	}`, ""), func(gjson.Result) bool { return true }},
	setCard("pm_card_visa", "4242"),
	addCoupon("WELCOME50"),
	{"create", mutation(`mutation($org: ID!) { createInstance(input: {
		organizationId: $org, name: "one", region: "us-east-1", computePlanId: "cloud-2gb", storageGb: 10
	}) { instance { id } } }`, ""), runs("one", "cloud-2gb")},
	{"register", mutation(`mutation($org: ID!) { registerInstance(input: {
		organizationId: $org, name: "two", host: "db.example.com", port: 9925, ssl: true, computePlanId: "enterprise-2gb"
	}) { instance { id } } }`, ""), runs("two", "enterprise-2gb")},
	addCoupon("TENPERCENT"),
	{"resize", mutation(`mutation($instance: ID!) { resizeInstance(input: {
		instanceId: $instance, computePlanId: "cloud-4gb", storageGb: 100
	}) { instance { id } } }`, "one"), runs("one", "cloud-4gb")},
	deleteInstance("two"),
	setCard("pm_card_chargeCustomerFail", "0341"),
	{"let time pass", (*customer).advance, func(o gjson.Result) bool { return o.Get("billing.status").String() == "PAYMENT_OVERDUE" }},
	setCard("pm_card_mastercard", "4444"),
	{"pay", func(c *customer) gjson.Result {
		return c.send(`mutation($invoice: ID!) { payInvoice(input: { invoiceId: $invoice }) { invoice { id } } }`,
			map[string]any{"invoice": c.look().Get("billing.invoices.nodes.0.id").String()})
	}, func(o gjson.Result) bool { return o.Get("billing.status").String() == "OK" }},
	deleteInstance("one"),
	{"remove the card", mutation(`mutation($org: ID!) { removeCard(input: { organizationId: $org }) { billing { id } } }`, ""),
		func(o gjson.Result) bool { return o.Get("billing.card").Type == gjson.Null }},
	{"delete the organization", mutation(`mutation($org: ID!) {
		deleteOrganization(input: { organizationId: $org, confirmName: "owner's Organization" }) { deletedOrganizationId }
	}`, ""), func(o gjson.Result) bool { return o.Type == gjson.Null }},
}

// advance lets time pass at Stripe until the third bill, for which the credit does not suffice: 191.90
// for the license that was deleted, and 74.24 a month.
func (c *customer) advance() gjson.Result {
	c.Helper()
	body := fmt.Sprintf(`{"to": %q}`, time.Now().AddDate(0, 3, 1).Format(time.RFC3339))
	request := httptest.NewRequestWithContext(c.Context(), http.MethodPost, "http://localhost/dev/stripe/advance", strings.NewReader(body))
	request.RemoteAddr = "127.0.0.1:1"
	recorder := httptest.NewRecorder()
	c.stripe.sandbox.Advance().ServeHTTP(recorder, request)
	if recorder.Code != http.StatusOK {
		c.Fatalf("the sandbox answers %d %s", recorder.Code, recorder.Body)
	}
	return gjson.Result{}
}

// wantAgreement compares what the server has stored with what Stripe knows.
func (c *customer) wantAgreement() {
	c.Helper()
	live := map[string]int64{} // what is billed at a time, by instance
	for _, subscription := range c.stripe.objects("subscription") {
		if subscription.Get("status").String() == "canceled" {
			continue
		}
		instance := subscription.Get("metadata.instance_id").String()
		if _, twice := live[instance]; twice {
			c.Errorf("there are two subscriptions for %s", instance)
		}
		for _, item := range subscription.Get("items.data").Array() {
			live[instance] += item.Get("price.unit_amount").Int() * item.Get("quantity").Int()
		}
	}
	instances, err := c.db.InstancesOf(c.Context(), c.organizationID)
	if err != nil {
		c.Fatal(err)
	}
	for _, instance := range instances {
		if instance.Amount() != live[instance.ID] || instance.Status != db.InstanceActive {
			c.Errorf("%s is %s and costs %d; Stripe bills %d", instance.Name, instance.Status, instance.Amount(), live[instance.ID])
		}
		delete(live, instance.ID)
	}
	if len(live) > 0 {
		c.Errorf("there are subscriptions without an instance: %v", live)
	}

	charges := map[string]int64{}
	for _, charge := range c.stripe.objects("charge") {
		invoice := charge.Get("invoice").String()
		if _, twice := charges[invoice]; twice {
			c.Errorf("the invoice %s was paid twice", invoice)
		}
		charges[invoice] = charge.Get("amount").Int()
	}
	theirs := map[string]string{}
	for _, invoice := range c.stripe.objects("invoice") {
		id := invoice.Get("id").String()
		theirs[id] = strings.ToUpper(invoice.Get("status").String())
		if paid := invoice.Get("amount_paid").Int(); paid != charges[id] {
			c.Errorf("the invoice %s says %d, charged was %d", id, paid, charges[id])
		}
	}
	pages, err := c.db.InvoicesOfOrganizations(c.Context(), []string{c.organizationID}, "", db.Page{Limit: 100})
	if err != nil {
		c.Fatal(err)
	}
	ours, paid := map[string]string{}, 0
	for _, invoice := range pages[0].Nodes {
		ours[invoice.StripeID] = string(invoice.Status)
		if invoice.Status == db.InvoicePaid {
			paid++
		}
		if invoice.AmountPaid != charges[invoice.StripeID] {
			c.Errorf("the mirror of %s says %d, charged was %d", invoice.StripeID, invoice.AmountPaid, charges[invoice.StripeID])
		}
	}
	if !maps.Equal(ours, theirs) {
		c.Errorf("our invoices are %v, theirs %v", ours, theirs)
	}

	customers := c.stripe.objects("customer")
	account, err := c.db.BillingAccountOf(c.Context(), c.organizationID)
	if err != nil || len(customers) != 1 {
		c.Fatalf("our account: %v; their customers: %v", err, customers)
	}
	if account.CustomerID != customers[0].Get("id").String() || account.Credit != -customers[0].Get("balance").Int() {
		c.Errorf("our account is %+v, their customer %s", account, customers[0].Raw)
	}
	var cards, card string
	if account.PaymentMethodID != nil {
		card = *account.PaymentMethodID
	}
	for _, method := range c.stripe.objects("payment_method") {
		if method.Get("customer").Type != gjson.Null {
			cards += method.Get("id").String()
		}
	}
	if theirs := customers[0].Get("invoice_settings.default_payment_method").String(); card != theirs || card != cards {
		c.Errorf("our card is %q, their default %q, attached are %q", card, theirs, cards)
	}
	granted := map[string]int{}
	for _, transaction := range c.stripe.objects("customer_balance_transaction") {
		if code := transaction.Get("metadata.promotion_code_id").String(); code != "" {
			granted[code]++
		}
	}
	coupons, err := c.db.CouponsOfOrganizations(c.Context(), []string{c.organizationID})
	if err != nil {
		c.Fatal(err)
	}
	for _, coupon := range coupons[0] {
		if coupon.AmountOff != nil && granted[coupon.PromotionCodeID] != 1 {
			c.Errorf("the credit of %s was granted %d times", coupon.Code, granted[coupon.PromotionCodeID])
		}
		delete(granted, coupon.PromotionCodeID)
	}
	if len(granted) > 0 {
		c.Errorf("there is credit without a coupon: %v", granted)
	}

	for _, want := range []struct {
		kind  db.EventType
		count int
	}{
		{db.InvoiceCreated, len(ours)},
		{db.InvoiceWasPaid, paid},
		{db.CouponAdded, len(coupons[0])},
	} {
		if got := c.count(c.db, fmt.Sprintf("SELECT count(*) FROM events WHERE type = '%s'", want.kind)); got != want.count {
			c.Errorf("%d events tell %s, want %d", got, want.kind, want.count)
		}
	}
	if twice := c.count(c.db, `SELECT count(*) FROM (SELECT subject_id FROM events
		WHERE type IN ('INSTANCE_CREATED', 'INSTANCE_DELETED') GROUP BY type, subject_id HAVING count(*) > 1) AS repeated`); twice > 0 {
		c.Error("an event is told twice")
	}
}

// TestKill kills the server at each request of the life that changes something at Stripe, in four ways:
// at each moment, and again at the request with which the next server goes on. Of these 208 lives
// `make test` tries some.
func TestKill(t *testing.T) {
	t.Parallel()
	every := 17
	if os.Getenv("STUDIO_TEST_KILLS") == "all" {
		every = 1
	}
	life := 0
	for write := 1; write <= writesOfALife; write++ {
		for _, test := range []struct {
			name  string
			kills map[int]moment
		}{
			{"Before", map[int]moment{write: before}},
			{"After", map[int]moment{write: after}},
			{"Next", map[int]moment{write: next}},
			{"Twice", map[int]moment{write: after, write + 1: after}},
		} {
			for _, engine := range []string{"sqlite", "postgres"} {
				life++
				if life%every != 0 {
					continue
				}
				t.Run(fmt.Sprintf("%s%d/%s", test.name, write, engine), func(t *testing.T) {
					t.Parallel()
					c := newCustomer(t, map[string]func(*testing.T) string{"sqlite": dbtest.SQLite, "postgres": dbtest.Postgres}[engine])
					c.stripe.kills = test.kills
					for _, step := range steps {
						c.do(step)
						c.wantAgreement()
					}
					if c.kills == 0 {
						t.Error("the server was not killed")
					}
				})
			}
		}
	}
}

// writesOfALife is how many requests of a life change something at Stripe; see TestStripeMock.
const writesOfALife = 26

// TestStripeMock holds each request against Stripe's own description of its API, as stripe-mock has
// it: it knows every path and parameter, and refuses what Stripe would.
func TestStripeMock(t *testing.T) {
	t.Parallel()
	program := os.Getenv("STUDIO_TEST_STRIPE_MOCK")
	if program == "" {
		t.Fatal("STUDIO_TEST_STRIPE_MOCK is not set; run the tests with `make test`, which installs stripe-mock, or set it to that program")
	}
	address := freeAddress(t)
	mock := exec.Command(program, "-http-addr", address)
	var output output
	mock.Stdout, mock.Stderr = &output, &output
	if err := mock.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = mock.Process.Kill()
		_ = mock.Wait()
	})

	c := newCustomer(t, dbtest.SQLite)
	send := func(method, uri string, header http.Header, body []byte) (status int, text []byte, err error) {
		request, err := http.NewRequestWithContext(t.Context(), method, "http://"+address+uri, bytes.NewReader(body))
		if err != nil {
			return 0, nil, err
		}
		request.Header = header
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return 0, nil, err
		}
		defer func() { _ = response.Body.Close() }()
		text, err = io.ReadAll(response.Body)
		return response.StatusCode, text, err
	}
	key := http.Header{"Authorization": {"Bearer " + stripesandbox.SecretKey}}
	c.server.eventually("stripe-mock to listen", func() bool {
		_, _, err := send(http.MethodGet, "/v1/customers", key, nil)
		return err == nil
	})
	// It must refuse what is wrong, or its consent means nothing.
	if status, text, err := send(http.MethodPost, "/v1/customers", http.Header{
		"Authorization": key["Authorization"], "Content-Type": {"application/x-www-form-urlencoded"},
	}, []byte("nonsense=1")); err != nil || status != http.StatusBadRequest {
		t.Fatalf("stripe-mock takes nonsense: %d %s %v", status, text, err)
	}

	var mu sync.Mutex
	requests := map[string]int{}
	c.stripe.heard = func(r *http.Request, body []byte) {
		status, text, err := send(r.Method, r.URL.RequestURI(), r.Header.Clone(), body)
		if err != nil || status >= http.StatusBadRequest {
			t.Errorf("Stripe would refuse %s %s with %s: %d %s %v", r.Method, r.URL.RequestURI(), body, status, text, err)
		}
		mu.Lock()
		defer mu.Unlock()
		requests[r.Method+" "+strings.Split(r.URL.Path, "/")[2]]++
	}
	for _, step := range steps {
		c.do(step)
	}
	mu.Lock()
	defer mu.Unlock()
	t.Logf("held against Stripe's description: %v", requests)
	if c.stripe.writes != writesOfALife {
		t.Errorf("%d requests change something at Stripe, want %d", c.stripe.writes, writesOfALife)
	}
}
