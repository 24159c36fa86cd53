package account

// Passwords: how they are stored, changed and reset.

import (
	"context"
	"errors"
	"time"

	"github.com/alexedwards/argon2id"
	"golang.org/x/sync/semaphore"

	"studio/db"
	"studio/fault"
	"studio/mail"
	"studio/text"
)

const (
	passwordResetJob = "mail password reset"
	// passwordResetLifetime is how long the link in the mail works.
	passwordResetLifetime = time.Hour
	// accountMailsPerDay is how many mails of one kind about an account are sent within a day.
	accountMailsPerDay = 5
)

// RecommendedHashing is OWASP's first choice of argon2id parameters.
// https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html
var RecommendedHashing = &argon2id.Params{Memory: 19 * 1024, Iterations: 2, Parallelism: 1, SaltLength: 16, KeyLength: 32}

// atOnce bounds the memory that hashing takes: each takes 19 MiB.
var atOnce = semaphore.NewWeighted(8)

func (a *Accounts) hashPassword(ctx context.Context, password string) (string, error) {
	if err := atOnce.Acquire(ctx, 1); err != nil {
		return "", err
	}
	defer atOnce.Release(1)
	return argon2id.CreateHash(password, a.hashing)
}

func passwordMatches(ctx context.Context, password, hash string) (bool, error) {
	if len(password) > 4*text.MaxPassword { // in bytes: nobody's password, and not worth hashing
		password = ""
	}
	if err := atOnce.Acquire(ctx, 1); err != nil {
		return false, err
	}
	defer atOnce.Release(1)
	return argon2id.ComparePasswordAndHash(password, hash)
}

// ChangePassword replaces the caller's password and ends their other sessions.
// INVALID_CREDENTIALS when the current one is wrong, RATE_LIMITED as for SignIn.
func (a *Accounts) ChangePassword(ctx context.Context, caller *Caller, current, replacement string) error {
	session, err := caller.session()
	if err != nil {
		return err
	}
	replacement, err = text.Password("newPassword", replacement)
	if err != nil {
		return err
	}
	err = a.checkPassword(ctx, caller.User, current, failuresOf(caller.User.Email))
	if err != nil {
		return orWrongCurrent(err)
	}
	hash, err := a.hashPassword(ctx, replacement)
	if err != nil {
		return err
	}
	return a.db.InTx(ctx, func(tx *db.DB) error {
		if err := stillPassword(ctx, tx, caller.User); err != nil {
			return orWrongCurrent(err)
		}
		return replacePassword(ctx, tx, caller.User.ID, hash, session.ID)
	})
}

// orWrongCurrent says which password is wrong.
func orWrongCurrent(err error) error {
	if errors.Is(err, errWrong) {
		return fault.New(fault.InvalidCredentials, "The current password is wrong.").On("currentPassword")
	}
	return err
}

// replacePassword makes worthless what the old password may have given away.
func replacePassword(ctx context.Context, tx *db.DB, userID, hash, keepSession string) error {
	if err := tx.UpdatePassword(ctx, userID, hash); err != nil {
		return err
	}
	if err := tx.DeleteLinkTokens(ctx, db.PasswordResetLink, userID); err != nil {
		return err
	}
	return tx.DeleteOtherSessions(ctx, userID, keepSession)
}

type passwordResetPayload struct {
	Email string `json:"email"`
}

// RequestPasswordReset mails a link to an address, if it has an account. It does and answers the
// same when it has none, and when the address was sent too many: the job finds out.
func (a *Accounts) RequestPasswordReset(ctx context.Context, email string) error {
	email, err := text.Email("email", email)
	if err != nil {
		return err
	}
	return a.db.InTx(ctx, func(tx *db.DB) error {
		wait, err := tx.Hit(ctx, "password reset mails to "+db.HashToken(email), accountMailsPerDay, 24*time.Hour)
		if err != nil || wait > 0 {
			return err
		}
		_, err = a.jobs.Enqueue(ctx, tx, passwordResetJob, passwordResetPayload{Email: email})
		return err
	})
}

// mailPasswordReset makes the link's token only now, since a job is stored and a token must not be.
func (a *Accounts) mailPasswordReset(ctx context.Context, jobID string, p passwordResetPayload) error {
	user, err := a.db.UserByEmail(ctx, p.Email)
	if errors.Is(err, db.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return a.mailLink(ctx, jobID, user, db.PasswordResetLink, passwordResetLifetime, func(token string, expires time.Time) mail.Message {
		return mail.PasswordReset(user.Email, user.FirstName, a.publicURL+"/reset-password/"+token, expires)
	})
}

// ResetPassword sets a new password by the token from the mail, which proves the address, and ends
// all sessions. Until then, the password may be a stranger's who signed up with the address, so the first
// reset revokes all API tokens too. INVALID_INPUT when the token does not work, or no longer.
func (a *Accounts) ResetPassword(ctx context.Context, token, replacement string) (*db.User, error) {
	replacement, err := text.Password("newPassword", replacement)
	if err != nil {
		return nil, err
	}
	// Looked at before hashing, so that guesses are cheap to refuse.
	if _, err := a.db.LinkTokenByHash(ctx, db.PasswordResetLink, db.HashToken(token)); err != nil {
		return nil, orInvalidLink(err)
	}
	hash, err := a.hashPassword(ctx, replacement)
	if err != nil {
		return nil, err
	}
	return a.takeLink(ctx, db.PasswordResetLink, token, func(tx *db.DB, user *db.User) error {
		if err := tx.ForgetHits(ctx, failuresOf(user.Email)); err != nil {
			return err
		}
		if user.PasswordResetAt == nil {
			if err := tx.DeleteAPITokens(ctx, user.ID); err != nil {
				return err
			}
		}
		if err := tx.MarkPasswordReset(ctx, user.ID); err != nil {
			return err
		}
		return replacePassword(ctx, tx, user.ID, hash, "")
	})
}
