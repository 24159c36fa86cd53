package instance

// Deleting: what runs in the cloud ends; what a user has installed is only deregistered.

import (
	"context"
	"fmt"

	"studio/db"
	"studio/fault"
	"studio/text"
)

// Delete deletes an instance after its exact name was typed. It goes on in the background, and
// cannot be called off. CONFIRMATION_MISMATCH, INSTANCE_BUSY.
func (i *Instances) Delete(ctx context.Context, actor *db.User, instanceID, confirmName string) error {
	billed := false
	deleted, err := instances.Change(ctx, i.db, actor, instanceID, func(tx *db.DB, _ *db.Organization, deleted *db.Instance) error {
		if text.Confirmation(confirmName) != deleted.Name {
			return fault.New(fault.ConfirmationMismatch, "Type the instance's exact name, %s, to confirm.", deleted.Name).On("confirmName")
		}
		if err := refuseBusy(deleted); err != nil {
			return err
		}
		before := deleted.Status
		deleted.Status = db.InstanceDeleting
		billed = deleted.Amount() > 0 || deleted.SubscriptionID != nil
		var err error
		if billed {
			err = i.startBilling(ctx, tx, deleted, billPayload{ActorID: actor.ID, Event: db.InstanceDeleted, Before: before})
		} else {
			err = i.startProvisioning(ctx, tx, deleted, actor.ID)
		}
		if err != nil {
			return err
		}
		if err := tx.UpdateInstance(ctx, deleted); err != nil {
			return err
		}
		return record(ctx, tx, deleted, db.InstanceUpdated, actor, fmt.Sprintf("%s is deleting %s.", actor.Name(), deleted.Name))
	})
	if err != nil || !billed {
		return err
	}
	return i.do(ctx, *deleted.JobID)
}
