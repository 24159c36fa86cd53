package account

// API tokens: they let programs act as their user.

import (
	"context"
	"errors"
	"strings"
	"time"

	"studio/db"
	"studio/fault"
	"studio/text"
)

// apiTokenPrefix makes a leaked token recognizable, to people and to scanners.
const apiTokenPrefix = "studio_pat_"

// MaxAPITokens is how many a user may have.
const MaxAPITokens = 100

// IsAPIToken reports whether a token is a program's and not a session's.
func IsAPIToken(token string) bool { return strings.HasPrefix(token, apiTokenPrefix) }

// CreateAPIToken makes a token, which is shown only now. It lasts until it is revoked when
// expiresAt is nil. INVALID_INPUT also when there are too many.
func (a *Accounts) CreateAPIToken(ctx context.Context, caller *Caller, name string, expiresAt *time.Time) (string, *db.APIToken, error) {
	if _, err := caller.session(); err != nil {
		return "", nil, err
	}
	name, err := text.Name("name", name, text.MaxTokenName)
	if err != nil {
		return "", nil, err
	}
	if expiresAt != nil {
		utc := expiresAt.UTC().Truncate(time.Microsecond)
		if !utc.After(a.db.Now()) || utc.Year() > 9999 {
			return "", nil, fault.Invalid("expiresAt", "Choose a time in the future, or leave it out.")
		}
		expiresAt = &utc
	}
	token := apiTokenPrefix + db.NewToken()
	created := &db.APIToken{
		ID:        db.NewID(db.APITokenPrefix),
		UserID:    caller.User.ID,
		Name:      name,
		TokenHash: db.HashToken(token),
		CreatedAt: a.db.Now(),
		ExpiresAt: expiresAt,
	}
	err = a.db.InTx(ctx, func(tx *db.DB) error {
		if err := stillPassword(ctx, tx, caller.User); err != nil {
			return err
		}
		if err := tx.DeleteExpiredAPITokens(ctx, created.UserID); err != nil {
			return err
		}
		count, err := tx.CountAPITokens(ctx, created.UserID)
		if err != nil {
			return err
		}
		if count >= MaxAPITokens {
			return fault.Invalid("name", "You have %d API tokens, and cannot have more. Revoke one first.", MaxAPITokens)
		}
		return tx.InsertAPIToken(ctx, created)
	})
	if errors.Is(err, errWrong) {
		err = fault.ErrSignedOut // as the session has ended with the old password
	}
	return token, created, err
}

// RevokeAPIToken makes one of the caller's tokens worthless. NOT_FOUND.
func (a *Accounts) RevokeAPIToken(ctx context.Context, caller *Caller, tokenID string) error {
	if _, err := caller.session(); err != nil {
		return err
	}
	err := a.db.DeleteAPIToken(ctx, caller.User.ID, tokenID)
	if errors.Is(err, db.ErrNotFound) {
		return fault.New(fault.NotFound, "You have no such API token.").On("apiTokenId")
	}
	return err
}
