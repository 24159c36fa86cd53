// Package stripesandbox is the part of Stripe's HTTP API that billing and its tests use, stateful, for
// running without Stripe. Cards are Stripe's test payment methods, a clock can be moved ahead, what falls due
// on the way is billed, and signed webhooks report every change.
//
// Each request is one transaction that keeps all others waiting, in every process.
package stripesandbox

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"
	"go.jetify.com/typeid"

	"studio/db"
	"studio/job"
)

const (
	// SecretKey is what billing signs in with, though any test key will do.
	SecretKey = "sk_test_sandbox"
	// PublishableKey is what browsers get; nothing checks it.
	PublishableKey = "pk_test_sandbox"
	// WebhookSecret is what the server expects webhooks to be signed with.
	WebhookSecret = "whsec_sandbox"
)

// apiVersion is the version of Stripe's API that is spoken.
const apiVersion = "2026-03-25.dahlia"

// maxRequest is how many bytes a request may have.
const maxRequest = 1 << 20

// Sandbox stands in for Stripe.
type Sandbox struct {
	db         *db.DB
	jobs       *job.Queue
	webhookURL string
}

// New makes a sandbox that keeps everything in the database and delivers webhooks to webhookURL,
// signed with WebhookSecret; if the URL is "", none.
func New(database *db.DB, jobs *job.Queue, webhookURL string) *Sandbox {
	s := &Sandbox{db: database, jobs: jobs, webhookURL: webhookURL}
	job.Handle(jobs, webhookKind, job.Handler[json.RawMessage]{Do: s.deliver})
	return s
}

// turn is a request's turn at the sandbox: a transaction during which all others wait.
type turn struct {
	ctx     context.Context
	tx      *db.DB
	sandbox *Sandbox

	now     int64  // by the sandbox's clock; like all of Stripe's times in Unix seconds
	path    string // of the request
	id      string // that the path names
	form    form
	request eventRequest

	billed     int      // how many invoices were made
	advancing  bool     // by Advance, which delivers webhooks itself:
	deliveries []string // their jobs
}

// present is the time as properties have it that may be null.
func (t *turn) present() *int64 {
	now := t.now
	return &now
}

// newID makes an ID that sorts after all before it.
func newID(prefix string) string {
	id := uuid.Must(uuid.NewV7())
	return typeid.Must(typeid.FromUUIDBytesWithPrefix(prefix, id[:])).String()
}

// answer is what a request gets.
type answer struct {
	status   int
	body     []byte
	replayed bool
}

// API is Stripe's API, under /v1/.
func (s *Sandbox) API() http.Handler {
	mux := http.NewServeMux()
	for _, route := range routes {
		mux.HandleFunc(route.pattern, func(w http.ResponseWriter, r *http.Request) { s.serve(w, r, route) })
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.serve(w, r, route{do: func(*turn) (any, error) {
			return nil, &refusal{status: http.StatusNotFound, Type: "invalid_request_error",
				Message: "Unrecognized request URL (" + r.Method + ": " + r.URL.Path + ")."}
		}})
	})
	return mux
}

func (s *Sandbox) serve(w http.ResponseWriter, r *http.Request, route route) {
	requestID := newID("req")
	given, err := s.answer(w, r, route, requestID)
	switch refused, is := errors.AsType[*refusal](err); {
	case is:
		given = refused.answer()
	case err != nil:
		zerolog.Ctx(r.Context()).Error().Err(err).Str("request", requestID).Msg("the Stripe sandbox failed")
		given = (&refusal{status: http.StatusInternalServerError, Type: "api_error", Message: "The sandbox failed; its log tells why."}).answer()
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Request-Id", requestID)
	w.Header().Set("Stripe-Version", apiVersion)
	if given.replayed {
		w.Header().Set("Idempotent-Replayed", "true")
	}
	w.WriteHeader(given.status)
	_, _ = w.Write(given.body)
}

// answer does what a request asks for, or finds what was answered to it before.
func (s *Sandbox) answer(w http.ResponseWriter, r *http.Request, route route, requestID string) (given *answer, err error) {
	key, found := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !found || !strings.HasPrefix(key, "sk_test_") {
		return nil, &refusal{status: http.StatusUnauthorized, Type: "invalid_request_error",
			Message: "Invalid API Key provided: give a test key (sk_test_...) as the bearer token."}
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxRequest)
	if err := r.ParseForm(); err != nil {
		return nil, invalid("", "", "Invalid request: %v", err)
	}
	idempotencyKey := ""
	if r.Method == http.MethodPost { // others repeat by themselves
		idempotencyKey = r.Header.Get("Idempotency-Key")
	}
	request := r.Method + " " + r.URL.Path + "?" + r.Form.Encode()
	err = s.db.InTx(r.Context(), func(tx *db.DB) error {
		ahead, err := tx.LockSandbox(r.Context())
		if err != nil {
			return err
		}
		t := &turn{ctx: r.Context(), tx: tx, sandbox: s}
		if err := t.settle(tx.Now().Add(ahead).Unix()); err != nil {
			return err
		}
		// Clients learn the sandbox's time from this, as they would Stripe's.
		w.Header().Set("Date", time.Unix(t.now, 0).UTC().Format(http.TimeFormat))
		if idempotencyKey != "" {
			stored, err := tx.SandboxAnswerTo(t.ctx, idempotencyKey)
			if err == nil && stored.Request != request {
				return &refusal{status: http.StatusBadRequest, Type: "idempotency_error",
					Message: "Keys for idempotent requests can only be used with the same parameters they were first used with."}
			}
			if err == nil {
				given = &answer{status: stored.Status, body: []byte(stored.Body), replayed: true}
				return nil
			}
			if !errors.Is(err, db.ErrNotFound) {
				return err
			}
			t.request.IdempotencyKey = &idempotencyKey
		}
		t.path, t.id, t.form, t.request.ID = r.URL.Path, r.PathValue("id"), form(r.Form), &requestID
		if given, err = t.do(route); err != nil || idempotencyKey == "" {
			return err
		}
		return tx.InsertSandboxAnswer(t.ctx, &db.SandboxAnswer{
			Key: idempotencyKey, Request: request, Status: given.status, Body: string(given.body), CreatedAt: tx.Now(),
		})
	})
	return given, err
}

// do makes the answer. Of a request that is refused, nothing but the answer is kept.
func (t *turn) do(route route) (given *answer, err error) {
	outer := t.tx
	defer func() { t.tx = outer }()
	err = outer.Attempt(t.ctx, func(tx *db.DB) error {
		t.tx = tx
		if err := t.form.check(route.params); err != nil {
			return err
		}
		object, err := route.do(t)
		if err == nil {
			object, err = t.expand(object, t.form.texts("expand"))
		}
		switch refused, is := errors.AsType[*refusal](err); {
		case is && refused.kept:
			given = refused.answer()
			return nil
		case err != nil:
			return err
		}
		body, err := json.Marshal(object)
		given = &answer{status: http.StatusOK, body: body}
		return err
	})
	if refused, is := errors.AsType[*refusal](err); is {
		return refused.answer(), nil
	}
	return given, err
}
