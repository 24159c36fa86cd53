package webhook

// Delivering: one job, one attempt.

import (
	"bytes"
	"cmp"
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"code.dny.dev/ssrf"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"studio/db"
	"studio/event"
)

const (
	// maxAttempts, with the queue's backoff, gives up after about a day, which is maxTrying.
	maxAttempts = 17
	maxTrying   = 24 * time.Hour
	// maxFailing is how long nothing may arrive until an endpoint is disabled.
	maxFailing = 5 * 24 * time.Hour
)

// message is the body of a call, as Standard Webhooks has it.
type message struct {
	Type      string    `json:"type"`
	Timestamp time.Time `json:"timestamp"`
	Data      any       `json:"data"`
}

type eventData struct {
	ID             string  `json:"id"`
	Cursor         string  `json:"cursor"`
	OrganizationID string  `json:"organizationId"`
	ActorID        *string `json:"actorId"`
	SubjectID      string  `json:"subjectId"`
	Summary        string  `json:"summary"`
}

// testType is the type of messages that tell of nothing.
const testType = "TEST"

// deliver makes an attempt. The error means that there is to be another.
func (w *Webhooks) deliver(ctx context.Context, _ string, p event.DeliveryPayload) error {
	delivery, err := w.unmade(ctx, p.DeliveryID)
	if err != nil || delivery == nil {
		return err
	}
	endpoint, err := w.db.WebhookEndpointByID(ctx, delivery.EndpointID)
	if err != nil {
		return err
	}
	if endpoint.DisabledAt != nil {
		delivery.Status = db.DeliveryFailed
		return w.db.UpdateWebhookDelivery(ctx, delivery)
	}
	id, body, err := w.message(ctx, delivery)
	if err != nil {
		return err
	}

	now, begun := w.db.Now(), time.Now()
	status, callErr := w.call(ctx, endpoint, id, body)
	latency := int(time.Since(begun).Milliseconds())
	delivery.Attempts++
	delivery.AttemptedAt, delivery.LatencyMs, delivery.StatusCode, delivery.Error = &now, &latency, nil, nil
	if status != 0 {
		delivery.StatusCode = &status
	}
	if callErr != nil {
		text := callErr.Error()
		delivery.Error = &text
	}
	disabled, err := w.noteOutcome(ctx, endpoint, delivery)
	if err != nil {
		return err
	}
	switch {
	case callErr == nil:
		delivery.Status = db.DeliveryMade
	case disabled || delivery.Attempts >= maxAttempts:
		delivery.Status, callErr = db.DeliveryFailed, nil // it is over, and the job too
	}
	return errors.Join(callErr, w.db.UpdateWebhookDelivery(ctx, delivery))
}

// giveUp ends a delivery whose job had no attempt left: those that were cut off count only for the job.
func (w *Webhooks) giveUp(ctx context.Context, _ string, p event.DeliveryPayload) error {
	delivery, err := w.unmade(ctx, p.DeliveryID)
	if err != nil || delivery == nil {
		return err
	}
	delivery.Status = db.DeliveryFailed
	return w.db.UpdateWebhookDelivery(ctx, delivery)
}

// unmade is a delivery that is still to be made; nil when it was made, or is gone, with its endpoint or for its age.
func (w *Webhooks) unmade(ctx context.Context, id string) (*db.WebhookDelivery, error) {
	delivery, err := w.db.WebhookDeliveryByID(ctx, id)
	if errors.Is(err, db.ErrNotFound) || err == nil && delivery.Status == db.DeliveryMade {
		return nil, nil
	}
	return delivery, err
}

// noteOutcome keeps since when nothing arrives at an endpoint, and disables one at which nothing has for
// days, or that says that it is gone. As nothing may have been sent in those days, the delivery must have
// been tried for its own day as well. Of an endpoint that was changed during the call, the call tells nothing.
func (w *Webhooks) noteOutcome(ctx context.Context, called *db.WebhookEndpoint, delivery *db.WebhookDelivery) (disabled bool, err error) {
	now, arrived := w.db.Now(), delivery.Error == nil
	gone := delivery.StatusCode != nil && *delivery.StatusCode == http.StatusGone
	spent := delivery.Attempts >= maxAttempts || now.Sub(delivery.CreatedAt) >= maxTrying
	over := gone || !arrived && spent && called.FailingSince != nil && now.Sub(*called.FailingSince) >= maxFailing
	if !over && arrived == (called.FailingSince == nil) {
		return false, nil
	}
	err = w.db.InTx(ctx, func(tx *db.DB) error {
		disabled = false
		if _, err := tx.LockOrganization(ctx, called.OrganizationID); err != nil {
			return err
		}
		endpoint, err := tx.WebhookEndpointByID(ctx, called.ID)
		if err != nil || endpoint.DisabledAt != nil || changed(endpoint, called) {
			return err
		}
		switch {
		case arrived:
			endpoint.FailingSince = nil
		case endpoint.FailingSince == nil:
			endpoint.FailingSince = &now
		}
		if over {
			endpoint.DisabledAt = &now
		}
		if err := tx.UpdateWebhookEndpoint(ctx, endpoint); err != nil || !over {
			return err
		}
		disabled = true
		summary := fmt.Sprintf("The webhook endpoint at %s was disabled, as nothing arrives there.", host(endpoint))
		return event.Record(ctx, tx, endpoint.OrganizationID, db.WebhookEndpointUpdated, nil, endpoint.ID, summary)
	})
	if errors.Is(err, db.ErrNotFound) { // deleted, or its organization
		return false, nil
	}
	return disabled, err
}

// changed tells whether an owner has sent an endpoint's messages elsewhere since a call, or has enabled it,
// which forgets its failures.
func changed(endpoint, called *db.WebhookEndpoint) bool {
	never := &time.Time{}
	return endpoint.URL != called.URL || !cmp.Or(endpoint.FailingSince, never).Equal(*cmp.Or(called.FailingSince, never))
}

// message is what is delivered, and the ID by which a receiver knows it when it comes again.
func (w *Webhooks) message(ctx context.Context, delivery *db.WebhookDelivery) (id string, body []byte, err error) {
	if delivery.EventID == nil {
		body, err = json.Marshal(message{testType, delivery.CreatedAt, struct{}{}})
		return delivery.ID, body, err
	}
	e, err := w.db.EventByID(ctx, *delivery.EventID)
	if err != nil {
		return "", nil, err
	}
	body, err = json.Marshal(message{string(e.Type), e.CreatedAt, eventData{
		ID: e.ID, Cursor: event.Cursor(e), OrganizationID: e.OrganizationID, ActorID: e.ActorID, SubjectID: e.SubjectID, Summary: e.Summary,
	}})
	return e.ID, body, err
}

// call sends a message. The status is 0 when no answer came; the error is for the owners.
func (w *Webhooks) call(ctx context.Context, endpoint *db.WebhookEndpoint, id string, body []byte) (status int, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint.URL, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	if err := w.guard.permits(request.URL); err != nil { // the setting may have changed
		return 0, errors.New(err.Error()) // a fault would end the job
	}
	now := w.db.Now()
	signature, err := w.sign(endpoint, id, now, body)
	if err != nil {
		return 0, err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", "Studio-Webhooks")
	request.Header.Set(standardwebhooks.HeaderWebhookID, id)
	request.Header.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(now.Unix(), 10))
	request.Header.Set(standardwebhooks.HeaderWebhookSignature, signature)
	response, err := w.client.Do(request)
	switch timeout, is := errors.AsType[net.Error](err); {
	case err == nil:
		_ = response.Body.Close()
	case errors.Is(err, ssrf.ErrProhibitedIP):
		return 0, errors.New("the address is not on the public internet")
	case is && timeout.Timeout():
		return 0, fmt.Errorf("no answer within %s", callTimeout)
	default:
		return 0, errors.New("no answer came, or none that is HTTP")
	}
	switch {
	case response.StatusCode >= 300 && response.StatusCode < 400:
		return response.StatusCode, errors.New("the endpoint redirects elsewhere, which is not followed")
	case response.StatusCode < 200 || response.StatusCode > 299:
		return response.StatusCode, errors.New("the endpoint refused the message")
	}
	return response.StatusCode, nil
}

// oldestSecret is the first version, up to the newest, of the secrets that messages are signed with.
func oldestSecret(endpoint *db.WebhookEndpoint, at time.Time) int {
	if endpoint.RotatedAt == nil || !at.Before(endpoint.RotatedAt.Add(oldSecretLifetime)) {
		return endpoint.SecretVersion
	}
	return max(endpoint.OldestSecret, endpoint.SecretVersion-maxSecrets+1)
}

// sign signs a message, with each secret that a receiver may know it by.
func (w *Webhooks) sign(endpoint *db.WebhookEndpoint, id string, at time.Time, body []byte) (string, error) {
	if len(w.key) == 0 {
		return "", errors.New("the server has no key to sign with")
	}
	var signatures []string
	for version := oldestSecret(endpoint, at); version <= endpoint.SecretVersion; version++ {
		signer, err := standardwebhooks.NewWebhook(w.secret(endpoint.ID, version))
		if err != nil {
			return "", err
		}
		signature, err := signer.Sign(id, at, body)
		if err != nil {
			return "", err
		}
		signatures = append(signatures, signature)
	}
	return strings.Join(signatures, " "), nil
}

// secret derives an endpoint's secret, so that it need not be kept.
func (w *Webhooks) secret(endpointID string, version int) string {
	secret, err := hkdf.Key(sha256.New, w.key, nil, fmt.Sprintf("webhook secret %d of %s", version, endpointID), 32)
	if err != nil {
		panic(err) // the length is one that SHA-256 yields
	}
	return "whsec_" + base64.StdEncoding.EncodeToString(secret)
}
