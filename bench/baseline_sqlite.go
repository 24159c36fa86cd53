package main

// The baseline on SQLite, where a statement costs no way to and fro: prepared ones, each of which
// reads one list of one organization.

import (
	"context"
	"database/sql"
	"errors"
	"net/url"
	"runtime"
	"time"

	_ "modernc.org/sqlite" // as the server

	"studio/db"
)

type sqlite struct {
	pool       *sql.DB
	statements map[string]*sql.Stmt
}

const (
	pageOfLite = `SELECT o.id, o.name FROM memberships AS m JOIN organizations AS o ON o.id = m.organization_id
		WHERE m.user_id = ? AND m.status = 'ACCEPTED' AND o.deleted_at IS NULL ORDER BY o.name_key, o.id LIMIT 20`
	countMembers   = `SELECT count(*) FROM memberships WHERE organization_id = ?`
	countInstances = `SELECT count(*) FROM instances WHERE organization_id = ?`
	liteMembers    = `SELECT ` + memberColumns + ` FROM memberships AS m LEFT JOIN users AS u ON u.id = m.user_id
		WHERE m.organization_id = ? ORDER BY m.email LIMIT ?`
	liteInstances = `SELECT ` + instanceColumns + ` FROM instances AS i WHERE i.organization_id = ? ORDER BY i.name LIMIT ?`
	liteInvoices  = `SELECT ` + invoiceColumns + ` FROM invoices AS v WHERE v.organization_id = ? ORDER BY v.id DESC LIMIT ?`
	liteCoupons   = `SELECT ` + couponColumns + ` FROM coupons AS k
		WHERE k.organization_id = ? AND k.granted_at IS NOT NULL ORDER BY k.added_at DESC, k.id DESC`
	nameOf        = `SELECT id, name FROM organizations WHERE id = ? AND deleted_at IS NULL`
	addInvitation = `INSERT INTO memberships (id, organization_id, email, status, invited_by_id, invited_at, invitation_expires_at)
		VALUES (?, ?, ?, 'INVITED', ?, ?, ?)`
)

func openSQLite(ctx context.Context, path string) (*sqlite, error) {
	pool, err := sql.Open("sqlite", "file:"+url.PathEscape(path)+"?_txlock=immediate&_pragma=busy_timeout(5000)"+
		"&_pragma=journal_mode(WAL)&_pragma=foreign_keys(1)&_pragma=synchronous(NORMAL)") // as the server
	if err != nil {
		return nil, err
	}
	pool.SetMaxOpenConns(2 * runtime.NumCPU())
	pool.SetMaxIdleConns(2 * runtime.NumCPU())
	s := &sqlite{pool, map[string]*sql.Stmt{}}
	for _, text := range []string{
		pageOfLite, countMembers, countInstances, liteMembers, liteInstances, liteInvoices, liteCoupons, nameOf, addInvitation,
	} {
		s.statements[text], err = pool.PrepareContext(ctx, text) //nolint:sqlclosecheck // used as long as the process runs
		if err != nil {
			return nil, err
		}
	}
	return s, nil
}

// read does something with each row of a statement.
func (s *sqlite) read(ctx context.Context, statement string, do func(of row) error, arguments ...any) error {
	rows, err := s.statements[statement].QueryContext(ctx, arguments...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		if err := do(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// page reads the viewer's organizations, and fills each in.
func (s *sqlite) page(ctx context.Context, viewer string, fill func(o *organization) error) ([]*organization, error) {
	var found []*organization
	err := s.read(ctx, pageOfLite, func(of row) error {
		o := &organization{}
		found = append(found, o)
		return of.Scan(&o.ID, &o.Name)
	}, viewer)
	for _, o := range found {
		if err == nil {
			err = fill(o)
		}
	}
	return found, err
}

func (s *sqlite) counted(ctx context.Context, viewer string) ([]*organization, error) {
	return s.page(ctx, viewer, func(o *organization) error {
		o.Users, o.InstanceCount = &users{TotalCount: new(int)}, new(int)
		return errors.Join(
			s.statements[countMembers].QueryRowContext(ctx, o.ID).Scan(o.Users.TotalCount),
			s.statements[countInstances].QueryRowContext(ctx, o.ID).Scan(o.InstanceCount))
	})
}

// fill reads an organization's lists.
func (s *sqlite) fill(ctx context.Context, o *organization, members, instances, invoices int) error {
	return errors.Join(
		s.read(ctx, liteMembers, each(scanMember, func(string) *[]member { return membersOf(o) }), o.ID, members),
		s.read(ctx, liteInstances, each(scanInstance, func(string) *[]instance { return instancesOf(o) }), o.ID, instances),
		s.read(ctx, liteInvoices, each(scanInvoice, func(string) *[]invoice { return invoicesOf(o) }), o.ID, invoices))
}

func (s *sqlite) listed(ctx context.Context, viewer string) ([]*organization, error) {
	return s.page(ctx, viewer, func(o *organization) error { return s.fill(ctx, o, 10, 10, 5) })
}

func (s *sqlite) whole(ctx context.Context, id string) (*organization, error) {
	o, err := s.named(ctx, id)
	if err != nil {
		return nil, err
	}
	o.Name = ""
	return o, errors.Join(s.fill(ctx, o, 20, 20, 12),
		s.read(ctx, liteCoupons, each(scanCoupon, func(string) *[]coupon { return couponsOf(o) }), o.ID))
}

func (s *sqlite) named(ctx context.Context, id string) (*organization, error) {
	o := &organization{}
	return o, s.statements[nameOf].QueryRowContext(ctx, id).Scan(&o.ID, &o.Name)
}

func (s *sqlite) invite(ctx context.Context, by, organization, email string) error {
	tx, err := s.pool.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	now := time.Now().UTC()
	const format = "2006-01-02 15:04:05.000000-07:00" // as the server's
	insert := tx.StmtContext(ctx, s.statements[addInvitation])
	defer func() { _ = insert.Close() }()
	_, err = insert.ExecContext(ctx,
		db.NewID(db.MembershipPrefix), organization, email, by, now.Format(format), now.AddDate(0, 0, 7).Format(format))
	if err != nil {
		return err
	}
	return tx.Commit()
}
