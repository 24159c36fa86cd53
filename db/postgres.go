package db

// Statements on their way to PostgreSQL. Bun writes values into a statement's text; here they become
// parameters again, so that PostgreSQL parses and plans a statement once a connection, and not each time.

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/stdlib"
)

const (
	// connections is how many a process uses at the most, besides those of reads.
	connections = 16
	// preparedStatements is how many each of them keeps.
	preparedStatements = 256
	// maxParameters is how many values a statement may have that is prepared. One with more, an insert of
	// many rows for example, is hardly ever the same twice.
	maxParameters = 48
)

// planning are the settings by which statements are planned. The best plan is the same for all values, along
// indexes from few rows to few rows, and planning takes longer than most statements run. It must not depend
// on how small a table was at the time.
var planning = map[string]string{
	"plan_cache_mode": "force_generic_plan",
	"enable_seqscan":  "off", "enable_hashjoin": "off", "enable_mergejoin": "off",
	"jit": "off", // disabled scans look so expensive to the planner that they would trigger JIT
}

func postgresPool(config *pgx.ConnConfig) *sql.DB {
	config.StatementCacheCapacity = preparedStatements
	maps.Copy(config.RuntimeParams, planning)
	// What is read after waiting for a lock must be what its last holder left, whatever the role's own setting.
	config.RuntimeParams["default_transaction_isolation"] = "read committed"
	pool := sql.OpenDB(connector{stdlib.GetConnector(*config, stdlib.OptionAfterConnect(func(_ context.Context, conn *pgx.Conn) error {
		conn.TypeMap().RegisterType(&pgtype.Type{
			Name: "timestamptz", OID: pgtype.TimestamptzOID, Codec: &pgtype.TimestamptzCodec{ScanLocation: time.UTC},
		})
		return nil
	}))})
	pool.SetMaxOpenConns(connections)
	pool.SetMaxIdleConns(connections)
	pool.SetConnMaxIdleTime(5 * time.Minute)
	return pool
}

// connector makes connections of pgx's that take values out of statements.
type connector struct{ driver.Connector }

func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	made, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	inner, is := made.(*stdlib.Conn)
	if !is {
		return nil, errors.Join(errors.New("this is no connection of pgx's"), made.Close())
	}
	return connection{inner}, nil
}

type connection struct{ *stdlib.Conn }

func (c connection) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	query, args = parameterize(query, args)
	return c.Conn.ExecContext(ctx, query, args)
}

func (c connection) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	query, args = parameterize(query, args)
	return c.Conn.QueryContext(ctx, query, args)
}

// parameterize takes the values out of a statement's text. A statement that cannot be prepared, or would
// hardly come again, is sent as it is; one that has parameters already is left alone.
func parameterize(query string, args []driver.NamedValue) (string, []driver.NamedValue) {
	if len(args) > 0 {
		return query, args
	}
	unprepared := []driver.NamedValue{{Ordinal: 1, Value: pgx.QueryExecModeSimpleProtocol}}
	verb, _, _ := strings.Cut(query, " ")
	known := slices.Contains([]string{"SELECT", "INSERT", "UPDATE", "DELETE", "WITH"}, verb)
	if !known || strings.Count(query, "'")%2 > 0 || strings.Count(query, `"`)%2 > 0 {
		return query, unprepared
	}
	var text strings.Builder
	text.Grow(len(query))
	for i, end := 0, 0; i < len(query); i = end {
		var value string
		switch c := query[i]; {
		case c == '"':
			end = closing(query, i)
			text.WriteString(query[i:end])
			continue
		case c == '\'':
			end = closing(query, i)
			value = strings.ReplaceAll(query[i+1:end-1], "''", "'")
		case isDigit(c) && strings.HasSuffix(query[:i], "BY "): // no value, but the place of a column
			return query, unprepared
		case isDigit(c) && !continues(query[i-1]):
			end = i + 1
			for end < len(query) && (isDigit(query[end]) || query[end] == '.') {
				end++
			}
			value = query[i:end]
		default:
			end = i + 1
			text.WriteByte(c)
			continue
		}
		if len(args) == maxParameters {
			return query, unprepared
		}
		args = append(args, driver.NamedValue{Ordinal: len(args) + 1, Value: value})
		text.WriteString("$" + strconv.Itoa(len(args)))
	}
	return text.String(), args
}

// closing is the end of what is quoted from a place on, in which a quote is doubled.
func closing(query string, from int) int {
	for i := from + 1; i < len(query); i++ {
		if query[i] != query[from] {
			continue
		}
		if i++; i == len(query) || query[i] != query[from] {
			return i
		}
	}
	return len(query)
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// continues reports whether a digit after c belongs to a name, or to a number below zero: with a sign before
// it, a parameter's type would be unclear.
func continues(c byte) bool {
	return isDigit(c) || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || strings.IndexByte("_$-", c) >= 0
}
