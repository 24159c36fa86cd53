package resolvers

// Directives: who may reach what. They look at the caller's membership through a loader and fail
// closed. Rules about data, such as the last owner, are not theirs: those hold in transactions.

import (
	"context"

	"github.com/99designs/gqlgen/graphql"

	"studio/db"
	"studio/fault"
	"studio/graph"
)

func (r *Resolvers) directives() graph.DirectiveRoot {
	return graph.DirectiveRoot{
		Authenticated: authenticated,
		Member:        r.guard(false),
		Owner:         r.guard(true),
	}
}

func authenticated(ctx context.Context, _ any, next graphql.Resolver) (any, error) {
	if _, err := requireCaller(ctx); err != nil {
		return nil, err
	}
	return next(ctx)
}

// guard is @member and @owner. On a field the object gives the organization; on an argument or
// input field its value does. next yields that value, and nothing uses it before this returns.
func (r *Resolvers) guard(ownersOnly bool) func(ctx context.Context, object any, next graphql.Resolver) (any, error) {
	return func(ctx context.Context, object any, next graphql.Resolver) (any, error) {
		if organization, isField := object.(*db.Organization); isField {
			if err := r.permit(ctx, organization.ID, ownersOnly, fault.ErrNoOrganization); err != nil {
				return nil, err
			}
			return next(ctx)
		}
		value, err := next(ctx)
		if err != nil {
			return nil, err
		}
		ctx = r.withLoadersForArgument(ctx)
		id, _ := value.(string)
		organizationID, missing, err := r.organizationOf(ctx, id)
		if err == nil {
			err = r.permit(ctx, organizationID, ownersOnly, missing)
		}
		if err != nil {
			return nil, err
		}
		return value, nil
	}
}

// organizationOf is the organization that an ID belongs to, "" when there is none, and the answer to
// whoever may not know of it. The argument's name says which kind of ID is expected, and so which NOT_FOUND
// to answer with when the ID is something else.
func (r *Resolvers) organizationOf(ctx context.Context, id string) (organizationID string, missing *fault.Error, err error) {
	if _, err := requireCaller(ctx); err != nil {
		return "", nil, err
	}
	var name string
	if path := graphql.GetPathContext(ctx); path != nil && path.Field != nil {
		name = *path.Field
	}
	var prefix string
	switch name {
	case "organizationUserId":
		prefix, missing = db.MembershipPrefix, fault.ErrNoMembership
	case "instanceId":
		prefix, missing = db.InstancePrefix, fault.ErrNoInstance
	case "invoiceId":
		prefix, missing = db.InvoicePrefix, fault.ErrNoInvoice
	case "webhookEndpointId":
		prefix, missing = db.WebhookEndpointPrefix, fault.ErrNoWebhookEndpoint
	default:
		return id, fault.ErrNoOrganization, nil
	}
	if db.PrefixOf(id) == prefix {
		_, organizationID, err = loadersOf(ctx).belonging(ctx, id)
	}
	return organizationID, missing, err
}

// permit refuses callers who are not accepted in an organization, or do not own it.
func (r *Resolvers) permit(ctx context.Context, organizationID string, ownersOnly bool, missing error) error {
	if _, err := requireCaller(ctx); err != nil {
		return err
	}
	if db.PrefixOf(organizationID) != db.OrganizationPrefix {
		return missing
	}
	own, err := loadersOf(ctx).acceptedMembership(ctx, organizationID)
	switch {
	case err != nil:
		return err
	case own == nil:
		return missing
	case ownersOnly && !own.IsOwner:
		return fault.ErrNotOwner
	}
	return nil
}
