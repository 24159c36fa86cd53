package db

import (
	"context"
	"time"

	"github.com/uptrace/bun"
)

// User is a Studio account.
type User struct {
	bun.BaseModel `bun:"table:users,alias:u"`

	ID        string `bun:"id,pk"`
	Email     string `bun:"email"`
	FirstName string `bun:"first_name"`
	LastName  string `bun:"last_name"`
	// NameKey is the folded name that searches compare with.
	NameKey      string `bun:"name_key"`
	PasswordHash string `bun:"password_hash"`
	// EmailVerifiedAt is nil until somebody has proven to receive mail at the address.
	EmailVerifiedAt *time.Time `bun:"email_verified_at"`
	// PasswordResetAt is when the password was last chosen by whoever receives mail at the address.
	PasswordResetAt *time.Time `bun:"password_reset_at"`
	CreatedAt       time.Time  `bun:"created_at"`
}

// Name is the user's first and last name.
func (u *User) Name() string { return u.FirstName + " " + u.LastName }

// InsertUser adds an account; ErrDuplicate when the address has one.
func (d *DB) InsertUser(ctx context.Context, user *User) error {
	return executed(d.bun.NewInsert().Model(user).Exec(ctx))
}

// UserByEmail finds an account by its lower-cased address.
func (d *DB) UserByEmail(ctx context.Context, email string) (*User, error) {
	return one[User](ctx, d.bun.NewSelect().Model((*User)(nil)).Where("email = ?", email))
}

// UserByID finds an account.
func (d *DB) UserByID(ctx context.Context, id string) (*User, error) {
	return one[User](ctx, d.bun.NewSelect().Model((*User)(nil)).Where("id = ?", id))
}

// LockUser reads an account and keeps other changes of it waiting until the transaction ends.
func (d *DB) LockUser(ctx context.Context, id string) (*User, error) {
	return one[User](ctx, d.forUpdate(d.bun.NewSelect().Model((*User)(nil)).Where("id = ?", id)))
}

// UsersByID finds accounts, in the order of ids, nil where there is none.
func (d *DB) UsersByID(ctx context.Context, ids []string) ([]*User, error) {
	users, err := many[User](ctx, d.bun.NewSelect().Model((*User)(nil)).Where("?", d.among("id", ids)))
	return byKey(ids, users, func(u *User) string { return u.ID }), err
}

// VisibleUser finds an account that the viewer may see: their own, and those they share an
// organization with in which one of the two is an owner. An invitation shares the organization
// too, as it shows who invited.
func (d *DB) VisibleUser(ctx context.Context, viewer *User, id string) (*User, error) {
	if err := wellFormed(UserPrefix, id); err != nil {
		return nil, err
	}
	if id == viewer.ID {
		return d.UserByID(ctx, id)
	}
	shared := d.bun.NewSelect().TableExpr("memberships AS theirs").ColumnExpr("1").
		Join("JOIN memberships AS mine ON mine.organization_id = theirs.organization_id").
		Where("theirs.user_id = u.id").
		Where("mine.is_owner OR theirs.is_owner").
		Where("mine.user_id = ? OR (?)", viewer.ID, d.openInvitation("mine", viewer))
	return one[User](ctx, d.bun.NewSelect().Model((*User)(nil)).Where("id = ?", id).Where("EXISTS (?)", shared))
}

// UpdateUserName changes a user's names.
func (d *DB) UpdateUserName(ctx context.Context, user *User) error {
	return requireRow(d.bun.NewUpdate().Model(user).Column("first_name", "last_name", "name_key").WherePK().Exec(ctx))
}

// UpdatePassword stores the hash of a new password.
func (d *DB) UpdatePassword(ctx context.Context, userID, hash string) error {
	return requireRow(d.bun.NewUpdate().Model((*User)(nil)).
		Set("password_hash = ?", hash).Where("id = ?", userID).Exec(ctx))
}

// MarkPasswordReset notes that the new password came with a token from a mail.
func (d *DB) MarkPasswordReset(ctx context.Context, userID string) error {
	return executed(d.bun.NewUpdate().Model((*User)(nil)).Set("password_reset_at = ?", d.Now()).Where("id = ?", userID).Exec(ctx))
}

// MarkEmailVerified notes that the user receives mail at the address; it keeps the first time.
func (d *DB) MarkEmailVerified(ctx context.Context, userID string) error {
	return executed(d.bun.NewUpdate().Model((*User)(nil)).
		Set("email_verified_at = ?", d.Now()).Where("id = ?", userID).Where("email_verified_at IS NULL").Exec(ctx))
}
