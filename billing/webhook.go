package billing

// Webhooks: Stripe tells that something about a customer has changed, and we look for ourselves what.

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"

	"github.com/rs/zerolog"
	"github.com/stripe/stripe-go/v85"
	"github.com/stripe/stripe-go/v85/webhook"

	"studio/db"
)

const maxWebhook = 1 << 20

// outcome is what comes of a webhook: how it is answered, and how it is counted.
type outcome struct {
	status int
	name   string
}

var (
	handled   = outcome{http.StatusOK, "handled"}
	repeated  = outcome{http.StatusOK, "repeated"}
	ignored   = outcome{http.StatusOK, "ignored"}
	refused   = outcome{http.StatusBadRequest, "refused"}
	tooLarge  = outcome{http.StatusRequestEntityTooLarge, "refused"}
	notPosted = outcome{http.StatusMethodNotAllowed, "refused"}
	unhandled = outcome{http.StatusServiceUnavailable, "failed"} // Stripe sends it again
)

// telling are the types of events that can tell of something to mirror. Others come along with one of
// these, or tell of what we did ourselves; README lists them for the endpoint's settings.
var telling = []stripe.EventType{
	stripe.EventTypeCustomerUpdated,
	stripe.EventTypeCustomerSubscriptionUpdated,
	stripe.EventTypeCustomerSubscriptionDeleted,
	stripe.EventTypeInvoiceFinalized,
	stripe.EventTypeInvoicePaid,
	stripe.EventTypeInvoicePaymentFailed,
	stripe.EventTypeInvoiceVoided,
	stripe.EventTypeInvoiceMarkedUncollectible,
	stripe.EventTypePaymentMethodUpdated,
	stripe.EventTypePaymentMethodAutomaticallyUpdated,
	stripe.EventTypePaymentMethodDetached,
}

// Webhook receives Stripe's events.
func (b *Billing) Webhook() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		out := b.receive(w, r)
		b.webhooks.WithLabelValues(out.name).Inc()
		if out == notPosted {
			w.Header().Set("Allow", http.MethodPost)
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(out.status)
		_, _ = io.WriteString(w, out.name+"\n")
	})
}

func (b *Billing) receive(w http.ResponseWriter, r *http.Request) outcome {
	if r.Method != http.MethodPost {
		return notPosted
	}
	payload, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxWebhook))
	if _, is := errors.AsType[*http.MaxBytesError](err); is {
		return tooLarge
	}
	if err != nil {
		return refused
	}
	// Which version of the API the endpoint speaks makes no difference to the few fields that are read.
	told, err := webhook.ConstructEventWithOptions(payload, r.Header.Get("Stripe-Signature"), b.settings.WebhookSecret,
		webhook.ConstructEventOptions{IgnoreAPIVersionMismatch: true})
	if err != nil || told.ID == "" {
		return refused
	}
	out, err := b.handleEvent(r.Context(), &told)
	if err != nil {
		zerolog.Ctx(r.Context()).Error().Err(err).Str("event", told.ID).Str("type", string(told.Type)).Msg("a webhook of Stripe's failed")
		return unhandled
	}
	return out
}

// handleEvent refreshes the organization that an event is about.
func (b *Billing) handleEvent(ctx context.Context, told *stripe.Event) (outcome, error) {
	customerID := customerOf(told)
	if customerID == "" {
		return ignored, nil
	}
	known, err := b.db.StripeEventKnown(ctx, told.ID)
	if err != nil {
		return unhandled, err
	}
	if known {
		return repeated, nil
	}
	account, err := b.db.BillingAccountByCustomer(ctx, customerID)
	if errors.Is(err, db.ErrNotFound) {
		return ignored, nil // somebody else's, or too new: then a job is about to look by itself
	}
	if err != nil {
		return unhandled, err
	}
	return handled, b.refreshAtOnce(ctx, task{OrganizationID: account.OrganizationID, EventID: told.ID})
}

// customerOf is the customer that an event is about, "" for what is not mirrored.
func customerOf(told *stripe.Event) string {
	if !slices.Contains(telling, told.Type) || told.Data == nil {
		return ""
	}
	name := "customer"
	if told.Data.Object["object"] == "customer" {
		name = "id"
	}
	if id, is := told.Data.Object[name].(string); is {
		return id
	}
	// Of a payment method that was detached.
	id, _ := told.Data.PreviousAttributes[name].(string)
	return id
}

var errHeard = errors.New("this webhook has had its effect")

// hear refreshes because of an event, which has its effect once.
func (b *Billing) hear(ctx context.Context, t task) error {
	_, err := b.refresh(ctx, t.OrganizationID, cause{}, func(tx *db.DB) error {
		isNew, err := tx.InsertStripeEvent(ctx, t.EventID)
		if err == nil && !isNew {
			return errHeard
		}
		return err
	})
	if errors.Is(err, errHeard) {
		return nil
	}
	return err
}
