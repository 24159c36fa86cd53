package db

import (
	"context"
	"time"

	"github.com/uptrace/bun"
)

// LinkPurpose is what the link in a mail is for.
type LinkPurpose string

// The purposes of links.
const (
	InvitationLink    LinkPurpose = "INVITATION"
	VerificationLink  LinkPurpose = "VERIFICATION"
	PasswordResetLink LinkPurpose = "PASSWORD_RESET"
)

// LinkToken is the hash of a token that was mailed in a link. It is good once and for a time.
type LinkToken struct {
	bun.BaseModel `bun:"table:link_tokens,alias:l"`

	TokenHash string      `bun:"token_hash,pk"`
	Purpose   LinkPurpose `bun:"purpose"`
	// SubjectID is the membership of an invitation, and the user of the other links.
	SubjectID string    `bun:"subject_id"`
	ExpiresAt time.Time `bun:"expires_at"`
}

// InsertLinkToken adds a token.
func (d *DB) InsertLinkToken(ctx context.Context, token *LinkToken) error {
	return executed(d.bun.NewInsert().Model(token).Exec(ctx))
}

// InsertInvitationLink adds the token of the link that a job mails, and reports whether the invitation
// was still that job's to mail. Until the token is stored nobody changes the membership; so whoever
// changes it and then deletes the tokens leaves none.
func (d *DB) InsertInvitationLink(ctx context.Context, tokenHash, membershipID, jobID string) (open bool, err error) {
	token := d.forUpdate(d.bun.NewSelect().Model((*Membership)(nil)).
		ColumnExpr("?, ?, m.id, m.invitation_expires_at", tokenHash, InvitationLink).
		Where("m.id = ?", membershipID).Where("m.invitation_job_id = ?", jobID).
		Where("m.status = ?", Invited).Where("m.invitation_expires_at > ?", d.Now()))
	return changed(d.bun.NewRaw("INSERT INTO link_tokens (token_hash, purpose, subject_id, expires_at) ?", token).Exec(ctx))
}

// LinkTokenByHash finds a token that has not expired.
func (d *DB) LinkTokenByHash(ctx context.Context, purpose LinkPurpose, tokenHash string) (*LinkToken, error) {
	return one[LinkToken](ctx, d.bun.NewSelect().Model((*LinkToken)(nil)).
		Where("token_hash = ?", tokenHash).Where("purpose = ?", purpose).Where("expires_at > ?", d.Now()))
}

// TakeLinkToken uses a token up that was found; ErrNotFound when another caller has.
func (d *DB) TakeLinkToken(ctx context.Context, tokenHash string) error {
	return requireRow(d.bun.NewDelete().Model((*LinkToken)(nil)).Where("token_hash = ?", tokenHash).Exec(ctx))
}

// DeleteLinkTokens makes the links sent for a subject worthless.
func (d *DB) DeleteLinkTokens(ctx context.Context, purpose LinkPurpose, subjectID string) error {
	return executed(d.bun.NewDelete().Model((*LinkToken)(nil)).Where("subject_id = ?", subjectID).Where("purpose = ?", purpose).Exec(ctx))
}

// DeleteExpiredLinkTokens removes what no longer opens anything.
func (d *DB) DeleteExpiredLinkTokens(ctx context.Context) error {
	return executed(d.bun.NewDelete().Model((*LinkToken)(nil)).Where("expires_at <= ?", d.Now()).Exec(ctx))
}
