// Package account holds the rules of Studio accounts: signing up and in, sessions and API tokens,
// passwords, and proof that an address belongs to its user.
package account

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/alexedwards/argon2id"

	"studio/db"
	"studio/fault"
	"studio/job"
	"studio/mail"
	"studio/organization"
	"studio/text"
)

// Accounts applies the rules.
type Accounts struct {
	db            *db.DB
	jobs          *job.Queue
	mails         mail.Sender
	organizations *organization.Organizations
	publicURL     string
	hashing       *argon2id.Params
	nobodysHash   func() (string, error)
}

// New makes the rules work on a database. Links in mails start with publicURL. Tests that sign many up give
// other hashing than RecommendedHashing.
func New(
	database *db.DB, jobs *job.Queue, mails mail.Sender, organizations *organization.Organizations, publicURL string, hashing *argon2id.Params,
) *Accounts {
	a := &Accounts{
		db: database, jobs: jobs, mails: mails, organizations: organizations, publicURL: publicURL, hashing: hashing,
		// Compared with when there is no account, so that it takes as long.
		nobodysHash: sync.OnceValues(func() (string, error) { return argon2id.CreateHash(db.NewToken(), hashing) }),
	}
	job.Handle(jobs, verificationJob, job.Handler[verificationPayload]{Do: a.mailVerification})
	job.Handle(jobs, passwordResetJob, job.Handler[passwordResetPayload]{Do: a.mailPasswordReset})
	return a
}

// SignUp is what a new user enters.
type SignUp struct {
	Email, Password, FirstName, LastName string
	// Subdomain is that of the first organization; derived from the name when nil.
	Subdomain *string
	// InvitationToken proves the address and accepts the invitation.
	InvitationToken *string
}

// SignUp makes an account with its first organization and signs in, all of it or nothing.
// INVALID_INPUT, EMAIL_TAKEN, SUBDOMAIN_TAKEN, INVITATION_INVALID or INVITATION_EMAIL_MISMATCH.
func (a *Accounts) SignUp(ctx context.Context, client Client, input SignUp) (token string, caller *Caller, err error) {
	user := &db.User{ID: db.NewID(db.UserPrefix), CreatedAt: a.db.Now()}
	if user.Email, err = text.Email("email", input.Email); err != nil {
		return "", nil, err
	}
	password, err := text.Password("password", input.Password)
	if err != nil {
		return "", nil, err
	}
	if err := setName(user, input.FirstName, input.LastName); err != nil {
		return "", nil, err
	}
	if user.PasswordHash, err = a.hashPassword(ctx, password); err != nil {
		return "", nil, err
	}
	err = a.db.InTx(ctx, func(tx *db.DB) error {
		if err := tx.InsertUser(ctx, user); err != nil {
			if errors.Is(err, db.ErrDuplicate) {
				return fault.New(fault.EmailTaken, "There is an account with this address. Sign in, or reset its password.").On("email")
			}
			return err
		}
		if _, err := a.organizations.CreateFirst(ctx, tx, user, input.Subdomain); err != nil {
			return err
		}
		if input.InvitationToken == nil {
			err = a.requestVerification(ctx, tx, user)
		} else if _, err = a.organizations.AcceptByToken(ctx, tx, user, *input.InvitationToken); err != nil {
			return onField(err, "token", "invitationToken")
		}
		if err != nil {
			return err
		}
		token, caller, err = a.openSession(ctx, tx, client, user.ID)
		return err
	})
	return token, caller, err
}

// onField points a fault at the input value that has another name here.
func onField(err error, from, to string) error {
	if known, is := errors.AsType[*fault.Error](err); is && known.Field == from {
		return known.On(to)
	}
	return err
}

// UpdateProfile changes the names that are given.
func (a *Accounts) UpdateProfile(ctx context.Context, caller *Caller, firstName, lastName *string) (*db.User, error) {
	var changed *db.User
	err := a.db.InTx(ctx, func(tx *db.DB) error {
		var err error
		changed, err = tx.LockUser(ctx, caller.User.ID)
		if err != nil {
			return err
		}
		first, last := changed.FirstName, changed.LastName
		if firstName != nil {
			first = *firstName
		}
		if lastName != nil {
			last = *lastName
		}
		if err := setName(changed, first, last); err != nil {
			return err
		}
		return tx.UpdateUserName(ctx, changed)
	})
	return changed, err
}

func setName(user *db.User, first, last string) (err error) {
	if user.FirstName, err = text.Name("firstName", first, text.MaxPersonName); err != nil {
		return err
	}
	if user.LastName, err = text.Name("lastName", last, text.MaxPersonName); err != nil {
		return err
	}
	user.NameKey = text.Fold(user.Name())
	return nil
}

// Sweep removes what has expired: sessions, links in mails, and the memory of failed sign-ins.
func (a *Accounts) Sweep(ctx context.Context) error {
	return errors.Join(
		a.db.DeleteExpiredSessions(ctx),
		a.db.DeleteExpiredLinkTokens(ctx),
		a.db.DeleteThrottles(ctx, a.db.Now().Add(-48*time.Hour)), // the longest window is a day
	)
}
