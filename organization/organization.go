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
}

// New makes the rules work on a database. Links in mails start with publicURL.
func New(database *db.DB, jobs *job.Queue, mails mail.Sender, publicURL string) *Organizations {
	o := &Organizations{db: database, jobs: jobs, mails: mails, publicURL: publicURL}
	jobs.Handle(invitationJob, job.Handler{Do: o.mailInvitation, Failed: o.invitationUndelivered})
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
		created, err = found(ctx, tx, actor, name, subdomain)
		if err == nil && created == nil {
			return errSubdomainTaken
		}
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
		created, err := found(ctx, tx, user, name, wanted)
		if err == nil && created == nil {
			return nil, errSubdomainTaken
		}
		return created, err
	}
	for try := 0; ; try++ {
		created, err := found(ctx, tx, user, name, derivedSubdomain(user.FirstName+user.LastName, try))
		if err != nil || created != nil {
			return created, err
		}
	}
}

// found adds an organization and its first owner; nil when the subdomain is taken.
func found(ctx context.Context, tx *db.DB, owner *db.User, name, subdomain string) (*db.Organization, error) {
	created := &db.Organization{
		ID:        db.NewID(db.OrganizationPrefix),
		Name:      name,
		NameKey:   text.Fold(name),
		Subdomain: subdomain,
		CreatedAt: tx.Now(),
	}
	free, err := tx.InsertOrganization(ctx, created)
	if err != nil || !free {
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
		renamed, err = lockAsOwner(ctx, tx, actor, organizationID, noOrganization)
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

// Blocker is a reason why an organization cannot be deleted yet.
type Blocker struct {
	Code    fault.Code
	Message string
}

// DeletionBlockers is what an organization holds that must be gone before it can be deleted. Delete
// asks under the lock, and the schema's field beforehand. Users and invitations are no hindrance,
// and an organization holds nothing else.
func (o *Organizations) DeletionBlockers(context.Context, *db.DB, string) ([]*Blocker, error) {
	return []*Blocker{}, nil
}

// Delete removes an organization with its users and invitations, after its exact name was typed.
// Its log is kept, and its subdomain is not given out again. CONFIRMATION_MISMATCH.
func (o *Organizations) Delete(ctx context.Context, actor *db.User, organizationID, confirmName string) error {
	return o.db.InTx(ctx, func(tx *db.DB) error {
		deleted, err := lockAsOwner(ctx, tx, actor, organizationID, noOrganization)
		if err != nil {
			return err
		}
		if err := confirm(confirmName, deleted.Name); err != nil {
			return err
		}
		blockers, err := o.DeletionBlockers(ctx, tx, organizationID)
		if err != nil {
			return err
		}
		if len(blockers) > 0 {
			return fault.New(blockers[0].Code, "%s", blockers[0].Message)
		}
		summary := fmt.Sprintf("%s deleted the organization %s.", actor.Name(), deleted.Name)
		if err := event.Record(ctx, tx, organizationID, db.OrganizationDeleted, actor, organizationID, summary); err != nil {
			return err
		}
		if err := tx.DeleteMembershipsOf(ctx, organizationID); err != nil {
			return err
		}
		return tx.DeleteOrganization(ctx, organizationID)
	})
}

// confirm compares what was typed with the exact name.
func confirm(typed, name string) error {
	if text.Confirmation(typed) != name {
		return fault.New(fault.ConfirmationMismatch, "Type the organization's exact name, %s, to confirm.", name).On("confirmName")
	}
	return nil
}

// noOrganization answers a caller who gave an organization's ID and does not belong to it.
var noOrganization = fault.ErrNoOrganization.On("organizationId")

// lockAsOwner locks an organization for a change that only an owner may make. To those who do not
// belong to it, what they named is missing.
func lockAsOwner(ctx context.Context, tx *db.DB, actor *db.User, organizationID string, missing *fault.Error) (*db.Organization, error) {
	locked, own, err := lockAsMember(ctx, tx, actor, organizationID, missing)
	if err == nil && !own.IsOwner {
		return nil, fault.ErrNotOwner.On(missing.Field)
	}
	return locked, err
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
