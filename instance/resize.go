package instance

// Resizing: more or less memory, and more storage.

import (
	"context"
	"errors"
	"fmt"
	"time"

	"studio/billing"
	"studio/db"
	"studio/fault"
)

// storageCooldown is how long storage stays as it is after a change, as in HarperDB Studio.
const storageCooldown = 6 * time.Hour

// StorageResizableAt is when an instance's storage can be changed again; nil when it can be now.
func StorageResizableAt(instance *db.Instance, now time.Time) *time.Time {
	changed := instance.StorageChangedAt
	if changed == nil || now.Sub(*changed).Abs() >= storageCooldown { // or the clock was wrong then
		return nil
	}
	at := changed.Add(storageCooldown)
	return &at
}

// Resize changes the compute plan or the storage; nil stays. INSTANCE_BUSY, RESIZE_COOLDOWN,
// FREE_LIMIT_REACHED, and for what costs more PAYMENT_METHOD_REQUIRED, PAYMENT_OVERDUE, CARD_DECLINED.
func (i *Instances) Resize(ctx context.Context, actor *db.User, instanceID string, computePlanID *string, storageGB *int) (*db.Instance, error) {
	changed := false
	resized, err := instances.Change(ctx, i.db, actor, instanceID, func(tx *db.DB, owning *db.Organization, resized *db.Instance) error {
		wanted, err := resize(actor, resized, computePlanID, storageGB, tx.Now())
		changed = wanted != nil
		if err != nil || !changed {
			return err
		}
		if wanted.Terms.amount() > resized.Amount() {
			if err := billing.Affordable(ctx, tx, resized.OrganizationID); err != nil {
				return err
			}
		}
		if wanted.Terms.amount() == 0 && resized.Type == db.Cloud {
			resized.FreeForUserID = owning.CreatedByID
		}
		resized.Status = db.InstanceUpdating
		if err := i.startBilling(ctx, tx, resized, *wanted); err != nil {
			return err
		}
		return tx.UpdateInstance(ctx, resized)
	})
	if errors.Is(err, db.ErrDuplicate) {
		return nil, errFreeLimit
	}
	if err != nil || !changed {
		return resized, err
	}
	return i.billNow(ctx, resized)
}

// resize is the change that is asked for; nil when it would be none.
func resize(actor *db.User, resized *db.Instance, computePlanID *string, storageGB *int, now time.Time) (*billPayload, error) {
	if err := refuseBusy(resized); err != nil {
		return nil, err
	}
	if storageGB != nil && resized.Type == db.UserInstalled {
		return nil, fault.Invalid("storageGb", "A user-installed instance has the storage of its own machine; leave this out.")
	}
	planChanges := computePlanID != nil && *computePlanID != resized.ComputePlanID
	storageChanges := storageGB != nil && *storageGB != *resized.StorageGB
	if !planChanges && !storageChanges {
		return nil, nil
	}
	if !planChanges {
		computePlanID = &resized.ComputePlanID
	}
	plan, err := checkComputePlan(resized.Type, *computePlanID)
	if err != nil {
		return nil, err
	}
	if !storageChanges {
		storageGB = resized.StorageGB
	}
	summary := fmt.Sprintf("%s resized %s to %s.", actor.Name(), resized.Name, plan.ram())
	var storage *StoragePlan
	if storageGB != nil {
		if storage, err = checkStorage(*storageGB); err != nil {
			return nil, err
		}
		summary = fmt.Sprintf("%s resized %s to %s and %d GB storage.", actor.Name(), resized.Name, plan.ram(), storage.SizeGB)
	}
	if storageChanges {
		if err := refuseStorage(resized, storage, now); err != nil {
			return nil, err
		}
	}
	wanted := termsOf(plan, storage)
	if !planChanges {
		wanted.ComputeAmount = resized.ComputeAmount
	}
	return &billPayload{
		ActorID: actor.ID, Event: db.InstanceUpdated, Summary: summary, Items: plan.items(wanted.ComputeAmount, storage),
		Before: resized.Status, Terms: &wanted,
	}, nil
}

// refuseStorage refuses less storage, and more too soon.
func refuseStorage(resized *db.Instance, wanted *StoragePlan, now time.Time) error {
	if wanted.SizeGB < *resized.StorageGB {
		return fault.Invalid("storageGb", "Storage cannot become smaller than it is, %d GB.", *resized.StorageGB)
	}
	if at := StorageResizableAt(resized, now); at != nil {
		return fault.New(fault.ResizeCooldown, "Storage can be changed once every six hours; here again at %s.", at.Format("15:04 UTC")).
			On("storageGb").After(at.Sub(now))
	}
	return nil
}
