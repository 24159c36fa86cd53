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
	if _, err := mustCaller(ctx); err != nil {
		return nil, err
	}
	return next(ctx)
}

// guard is @member and @owner. On a field the object tells the organization; on an argument or
// input field its value does, which next yields and which nothing uses before this returns.
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
		id, _ := value.(string)
		// The name tells what must be there, and so what is missing when the value is anything else.
		if path := graphql.GetPathContext(ctx); path != nil && path.Field != nil && *path.Field == "organizationUserId" {
			err = r.permitMembership(ctx, id, ownersOnly)
		} else {
			err = r.permit(ctx, id, ownersOnly, fault.ErrNoOrganization)
		}
		if err != nil {
			return nil, err
		}
		return value, nil
	}
}

func (r *Resolvers) permitMembership(ctx context.Context, id string, ownersOnly bool) error {
	if _, err := mustCaller(ctx); err != nil {
		return err
	}
	if db.PrefixOf(id) != db.MembershipPrefix {
		return fault.ErrNoMembership
	}
	membership, err := loadersOf(ctx).membership(ctx, id)
	if err != nil {
		return err
	}
	if membership == nil {
		return fault.ErrNoMembership
	}
	return r.permit(ctx, membership.OrganizationID, ownersOnly, fault.ErrNoMembership)
}

// permit refuses callers who are not accepted in an organization, or do not own it.
func (r *Resolvers) permit(ctx context.Context, organizationID string, ownersOnly bool, missing error) error {
	if _, err := mustCaller(ctx); err != nil {
		return err
	}
	if db.PrefixOf(organizationID) != db.OrganizationPrefix {
		return missing
	}
	own, err := loadersOf(ctx).viewerMembership(ctx, organizationID)
	switch {
	case err != nil:
		return err
	case own == nil || own.Status != db.Accepted:
		return missing
	case ownersOnly && !own.IsOwner:
		return fault.ErrNotOwner
	}
	return nil
}
