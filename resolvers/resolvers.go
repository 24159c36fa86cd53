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

var _ graph.ResolverRoot = (*Resolvers)(nil)

// Query answers the fields of type Query.
func (r *Resolvers) Query() graph.QueryResolver { return queries{r} }

// Mutation answers the fields of type Mutation.
func (r *Resolvers) Mutation() graph.MutationResolver { return mutations{r} }

// Subscription answers the fields of type Subscription.
func (r *Resolvers) Subscription() graph.SubscriptionResolver { return subscriptions{r} }

// Viewer answers the fields of type Viewer.
func (r *Resolvers) Viewer() graph.ViewerResolver { return viewers{r} }

// Session answers the fields of type Session.
func (r *Resolvers) Session() graph.SessionResolver { return sessions{r} }

// Organization answers the fields of type Organization.
func (r *Resolvers) Organization() graph.OrganizationResolver { return organizationFields{r} }

// OrganizationUser answers the fields of type OrganizationUser.
func (r *Resolvers) OrganizationUser() graph.OrganizationUserResolver { return organizationMembers{r} }

// Event answers the fields of type Event.
func (r *Resolvers) Event() graph.EventResolver { return events{r} }

// Catalog answers the fields of type Catalog.
func (r *Resolvers) Catalog() graph.CatalogResolver { return catalogs{r} }

// Instance answers the fields of type Instance.
func (r *Resolvers) Instance() graph.InstanceResolver { return instances{r} }

// Billing answers the fields of type Billing.
func (r *Resolvers) Billing() graph.BillingResolver { return billings{r} }

// Invoice answers the fields of type Invoice.
func (r *Resolvers) Invoice() graph.InvoiceResolver { return invoices{r} }

// InvoiceLine answers the fields of type InvoiceLine.
func (r *Resolvers) InvoiceLine() graph.InvoiceLineResolver { return invoiceLines{r} }

// Coupon answers the fields of type Coupon.
func (r *Resolvers) Coupon() graph.CouponResolver { return coupons{r} }

// WebhookEndpoint answers the fields of type WebhookEndpoint.
func (r *Resolvers) WebhookEndpoint() graph.WebhookEndpointResolver { return webhookEndpoints{r} }

// WebhookDelivery answers the fields of type WebhookDelivery.
func (r *Resolvers) WebhookDelivery() graph.WebhookDeliveryResolver { return webhookDeliveries{r} }

// optional loads what an ID names, and nothing when there is none.
func optional[T any](ctx context.Context, load func(ctx context.Context, id string) (*T, error), id *string) (*T, error) {
	if id == nil {
		return nil, nil
	}
	return load(ctx, *id)
}

// requireCaller is for fields behind @authenticated, @member or @owner.
func requireCaller(ctx context.Context) (*account.Caller, error) {
	if caller := callerOf(ctx); caller != nil {
		return caller, nil
	}
	return nil, fault.ErrSignedOut
}
