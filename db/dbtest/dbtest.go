// Package dbtest gives each test a fresh database with all tables, on either engine.
package dbtest

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // database/sql's driver "pgx"

	"studio/db"
)

// Each runs a test on every engine, in parallel. The test opens its database with open, as often as
// it wants: all that it opens is the same database, as several processes would have it.
func Each(t *testing.T, test func(t *testing.T, open func(options ...db.Option) *db.DB)) {
	t.Helper()
	t.Parallel()
	for _, engine := range []struct {
		name   string
		create func(t *testing.T) string
	}{{"sqlite", SQLite}, {"postgres", Postgres}} {
		t.Run(engine.name, func(t *testing.T) {
			t.Parallel()
			address := engine.create(t)
			test(t, func(options ...db.Option) *db.DB { return Open(t, address, options...) })
		})
	}
}

// Open opens a database until the test ends.
func Open(t *testing.T, address string, options ...db.Option) *db.DB {
	t.Helper()
	database, err := db.Open(address, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := database.Close(); err != nil {
			t.Error(err)
		}
	})
	return database
}

// Dump reads all rows of all tables.
func Dump(t *testing.T, d *db.DB) map[string][][]any {
	t.Helper()
	dump := map[string][][]any{}
	query := `SELECT name FROM sqlite_master WHERE type = 'table'`
	if strings.HasSuffix(fmt.Sprintf("%T", d.Pool().Driver()), "stdlib.Driver") {
		query = `SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'`
	}
	for _, row := range Query(t, d, query) {
		table := fmt.Sprint(row...)
		dump[table] = Query(t, d, "SELECT * FROM "+table)
	}
	return dump
}

// Query reads all rows and columns with plain SQL; bytes are read as text.
func Query(t *testing.T, d *db.DB, query string) [][]any {
	t.Helper()
	rows, err := d.Pool().QueryContext(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	var all [][]any
	for rows.Next() {
		values, targets := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			targets[i] = &values[i]
		}
		if err := rows.Scan(targets...); err != nil {
			t.Fatal(err)
		}
		for i, value := range values {
			if bytes, is := value.([]byte); is {
				values[i] = string(bytes)
			}
		}
		all = append(all, values)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

// SQLite makes a database in a file and returns its URL.
func SQLite(t *testing.T) string {
	t.Helper()
	template, err := sqliteTemplate()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "studio.db")
	if err := os.WriteFile(path, template, 0o600); err != nil {
		t.Fatal(err)
	}
	return "sqlite:" + path
}

// sqliteTemplate is the file of a migrated database, as copying is faster than migrating.
var sqliteTemplate = sync.OnceValues(func() ([]byte, error) {
	folder, err := os.MkdirTemp("", "studio-test-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	path := filepath.Join(folder, "template.db")
	if err := migrate("sqlite:" + path); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
})

// Postgres makes a database on the server that STUDIO_TEST_POSTGRES_URL names, and returns its
// URL. The database is dropped when the test ends.
func Postgres(t *testing.T) string {
	t.Helper()
	server, err := postgresServer()
	if err != nil {
		t.Fatal(err)
	}
	name := db.NewID("test")
	if _, err := server.pool.ExecContext(t.Context(), "CREATE DATABASE "+name+" TEMPLATE "+server.template+server.strategy); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := server.pool.ExecContext(context.Background(), "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			t.Error(err)
		}
	})
	return server.database(name)
}

type server struct {
	url      *url.URL
	pool     *sql.DB
	template string
	strategy string
}

func (s *server) database(name string) string {
	address := *s.url
	address.Path = "/" + name
	return address.String()
}

// postgresServer makes the migrated database that those of tests are copies of.
var postgresServer = sync.OnceValues(func() (*server, error) {
	address := os.Getenv("STUDIO_TEST_POSTGRES_URL")
	if address == "" {
		return nil, fmt.Errorf("STUDIO_TEST_POSTGRES_URL is not set; run the tests with `make test`, which starts a PostgreSQL, " +
			"or with `db/dbtest/with-postgres go test …`")
	}
	parsed, err := url.Parse(address)
	if err != nil {
		return nil, fmt.Errorf("STUDIO_TEST_POSTGRES_URL is not a URL")
	}
	pool, err := sql.Open("pgx", address)
	if err != nil {
		return nil, err
	}
	pool.SetMaxOpenConns(2)
	s := &server{url: parsed, pool: pool, template: db.NewID("template")}
	// Where nothing has to reach the disk, copying files is half the work of logging each page. PostgreSQL 14 does
	// nothing else, and does not know the word.
	err = pool.QueryRow(`SELECT CASE WHEN current_setting('fsync') = 'off' AND current_setting('server_version_num')::int >= 150000
		THEN ' STRATEGY file_copy' ELSE '' END`).Scan(&s.strategy)
	if err != nil {
		return nil, err
	}
	if _, err := pool.Exec("CREATE DATABASE " + s.template); err != nil {
		return nil, err
	}
	return s, migrate(s.database(s.template))
})

func migrate(address string) error {
	database, err := db.Open(address)
	if err != nil {
		return err
	}
	if err := database.Migrate(context.Background()); err != nil {
		return err
	}
	return database.Close()
}
