package organization

// Memberships: what owners change about the users of an organization, and leaving it.

import (
	"context"
	"fmt"

	"studio/db"
	"studio/event"
	"studio/fault"
)

// removalWord is what must be typed to remove a user, as in HarperDB Studio.
const removalWord = "DELETE"

var memberships = Owned[db.Membership]{
	Find:           (*db.DB).MembershipByID,
	OrganizationID: func(m *db.Membership) string { return m.OrganizationID },
	Missing:        fault.ErrNoMembership.On("organizationUserId"),
}

// SetOwner makes a user an owner or an ordinary user. INVITATION_PENDING until the user has
// accepted, LAST_OWNER when nobody would own the organization.
func (o *Organizations) SetOwner(ctx context.Context, actor *db.User, membershipID string, owner bool) (*db.Membership, error) {
	return memberships.Change(ctx, o.db, actor, membershipID, func(tx *db.DB, _ *db.Organization, member *db.Membership) error {
		switch {
		case member.Status != db.Accepted:
			return fault.New(fault.InvitationPending, "%s has not accepted the invitation yet.", member.Email).On("organizationUserId")
		case member.IsOwner == owner:
			return nil
		}
		kind, text := db.OwnerAdded, "%s made %s an owner."
		if !owner {
			kind, text = db.OwnerRemoved, "%s took the ownership from %s."
			if err := keepAnOwner(ctx, tx, member); err != nil {
				return err
			}
		}
		member.IsOwner = owner
		if err := tx.UpdateMembership(ctx, member); err != nil {
			return err
		}
		return o.recordAbout(ctx, tx, kind, actor, member, text)
	})
}

// Remove ends a user's place in the organization, or revokes an invitation, after the word DELETE
// was typed. The account stays. CONFIRMATION_MISMATCH, LAST_OWNER.
func (o *Organizations) Remove(ctx context.Context, actor *db.User, membershipID, confirm string) error {
	_, err := memberships.Change(ctx, o.db, actor, membershipID, func(tx *db.DB, _ *db.Organization, member *db.Membership) error {
		if confirm != removalWord {
			return fault.New(fault.ConfirmationMismatch, "Type the word %s to confirm.", removalWord).On("confirm")
		}
		if err := keepAnOwner(ctx, tx, member); err != nil {
			return err
		}
		kind, text := db.UserRemoved, "%s removed %s."
		if member.Status == db.Invited {
			kind, text = db.InvitationRevoked, "%s revoked the invitation of %s."
		}
		if err := o.recordAbout(ctx, tx, kind, actor, member, text); err != nil {
			return err
		}
		return remove(ctx, tx, member)
	})
	return err
}

// Leave ends the actor's own place in the organization, after its exact name was typed.
// CONFIRMATION_MISMATCH, LAST_OWNER.
func (o *Organizations) Leave(ctx context.Context, actor *db.User, organizationID, confirmName string) error {
	return o.db.InTx(ctx, func(tx *db.DB) error {
		left, own, err := lockAsMember(ctx, tx, actor, organizationID, ErrMissing)
		if err != nil {
			return err
		}
		if err := confirm(confirmName, left.Name); err != nil {
			return err
		}
		if err := keepAnOwner(ctx, tx, own); err != nil {
			return err
		}
		summary := fmt.Sprintf("%s left the organization.", actor.Name())
		if err := event.Record(ctx, tx, organizationID, db.UserLeft, actor, own.ID, summary); err != nil {
			return err
		}
		return remove(ctx, tx, own)
	})
}

// keepAnOwner refuses a change that takes the ownership from the only owner.
func keepAnOwner(ctx context.Context, tx *db.DB, member *db.Membership) error {
	if !member.IsOwner {
		return nil
	}
	owners, err := tx.CountOwners(ctx, member.OrganizationID)
	if err == nil && owners == 1 {
		return fault.New(fault.LastOwner, "An organization keeps at least one owner. Make another user an owner first.")
	}
	return err
}

func remove(ctx context.Context, tx *db.DB, member *db.Membership) error {
	if err := tx.DeleteMembership(ctx, member.ID); err != nil {
		return err
	}
	return tx.DeleteLinkTokens(ctx, db.InvitationLink, member.ID)
}

// recordAbout records what the actor did to a user; the text has places for both.
func (o *Organizations) recordAbout(ctx context.Context, tx *db.DB, kind db.EventType, actor *db.User, member *db.Membership, text string) error {
	name := member.Email
	if member.UserID != nil {
		user, err := tx.UserByID(ctx, *member.UserID)
		if err != nil {
			return err
		}
		name = user.Name()
	}
	return event.Record(ctx, tx, member.OrganizationID, kind, actor, member.ID, fmt.Sprintf(text, actor.Name(), name))
}
