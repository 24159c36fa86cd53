package instance_test

// The studio under test: a database, a clock and a provisioner that tests hold in their hands, and
// the real billing against the Stripe sandbox. No queue runs: tests do the jobs themselves, one by
// one, so that nothing happens behind their backs.

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/tidwall/gjson"

	"studio/billing"
	"studio/db"
	"studio/db/dbtest"
	"studio/fault"
	"studio/instance"
	"studio/job"
	"studio/mail"
	"studio/organization"
	"studio/stripesandbox"
)

var errOnPurpose = errors.New("on purpose")

// studio is one process.
type studio struct {
	*testing.T
	*world
	db            *db.DB
	jobs          *job.Queue
	bills         *billing.Billing
	organizations *organization.Organizations
	instances     *instance.Instances
}

// world is what several processes share, besides the database.
type world struct {
	open        func(...db.Option) *db.DB
	clock       *dbtest.Clock
	stripe      *stripe
	provisioner *provisioner
	people      atomic.Int64
}

// on runs a test on every engine.
func on(t *testing.T, test func(s *studio)) {
	t.Helper()
	dbtest.Each(t, func(t *testing.T, open func(...db.Option) *db.DB) {
		clock := &dbtest.Clock{}
		w := &world{open: open, clock: clock, stripe: newStripe(t, open(db.WithClock(clock.Now))), provisioner: &provisioner{}}
		test(w.process(t))
	})
}

// process starts another process on the same database.
func (w *world) process(t *testing.T) *studio {
	t.Helper()
	s := &studio{T: t, world: w, db: w.open(db.WithClock(w.clock.Now))}
	s.jobs = job.NewQueue(s.db, mail.ErrPermanent)
	s.bills = billing.New(s.db, s.jobs, mail.NewMailbox(w.clock.Now), "http://studio.example.com", billing.Settings{
		SecretKey: stripesandbox.SecretKey, PublishableKey: stripesandbox.PublishableKey,
		WebhookSecret: stripesandbox.WebhookSecret, APIURL: w.stripe.url,
	}, instance.Items)
	s.organizations = organization.New(s.db, s.jobs, mail.NewMailbox(w.clock.Now), "http://studio.example.com", s.bills.Close)
	s.instances = instance.New(s.db, s.jobs, s.bills, w.provisioner)
	return s
}

// ok ends the test when something failed that it only prepares with.
func (s *studio) ok(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// user adds an account.
func (s *studio) user() *db.User {
	s.Helper()
	user := &db.User{ID: db.NewID(db.UserPrefix), FirstName: "Olive", LastName: "Owner", CreatedAt: s.db.Now()}
	user.Email = user.ID + "@example.com"
	s.ok(s.db.InsertUser(s.Context(), user))
	return user
}

// found adds an organization.
func (s *studio) found(founder *db.User) *db.Organization {
	s.Helper()
	founded, err := s.organizations.Create(s.Context(), founder, "Example", fmt.Sprintf("example%d", s.people.Add(1)))
	s.ok(err)
	return founded
}

// owner adds an account with an organization.
func (s *studio) owner() (*db.User, *db.Organization) {
	s.Helper()
	user := s.user()
	return user, s.found(user)
}

// paying is owner, with a card.
func (s *studio) paying() (*db.User, *db.Organization) {
	s.Helper()
	user, founded := s.owner()
	s.card(user, founded, "pm_card_visa")
	return user, founded
}

// card makes a payment method of Stripe's the card.
func (s *studio) card(owner *db.User, of *db.Organization, paymentMethod string) {
	s.Helper()
	_, err := s.bills.SetCard(s.Context(), owner, of.ID, paymentMethod)
	s.ok(err)
}

// member adds an account that belongs to an organization and does not own it.
func (s *studio) member(of *db.Organization) *db.User {
	s.Helper()
	user, now := s.user(), s.db.Now()
	s.ok(s.db.InsertMembership(s.Context(), &db.Membership{
		ID: db.NewID(db.MembershipPrefix), OrganizationID: of.ID, Email: user.Email, UserID: &user.ID, Status: db.Accepted, AcceptedAt: &now,
	}))
	return user
}

// The instances that most tests begin with.
var (
	free      = instance.Cloud{Name: "demo", Region: "eu-west-1", ComputePlanID: "cloud-1gb", StorageGB: 10}
	costly    = instance.Cloud{Name: "demo", Region: "eu-west-1", ComputePlanID: "cloud-2gb", StorageGB: 100}
	installed = instance.Installed{Name: "mine", Host: "db.example.com", Port: 9925, TLS: true, ComputePlanID: "enterprise-1gb"}
)

// running creates a cloud instance and has it set up.
func (s *studio) running(owner *db.User, in *db.Organization, wanted instance.Cloud) *db.Instance {
	s.Helper()
	created, err := s.instances.Create(s.Context(), owner, in.ID, wanted)
	s.ok(err)
	s.settle(created.ID)
	return s.instance(created.ID)
}

// instance reads one that must be there.
func (s *studio) instance(id string) *db.Instance {
	s.Helper()
	found, err := s.db.InstanceByID(s.Context(), id)
	s.ok(err)
	return found
}

// turn does the job whose turn it is with an instance, as in the background.
func (s *studio) turn(id string) error {
	s.Helper()
	jobID := s.instance(id).JobID
	if jobID == nil {
		s.Fatal("nothing is to be done with the instance")
	}
	return s.jobs.Do(s.Context(), *jobID)
}

// settle does all that is to be done with an instance.
func (s *studio) settle(id string) {
	s.Helper()
	for {
		found, err := s.db.InstanceByID(s.Context(), id)
		if errors.Is(err, db.ErrNotFound) || err == nil && found.JobID == nil {
			return
		}
		s.ok(err)
		s.ok(s.jobs.Do(s.Context(), *found.JobID))
	}
}

// lastAttempt lets the job whose turn it is with an instance fail until it is given up.
func (s *studio) lastAttempt(id string) {
	s.Helper()
	_, err := s.db.Pool().ExecContext(s.Context(), "UPDATE jobs SET attempts = 1000")
	s.ok(err)
	if err := s.turn(id); err == nil {
		s.Error("the job is done")
	}
}

// deletableOnceGivenUp lets the job of a free instance be given up, after which its owner can delete it.
func (s *studio) deletableOnceGivenUp(owner *db.User, id string) {
	s.Helper()
	s.lastAttempt(id)
	s.wantInstance(id, "demo FAILED cloud-1gb 10 GB 0+0 MONTH free")
	s.provisioner.will(nil)
	s.ok(s.instances.Delete(s.Context(), owner, id, "demo"))
	s.settle(id)
	s.wantInstance(id, "gone")
}

// overdue makes it that an invoice could not be collected.
func (s *studio) overdue(of *db.Organization) {
	s.Helper()
	account, err := s.db.BillingAccountOf(s.Context(), of.ID)
	s.ok(err)
	account.Overdue = true
	s.ok(s.db.UpdateBillingAccount(s.Context(), account))
}

// copyJob keeps a copy of the job whose turn it is with an instance, and returns how to do it again: as
// it is when a process ends after the work and before it has removed the job.
func (s *studio) copyJob(id string) (again func(process *studio)) {
	s.Helper()
	copied := db.Job{ID: *s.instance(id).JobID, Lane: new(string), RunAt: s.db.Now(), CreatedAt: s.db.Now()}
	s.ok(s.db.Pool().QueryRowContext(s.Context(), "SELECT kind, payload, lane FROM jobs WHERE id = '"+copied.ID+"'").
		Scan(&copied.Kind, &copied.Payload, copied.Lane))
	return func(process *studio) {
		s.Helper()
		s.ok(s.db.InsertJob(s.Context(), &copied))
		s.ok(process.jobs.Do(s.Context(), copied.ID))
	}
}

// wantInstance compares what is there of an instance, "gone" when nothing is.
func (s *studio) wantInstance(id, want string) {
	s.Helper()
	found, err := s.db.InstanceByID(s.Context(), id)
	got := "gone"
	if !errors.Is(err, db.ErrNotFound) {
		s.ok(err)
		got = describe(found)
	}
	if got != want {
		s.Errorf("the instance is %s, want %s", got, want)
	}
}

// wantBilled compares how many of Stripe's subscriptions go on, and how many invoices there were.
func (s *studio) wantBilled(of *db.Organization, subscriptions, invoices int) {
	s.Helper()
	account, err := s.db.BillingAccountOf(s.Context(), of.ID)
	s.ok(err)
	objects, err := s.db.SandboxObjects(s.Context(), "subscription", account.CustomerID)
	s.ok(err)
	active := 0
	for _, object := range objects {
		if gjson.Get(object.Body, "status").String() == "active" {
			active++
		}
	}
	objects, err = s.db.SandboxObjects(s.Context(), "invoice", account.CustomerID)
	s.ok(err)
	if active != subscriptions || len(objects) != invoices {
		s.Errorf("Stripe has %d subscriptions and %d invoices, want %d and %d", active, len(objects), subscriptions, invoices)
	}
}

// describe is an instance in a line: "demo ACTIVE cloud-1gb 10 GB 0+0 MONTH", and whether it is
// billed and whether it is somebody's free one.
func describe(i *db.Instance) string {
	line := fmt.Sprintf("%s %s %s", i.Name, i.Status, i.ComputePlanID)
	if i.StorageGB != nil {
		line += fmt.Sprintf(" %d GB", *i.StorageGB)
	}
	line += fmt.Sprintf(" %d+%d %s", i.ComputeAmount, i.StorageAmount, i.Interval)
	if i.SubscriptionID != nil {
		line += " billed"
	}
	if i.FreeForUserID != nil {
		line += " free"
	}
	return line
}

// log is an organization's log but for its first entry: the types, and with a hyphen before those
// of which the system is the actor.
func (s *studio) log(of *db.Organization) (entries []string) {
	s.Helper()
	events, err := s.db.EventsAfter(s.Context(), of.ID, 1, 1_000)
	s.ok(err)
	for _, e := range events {
		who := ""
		if e.ActorID == nil {
			who = "- "
		}
		entries = append(entries, fmt.Sprintf("%s%s %s", who, e.Type, e.Summary))
	}
	return entries
}

// wantLog compares those entries of the log that tell of instances and of failed payments.
func (s *studio) wantLog(of *db.Organization, want ...string) {
	s.Helper()
	got := slices.DeleteFunc(s.log(of), func(entry string) bool {
		return !strings.Contains(entry, "INSTANCE_") && !strings.Contains(entry, "PAYMENT_FAILED")
	})
	if !slices.Equal(got, want) {
		s.Errorf("the log is\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// wantFault checks an error.
func (s *studio) wantFault(err error, code fault.Code, field string) {
	s.Helper()
	if found, is := errors.AsType[*fault.Error](err); !is || found.Code != code || found.Field != field {
		s.Errorf("got the error %v (%#v), want %s on %q", err, found, code, field)
	}
}

// refuses checks an error, and that the attempt has changed nothing in the organization.
func (s *studio) refuses(in *db.Organization, code fault.Code, field string, attempt func() error) {
	s.Helper()
	before := s.state(in)
	s.wantFault(attempt(), code, field)
	if after := s.state(in); after != before {
		s.Errorf("after %s there is\n%s\nbefore there was\n%s", code, after, before)
	}
}

// state is everything that a change of an instance can leave behind.
func (s *studio) state(of *db.Organization) string {
	s.Helper()
	instances, err := s.db.InstancesOf(s.Context(), of.ID)
	s.ok(err)
	lines := s.log(of)
	for _, i := range instances {
		lines = append(lines, describe(i))
	}
	var jobs int
	s.ok(s.db.Pool().QueryRowContext(s.Context(), "SELECT count(*) FROM jobs WHERE kind LIKE '% instance'").Scan(&jobs))
	return strings.Join(append(lines, fmt.Sprintf("%d jobs", jobs)), "\n")
}

// race makes attempts at the same time and returns what came of each.
func race(attempts ...func() error) []error {
	results := make([]error, len(attempts))
	start := make(chan struct{})
	var racers sync.WaitGroup
	for n, attempt := range attempts {
		racers.Go(func() {
			<-start
			results[n] = attempt()
		})
	}
	close(start)
	racers.Wait()
	return results
}

// wantOneWinner checks that one attempt succeeded and the others were refused with one of the codes.
func (s *studio) wantOneWinner(results []error, codes ...fault.Code) {
	s.Helper()
	winners := 0
	for _, err := range results {
		if err == nil {
			winners++
			continue
		}
		if refused, is := errors.AsType[*fault.Error](err); !is || !slices.Contains(codes, refused.Code) {
			s.Errorf("got the error %#v, want one of %s", err, codes)
		}
	}
	if winners != 1 {
		s.Errorf("%d have won", winners)
	}
}

// stripe is the sandbox, which can be made to fail.
type stripe struct {
	url  string
	left atomic.Int64 // calls that are still answered
}

func newStripe(t *testing.T, database *db.DB) *stripe {
	t.Helper()
	s := &stripe{}
	s.works()
	api := stripesandbox.New(database, job.NewQueue(database, mail.ErrPermanent), "").API()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		left := s.left.Add(-1)
		if left >= 0 {
			api.ServeHTTP(w, r)
			return
		}
		if left == -1 {
			api.ServeHTTP(httptest.NewRecorder(), r)
		}
		w.Header().Set("Stripe-Should-Retry", "false")
		http.Error(w, `{"error":{"type":"api_error","message":"on purpose"}}`, http.StatusServiceUnavailable)
	}))
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

// answers makes Stripe answer that many calls more. The next one is done, and nobody is told; those
// that follow are not done.
func (s *stripe) answers(calls int64) { s.left.Store(calls) }

// works makes Stripe answer.
func (s *stripe) works() { s.left.Store(math.MaxInt64) }

// provisioner notes what it is asked for, and does with it what the test wants.
type provisioner struct {
	mu    sync.Mutex
	calls []string
	// meanwhile, if set, is what goes on while the provisioner is at work; its error is the work's.
	meanwhile func() error
}

func (p *provisioner) Apply(_ context.Context, i *db.Instance) error {
	return p.note("apply " + i.Name + " " + i.ComputePlanID)
}

func (p *provisioner) Remove(_ context.Context, i *db.Instance) error {
	return p.note("remove " + i.Name)
}

func (p *provisioner) note(call string) error {
	p.mu.Lock()
	p.calls = append(p.calls, call)
	meanwhile := p.meanwhile
	p.mu.Unlock()
	if meanwhile != nil {
		return meanwhile()
	}
	return nil
}

// will sets what goes on in the following calls.
func (p *provisioner) will(do func() error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.meanwhile = do
}

// wantCalls compares what the provisioner has been asked for since it was last compared.
func (s *studio) wantCalls(want ...string) {
	s.Helper()
	p := s.provisioner
	p.mu.Lock()
	defer p.mu.Unlock()
	if !slices.Equal(p.calls, want) {
		s.Errorf("the provisioner was asked for %q, want %q", p.calls, want)
	}
	p.calls = nil
}

func fails() error { return errOnPurpose }
