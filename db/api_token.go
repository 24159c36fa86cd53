package db

import (
	"context"
	"time"

	"github.com/uptrace/bun"
)

// APIToken lets a program act as a user.
type APIToken struct {
	bun.BaseModel `bun:"table:api_tokens,alias:t"`

	ID         string     `bun:"id,pk"`
	UserID     string     `bun:"user_id"`
	Name       string     `bun:"name"`
	TokenHash  string     `bun:"token_hash"`
	CreatedAt  time.Time  `bun:"created_at"`
	LastUsedAt *time.Time `bun:"last_used_at"`
	// ExpiresAt is nil for a token that lasts until it is revoked.
	ExpiresAt *time.Time `bun:"expires_at"`

	User *User `bun:"rel:belongs-to,join:user_id=id"` // loaded only by Relation("User")
}

// InsertAPIToken adds a token.
func (d *DB) InsertAPIToken(ctx context.Context, token *APIToken) error {
	return executed(d.bun.NewInsert().Model(token).Exec(ctx))
}

// APITokenByToken finds the row of a token, with its user, unless it has expired.
func (d *DB) APITokenByToken(ctx context.Context, tokenHash string) (*APIToken, error) {
	return one[APIToken](ctx, d.apiTokens().Relation("User").Where("token_hash = ?", tokenHash))
}

// CountAPITokens counts the tokens of a user, who must be locked.
func (d *DB) CountAPITokens(ctx context.Context, userID string) (int, error) {
	count, err := d.bun.NewSelect().Model((*APIToken)(nil)).Where("user_id = ?", userID).Count(ctx)
	return int(count), mapError(err)
}

// APITokensOfUser lists a user's tokens, newest first; expired ones too, until they are removed.
func (d *DB) APITokensOfUser(ctx context.Context, userID string) ([]*APIToken, error) {
	return many[APIToken](ctx, d.bun.NewSelect().Model((*APIToken)(nil)).Where("user_id = ?", userID).OrderExpr("id DESC"))
}

// APITokenOfUser finds a token of a user.
func (d *DB) APITokenOfUser(ctx context.Context, userID, id string) (*APIToken, error) {
	if err := wellFormed(APITokenPrefix, id); err != nil {
		return nil, err
	}
	return one[APIToken](ctx, d.bun.NewSelect().Model((*APIToken)(nil)).Where("user_id = ?", userID).Where("id = ?", id))
}

// DeleteAPITokens revokes all tokens of a user.
func (d *DB) DeleteAPITokens(ctx context.Context, userID string) error {
	return executed(d.bun.NewDelete().Model((*APIToken)(nil)).Where("user_id = ?", userID).Exec(ctx))
}

// DeleteExpiredAPITokens removes those of a user that no longer open anything.
func (d *DB) DeleteExpiredAPITokens(ctx context.Context, userID string) error {
	return executed(d.bun.NewDelete().Model((*APIToken)(nil)).Where("user_id = ?", userID).Where("expires_at <= ?", d.Now()).Exec(ctx))
}

// apiTokens selects those that have not expired.
func (d *DB) apiTokens() *bun.SelectQuery {
	return d.bun.NewSelect().Model((*APIToken)(nil)).Where("expires_at IS NULL OR expires_at > ?", d.Now())
}

// TouchAPIToken notes that an API token was used.
func (d *DB) TouchAPIToken(ctx context.Context, tokenHash string, usedAt time.Time) error {
	return executed(d.bun.NewUpdate().Model((*APIToken)(nil)).Set("last_used_at = ?", usedAt).Where("token_hash = ?", tokenHash).Exec(ctx))
}

// DeleteAPIToken revokes a token of a user; ErrNotFound when the user has no such token.
func (d *DB) DeleteAPIToken(ctx context.Context, userID, id string) error {
	if err := wellFormed(APITokenPrefix, id); err != nil {
		return err
	}
	return requireRow(d.bun.NewDelete().Model((*APIToken)(nil)).Where("user_id = ?", userID).Where("id = ?", id).Exec(ctx))
}
