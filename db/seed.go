package db

// Seeding: many rows of many tables at once, for databases to try things with.

import (
	"context"
	"slices"
)

// Batch is rows of several tables.
type Batch struct {
	Users           []*User
	Organizations   []*Organization
	Memberships     []*Membership
	Instances       []*Instance
	BillingAccounts []*BillingAccount
	Coupons         []*Coupon
	Invoices        []*Invoice
	// Events must be numbered, up to their organizations' EventSeq.
	Events []*Event
}

// InsertBatch adds all rows of a batch.
func (d *DB) InsertBatch(ctx context.Context, batch *Batch) error {
	for _, insert := range []func() error{ // what is referred to comes first
		func() error { return insertAll(ctx, d, batch.Users) },
		func() error { return insertAll(ctx, d, batch.Organizations) },
		func() error { return insertAll(ctx, d, batch.Memberships) },
		func() error { return insertAll(ctx, d, batch.Instances) },
		func() error { return insertAll(ctx, d, batch.BillingAccounts) },
		func() error { return insertAll(ctx, d, batch.Coupons) },
		func() error { return insertAll(ctx, d, batch.Invoices) },
		func() error { return insertAll(ctx, d, batch.Events) },
	} {
		if err := insert(); err != nil {
			return mapError(err)
		}
	}
	return nil
}

// rowsAStatement keeps a statement well below SQLite's limit of a million bytes.
const rowsAStatement = 250

func insertAll[T any](ctx context.Context, d *DB, rows []*T) error {
	for part := range slices.Chunk(rows, rowsAStatement) {
		if _, err := d.bun.NewInsert().Model(&part).Exec(ctx); err != nil {
			return err
		}
	}
	return nil
}

// AnyOrganization reports whether there is an organization or once was.
func (d *DB) AnyOrganization(ctx context.Context) (bool, error) {
	found, err := d.bun.NewSelect().Model((*Organization)(nil)).Exists(ctx)
	return found, mapError(err)
}
