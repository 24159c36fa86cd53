package billing_test

// What the tests of billing share: organizations of a server whose Stripe is the sandbox, behind a
// wire that can be cut at each call, and whose webhooks and jobs come when a test says so.

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/stripe/stripe-go/v85"

	"studio/billing"
	"studio/db"
	"studio/db/dbtest"
	"studio/fault"
	"studio/job"
	"studio/mail"
	"studio/organization"
	"studio/stripesandbox"
)

const publicURL = "https://studio.example.com"

// noon is when tests begin: on the last day of a long month.
var noon = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)

// server has billing and Stripe.
type server struct {
	*testing.T
	ctx           context.Context
	open          func(...db.Option) *db.DB
	clock         *dbtest.Clock // Stripe's too
	db            *db.DB
	queue         *job.Queue
	bills         *billing.Billing
	organizations *organization.Organizations
	advancer      http.Handler
	stripe        *stripe.Client // as Stripe's dashboard: past the wire

	mu         sync.Mutex
	mails      []mail.Message
	calls      []string // that billing made, as "POST /v1/customers"
	cut        func(call int, before bool) bool
	canned     map[string]string // answers by call that are not the sandbox's
	received   []received
	losing     bool            // webhooks
	dropping   bool            // the connection, when the wire is cut, where otherwise the answer is an error
	stored     map[string]bool // idempotency keys that were answered so, which Stripe repeats
	statements []string
	watch      func(statement string)
}

// received is a webhook.
type received struct {
	kind, body, signature string
}

// each runs a test on every engine.
func each(t *testing.T, test func(s *server)) {
	t.Helper()
	dbtest.Each(t, func(t *testing.T, open func(...db.Option) *db.DB) { test(newServer(t, open)) })
}

func newServer(t *testing.T, open func(...db.Option) *db.DB) *server {
	t.Helper()
	s := &server{T: t, ctx: zerolog.Nop().WithContext(t.Context()), open: open, clock: &dbtest.Clock{Start: noon}, stored: map[string]bool{}}
	s.db = open(db.WithClock(s.clock.Now), db.WithStatementHook(s.count))
	s.queue = job.NewQueue(s.db, mail.ErrPermanent)

	webhooks := httptest.NewServer(http.HandlerFunc(s.receive))
	t.Cleanup(webhooks.Close)
	sandbox := stripesandbox.New(s.db, s.queue, webhooks.URL)
	s.advancer = sandbox.Advance()
	direct := httptest.NewServer(sandbox.API())
	t.Cleanup(direct.Close)
	s.stripe = stripe.NewClient(stripesandbox.SecretKey, stripe.WithBackends(stripe.NewBackendsWithConfig(&stripe.BackendConfig{
		URL: &direct.URL, MaxNetworkRetries: stripe.Int64(0), LeveledLogger: &stripe.LeveledLogger{},
	})))
	wire := httptest.NewServer(s.wire(sandbox.API()))
	t.Cleanup(wire.Close)

	s.bills = billing.New(s.db, s.queue, s, publicURL, billing.Settings{
		SecretKey: stripesandbox.SecretKey, PublishableKey: stripesandbox.PublishableKey, WebhookSecret: stripesandbox.WebhookSecret,
		APIURL: wire.URL,
	}, func(instance *db.Instance) []billing.Item {
		return items(instance.ComputeAmount, instance.StorageAmount)
	})
	s.organizations = organization.New(s.db, s.queue, s, publicURL, s.bills.Close)
	job.Handle(s.queue, "bill", job.Handler[billOrder]{Do: s.doBill})
	return s
}

// advance moves only Stripe's clock, as /dev/stripe/advance does.
func (s *server) advance(to time.Time) {
	s.Helper()
	r := httptest.NewRequest(http.MethodPost, "http://127.0.0.1/dev/stripe/advance", strings.NewReader(fmt.Sprintf(`{"to": %q}`, to.Format(time.RFC3339))))
	r.RemoteAddr = "127.0.0.1:1"
	w := httptest.NewRecorder()
	s.advancer.ServeHTTP(w, r.WithContext(s.ctx))
	if w.Code != http.StatusOK {
		s.Fatalf("advance: %d %s", w.Code, w.Body)
	}
}

func (s *server) count(query string) {
	s.mu.Lock()
	s.statements = append(s.statements, query)
	watch := s.watch
	s.mu.Unlock()
	if watch != nil {
		watch(query)
	}
}

// wire carries billing's calls to Stripe, unless cut cuts it: before Stripe hears of a call, or after
// the call has had its effect.
func (s *server) wire(api http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.calls = append(s.calls, r.Method+" "+r.URL.Path)
		number, cut, canned := len(s.calls), s.cut, s.canned[r.Method+" "+r.URL.Path]
		key := r.Header.Get("Idempotency-Key")
		stored, dropping := s.stored[key], s.dropping
		s.mu.Unlock()
		if r.Method == http.MethodPost && key == "" {
			s.Errorf("no idempotency key: %s", r.URL.Path)
		}
		broken := func() {
			if dropping {
				panic(http.ErrAbortHandler)
			}
			if r.Method == http.MethodPost {
				s.mu.Lock()
				s.stored[key] = true
				s.mu.Unlock()
			}
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = io.WriteString(w, `{"error": {"type": "api_error", "message": "the wire is cut"}}`)
		}
		if stored || cut != nil && cut(number, true) {
			broken()
			return
		}
		if cut != nil && cut(number, false) {
			api.ServeHTTP(httptest.NewRecorder(), r)
			broken()
			return
		}
		if canned != "" {
			_, _ = io.WriteString(w, canned)
			return
		}
		api.ServeHTTP(w, r)
	})
}

// can makes Stripe answer a call as the sandbox never would.
func (s *server) can(call, answer string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.canned = map[string]string{call: answer}
}

// down cuts the wire until up is called.
func (s *server) down() { s.cutting(func(int, bool) bool { return true }) }
func (s *server) up()   { s.cutting(nil) }

func (s *server) cutting(cut func(call int, before bool) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls, s.cut = nil, cut
}

// drop has the connection lost where the wire is cut, or not any more.
func (s *server) drop(dropping bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropping = dropping
}

// called takes the calls since the last time.
func (s *server) called() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	calls := s.calls
	s.calls = nil
	return calls
}

// Send keeps a mail.
func (s *server) Send(_ context.Context, m mail.Message) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mails = append(s.mails, m)
	return nil
}

// receive passes webhooks on to billing, unless they are being lost.
func (s *server) receive(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		s.Error(err)
	}
	var event struct{ Type string }
	if err := json.Unmarshal(body, &event); err != nil {
		s.Error(err)
	}
	s.mu.Lock()
	s.received = append(s.received, received{event.Type, string(body), r.Header.Get("Stripe-Signature")})
	losing := s.losing
	s.mu.Unlock()
	if !losing {
		r.Body = io.NopCloser(bytes.NewReader(body))
		s.bills.Webhook().ServeHTTP(w, r.WithContext(s.ctx))
	}
}

// lose lets webhooks get lost on the way, or not any more.
func (s *server) lose(losing bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.losing = losing
}

// hear posts a webhook to billing and returns the status.
func (s *server) hear(hook received) int {
	s.Helper()
	r := httptest.NewRequest(http.MethodPost, "/webhooks/stripe", strings.NewReader(hook.body))
	r.Header.Set("Stripe-Signature", hook.signature)
	w := httptest.NewRecorder()
	s.bills.Webhook().ServeHTTP(w, r.WithContext(s.ctx))
	return w.Code
}

// work does the jobs there are, webhooks included, and those that they leave, whenever they are due.
// It returns how many cannot be done.
func (s *server) work() int {
	s.Helper()
	for round := 0; ; round++ {
		ids := s.jobs()
		if len(ids) == 0 || round == 20 {
			return len(ids)
		}
		failed := 0
		for _, id := range ids {
			if err := s.queue.Do(s.ctx, id); err != nil {
				if _, refused := errors.AsType[*fault.Error](err); !refused {
					failed++
				}
			}
		}
		if failed == len(ids) && round > 1 {
			return failed
		}
	}
}

// jobs are those that are not done.
func (s *server) jobs() []string {
	s.Helper()
	rows, err := s.db.Pool().QueryContext(s.ctx, "SELECT id FROM jobs WHERE failed_at IS NULL AND leased_until IS NULL ORDER BY run_at, id")
	if err != nil {
		s.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	var ids []string
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			s.Fatal(err)
		}
		ids = append(ids, id)
	}
	return ids
}

// exec changes the tables behind everybody's back.
func (s *server) exec(statement string) {
	s.Helper()
	if _, err := s.db.Pool().ExecContext(s.ctx, statement); err != nil {
		s.Fatal(err)
	}
}

// group is an organization, with an owner.
type group struct {
	*server
	id, name string
	owner    *db.User
	seen     int64 // events
}

func (s *server) user(name string) *db.User {
	s.Helper()
	now := s.db.Now()
	user := &db.User{ID: db.NewID(db.UserPrefix), Email: strings.ToLower(name) + "@example.com", FirstName: name, LastName: "Owner",
		NameKey: strings.ToLower(name) + " owner", PasswordHash: "none", EmailVerifiedAt: &now, CreatedAt: now}
	if err := s.db.InsertUser(s.ctx, user); err != nil {
		s.Fatal(err)
	}
	return user
}

// group founds an organization.
func (s *server) group(name string) *group {
	s.Helper()
	owner := s.user(name)
	created, err := s.organizations.Create(s.ctx, owner, name+" Inc", strings.ToLower(name))
	if err != nil {
		s.Fatal(err)
	}
	return &group{server: s, id: created.ID, name: created.Name, owner: owner, seen: 1}
}

// join makes a user a member.
func (g *group) join(user *db.User, owner bool) {
	g.Helper()
	now := g.db.Now()
	err := g.db.InsertMembership(g.ctx, &db.Membership{ID: db.NewID(db.MembershipPrefix), OrganizationID: g.id, Email: user.Email,
		UserID: &user.ID, Status: db.Accepted, IsOwner: owner, AcceptedAt: &now})
	if err != nil {
		g.Fatal(err)
	}
}

// carded is an organization with a card, all of whose webhooks have come.
func (s *server) carded(name string) *group {
	s.Helper()
	g := s.group(name)
	g.setCard("pm_card_visa")
	g.work()
	g.told()
	return g
}

func (g *group) setCard(method string) {
	g.Helper()
	if _, err := g.bills.SetCard(g.ctx, g.owner, g.id, method); err != nil {
		g.Fatal(err)
	}
}

func (g *group) account() *db.BillingAccount {
	g.Helper()
	account, err := g.db.BillingAccountOf(g.ctx, g.id)
	if err != nil {
		g.Fatal(err)
	}
	return account
}

// told takes the events since the last time: type, actor's first name or nobody, summary.
func (g *group) told() []string {
	g.Helper()
	events, err := g.db.EventsAfter(g.ctx, g.id, g.seen, 1000)
	if err != nil {
		g.Fatal(err)
	}
	told := []string{}
	for _, e := range events {
		g.seen = e.Seq
		actor := "nobody"
		if e.ActorID != nil {
			actor = "owner"
		}
		told = append(told, string(e.Type)+" "+actor+": "+g.numberless(e.Summary))
	}
	return told
}

// numberless leaves the customer's part of invoice numbers out.
func (g *group) numberless(text string) string {
	words := strings.Split(text, " ")
	for i, word := range words {
		if prefix, number, is := strings.Cut(word, "-"); is && len(prefix) == 8 && len(number) == 4 {
			words[i] = "#" + number
		}
	}
	return strings.Join(words, " ")
}

// wantTold compares the events since the last time.
func (g *group) wantTold(want ...string) {
	g.Helper()
	equal(g.server, "told", g.told(), append([]string{}, want...))
}

// instance adds a row, CREATING.
func (g *group) instance(name string, interval db.Interval, compute, storage int64) *db.Instance {
	g.Helper()
	instance := &db.Instance{ID: db.NewID(db.InstancePrefix), OrganizationID: g.id, Name: name, Type: db.UserInstalled,
		Status: db.InstanceCreating, URL: "https://" + name + ".example.com", ComputePlanID: "enterprise-2gb", Interval: interval,
		ComputeAmount: compute, StorageAmount: storage, CreatedAt: g.db.Now()}
	if interval == db.Month {
		region, size := "us-east-1", int(10+storage/25)
		instance.Type, instance.ComputePlanID, instance.RegionID, instance.StorageGB = db.Cloud, "cloud-2gb", &region, &size
	}
	if err := g.db.InsertInstance(g.ctx, instance); err != nil {
		g.Fatal(err)
	}
	return instance
}

// items are what an instance's amounts come from.
func items(compute, storage int64) []billing.Item {
	var items []billing.Item
	if compute > 0 {
		items = append(items, billing.Item{ProductID: fmt.Sprintf("studio-compute-%d", compute), Name: "Compute", UnitAmount: compute, Quantity: 1})
	}
	if storage > 0 {
		items = append(items, billing.Item{ProductID: "studio-storage", Name: "Storage", UnitAmount: 25, Quantity: storage / 25})
	}
	return items
}

type billOrder struct {
	InstanceID, ActorID string
	Items               []billing.Item
	Gone                bool
}

// bill orders the items for an instance, and deletes it when there are none and gone is said.
func (g *group) bill(instance *db.Instance, items []billing.Item) error {
	g.Helper()
	return g.queue.Do(g.ctx, g.order(instance, items, false))
}

// order enqueues what bill does.
func (g *group) order(instance *db.Instance, items []billing.Item, gone bool) (jobID string) {
	g.Helper()
	err := g.db.InTx(g.ctx, func(tx *db.DB) (err error) {
		jobID, err = g.queue.Enqueue(g.ctx, tx, "bill", billOrder{instance.ID, g.owner.ID, items, gone}, job.InLane(g.id), job.Foreground())
		return err
	})
	if err != nil {
		g.Fatal(err)
	}
	return jobID
}

func (s *server) doBill(ctx context.Context, jobID string, o billOrder) error {
	actor, err := s.db.UserByID(ctx, o.ActorID)
	if err != nil {
		return err
	}
	instance, err := s.db.InstanceByID(ctx, o.InstanceID)
	if errors.Is(err, db.ErrNotFound) {
		return nil // deleted by an earlier attempt
	}
	if err != nil {
		return err
	}
	order := billing.Order{Instance: instance, Items: o.Items}
	return s.bills.Bill(ctx, jobID, actor, order, func(tx *db.DB) error {
		if o.Gone {
			return tx.DeleteInstance(ctx, instance.ID)
		}
		instance, err := tx.InstanceByID(ctx, o.InstanceID)
		if err != nil {
			return err
		}
		instance.Status = db.InstanceActive
		instance.ComputeAmount, instance.StorageAmount = 0, 0
		for _, item := range o.Items {
			if item.ProductID == "studio-storage" {
				instance.StorageAmount = item.UnitAmount * item.Quantity
			} else {
				instance.ComputeAmount = item.UnitAmount
			}
		}
		return tx.UpdateInstance(ctx, instance)
	})
}

// paid is an instance that is paid for.
func (g *group) paid(name string, interval db.Interval, compute, storage int64) *db.Instance {
	g.Helper()
	instance := g.instance(name, interval, compute, storage)
	if err := g.bill(instance, items(compute, storage)); err != nil {
		g.Fatal(err)
	}
	return g.again(instance)
}

// again reads an instance.
func (g *group) again(instance *db.Instance) *db.Instance {
	g.Helper()
	instance, err := g.db.InstanceByID(g.ctx, instance.ID)
	if err != nil {
		g.Fatal(err)
	}
	return instance
}

// invoices are the mirrored ones, oldest first.
func (g *group) invoices() []*db.Invoice {
	g.Helper()
	pages, err := g.db.InvoicesOfOrganizations(g.ctx, []string{g.id}, "", db.Page{Limit: 100})
	if err != nil {
		g.Fatal(err)
	}
	slices.SortStableFunc(pages[0].Nodes, func(a, b *db.Invoice) int { return strings.Compare(*a.Number, *b.Number) })
	return pages[0].Nodes
}

// live are the subscriptions at Stripe that are not over.
func (g *group) live() []*stripe.Subscription {
	g.Helper()
	return all(g.server, g.stripe.V1Subscriptions.List(g.ctx, &stripe.SubscriptionListParams{Customer: &g.account().CustomerID}).All(g.ctx))
}

// charged is what the card was charged at Stripe, in cents, each charge by itself.
func (g *group) charged() []int64 {
	g.Helper()
	rows, err := g.db.SandboxObjects(g.ctx, "charge", g.account().CustomerID)
	if err != nil {
		g.Fatal(err)
	}
	charged := []int64{}
	for _, row := range rows {
		var charge struct{ Amount int64 }
		if err := json.Unmarshal([]byte(row.Body), &charge); err != nil {
			g.Fatal(err)
		}
		charged = append(charged, charge.Amount)
	}
	return charged
}

// agree checks that the mirror shows what Stripe has.
func (g *group) agree() {
	g.Helper()
	account := g.account()
	for _, customer := range all(g.server, g.stripe.V1Customers.List(g.ctx, nil).All(g.ctx)) {
		// One that was made under an error has no name, and is never used.
		if customer.Metadata["organization_id"] == g.id && customer.ID != account.CustomerID && customer.Name != "" {
			g.Errorf("another customer is %s", customer.ID)
		}
	}
	customer := must(g.stripe.V1Customers.Retrieve(g.ctx, account.CustomerID, nil))(g.server)
	equal(g.server, "credit", account.Credit, max(0, -customer.Balance))
	var chosen *string
	if customer.InvoiceSettings.DefaultPaymentMethod != nil {
		chosen = &customer.InvoiceSettings.DefaultPaymentMethod.ID
	}
	equal(g.server, "card", account.PaymentMethodID, chosen)
	attached := all(g.server, g.stripe.V1Customers.ListPaymentMethods(g.ctx, &stripe.CustomerListPaymentMethodsParams{Customer: &account.CustomerID}).All(g.ctx))
	if (chosen != nil) != (len(attached) == 1) || len(attached) > 1 {
		g.Errorf("%d cards are attached", len(attached))
	}
	subscriptions := map[string]string{}
	for _, subscription := range g.live() {
		id := subscription.Metadata["instance_id"]
		if subscriptions[id] != "" {
			g.Errorf("%s has two subscriptions", id)
		}
		subscriptions[id] = subscription.ID
	}
	instances := must(g.db.InstancesOf(g.ctx, g.id))(g.server)
	for _, instance := range instances {
		mirrored := ""
		if instance.SubscriptionID != nil {
			mirrored = *instance.SubscriptionID
		}
		equal(g.server, instance.Name+"'s subscription", mirrored, subscriptions[instance.ID])
		delete(subscriptions, instance.ID)
	}
	equal(g.server, "subscriptions of no instance", subscriptions, map[string]string{})
	statuses, mirrored := map[string]string{}, map[string]string{}
	for _, invoice := range all(g.server, g.stripe.V1Invoices.List(g.ctx, &stripe.InvoiceListParams{Customer: &account.CustomerID}).All(g.ctx)) {
		statuses[invoice.ID] = strings.ToUpper(string(invoice.Status))
	}
	for _, invoice := range g.invoices() {
		mirrored[invoice.StripeID] = string(invoice.Status)
		if invoice.Subtotal-invoice.Discount+invoice.Tax != invoice.Total || invoice.Total >= 0 && invoice.AmountPaid+invoice.AmountDue != invoice.Total {
			g.Errorf("the amounts of an invoice do not add up: %+v", invoice)
		}
	}
	equal(g.server, "invoices", mirrored, statuses)
}

// metrics are the counters that are not zero, by name and label.
func (s *server) metrics() map[string]float64 {
	s.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(s.bills.Collectors()...)
	values := map[string]float64{}
	for _, family := range must(registry.Gather())(s) {
		for _, metric := range family.Metric {
			name := family.GetName()
			for _, label := range metric.Label {
				name += " " + label.GetValue()
			}
			if value := metric.Counter.GetValue(); value != 0 {
				values[name] = value
			}
		}
	}
	return values
}

// refused checks that an error is a fault.
func (s *server) refused(err error, code fault.Code, field string) {
	s.Helper()
	refused, is := errors.AsType[*fault.Error](err)
	if !is || refused.Code != code || refused.Field != field || refused.Message == "" {
		s.Errorf("got %#v (%v), want %s on %q", err, err, code, field)
	}
}

// equal compares by JSON, which shows what pointers point to.
func equal(s *server, what string, got, want any) {
	s.Helper()
	gotText, err := json.MarshalIndent(got, "", "  ")
	wantText, otherErr := json.MarshalIndent(want, "", "  ")
	if err != nil || otherErr != nil {
		s.Fatal(err, otherErr)
	}
	if !bytes.Equal(gotText, wantText) {
		s.Errorf("%s: got %s, want %s", what, gotText, wantText)
	}
}

// must ends the test on an error.
func must[T any](value T, err error) func(s *server) T {
	return func(s *server) T {
		s.Helper()
		if err != nil {
			s.Fatal(err)
		}
		return value
	}
}

// all reads a list of Stripe's.
func all[T any](s *server, list stripe.Seq2[T, error]) []T {
	s.Helper()
	var found []T
	for value, err := range list {
		if err != nil {
			s.Fatal(err)
		}
		found = append(found, value)
	}
	return found
}
