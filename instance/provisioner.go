package instance

// Provisioning: the job that makes what runs be as the row says.

import (
	"context"
	"errors"
	"fmt"
	"time"

	"studio/db"
	"studio/event"
	"studio/job"
)

// provisionJob is the kind of the jobs that make instances run, or end them.
const provisionJob = "provision instance"

// Provisioner makes instances run. What it is asked for may be asked for again, and any error means
// that it will be.
type Provisioner interface {
	// Apply creates or changes what runs, so that it is as the row says.
	Apply(ctx context.Context, instance *db.Instance) error
	// Remove ends what runs; nothing is wrong when nothing does.
	Remove(ctx context.Context, instance *db.Instance) error
}

// Embedded is the provisioner that needs nothing: it only takes its time. A user-installed instance
// takes none, as it runs already.
type Embedded struct {
	Delay time.Duration
}

// Apply takes its time.
func (e Embedded) Apply(ctx context.Context, instance *db.Instance) error {
	return e.wait(ctx, instance)
}

// Remove takes its time.
func (e Embedded) Remove(ctx context.Context, instance *db.Instance) error {
	return e.wait(ctx, instance)
}

func (e Embedded) wait(ctx context.Context, instance *db.Instance) error {
	if instance.Type == db.UserInstalled {
		return nil
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(e.Delay):
		return nil
	}
}

// applyTime is how long a provisioner may take at once. It leaves time, of what a job has, to store what
// came of it.
const applyTime = 90 * time.Second

// provisionPayload says which instance, and who asked for it.
type provisionPayload struct {
	InstanceID, ActorID string
}

// startProvisioning has the instance made as its row says, which the caller stores afterwards.
func (i *Instances) startProvisioning(ctx context.Context, tx *db.DB, instance *db.Instance, actorID string) error {
	id, err := i.jobs.Enqueue(ctx, tx, provisionJob, provisionPayload{instance.ID, actorID}, job.InLane(instance.ID))
	instance.JobID = &id
	return err
}

// provision is the job. The provisioner is called between transactions, as it takes long.
func (i *Instances) provision(ctx context.Context, jobID string, p provisionPayload) error {
	actor, err := i.db.UserByID(ctx, p.ActorID)
	if err != nil {
		return err
	}
	instance, err := instanceOfJob(ctx, i.db, jobID, p.InstanceID)
	if instance == nil {
		return err
	}
	if instance.Status == db.InstanceDeleting {
		if err := i.provisioner.Remove(ctx, instance); err != nil {
			return err
		}
		return i.inTurn(ctx, jobID, p.InstanceID, func(tx *db.DB, removed *db.Instance) error {
			if err := tx.DeleteInstance(ctx, removed.ID); err != nil {
				return err
			}
			return record(ctx, tx, removed, db.InstanceDeleted, actor, fmt.Sprintf("%s deleted the instance %s.", actor.Name(), removed.Name))
		})
	}
	applying, cancel := context.WithTimeout(ctx, applyTime)
	failure := i.provisioner.Apply(applying, instance)
	cancel()
	err = i.inTurn(ctx, jobID, p.InstanceID, func(tx *db.DB, applied *db.Instance) error {
		switch {
		case failure == nil:
			applied.Status, applied.JobID = db.InstanceActive, nil
			return update(ctx, tx, applied, fmt.Sprintf("%s is running.", applied.Name))
		case applied.Status == db.InstanceFailed:
			return nil // told before
		}
		applied.Status = db.InstanceFailed
		return update(ctx, tx, applied, fmt.Sprintf("%s could not be set up; it is tried again.", applied.Name))
	})
	return errors.Join(failure, err)
}

// provisionGivenUp leaves to the owners what could not be set up, or removed. The job may have failed each time
// without being able to store so.
func (i *Instances) provisionGivenUp(ctx context.Context, jobID string, p provisionPayload) error {
	return i.inTurn(ctx, jobID, p.InstanceID, func(tx *db.DB, kept *db.Instance) error {
		before := kept.Status
		kept.Status, kept.JobID = db.InstanceFailed, nil
		switch before {
		case db.InstanceFailed: // told before
			return tx.UpdateInstance(ctx, kept)
		case db.InstanceDeleting:
			return update(ctx, tx, kept, fmt.Sprintf("%s could not be deleted.", kept.Name))
		}
		return update(ctx, tx, kept, fmt.Sprintf("%s could not be set up.", kept.Name))
	})
}

// update stores what the system did to an instance, and tells of it.
func update(ctx context.Context, tx *db.DB, instance *db.Instance, summary string) error {
	if err := tx.UpdateInstance(ctx, instance); err != nil {
		return err
	}
	return record(ctx, tx, instance, db.InstanceUpdated, nil, summary)
}

// record writes an event about an instance.
func record(ctx context.Context, tx *db.DB, instance *db.Instance, kind db.EventType, actor *db.User, summary string) error {
	return event.Record(ctx, tx, instance.OrganizationID, kind, actor, instance.ID, summary)
}
