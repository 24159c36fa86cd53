package billing_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stripe/stripe-go/v85/webhook"

	"studio/billing"
	"studio/db"
	"studio/job"
	"studio/mail"
	"studio/stripesandbox"
)

// sign makes a webhook as Stripe would.
func (s *server) sign(body string) received { return s.signAt(body, time.Now()) }

func (s *server) signAt(body string, at time.Time) received {
	signed := webhook.GenerateTestSignedPayload(&webhook.UnsignedPayload{Payload: []byte(body), Secret: stripesandbox.WebhookSecret, Timestamp: at})
	return received{body: body, signature: signed.Header}
}

// hook makes one about a customer.
func (s *server) hook(id, kind, object string) received {
	return s.sign(fmt.Sprintf(`{"id": %q, "object": "event", "api_version": "2026-03-25.dahlia", "type": %q, "data": {"object": %s}}`, id, kind, object))
}

func TestWebhook(t *testing.T) {
	t.Parallel()
	t.Run("AnyOrder", func(t *testing.T) { each(t, func(s *server) { testAnyOrder(s, 1) }) })
	t.Run("AtOnce", func(t *testing.T) { each(t, func(s *server) { testAnyOrder(s, 4) }) })
	t.Run("Refused", func(t *testing.T) {
		each(t, func(s *server) {
			g := s.carded("Olive")
			good := s.hook("evt_1", "customer.updated", fmt.Sprintf(`{"object": "customer", "id": %q}`, g.account().CustomerID))
			s.called()
			forged := good
			forged.body = strings.Replace(good.body, "evt_1", "evt_2", 1)
			unsigned := good
			unsigned.signature = ""
			otherTime := good
			_, signature, _ := strings.Cut(good.signature, ",")
			otherTime.signature = fmt.Sprintf("t=%d,%s", time.Now().Unix()+60, signature)
			for name, hook := range map[string]received{"forged": forged, "unsigned": unsigned, "other time": otherTime,
				"no event": s.sign(`{"object": "event"}`), "thin": s.sign(`{"object": "v2.core.event", "id": "evt_1"}`), "no JSON": s.sign("hello"), "empty": s.sign("")} {
				if status := s.hear(hook); status != http.StatusBadRequest {
					t.Errorf("%s: %d", name, status)
				}
			}
			equal(s, "too large", s.hear(s.sign(`"`+strings.Repeat("x", 1<<20)+`"`)), http.StatusRequestEntityTooLarge)
			equal(s, "too old", s.hear(s.signAt(good.body, time.Now().Add(-5*time.Minute-time.Second))), http.StatusBadRequest)
			equal(s, "calls", s.called(), nil)
			equal(s, "just in time", s.hear(s.signAt(good.body, time.Now().Add(-4*time.Minute))), http.StatusOK)
			for _, method := range []string{http.MethodGet, http.MethodPut} {
				w := httptest.NewRecorder()
				s.bills.Webhook().ServeHTTP(w, httptest.NewRequest(method, "/webhooks/stripe", nil))
				if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != http.MethodPost {
					t.Errorf("%s: %d %v", method, w.Code, w.Header())
				}
			}
			equal(s, "metrics", s.metrics()["studio_stripe_webhooks_total refused"], 11)
		})
	})
	t.Run("Ignored", func(t *testing.T) {
		each(t, func(s *server) {
			g := s.carded("Olive")
			own := g.account().CustomerID
			s.called()
			for n, hook := range []struct{ kind, object string }{
				{"customer.updated", `{"object": "customer", "id": "cus_other"}`},
				{"invoice.paid", `{"object": "invoice", "customer": "cus_other"}`},
				{"invoice.paid", `{"object": "invoice", "customer": null}`},
				{"payment_intent.succeeded", fmt.Sprintf(`{"object": "payment_intent", "customer": %q}`, own)},
				{"coupon.created", `{"object": "coupon", "id": "x"}`},
			} {
				equal(s, hook.kind, s.hear(s.hook(fmt.Sprintf("evt_%d", n), hook.kind, hook.object)), http.StatusOK)
			}
			equal(s, "no data", s.hear(s.sign(`{"id": "evt_9", "object": "event", "type": "invoice.paid"}`)), http.StatusOK)
			equal(s, "calls", s.called(), nil)
		})
	})
	t.Run("Repeated", func(t *testing.T) {
		each(t, func(s *server) {
			g := s.carded("Olive")
			hook := s.hook("evt_1", "invoice.paid", fmt.Sprintf(`{"object": "invoice", "customer": %q}`, g.account().CustomerID))
			s.called()
			equal(s, "status", s.hear(hook), http.StatusOK)
			if len(s.called()) == 0 {
				t.Error("nobody looked")
			}
			equal(s, "status", s.hear(hook), http.StatusOK)
			equal(s, "calls", s.called(), nil)
			equal(s, "metrics", s.metrics()["studio_stripe_webhooks_total repeated"], 1)
		})
	})
	// A payment method that was detached names its customer only as it was before.
	t.Run("Detached", func(t *testing.T) {
		each(t, func(s *server) {
			g := s.carded("Olive")
			s.lose(true)
			must(s.stripe.V1PaymentMethods.Detach(s.ctx, *g.account().PaymentMethodID, nil))(s)
			s.work()
			hook := s.sign(fmt.Sprintf(`{"id": "evt_1", "object": "event", "type": "payment_method.detached", "data": {
				"object": {"object": "payment_method", "customer": null}, "previous_attributes": {"customer": %q}}}`, g.account().CustomerID))
			equal(s, "status", s.hear(hook), http.StatusOK)
			g.wantTold("CARD_REMOVED nobody: The card was removed: Visa ending in 4242.")
			g.agree()
		})
	})
	t.Run("StripeDown", func(t *testing.T) {
		each(t, func(s *server) {
			g := s.carded("Olive")
			g.paid("one", db.Month, 1999, 0)
			s.work()
			g.told()
			s.down()
			s.advance(noon.AddDate(0, 1, 0))
			if s.work() == 0 {
				t.Error("the webhooks count as delivered")
			}
			if s.metrics()["studio_stripe_webhooks_total failed"] == 0 {
				t.Errorf("the metrics are %v", s.metrics())
			}
			g.wantTold()
			s.up()
			equal(s, "jobs left", s.work(), 0)
			g.wantTold("INVOICE_CREATED nobody: Invoice #0002 of $19.99 was created.", "INVOICE_PAID nobody: Invoice #0002 of $19.99 was paid.")
			g.agree()
		})
	})
}

// testAnyOrder hears the webhooks of months in the wrong order, so many at once, and each twice.
func testAnyOrder(s *server, atOnce int) {
	g := s.carded("Olive")
	g.add("WELCOME50")
	instance := g.paid("one", db.Month, 1999, 0)
	s.work()
	g.told()
	s.lose(true)
	g.setCard("pm_card_chargeCustomerFail")
	s.advance(noon.AddDate(0, 2, 0))
	g.setCard("pm_card_visa")
	s.advance(noon.AddDate(0, 2, 4))
	s.work()
	equal(s, "totals", g.totals(), []int64{0, 0, 997})
	hooks := slices.Clone(s.received)
	s.lose(false)
	slices.Reverse(hooks)
	for range 2 {
		for some := range slices.Chunk(hooks, atOnce) {
			var running sync.WaitGroup
			for _, hook := range some {
				running.Go(func() {
					equal(s, hook.kind, s.hear(s.sign(hook.body)), http.StatusOK) // Stripe signs each attempt
				})
			}
			running.Wait()
		}
	}
	equal(s, "jobs left", s.work(), 0)
	g.agree()
	equal(s, "charged", g.charged(), []int64{997})
	counts := map[string]int{}
	for _, told := range g.told() {
		kind, _, _ := strings.Cut(told, " ")
		counts[kind]++
	}
	equal(s, "told", counts, map[string]int{"CARD_CHANGED": 2, "INVOICE_CREATED": 2, "INVOICE_PAID": 2, "PAYMENT_FAILED": 1})
	equal(s, "status", g.again(instance).Status, db.InstanceActive)
}

// FuzzWebhook shows that no body makes the webhook fail, and that none is listened to without Stripe's
// signature.
func FuzzWebhook(f *testing.F) {
	for _, body := range []string{
		"", "{}", "null", "[]", "\xff", `{"id":"evt_1"}`, `{"id":"evt_1","type":"invoice.paid","data":{"object":{"object":"invoice","customer":"cus_1"}}}`,
		`{"id":"evt_1","type":"customer.updated","data":{"object":{"object":"customer","id":"cus_1"}}}`, `{"id":"evt_1","type":"invoice.paid","data":null}`,
		`{"id":"evt_1","type":"payment_method.detached","data":{"object":{"object":"payment_method","customer":null},"previous_attributes":{"customer":"cus_1"}}}`,
		`{"id":1,"type":[],"data":{"object":[]}}`, `{"id":"evt_1","type":"invoice.paid","data":{"object":{"customer":{"id":"cus_1"}}}}`,
	} {
		f.Add(body)
	}
	database, err := db.Open("sqlite:" + filepath.Join(f.TempDir(), "studio.db"))
	if err == nil {
		err = database.Migrate(f.Context())
	}
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = database.Close() })
	settings := billing.Settings{WebhookSecret: stripesandbox.WebhookSecret}
	handler := billing.New(database, job.NewQueue(database, mail.ErrPermanent), nil, "", settings, nil).Webhook()
	f.Fuzz(func(t *testing.T, body string) {
		answer := func(signature string) int {
			request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/webhooks/stripe", strings.NewReader(body))
			request.Header.Set("Stripe-Signature", signature)
			recorder := httptest.NewRecorder()
			handler.ServeHTTP(recorder, request)
			return recorder.Code
		}
		signed := webhook.GenerateTestSignedPayload(&webhook.UnsignedPayload{Payload: []byte(body), Secret: stripesandbox.WebhookSecret})
		if status := answer(signed.Header); status != http.StatusOK && status != http.StatusBadRequest {
			t.Errorf("answered with %d", status)
		}
		forged := webhook.GenerateTestSignedPayload(&webhook.UnsignedPayload{Payload: []byte(body), Secret: "whsec_other"})
		for _, signature := range []string{forged.Header, body, ""} {
			if status := answer(signature); status != http.StatusBadRequest {
				t.Errorf("answered with %d to the signature %q", status, signature)
			}
		}
	})
}
