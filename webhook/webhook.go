// Package webhook sends what happens in an organization to endpoints that its owners name, signed as
// the Standard Webhooks specification says.
//
// A delivery and its job are written in the transaction of the event, by event.Record. Jobs of one
// endpoint run one at a time, in a queue of their own, so that an endpoint that hangs keeps neither
// mails nor bills waiting. One that failed is tried again later, and those after it go on.
package webhook

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"studio/db"
	"studio/event"
	"studio/fault"
	"studio/job"
	"studio/organization"
	"studio/text"
)

const (
	// MaxEndpoints is how many an organization may have.
	MaxEndpoints = 10
	maxURL       = 2_000
	// retention is how long deliveries are kept.
	retention = 30 * 24 * time.Hour
	// oldSecretLifetime is how long messages are also signed with the secrets before a rotation.
	oldSecretLifetime = 24 * time.Hour
	// maxSecrets keeps the header that has a signature by each small.
	maxSecrets = 10
)

// Webhooks applies the rules and delivers.
type Webhooks struct {
	db     *db.DB
	queue  *job.Queue
	key    []byte
	guard  guard
	client *http.Client
}

// New makes the rules work on a database. Secrets are derived from the key, without which there can be
// no endpoints. The networks may be called although they are not public, and without TLS.
func New(database *db.DB, key []byte, networks []netip.Prefix) *Webhooks {
	w := &Webhooks{db: database, queue: job.NewQueue(database, nil), key: key, guard: newGuard(networks)}
	w.client = newClient(w.guard)
	// An endpoint is a lane, so that an organization whose endpoints hang leaves most workers to others.
	job.Handle(w.queue, event.DeliveryJob, job.Handler[event.DeliveryPayload]{Do: w.deliver, Failed: w.giveUp, Workers: 4 * MaxEndpoints})
	return w
}

// Run delivers until ctx is done.
func (w *Webhooks) Run(ctx context.Context) {
	w.db.Listen(ctx, func(signal string) {
		if event.HasDeliveries(signal) {
			w.queue.Wake(event.DeliveryJob)
		}
	})
	w.queue.Run(ctx)
}

// Sweep forgets old deliveries.
func (w *Webhooks) Sweep(ctx context.Context) error {
	return w.db.DeleteWebhookDeliveries(ctx, w.db.Now().Add(-retention))
}

var endpoints = organization.Owned[db.WebhookEndpoint]{
	Find:           (*db.DB).WebhookEndpointByID,
	OrganizationID: func(e *db.WebhookEndpoint) string { return e.OrganizationID },
	Missing:        fault.ErrNoWebhookEndpoint.On("webhookEndpointId"),
}

// Create adds an endpoint for events of some types, of all when there are none, and returns its secret.
func (w *Webhooks) Create(ctx context.Context, actor *db.User, organizationID, address string, types []db.EventType) (*db.WebhookEndpoint, string, error) {
	if len(w.key) == 0 {
		return nil, "", fault.New(fault.Unavailable, "This server has no STUDIO_WEBHOOK_KEY, without which it can sign nothing. Ask those who run it to set it.")
	}
	address, err := w.checkURL(address)
	if err != nil {
		return nil, "", err
	}
	created := &db.WebhookEndpoint{
		ID: db.NewID(db.WebhookEndpointPrefix), OrganizationID: organizationID, URL: address, SecretVersion: 1, OldestSecret: 1,
		CreatedByID: &actor.ID, CreatedAt: w.db.Now(),
	}
	created.SetEventTypes(sorted(types))
	err = w.db.InTx(ctx, func(tx *db.DB) error {
		if _, err := organization.LockAsOwner(ctx, tx, actor, organizationID, organization.ErrMissing); err != nil {
			return err
		}
		existing, err := tx.WebhookEndpointsOfOrganizations(ctx, []string{organizationID})
		if err != nil {
			return err
		}
		if len(existing[0]) >= MaxEndpoints {
			return fault.Invalid("organizationId", "An organization has at most %d webhook endpoints. Delete one first.", MaxEndpoints)
		}
		if err := tx.InsertWebhookEndpoint(ctx, created); err != nil {
			return err
		}
		return record(ctx, tx, db.WebhookEndpointCreated, actor, created, "added")
	})
	if err != nil {
		return nil, "", err
	}
	return created, w.secret(created.ID, created.SecretVersion), nil
}

// Change is what to change about an endpoint; nil stays.
type Change struct {
	URL        *string
	EventTypes *[]db.EventType
	Enabled    *bool
}

// Update changes an endpoint. Enabling one forgets its failures.
func (w *Webhooks) Update(ctx context.Context, actor *db.User, id string, change Change) (*db.WebhookEndpoint, error) {
	if change.URL != nil {
		address, err := w.checkURL(*change.URL)
		if err != nil {
			return nil, err
		}
		change.URL = &address
	}
	return endpoints.Change(ctx, w.db, actor, id, func(tx *db.DB, _ *db.Organization, endpoint *db.WebhookEndpoint) error {
		if change.URL != nil {
			endpoint.URL = *change.URL
		}
		if change.EventTypes != nil {
			endpoint.SetEventTypes(sorted(*change.EventTypes))
		}
		if change.Enabled != nil {
			endpoint.FailingSince, endpoint.DisabledAt = nil, nil
			if now := tx.Now(); !*change.Enabled {
				endpoint.DisabledAt = &now
			}
		}
		if err := tx.UpdateWebhookEndpoint(ctx, endpoint); err != nil {
			return err
		}
		return record(ctx, tx, db.WebhookEndpointUpdated, actor, endpoint, "changed")
	})
}

// Rotate gives an endpoint a new secret. For a day, messages are signed with the old one as well, and with
// those that they were signed with until now.
func (w *Webhooks) Rotate(ctx context.Context, actor *db.User, id string) (*db.WebhookEndpoint, string, error) {
	rotated, err := endpoints.Change(ctx, w.db, actor, id, func(tx *db.DB, _ *db.Organization, endpoint *db.WebhookEndpoint) error {
		now := tx.Now()
		endpoint.OldestSecret = oldestSecret(endpoint, now)
		endpoint.SecretVersion, endpoint.RotatedAt = endpoint.SecretVersion+1, &now
		if err := tx.UpdateWebhookEndpoint(ctx, endpoint); err != nil {
			return err
		}
		return record(ctx, tx, db.WebhookEndpointUpdated, actor, endpoint, "rotated the secret of")
	})
	if err != nil {
		return nil, "", err
	}
	return rotated, w.secret(rotated.ID, rotated.SecretVersion), nil
}

// Delete removes an endpoint; what was on its way to it is not sent any more.
func (w *Webhooks) Delete(ctx context.Context, actor *db.User, id string) error {
	_, err := endpoints.Change(ctx, w.db, actor, id, func(tx *db.DB, _ *db.Organization, endpoint *db.WebhookEndpoint) error {
		if err := tx.DeleteWebhookEndpoint(ctx, endpoint); err != nil {
			return err
		}
		return record(ctx, tx, db.WebhookEndpointDeleted, actor, endpoint, "deleted")
	})
	return err
}

// Test sends an endpoint a message that is about nothing.
func (w *Webhooks) Test(ctx context.Context, actor *db.User, id string) (delivery *db.WebhookDelivery, err error) {
	_, err = endpoints.Change(ctx, w.db, actor, id, func(tx *db.DB, _ *db.Organization, endpoint *db.WebhookEndpoint) error {
		if endpoint.DisabledAt != nil {
			return fault.Invalid("webhookEndpointId", "This endpoint is disabled. Enable it first.")
		}
		delivery, err = event.InsertDelivery(ctx, tx, endpoint.ID, nil)
		tx.AfterCommit(func() { w.queue.Wake(event.DeliveryJob) })
		return err
	})
	return delivery, err
}

func record(ctx context.Context, tx *db.DB, kind db.EventType, actor *db.User, endpoint *db.WebhookEndpoint, did string) error {
	summary := fmt.Sprintf("%s %s the webhook endpoint at %s.", actor.Name(), did, host(endpoint))
	return event.Record(ctx, tx, endpoint.OrganizationID, kind, actor, endpoint.ID, summary)
}

// host is what may be shown of an endpoint: its path may hold what only the receiver should know.
func host(endpoint *db.WebhookEndpoint) string {
	parsed, err := url.Parse(endpoint.URL)
	if err != nil {
		return "?"
	}
	return parsed.Host
}

func sorted(types []db.EventType) []db.EventType {
	return slices.Compact(slices.Sorted(slices.Values(types)))
}

// checkURL accepts what may be called, as far as that can be known without looking the name up; newClient checks
// the address that it then has, at each call.
func (w *Webhooks) checkURL(address string) (string, error) {
	parsed, err := url.Parse(strings.TrimSpace(address))
	unprintable := func(c rune) bool { return c <= ' ' || c > '~' }
	if err != nil || parsed.Hostname() == "" || parsed.User != nil || parsed.Fragment != "" || len(address) > maxURL ||
		strings.ContainsFunc(parsed.String(), unprintable) || !validPort(parsed.Port()) {
		return "", fault.Invalid("url", "Enter a URL such as https://example.com/studio, of at most %d characters and without a login.", maxURL)
	}
	if err := text.Plain("url", parsed.Host); err != nil { // which is in the log, written out
		return "", err
	}
	if err := w.guard.permits(parsed); err != nil {
		return "", err
	}
	return parsed.String(), nil
}

// validPort is what net/url leaves unchecked; no port stands for that of the scheme.
func validPort(port string) bool {
	number, err := strconv.ParseUint(port, 10, 16)
	return port == "" || err == nil && number > 0
}
