package stripesandbox

// Time: what falls due is billed in its order, whether time passes by itself or is moved ahead.

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"studio/db"
)

const (
	dueKind = "due"
	// incompleteFor is how long a subscription waits for its first payment.
	incompleteFor = 23 * 60 * 60
	// maxYears is how far the clock is moved at once.
	maxYears = 5
)

// due is a note that something is to be looked at. What has changed by then needs no look.
type due struct {
	At      int64  `json:"at"`
	Object  string `json:"object"`
	Retries int    `json:"retries"`
}

// dueID sorts by time.
func dueID(at int64, object string) string { return fmt.Sprintf("due_%012d_%s", at, object) }

func (t *turn) schedule(at int64, object string, retries int) error {
	body, err := json.Marshal(due{At: at, Object: object, Retries: retries})
	if err != nil {
		return err
	}
	return t.tx.PutSandboxObject(t.ctx, &db.SandboxObject{ID: dueID(at, object), Kind: dueKind, Body: string(body)})
}

// settle does what has fallen due until then, each at its time.
func (t *turn) settle(until int64) error {
	for {
		row, err := t.tx.FirstSandboxObject(t.ctx, dueKind, dueID(until+1, ""))
		if errors.Is(err, db.ErrNotFound) {
			t.now = until
			return nil
		}
		if err != nil {
			return err
		}
		var d due
		if err := json.Unmarshal([]byte(row.Body), &d); err != nil {
			return err
		}
		if err := t.tx.DeleteSandboxObject(t.ctx, row.ID); err != nil {
			return err
		}
		t.now = d.At
		if strings.HasPrefix(d.Object, "in_") {
			err = t.retry(d)
		} else {
			err = t.renew(d)
		}
		if err != nil {
			return err
		}
	}
}

// renew begins a subscription's next period.
func (t *turn) renew(d due) error {
	s, err := find[subscription](t, d.Object, inPath)
	if err != nil || s.over() {
		return err
	}
	if s.Status == "incomplete" {
		return t.expire(s)
	}
	if s.end() != d.At {
		return nil
	}
	if err := t.dropEnded(s); err != nil {
		return err
	}
	s.begin(d.At)
	lines, err := t.periodLines(s)
	if err != nil {
		return err
	}
	if err := t.bill(s, "subscription_cycle", lines, false); err != nil {
		return err
	}
	if err := t.schedule(s.end(), s.ID, 0); err != nil {
		return err
	}
	return save(t, s, "customer.subscription.updated")
}

// expire ends a subscription that was never paid for.
func (t *turn) expire(s *subscription) error {
	if err := t.stopCollecting(s); err != nil {
		return err
	}
	s.Status, s.EndedAt = "incomplete_expired", t.present()
	return save(t, s, "customer.subscription.updated")
}

// retry tries again to collect an invoice.
func (t *turn) retry(d due) error {
	in, err := find[invoice](t, d.Object, inPath)
	if err != nil || in.Status != "open" || in.NextPaymentAttempt == nil || *in.NextPaymentAttempt != d.At {
		return err
	}
	s, err := find[subscription](t, in.Parent.SubscriptionDetails.Subscription, inPath)
	if err != nil {
		return err
	}
	before := s.Status
	if _, err := t.collectOrRetry(in, s, d.Retries); err != nil || s.Status == before {
		return err
	}
	return save(t, s, "customer.subscription.updated")
}

// Advance moves the clock ahead when {"to": RFC 3339} is posted.
func (s *Sandbox) Advance() http.Handler {
	// A page that somebody has open in a browser must not move the clock.
	return http.NewCrossOriginProtection().Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body struct {
			To time.Time `json:"to"`
		}
		err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest)).Decode(&body)
		if err != nil {
			tell(w, http.StatusBadRequest, map[string]any{"error": `the body must be {"to": "2026-01-31T12:00:00Z"}, with the time to move the clock to`})
			return
		}
		now, billed, err := s.advance(r, body.To)
		switch refused, is := errors.AsType[*refusal](err); {
		case is:
			tell(w, refused.status, map[string]any{"error": refused.Message, "now": now})
		case err != nil:
			zerolog.Ctx(r.Context()).Error().Err(err).Msg("the Stripe sandbox failed")
			tell(w, http.StatusInternalServerError, map[string]any{"error": "the sandbox failed; its log tells why"})
		default:
			tell(w, http.StatusOK, map[string]any{"now": now, "invoices": billed})
		}
	}))
}

func tell(w http.ResponseWriter, status int, body map[string]any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

// advance moves the clock, bills what falls due on the way, and then reports it.
func (s *Sandbox) advance(r *http.Request, to time.Time) (now time.Time, billed int, err error) {
	var deliveries []string
	err = s.db.InTx(r.Context(), func(tx *db.DB) error {
		ahead, err := tx.LockSandbox(r.Context())
		if err != nil {
			return err
		}
		present := tx.Now()
		now = present.Add(ahead)
		switch {
		case !to.After(now):
			return invalid("", "to", "the sandbox's clock is at %s already; it only moves ahead", now.Format(time.RFC3339))
		case to.After(now.AddDate(maxYears, 0, 0)):
			return invalid("", "to", "the sandbox's clock is at %s; move it by at most %d years at once", now.Format(time.RFC3339), maxYears)
		}
		// Whole seconds, not before the given time.
		ahead = (to.Sub(present) + time.Second - 1).Truncate(time.Second)
		if err := tx.SetSandboxAhead(r.Context(), ahead); err != nil {
			return err
		}
		now = present.Add(ahead)
		t := &turn{ctx: r.Context(), tx: tx, sandbox: s, advancing: true}
		err = t.settle(now.Unix())
		billed, deliveries = t.billed, t.deliveries
		return err
	})
	if err != nil {
		return now, 0, err
	}
	for _, id := range deliveries {
		if err := s.jobs.Do(r.Context(), id); err != nil {
			zerolog.Ctx(r.Context()).Warn().Err(err).Str("job", id).Msg("a webhook could not be delivered yet")
		}
	}
	return now.Truncate(time.Second), billed, nil
}
