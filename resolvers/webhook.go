package resolvers

// Webhooks: the endpoints of an organization, and what was delivered to them.

import (
	"context"

	"studio/db"
	"studio/graph"
	"studio/webhook"
)

// maxDeliveries is how many deliveries of an endpoint are shown.
const maxDeliveries = 50

func (r organizationResolver) WebhookEndpoints(ctx context.Context, o *db.Organization) ([]*db.WebhookEndpoint, error) {
	return loadersOf(ctx).webhookEndpointLists.Load(ctx, o.ID)()
}

func (r webhookEndpointResolver) EventTypes(_ context.Context, e *db.WebhookEndpoint) ([]db.EventType, error) {
	return e.EventTypes(), nil
}

func (r webhookEndpointResolver) CreatedBy(ctx context.Context, e *db.WebhookEndpoint) (*db.User, error) {
	return optional(ctx, loadersOf(ctx).users, e.CreatedByID)
}

func (r webhookEndpointResolver) Deliveries(ctx context.Context, e *db.WebhookEndpoint) ([]*db.WebhookDelivery, error) {
	rows, err := loadersOf(ctx).webhookDeliveries.Load(ctx, e.ID)()
	if err != nil {
		return nil, err
	}
	return rows.Nodes, nil
}

func (r webhookDeliveryResolver) Event(ctx context.Context, d *db.WebhookDelivery) (*db.Event, error) {
	return optional(ctx, loadersOf(ctx).events, d.EventID)
}

func (r mutationResolver) CreateWebhookEndpoint(ctx context.Context, input graph.CreateWebhookEndpointInput) (*graph.CreateWebhookEndpointPayload, error) {
	created, secret, err := r.Webhooks.Create(ctx, callerOf(ctx).User, input.OrganizationID, input.URL, input.EventTypes)
	if err != nil {
		return nil, err
	}
	return &graph.CreateWebhookEndpointPayload{WebhookEndpoint: created, Secret: secret}, nil
}

func (r mutationResolver) UpdateWebhookEndpoint(ctx context.Context, input graph.UpdateWebhookEndpointInput) (*graph.UpdateWebhookEndpointPayload, error) {
	change := webhook.Change{URL: input.URL, Enabled: input.Enabled}
	if input.EventTypes != nil {
		change.EventTypes = &input.EventTypes
	}
	changed, err := r.Webhooks.Update(ctx, callerOf(ctx).User, input.WebhookEndpointID, change)
	if err != nil {
		return nil, err
	}
	return &graph.UpdateWebhookEndpointPayload{WebhookEndpoint: changed}, nil
}

func (r mutationResolver) RotateWebhookSecret(ctx context.Context, input graph.RotateWebhookSecretInput) (*graph.RotateWebhookSecretPayload, error) {
	rotated, secret, err := r.Webhooks.Rotate(ctx, callerOf(ctx).User, input.WebhookEndpointID)
	if err != nil {
		return nil, err
	}
	return &graph.RotateWebhookSecretPayload{WebhookEndpoint: rotated, Secret: secret}, nil
}

func (r mutationResolver) TestWebhookEndpoint(ctx context.Context, input graph.TestWebhookEndpointInput) (*graph.TestWebhookEndpointPayload, error) {
	delivery, err := r.Webhooks.Test(ctx, callerOf(ctx).User, input.WebhookEndpointID)
	if err != nil {
		return nil, err
	}
	return &graph.TestWebhookEndpointPayload{Delivery: delivery}, nil
}

func (r mutationResolver) DeleteWebhookEndpoint(ctx context.Context, input graph.DeleteWebhookEndpointInput) (*graph.DeleteWebhookEndpointPayload, error) {
	if err := r.Webhooks.Delete(ctx, callerOf(ctx).User, input.WebhookEndpointID); err != nil {
		return nil, err
	}
	return &graph.DeleteWebhookEndpointPayload{DeletedWebhookEndpointID: input.WebhookEndpointID}, nil
}
