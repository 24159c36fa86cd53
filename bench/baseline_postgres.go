package main

// The baseline on PostgreSQL: for each question one batch, which goes to the database and back once,
// of prepared statements that each read one list.

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"studio/db"
)

type postgres struct{ pool *pgxpool.Pool }

func openPostgres(ctx context.Context, address string) (*postgres, error) {
	config, err := pgxpool.ParseConfig(address)
	if err != nil {
		return nil, err
	}
	config.MaxConns, config.MinConns = 16, 16 // as many as Bun has in the server
	pool, err := pgxpool.NewWithConfig(ctx, config)
	return &postgres{pool}, err
}

const (
	pageOfViewer = `SELECT o.id, o.name, o.name_key FROM memberships AS m JOIN organizations AS o ON o.id = m.organization_id
		WHERE m.user_id = $1 AND m.status = 'ACCEPTED' AND o.deleted_at IS NULL ORDER BY o.name_key, o.id LIMIT 20`
	onPage = `WITH page AS (` + pageOfViewer + `) SELECT `

	fromMembers   = memberColumns + ` FROM memberships AS m LEFT JOIN users AS u ON u.id = m.user_id WHERE m.organization_id = $1 ORDER BY m.email LIMIT 20`
	fromInstances = instanceColumns + ` FROM instances AS i WHERE i.organization_id = $1 ORDER BY i.name LIMIT 20`
	fromInvoices  = invoiceColumns + ` FROM invoices AS v WHERE v.organization_id = $1 ORDER BY v.id DESC LIMIT 12`
	fromCoupons   = couponColumns + ` FROM coupons AS k WHERE k.organization_id = $1 AND k.granted_at IS NOT NULL ORDER BY k.added_at DESC, k.id DESC`

	// Each list is cut by itself, by the index that orders it.
	fromMembersOnPage = memberColumns + ` FROM page CROSS JOIN LATERAL
		(SELECT * FROM memberships AS m WHERE m.organization_id = page.id ORDER BY m.email LIMIT 10) AS m
		LEFT JOIN users AS u ON u.id = m.user_id ORDER BY page.id, m.email`
	fromInstancesOnPage = instanceColumns + ` FROM page CROSS JOIN LATERAL
		(SELECT * FROM instances AS i WHERE i.organization_id = page.id ORDER BY i.name LIMIT 10) AS i ORDER BY page.id, i.name`
	fromInvoicesOnPage = invoiceColumns + ` FROM page CROSS JOIN LATERAL
		(SELECT * FROM invoices AS v WHERE v.organization_id = page.id ORDER BY v.id DESC LIMIT 5) AS v ORDER BY page.id, v.id DESC`
)

// read queues a statement and what is done with each of its rows.
func read(batch *pgx.Batch, statement, about string, each func(of row) error) {
	batch.Queue(statement, about).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			if err := each(rows); err != nil {
				return err
			}
		}
		return rows.Err()
	})
}

// page queues the viewer's organizations, and returns them once they are read.
func page(batch *pgx.Batch, viewer string) (inOrder *[]*organization, byID map[string]*organization) {
	inOrder, byID = &[]*organization{}, map[string]*organization{}
	read(batch, pageOfViewer, viewer, func(of row) error {
		o := &organization{}
		var key string
		if err := of.Scan(&o.ID, &o.Name, &key); err != nil {
			return err
		}
		*inOrder, byID[o.ID] = append(*inOrder, o), o
		return nil
	})
	return inOrder, byID
}

func (p *postgres) counted(ctx context.Context, viewer string) ([]*organization, error) {
	var batch pgx.Batch
	found, byID := page(&batch, viewer)
	count := func(table string, into func(o *organization, count *int)) {
		statement := onPage + `page.id, count(*) FROM page JOIN ` + table + ` AS t ON t.organization_id = page.id GROUP BY page.id`
		read(&batch, statement, viewer, func(of row) error {
			var id string
			count := new(int)
			err := of.Scan(&id, count)
			if err == nil {
				into(byID[id], count)
			}
			return err
		})
	}
	count("memberships", func(o *organization, count *int) { o.Users = &users{TotalCount: count} })
	count("instances", func(o *organization, count *int) { o.InstanceCount = count })
	err := p.pool.SendBatch(ctx, &batch).Close()
	return *found, err
}

func (p *postgres) listed(ctx context.Context, viewer string) ([]*organization, error) {
	var batch pgx.Batch
	found, byID := page(&batch, viewer)
	read(&batch, onPage+fromMembersOnPage, viewer, each(scanMember, func(id string) *[]member { return membersOf(byID[id]) }))
	read(&batch, onPage+fromInstancesOnPage, viewer, each(scanInstance, func(id string) *[]instance { return instancesOf(byID[id]) }))
	read(&batch, onPage+fromInvoicesOnPage, viewer, each(scanInvoice, func(id string) *[]invoice { return invoicesOf(byID[id]) }))
	err := p.pool.SendBatch(ctx, &batch).Close()
	return *found, err
}

func (p *postgres) whole(ctx context.Context, id string) (*organization, error) {
	var batch pgx.Batch
	o := &organization{}
	read(&batch, `SELECT id FROM organizations WHERE id = $1 AND deleted_at IS NULL`, id, func(of row) error { return of.Scan(&o.ID) })
	read(&batch, `SELECT `+fromMembers, id, each(scanMember, func(string) *[]member { return membersOf(o) }))
	read(&batch, `SELECT `+fromInstances, id, each(scanInstance, func(string) *[]instance { return instancesOf(o) }))
	read(&batch, `SELECT `+fromInvoices, id, each(scanInvoice, func(string) *[]invoice { return invoicesOf(o) }))
	read(&batch, `SELECT `+fromCoupons, id, each(scanCoupon, func(string) *[]coupon { return couponsOf(o) }))
	return o, p.pool.SendBatch(ctx, &batch).Close()
}

func (p *postgres) named(ctx context.Context, id string) (*organization, error) {
	o := &organization{}
	return o, p.pool.QueryRow(ctx, `SELECT id, name FROM organizations WHERE id = $1 AND deleted_at IS NULL`, id).Scan(&o.ID, &o.Name)
}

func (p *postgres) invite(ctx context.Context, by, organization, email string) error {
	return pgx.BeginFunc(ctx, p.pool, func(tx pgx.Tx) error {
		now := time.Now().UTC()
		_, err := tx.Exec(ctx, `INSERT INTO memberships (id, organization_id, email, status, invited_by_id, invited_at, invitation_expires_at)
			VALUES ($1, $2, $3, 'INVITED', $4, $5, $6)`, db.NewID(db.MembershipPrefix), organization, email, by, now, now.AddDate(0, 0, 7))
		return err
	})
}
