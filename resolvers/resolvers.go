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
	queries             struct{ *Resolvers }
	mutations           struct{ *Resolvers }
	subscriptions       struct{ *Resolvers }
	viewers             struct{ *Resolvers }
	sessions            struct{ *Resolvers }
	organizationFields  struct{ *Resolvers }
	organizationMembers struct{ *Resolvers }
	events              struct{ *Resolvers }
	catalogs            struct{ *Resolvers }
	instances           struct{ *Resolvers }
	billings            struct{ *Resolvers }
	invoices            struct{ *Resolvers }
	invoiceLines        struct{ *Resolvers }
	coupons             struct{ *Resolvers }
	webhookEndpoints    struct{ *Resolvers }
	webhookDeliveries   struct{ *Resolvers }
)

// root gives gqlgen the resolvers of each type.
type root struct{ *Resolvers }

func (r root) Query() graph.QueryResolver                       { return queries(r) }
func (r root) Mutation() graph.MutationResolver                 { return mutations(r) }
func (r root) Subscription() graph.SubscriptionResolver         { return subscriptions(r) }
func (r root) Viewer() graph.ViewerResolver                     { return viewers(r) }
func (r root) Session() graph.SessionResolver                   { return sessions(r) }
func (r root) Organization() graph.OrganizationResolver         { return organizationFields(r) }
func (r root) OrganizationUser() graph.OrganizationUserResolver { return organizationMembers(r) }
func (r root) Event() graph.EventResolver                       { return events(r) }
func (r root) Catalog() graph.CatalogResolver                   { return catalogs(r) }
func (r root) Instance() graph.InstanceResolver                 { return instances(r) }
func (r root) Billing() graph.BillingResolver                   { return billings(r) }
func (r root) Invoice() graph.InvoiceResolver                   { return invoices(r) }
func (r root) InvoiceLine() graph.InvoiceLineResolver           { return invoiceLines(r) }
func (r root) Coupon() graph.CouponResolver                     { return coupons(r) }
func (r root) WebhookEndpoint() graph.WebhookEndpointResolver   { return webhookEndpoints(r) }
func (r root) WebhookDelivery() graph.WebhookDeliveryResolver   { return webhookDeliveries(r) }

// optional loads what an ID names, and nothing when there is none.
func optional[T any](ctx context.Context, from *dataloader.Loader[string, *T], id *string) (*T, error) {
	if id == nil {
		return nil, nil
	}
	return from.Load(ctx, *id)()
}

// requireCaller is for fields behind @authenticated, @member or @owner.
func requireCaller(ctx context.Context) (*account.Caller, error) {
	if caller := callerOf(ctx); caller != nil {
		return caller, nil
	}
	return nil, fault.ErrSignedOut
}
