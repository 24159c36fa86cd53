package instance

// Paying: the job that has Stripe bill for a change, and takes the change back when that is refused.

import (
	"context"
	"errors"
	"fmt"

	"studio/billing"
	"studio/db"
	"studio/event"
	"studio/fault"
	"studio/job"
)

// billJob is the kind of the jobs that have Stripe bill for changes.
const billJob = "bill instance"

// billPayload is a change that Stripe bills for. The terms are fixed when the change is
// requested, since the catalog may have changed by the time the job runs.
type billPayload struct {
	InstanceID, ActorID string
	// Event is INSTANCE_CREATED, INSTANCE_UPDATED for a resize, or INSTANCE_DELETED; Summary describes
	// the first two in the log.
	Event   db.EventType
	Summary string
	// Items are what is billed from now on.
	Items []billing.Item
	// Before is the status to which a refusal leads back, and Terms are those that a resize leads to.
	Before db.InstanceStatus
	Terms  *terms
}

// startBilling has Stripe bill for a change of the instance, which the caller stores afterwards and,
// once that is committed, gives to billNow or do.
func (i *Instances) startBilling(ctx context.Context, tx *db.DB, instance *db.Instance, change billPayload) error {
	change.InstanceID = instance.ID
	id, err := i.jobs.Enqueue(ctx, tx, billJob, change, job.InLane(instance.OrganizationID), job.Foreground())
	instance.JobID = &id
	return err
}

// billNow runs the instance's current job and returns the instance afterwards.
func (i *Instances) billNow(ctx context.Context, instance *db.Instance) (*db.Instance, error) {
	if err := i.do(ctx, *instance.JobID); err != nil {
		return nil, err
	}
	billed, err := i.db.InstanceByID(ctx, instance.ID)
	if errors.Is(err, db.ErrNotFound) {
		return nil, fault.New(fault.Conflict, "%s no longer exists; the organization's log tells why.", instance.Name)
	}
	return billed, err
}

// bill is the job.
func (i *Instances) bill(ctx context.Context, jobID string, change billPayload) error {
	actor, err := i.db.UserByID(ctx, change.ActorID)
	if err != nil {
		return err
	}
	instance, err := instanceOfJob(ctx, i.db, jobID, change.InstanceID)
	if instance == nil {
		return err
	}
	order := billing.Order{Instance: instance, Items: change.Items}
	err = i.bills.Bill(ctx, jobID, actor, order, func(tx *db.DB) error { return i.billed(ctx, tx, jobID, actor, change) })
	if refused, is := errors.AsType[*fault.Error](err); is {
		if err := i.takeBack(ctx, jobID, change, refused.Message); err != nil {
			return err
		}
	}
	return err
}

// billed gives a change that is paid for its effect, in the transaction in which billing stores what
// Stripe said.
func (i *Instances) billed(ctx context.Context, tx *db.DB, jobID string, actor *db.User, change billPayload) error {
	instance, err := instanceOfJob(ctx, tx, jobID, change.InstanceID)
	if instance == nil {
		return err
	}
	if change.Terms != nil {
		if instance.StorageGB != nil && *instance.StorageGB != *change.Terms.StorageGB {
			now := tx.Now()
			instance.StorageChangedAt = &now
		}
		change.Terms.agree(instance)
	}
	if err := i.startProvisioning(ctx, tx, instance, actor.ID); err != nil {
		return err
	}
	if err := tx.UpdateInstance(ctx, instance); err != nil {
		return err
	}
	if change.Event == db.InstanceDeleted {
		return nil // the deletion is recorded once it has happened
	}
	return record(ctx, tx, instance, change.Event, actor, change.Summary)
}

// billGivenUp ends what Stripe has not answered for a day.
func (i *Instances) billGivenUp(ctx context.Context, jobID string, change billPayload) error {
	return i.takeBack(ctx, jobID, change, "The payment service did not answer.")
}

// takeBack undoes a change that is not paid for. A caller who waits for the job learns why from its
// error. Otherwise the log says so to the owners. That an instance stays, it says to everybody, as it had
// said that it was being deleted.
func (i *Instances) takeBack(ctx context.Context, jobID string, change billPayload, reason string) error {
	return i.inTurn(ctx, jobID, change.InstanceID, func(tx *db.DB, instance *db.Instance) error {
		if change.Event == db.InstanceCreated {
			if err := tx.DeleteInstance(ctx, instance.ID); err != nil {
				return err
			}
			return recordUnpaid(ctx, tx, instance, "created", reason)
		}
		instance.Status, instance.JobID = change.Before, nil
		if instance.Amount() > 0 {
			instance.FreeForUserID = nil // a resize may have reserved it
		}
		if change.Before == db.InstanceFailed { // the job that was trying it again has lost its turn
			if err := i.startProvisioning(ctx, tx, instance, change.ActorID); err != nil {
				return err
			}
		}
		if change.Event == db.InstanceDeleted {
			return update(ctx, tx, instance, fmt.Sprintf("The instance %s was not deleted: %s", instance.Name, reason))
		}
		if err := tx.UpdateInstance(ctx, instance); err != nil {
			return err
		}
		return recordUnpaid(ctx, tx, instance, "resized", reason)
	})
}

// recordUnpaid reports a failed change to the owners, unless somebody still waits for its answer.
func recordUnpaid(ctx context.Context, tx *db.DB, instance *db.Instance, what, reason string) error {
	if ctx.Value(attended{}) != nil {
		return nil
	}
	summary := fmt.Sprintf("The instance %s was not %s: %s", instance.Name, what, reason)
	return event.Record(ctx, tx, instance.OrganizationID, db.PaymentFailed, nil, db.BillingIDOf(instance.OrganizationID), summary)
}
