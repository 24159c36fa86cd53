package account

// Links in mails: each holds a token that works once and proves that the address is the user's.

import (
	"context"
	"errors"
	"time"

	"studio/db"
	"studio/fault"
	"studio/mail"
)

const (
	verificationJob = "mail verification"
	// verificationLifetime is how long the link in the mail works.
	verificationLifetime = 7 * 24 * time.Hour
)

type verificationPayload struct {
	UserID string `json:"userId"`
}

// requestVerification has a link mailed to the user's address.
func (a *Accounts) requestVerification(ctx context.Context, tx *db.DB, user *db.User) error {
	wait, err := tx.Hit(ctx, "verification mails to "+db.HashToken(user.Email), accountMailsPerDay, 24*time.Hour)
	if err != nil {
		return err
	}
	if wait > 0 {
		return fault.New(fault.RateLimited, "You were sent %d mails within a day. Try again later.", accountMailsPerDay).After(wait)
	}
	_, err = a.jobs.Enqueue(ctx, tx, verificationJob, verificationPayload{UserID: user.ID})
	return err
}

// ResendVerification mails the link anew, and reports false when the address is verified already.
// RATE_LIMITED after five mails a day.
func (a *Accounts) ResendVerification(ctx context.Context, caller *Caller) (bool, error) {
	if caller.User.EmailVerifiedAt != nil {
		return false, nil
	}
	err := a.db.InTx(ctx, func(tx *db.DB) error { return a.requestVerification(ctx, tx, caller.User) })
	return err == nil, err
}

// mailVerification makes the link's token only now, since a job is stored and a token must not be.
func (a *Accounts) mailVerification(ctx context.Context, jobID string, p verificationPayload) error {
	user, err := a.db.UserByID(ctx, p.UserID)
	if err != nil {
		return err
	}
	if user.EmailVerifiedAt != nil {
		return nil
	}
	return a.mailLink(ctx, jobID, user, db.VerificationLink, verificationLifetime, func(token string, expires time.Time) mail.Message {
		return mail.Verification(user.Email, user.FirstName, a.publicURL+"/verify-email/"+token, expires)
	})
}

// mailLink stores a new token and sends the message that holds it.
func (a *Accounts) mailLink(
	ctx context.Context, jobID string, user *db.User, purpose db.LinkPurpose, lifetime time.Duration,
	write func(token string, expires time.Time) mail.Message,
) error {
	token, expires := db.NewToken(), a.db.Now().Add(lifetime)
	err := a.db.InsertLinkToken(ctx, &db.LinkToken{
		TokenHash: db.HashToken(token), Purpose: purpose, SubjectID: user.ID, ExpiresAt: expires,
	})
	if err != nil {
		return err
	}
	message := write(token, expires)
	message.ID = jobID
	return a.mails.Send(ctx, message)
}

// VerifyEmail proves the user's address by the token from the mail. INVALID_INPUT when the token
// does not work, or no longer.
func (a *Accounts) VerifyEmail(ctx context.Context, token string) (*db.User, error) {
	return a.takeLink(ctx, db.VerificationLink, token, func(tx *db.DB, user *db.User) error {
		return tx.DeleteLinkTokens(ctx, db.VerificationLink, user.ID)
	})
}

// takeLink uses a token up, which proves its user's address, for a change of the user as they were before.
func (a *Accounts) takeLink(
	ctx context.Context, purpose db.LinkPurpose, token string, change func(tx *db.DB, user *db.User) error,
) (*db.User, error) {
	var changed *db.User
	err := a.db.InTx(ctx, func(tx *db.DB) error {
		link, err := tx.LinkTokenByHash(ctx, purpose, db.HashToken(token))
		if err != nil {
			return orInvalidLink(err)
		}
		// First, as whoever holds this lock makes the tokens of all mails worthless.
		user, err := tx.LockUser(ctx, link.SubjectID)
		if err != nil {
			return err
		}
		if err := tx.TakeLinkToken(ctx, link.TokenHash); err != nil {
			return orInvalidLink(err)
		}
		if err := change(tx, user); err != nil {
			return err
		}
		if err := tx.MarkEmailVerified(ctx, user.ID); err != nil {
			return err
		}
		changed, err = tx.UserByID(ctx, user.ID)
		return err
	})
	return changed, err
}

func orInvalidLink(err error) error {
	if errors.Is(err, db.ErrNotFound) {
		return fault.Invalid("token", "This link is invalid or no longer works. Request a new mail.")
	}
	return err
}
