// Package resolvers is the GraphQL edge: it turns fields into calls of the domain packages and
// into look-ups, and guards them with directives. It holds no rules of its own.
//
// A mutation calls one method of one domain package. A field reads its object, or loads through
// the loaders, which gather what many objects of a response ask for into one statement.
//
// There is a file for each noun of the schema; the others are what the nouns share.
package resolvers

import (
	"context"
	"time"

	"github.com/graph-gophers/dataloader/v7"

	"studio/account"
	"studio/billing"
	"studio/db"
	"studio/event"
	"studio/fault"
	"studio/graph"
	"studio/instance"
	"studio/organization"
	"studio/webhook"
)

// Resolvers answers the fields of the schema.
type Resolvers struct {
	DB            *db.DB
	Accounts      *account.Accounts
	Organizations *organization.Organizations
	Instances     *instance.Instances
	Bills         *billing.Billing
	Webhooks      *webhook.Webhooks
	Events        *event.Hub
	// LoaderWait is how long loaders gather; a sensible time when 0.
	LoaderWait time.Duration
}

type (
	queryResolver            struct{ *Resolvers }
	mutationResolver         struct{ *Resolvers }
	subscriptionResolver     struct{ *Resolvers }
	viewerResolver           struct{ *Resolvers }
	sessionResolver          struct{ *Resolvers }
	organizationResolver     struct{ *Resolvers }
	organizationUserResolver struct{ *Resolvers }
	eventResolver            struct{ *Resolvers }
	catalogResolver          struct{ *Resolvers }
	instanceResolver         struct{ *Resolvers }
	billingResolver          struct{ *Resolvers }
	invoiceResolver          struct{ *Resolvers }
	invoiceLineResolver      struct{ *Resolvers }
	couponResolver           struct{ *Resolvers }
	webhookEndpointResolver  struct{ *Resolvers }
	webhookDeliveryResolver  struct{ *Resolvers }
)

// root gives gqlgen the resolvers of each type.
type root struct{ *Resolvers }

func (r root) Query() graph.QueryResolver                       { return queryResolver(r) }
func (r root) Mutation() graph.MutationResolver                 { return mutationResolver(r) }
func (r root) Subscription() graph.SubscriptionResolver         { return subscriptionResolver(r) }
func (r root) Viewer() graph.ViewerResolver                     { return viewerResolver(r) }
func (r root) Session() graph.SessionResolver                   { return sessionResolver(r) }
func (r root) Organization() graph.OrganizationResolver         { return organizationResolver(r) }
func (r root) OrganizationUser() graph.OrganizationUserResolver { return organizationUserResolver(r) }
func (r root) Event() graph.EventResolver                       { return eventResolver(r) }
func (r root) Catalog() graph.CatalogResolver                   { return catalogResolver(r) }
func (r root) Instance() graph.InstanceResolver                 { return instanceResolver(r) }
func (r root) Billing() graph.BillingResolver                   { return billingResolver(r) }
func (r root) Invoice() graph.InvoiceResolver                   { return invoiceResolver(r) }
func (r root) InvoiceLine() graph.InvoiceLineResolver           { return invoiceLineResolver(r) }
func (r root) Coupon() graph.CouponResolver                     { return couponResolver(r) }
func (r root) WebhookEndpoint() graph.WebhookEndpointResolver   { return webhookEndpointResolver(r) }
func (r root) WebhookDelivery() graph.WebhookDeliveryResolver   { return webhookDeliveryResolver(r) }

// optional loads what an ID names, and nothing when there is none.
func optional[T any](ctx context.Context, from *dataloader.Loader[string, *T], id *string) (*T, error) {
	if id == nil {
		return nil, nil
	}
	return from.Load(ctx, *id)()
}

// requireCaller is the caller, for directives, and for what is only reached by one; UNAUTHENTICATED when signed out.
func requireCaller(ctx context.Context) (*account.Caller, error) {
	if caller := callerOf(ctx); caller != nil {
		return caller, nil
	}
	return nil, fault.ErrSignedOut
}
