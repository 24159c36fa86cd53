package event

// Deliveries: what webhook endpoints are to be sent. Package webhook does the jobs.

import (
	"context"
	"slices"
	"strings"

	"studio/db"
	"studio/job"
)

// DeliveryJob is the kind of the jobs that deliver to webhook endpoints.
const DeliveryJob = "deliver webhook"

// DeliveryPayload is what such a job is given.
type DeliveryPayload struct {
	DeliveryID string `json:"deliveryId"`
}

// InsertDelivery adds a delivery with its job, in the endpoint's lane. Without an event it is a test.
func InsertDelivery(ctx context.Context, tx *db.DB, endpointID string, eventID *string) (*db.WebhookDelivery, error) {
	delivery := &db.WebhookDelivery{
		ID: db.NewID(db.WebhookDeliveryPrefix), EndpointID: endpointID, EventID: eventID,
		Status: db.DeliveryPending, CreatedAt: tx.Now(),
	}
	var err error
	delivery.JobID, err = job.Insert(ctx, tx, DeliveryJob, DeliveryPayload{delivery.ID}, job.InLane(endpointID))
	if err != nil {
		return nil, err
	}
	return delivery, tx.InsertWebhookDelivery(ctx, delivery)
}

// deliver has an event sent to the webhook endpoints that want it.
func deliver(ctx context.Context, tx *db.DB, entry *db.Event) error {
	endpoints, err := tx.EnabledWebhookEndpoints(ctx, entry.OrganizationID)
	if err != nil {
		return err
	}
	for _, endpoint := range endpoints {
		if types := endpoint.EventTypes(); len(types) > 0 && !slices.Contains(types, entry.Type) {
			continue
		}
		if _, err := InsertDelivery(ctx, tx, endpoint.ID, &entry.ID); err != nil {
			return err
		}
	}
	return nil
}

// withDeliveries ends a signal of an event that webhooks are to be told of.
const withDeliveries = " delivered"

// HasDeliveries reports whether a signal means that there may be something to deliver to webhooks.
func HasDeliveries(signal string) bool {
	return signal == "" || strings.HasSuffix(signal, withDeliveries)
}
