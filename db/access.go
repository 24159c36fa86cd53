package db

// What open streams are checked against, many at a time: is the caller still signed in, and still
// in the organization?

import (
	"context"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"
)

// LiveCredentials returns those of the session and API token IDs that still open something.
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
