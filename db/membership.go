package db

import (
	"context"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"
	"github.com/uptrace/bun/schema"
)

// MembershipStatus is how far a user's place in an organization has come.
type MembershipStatus string

// The statuses of a membership.
const (
	Invited  MembershipStatus = "INVITED"
	Accepted MembershipStatus = "ACCEPTED"
	Declined MembershipStatus = "DECLINED"
)

// MailDelivery is how far a mail has come.
type MailDelivery string

// The states of a mail.
const (
	MailQueued MailDelivery = "QUEUED"
	MailSent   MailDelivery = "SENT"
	MailFailed MailDelivery = "FAILED"
)

// Membership is a user's place in an organization, from the invitation on. An organization has
// one a mail address, so that an address cannot be invited twice.
type Membership struct {
	bun.BaseModel `bun:"table:memberships,alias:m"`

	ID             string `bun:"id,pk"`
	OrganizationID string `bun:"organization_id"`
	// Email is the invited address, and the user's own once accepted: they are the same.
	Email string `bun:"email"`
	// UserID is nil until the invitation is accepted.
	UserID  *string          `bun:"user_id"`
	Status  MembershipStatus `bun:"status"`
	IsOwner bool             `bun:"is_owner"`

	InvitedByID         *string       `bun:"invited_by_id"`
	InvitedAt           *time.Time    `bun:"invited_at"`
	InvitationExpiresAt *time.Time    `bun:"invitation_expires_at"`
	InvitationDelivery  *MailDelivery `bun:"invitation_delivery"`
	// InvitationJobID is the job that mails the invitation; an older job has been superseded.
	InvitationJobID *string    `bun:"invitation_job_id"`
	AcceptedAt      *time.Time `bun:"accepted_at"`
}

// Pending reports whether the invitation can be accepted at the given time.
func (m *Membership) Pending(now time.Time) bool {
	return m.Status == Invited && m.InvitationExpiresAt != nil && m.InvitationExpiresAt.After(now)
}

// MembershipFilter narrows a list of memberships.
type MembershipFilter struct {
	Status MembershipStatus // "" for all
	Search string           // folded part of the address or the name
}

var membershipOrder = order{columns: []string{"email"}}

// Key is the membership's place in the list of its organization's users.
func (m *Membership) Key() Key { return Key{m.Email} }

// InsertMembership adds a membership; ErrDuplicate when the address has one.
func (d *DB) InsertMembership(ctx context.Context, membership *Membership) error {
	return executed(d.bun.NewInsert().Model(membership).Exec(ctx))
}

// UpdateMembership stores all of a membership; the organization's row must be locked.
func (d *DB) UpdateMembership(ctx context.Context, membership *Membership) error {
	return requireRow(d.bun.NewUpdate().Model(membership).WherePK().Exec(ctx))
}

// SetInvitationDelivery notes how far the mail of a job came, unless another has superseded it.
func (d *DB) SetInvitationDelivery(ctx context.Context, membershipID, jobID string, delivery MailDelivery) error {
	return executed(d.bun.NewUpdate().Model((*Membership)(nil)).Set("invitation_delivery = ?", delivery).
		Where("id = ?", membershipID).Where("invitation_job_id = ?", jobID).Exec(ctx))
}

// DeleteMembership removes a membership.
func (d *DB) DeleteMembership(ctx context.Context, id string) error {
	return requireRow(d.bun.NewDelete().Model((*Membership)(nil)).Where("id = ?", id).Exec(ctx))
}

// DeleteMembershipsOf removes everybody from an organization.
func (d *DB) DeleteMembershipsOf(ctx context.Context, organizationID string) error {
	return executed(d.bun.NewDelete().Model((*Membership)(nil)).Where("organization_id = ?", organizationID).Exec(ctx))
}

// MembershipByID finds a membership.
func (d *DB) MembershipByID(ctx context.Context, id string) (*Membership, error) {
	if err := wellFormed(MembershipPrefix, id); err != nil {
		return nil, err
	}
	return one[Membership](ctx, d.bun.NewSelect().Model((*Membership)(nil)).Where("m.id = ?", id))
}

// MembershipsByID finds memberships, in the order of ids, nil where there is none.
func (d *DB) MembershipsByID(ctx context.Context, ids []string) ([]*Membership, error) {
	memberships, err := many[Membership](ctx, d.bun.NewSelect().Model((*Membership)(nil)).Where("?", d.among("m.id", ids)))
	return byKey(ids, memberships, func(m *Membership) string { return m.ID }), err
}

// MembershipByEmail finds the membership of an address.
func (d *DB) MembershipByEmail(ctx context.Context, organizationID, email string) (*Membership, error) {
	return one[Membership](ctx, d.bun.NewSelect().Model((*Membership)(nil)).
		Where("organization_id = ?", organizationID).Where("email = ?", email))
}

// AcceptedMembership finds a user's accepted membership.
func (d *DB) AcceptedMembership(ctx context.Context, organizationID, userID string) (*Membership, error) {
	return one[Membership](ctx, d.bun.NewSelect().Model((*Membership)(nil)).
		Where("organization_id = ?", organizationID).Where("user_id = ?", userID))
}

// Place is a user in an organization.
type Place struct{ OrganizationID, UserID string }

// AcceptedMemberships lists the accepted memberships among some places, at least one. It reads only whose and
// where they are and who owns, as there may be many.
func (d *DB) AcceptedMemberships(ctx context.Context, places []Place) ([]*Membership, error) {
	// Look up exact pairs: two separate IN lists could match every user times every organization.
	pairs, organizations, users := make([]bun.TupleValues, len(places)), make([]string, len(places)), make([]string, len(places))
	for i, place := range places {
		pairs[i], organizations[i], users[i] = bun.Tuple([]string{place.UserID, place.OrganizationID}), place.OrganizationID, place.UserID
	}
	among := bun.SafeQuery("VALUES ?", bun.List(pairs))
	if d.isPostgres() {
		among = bun.SafeQuery("SELECT * FROM unnest(?::text[], ?::text[])", pgdialect.Array(users), pgdialect.Array(organizations))
	}
	return many[Membership](ctx, d.bun.NewSelect().Model((*Membership)(nil)).Column("id", "organization_id", "user_id", "is_owner").
		Where("(user_id, organization_id) IN (?)", among))
}

// ViewerMemberships finds the viewer's own place in organizations, accepted or with an open
// invitation, in the order of organizationIDs, nil where there is none.
func (d *DB) ViewerMemberships(ctx context.Context, viewer *User, organizationIDs []string) ([]*Membership, error) {
	memberships, err := many[Membership](ctx, d.bun.NewSelect().Model((*Membership)(nil)).
		Where("?", d.among("organization_id", organizationIDs)).
		Where("user_id = ? OR (?)", viewer.ID, d.openInvitation("m", viewer)))
	return byKey(organizationIDs, memberships, func(m *Membership) string { return m.OrganizationID }), err
}

// OpenInvitation is what an invitation says to whoever gets it.
type OpenInvitation struct {
	OrganizationName string    `bun:"organization_name"`
	Email            string    `bun:"email"`
	ExpiresAt        time.Time `bun:"expires_at"`
	InviterFirstName string    `bun:"first_name"`
	InviterLastName  string    `bun:"last_name"`
	// AccountExists is whether the invited address has an account.
	AccountExists bool `bun:"account_exists"`
}

// InvitedBy is the name of whoever invites.
func (i *OpenInvitation) InvitedBy() string {
	return (&User{FirstName: i.InviterFirstName, LastName: i.InviterLastName}).Name()
}

// OpenInvitation finds an invitation that can be accepted, by its membership.
func (d *DB) OpenInvitation(ctx context.Context, membershipID string) (*OpenInvitation, error) {
	return one[OpenInvitation](ctx, d.bun.NewSelect().Model((*Membership)(nil)).
		ColumnExpr("o.name AS organization_name, m.email, m.invitation_expires_at AS expires_at, u.first_name, u.last_name").
		ColumnExpr("EXISTS (SELECT 1 FROM users AS a WHERE a.email = m.email) AS account_exists").
		Join("JOIN organizations AS o ON o.id = m.organization_id").Join("JOIN users AS u ON u.id = m.invited_by_id").
		Where("m.id = ?", membershipID).Where("m.status = ?", Invited).Where("m.invitation_expires_at > ?", d.Now()).
		Where("o.deleted_at IS NULL"))
}

// OpenInvitations lists the invitations that the viewer can accept, newest first.
func (d *DB) OpenInvitations(ctx context.Context, viewer *User) ([]*Membership, error) {
	return many[Membership](ctx, d.bun.NewSelect().Model((*Membership)(nil)).
		Where("?", d.openInvitation("m", viewer)).OrderExpr("invited_at DESC, id DESC"))
}

// openInvitation is the condition that a membership is an invitation to the viewer's verified
// address which still works.
func (d *DB) openInvitation(alias string, viewer *User) schema.QueryWithArgs {
	if viewer.EmailVerifiedAt == nil {
		return bun.SafeQuery("FALSE")
	}
	return bun.SafeQuery("?.status = ? AND ?.email = ? AND ?.invitation_expires_at > ?",
		bun.Ident(alias), Invited, bun.Ident(alias), viewer.Email, bun.Ident(alias), d.Now())
}

// OpenInvitationsTo lists the invitations that still work for any of the addresses.
func (d *DB) OpenInvitationsTo(ctx context.Context, emails []string) ([]*Membership, error) {
	return many[Membership](ctx, d.bun.NewSelect().Model((*Membership)(nil)).
		Where("?", d.among("email", emails)).Where("status = ?", Invited).
		Where("invitation_expires_at > ?", d.Now()).OrderExpr("invited_at, id"))
}

// CountOwners counts the owners of an organization, whose row must be locked.
func (d *DB) CountOwners(ctx context.Context, organizationID string) (int, error) {
	count, err := d.bun.NewSelect().Model((*Membership)(nil)).
		Where("organization_id = ?", organizationID).Where("is_owner").Count(ctx)
	return int(count), mapError(err)
}

// OwnersOf lists the owners of an organization.
func (d *DB) OwnersOf(ctx context.Context, organizationID string) ([]*Membership, error) {
	return many[Membership](ctx, d.bun.NewSelect().Model((*Membership)(nil)).
		Where("organization_id = ?", organizationID).Where("is_owner").OrderExpr("email"))
}

// UsersOfOrganizations is the same page of several organizations' users, by address.
func (d *DB) UsersOfOrganizations(ctx context.Context, organizationIDs []string, filter MembershipFilter, page Page) ([]*Rows[Membership], error) {
	list := func(organizationID any) *bun.SelectQuery {
		return d.memberships(filter).Where("m.organization_id = ?", organizationID)
	}
	return readPages(ctx, d, organizationIDs, page, membershipOrder, list, func(m *Membership) string { return m.OrganizationID })
}

// CountUsersOfOrganizations counts what UsersOfOrganizations lists.
func (d *DB) CountUsersOfOrganizations(ctx context.Context, organizationIDs []string, filter MembershipFilter) ([]int, error) {
	query := d.memberships(filter).Where("?", d.among("m.organization_id", organizationIDs))
	return d.countByOrganization(ctx, organizationIDs, query, "m")
}

func (d *DB) memberships(filter MembershipFilter) *bun.SelectQuery {
	query := d.bun.NewSelect().Model((*Membership)(nil))
	if filter.Status != "" {
		query = query.Where("m.status = ?", filter.Status)
	}
	if filter.Search != "" {
		pattern := contains(filter.Search)
		// Not a join, which would make the columns that order the list ambiguous.
		query = query.Where(`m.email LIKE ? ESCAPE '\' OR EXISTS
			(SELECT 1 FROM users AS u WHERE u.id = m.user_id AND u.name_key LIKE ? ESCAPE '\')`, pattern, pattern)
	}
	return query
}
