package db

// What open streams are checked against, many at a time: is the caller still signed in, and still
// in the organization?

import (
	"context"
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

// AcceptedMemberships lists the memberships of users in organizations, of all pairs of the two.
func (d *DB) AcceptedMemberships(ctx context.Context, organizationIDs, userIDs []string) ([]*Membership, error) {
	return many[Membership](ctx, d.bun.NewSelect().Model((*Membership)(nil)).
		Where("?", d.among("organization_id", organizationIDs)).Where("?", d.among("user_id", userIDs)))
}
