package db

import (
	"context"
	"time"

	"github.com/uptrace/bun"
)

// Session is a sign-in: whoever holds the token that hashes to TokenHash acts as the user.
type Session struct {
	bun.BaseModel `bun:"table:sessions,alias:s"`

	ID         string    `bun:"id,pk"`
	UserID     string    `bun:"user_id"`
	TokenHash  string    `bun:"token_hash"`
	UserAgent  *string   `bun:"user_agent"`
	IPAddress  *string   `bun:"ip_address"`
	CreatedAt  time.Time `bun:"created_at"`
	LastUsedAt time.Time `bun:"last_used_at"`
	ExpiresAt  time.Time `bun:"expires_at"`

	User *User `bun:"rel:belongs-to,join:user_id=id"` // loaded only by Relation("User")
}

// InsertSession adds a session.
func (d *DB) InsertSession(ctx context.Context, session *Session) error {
	return executed(d.bun.NewInsert().Model(session).Exec(ctx))
}

// SessionByToken finds the session that a token opens, with its user, unless it has expired.
func (d *DB) SessionByToken(ctx context.Context, tokenHash string) (*Session, error) {
	return one[Session](ctx, d.sessions().Relation("User").Where("token_hash = ?", tokenHash))
}

// SessionsOfUser lists where a user is signed in, newest first.
func (d *DB) SessionsOfUser(ctx context.Context, userID string) ([]*Session, error) {
	return many[Session](ctx, d.sessions().Where("user_id = ?", userID).OrderExpr("id DESC"))
}

// SessionOfUser finds a session of a user.
func (d *DB) SessionOfUser(ctx context.Context, userID, id string) (*Session, error) {
	if err := wellFormed(SessionPrefix, id); err != nil {
		return nil, err
	}
	return one[Session](ctx, d.sessions().Where("user_id = ?", userID).Where("id = ?", id))
}

// LiveCredentials returns those of the session and API token IDs that still open something, for many streams
// at once.
func (d *DB) LiveCredentials(ctx context.Context, ids []string) (map[string]bool, error) {
	var live []string
	err := d.sessions().Column("id").Where("?", d.among("id", ids)).
		UnionAll(d.apiTokens().Column("id").Where("?", d.among("id", ids))).Scan(ctx, &live)
	found := make(map[string]bool, len(live))
	for _, id := range live {
		found[id] = true
	}
	return found, mapError(err)
}

// sessions selects those that have not expired.
func (d *DB) sessions() *bun.SelectQuery {
	return d.bun.NewSelect().Model((*Session)(nil)).Where("expires_at > ?", d.Now())
}

// TouchSession notes that a session was used, which makes it last longer.
func (d *DB) TouchSession(ctx context.Context, tokenHash string, usedAt, expiresAt time.Time) error {
	return executed(d.bun.NewUpdate().Model((*Session)(nil)).Set("last_used_at = ?", usedAt).Set("expires_at = ?", expiresAt).
		Where("token_hash = ?", tokenHash).Exec(ctx))
}

// DeleteSession ends a session of a user; ErrNotFound when the user has no such session.
func (d *DB) DeleteSession(ctx context.Context, userID, id string) error {
	if err := wellFormed(SessionPrefix, id); err != nil {
		return err
	}
	return requireRow(d.bun.NewDelete().Model((*Session)(nil)).Where("user_id = ?", userID).Where("id = ?", id).Exec(ctx))
}

// DeleteOtherSessions ends all sessions of a user but one, all of them when keep is "".
func (d *DB) DeleteOtherSessions(ctx context.Context, userID, keep string) error {
	return executed(d.bun.NewDelete().Model((*Session)(nil)).Where("user_id = ?", userID).Where("id <> ?", keep).Exec(ctx))
}

// DeleteIdleSessions ends the sessions of a user but those that were used last, as many as are kept.
func (d *DB) DeleteIdleSessions(ctx context.Context, userID string, keep int) error {
	kept := d.bun.NewSelect().Model((*Session)(nil)).Column("id").Where("user_id = ?", userID).OrderExpr("last_used_at DESC, id DESC").Limit(int64(keep))
	return executed(d.bun.NewDelete().Model((*Session)(nil)).Where("user_id = ?", userID).Where("id NOT IN (?)", kept).Exec(ctx))
}

// DeleteExpiredSessions removes what no longer opens anything.
func (d *DB) DeleteExpiredSessions(ctx context.Context) error {
	return executed(d.bun.NewDelete().Model((*Session)(nil)).Where("expires_at <= ?", d.Now()).Exec(ctx))
}
