// Package db holds the tables and every SQL statement, on PostgreSQL and on SQLite. It knows rows
// and constraints, not rules: those live in the packages that call it.
//
// A table's row type and its statements are in one file; related tables share one. Statements are methods
// of DB, which is either the database or, inside InTx, a transaction on it.
package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect"
	"github.com/uptrace/bun/dialect/pgdialect"
	"github.com/uptrace/bun/dialect/sqlitedialect"
	"github.com/uptrace/bun/schema"
	_ "modernc.org/sqlite" // without cgo, so that a build needs only Go
)

// DB is the database, or a transaction on it.
type DB struct {
	bun  bun.IDB
	pool *bun.DB
	// apart has one connection; see Apart.
	apart *bun.DB
	// batches is nil on SQLite.
	batches *batches
	now     func() time.Time
	// hook sees each statement; nil but in tests.
	hook func(query string)

	signals     *signals
	inTx        bool
	afterCommit []func()
}

// Option changes how Open sets the database up.
type Option func(*DB)

// WithClock replaces the clock that stamps every row, for tests that let days pass.
func WithClock(now func() time.Time) Option {
	return func(d *DB) { d.now = now }
}

// WithStatementHook calls hook with the text of each statement before it runs, for tests that
// count them.
func WithStatementHook(hook func(query string)) Option {
	return func(d *DB) {
		d.pool = d.pool.WithQueryHook(statementHook(hook))
		d.bun = d.pool
		d.apart = d.apart.WithQueryHook(statementHook(hook))
		d.hook = hook
	}
}

// ParseURL checks a database URL: `sqlite:PATH` or `postgres://…`. The error says what is
// accepted and never repeats the URL, which may hold a password.
func ParseURL(address string) error {
	path, _ := strings.CutPrefix(address, "sqlite:")
	switch {
	case strings.HasPrefix(path, ":memory:"), strings.HasPrefix(path, "file:"): // each connection would have its own
		return errors.New("must name a file, by its path alone; use sqlite:PATH")
	case strings.HasPrefix(path, "//") && len(path) > 2 && path[2] != '/': // would be in the root
		return errors.New("must have a path after sqlite: and not a host; use sqlite:studio.db, or sqlite:/studio.db for a file in the root")
	case strings.HasPrefix(address, "sqlite:") && len(address) > len("sqlite:"):
		return nil
	case strings.HasPrefix(address, "postgres://"), strings.HasPrefix(address, "postgresql://"):
		if _, err := pgx.ParseConfig(address); err == nil {
			return nil
		}
	}
	return errors.New("is not a database URL; use sqlite:PATH or postgres://USER:PASSWORD@HOST:PORT/DATABASE")
}

// CheckExists returns an error for a SQLite database that is not there, which opening would make. PostgreSQL
// reports that by itself.
func CheckExists(address string) error {
	path, found := strings.CutPrefix(address, "sqlite:")
	if !found {
		return nil
	}
	_, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no database at %s", path)
	}
	return err
}

// A dialect remembers how the models are stored, which takes time to find out and is the same for each database.
var onSQLite, onPostgres = sqlitedialect.New(), pgdialect.New()

// Open opens the database that address names, as described at ParseURL. It does not connect yet, but makes the file of
// a SQLite database that is not there.
func Open(address string, options ...Option) (*DB, error) {
	if err := ParseURL(address); err != nil {
		return nil, err
	}
	var d *DB
	if path, found := strings.CutPrefix(address, "sqlite:"); found {
		if err := makeFile(path, 0); err != nil {
			return nil, err
		}
		pool, err := sqlitePool(path)
		if err != nil {
			return nil, err
		}
		apart, err := sqlitePool(path)
		if err != nil {
			return nil, err
		}
		d = newDB(bun.NewDB(pool, onSQLite), bun.NewDB(apart, onSQLite), newSignals(nil))
	} else {
		config, err := pgx.ParseConfig(address)
		if err != nil {
			return nil, err
		}
		d = newDB(bun.NewDB(postgresPool(config), onPostgres), bun.NewDB(postgresPool(config), onPostgres), newSignals(config))
		if d.batches, err = newBatches(config.ConnString()); err != nil {
			return nil, err
		}
	}
	for _, option := range options {
		option(d)
	}
	return d, nil
}

// makeFile makes a file that is not there, because SQLite would let everybody read it.
func makeFile(path string, flags int) error {
	file, err := os.OpenFile(path, os.O_CREATE|flags, 0o600)
	if err != nil {
		return err
	}
	return file.Close()
}

func sqlitePool(path string) (*sql.DB, error) {
	// Immediate transactions: one that turns from reading to writing fails at once when another
	// writes, whatever the busy timeout.
	dsn := (&url.URL{Scheme: "file", Opaque: url.PathEscape(path), RawQuery: "_txlock=immediate&_pragma=busy_timeout(5000)" +
		"&_pragma=journal_mode(WAL)&_pragma=foreign_keys(1)&_pragma=synchronous(NORMAL)"}).String()
	pool, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, err
	}
	pool.SetMaxOpenConns(2 * runtime.NumCPU())
	pool.SetMaxIdleConns(2 * runtime.NumCPU())
	return pool, nil
}

func newDB(pool, apart *bun.DB, signals *signals) *DB {
	apart.SetMaxOpenConns(1)
	return &DB{bun: pool, pool: pool, apart: apart, now: time.Now, signals: signals}
}

// Apart is the database by a pool of one connection, for the hub: database/sql gives a freed connection to
// any waiter, so among thousands one may starve.
func (d *DB) Apart() *DB {
	apart := *d
	apart.bun, apart.pool = d.apart, d.apart
	return &apart
}

// Close ends all connections.
func (d *DB) Close() error {
	d.signals.close()
	if d.batches != nil {
		d.batches.pool.Close()
	}
	return errors.Join(d.apart.Close(), d.pool.Close())
}

// Pool is the pool of connections, for metrics, and for statements that only tests and bench need.
func (d *DB) Pool() *sql.DB { return d.pool.DB }

// ReadPool is the pool of the connections of reads, for metrics; nil where there are no reads.
func (d *DB) ReadPool() *pgxpool.Pool {
	if d.batches == nil {
		return nil
	}
	return d.batches.pool
}

// Now is the time in UTC, as exact as PostgreSQL stores it.
func (d *DB) Now() time.Time { return d.now().UTC().Truncate(time.Microsecond) }

// maxTries is how often a transaction is tried that met another one.
const maxTries = 4

// InTx runs fn in a transaction, which is committed when fn returns nil; inside a transaction fn
// joins it. When two transactions meet in a way that the database can only end by stopping one,
// fn runs anew from its beginning: what it sets outside, it must set each time, and it must do nothing
// else that a rollback would not take back. ErrUncertain when the answer to the commit was lost.
func (d *DB) InTx(ctx context.Context, fn func(tx *DB) error) error {
	if d.inTx {
		return fn(d)
	}
	var tx *DB
	var err, ofFn error
	for range maxTries {
		tx = nil
		err = d.bun.RunInTx(ctx, nil, func(_ context.Context, bunTx bun.Tx) error {
			begun := *d
			begun.bun, begun.inTx, begun.afterCommit = bunTx, true, nil
			tx = &begun
			ofFn = fn(tx)
			return ofFn
		})
		if !isConflict(err) && !isBusy(err) { // among many writers, one may wait for longer than the busy timeout
			break
		}
	}
	if err != nil {
		err = mapError(err)
		if toCommit := tx != nil && ofFn == nil; toCommit && errors.Is(err, ErrUnavailable) {
			err = fmt.Errorf("%w: %w", ErrUncertain, err)
		}
		return err
	}
	for _, after := range tx.afterCommit {
		after()
	}
	return nil
}

// Attempt runs fn inside the transaction so that an error of fn undoes what fn changed, and nothing
// else.
func (d *DB) Attempt(ctx context.Context, fn func(tx *DB) error) error {
	attempt := *d
	attempt.afterCommit = nil
	err := d.bun.RunInTx(ctx, nil, func(_ context.Context, savepoint bun.Tx) error {
		attempt.bun = savepoint
		return fn(&attempt)
	})
	if err == nil {
		d.afterCommit = append(d.afterCommit, attempt.afterCommit...)
	}
	return mapError(err)
}

// AfterCommit runs fn once the transaction is committed, and never when it is not. Outside a
// transaction, where each statement is committed by itself, it runs fn at once.
func (d *DB) AfterCommit(fn func()) {
	if !d.inTx {
		fn()
		return
	}
	d.afterCommit = append(d.afterCommit, fn)
}

func (d *DB) isPostgres() bool { return d.pool.Dialect().Name() == dialect.PG }

// forUpdate locks the rows that a select yields until the transaction ends. On SQLite a
// transaction that writes is alone from its beginning.
func (d *DB) forUpdate(query *bun.SelectQuery) *bun.SelectQuery {
	if d.isPostgres() {
		return query.For("UPDATE")
	}
	return query
}

// among is the condition that a column has one of the values. On PostgreSQL they are one value, so that
// the statement is the same however many there are.
func (d *DB) among(column string, values []string) schema.QueryWithArgs {
	if d.isPostgres() {
		return bun.SafeQuery("? = ANY (?::text[])", bun.Safe(column), pgdialect.Array(values))
	}
	return bun.SafeQuery("? IN (?)", bun.Safe(column), bun.List(values))
}

// executed is for statements that may change any number of rows.
func executed(_ sql.Result, err error) error { return mapError(err) }

// changed reports whether a statement changed a row, since an UPDATE of no row is no error.
func changed(result sql.Result, err error) (bool, error) {
	if err != nil {
		return false, mapError(err)
	}
	count, err := result.RowsAffected()
	return count > 0, mapError(err)
}

// requireRow is changed for statements whose row must be there: ErrNotFound when it is not.
func requireRow(result sql.Result, err error) error {
	found, err := changed(result, err)
	if err == nil && !found {
		return ErrNotFound
	}
	return err
}

// one reads a single row into a new T; ErrNotFound when there is none.
func one[T any](ctx context.Context, query *bun.SelectQuery) (*T, error) {
	row := new(T)
	if err := query.Limit(1).Scan(ctx, row); err != nil {
		return nil, mapError(err)
	}
	return row, nil
}

// many reads all rows; none is an empty list.
func many[T any](ctx context.Context, query *bun.SelectQuery) ([]*T, error) {
	rows := []*T{}
	if err := query.Scan(ctx, &rows); err != nil {
		return nil, mapError(err)
	}
	return rows, nil
}

// byKey puts rows in the order of keys, nil where there is no row, as loaders want them.
func byKey[T any](keys []string, rows []*T, key func(*T) string) []*T {
	found := make(map[string]*T, len(rows))
	for _, row := range rows {
		found[key(row)] = row
	}
	ordered := make([]*T, len(keys))
	for i, k := range keys {
		ordered[i] = found[k]
	}
	return ordered
}

// listsByKey puts rows into a list for each key, in the order of keys; none is an empty list.
func listsByKey[T any](keys []string, rows []*T, key func(*T) string) [][]*T {
	found := make(map[string][]*T, len(keys))
	for _, row := range rows {
		found[key(row)] = append(found[key(row)], row)
	}
	lists := make([][]*T, len(keys))
	for i, k := range keys {
		lists[i] = append([]*T{}, found[k]...)
	}
	return lists
}

type statementHook func(query string)

func (h statementHook) BeforeQuery(ctx context.Context, event *bun.QueryEvent) context.Context {
	h(event.Query)
	return ctx
}

func (statementHook) AfterQuery(context.Context, *bun.QueryEvent) {}
