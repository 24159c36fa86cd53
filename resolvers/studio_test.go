package resolvers_test

// The server under test, and the people who use it through the GraphQL API.

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"reflect"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"weak"

	"github.com/alexedwards/argon2id"
	"github.com/rs/zerolog"
	"github.com/tidwall/gjson"

	"studio/account"
	"studio/billing"
	"studio/db"
	"studio/db/dbtest"
	"studio/event"
	"studio/fault"
	"studio/instance"
	"studio/job"
	"studio/mail"
	"studio/organization"
	"studio/resolvers"
	"studio/stripesandbox"
	"studio/webhook"
)

const password = "correct horse battery"

// studio is a server with a database of its own, a clock that tests move, and a mailbox.
type studio struct {
	*testing.T
	url        string
	clock      *dbtest.Clock
	db         *db.DB
	mailbox    *mail.Mailbox
	stripe     string // the URL of the sandbox
	stripeDown *atomic.Bool
	advance    http.Handler
	bills      *billing.Billing
	webhooks   *webhook.Webhooks
	events     *event.Hub
	statements *statements
	executor   http.Handler // the same without plans; nil where there are none
	latest     *atomic.Pointer[weak.Pointer[http.Request]]
}

// on runs a test on every engine.
func on(t *testing.T, test func(s *studio)) {
	t.Helper()
	dbtest.Each(t, func(t *testing.T, open func(...db.Option) *db.DB) { test(start(t, open, &dbtest.Clock{})) })
}

// interruptible starts a server that does what meanwhile holds, once, before a statement that has all of the texts.
func interruptible(t *testing.T, open func(...db.Option) *db.DB, clock *dbtest.Clock, texts ...string) (s *studio, meanwhile *atomic.Pointer[func()]) {
	t.Helper()
	meanwhile = &atomic.Pointer[func()]{}
	return start(t, func(options ...db.Option) *db.DB {
		return open(append(options, db.WithStatementHook(func(query string) {
			for _, text := range texts {
				if !strings.Contains(query, text) {
					return
				}
			}
			if do := meanwhile.Swap(nil); do != nil {
				(*do)()
			}
		}))...)
	}, clock), meanwhile
}

// start starts a server; several on one database are as many processes.
func start(t *testing.T, open func(...db.Option) *db.DB, clock *dbtest.Clock) *studio {
	t.Helper()
	s := &studio{T: t, clock: clock, statements: &statements{}, latest: &atomic.Pointer[weak.Pointer[http.Request]]{}}
	s.db = open(db.WithClock(clock.Now), db.WithStatementHook(s.statements.add))
	s.mailbox = mail.NewMailbox(clock.Now)
	jobs := job.NewQueue(s.db, mail.ErrPermanent)
	events := event.NewHub(s.db)
	s.events = events

	log := zerolog.New(zerolog.NewTestWriter(t)).Level(zerolog.ErrorLevel)
	ctx, cancel := context.WithCancel(log.WithContext(context.Background()))
	draining, drain := context.WithCancel(context.Background())
	server := httptest.NewUnstartedServer(nil)
	s.url = "http://" + server.Listener.Addr().String()
	sandbox := stripesandbox.New(s.db, jobs, s.url+"/webhooks/stripe")
	api := sandbox.API()
	s.stripeDown = &atomic.Bool{}
	stripe := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.stripeDown.Load() {
			panic(http.ErrAbortHandler)
		}
		api.ServeHTTP(w, r)
	}))
	s.stripe, s.advance = stripe.URL, sandbox.Advance()
	s.webhooks = webhook.New(s.db, bytes.Repeat([]byte{1}, 32), []netip.Prefix{netip.MustParsePrefix("127.0.0.0/9")})
	edge := s.edge(jobs, events, loaderWait)
	var streams sync.WaitGroup
	options := resolvers.HandlerOptions{Open: &streams, Draining: draining, Origins: []string{"https://front-end.example.com"}}
	if s.db.CanRead() {
		unplanned := options
		unplanned.Unplanned = true
		s.executor = routes(edge, unplanned)
	}
	mux := routes(edge, options)
	mux.Handle("/webhooks/stripe", s.bills.Webhook())
	server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		latest := weak.Make(r)
		s.latest.Store(&latest)
		mux.ServeHTTP(w, r.WithContext(log.WithContext(r.Context())))
	})
	server.Start()

	var background sync.WaitGroup
	background.Go(func() { jobs.Run(ctx) })
	background.Go(func() { events.Run(ctx) })
	background.Go(func() { s.webhooks.Run(ctx) })
	t.Cleanup(func() {
		drain()
		server.Close()
		streams.Wait()
		cancel()
		background.Wait()
		stripe.Close()
	})
	return s
}

// routes are where the resolvers are reached.
func routes(edge *resolvers.Resolvers, options resolvers.HandlerOptions) *http.ServeMux {
	mux := http.NewServeMux()
	edge.Register(mux, options)
	return mux
}

// edge wires the resolvers.
func (s *studio) edge(jobs *job.Queue, events *event.Hub, wait time.Duration) *resolvers.Resolvers {
	s.bills = billing.New(s.db, jobs, s.mailbox, s.url, billing.Settings{
		SecretKey: stripesandbox.SecretKey, PublishableKey: stripesandbox.PublishableKey, WebhookSecret: stripesandbox.WebhookSecret,
		APIURL: s.stripe,
	}, instance.Items)
	organizations := organization.New(s.db, jobs, s.mailbox, s.url, s.bills.Close)
	return &resolvers.Resolvers{
		DB:            s.db,
		Accounts:      account.New(s.db, jobs, s.mailbox, organizations, s.url, cheapHashing),
		Organizations: organizations,
		Instances:     instance.New(s.db, jobs, s.bills, instance.Embedded{Delay: time.Millisecond}),
		Bills:         s.bills,
		Webhooks:      s.webhooks,
		Events:        events,
		LoaderWait:    wait,
	}
}

// loaderWait makes loaders gather whatever a busy machine runs late; see TestStatements.
const loaderWait = 2 * time.Millisecond

// cheapHashing keeps the memory-hard part from being most of what the tests take.
var cheapHashing = &argon2id.Params{Memory: 64, Iterations: 1, Parallelism: 1, SaltLength: 16, KeyLength: 32}

// statements are those that the server has sent to its database.
type statements struct {
	mu   sync.Mutex
	sent []string
}

func (s *statements) add(query string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent = append(s.sent, query)
}

// take returns the statements since it was last called.
func (s *statements) take() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	taken := s.sent
	s.sent = nil
	return taken
}

// person is somebody who uses the API; nobody is signed in when the token is "".
type person struct {
	*studio
	email, token string
}

// nobody is a person who is not signed in.
func (s *studio) nobody() *person { return &person{studio: s} }

// signUp makes an account `name@example.com` with an organization of its own.
func (s *studio) signUp(name string) *person {
	s.Helper()
	p := &person{studio: s, email: name + "@example.com"}
	p.token = p.do(`mutation($email: String!, $password: String!, $name: String!) {
		signUp(input: { email: $email, password: $password, firstName: $name, lastName: "Example" }) { token }
	}`, vars{"email": p.email, "password": password, "name": name}).str("signUp.token")
	return p
}

// verified is signUp, and the address verified with the token from the mail.
func (s *studio) verified(name string) *person {
	s.Helper()
	p := s.signUp(name)
	p.do(`mutation($token: String!) { verifyEmail(input: { token: $token }) { user { id } } }`,
		vars{"token": s.mailedToken(p.email, "/verify-email/")})
	return p
}

type vars map[string]any

// answer is a GraphQL response.
type answer struct {
	*studio
	status int
	header http.Header
	body   string
}

// send sends an operation and returns whatever comes back.
func (p *person) send(query string, variables vars) *answer {
	p.Helper()
	body, err := json.Marshal(map[string]any{"query": query, "variables": variables})
	if err != nil {
		p.Fatal(err)
	}
	a := p.post(http.Header{"Content-Type": {"application/json"}}, string(body))
	if p.executor != nil && !strings.HasPrefix(strings.TrimSpace(query), "mutation") && a.get("@this").IsObject() {
		p.compare(string(body), a)
	}
	return a
}

// compare holds an answer against the executor's. What changes in the background may change between
// the two, so both are asked again if they differ.
func (p *person) compare(body string, a *answer) {
	p.Helper()
	var planned, executed any
	for try := range 20 {
		if try > 0 {
			time.Sleep(10 * time.Millisecond)
			a = p.post(http.Header{"Content-Type": {"application/json"}}, body)
		}
		request := httptest.NewRequestWithContext(p.Context(), http.MethodPost, "/graphql", strings.NewReader(body))
		request.Header.Set("Content-Type", "application/json")
		if p.token != "" {
			request.Header.Set("Authorization", "Bearer "+p.token)
		}
		recorder := httptest.NewRecorder()
		p.executor.ServeHTTP(recorder, request)
		if a.body == recorder.Body.String() {
			return
		}
		if err := errors.Join(json.Unmarshal([]byte(a.body), &planned), json.Unmarshal(recorder.Body.Bytes(), &executed)); err != nil {
			p.Fatal(err)
		}
		if reflect.DeepEqual(planned, executed) {
			return
		}
	}
	p.Errorf("%s\nis answered differently by a plan\n%v\nand by the executor\n%v", body, planned, executed)
}

func (p *person) post(header http.Header, body string) *answer {
	p.Helper()
	request, err := http.NewRequestWithContext(p.Context(), http.MethodPost, p.url+"/graphql", bytes.NewReader([]byte(body)))
	if err != nil {
		p.Fatal(err)
	}
	request.Header = header
	if p.token != "" {
		request.Header.Set("Authorization", "Bearer "+p.token)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		p.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		p.Fatal(err)
	}
	return &answer{studio: p.studio, status: response.StatusCode, header: response.Header, body: string(text)}
}

// do sends an operation that must succeed.
func (p *person) do(query string, variables vars) *answer {
	p.Helper()
	a := p.send(query, variables)
	if gjson.Get(a.body, "errors").Exists() {
		p.Fatalf("%s\n%v\nfailed: %s", query, variables, a.body)
	}
	return a
}

// refused sends an operation that must fail with a code, about an input value if field is given.
func (p *person) refused(code fault.Code, field, query string, variables vars) *answer {
	p.Helper()
	a := p.send(query, variables)
	a.check(code, field)
	return a
}

// check compares the first error.
func (a *answer) check(code fault.Code, field string) {
	a.Helper()
	extensions := gjson.Get(a.body, "errors.0.extensions")
	if got := extensions.Get("code").String(); got != string(code) || extensions.Get("field").String() != field {
		a.Errorf("got %s\nwant the code %s and the field %q", a.body, code, field)
	}
}

// get reads the data at a path such as "viewer.user.id".
func (a *answer) get(path string) gjson.Result {
	return gjson.Get(a.body, "data."+path)
}

// str reads a string that must be there.
func (a *answer) str(path string) string {
	a.Helper()
	value := a.get(path)
	if value.Type != gjson.String {
		a.Fatalf("no string at %s in %s", path, a.body)
	}
	return value.String()
}

// want compares the data at a path with its JSON.
func (a *answer) want(path, wantJSON string) {
	a.Helper()
	if got := a.get(path).Raw; got != wantJSON {
		a.Errorf("%s is %s, want %s", path, got, wantJSON)
	}
}

// homeOf is the organization that a person got by signing up.
func (p *person) home() string {
	p.Helper()
	return p.do(`{ viewer { organizations { nodes { id } } } }`, nil).str("viewer.organizations.nodes.0.id")
}

// invite invites an address and returns the ID of the membership.
func (p *person) invite(organizationID, email string) string {
	p.Helper()
	return p.do(inviteUser, vars{"org": organizationID, "email": email}).str("inviteUser.organizationUser.id")
}

// join makes somebody an accepted user of the inviter's organization, and returns the ID of the
// membership.
func (p *person) join(organizationID string, invited *person) string {
	p.Helper()
	id := p.invite(organizationID, invited.email)
	invited.do(acceptInvitation, vars{"token": p.mailedToken(invited.email, "/invitations/")})
	return id
}

const (
	inviteUser = `mutation($org: ID!, $email: String!) {
		inviteUser(input: { organizationId: $org, email: $email }) { organizationUser { id status email user { id } } }
	}`
	acceptInvitation = `mutation($id: ID, $token: String) {
		acceptInvitation(input: { organizationUserId: $id, token: $token }) { organizationUser { id status user { email } } }
	}`
)

// mails are those sent to an address, newest first.
func (s *studio) mails(to string) []mail.Message {
	s.Helper()
	request := httptest.NewRequestWithContext(s.Context(), http.MethodGet, "http://localhost/dev/mailbox.json", nil)
	request.RemoteAddr = "127.0.0.1:1"
	recorder := httptest.NewRecorder()
	s.mailbox.JSON().ServeHTTP(recorder, request)
	var all, found []mail.Message
	if err := json.Unmarshal(recorder.Body.Bytes(), &all); err != nil {
		s.Fatal(err)
	}
	for _, m := range all {
		if m.To == to {
			found = append(found, m)
		}
	}
	return found
}

// mailedToken waits for a mail to an address with a link of a kind, such as "/invitations/", and
// returns the token of the newest.
func (s *studio) mailedToken(to, kind string) string {
	s.Helper()
	link := regexp.MustCompile(regexp.QuoteMeta(s.url+kind) + `([\w-]+)`)
	var token string
	s.eventually(fmt.Sprintf("a mail to %s with a link to %s", to, kind), func() bool {
		for _, m := range s.mails(to) {
			if found := link.FindStringSubmatch(m.Text); found != nil {
				token = found[1]
				return true
			}
		}
		return false
	})
	return token
}

// eventually waits for what happens in the background.
func (s *studio) eventually(what string, happened func() bool) {
	s.Helper()
	deadline := time.After(time.Minute)
	for !happened() {
		select {
		case <-deadline:
			s.Fatalf("waited in vain for %s", what)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// long is a text of some length.
func long(length int) string { return strings.Repeat("x", length) }
