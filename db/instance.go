package db

import (
	"context"
	"time"

	"github.com/uptrace/bun"
)

// InstanceType is where an instance runs.
type InstanceType string

// The types of instances.
const (
	Cloud         InstanceType = "CLOUD"
	UserInstalled InstanceType = "USER_INSTALLED"
)

// InstanceStatus is what is being done with an instance.
type InstanceStatus string

// The statuses of an instance.
const (
	InstanceCreating InstanceStatus = "CREATING"
	InstanceActive   InstanceStatus = "ACTIVE"
	InstanceUpdating InstanceStatus = "UPDATING"
	InstanceDeleting InstanceStatus = "DELETING"
	InstanceFailed   InstanceStatus = "FAILED"
)

// Interval is how often something is billed.
type Interval string

// The intervals of billing.
const (
	Month Interval = "MONTH"
	Year  Interval = "YEAR"
)

// Instance is a HarperDB instance. Amounts are in cents for one interval, as agreed when the
// instance was created or last resized.
type Instance struct {
	bun.BaseModel `bun:"table:instances,alias:i"`

	ID             string         `bun:"id,pk"`
	OrganizationID string         `bun:"organization_id"`
	Name           string         `bun:"name"`
	Type           InstanceType   `bun:"type"`
	Status         InstanceStatus `bun:"status"`
	URL            string         `bun:"url"`
	// RegionID and StorageGB are nil when user-installed.
	RegionID      *string  `bun:"region_id"`
	ComputePlanID string   `bun:"compute_plan_id"`
	StorageGB     *int     `bun:"storage_gb"`
	Interval      Interval `bun:"billing_interval"`
	ComputeAmount int64    `bun:"compute_amount"`
	StorageAmount int64    `bun:"storage_amount"`
	// FreeForUserID is the founder of the organization whose one free cloud instance this is.
	FreeForUserID *string `bun:"free_for_user_id"`
	// SubscriptionID is Stripe's, nil when the instance costs nothing; PeriodEnd is when the next
	// bill is due.
	SubscriptionID   *string    `bun:"subscription_id"`
	PeriodEnd        *time.Time `bun:"period_end"`
	StorageChangedAt *time.Time `bun:"storage_changed_at"`
	// JobID is the job whose turn it is with the instance, nil when nothing is under way. A job that
	// comes when it is another's turn, or comes again, has no effect.
	JobID     *string   `bun:"job_id"`
	CreatedAt time.Time `bun:"created_at"`
}

// Amount is the price of compute and storage together, in cents for one interval.
func (i *Instance) Amount() int64 { return i.ComputeAmount + i.StorageAmount }

var instanceOrder = order{columns: []string{"name"}}

// Key is the instance's place in the list of its organization's instances.
func (i *Instance) Key() Key { return Key{i.Name} }

// InsertInstance adds an instance; ErrDuplicate when its name, its URL or the founder's free
// instance is taken. Name and URL are looked up beforehand with InstanceTaking.
func (d *DB) InsertInstance(ctx context.Context, instance *Instance) error {
	return executed(d.bun.NewInsert().Model(instance).Exec(ctx))
}

// UpdateInstance stores all of an instance; the organization's row must be locked. ErrDuplicate when
// the founder has a free instance already.
func (d *DB) UpdateInstance(ctx context.Context, instance *Instance) error {
	return requireRow(d.bun.NewUpdate().Model(instance).WherePK().Exec(ctx))
}

// SetSubscription notes what bills an instance and when its next bill is due; nil when nothing does.
// The organization's row must be locked.
func (d *DB) SetSubscription(ctx context.Context, id string, subscriptionID *string, periodEnd *time.Time) error {
	return requireRow(d.bun.NewUpdate().Model((*Instance)(nil)).
		Set("subscription_id = ?", subscriptionID).Set("period_end = ?", periodEnd).Where("id = ?", id).Exec(ctx))
}

// DeleteInstance removes an instance.
func (d *DB) DeleteInstance(ctx context.Context, id string) error {
	return requireRow(d.bun.NewDelete().Model((*Instance)(nil)).Where("id = ?", id).Exec(ctx))
}

// InstanceByID finds an instance.
func (d *DB) InstanceByID(ctx context.Context, id string) (*Instance, error) {
	if err := wellFormed(InstancePrefix, id); err != nil {
		return nil, err
	}
	return one[Instance](ctx, d.bun.NewSelect().Model((*Instance)(nil)).Where("i.id = ?", id))
}

// InstanceTaking finds the instance of an organization, whose row must be locked, that has the name or
// the URL; the one with the name if there are two.
func (d *DB) InstanceTaking(ctx context.Context, organizationID, name, url string) (*Instance, error) {
	return one[Instance](ctx, d.bun.NewSelect().Model((*Instance)(nil)).Where("organization_id = ?", organizationID).
		Where("name = ? OR url = ?", name, url).OrderExpr("CASE WHEN name = ? THEN 0 ELSE 1 END", name))
}

// InstancesByID finds instances, in the order of ids, nil where there is none.
func (d *DB) InstancesByID(ctx context.Context, ids []string) ([]*Instance, error) {
	instances, err := many[Instance](ctx, d.bun.NewSelect().Model((*Instance)(nil)).Where("?", d.among("i.id", ids)))
	return byKey(ids, instances, func(i *Instance) string { return i.ID }), err
}

// InstancesOf lists all instances of an organization by name.
func (d *DB) InstancesOf(ctx context.Context, organizationID string) ([]*Instance, error) {
	return many[Instance](ctx, d.bun.NewSelect().Model((*Instance)(nil)).Where("organization_id = ?", organizationID).OrderExpr("name"))
}

// InstancesOfOrganizations is the same page of several organizations' instances, by name.
func (d *DB) InstancesOfOrganizations(ctx context.Context, organizationIDs []string, page Page) ([]*Rows[Instance], error) {
	list := func(organizationID any) *bun.SelectQuery {
		return d.bun.NewSelect().Model((*Instance)(nil)).Where("organization_id = ?", organizationID)
	}
	return readPages(ctx, d, organizationIDs, page, instanceOrder, list, func(i *Instance) string { return i.OrganizationID })
}

// CountInstancesOfOrganizations counts what InstancesOfOrganizations lists.
func (d *DB) CountInstancesOfOrganizations(ctx context.Context, organizationIDs []string) ([]int, error) {
	query := d.bun.NewSelect().Model((*Instance)(nil)).Where("?", d.among("i.organization_id", organizationIDs))
	return d.countByOrganization(ctx, organizationIDs, query, "i")
}

// BilledInstancesOf lists the instances of all the organizations that have a subscription and are to
// keep it, by when their next bill is due.
func (d *DB) BilledInstancesOf(ctx context.Context, organizationIDs []string) ([]*Instance, error) {
	return many[Instance](ctx, d.bun.NewSelect().Model((*Instance)(nil)).
		Where("?", d.among("organization_id", organizationIDs)).Where("subscription_id IS NOT NULL").
		Where("period_end IS NOT NULL").Where("status <> ?", InstanceDeleting).OrderExpr("period_end, name"))
}
