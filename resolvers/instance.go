package resolvers

// Instances: the catalog, and what runs in an organization.

import (
	"context"
	"time"

	"studio/billing"
	"studio/db"
	"studio/graph"
	"studio/instance"
)

func (r queryResolver) Catalog(context.Context) (*graph.Catalog, error) {
	return &graph.Catalog{Regions: instance.Regions(), StoragePlans: instance.StoragePlans()}, nil
}

func (r catalogResolver) ComputePlans(_ context.Context, _ *graph.Catalog, of *db.InstanceType) ([]*instance.ComputePlan, error) {
	return instance.ComputePlans(of), nil
}

func (r organizationResolver) InstanceCount(ctx context.Context, o *db.Organization) (*int32, error) {
	count, err := loadersOf(ctx).instanceCounts.Load(ctx, o.ID)()
	if err != nil {
		return nil, err
	}
	total := int32(count)
	return &total, nil
}

func (r organizationResolver) Instances(
	ctx context.Context, o *db.Organization, first *int32, after *string, last *int32, before *string,
) (*graph.InstanceConnection, error) {
	return connect(ctx, pageArguments{first, last, after, before}, db.InstanceList.Cursors(o.ID), (*db.Instance).Key,
		func(page db.Page) func() (*db.Rows[db.Instance], error) {
			return loadersOf(ctx).instancePages.Load(ctx, organizationKey[db.Page]{o.ID, page})
		},
		func() func() (int, error) { return loadersOf(ctx).instanceCounts.Load(ctx, o.ID) })
}

func (r instanceResolver) Organization(ctx context.Context, i *db.Instance) (*db.Organization, error) {
	return loadersOf(ctx).existingOrganization(ctx, i.OrganizationID)
}

func (r instanceResolver) Region(_ context.Context, i *db.Instance) (*instance.Region, error) {
	if i.RegionID == nil {
		return nil, nil
	}
	return instance.RegionByID(*i.RegionID), nil
}

func (r instanceResolver) ComputePlan(_ context.Context, i *db.Instance) (*instance.ComputePlan, error) {
	return instance.ComputePlanByID(i.ComputePlanID), nil
}

func (r instanceResolver) Price(_ context.Context, i *db.Instance) (*billing.Money, error) {
	return billing.Dollars(i.Amount()), nil
}

func (r instanceResolver) StorageResizableAt(_ context.Context, i *db.Instance) (*time.Time, error) {
	return instance.StorageResizableAt(i, r.DB.Now()), nil
}

func (r mutationResolver) CreateInstance(ctx context.Context, input graph.CreateInstanceInput) (*graph.CreateInstancePayload, error) {
	created, err := r.Instances.Create(ctx, callerOf(ctx).User, input.OrganizationID, instance.Cloud{
		Name: input.Name, Region: input.Region, ComputePlanID: input.ComputePlanID, StorageGB: int(input.StorageGb),
	})
	if err != nil {
		return nil, err
	}
	return &graph.CreateInstancePayload{Instance: created}, nil
}

func (r mutationResolver) RegisterInstance(ctx context.Context, input graph.RegisterInstanceInput) (*graph.RegisterInstancePayload, error) {
	registered, err := r.Instances.Register(ctx, callerOf(ctx).User, input.OrganizationID, instance.Installed{
		Name: input.Name, Host: input.Host, Port: int(input.Port), TLS: input.Ssl, ComputePlanID: input.ComputePlanID,
	})
	if err != nil {
		return nil, err
	}
	return &graph.RegisterInstancePayload{Instance: registered}, nil
}

func (r mutationResolver) ResizeInstance(ctx context.Context, input graph.ResizeInstanceInput) (*graph.ResizeInstancePayload, error) {
	var storage *int
	if input.StorageGb != nil {
		size := int(*input.StorageGb)
		storage = &size
	}
	resized, err := r.Instances.Resize(ctx, callerOf(ctx).User, input.InstanceID, input.ComputePlanID, storage)
	if err != nil {
		return nil, err
	}
	return &graph.ResizeInstancePayload{Instance: resized}, nil
}

func (r mutationResolver) DeleteInstance(ctx context.Context, input graph.DeleteInstanceInput) (*graph.DeleteInstancePayload, error) {
	if err := r.Instances.Delete(ctx, callerOf(ctx).User, input.InstanceID, input.ConfirmName); err != nil {
		return nil, err
	}
	return &graph.DeleteInstancePayload{DeletedInstanceID: input.InstanceID}, nil
}
