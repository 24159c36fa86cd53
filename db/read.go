package db

// Reads: what plans read, of the tables that the other files describe. They go past Bun: several
// statements go out together, and what comes back is written as JSON without becoming rows first. Only
// PostgreSQL has them.

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
)

// CanRead reports whether the engine has reads.
func (d *DB) CanRead() bool { return d.batches != nil }

// Read is one statement, and what to do with each row that it yields.
type Read struct {
	SQL       string
	Arguments []any
	Row       func(Row)
}

// ReadTogether sends the statements in one round trip, which other requests may share, and hands out their
// rows in order, maybe in the goroutine of another request and, after an error, maybe later. When ctx ends
// while they wait to be sent, its error is returned.
func (d *DB) ReadTogether(ctx context.Context, reads []Read) error {
	ctx, end := traceReads(ctx, len(reads))
	if d.hook != nil {
		for _, read := range reads {
			d.hook(read.SQL)
		}
	}
	err := mapError(d.batches.read(ctx, reads))
	end(err)
	return err
}

// Row is a row as PostgreSQL sent it. It is valid until the next one comes.
type Row struct {
	values [][]byte
	fields []pgconn.FieldDescription
}

// IsNull reports whether a column has no value.
func (r Row) IsNull(column int) bool { return r.values[column] == nil }

// Text is the value of a text column, "" when there is none.
func (r Row) Text(column int) string { return string(r.values[column]) }

// Bool is the value of a boolean column, false when there is none.
func (r Row) Bool(column int) bool { return len(r.values[column]) > 0 && r.values[column][0] != 0 }

// Int is the value of a bigint column.
func (r Row) Int(column int) int64 { return int64(binary.BigEndian.Uint64(r.values[column])) }

// Time is the value of a time column, the zero time when there is none.
func (r Row) Time(column int) time.Time {
	if r.IsNull(column) {
		return time.Time{}
	}
	return time.UnixMicro(postgresEpoch + r.Int(column)).UTC()
}

// KeyPart is a column's value as a part of a Key.
func (r Row) KeyPart(column int) any {
	if r.fields[column].DataTypeOID == pgtype.Int8OID {
		return r.Int(column)
	}
	return r.Text(column)
}

// AppendJSON writes a column's value: a time as GraphQL's Time, a number, a boolean, or a text.
func (r Row) AppendJSON(to []byte, column int) []byte {
	value := r.values[column]
	if value == nil {
		return append(to, "null"...)
	}
	switch r.fields[column].DataTypeOID {
	case pgtype.BoolOID:
		return strconv.AppendBool(to, value[0] != 0)
	case pgtype.Int4OID:
		return strconv.AppendInt(to, int64(int32(binary.BigEndian.Uint32(value))), 10)
	case pgtype.Int8OID:
		return strconv.AppendInt(to, r.Int(column), 10)
	case pgtype.Float8OID:
		return strconv.AppendFloat(to, math.Float64frombits(binary.BigEndian.Uint64(value)), 'g', -1, 64)
	case pgtype.TimestamptzOID:
		return append(r.Time(column).AppendFormat(append(to, '"'), time.RFC3339Nano), '"')
	}
	for _, c := range value {
		if c < ' ' || c == '"' || c == '\\' {
			text, _ := json.Marshal(string(value)) // a text is always JSON
			return append(to, text...)
		}
	}
	return append(append(append(to, '"'), value...), '"')
}

// postgresEpoch is 2000-01-01, from which PostgreSQL counts microseconds, in those of Unix.
const postgresEpoch = 946_684_800_000_000

// Credential is what a caller shows of who they are.
type Credential struct {
	TokenHash string
	// IsAPIToken is whether it is an API token and not a session's.
	IsAPIToken bool
	// At is when it is shown.
	At time.Time
}

// Arguments are those of the statements that a credential opens, with what they take besides.
func (c Credential) Arguments(more ...any) []any {
	return append([]any{c.TokenHash, c.At}, more...)
}

// LastUsed is the column with the time at which a credential was last used.
const LastUsed = "s.last_used_at"

// opened begins a statement with what the credential, s in it, opens.
func opened(byAPIToken bool, columns []string, join, where string) string {
	table := "sessions"
	if byAPIToken {
		table = "api_tokens"
	}
	return "SELECT " + strings.Join(columns, ", ") + " FROM " + table + " AS s " + join +
		" WHERE s.token_hash = $1 AND (s.expires_at IS NULL OR s.expires_at > $2)" + where
}

// SelectViewer reads columns of the credential's user, u. It takes no further argument.
func SelectViewer(byAPIToken bool, columns []string) string {
	return opened(byAPIToken, columns, "JOIN users AS u ON u.id = s.user_id", "")
}

// SelectOrganization reads columns of an organization that the credential's user has accepted: o, with
// the user's membership, m, and the billing account, b, whose columns are null when there is none. It
// takes the organization's ID.
func SelectOrganization(byAPIToken bool, columns []string) string {
	return opened(byAPIToken, columns, ofViewer(columns), " AND o.deleted_at IS NULL AND o.id = $3")
}

// SelectOrganizationsOfViewer is SelectOrganization for the first of all that the user has accepted, or
// the first after a key. It takes how many, and the key's values.
func SelectOrganizationsOfViewer(byAPIToken bool, columns []string, by OrganizationOrder, after bool) string {
	where := " AND o.deleted_at IS NULL"
	if after {
		where += by.order().after(4)
	}
	return opened(byAPIToken, columns, ofViewer(columns), where+" ORDER BY "+by.order().text()+" LIMIT $3")
}

func ofViewer(columns []string) string {
	join := "JOIN memberships AS m ON m.user_id = s.user_id JOIN organizations AS o ON o.id = m.organization_id"
	if uses(columns, "b") {
		join += " LEFT JOIN billing_accounts AS b ON b.organization_id = o.id"
	}
	return join
}

// Columns that count: the organizations of a viewer, and what an organization has.
const (
	CountOrganizations = "(SELECT count(*) FROM memberships AS c JOIN organizations AS o ON o.id = c.organization_id" +
		" WHERE c.user_id = u.id AND o.deleted_at IS NULL)"
	CountUsers     = "(SELECT count(*) FROM memberships AS c WHERE c.organization_id = o.id)"
	CountInstances = "(SELECT count(*) FROM instances AS c WHERE c.organization_id = o.id)"
	CountInvoices  = "(SELECT count(*) FROM invoices AS c WHERE c.organization_id = o.id)"
	CountEvents    = "(SELECT count(*) FROM events AS c WHERE c.organization_id = o.id)"
)

// Columns that are worked out: whether the viewer's address is verified, what an instance costs, and,
// also for an organization without a billing account, whether it has paid and its credit.
const (
	EmailVerified  = "u.email_verified_at IS NOT NULL"
	InstanceAmount = "i.compute_amount + i.storage_amount"
	BillingStatus  = "CASE WHEN b.overdue THEN 'PAYMENT_OVERDUE' ELSE 'OK' END"
	Credit         = "coalesce(b.credit, 0)"
)

// List is what organizations have many of.
type List struct {
	name, table, alias, where string
	order                     order
	like                      Key // as one of its keys
	joins                     []join
}

// join is made when a column uses its alias.
type join struct{ alias, table, on string }

// The lists of organizations, with the aliases that their columns use.
var (
	// UserList is of memberships, m, with their user, u, and who invited, inviter.
	UserList = &List{name: "users of ", table: "memberships", alias: "m", order: membershipOrder, like: (&Membership{}).Key(), joins: []join{
		{"u", "users", "u.id = m.user_id"}, {"inviter", "users", "inviter.id = m.invited_by_id"},
	}}
	// InstanceList is of instances, i.
	InstanceList = &List{name: "instances of ", table: "instances", alias: "i", order: instanceOrder, like: (&Instance{}).Key()}
	// InvoiceList is of invoices, v.
	InvoiceList = &List{name: "invoices of ", table: "invoices", alias: "v", order: invoiceOrder, like: (&Invoice{}).Key()}
	// CouponList is of granted coupons, k, with who added them, u.
	CouponList = &List{name: "coupons of ", table: "coupons", alias: "k", where: " AND granted_at IS NOT NULL", order: couponOrder, joins: []join{
		{"u", "users", "u.id = k.added_by_id"},
	}}
	// EventList is of events, e, with who did it, u.
	EventList = &List{name: "events of ", table: "events", alias: "e", order: eventOrder, like: (&Event{}).Key(), joins: []join{
		{"u", "users", "u.id = e.actor_id"},
	}}
)

// Cursors are those of the list of an organization.
func (l *List) Cursors(organizationID string) Cursors {
	return Cursors{l.name + organizationID, l.like}
}

// KeyColumns are the columns of a row's Key.
func (l *List) KeyColumns() []string { return l.order.of(l.alias).columns }

// OrganizationNumber is the column of lists that says which organization a row belongs to, from 1.
const OrganizationNumber = "p.n"

// SelectLists reads columns of the list of each of several organizations. It takes their IDs, and how
// many rows of each list, nil for all.
func SelectLists(list *List, columns []string) string {
	return list.sql(columns, "unnest($1::text[]) WITH ORDINALITY AS p (id, n)", "p.id", "", "p.n, ")
}

// SelectList is SelectLists for one organization, whose ID it takes: PostgreSQL has less to do. The rows
// may be those after a key, whose values it takes at last.
func SelectList(list *List, columns []string, after bool) string {
	where := ""
	if after {
		where = list.order.after(3)
	}
	return list.sql(columns, "(SELECT 1::bigint AS n) AS p", "$1", where, "")
}

func (l *List) sql(columns []string, parents, id, where, parentOrder string) string {
	statement := "SELECT " + strings.Join(columns, ", ") + " FROM " + parents +
		" CROSS JOIN LATERAL (SELECT * FROM " + l.table + " WHERE organization_id = " + id + l.where + where +
		" ORDER BY " + l.order.text() + " LIMIT $2) AS " + l.alias
	for _, join := range l.joins {
		if uses(columns, join.alias) {
			statement += " LEFT JOIN " + join.table + " AS " + join.alias + " ON " + join.on
		}
	}
	return statement + " ORDER BY " + parentOrder + l.order.of(l.alias).text()
}

// uses reports whether any column is one of the alias.
func uses(columns []string, alias string) bool {
	return slices.ContainsFunc(columns, func(column string) bool { return strings.Contains(column, alias+".") })
}
