package db

import (
	"context"
	"strings"
	"time"

	"github.com/uptrace/bun"
)

// WebhookEndpoint is where an organization has its events sent to.
type WebhookEndpoint struct {
	bun.BaseModel `bun:"table:webhook_endpoints,alias:we"`

	ID             string `bun:"id,pk"`
	OrganizationID string `bun:"organization_id"`
	URL            string `bun:"url"`
	// Types are the event types, separated by blanks; "" for all.
	Types         string `bun:"event_types"`
	SecretVersion int    `bun:"secret_version"`
	// OldestSecret is the first version that messages are signed with in the day after RotatedAt.
	OldestSecret int        `bun:"oldest_secret"`
	RotatedAt    *time.Time `bun:"rotated_at"`
	// FailingSince is the first failure after which nothing has arrived.
	FailingSince *time.Time `bun:"failing_since"`
	DisabledAt   *time.Time `bun:"disabled_at"`
	CreatedByID  *string    `bun:"created_by_id"`
	CreatedAt    time.Time  `bun:"created_at"`
}

// EventTypes are the types that the endpoint is sent; nil for all.
func (e *WebhookEndpoint) EventTypes() []EventType {
	var types []EventType
	for name := range strings.FieldsSeq(e.Types) {
		types = append(types, EventType(name))
	}
	return types
}

// SetEventTypes is the reverse of EventTypes.
func (e *WebhookEndpoint) SetEventTypes(types []EventType) {
	names := make([]string, len(types))
	for i, name := range types {
		names[i] = string(name)
	}
	e.Types = strings.Join(names, " ")
}

// WebhookDeliveryStatus is how far a delivery to a webhook endpoint has come.
type WebhookDeliveryStatus string

// The statuses of deliveries.
const (
	DeliveryPending WebhookDeliveryStatus = "PENDING"
	DeliveryMade    WebhookDeliveryStatus = "DELIVERED"
	DeliveryFailed  WebhookDeliveryStatus = "FAILED"
)

// WebhookDelivery is one message to an endpoint, and how its newest attempt went.
type WebhookDelivery struct {
	bun.BaseModel `bun:"table:webhook_deliveries,alias:wd"`

	ID         string `bun:"id,pk"`
	EndpointID string `bun:"endpoint_id"`
	// EventID is nil for a test.
	EventID     *string               `bun:"event_id"`
	JobID       string                `bun:"job_id"`
	Status      WebhookDeliveryStatus `bun:"status"`
	Attempts    int                   `bun:"attempts"`
	StatusCode  *int                  `bun:"status_code"`
	Error       *string               `bun:"error"`
	LatencyMs   *int                  `bun:"latency_ms"`
	AttemptedAt *time.Time            `bun:"attempted_at"`
	CreatedAt   time.Time             `bun:"created_at"`
	// NextAttemptAt is the job's, read along; nil when the delivery is made or given up.
	NextAttemptAt *time.Time `bun:"next_attempt_at,scanonly"`
}

var deliveryOrder = order{columns: []string{"id"}, descending: true}

// InsertWebhookEndpoint adds an endpoint; the organization's row must be locked.
func (d *DB) InsertWebhookEndpoint(ctx context.Context, endpoint *WebhookEndpoint) error {
	if err := executed(d.bun.NewInsert().Model(endpoint).Exec(ctx)); err != nil {
		return err
	}
	return d.countWebhookEndpoints(ctx, endpoint.OrganizationID)
}

// UpdateWebhookEndpoint stores all of an endpoint; the organization's row must be locked.
func (d *DB) UpdateWebhookEndpoint(ctx context.Context, endpoint *WebhookEndpoint) error {
	if err := requireRow(d.bun.NewUpdate().Model(endpoint).WherePK().Exec(ctx)); err != nil {
		return err
	}
	return d.countWebhookEndpoints(ctx, endpoint.OrganizationID)
}

// DeleteWebhookEndpoint removes an endpoint and its deliveries; the organization's row must be locked.
func (d *DB) DeleteWebhookEndpoint(ctx context.Context, endpoint *WebhookEndpoint) error {
	if err := requireRow(d.bun.NewDelete().Model(endpoint).WherePK().Exec(ctx)); err != nil {
		return err
	}
	return d.countWebhookEndpoints(ctx, endpoint.OrganizationID)
}

// countWebhookEndpoints keeps the number by which whoever records an event knows whether there are any.
func (d *DB) countWebhookEndpoints(ctx context.Context, organizationID string) error {
	enabled := d.bun.NewSelect().Model((*WebhookEndpoint)(nil)).ColumnExpr("count(*)").
		Where("organization_id = ?", organizationID).Where("disabled_at IS NULL")
	return requireRow(d.bun.NewUpdate().Model((*Organization)(nil)).Set("webhook_endpoints = (?)", enabled).
		Where("id = ?", organizationID).Exec(ctx))
}

// WebhookEndpointByID finds an endpoint, also of an organization that is deleted.
func (d *DB) WebhookEndpointByID(ctx context.Context, id string) (*WebhookEndpoint, error) {
	if err := wellFormed(WebhookEndpointPrefix, id); err != nil {
		return nil, err
	}
	return one[WebhookEndpoint](ctx, d.bun.NewSelect().Model((*WebhookEndpoint)(nil)).Where("id = ?", id))
}

// WebhookEndpointsByID finds endpoints, in the order of ids, nil where there is none.
func (d *DB) WebhookEndpointsByID(ctx context.Context, ids []string) ([]*WebhookEndpoint, error) {
	endpoints, err := many[WebhookEndpoint](ctx, d.bun.NewSelect().Model((*WebhookEndpoint)(nil)).Where("?", d.among("id", ids)))
	return byKey(ids, endpoints, func(e *WebhookEndpoint) string { return e.ID }), err
}

// WebhookEndpointsOfOrganizations lists the endpoints of each organization, oldest first.
func (d *DB) WebhookEndpointsOfOrganizations(ctx context.Context, organizationIDs []string) ([][]*WebhookEndpoint, error) {
	endpoints, err := many[WebhookEndpoint](ctx, d.bun.NewSelect().Model((*WebhookEndpoint)(nil)).
		Where("?", d.among("organization_id", organizationIDs)).OrderExpr("id"))
	return listsByKey(organizationIDs, endpoints, func(e *WebhookEndpoint) string { return e.OrganizationID }), err
}

// InsertWebhookDelivery adds a delivery.
func (d *DB) InsertWebhookDelivery(ctx context.Context, delivery *WebhookDelivery) error {
	return executed(d.bun.NewInsert().Model(delivery).Exec(ctx))
}

// EnabledWebhookEndpoints lists the endpoints of an organization that events are sent to.
func (d *DB) EnabledWebhookEndpoints(ctx context.Context, organizationID string) ([]*WebhookEndpoint, error) {
	return many[WebhookEndpoint](ctx, d.bun.NewSelect().Model((*WebhookEndpoint)(nil)).
		Where("organization_id = ?", organizationID).Where("disabled_at IS NULL").OrderExpr("id"))
}

// WebhookDeliveryByID finds a delivery.
func (d *DB) WebhookDeliveryByID(ctx context.Context, id string) (*WebhookDelivery, error) {
	return one[WebhookDelivery](ctx, d.bun.NewSelect().Model((*WebhookDelivery)(nil)).Where("id = ?", id))
}

// UpdateWebhookDelivery stores how an attempt went.
func (d *DB) UpdateWebhookDelivery(ctx context.Context, delivery *WebhookDelivery) error {
	return executed(d.bun.NewUpdate().Model(delivery).
		Column("status", "attempts", "status_code", "error", "latency_ms", "attempted_at").WherePK().Exec(ctx))
}

// WebhookDeliveriesOf lists the newest deliveries of each endpoint, newest first, with the time of the
// next attempt.
func (d *DB) WebhookDeliveriesOf(ctx context.Context, endpointIDs []string, limit int) ([]*Rows[WebhookDelivery], error) {
	list := func(endpointID any) *bun.SelectQuery {
		return d.bun.NewSelect().Model((*WebhookDelivery)(nil)).ColumnExpr("?TableColumns").
			ColumnExpr("(SELECT j.run_at FROM jobs AS j WHERE j.id = wd.job_id AND j.failed_at IS NULL AND wd.status = ?) AS next_attempt_at", DeliveryPending).
			Where("endpoint_id = ?", endpointID)
	}
	return readPages(ctx, d, endpointIDs, Page{Limit: limit}, deliveryOrder, list, func(w *WebhookDelivery) string { return w.EndpointID })
}

// DeleteWebhookDeliveries forgets the deliveries that were begun before a time.
func (d *DB) DeleteWebhookDeliveries(ctx context.Context, before time.Time) error {
	return executed(d.bun.NewDelete().Model((*WebhookDelivery)(nil)).Where("created_at < ?", before).Exec(ctx))
}
