package stripesandbox

// Webhooks: each change enqueues, in its own transaction, a job that reports it.

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/stripe/stripe-go/v85/webhook"

	"studio/job"
)

const webhookKind = "stripe sandbox webhook"

var webhookClient = &http.Client{Timeout: 30 * time.Second}

type event struct {
	ID              string       `json:"id"`
	Object          string       `json:"object"`
	APIVersion      string       `json:"api_version"`
	Created         int64        `json:"created"`
	Data            eventData    `json:"data"`
	Livemode        bool         `json:"livemode"`
	PendingWebhooks int64        `json:"pending_webhooks"`
	Request         eventRequest `json:"request"`
	Type            string       `json:"type"`
}

type eventData struct {
	Object json.RawMessage `json:"object"`
}

// eventRequest is the request that caused an event; empty for what time caused.
type eventRequest struct {
	ID             *string `json:"id"`
	IdempotencyKey *string `json:"idempotency_key"`
}

// tell enqueues an event about an object. The event is kept nowhere else.
func (t *turn) tell(kind string, body []byte) error {
	if t.sandbox.webhookURL == "" {
		return nil
	}
	e := event{ID: newID("evt"), Object: "event", APIVersion: apiVersion, Created: t.now, Data: eventData{Object: body},
		PendingWebhooks: 1, Request: t.request, Type: kind}
	var options []job.Option
	if t.advancing {
		options = append(options, job.Foreground())
	}
	id, err := t.sandbox.jobs.Enqueue(t.ctx, t.tx, webhookKind, e, options...)
	if t.advancing {
		t.deliveries = append(t.deliveries, id)
	}
	return err
}

// deliver is the job: it posts an event as Stripe would. Any answer but 2xx means again later.
func (s *Sandbox) deliver(ctx context.Context, _ string, payload json.RawMessage) error {
	signed := webhook.GenerateTestSignedPayload(&webhook.UnsignedPayload{Payload: payload, Secret: WebhookSecret})
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.webhookURL, bytes.NewReader(payload))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json; charset=utf-8")
	request.Header.Set("Stripe-Signature", signed.Header)
	response, err := webhookClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode/100 != 2 {
		return fmt.Errorf("the webhook was answered with %s", response.Status)
	}
	return nil
}
