// Package organization holds the rules of organizations: who may found, rename and delete one, who
// belongs to it, who owns it, and how invitations come and go.
//
// Each change is one transaction that begins by locking the organization's row. What was checked
// before the lock, ownership above all, is checked again under it.
package organization

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rs/zerolog"

	"studio/db"
	"studio/event"
	"studio/fault"
	"studio/job"
	"studio/mail"
	"studio/text"
)

// Organizations applies the rules.
type Organizations struct {
	db        *db.DB
	jobs      *job.Queue
	mails     mail.Sender
	publicURL string
	release   Release
}

// Release lets go of what an organization has outside before it counts as deleted. It may be called
// again, also when it has succeeded. Its error is a fault when it is due to those outside.
type Release func(ctx context.Context, jobID, organizationID string) error

// closeJob is the kind of the jobs that delete organizations.
const closeJob = "delete organization"

// New makes the rules work on a database. Links in mails start with publicURL.
func New(database *db.DB, jobs *job.Queue, mails mail.Sender, publicURL string, release Release) *Organizations {
	o := &Organizations{db: database, jobs: jobs, mails: mails, publicURL: publicURL, release: release}
	job.Handle(jobs, closeJob, job.Handler[closePayload]{Do: o.close, Failed: o.reopen})
	job.Handle(jobs, invitationJob, job.Handler[invitationPayload]{Do: o.mailInvitation, Failed: o.invitationUndelivered})
	return o
}

// Create founds an organization that the actor owns. INVALID_INPUT, or SUBDOMAIN_TAKEN.
func (o *Organizations) Create(ctx context.Context, actor *db.User, name, subdomain string) (*db.Organization, error) {
	name, err := text.Name("name", name, text.MaxOrganizationName)
	if err != nil {
		return nil, err
	}
	subdomain, err = checkSubdomain(subdomain)
	if err != nil {
		return nil, err
	}
	var created *db.Organization
	err = o.db.InTx(ctx, func(tx *db.DB) error {
		created, err = insertOrganization(ctx, tx, actor, name, subdomain)
		return err
	})
	return created, err
}

// CreateFirst founds the organization that a new user starts with, in the transaction of their
// sign-up. Without a subdomain one is derived from the user's name. Errors are those of Create.
func (o *Organizations) CreateFirst(ctx context.Context, tx *db.DB, user *db.User, subdomain *string) (*db.Organization, error) {
	name := user.FirstName + "'s Organization"
	if subdomain != nil {
		wanted, err := checkSubdomain(*subdomain)
		if err != nil {
			return nil, err
		}
		return insertOrganization(ctx, tx, user, name, wanted)
	}
	for try := 0; ; try++ {
		derived := derivedSubdomain(user.FirstName+user.LastName, try)
		if subdomainProblem(derived) != "" {
			continue
		}
		created, err := insertOrganization(ctx, tx, user, name, derived)
		if !errors.Is(err, errSubdomainTaken) {
			return created, err
		}
	}
}

// insertOrganization adds an organization and its first owner. SUBDOMAIN_TAKEN.
func insertOrganization(ctx context.Context, tx *db.DB, owner *db.User, name, subdomain string) (*db.Organization, error) {
	created := &db.Organization{
		ID:          db.NewID(db.OrganizationPrefix),
		Name:        name,
		NameKey:     text.Fold(name),
		Subdomain:   subdomain,
		CreatedByID: &owner.ID,
		CreatedAt:   tx.Now(),
	}
	free, err := tx.InsertOrganization(ctx, created)
	if err == nil && !free {
		err = errSubdomainTaken
	}
	if err != nil {
		return nil, err
	}
	err = tx.InsertMembership(ctx, &db.Membership{
		ID:             db.NewID(db.MembershipPrefix),
		OrganizationID: created.ID,
		Email:          owner.Email,
		UserID:         &owner.ID,
		Status:         db.Accepted,
		IsOwner:        true,
		AcceptedAt:     &created.CreatedAt,
	})
	if err != nil {
		return nil, err
	}
	summary := fmt.Sprintf("%s created the organization %s.", owner.Name(), name)
	return created, event.Record(ctx, tx, created.ID, db.OrganizationCreated, owner, created.ID, summary)
}

// Rename changes an organization's name, which is descriptive only.
func (o *Organizations) Rename(ctx context.Context, actor *db.User, organizationID, name string) (*db.Organization, error) {
	name, err := text.Name("name", name, text.MaxOrganizationName)
	if err != nil {
		return nil, err
	}
	var renamed *db.Organization
	err = o.db.InTx(ctx, func(tx *db.DB) error {
		renamed, err = LockAsOwner(ctx, tx, actor, organizationID, ErrMissing)
		if err != nil || renamed.Name == name {
			return err
		}
		summary := fmt.Sprintf("%s renamed the organization from %s to %s.", actor.Name(), renamed.Name, name)
		renamed.Name, renamed.NameKey = name, text.Fold(name)
		if err := tx.UpdateOrganizationName(ctx, renamed); err != nil {
			return err
		}
		return event.Record(ctx, tx, organizationID, db.OrganizationUpdated, actor, organizationID, summary)
	})
	return renamed, err
}

// Landing is the organization that a user has accepted, nil unless it is exactly one.
func (o *Organizations) Landing(ctx context.Context, user *db.User) (*db.Organization, error) {
	rows, err := o.db.OrganizationsOfUser(ctx, user.ID, "", db.OrganizationOrder{}, db.Page{Limit: 1})
	if err != nil || rows.More || len(rows.Nodes) == 0 {
		return nil, err
	}
	return rows.Nodes[0], nil
}

// Blocker is a reason why an organization cannot be deleted yet.
type Blocker struct {
	Code    fault.Code
	Message string
}

// DeletionBlockers is what must be gone before an organization with so many instances can be deleted.
// Delete asks under the lock, and the schema's field beforehand. Users and invitations are no
// hindrance.
func DeletionBlockers(instances int) []*Blocker {
	if instances == 0 {
		return []*Blocker{}
	}
	return []*Blocker{{fault.OrganizationNotEmpty, fmt.Sprintf("Delete the organization's instances first; it has %d.", instances)}}
}

// closePayload is what the job that deletes an organization is given.
type closePayload struct {
	OrganizationID, ActorID string
}

// Delete removes an organization with its users and invitations, after its exact name was typed.
// Its invoices and its log are kept, and its subdomain is not given out again. What it has outside,
// at Stripe, is let go of first: when that fails, the organization stays as it is, and the call can
// be repeated. CONFIRMATION_MISMATCH, ORGANIZATION_NOT_EMPTY, UNAVAILABLE.
func (o *Organizations) Delete(ctx context.Context, actor *db.User, organizationID, confirmName string) error {
	var jobID string
	err := o.db.InTx(ctx, func(tx *db.DB) error {
		deleted, err := LockAsOwner(ctx, tx, actor, organizationID, ErrMissing)
		if err != nil {
			return err
		}
		if err := confirm(confirmName, deleted.Name); err != nil {
			return err
		}
		instances, err := tx.CountInstancesOfOrganizations(ctx, []string{organizationID})
		if err != nil {
			return err
		}
		if blockers := DeletionBlockers(instances[0]); len(blockers) > 0 {
			return fault.New(blockers[0].Code, "%s", blockers[0].Message)
		}
		if err := tx.SetOrganizationClosing(ctx, organizationID, true); err != nil {
			return err
		}
		jobID, err = o.jobs.Enqueue(ctx, tx, closeJob, closePayload{organizationID, actor.ID}, job.InLane(organizationID), job.Foreground())
		return err
	})
	if err != nil {
		return err
	}
	err = o.jobs.Do(ctx, jobID)
	if errors.Is(err, job.ErrPending) {
		return fault.New(fault.Unavailable, "The organization is being deleted, which takes longer than usual. Check again in a minute.").GoingOn()
	}
	return err
}

// close is the job that ends what Delete has begun.
func (o *Organizations) close(ctx context.Context, jobID string, c closePayload) error {
	actor, err := o.db.UserByID(ctx, c.ActorID)
	if err != nil {
		return err
	}
	if err := o.release(ctx, jobID, c.OrganizationID); err != nil {
		zerolog.Ctx(ctx).Error().Err(err).Str("organization", c.OrganizationID).Msg("an organization cannot be deleted")
		if err := o.reopen(ctx, jobID, c); err != nil {
			return err
		}
		unable := "The server cannot answer now"
		if _, told := errors.AsType[*fault.Error](err); told {
			unable = "The payment service is not responding"
		}
		return fault.New(fault.Unavailable, "%s, so the organization was not deleted. Try again.", unable)
	}
	return o.db.InTx(ctx, func(tx *db.DB) error {
		deleted, err := tx.LockOrganization(ctx, c.OrganizationID)
		if errors.Is(err, db.ErrNotFound) {
			return nil // by an earlier attempt of this job
		}
		if err != nil {
			return err
		}
		summary := fmt.Sprintf("%s deleted the organization %s.", actor.Name(), deleted.Name)
		if err := event.Record(ctx, tx, c.OrganizationID, db.OrganizationDeleted, actor, c.OrganizationID, summary); err != nil {
			return err
		}
		if err := tx.DeleteMembershipsOf(ctx, c.OrganizationID); err != nil {
			return err
		}
		return tx.DeleteOrganization(ctx, c.OrganizationID)
	})
}

// reopening is how long it may take to store that an organization goes on, also when its job's time is over.
const reopening = 10 * time.Second

// reopen lets an organization go on that is not deleted after all.
func (o *Organizations) reopen(ctx context.Context, _ string, c closePayload) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), reopening)
	defer cancel()
	return o.db.SetOrganizationClosing(ctx, c.OrganizationID, false)
}

// confirm compares what was typed with the exact name.
func confirm(typed, name string) error {
	if text.Confirmation(typed) != name {
		return fault.New(fault.ConfirmationMismatch, "Type the organization's exact name, %s, to confirm.", name).On("confirmName")
	}
	return nil
}

// ErrMissing answers a caller who gave an organization's ID and does not belong to it.
var ErrMissing = fault.ErrNoOrganization.On("organizationId")

// LockAsOwner locks an organization for a change that only an owner may make. To those who do not
// belong to it, what they named is missing. CONFLICT while the organization is being deleted.
func LockAsOwner(ctx context.Context, tx *db.DB, actor *db.User, organizationID string, missing *fault.Error) (*db.Organization, error) {
	locked, own, err := lockAsMember(ctx, tx, actor, organizationID, missing)
	if err == nil && !own.IsOwner {
		return nil, fault.ErrNotOwner.On(missing.Field)
	}
	if err == nil && locked.ClosingAt != nil {
		return nil, fault.New(fault.Conflict, "The organization is being deleted.").On(missing.Field)
	}
	return locked, err
}

// Owned is what an organization has of some kind, and only its owners may change.
type Owned[T any] struct {
	Find           func(tx *db.DB, ctx context.Context, id string) (*T, error)
	OrganizationID func(*T) string
	// Missing answers a caller who gave the ID of one and does not belong to its organization.
	Missing *fault.Error
}

// Change lets an owner change what has an ID, under the lock on its organization, and returns it as
// changed. Errors are those of LockAsOwner.
func (o Owned[T]) Change(
	ctx context.Context, database *db.DB, actor *db.User, id string, change func(tx *db.DB, owning *db.Organization, owned *T) error,
) (owned *T, err error) {
	err = database.InTx(ctx, func(tx *db.DB) error {
		if owned, err = o.Find(tx, ctx, id); err != nil {
			return orMissing(err, o.Missing)
		}
		owning, err := LockAsOwner(ctx, tx, actor, o.OrganizationID(owned), o.Missing)
		if err != nil {
			return err
		}
		if owned, err = o.Find(tx, ctx, id); err != nil { // as it is under the lock
			return orMissing(err, o.Missing)
		}
		return change(tx, owning, owned)
	})
	return owned, err
}

// lockAsMember locks an organization for a change that its users may make.
func lockAsMember(ctx context.Context, tx *db.DB, actor *db.User, organizationID string, missing *fault.Error) (*db.Organization, *db.Membership, error) {
	locked, err := tx.LockOrganization(ctx, organizationID)
	if err != nil {
		return nil, nil, orMissing(err, missing)
	}
	own, err := tx.AcceptedMembership(ctx, organizationID, actor.ID)
	if err != nil {
		return nil, nil, orMissing(err, missing)
	}
	return locked, own, nil
}

// orMissing answers that something is missing when there is no such row.
func orMissing(err error, missing *fault.Error) error {
	if errors.Is(err, db.ErrNotFound) {
		return missing
	}
	return err
}
