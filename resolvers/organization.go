package resolvers

// Organizations: finding, listing and changing them.

import (
	"context"
	"errors"

	"studio/account"
	"studio/db"
	"studio/graph"
	"studio/organization"
)

func (r queryResolver) Organization(ctx context.Context, id string) (*db.Organization, error) {
	return r.visibleOrganization(ctx, id)
}

// visibleOrganization is nil unless the caller belongs to the organization or is invited to it.
func (r *Resolvers) visibleOrganization(ctx context.Context, id string) (*db.Organization, error) {
	if db.PrefixOf(id) != db.OrganizationPrefix {
		return nil, nil
	}
	own, err := loadersOf(ctx).viewerMembership(ctx, id)
	if err != nil || own == nil {
		return nil, err
	}
	return loadersOf(ctx).organization(ctx, id)
}

func (r queryResolver) OrganizationBySubdomain(ctx context.Context, subdomain string) (*db.Organization, error) {
	found, err := r.Organizations.BySubdomain(ctx, subdomain)
	if errors.Is(err, db.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return r.visibleOrganization(ctx, found.ID)
}

func (r queryResolver) SubdomainAvailability(ctx context.Context, subdomain string) (*graph.SubdomainAvailability, error) {
	subdomain, reason, err := r.Organizations.Availability(ctx, subdomain)
	if err != nil {
		return nil, err
	}
	if reason != "" {
		return &graph.SubdomainAvailability{Subdomain: subdomain, Reason: &reason}, nil
	}
	return &graph.SubdomainAvailability{Subdomain: subdomain, Available: true}, nil
}

func (r viewerResolver) Organizations(
	ctx context.Context, viewer *account.Caller,
	first *int32, after *string, last *int32, before *string, search *string, orderBy *graph.OrganizationOrder,
) (*graph.OrganizationConnection, error) {
	var order db.OrganizationOrder
	if orderBy != nil {
		order.ByAge = orderBy.Field == graph.OrganizationOrderFieldCreatedAt
		order.Descending = orderBy.Direction == graph.OrderDirectionDesc
	}
	term, err := searchTerm(search)
	if err != nil {
		return nil, err
	}
	return connect(ctx, pageArguments{first, last, after, before}, order.Cursors(), order.Key,
		func(page db.Page) func() (*db.Rows[db.Organization], error) {
			return func() (*db.Rows[db.Organization], error) {
				return r.DB.OrganizationsOfUser(ctx, viewer.User.ID, term, order, page)
			}
		},
		func() func() (int, error) {
			return func() (int, error) { return r.DB.CountOrganizationsOfUser(ctx, viewer.User.ID, term) }
		})
}

func (r viewerResolver) LandingOrganization(ctx context.Context, viewer *account.Caller) (*db.Organization, error) {
	return r.Resolvers.Organizations.Landing(ctx, viewer.User)
}

func (r organizationResolver) DeletionBlockers(ctx context.Context, o *db.Organization) ([]*organization.Blocker, error) {
	instances, err := loadersOf(ctx).instanceCounts.Load(ctx, o.ID)()
	if err != nil {
		return nil, err
	}
	return organization.DeletionBlockers(instances), nil
}

func (r mutationResolver) CreateOrganization(ctx context.Context, input graph.CreateOrganizationInput) (*graph.CreateOrganizationPayload, error) {
	created, err := r.Organizations.Create(ctx, callerOf(ctx).User, input.Name, input.Subdomain)
	if err != nil {
		return nil, err
	}
	return &graph.CreateOrganizationPayload{Organization: created}, nil
}

func (r mutationResolver) UpdateOrganization(ctx context.Context, input graph.UpdateOrganizationInput) (*graph.UpdateOrganizationPayload, error) {
	renamed, err := r.Organizations.Rename(ctx, callerOf(ctx).User, input.OrganizationID, input.Name)
	if err != nil {
		return nil, err
	}
	return &graph.UpdateOrganizationPayload{Organization: renamed}, nil
}

func (r mutationResolver) DeleteOrganization(ctx context.Context, input graph.DeleteOrganizationInput) (*graph.DeleteOrganizationPayload, error) {
	if err := r.Organizations.Delete(ctx, callerOf(ctx).User, input.OrganizationID, input.ConfirmName); err != nil {
		return nil, err
	}
	return &graph.DeleteOrganizationPayload{DeletedOrganizationID: input.OrganizationID}, nil
}
