package instance

// Creating cloud instances and registering user-installed ones.

import (
	"context"
	"errors"
	"fmt"

	"studio/billing"
	"studio/db"
	"studio/fault"
	"studio/organization"
)

// Cloud is a cloud instance to create.
type Cloud struct {
	Name, Region, ComputePlanID string
	StorageGB                   int
}

// Create creates a cloud instance. INSTANCE_NAME_TAKEN, FREE_LIMIT_REACHED, and for what costs money
// PAYMENT_METHOD_REQUIRED, PAYMENT_OVERDUE, CARD_DECLINED.
func (i *Instances) Create(ctx context.Context, actor *db.User, organizationID string, wanted Cloud) (*db.Instance, error) {
	name, err := checkName(wanted.Name)
	if err != nil {
		return nil, err
	}
	if err := checkRegion(wanted.Region); err != nil {
		return nil, err
	}
	plan, err := checkComputePlan(db.Cloud, wanted.ComputePlanID)
	if err != nil {
		return nil, err
	}
	storage, err := checkStorage(wanted.StorageGB)
	if err != nil {
		return nil, err
	}
	agreed := termsOf(plan, storage)
	return i.add(ctx, actor, organizationID, plan.items(plan.Amount, storage), func(owning *db.Organization) (*db.Instance, string) {
		created := newInstance(plan, name, CloudURL(name, owning.Subdomain))
		created.RegionID = &wanted.Region
		created.FreeForUserID = owning.CreatedByID
		agreed.agree(created)
		return created, fmt.Sprintf("%s created the instance %s.", actor.Name(), name)
	})
}

// Installed is a user-installed instance to register.
type Installed struct {
	Name, Host    string
	Port          int
	TLS           bool
	ComputePlanID string
}

// Register registers a user-installed instance. Errors are those of Create, but for the limit of
// free ones, and INSTANCE_URL_TAKEN.
func (i *Instances) Register(ctx context.Context, actor *db.User, organizationID string, wanted Installed) (*db.Instance, error) {
	name, err := checkName(wanted.Name)
	if err != nil {
		return nil, err
	}
	url, err := installedURL(wanted.Host, wanted.Port, wanted.TLS)
	if err != nil {
		return nil, err
	}
	plan, err := checkComputePlan(db.UserInstalled, wanted.ComputePlanID)
	if err != nil {
		return nil, err
	}
	agreed := termsOf(plan, nil)
	return i.add(ctx, actor, organizationID, plan.items(plan.Amount, nil), func(*db.Organization) (*db.Instance, string) {
		registered := newInstance(plan, name, url)
		agreed.agree(registered)
		return registered, fmt.Sprintf("%s registered the instance %s.", actor.Name(), name)
	})
}

func newInstance(plan *ComputePlan, name, url string) *db.Instance {
	return &db.Instance{ID: db.NewID(db.InstancePrefix), Name: name, Type: plan.Type, Status: db.InstanceCreating, URL: url, Interval: plan.Interval}
}

// add adds a new instance with its summary for the log. What costs money is billed before it is set
// up; when that is refused, nothing is left of it.
func (i *Instances) add(
	ctx context.Context, actor *db.User, organizationID string, items []billing.Item, build func(owning *db.Organization) (*db.Instance, string),
) (*db.Instance, error) {
	var added *db.Instance
	err := i.db.InTx(ctx, func(tx *db.DB) error {
		owning, err := organization.LockAsOwner(ctx, tx, actor, organizationID, organization.ErrMissing)
		if err != nil {
			return err
		}
		var summary string
		added, summary = build(owning)
		added.OrganizationID, added.CreatedAt = organizationID, tx.Now()
		if err := refuseTaken(ctx, tx, added); err != nil {
			return err
		}
		if added.Amount() == 0 {
			if err := i.startProvisioning(ctx, tx, added, actor.ID); err != nil {
				return err
			}
			if err := tx.InsertInstance(ctx, added); err != nil {
				return err
			}
			return record(ctx, tx, added, db.InstanceCreated, actor, summary)
		}
		if err := billing.Affordable(ctx, tx, organizationID); err != nil {
			return err
		}
		err = i.startBilling(ctx, tx, added, billPayload{ActorID: actor.ID, Event: db.InstanceCreated, Summary: summary, Items: items})
		if err != nil {
			return err
		}
		return tx.InsertInstance(ctx, added)
	})
	if errors.Is(err, db.ErrDuplicate) && added.FreeForUserID != nil { // name and URL were looked up under the lock
		return nil, errFreeLimit
	}
	if err != nil || added.Amount() == 0 {
		return added, err
	}
	return i.billNow(ctx, added)
}

// refuseTaken refuses a name and a URL that another instance of the organization has.
func refuseTaken(ctx context.Context, tx *db.DB, added *db.Instance) error {
	taken, err := tx.InstanceTaking(ctx, added.OrganizationID, added.Name, added.URL)
	switch {
	case errors.Is(err, db.ErrNotFound):
		return nil
	case err != nil:
		return err
	case taken.Name == added.Name:
		return fault.New(fault.InstanceNameTaken, "The organization has an instance of this name already; choose another.").On("name")
	}
	return fault.New(fault.InstanceURLTaken, "The organization has an instance at this address already: %s.", taken.Name).On("host")
}
