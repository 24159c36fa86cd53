package resolvers_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidwall/gjson"
	gql "github.com/vektah/gqlparser/v2/ast"

	"studio/db"
	"studio/db/dbtest"
	"studio/fault"
	"studio/job"
	"studio/mail"
	"studio/resolvers"
)

// keyed sends an operation with an Idempotency-Key.
func (p *person) keyed(key, query string, variables vars) *answer {
	p.Helper()
	body, err := json.Marshal(map[string]any{"query": query, "variables": variables})
	if err != nil {
		p.Fatal(err)
	}
	return p.post(http.Header{"Content-Type": {"application/json"}, "Idempotency-Key": {key}}, string(body))
}

// organizations is how many a person has.
func (p *person) organizations() int64 {
	p.Helper()
	return p.do(countOrganizations, nil).get("viewer.organizations.totalCount").Int()
}

const createsWithNewSubdomain = `mutation($first: String!, $second: String!) {
	first: createOrganization(input: { name: "First", subdomain: $first }) { organization { id } }
	second: createOrganization(input: { name: "Second", subdomain: $second }) { organization { id } }
}`

func TestIdempotencyKey(t *testing.T) {
	t.Parallel()
	t.Run("SameAnswer", func(t *testing.T) {
		on(t, func(s *studio) {
			ada, bob := s.signUp("ada"), s.signUp("bob")
			input := vars{"name": "Acme", "subdomain": "acme"}
			first := ada.keyed("key", createOrganization, input)
			first.str("createOrganization.organization.id")
			if again := ada.keyed("key", createOrganization, input); again.body != first.body {
				s.Errorf("first %s\nthen %s", first.body, again.body)
			}
			// The same user, signed in a second time.
			again := &person{studio: s, token: s.nobody().do(`mutation($email: String!, $password: String!) {
				signIn(input: { email: $email, password: $password }) { token }
			}`, vars{"email": ada.email, "password": password}).str("signIn.token")}
			if got := again.keyed("key", createOrganization, input).body; got != first.body {
				s.Errorf("first %s\nthen in another session %s", first.body, got)
			}
			// Keys are each caller's own, and another key is another request.
			bob.keyed("key", createOrganization, input).check(fault.SubdomainTaken, "input.subdomain")
			ada.keyed("other", createOrganization, input).check(fault.SubdomainTaken, "input.subdomain")
			if got := ada.organizations(); got != 2 {
				s.Errorf("there are %d organizations", got)
			}
		})
	})
	t.Run("Nobody", func(t *testing.T) {
		on(t, func(s *studio) {
			ada := s.signUp("ada")
			for range 2 {
				s.nobody().keyed("key", requestReset, vars{"email": ada.email}).want("requestPasswordReset.requested", `true`)
			}
			s.mailedToken(ada.email, "/reset-password/")
			if got := len(s.mails(ada.email)); got > 2 { // with the one that verifies the address
				s.Errorf("%d mails were sent", got)
			}
			// From another address, the key is another client's.
			request := httptest.NewRequestWithContext(s.Context(), http.MethodPost, "/graphql",
				strings.NewReader(`{"query": "mutation { requestPasswordReset(input: { email: \"bob@example.com\" }) { requested } }"}`))
			request.Header = http.Header{"Content-Type": {"application/json"}, "Idempotency-Key": {"key"}}
			response := httptest.NewRecorder()
			options := resolvers.HandlerOptions{Open: &sync.WaitGroup{}, Draining: s.Context()}
			routes(s.edge(job.NewQueue(s.db, mail.ErrPermanent), s.events, 0), options).ServeHTTP(response, request)
			(&answer{studio: s, body: response.Body.String()}).want("requestPasswordReset.requested", `true`)
		})
	})
	t.Run("AnotherRequest", func(t *testing.T) {
		on(t, func(s *studio) {
			ada := s.signUp("ada")
			ada.keyed("key", createOrganization, vars{"name": "Acme", "subdomain": "acme"}).str("createOrganization.organization.id")
			ada.keyed("key", createOrganization, vars{"name": "Acme", "subdomain": "acme2"}).check(fault.BadRequest, "")
			ada.keyed("key", strings.ReplaceAll(createOrganization, "name subdomain", "name"), vars{"name": "Acme", "subdomain": "acme"}).check(fault.BadRequest, "")
			named := func(operation string) *answer {
				return ada.post(http.Header{"Content-Type": {"application/json"}, "Idempotency-Key": {"named"}}, `{"operationName": "`+operation+`",
					"query": "mutation A { ...f } mutation B { ...f } fragment f on Mutation { updateProfile(input: { firstName: \"Ada\" }) { user { firstName } } }"}`)
			}
			named("A").want("updateProfile.user.firstName", `"Ada"`)
			named("B").check(fault.BadRequest, "")
			if got := ada.organizations(); got != 2 {
				s.Errorf("there are %d organizations", got)
			}
		})
	})
	t.Run("Malformed", func(t *testing.T) {
		on(t, func(s *studio) {
			ada := s.signUp("ada")
			for _, key := range []string{"", long(256), "schlüssel", "a\tb"} {
				ada.keyed(key, createOrganization, vars{"name": "Acme", "subdomain": "acme"}).check(fault.BadRequest, "")
			}
			body := `{"query":"mutation { updateProfile(input: { firstName: \"Eve\" }) { user { firstName } } }"}`
			ada.post(http.Header{"Content-Type": {"application/json"}, "Idempotency-Key": {"a", "b"}}, body).check(fault.BadRequest, "")
			ada.post(http.Header{"Content-Type": {"application/json"}, "Idempotency-Key": {"a"}}, "["+body+"]").check(fault.BadRequest, "")
			ada.keyed(long(255), countOrganizations, nil).want("viewer.organizations.totalCount", `1`)
			ada.do(`{ viewer { user { firstName } } }`, nil).want("viewer.user.firstName", `"ada"`)
		})
	})
	t.Run("Refusal", func(t *testing.T) {
		on(t, func(s *studio) {
			ada, bob := s.signUp("ada"), s.signUp("bob")
			taken := bob.create("Acme", "acme")
			input := vars{"org": taken, "name": "Mine"}
			// What was refused changed nothing, and is tried anew.
			ada.keyed("key", updateOrganization, input).check(fault.NotFound, "input.organizationId")
			bob.joinAsOwner(taken, ada)
			ada.keyed("key", updateOrganization, input).want("updateOrganization.organization.name", `"Mine"`)
		})
	})
	t.Run("HalfRefused", func(t *testing.T) {
		on(t, func(s *studio) {
			ada := s.signUp("ada")
			first := ada.keyed("key", createsWithNewSubdomain, vars{"first": "acme", "second": "acme"})
			first.check(fault.SubdomainTaken, "input.subdomain")
			if again := ada.keyed("key", createsWithNewSubdomain, vars{"first": "acme", "second": "acme"}); again.body != first.body {
				s.Errorf("first %s\nthen %s", first.body, again.body)
			}
		})
	})
	t.Run("PayloadFails", func(t *testing.T) {
		on(t, func(s *studio) {
			// The change succeeds, and its payload holds what only an owner may see.
			ada, bob := s.signUp("ada"), s.verified("bob")
			accept := `mutation($id: ID!) { acceptInvitation(input: { organizationUserId: $id }) { organizationUser { organization { users { totalCount } } } } }`
			input := vars{"id": ada.invite(ada.home(), bob.email)}
			first := bob.keyed("key", accept, input)
			first.check(fault.Forbidden, "")
			first.want("acceptInvitation.organizationUser.organization.users", `null`)
			if again := bob.keyed("key", accept, input); again.body != first.body {
				s.Errorf("first %s\nthen %s", first.body, again.body)
			}
		})
	})
	t.Run("Concurrent", func(t *testing.T) {
		dbtest.Each(t, func(t *testing.T, open func(...db.Option) *db.DB) {
			clock := &dbtest.Clock{}
			replicas := []*studio{start(t, open, clock), start(t, open, clock)}
			ada := replicas[0].signUp("ada")
			const times = 50
			var bodies [times]string
			var running sync.WaitGroup
			for i := range times {
				sender := &person{studio: replicas[i%2], token: ada.token}
				running.Go(func() {
					bodies[i] = sender.keyed("key", createOrganization, vars{"name": "Acme", "subdomain": "acme"}).body
				})
			}
			running.Wait()
			for _, body := range bodies {
				if body != bodies[0] || !gjson.Get(body, "data.createOrganization.organization.id").Exists() {
					t.Errorf("%s\nand %s", bodies[0], body)
				}
			}
			if got := ada.organizations(); got != 2 {
				t.Errorf("there are %d organizations", got)
			}
		})
	})
	t.Run("CutOff", func(t *testing.T) {
		dbtest.Each(t, func(t *testing.T, open func(...db.Option) *db.DB) {
			var dying atomic.Bool
			s := start(t, func(options ...db.Option) *db.DB {
				return open(append(options, db.WithStatementHook(func(query string) {
					if dying.Load() && strings.Contains(query, `UPDATE "idempotency_keys"`) {
						panic("the process ends after the change, and before its answer is kept")
					}
				}))...)
			}, &dbtest.Clock{Start: time.Now()})
			ada := s.signUp("ada")
			input := vars{"name": "Acme", "subdomain": "acme"}
			dying.Store(true)
			ada.keyed("key", createOrganization, input)
			dying.Store(false)
			s.clock.Advance(time.Hour)
			ada.keyed("key", createOrganization, input).check(fault.Conflict, "")
			ada.keyed("key", createOrganization, vars{"name": "Acme", "subdomain": "acme2"}).check(fault.BadRequest, "")
			if got := ada.organizations(); got != 2 {
				t.Errorf("there are %d organizations", got)
			}
		})
	})
	// The client goes when its instance is billed, or between two fields; who asks again gets the answer.
	for name, test := range map[string]struct {
		accept string
		before []string
		query  string
		input  func(home string) vars
		effect string
	}{
		"ClientGone": {"", []string{`INSERT INTO "jobs"`, "provision instance"}, createInstance, func(home string) vars {
			return vars{"org": home, "name": "paid", "plan": "cloud-2gb", "storage": 10}
		}, `{"instanceCount":1}`},
		"ClientGoneBetween": {"", []string{`INSERT INTO "organizations"`, "'Second'"}, createsWithNewSubdomain, func(string) vars {
			return vars{"first": "first", "second": "second"}
		}, `{"instanceCount":0}`},
		"ClientGoneFromStream": {"text/event-stream", []string{`INSERT INTO "organizations"`, "'Second'"}, createsWithNewSubdomain, func(string) vars {
			return vars{"first": "first", "second": "second"}
		}, `{"instanceCount":0}`},
	} {
		t.Run(name, func(t *testing.T) {
			dbtest.Each(t, func(t *testing.T, open func(...db.Option) *db.DB) {
				s, meanwhile := interruptible(t, open, &dbtest.Clock{Start: time.Now()}, test.before...)
				ada := s.signUp("ada")
				home := ada.home()
				ada.setCard(home, "pm_card_visa")
				input := test.input(home)
				body, err := json.Marshal(map[string]any{"query": test.query, "variables": input})
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithCancel(t.Context())
				request := httptest.NewRequestWithContext(ctx, http.MethodPost, "/graphql", bytes.NewReader(body))
				request.Header = http.Header{"Content-Type": {"application/json"}, "Idempotency-Key": {"key"}, "Authorization": {"Bearer " + ada.token}}
				request.Header.Set("Accept", cmp.Or(test.accept, "application/json"))
				leave := func() { cancel() }
				meanwhile.Store(&leave)
				response := httptest.NewRecorder()
				options := resolvers.HandlerOptions{Open: &sync.WaitGroup{}, Draining: t.Context()}
				routes(s.edge(job.NewQueue(s.db, mail.ErrPermanent), s.events, 0), options).ServeHTTP(response, request)
				if strings.Contains(response.Body.String(), `"errors"`) {
					t.Fatalf("the answer was %s", response.Body)
				}
				if again := ada.keyed("key", test.query, input); !strings.Contains(response.Body.String(), again.body) {
					t.Errorf("first %s\nthen %s", response.Body, again.body)
				}
				ada.do(`query($org: ID!) { organization(id: $org) { instanceCount } }`, vars{"org": home}).want("organization", test.effect)
			})
		})
	}
	// The job is not found at the moment, as when another process does it, and its effect may be still to come.
	t.Run("Slow", func(t *testing.T) {
		dbtest.Each(t, func(t *testing.T, open func(...db.Option) *db.DB) {
			s, meanwhile := interruptible(t, open, &dbtest.Clock{}, "attempts = attempts + 1", "run_at = ") // which claims one job
			ada := s.signUp("ada")
			take := func() { s.exec(`DELETE FROM jobs WHERE kind = 'set card'`) }
			meanwhile.Store(&take)
			input := vars{"org": ada.home(), "method": "pm_card_visa"}
			first := ada.keyed("key", setCard, input)
			first.check(fault.Unavailable, "")
			if again := ada.keyed("key", setCard, input); again.body != first.body {
				s.Errorf("first %s\nthen %s", first.body, again.body)
			}
		})
	})
	// Not every client that offers another protocol asks for a WebSocket.
	t.Run("OtherUpgrade", func(t *testing.T) {
		on(t, func(s *studio) {
			ada := s.signUp("ada")
			body := `{"query": "mutation { createOrganization(input: { name: \"Acme\", subdomain: \"acme\" }) { organization { id } } }"}`
			header := http.Header{
				"Content-Type": {"application/json"}, "Idempotency-Key": {"key"}, "Connection": {"Upgrade, HTTP2-Settings"}, "Upgrade": {"h2c"},
			}
			first, again := ada.post(header, body), ada.post(header, body)
			first.str("createOrganization.organization.id")
			if first.body != again.body {
				s.Errorf("first %s\nthen %s", first.body, again.body)
			}
		})
	})
	t.Run("Swept", func(t *testing.T) {
		on(t, func(s *studio) {
			ada := s.signUp("ada")
			rename := `mutation($name: String!) { updateProfile(input: { firstName: $name }) { user { firstName } } }`
			ada.keyed("key", rename, vars{"name": "Ada"})
			sweep := func() {
				if err := s.edge(job.NewQueue(s.db, mail.ErrPermanent), nil, 0).Sweep(s.Context()); err != nil {
					s.Fatal(err)
				}
			}
			s.clock.Advance(24*time.Hour - time.Minute)
			sweep()
			ada.keyed("key", rename, vars{"name": "Eve"}).check(fault.BadRequest, "")
			s.clock.Advance(2 * time.Minute)
			sweep()
			ada.keyed("key", rename, vars{"name": "Eve"}).want("updateProfile.user.firstName", `"Eve"`)
		})
	})
	t.Run("AnswerOfCommitLost/postgres", func(t *testing.T) {
		t.Parallel()
		var lose atomic.Bool
		address := losing(t, dbtest.Postgres(t), &lose)
		s := start(t, func(options ...db.Option) *db.DB { return dbtest.Open(t, address, options...) }, &dbtest.Clock{})
		ada := s.signUp("ada")
		s.settle()
		input := vars{"name": "Acme", "subdomain": "acme"}
		lose.Store(true)
		ada.keyed("key", createOrganization, input).check(fault.Unavailable, "")
		s.clock.Advance(time.Hour) // whoever asks sooner is asked to wait
		ada.keyed("key", createOrganization, input).check(fault.Conflict, "")
		if got := ada.organizations(); got != 2 {
			s.Errorf("there are %d organizations", got)
		}
	})
	t.Run("Secrets", func(t *testing.T) {
		on(t, func(s *studio) {
			ada := s.signUp("ada")
			ada.keyed("key", `mutation { createApiToken(input: { name: "x" }) { apiToken { id } } }`, nil).check(fault.BadRequest, "")
			ada.keyed("key", `mutation { ...f } fragment f on Mutation { t: createApiToken(input: { name: "x" }) { token } }`, nil).check(fault.BadRequest, "")
			ada.keyed("key", `mutation { startCardSetup(input: { organizationId: "x" }) { clientSecret } }`, nil).check(fault.BadRequest, "")
			ada.do(`{ viewer { apiTokens { id } } }`, nil).want("viewer.apiTokens", `[]`)
			// Nothing that the table holds tells a key, a request or a token.
			ada.keyed("topsecretkey", `mutation { updateProfile(input: { firstName: "Request" }) { user { id } } }`, nil)
			kept := fmt.Sprint(s.statements.take())
			for _, text := range []string{"topsecretkey", "mutation {"} {
				if strings.Contains(kept, text) {
					s.Errorf("%s was sent to the database", text)
				}
			}
		})
	})
}

// losing is an address by which a database is reached, but for the answer to the next COMMIT once lose is set.
func losing(t *testing.T, address string, lose *atomic.Bool) string {
	t.Helper()
	server, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	behind := server.Host
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	server.Host = listener.Addr().String()
	pass := func(client net.Conn) {
		defer func() { _ = client.Close() }()
		backend, err := net.Dial("tcp", behind)
		if err != nil {
			return
		}
		defer func() { _ = backend.Close() }()
		go func() { _, _ = io.Copy(client, backend); _ = client.Close() }()
		for sent := make([]byte, 64<<10); err == nil; {
			var n int
			if n, err = client.Read(sent); err != nil {
				return
			}
			if bytes.Contains(sent[:n], []byte("commit\x00")) && lose.CompareAndSwap(true, false) {
				_ = client.Close()
			}
			_, err = backend.Write(sent[:n])
		}
	}
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go pass(client)
		}
	}()
	return server.String()
}

// TestSecretsAreMarked is about what is added later: whatever is called a password, a token or a secret
// is marked, but for the tokens of links, of which only requests hold any.
func TestSecretsAreMarked(t *testing.T) {
	t.Parallel()
	for _, definition := range schema().Types {
		for _, field := range definition.Fields {
			name := strings.ToLower(field.Name)
			secret := strings.Contains(name, "password") || strings.HasSuffix(name, "secret") || definition.Kind == gql.Object && name == "token"
			if kind := schema().Types[field.Type.Name()]; secret && kind.Kind == gql.Scalar && !has(field.Directives, "secret") {
				t.Errorf("%s.%s is not marked @secret", definition.Name, field.Name)
			}
		}
	}
}
