// Package instance holds the catalog of what can be had, and the life of HarperDB instances: created
// or registered, resized, deleted.
//
// A change is one transaction under the lock on the organization's row. It leaves the instance in a
// status that keeps other changes away, and names the job whose turn it is. What costs money is first
// a job that has Stripe bill for it, and then, as everything else, one that has the provisioner make
// what runs be as the row says. The row changes once that is paid for, and a refusal takes all back.
package instance

import (
	"context"
	"errors"

	"github.com/rs/zerolog"

	"studio/billing"
	"studio/db"
	"studio/fault"
	"studio/job"
	"studio/organization"
)

// Instances applies the rules.
type Instances struct {
	db          *db.DB
	jobs        *job.Queue
	bills       *billing.Billing
	provisioner Provisioner
}

// New makes the rules work on a database.
func New(database *db.DB, jobs *job.Queue, bills *billing.Billing, provisioner Provisioner) *Instances {
	i := &Instances{db: database, jobs: jobs, bills: bills, provisioner: provisioner}
	job.Handle(jobs, billJob, job.Handler[billPayload]{Do: i.bill, Failed: i.billGivenUp})
	job.Handle(jobs, provisionJob, job.Handler[provisionPayload]{Do: i.provision, Failed: i.provisionGivenUp})
	return i
}

// terms are what an instance has and costs, as agreed when it is created or resized.
type terms struct {
	ComputePlanID string
	// StorageGB is nil when user-installed.
	StorageGB                    *int
	ComputeAmount, StorageAmount int64
}

// termsOf are the catalog's; storage is nil when user-installed.
func termsOf(plan *ComputePlan, storage *StoragePlan) terms {
	t := terms{ComputePlanID: plan.ID, ComputeAmount: plan.Amount}
	if storage != nil {
		t.StorageGB, t.StorageAmount = &storage.SizeGB, storage.Amount
	}
	return t
}

// Items are what is billed for an instance. They come to another amount than it costs when the price of
// storage is another than when that was agreed.
func Items(instance *db.Instance) []billing.Item {
	var storage *StoragePlan
	if instance.StorageGB != nil {
		storage = graduated(*instance.StorageGB, catalog.StorageTiers)
	}
	return ComputePlanByID(instance.ComputePlanID).items(instance.ComputeAmount, storage)
}

func (t terms) amount() int64 { return t.ComputeAmount + t.StorageAmount }

// agree puts the terms into an instance's row. What costs something is nobody's free instance.
func (t terms) agree(instance *db.Instance) {
	instance.ComputePlanID, instance.StorageGB = t.ComputePlanID, t.StorageGB
	instance.ComputeAmount, instance.StorageAmount = t.ComputeAmount, t.StorageAmount
	if instance.Amount() > 0 {
		instance.FreeForUserID = nil
	}
}

// errFreeLimit is what the database's constraint on free_for_user_id means.
var errFreeLimit = fault.New(fault.FreeLimitReached,
	"All organizations that the same user created share one free cloud instance, and it exists already. Choose a plan that costs something.").On("computePlanId")

var instances = organization.Owned[db.Instance]{
	Find:           (*db.DB).InstanceByID,
	OrganizationID: func(i *db.Instance) string { return i.OrganizationID },
	Missing:        fault.ErrNoInstance.On("instanceId"),
}

// refuseBusy refuses to change an instance with which something is being done.
func refuseBusy(instance *db.Instance) error {
	doing := map[db.InstanceStatus]string{
		db.InstanceCreating: "created", db.InstanceUpdating: "changed", db.InstanceDeleting: "deleted",
	}[instance.Status]
	if doing == "" {
		return nil
	}
	return fault.New(fault.InstanceBusy, "%s is being %s. Try again when that is done.", instance.Name, doing).On("instanceId")
}

// inTurn does what a job has to do to an instance in a transaction under the organization's lock;
// nothing when it is not the job's turn.
func (i *Instances) inTurn(ctx context.Context, jobID, instanceID string, work func(tx *db.DB, instance *db.Instance) error) error {
	found, err := instanceOfJob(ctx, i.db, jobID, instanceID)
	if found == nil {
		return err
	}
	return i.db.InTx(ctx, func(tx *db.DB) error {
		if _, err := tx.LockOrganization(ctx, found.OrganizationID); err != nil {
			return err
		}
		instance, err := instanceOfJob(ctx, tx, jobID, instanceID)
		if instance == nil {
			return err
		}
		return work(tx, instance)
	})
}

// instanceOfJob finds the instance that a job has to do with; nil when it is gone or another job's.
func instanceOfJob(ctx context.Context, tx *db.DB, jobID, instanceID string) (*db.Instance, error) {
	instance, err := tx.InstanceByID(ctx, instanceID)
	if errors.Is(err, db.ErrNotFound) || err == nil && (instance.JobID == nil || *instance.JobID != jobID) {
		return nil, nil
	}
	return instance, err
}

// attended marks the context of a job that a caller waits for.
type attended struct{}

// do does a committed job at once. Its refusal is the caller's answer. Otherwise it is done, or goes
// on in the background, and the instance's status shows how far it has come.
func (i *Instances) do(ctx context.Context, jobID string) error {
	err := i.jobs.Do(context.WithValue(ctx, attended{}, true), jobID)
	if _, refused := errors.AsType[*fault.Error](err); refused {
		return err
	}
	if err != nil {
		zerolog.Ctx(ctx).Warn().Err(err).Str("job", jobID).Msg("an instance is billed in the background")
	}
	return nil
}
