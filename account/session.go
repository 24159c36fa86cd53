package account

// Sessions: signing in and out, and who calls.

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"studio/db"
	"studio/fault"
	"studio/text"
)

const (
	// SessionLifetime is how long a session lasts from its last use.
	SessionLifetime = 30 * 24 * time.Hour
	// touchInterval is how exactly the last use is noted, to spare a write for each request.
	touchInterval = time.Minute
	// MaxSessions is how many a user may have; one more ends the one that was not used for the longest.
	MaxSessions = 100
	// maxClientText bounds what is stored of the browser's name for itself, and of its address, in bytes.
	maxClientText = 256

	maxFailures   = 10
	failureWindow = 15 * time.Minute
)

// Client is where a request comes from.
type Client struct {
	IPAddress, UserAgent string
}

// Network is what one client can have for itself: an IPv4 address, or a whole /64 of IPv6.
func (c Client) Network() string {
	parsed, err := netip.ParseAddr(c.IPAddress)
	if err != nil || parsed.Unmap().Is4() {
		return c.IPAddress
	}
	return netip.PrefixFrom(parsed.WithZone(""), 64).Masked().String()
}

// Caller is a signed-in user, and by what: either a session or an API token.
type Caller struct {
	User     *db.User
	Session  *db.Session
	APIToken *db.APIToken
}

// CredentialID is the ID of the session or API token.
func (c *Caller) CredentialID() string {
	if c.Session != nil {
		return c.Session.ID
	}
	return c.APIToken.ID
}

// session refuses API tokens, which cannot touch sessions, passwords or tokens: one that leaks
// must not be able to turn itself into more.
func (c *Caller) session() (*db.Session, error) {
	if c.Session == nil {
		return nil, fault.New(fault.Forbidden, "An API token cannot do this. Sign in instead.")
	}
	return c.Session, nil
}

// Authenticate finds who holds a token of a session or an API token; nil when it opens nothing.
func (a *Accounts) Authenticate(ctx context.Context, token string) (*Caller, error) {
	caller, err := a.authenticate(ctx, token)
	if errors.Is(err, db.ErrNotFound) {
		return nil, nil
	}
	return caller, err
}

func (a *Accounts) authenticate(ctx context.Context, token string) (*Caller, error) {
	shown := a.Credential(token)
	if shown.IsAPIToken {
		found, err := a.db.APITokenByToken(ctx, shown.TokenHash)
		if err != nil {
			return nil, err
		}
		var usedAt time.Time
		if found.LastUsedAt != nil {
			usedAt = *found.LastUsedAt
		}
		return &Caller{User: found.User, APIToken: found}, a.NoteUse(ctx, shown, usedAt)
	}
	session, err := a.db.SessionByToken(ctx, shown.TokenHash)
	if err != nil {
		return nil, err
	}
	return &Caller{User: session.User, Session: session}, a.NoteUse(ctx, shown, session.LastUsedAt)
}

// Credential is a token as it is shown now, for reads that find out themselves whether it opens
// anything.
func (a *Accounts) Credential(token string) *db.Credential {
	return &db.Credential{TokenHash: db.HashToken(token), IsAPIToken: IsAPIToken(token), At: a.db.Now()}
}

// NoteUse notes that a credential is used, if the last time was a while ago. A session lasts longer
// for it.
func (a *Accounts) NoteUse(ctx context.Context, used *db.Credential, lastUsedAt time.Time) error {
	switch {
	case used.At.Sub(lastUsedAt) < touchInterval:
		return nil
	case used.IsAPIToken:
		return a.db.TouchAPIToken(ctx, used.TokenHash, used.At)
	default:
		return a.db.TouchSession(ctx, used.TokenHash, used.At, used.At.Add(SessionLifetime))
	}
}

// openSession signs a user in, who must be locked or new.
func (a *Accounts) openSession(ctx context.Context, tx *db.DB, client Client, userID string) (string, *Caller, error) {
	token, now := db.NewToken(), tx.Now()
	session := &db.Session{
		ID:         db.NewID(db.SessionPrefix),
		UserID:     userID,
		TokenHash:  db.HashToken(token),
		UserAgent:  storable(client.UserAgent),
		IPAddress:  storable(client.IPAddress),
		CreatedAt:  now,
		LastUsedAt: now,
		ExpiresAt:  now.Add(SessionLifetime),
	}
	if err := tx.DeleteIdleSessions(ctx, userID, MaxSessions-1); err != nil {
		return "", nil, err
	}
	if err := tx.InsertSession(ctx, session); err != nil {
		return "", nil, err
	}
	user, err := tx.UserByID(ctx, userID)
	return token, &Caller{User: user, Session: session}, err
}

// storable makes what a client says of itself fit for storing; nil when it is empty.
func storable(header string) *string {
	if len(header) > maxClientText {
		header = header[:maxClientText]
	}
	if header = text.Storable(header); header == "" {
		return nil
	}
	return &header
}

// SignIn opens a session. INVALID_CREDENTIALS, the same and after the same time whether or not the
// address has an account; RATE_LIMITED after ten failures for the address or from the client.
func (a *Accounts) SignIn(ctx context.Context, client Client, email, password string) (string, *Caller, error) {
	email, err := text.Email("email", email)
	if err != nil {
		return "", nil, err
	}
	user, err := a.db.UserByEmail(ctx, email)
	if err != nil && !errors.Is(err, db.ErrNotFound) {
		return "", nil, err
	}
	if err := a.checkPassword(ctx, user, password, failuresOf(email), failuresFrom(client)); err != nil {
		return "", nil, err
	}
	var token string
	var caller *Caller
	err = a.db.InTx(ctx, func(tx *db.DB) error {
		if err := stillPassword(ctx, tx, user); err != nil {
			return err
		}
		token, caller, err = a.openSession(ctx, tx, client, user.ID)
		return err
	})
	return token, caller, err
}

func failuresOf(email string) string { return "failed sign-ins of " + db.HashToken(email) }

func failuresFrom(client Client) string { return "failed sign-ins from " + client.Network() }

// checkPassword compares a password, which takes as long without a user. Failures are counted by
// the keys. The count is looked at again afterwards: of many attempts made at once no more than
// the allowed failures learn whether they were right.
func (a *Accounts) checkPassword(ctx context.Context, user *db.User, password string, keys ...string) error {
	if err := a.failuresLeft(ctx, keys); err != nil {
		return err
	}
	hash, err := a.nobodysHash()
	if err != nil {
		return err
	}
	if user != nil {
		hash = user.PasswordHash
	}
	matches, err := passwordMatches(ctx, password, hash)
	if err != nil {
		return err
	}
	if user != nil && matches {
		return a.failuresLeft(ctx, keys)
	}
	err = a.db.InTx(ctx, func(tx *db.DB) error {
		for _, key := range keys {
			if wait, err := tx.Hit(ctx, key, maxFailures, failureWindow); err != nil || wait > 0 {
				return tooManyFailures(wait, err)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return errWrong
}

var errWrong = fault.New(fault.InvalidCredentials, "The email address or the password is wrong.")

// stillPassword locks an account and refuses if its password was replaced since it was compared. What the
// old one opened after that would outlive the replacement, which ends what is open.
func stillPassword(ctx context.Context, tx *db.DB, compared *db.User) error {
	user, err := tx.LockUser(ctx, compared.ID)
	if err == nil && user.PasswordHash != compared.PasswordHash {
		return errWrong
	}
	return err
}

func (a *Accounts) failuresLeft(ctx context.Context, keys []string) error {
	for _, key := range keys {
		if wait, err := a.db.HitWait(ctx, key, maxFailures, failureWindow); err != nil || wait > 0 {
			return tooManyFailures(wait, err)
		}
	}
	return nil
}

func tooManyFailures(wait time.Duration, err error) error {
	if err != nil {
		return err
	}
	return fault.New(fault.RateLimited, "Too many failed attempts. Try again later.").After(wait)
}

// SignOut ends the caller's session.
func (a *Accounts) SignOut(ctx context.Context, caller *Caller) error {
	session, err := caller.session()
	if err != nil {
		return err
	}
	return a.RevokeSession(ctx, caller, session.ID)
}

// RevokeSession ends one of the caller's sessions. NOT_FOUND.
func (a *Accounts) RevokeSession(ctx context.Context, caller *Caller, sessionID string) error {
	if _, err := caller.session(); err != nil {
		return err
	}
	err := a.db.DeleteSession(ctx, caller.User.ID, sessionID)
	if errors.Is(err, db.ErrNotFound) {
		return fault.New(fault.NotFound, "You have no such session.").On("sessionId")
	}
	return err
}
