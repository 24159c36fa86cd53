package resolvers_test

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/tidwall/gjson"

	"studio/db"
	"studio/db/dbtest"
	"studio/event"
	"studio/fault"
)

const (
	createWebhookEndpoint = `mutation($org: ID!, $url: String!, $types: [EventType!]) {
		createWebhookEndpoint(input: { organizationId: $org, url: $url, eventTypes: $types }) { secret webhookEndpoint { id eventTypes } }
	}`
	updateWebhookEndpoint = `mutation($id: ID!, $url: String, $types: [EventType!], $enabled: Boolean) {
		updateWebhookEndpoint(input: { webhookEndpointId: $id, url: $url, eventTypes: $types, enabled: $enabled }) {
			webhookEndpoint { url eventTypes disabledAt failingSince }
		}
	}`
	rotateWebhookSecret   = `mutation($id: ID!) { rotateWebhookSecret(input: { webhookEndpointId: $id }) { secret } }`
	testWebhookEndpoint   = `mutation($id: ID!) { testWebhookEndpoint(input: { webhookEndpointId: $id }) { delivery { status } } }`
	deleteWebhookEndpoint = `mutation($id: ID!) { deleteWebhookEndpoint(input: { webhookEndpointId: $id }) { deletedWebhookEndpointId } }`
	webhookEndpoints      = `query($org: ID!) { organization(id: $org) { webhookEndpoints {
		id url eventTypes failingSince disabledAt createdBy { email }
		deliveries { event { type summary } status attempts statusCode error latencyMs attemptedAt nextAttemptAt }
	} } }`
)

// receiver is a real server that webhooks are sent to.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	got    []received
	answer http.HandlerFunc
}

type received struct {
	header http.Header
	body   string
}

func (s *studio) receiver(answer http.HandlerFunc) *receiver {
	r := &receiver{answer: answer}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		body, _ := io.ReadAll(request.Body)
		r.mu.Lock()
		r.got = append(r.got, received{request.Header, string(body)})
		answer := r.answer
		r.mu.Unlock()
		if answer != nil {
			answer(w, request)
		}
	}))
	s.Cleanup(r.Close)
	return r
}

func (r *receiver) answers(answer http.HandlerFunc) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = answer
}

func (r *receiver) messages() []received {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]received(nil), r.got...)
}

// wantMessages waits until so many have come.
func (s *studio) wantMessages(r *receiver, count int) []received {
	s.Helper()
	s.eventually(fmt.Sprint(count, " messages"), func() bool { return len(r.messages()) >= count })
	return r.messages()
}

func (p *person) endpoint(organizationID, url string, types ...string) (id, secret string) {
	p.Helper()
	a := p.do(createWebhookEndpoint, vars{"org": organizationID, "url": url, "types": types})
	return a.str("createWebhookEndpoint.webhookEndpoint.id"), a.str("createWebhookEndpoint.secret")
}

// newestDelivery waits until the newest delivery of the only endpoint has been tried.
func (p *person) newestDelivery(organizationID string, tried int64) gjson.Result {
	p.Helper()
	var newest gjson.Result
	p.eventually("an attempt", func() bool {
		newest = p.do(webhookEndpoints, vars{"org": organizationID}).get("organization.webhookEndpoints.0.deliveries.0")
		return newest.Get("attempts").Int() >= tried
	})
	return newest
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

func verify(secret string, m received) error {
	signer, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		return err
	}
	return signer.Verify([]byte(m.body), m.header)
}

// renamed has an owner rename an organization, of which an endpoint is told.
func (s *studio) renamed(answer http.HandlerFunc) (owner *person, home, endpointID string, r *receiver) {
	s.Helper()
	owner, r = s.signUp("owner"), s.receiver(answer)
	home = owner.home()
	endpointID, _ = owner.endpoint(home, r.URL, "ORGANIZATION_UPDATED")
	owner.do(updateOrganization, vars{"org": home, "name": "Other"})
	return owner, home, endpointID, r
}

func TestWebhooks(t *testing.T) {
	t.Parallel()
	t.Run("Delivered", func(t *testing.T) {
		on(t, func(s *studio) {
			owner := s.signUp("owner")
			home, r := owner.home(), s.receiver(nil)
			_, secret := owner.endpoint(home, r.URL+"/hook?x=1")
			for i := range 5 {
				owner.do(updateOrganization, vars{"org": home, "name": fmt.Sprint("Name ", i)})
			}
			messages := s.wantMessages(r, 6)
			events := owner.do(`query($org: ID!) { organization(id: $org) { events { nodes { id type cursor createdAt summary subject { ... on Organization { id } } } } } }`, vars{"org": home})
			for i, m := range messages {
				if err := verify(secret, m); err != nil {
					s.Errorf("message %d: %v", i, err)
				}
				logged := events.get(fmt.Sprint("organization.events.nodes.", 5-i))
				for path, want := range map[string]string{
					"type": logged.Get("type").String(), "data.id": logged.Get("id").String(), "timestamp": logged.Get("createdAt").String(),
					"data.cursor": logged.Get("cursor").String(), "data.summary": logged.Get("summary").String(), "data.organizationId": home,
				} {
					if got := gjson.Get(m.body, path).String(); got != want {
						s.Errorf("message %d: %s is %q, want %q", i, path, got, want)
					}
				}
				if m.header.Get("Webhook-Id") != logged.Get("id").String() || m.header.Get("Content-Type") != "application/json" {
					s.Errorf("message %d has the header %v", i, m.header)
				}
			}
			d := owner.newestDelivery(home, 1)
			if d.Get("status").String() != "DELIVERED" || d.Get("statusCode").Int() != 200 || d.Get("nextAttemptAt").Type != gjson.Null ||
				d.Get("event.summary").String() == "" || d.Get("latencyMs").Type != gjson.Number {
				s.Errorf("the delivery is %s", d.Raw)
			}
		})
	})
	// The clock stands still, so that a delivery which no signal tells of is never found.
	t.Run("Told", func(t *testing.T) {
		dbtest.Each(t, func(t *testing.T, open func(...db.Option) *db.DB) {
			s := start(t, open, &dbtest.Clock{Start: time.Now()})
			_, _, _, r := s.renamed(nil)
			s.wantMessages(r, 1)
		})
	})
	// A process ends after the delivery and before it has removed the job.
	t.Run("Again", func(t *testing.T) {
		on(t, func(s *studio) {
			owner, home, _, r := s.renamed(nil)
			s.wantMessages(r, 1)
			s.settle()
			again := &db.Job{ID: db.NewID(db.JobPrefix), Kind: event.DeliveryJob, RunAt: s.db.Now(), CreatedAt: s.db.Now()}
			again.Payload = fmt.Sprintf(`{"deliveryId": %q}`, dbtest.Query(s.T, s.db, "SELECT id FROM webhook_deliveries")[0]...)
			if err := s.db.InsertJob(s.Context(), again); err != nil {
				s.Fatal(err)
			}
			if _, err := s.db.Pool().ExecContext(s.Context(), "UPDATE webhook_deliveries SET job_id = '"+again.ID+"'"); err != nil {
				s.Fatal(err)
			}
			if next := owner.newestDelivery(home, 1).Get("nextAttemptAt"); next.Type != gjson.Null {
				s.Errorf("what is delivered is tried next at %s", next)
			}
			s.clock.Advance(time.Minute) // or it would be left to whoever made it
			s.settle()
			if got := len(r.messages()); got != 1 {
				s.Errorf("%d messages came", got)
			}
		})
	})
	t.Run("KeptForAMonth", func(t *testing.T) {
		on(t, func(s *studio) {
			_, _, _, r := s.renamed(nil)
			s.wantMessages(r, 1)
			s.settle()
			for gone, after := range []time.Duration{30*24*time.Hour - time.Hour, 2 * time.Hour} {
				s.clock.Advance(after)
				if err := s.webhooks.Sweep(s.Context()); err != nil {
					s.Fatal(err)
				}
				if got := s.count("webhook_deliveries"); got != 1-gone {
					s.Errorf("%d deliveries, want %d", got, 1-gone)
				}
			}
		})
	})
	t.Run("ChosenTypes", func(t *testing.T) {
		on(t, func(s *studio) {
			owner := s.signUp("owner")
			home, r := owner.home(), s.receiver(nil)
			id, _ := owner.endpoint(home, r.URL, "USER_INVITED")
			owner.do(updateOrganization, vars{"org": home, "name": "Other"})
			owner.invite(home, "member@example.com")
			if got := gjson.Get(s.wantMessages(r, 1)[0].body, "type").String(); got != "USER_INVITED" {
				s.Errorf("got %s", got)
			}
			owner.do(updateWebhookEndpoint, vars{"id": id, "types": []string{}}).want("updateWebhookEndpoint.webhookEndpoint.eventTypes", `null`)
			owner.do(updateOrganization, vars{"org": home, "name": "Third"})
			s.wantMessages(r, 3) // with that of its own change
			owner.refused(fault.ValidationFailed, "types.0", updateWebhookEndpoint, vars{"id": id, "types": []string{"NONSENSE"}})
		})
	})
	t.Run("Retried", func(t *testing.T) {
		on(t, func(s *studio) {
			owner, home, _, r := s.renamed(status(500))
			d := owner.newestDelivery(home, 1)
			if d.Get("status").String() != "PENDING" || d.Get("statusCode").Int() != 500 || d.Get("error").String() == "" || d.Get("nextAttemptAt").String() == "" {
				s.Errorf("the delivery is %s", d.Raw)
			}
			r.answers(nil)
			s.clock.Advance(time.Minute)
			s.wantMessages(r, 2)
			d = owner.newestDelivery(home, 2)
			if d.Get("status").String() != "DELIVERED" || d.Get("error").Type != gjson.Null {
				s.Errorf("the delivery is %s", d.Raw)
			}
			owner.do(webhookEndpoints, vars{"org": home}).want("organization.webhookEndpoints.0.failingSince", `null`)
			if m := r.messages(); m[0].header.Get("Webhook-Id") != m[1].header.Get("Webhook-Id") {
				s.Error("the second attempt has another ID")
			}
		})
	})
	// Attempts that a crash cut off count for the job alone, which is given up before the delivery would be.
	t.Run("CutOff", func(t *testing.T) {
		on(t, func(s *studio) {
			owner, home, _, _ := s.renamed(status(500))
			owner.newestDelivery(home, 1)
			if _, err := s.db.Pool().ExecContext(s.Context(), "UPDATE jobs SET attempts = 17 WHERE kind = '"+event.DeliveryJob+"'"); err != nil {
				s.Fatal(err)
			}
			s.clock.Advance(time.Hour)
			owner.newestDelivery(home, 2)
			s.eventually("the job to be given up", func() bool { return s.count("jobs WHERE failed_at IS NOT NULL") == 1 })
			if d := owner.newestDelivery(home, 2); d.Get("status").String() != "FAILED" || d.Get("nextAttemptAt").Type != gjson.Null {
				s.Errorf("the delivery is %s", d.Raw)
			}
		})
	})
	t.Run("BadAnswers", func(t *testing.T) {
		t.Parallel()
		for name, test := range map[string]struct {
			answer http.HandlerFunc
			says   string
		}{
			"Redirect": {func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, "http://127.200.0.1/", http.StatusTemporaryRedirect)
			}, "redirects"},
			"Rubbish": {func(w http.ResponseWriter, _ *http.Request) {
				conn, _, _ := http.NewResponseController(w).Hijack()
				_, _ = io.WriteString(conn, "rubbish\r\n\r\n")
				_ = conn.Close()
			}, "none that is HTTP"},
			"HugeHeader": {func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", strings.Repeat("x", 100_000)) }, "none that is HTTP"},
			"Closed":     {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "no answer came"},
			"Refused":    {status(404), "refused"},
		} {
			t.Run(name, func(t *testing.T) {
				on(t, func(s *studio) {
					owner, home, _, _ := s.renamed(test.answer)
					if d := owner.newestDelivery(home, 1); d.Get("status").String() != "PENDING" || !strings.Contains(d.Get("error").String(), test.says) {
						s.Errorf("the delivery is %s", d.Raw)
					}
				})
			})
		}
	})
	// An endpoint that does not answer keeps neither mails nor the caller waiting.
	t.Run("Hanging", func(t *testing.T) {
		on(t, func(s *studio) {
			owner := s.signUp("owner")
			release := make(chan struct{})
			defer close(release)
			home, r := owner.home(), s.receiver(func(http.ResponseWriter, *http.Request) { <-release })
			for i := range 8 {
				owner.endpoint(home, fmt.Sprint(r.URL, "/", i), "USER_INVITED")
			}
			owner.invite(home, "member@example.com")
			s.wantMessages(r, 4)
			s.mailedToken("member@example.com", "/invitations/")
		})
	})
	t.Run("PrivateAddresses", func(t *testing.T) {
		on(t, func(s *studio) {
			owner := s.signUp("owner")
			home := owner.home()
			for _, address := range []string{
				"", "x", "ftp://example.com", "http://example.com/", "https://", "https://user:pass@example.com", "https://example.com/#x", "https://exa mple.com", "https://ex%E2%80%AEample.com", "https://example%0A.com",
				"https://10.0.0.1/", "https://172.16.0.1", "https://192.168.1.1", "https://169.254.169.254/latest/meta-data", "https://100.64.0.1",
				"https://0.0.0.0", "https://127.200.0.1", "https://224.0.0.1", "https://255.255.255.255", "https://[::1]", "https://[::]", "https://[fe80::1]",
				"https://[fc00::1]", "https://[::ffff:10.0.0.1]", "https://[64:ff9b::7f00:1]", "https://[ff02::1]", "https://" + long(2_000) + ".com",
			} {
				owner.refused(fault.InvalidInput, "input.url", createWebhookEndpoint, vars{"org": home, "url": address})
			}
			owner.do(webhookEndpoints, vars{"org": home}).want("organization.webhookEndpoints", `[]`)
		})
	})
	t.Run("Disabled", func(t *testing.T) {
		on(t, func(s *studio) {
			owner, home, id, r := s.renamed(status(503))
			owner.newestDelivery(home, 1)
			s.clock.Advance(5 * 24 * time.Hour)
			state := func() gjson.Result {
				return owner.do(webhookEndpoints, vars{"org": home}).get("organization.webhookEndpoints.0")
			}
			s.eventually("the endpoint to be disabled", func() bool { return state().Get("disabledAt").Type == gjson.String })
			s.eventually("the delivery to be given up", func() bool { return state().Get("deliveries.0.status").String() == "FAILED" })
			if log := s.log(home); log[len(log)-1] != db.WebhookEndpointUpdated {
				s.Errorf("the log is %v", log)
			}
			before := len(r.messages())
			owner.do(updateOrganization, vars{"org": home, "name": "Third"})
			owner.refused(fault.InvalidInput, "input.webhookEndpointId", testWebhookEndpoint, vars{"id": id})
			r.answers(nil)
			owner.do(updateWebhookEndpoint, vars{"id": id, "enabled": true}).want("updateWebhookEndpoint.webhookEndpoint.disabledAt", `null`)
			owner.do(testWebhookEndpoint, vars{"id": id}).want("testWebhookEndpoint.delivery.status", `"PENDING"`)
			if m := s.wantMessages(r, before+1)[before]; gjson.Get(m.body, "type").String() != "TEST" {
				s.Errorf("after it was enabled came %s", m.body)
			}
		})
	})
	t.Run("DisabledByOwner", func(t *testing.T) {
		on(t, func(s *studio) {
			owner, home, id, r := s.renamed(status(503))
			owner.newestDelivery(home, 1)
			owner.do(updateWebhookEndpoint, vars{"id": id, "enabled": false})
			s.clock.Advance(time.Minute)
			s.eventually("the delivery to be given up", func() bool {
				return owner.do(webhookEndpoints, vars{"org": home}).str("organization.webhookEndpoints.0.deliveries.0.status") == "FAILED"
			})
			if got := len(r.messages()); got != 1 {
				s.Errorf("%d messages came", got)
			}
		})
	})
	t.Run("NoAnswerAfterOne", func(t *testing.T) {
		on(t, func(s *studio) {
			owner, home, _, r := s.renamed(status(503))
			owner.newestDelivery(home, 1)
			r.answers(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
			s.clock.Advance(time.Minute)
			if d := owner.newestDelivery(home, 2); d.Get("statusCode").Type != gjson.Null {
				s.Errorf("the delivery is %s", d.Raw)
			}
		})
	})
	// Nothing is sent for days after a message that did not arrive; the first attempt at the next one fails.
	t.Run("FailsAfterQuiet", func(t *testing.T) {
		on(t, func(s *studio) {
			owner, home, _, r := s.renamed(status(503))
			owner.newestDelivery(home, 1)
			if _, err := s.db.Pool().ExecContext(s.Context(), "DELETE FROM jobs WHERE kind = '"+event.DeliveryJob+"'"); err != nil {
				s.Fatal(err)
			}
			s.clock.Advance(6 * 24 * time.Hour)
			owner.do(updateOrganization, vars{"org": home, "name": "Third"})
			if d := owner.newestDelivery(home, 1); d.Get("event.summary").String() == "" || d.Get("status").String() != "PENDING" {
				s.Errorf("the delivery is %s", d.Raw)
			}
			owner.do(webhookEndpoints, vars{"org": home}).want("organization.webhookEndpoints.0.disabledAt", `null`)
			r.answers(nil)
			s.clock.Advance(time.Minute)
			if d := owner.newestDelivery(home, 2); d.Get("status").String() != "DELIVERED" {
				s.Errorf("the delivery is %s", d.Raw)
			}
		})
	})
	t.Run("Gone", func(t *testing.T) {
		on(t, func(s *studio) {
			owner, home, _, _ := s.renamed(status(410))
			if d := owner.newestDelivery(home, 1); d.Get("status").String() != "FAILED" {
				s.Errorf("the delivery is %s", d.Raw)
			}
		})
	})
	// An owner changes an endpoint while a call is under way, which then fails.
	t.Run("ChangedMeanwhile", func(t *testing.T) {
		t.Parallel()
		for name, test := range map[string]struct {
			failing bool // for days already
			code    int
			change  vars
		}{
			"Enabled":    {true, 500, vars{"enabled": true}},
			"Moved":      {true, 500, vars{"url": "/moved"}},
			"Gone":       {false, 410, vars{"url": "/moved"}},
			"FirstFails": {false, 500, vars{"url": "/moved"}},
		} {
			t.Run(name, func(t *testing.T) {
				on(t, func(s *studio) {
					owner := s.signUp("owner")
					tried := int64(1)
					home, r := owner.home(), s.receiver(status(500))
					id, _ := owner.endpoint(home, r.URL, "ORGANIZATION_UPDATED")
					called, release := make(chan bool), make(chan bool)
					held := func(w http.ResponseWriter, _ *http.Request) {
						r.answers(nil)
						close(called)
						<-release
						w.WriteHeader(test.code)
					}
					if !test.failing {
						r.answers(held)
					}
					owner.do(updateOrganization, vars{"org": home, "name": "Other"})
					if test.failing {
						owner.newestDelivery(home, 1)
						tried = 2
						r.answers(held)
						s.clock.Advance(5 * 24 * time.Hour)
					}
					<-called
					change := maps.Clone(test.change)
					change["id"] = id
					if path, is := change["url"].(string); is {
						change["url"] = r.URL + path
					}
					want := owner.do(updateWebhookEndpoint, change).get("updateWebhookEndpoint.webhookEndpoint")
					close(release)
					if d := owner.newestDelivery(home, tried); d.Get("status").String() != "PENDING" {
						s.Errorf("the delivery is %s", d.Raw)
					}
					got := owner.do(webhookEndpoints, vars{"org": home}).get("organization.webhookEndpoints.0")
					for _, field := range []string{"url", "failingSince", "disabledAt"} {
						if got.Get(field).Raw != want.Get(field).Raw {
							s.Errorf("%s is %s, want %s", field, got.Get(field).Raw, want.Get(field).Raw)
						}
					}
					s.clock.Advance(time.Minute)
					if d := owner.newestDelivery(home, tried+1); d.Get("status").String() != "DELIVERED" {
						s.Errorf("the delivery is %s", d.Raw)
					}
				})
			})
		}
	})
	t.Run("Rotated", func(t *testing.T) {
		on(t, func(s *studio) {
			owner := s.signUp("owner")
			home, r := owner.home(), s.receiver(nil)
			id, first := owner.endpoint(home, r.URL, "ORGANIZATION_UPDATED")
			secrets := []string{first}
			// signed has a message sent, which must be signed with the last few secrets and no other.
			tests := 0
			signed := func(when string, with int) {
				owner.do(testWebhookEndpoint, vars{"id": id})
				m := s.wantMessages(r, tests+1)[tests]
				tests++
				for i, secret := range secrets {
					signer, err := standardwebhooks.NewWebhook(secret)
					if err != nil {
						s.Fatal(err)
					}
					got := signer.VerifyIgnoringTimestamp([]byte(m.body), m.header) == nil
					if want := len(secrets)-i <= with; got != want {
						s.Errorf("%s: signed with secret %d of %d: %t", when, i+1, len(secrets), got)
					}
				}
				if got := strings.Count(m.header.Get("Webhook-Signature"), "v1,"); got != with {
					s.Errorf("%s: %d signatures", when, got)
				}
				s.settle() // or the clock would pass the job's lease, and the message come once more
				if got := len(r.messages()); got != tests {
					s.Errorf("%s: %d messages came, want %d", when, got, tests)
				}
			}
			rotate := func(times int) {
				for range times {
					secrets = append(secrets, owner.do(rotateWebhookSecret, vars{"id": id}).str("rotateWebhookSecret.secret"))
				}
			}
			signed("before", 1)
			rotate(2)
			signed("rotated twice", 3)
			s.clock.Advance(23 * time.Hour)
			rotate(1)
			signed("and again within a day", 4)
			s.clock.Advance(25 * time.Hour)
			signed("after a day", 1)
			rotate(1)
			signed("rotated once more", 2)
			rotate(12)
			signed("rotated often", 10)
		})
	})
	t.Run("Deleted", func(t *testing.T) {
		on(t, func(s *studio) {
			owner, home, id, r := s.renamed(status(500))
			owner.newestDelivery(home, 1)
			owner.do(deleteWebhookEndpoint, vars{"id": id}).want("deleteWebhookEndpoint.deletedWebhookEndpointId", `"`+id+`"`)
			owner.refused(fault.NotFound, "input.webhookEndpointId", testWebhookEndpoint, vars{"id": id})
			owner.do(updateOrganization, vars{"org": home, "name": "Third"})
			s.clock.Advance(time.Hour)
			s.eventually("the jobs to end", func() bool { return s.count("jobs WHERE kind = '"+event.DeliveryJob+"'") == 0 })
			if got := len(r.messages()); got != 1 {
				s.Errorf("%d messages came", got)
			}
		})
	})
	t.Run("OrganizationDeleted", func(t *testing.T) {
		on(t, func(s *studio) {
			owner := s.signUp("owner")
			home, r := owner.home(), s.receiver(nil)
			id, _ := owner.endpoint(home, r.URL, "ORGANIZATION_DELETED")
			owner.do(deleteOrganization, vars{"org": home, "name": "owner's Organization"})
			if got := gjson.Get(s.wantMessages(r, 1)[0].body, "type").String(); got != "ORGANIZATION_DELETED" {
				s.Errorf("got %s", got)
			}
			owner.refused(fault.NotFound, "input.webhookEndpointId", testWebhookEndpoint, vars{"id": id})
		})
	})
	t.Run("AtMostTen", func(t *testing.T) {
		on(t, func(s *studio) {
			owner := s.signUp("owner")
			home := owner.home()
			var running sync.WaitGroup
			for i := range 14 {
				running.Go(func() {
					owner.send(createWebhookEndpoint, vars{"org": home, "url": fmt.Sprint("https://example.com/", i), "types": []string{"USER_LEFT"}})
				})
			}
			running.Wait()
			owner.do(webhookEndpoints, vars{"org": home}).want("organization.webhookEndpoints.#", `10`)
		})
	})
	t.Run("NoStatements", func(t *testing.T) {
		on(t, func(s *studio) {
			owner := s.signUp("owner")
			home := owner.home()
			s.statements.take()
			owner.do(updateOrganization, vars{"org": home, "name": "Other"})
			for _, statement := range s.statements.take() {
				if strings.Contains(statement, `"webhook_deliveries"`) || strings.Contains(statement, `"webhook_endpoints" AS`) {
					s.Errorf("without an endpoint: %s", statement)
				}
			}
		})
	})
	t.Run("SecretIsNotStored", func(t *testing.T) {
		on(t, func(s *studio) {
			owner := s.signUp("owner")
			home := owner.home()
			s.statements.take()
			_, secret := owner.endpoint(home, "https://example.com/", "USER_LEFT")
			for _, statement := range s.statements.take() {
				if strings.Contains(statement, strings.TrimPrefix(secret, "whsec_")) {
					s.Errorf("sent to the database: %s", statement)
				}
			}
		})
	})
}
