package db

// Pages: lists are cut by the keys that order them (keyset pagination), so that a page costs the
// same wherever it is and does not shift when rows come and go.

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"
)

// Page is the part of a list that a caller asks for. Pages can be compared, so that loaders gather
// those that ask for the same.
type Page struct {
	// Limit is how many rows at most; one more is read, to know whether there are more.
	Limit int
	// Backward takes the rows from the end of the list; they still come in the list's order.
	Backward bool
	// After and Before are the keys between which the rows lie; empty ones are the list's ends.
	After, Before Key
}

// Rows is a page of rows.
type Rows[T any] struct {
	Nodes []*T
	// More is whether rows follow beyond Limit, in the direction of the page.
	More bool
}

// Key is a row's place in a list: the values of the one or two columns that order it, each a
// string or an int64.
type Key [2]any

// Values are the columns' values.
func (k Key) Values() []any {
	if k[1] == nil {
		return k[:1]
	}
	return k[:]
}

// ErrCursor says that a text is not a cursor of the list.
var ErrCursor = errors.New("not a cursor of this list")

// Cursors are opaque texts for the places in one list.
type Cursors struct {
	list string // its name is part of a cursor, so that it is not mistaken for one of another list
	like Key    // as one of its keys
}

// Of writes a place.
func (c Cursors) Of(key Key) string {
	text, err := json.Marshal(append([]any{c.list}, key.Values()...))
	if err != nil {
		panic(err) // keys are strings and integers
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

// Parse reads what Of wrote, and yields ErrCursor for all else. A cursor is not secret and may be
// forged: it is a place, and gives no right to see what is there.
func (c Cursors) Parse(cursor string) (Key, error) {
	text, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil {
		return Key{}, ErrCursor
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var parts []any
	if err := decoder.Decode(&parts); err != nil || len(parts) != len(c.like.Values())+1 || parts[0] != c.list {
		return Key{}, ErrCursor
	}
	var key Key
	for i, value := range parts[1:] {
		switch _, isNumber := c.like[i].(int64); value := value.(type) {
		case json.Number:
			number, err := value.Int64()
			if err != nil || !isNumber {
				return Key{}, ErrCursor
			}
			key[i] = number
		case string:
			if isNumber || strings.ContainsRune(value, 0) {
				return Key{}, ErrCursor
			}
			key[i] = value
		default:
			return Key{}, ErrCursor
		}
	}
	// JSON and base64 can say one thing in many ways; Of says it in one.
	if c.Of(key) != cursor {
		return Key{}, ErrCursor
	}
	return key, nil
}

// order is how a list is sorted: columns that together are unique in it, all in one direction.
type order struct {
	columns    []string
	descending bool
}

// of is the order of a table that goes by an alias.
func (o order) of(alias string) order {
	columns := make([]string, len(o.columns))
	for i, column := range o.columns {
		columns[i] = alias + "." + column
	}
	return order{columns, o.descending}
}

// text is the order as it stands in a statement.
func (o order) text() string {
	direction := " ASC"
	if o.descending {
		direction = " DESC"
	}
	return strings.Join(o.columns, direction+", ") + direction
}

// after is the condition, to follow others, that rows come after a key, which is in parameters from a
// number on.
func (o order) after(parameter int) string {
	direction, places := " > ", make([]string, len(o.columns))
	if o.descending {
		direction = " < "
	}
	for i := range places {
		places[i] = "$" + strconv.Itoa(parameter+i)
	}
	return " AND (" + strings.Join(o.columns, ", ") + ")" + direction + "(" + strings.Join(places, ", ") + ")"
}

// cut narrows a select to a page; one row too many shows that there are more.
func (o order) cut(query *bun.SelectQuery, page Page) *bun.SelectQuery {
	tuple := "(" + strings.Join(o.columns, ", ") + ")"
	after, before := ">", "<"
	if o.descending {
		after, before = before, after
	}
	if page.After != (Key{}) {
		query = query.Where(tuple+" "+after+" (?)", bun.List(page.After.Values()))
	}
	if page.Before != (Key{}) {
		query = query.Where(tuple+" "+before+" (?)", bun.List(page.Before.Values()))
	}
	return o.sort(query, page.Backward).Limit(int64(page.Limit) + 1)
}

func (o order) sort(query *bun.SelectQuery, backward bool) *bun.SelectQuery {
	return query.OrderExpr(order{o.columns, o.descending != backward}.text())
}

// readPage reads one page of a list.
func readPage[T any](ctx context.Context, query *bun.SelectQuery, o order, page Page) (*Rows[T], error) {
	rows, err := many[T](ctx, o.cut(query, page))
	if err != nil {
		return nil, err
	}
	return trim(rows, page), nil
}

// readPages reads the same page of many lists in one statement. Each list is cut by itself, so
// that the database reads no more rows than are shown, however long the lists are.
func readPages[T any](
	ctx context.Context, d *DB, parents []string, page Page, o order,
	list func(parent any) *bun.SelectQuery, parentOf func(*T) string,
) ([]*Rows[T], error) {
	var lists *bun.SelectQuery
	if d.isPostgres() {
		lists = d.bun.NewSelect().ColumnExpr("list.*").TableExpr("unnest(?::text[]) AS p (id)", pgdialect.Array(parents)).
			Join("CROSS JOIN LATERAL (?) AS list", o.cut(list(bun.Safe("p.id")), page))
	} else {
		for _, parent := range parents {
			// A part of a union takes no parentheses: a select around each keeps its limit.
			part := d.bun.NewSelect().TableExpr("(?) AS list", o.cut(list(parent), page))
			if lists == nil {
				lists = part
			} else {
				lists = lists.UnionAll(part)
			}
		}
	}
	rows, err := many[T](ctx, o.sort(d.bun.NewSelect().TableExpr("(?) AS lists", lists), page.Backward))
	if err != nil {
		return nil, err
	}
	pages := make([]*Rows[T], len(parents))
	for i, list := range listsByKey(parents, rows, parentOf) {
		pages[i] = trim(list, page)
	}
	return pages, nil
}

func trim[T any](rows []*T, page Page) *Rows[T] {
	result := &Rows[T]{Nodes: rows, More: len(rows) > page.Limit}
	if result.More {
		result.Nodes = rows[:page.Limit]
	}
	if page.Backward {
		slices.Reverse(result.Nodes)
	}
	return result
}

// countByOrganization counts the rows of a select for each organization, 0 where there is none.
func (d *DB) countByOrganization(ctx context.Context, organizationIDs []string, query *bun.SelectQuery, alias string) ([]int, error) {
	var rows []struct {
		OrganizationID string `bun:"organization_id"`
		Count          int    `bun:"count"`
	}
	err := query.ColumnExpr("?.organization_id, count(*) AS count", bun.Ident(alias)).
		GroupExpr("?.organization_id", bun.Ident(alias)).Scan(ctx, &rows)
	if err != nil {
		return nil, mapError(err)
	}
	byID := make(map[string]int, len(rows))
	for _, row := range rows {
		byID[row.OrganizationID] = row.Count
	}
	counts := make([]int, len(organizationIDs))
	for i, id := range organizationIDs {
		counts[i] = byID[id]
	}
	return counts, nil
}

// contains is a LIKE pattern for a part of a text, with its wildcards taken as they are.
func contains(part string) string {
	return "%" + strings.NewReplacer(`\`, `\\`, "%", `\%`, "_", `\_`).Replace(part) + "%"
}
