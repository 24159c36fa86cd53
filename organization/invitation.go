package organization

// Invitations: how a user's place in an organization comes into being.

import (
	"context"
	"errors"
	"fmt"
	"time"

	"studio/db"
	"studio/event"
	"studio/fault"
	"studio/mail"
	"studio/text"
)

const (
	// invitationLifetime is how long an invitation can be accepted.
	invitationLifetime = 7 * 24 * time.Hour
	// mailsPerDay is how many invitations a day are mailed to one address, whoever invites.
	mailsPerDay = 5
	// MaxOpen is how many invitations to one address can be open at once.
	MaxOpen = mailsPerDay * int(invitationLifetime/(24*time.Hour))

	invitationJob = "mail invitation"
)

var errInvitationInvalid = fault.New(fault.InvitationInvalid,
	"This invitation is invalid or no longer works. Ask an owner of the organization to invite you again.")

// Invite offers an address a place in the organization. An address that declined, or whose
// invitation ran out, can be invited again. ALREADY_MEMBER, ALREADY_INVITED, or RATE_LIMITED when
// the address was sent too many invitations.
func (o *Organizations) Invite(ctx context.Context, actor *db.User, organizationID, email string) (*db.Membership, error) {
	email, err := text.Email("email", email)
	if err != nil {
		return nil, err
	}
	var invited *db.Membership
	err = o.db.InTx(ctx, func(tx *db.DB) error {
		if _, err := LockAsOwner(ctx, tx, actor, organizationID, ErrMissing); err != nil {
			return err
		}
		invited, err = tx.MembershipByEmail(ctx, organizationID, email)
		isNew := errors.Is(err, db.ErrNotFound)
		switch {
		case isNew:
			invited = &db.Membership{ID: db.NewID(db.MembershipPrefix), OrganizationID: organizationID, Email: email}
		case err != nil:
			return err
		case invited.Status == db.Accepted:
			return fault.New(fault.AlreadyMember, "%s is a user of this organization already.", email).On("email")
		case invited.Pending(tx.Now()):
			return fault.New(fault.AlreadyInvited, "%s is invited already. Resend the invitation instead.", email).On("email")
		}
		now := tx.Now()
		invited.Status, invited.InvitedByID, invited.InvitedAt = db.Invited, &actor.ID, &now
		store := tx.UpdateMembership
		if isNew {
			store = tx.InsertMembership
		}
		if err := o.offer(ctx, tx, invited, store); err != nil {
			return err
		}
		summary := fmt.Sprintf("%s invited %s.", actor.Name(), email)
		return event.Record(ctx, tx, organizationID, db.UserInvited, actor, invited.ID, summary)
	})
	return invited, err
}

// ResendInvitation mails a pending invitation anew, with a new link, and makes the old links
// worthless; it is good for as long as a new one. ALREADY_MEMBER, INVITATION_INVALID when it was
// declined, or RATE_LIMITED.
func (o *Organizations) ResendInvitation(ctx context.Context, actor *db.User, membershipID string) (*db.Membership, error) {
	return memberships.Change(ctx, o.db, actor, membershipID, func(tx *db.DB, _ *db.Organization, invited *db.Membership) error {
		switch invited.Status {
		case db.Accepted:
			return fault.New(fault.AlreadyMember, "%s has accepted already.", invited.Email).On("organizationUserId")
		case db.Declined:
			return fault.New(fault.InvitationInvalid, "%s has declined. Invite them again instead.", invited.Email).On("organizationUserId")
		}
		if err := o.offer(ctx, tx, invited, tx.UpdateMembership); err != nil {
			return err
		}
		summary := fmt.Sprintf("%s resent the invitation of %s.", actor.Name(), invited.Email)
		return event.Record(ctx, tx, invited.OrganizationID, db.InvitationResent, actor, invited.ID, summary)
	})
}

// offer lets the invitation's time begin, has it mailed, and stores it. The links sent before stop
// working.
func (o *Organizations) offer(
	ctx context.Context, tx *db.DB, invited *db.Membership, store func(ctx context.Context, invited *db.Membership) error,
) error {
	wait, err := tx.Hit(ctx, "invitation mails to "+invited.Email, mailsPerDay, 24*time.Hour)
	if err != nil {
		return err
	}
	if wait > 0 {
		return fault.New(fault.RateLimited, "%s was sent %d invitations within a day. Try again later.", invited.Email, mailsPerDay).After(wait)
	}
	jobID, err := o.jobs.Enqueue(ctx, tx, invitationJob, invitationPayload{MembershipID: invited.ID})
	if err != nil {
		return err
	}
	mailed := invited.InvitationJobID != nil
	expires, queued := tx.Now().Add(invitationLifetime), db.MailQueued
	invited.InvitationExpiresAt, invited.InvitationDelivery, invited.InvitationJobID = &expires, &queued, &jobID
	if err := store(ctx, invited); err != nil || !mailed {
		return err
	}
	return tx.DeleteLinkTokens(ctx, db.InvitationLink, invited.ID)
}

type invitationPayload struct {
	MembershipID string `json:"membershipId"`
}

// mailInvitation makes the link's token only now, since a job is stored and a token must not be.
// Should the job run twice, both mails have a link that works. It has nothing to do when the
// invitation was accepted, declined, revoked or resent meanwhile.
func (o *Organizations) mailInvitation(ctx context.Context, jobID string, p invitationPayload) error {
	token := db.NewToken()
	open, err := o.db.InsertInvitationLink(ctx, db.HashToken(token), p.MembershipID, jobID)
	if err != nil || !open {
		return err
	}
	invitation, err := o.db.OpenInvitation(ctx, p.MembershipID)
	if err != nil {
		return orNothing(err)
	}
	write := mail.Welcome
	if invitation.AccountExists {
		write = mail.Invitation
	}
	message := write(invitation.Email, mail.InvitationParams{
		OrganizationName: invitation.OrganizationName,
		InvitedBy:        invitation.InvitedBy(),
		Link:             o.publicURL + "/invitations/" + token,
		ExpiresAt:        invitation.ExpiresAt,
	})
	message.ID = jobID
	if err := o.mails.Send(ctx, message); err != nil {
		return err
	}
	return o.db.SetInvitationDelivery(ctx, p.MembershipID, jobID, db.MailSent)
}

func (o *Organizations) invitationUndelivered(ctx context.Context, jobID string, p invitationPayload) error {
	return o.db.SetInvitationDelivery(ctx, p.MembershipID, jobID, db.MailFailed)
}

// Accept gives the actor the place they were invited to: by the token from the mail, which also
// proves that the address is theirs, or by the invitation's ID, which needs a verified address.
// Exactly one of the two must be given.
func (o *Organizations) Accept(ctx context.Context, actor *db.User, membershipID, token *string) (*db.Membership, error) {
	var accepted *db.Membership
	var err error
	switch {
	case (membershipID == nil) == (token == nil):
		return nil, fault.Invalid("", "Give either organizationUserId or token.")
	case token != nil:
		err = o.db.InTx(ctx, func(tx *db.DB) error {
			accepted, err = o.AcceptByToken(ctx, tx, actor, *token)
			return err
		})
	default:
		accepted, err = o.answer(ctx, actor, *membershipID, func(tx *db.DB, invited *db.Membership) error {
			return accept(ctx, tx, actor, invited)
		})
	}
	return accepted, err
}

// AcceptByToken accepts within a transaction of the caller's. INVITATION_INVALID, or
// INVITATION_EMAIL_MISMATCH when another address was invited; the token stays good then.
func (o *Organizations) AcceptByToken(ctx context.Context, tx *db.DB, actor *db.User, token string) (*db.Membership, error) {
	invalid := errInvitationInvalid.On("token")
	link, err := tx.LinkTokenByHash(ctx, db.InvitationLink, db.HashToken(token))
	if err != nil {
		return nil, orMissing(err, invalid)
	}
	invited, err := lockInvitation(ctx, tx, link.SubjectID)
	if err != nil {
		return nil, orMissing(err, invalid)
	}
	if invited.Email != actor.Email {
		return nil, fault.New(fault.InvitationEmailMismatch,
			"This invitation was sent to another address than yours. Sign in with the invited address.").On("token")
	}
	if !invited.Pending(tx.Now()) {
		return nil, invalid
	}
	// Read again under the lock, where of two callers with one token the second finds it used.
	if err := tx.TakeLinkToken(ctx, link.TokenHash); err != nil {
		return nil, orMissing(err, invalid)
	}
	if err := tx.MarkEmailVerified(ctx, actor.ID); err != nil {
		return nil, err
	}
	arrived := db.MailSent // as the token shows, before that may have been noted
	invited.InvitationDelivery = &arrived
	return invited, accept(ctx, tx, actor, invited)
}

func accept(ctx context.Context, tx *db.DB, actor *db.User, invited *db.Membership) error {
	now := tx.Now()
	invited.Status, invited.UserID, invited.AcceptedAt = db.Accepted, &actor.ID, &now
	summary := fmt.Sprintf("%s accepted the invitation.", actor.Name())
	return settle(ctx, tx, actor, invited, db.InvitationAccepted, summary)
}

// Decline refuses an invitation. It stays listed for the owners, who can invite again.
func (o *Organizations) Decline(ctx context.Context, actor *db.User, membershipID string) error {
	_, err := o.answer(ctx, actor, membershipID, func(tx *db.DB, invited *db.Membership) error {
		invited.Status = db.Declined
		summary := fmt.Sprintf("%s declined the invitation.", actor.Name())
		return settle(ctx, tx, actor, invited, db.InvitationDeclined, summary)
	})
	return err
}

// settle stores an answered invitation and makes its links worthless.
func settle(ctx context.Context, tx *db.DB, actor *db.User, invited *db.Membership, kind db.EventType, summary string) error {
	invited.InvitationExpiresAt, invited.InvitationJobID = nil, nil
	if mail := invited.InvitationDelivery; mail != nil && *mail == db.MailQueued { // and is not sent any more
		invited.InvitationDelivery = nil
	}
	if err := tx.UpdateMembership(ctx, invited); err != nil {
		return err
	}
	if err := tx.DeleteLinkTokens(ctx, db.InvitationLink, invited.ID); err != nil {
		return err
	}
	return event.Record(ctx, tx, invited.OrganizationID, kind, actor, invited.ID, summary)
}

// answer lets the invited user answer an invitation by its ID. EMAIL_UNVERIFIED whatever the ID,
// since somebody else may own the address; then NOT_FOUND, ALREADY_MEMBER or INVITATION_INVALID.
func (o *Organizations) answer(
	ctx context.Context, actor *db.User, membershipID string, change func(tx *db.DB, invited *db.Membership) error,
) (*db.Membership, error) {
	if actor.EmailVerifiedAt == nil {
		return nil, fault.New(fault.EmailUnverified, "Verify your email address first, or use the link in the invitation mail.")
	}
	var invited *db.Membership
	err := o.db.InTx(ctx, func(tx *db.DB) error {
		var err error
		invited, err = lockInvitation(ctx, tx, membershipID)
		switch {
		case err != nil:
			return orMissing(err, memberships.Missing)
		case invited.Email != actor.Email:
			return memberships.Missing
		case invited.Status == db.Accepted:
			return fault.New(fault.AlreadyMember, "You are a user of this organization already.").On("organizationUserId")
		case !invited.Pending(tx.Now()):
			return errInvitationInvalid.On("organizationUserId")
		}
		return change(tx, invited)
	})
	return invited, err
}

// lockInvitation locks the organization of a membership and returns the membership as it is then.
func lockInvitation(ctx context.Context, tx *db.DB, membershipID string) (*db.Membership, error) {
	found, err := tx.MembershipByID(ctx, membershipID)
	if err != nil {
		return nil, err
	}
	if _, err := tx.LockOrganization(ctx, found.OrganizationID); err != nil {
		return nil, err
	}
	return tx.MembershipByID(ctx, membershipID)
}

// Preview is what an invitation shows to whoever holds its link; nil for any token that does not work.
func (o *Organizations) Preview(ctx context.Context, token string) (*db.OpenInvitation, error) {
	link, err := o.db.LinkTokenByHash(ctx, db.InvitationLink, db.HashToken(token))
	if err != nil {
		return nil, orNothing(err)
	}
	invitation, err := o.db.OpenInvitation(ctx, link.SubjectID)
	return invitation, orNothing(err)
}

// orNothing drops the error that there is no such row.
func orNothing(err error) error {
	if errors.Is(err, db.ErrNotFound) {
		return nil
	}
	return err
}
