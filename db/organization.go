package db

import (
	"context"
	"time"

	"github.com/uptrace/bun"
)

// Organization groups users and what they pay for together. A deleted one keeps its row, as its
// subdomain is not given out again and its log is kept. Who looks for organizations does not find it
// (see organizations); who goes on with a log or looks for a free subdomain does.
type Organization struct {
	bun.BaseModel `bun:"table:organizations,alias:o"`

	ID   string `bun:"id,pk"`
	Name string `bun:"name"`
	// NameKey is the folded name, by which lists are sorted and searched.
	NameKey   string `bun:"name_key"`
	Subdomain string `bun:"subdomain"`
	// EventSeq is the number of the newest event of the log.
	EventSeq int64 `bun:"event_seq"`
	// CreatedByID is the founder, whose free instance counts over all organizations they founded.
	CreatedByID *string   `bun:"created_by_id"`
	CreatedAt   time.Time `bun:"created_at"`
	// ClosingAt is set while the organization is being deleted; see SetOrganizationClosing.
	ClosingAt *time.Time `bun:"closing_at"`
	DeletedAt *time.Time `bun:"deleted_at"`
}

// OrganizationOrder is how a list of organizations is sorted.
type OrganizationOrder struct {
	// ByAge sorts by the time of creation, otherwise by name.
	ByAge      bool
	Descending bool
}

// Cursors are those of a list of this order.
func (o OrganizationOrder) Cursors() Cursors {
	name := "organizations by name"
	if o.ByAge {
		name = "organizations by age"
	}
	if o.Descending {
		name += " descending"
	}
	return Cursors{name, o.Key(&Organization{})}
}

// Key is an organization's place in a list of this order.
func (o OrganizationOrder) Key(organization *Organization) Key {
	if o.ByAge {
		return Key{organization.ID}
	}
	return Key{organization.NameKey, organization.ID}
}

// order relies on IDs that sort by time of creation.
func (o OrganizationOrder) order() order {
	if o.ByAge {
		return order{columns: []string{"o.id"}, descending: o.Descending}
	}
	return order{columns: []string{"o.name_key", "o.id"}, descending: o.Descending}
}

// InsertOrganization adds an organization, and reports false when its subdomain is taken.
func (d *DB) InsertOrganization(ctx context.Context, organization *Organization) (bool, error) {
	// ON CONFLICT rather than an error, which would end the transaction on PostgreSQL.
	return changed(d.bun.NewInsert().Model(organization).On("CONFLICT (subdomain) DO NOTHING").Exec(ctx))
}

// SubdomainTaken reports whether an organization has the subdomain or once had it.
func (d *DB) SubdomainTaken(ctx context.Context, subdomain string) (bool, error) {
	taken, err := d.bun.NewSelect().Model((*Organization)(nil)).Where("subdomain = ?", subdomain).Exists(ctx)
	return taken, mapError(err)
}

// LockOrganization reads an organization and keeps every other change of it waiting until the
// transaction ends. Each change of an organization or of what it holds begins with this lock.
func (d *DB) LockOrganization(ctx context.Context, id string) (*Organization, error) {
	if err := wellFormed(OrganizationPrefix, id); err != nil {
		return nil, err
	}
	return one[Organization](ctx, d.forUpdate(d.organizations().Where("o.id = ?", id)))
}

// UpdateOrganizationName renames an organization.
func (d *DB) UpdateOrganizationName(ctx context.Context, organization *Organization) error {
	return requireRow(d.bun.NewUpdate().Model(organization).Column("name", "name_key").WherePK().Exec(ctx))
}

// SetOrganizationClosing notes that an organization is being deleted, so that nothing new begins in
// it, or that it is not after all.
func (d *DB) SetOrganizationClosing(ctx context.Context, id string, closing bool) error {
	query := d.bun.NewUpdate().Model((*Organization)(nil)).Set("closing_at = NULL").Where("id = ?", id)
	if closing {
		query = d.bun.NewUpdate().Model((*Organization)(nil)).Set("closing_at = ?", d.Now()).Where("id = ?", id)
	}
	return requireRow(query.Exec(ctx))
}

// DeleteOrganization marks an organization as deleted.
func (d *DB) DeleteOrganization(ctx context.Context, id string) error {
	return requireRow(d.bun.NewUpdate().Model((*Organization)(nil)).Set("deleted_at = ?", d.Now()).Where("id = ?", id).Exec(ctx))
}

// OrganizationByID finds an organization.
func (d *DB) OrganizationByID(ctx context.Context, id string) (*Organization, error) {
	return one[Organization](ctx, d.organizations().Where("o.id = ?", id))
}

// OrganizationsByID finds organizations, in the order of ids, nil where there is none.
func (d *DB) OrganizationsByID(ctx context.Context, ids []string) ([]*Organization, error) {
	organizations, err := many[Organization](ctx, d.organizations().Where("?", d.among("o.id", ids)))
	return byKey(ids, organizations, func(o *Organization) string { return o.ID }), err
}

// OrganizationBySubdomain finds an organization.
func (d *DB) OrganizationBySubdomain(ctx context.Context, subdomain string) (*Organization, error) {
	return one[Organization](ctx, d.organizations().Where("o.subdomain = ?", subdomain))
}

// OrganizationsOfUser is a page of the organizations that a user has accepted, of those whose
// folded name contains search.
func (d *DB) OrganizationsOfUser(ctx context.Context, userID, search string, by OrganizationOrder, page Page) (*Rows[Organization], error) {
	return readPage[Organization](ctx, d.organizationsOfUser(userID, search), by.order(), page)
}

// CountOrganizationsOfUser counts what OrganizationsOfUser lists.
func (d *DB) CountOrganizationsOfUser(ctx context.Context, userID, search string) (int, error) {
	count, err := d.organizationsOfUser(userID, search).Count(ctx)
	return int(count), mapError(err)
}

func (d *DB) organizationsOfUser(userID, search string) *bun.SelectQuery {
	query := d.organizations().Join("JOIN memberships AS m ON m.organization_id = o.id").Where("m.user_id = ?", userID)
	if search != "" {
		query = query.Where(`o.name_key LIKE ? ESCAPE '\'`, contains(search))
	}
	return query
}

// organizations selects those that are not deleted.
func (d *DB) organizations() *bun.SelectQuery {
	return d.bun.NewSelect().Model((*Organization)(nil)).Where("o.deleted_at IS NULL")
}
