package db_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"studio/db"
	"studio/db/dbtest"
)

// engines are the two ways to make a database that is migrated.
var engines = map[string]func(*testing.T) string{"sqlite": dbtest.SQLite, "postgres": dbtest.Postgres}

// columnsOf is the statement that lists the columns of all tables but goose's own, and whether each
// may be null.
var columnsOf = map[string]string{
	"sqlite": `SELECT t.name, c.name, NOT c."notnull" FROM pragma_table_list AS t, pragma_table_info(t.name) AS c
		WHERE t.schema = 'main' AND t.name NOT LIKE 'sqlite_%' AND t.name <> 'goose_db_version'`,
	"postgres": `SELECT table_name, column_name, is_nullable = 'YES' FROM information_schema.columns
		WHERE table_schema = 'public' AND table_name <> 'goose_db_version'`,
}

// columns lists the columns as "table.column" and "table.column?" for one that may be null.
func (s *store) columns(engine string) []string {
	s.Helper()
	rows, err := s.Pool().QueryContext(s.Context(), columnsOf[engine])
	s.ok(err)
	defer func() { s.ok(rows.Close()) }()
	columns := []string{}
	for rows.Next() {
		var table, column string
		var nullable bool
		s.ok(rows.Scan(&table, &column, &nullable))
		if nullable {
			column += "?"
		}
		columns = append(columns, table+"."+column)
	}
	s.ok(rows.Err())
	slices.Sort(columns)
	return columns
}

func TestMigrations(t *testing.T) {
	t.Parallel()
	for engine, create := range engines {
		t.Run("UpAndDown/"+engine, func(t *testing.T) {
			t.Parallel()
			s := open(t, create(t))
			migrated := s.columns(engine)
			if !slices.Contains(migrated, "users.email_verified_at?") {
				t.Fatalf("the columns are %v", migrated)
			}
			s.wantMigrations(true)
			s.ok(s.Ready(t.Context()))

			for range s.migrations() {
				s.ok(s.MigrateDown(t.Context()))
			}
			if left := s.columns(engine); len(left) > 0 {
				t.Errorf("taken back, but there still are %v", left)
			}
			s.wantMigrations(false)
			if s.Ready(t.Context()) == nil {
				t.Error("ready without tables")
			}

			s.ok(s.Migrate(t.Context()))
			if again := s.columns(engine); !slices.Equal(again, migrated) {
				t.Errorf("migrated again, the columns are\n%v, they were\n%v", again, migrated)
			}
			s.wantMigrations(true)
		})
	}
	// A program from before a migration cannot know what it would break.
	for engine, create := range engines {
		t.Run("Newer/"+engine, func(t *testing.T) {
			t.Parallel()
			s := open(t, create(t))
			_, err := s.Pool().ExecContext(t.Context(), "INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, TRUE)")
			s.ok(err)
			for name, change := range map[string]func(context.Context) error{"Migrate": s.Migrate, "MigrateDown": s.MigrateDown} {
				if err := change(t.Context()); !errors.Is(err, db.ErrNewer) {
					t.Errorf("%s: %v, want ErrNewer", name, err)
				}
			}
			s.wantMigrations(true)
		})
	}
	// Organizations that are older than the column learn who founded them from their log.
	for engine, create := range engines {
		t.Run("Founders/"+engine, func(t *testing.T) {
			t.Parallel()
			s := open(t, create(t))
			for range s.migrations()[1:] { // down to the first
				s.ok(s.MigrateDown(t.Context()))
			}
			for _, statement := range []string{
				`INSERT INTO users (id, email, first_name, last_name, name_key, password_hash, created_at)
					VALUES ('ada', 'ada@example.com', 'Ada', 'Example', 'ada example', '', '2026-01-31 12:00:00')`,
				`INSERT INTO organizations (id, name, name_key, subdomain, created_at) VALUES ('old', 'Old', 'old', 'old', '2026-01-31 12:00:00')`,
				`INSERT INTO events (id, organization_id, seq, type, actor_id, subject_id, summary, created_at)
					VALUES ('first', 'old', 1, 'ORGANIZATION_CREATED', 'ada', 'old', '', '2026-01-31 12:00:00')`,
			} {
				s.ok(s.exec(statement))
			}
			s.ok(s.Migrate(t.Context()))
			found, err := s.OrganizationsByID(t.Context(), []string{"old"})
			s.ok(err)
			if founder := found[0].CreatedByID; founder == nil || *founder != "ada" {
				t.Errorf("the founder is %v", founder)
			}
		})
	}
	// Redemptions that are older than the column count for their promotion code, and for its coupon with it.
	for engine, create := range engines {
		t.Run("Redemptions/"+engine, func(t *testing.T) {
			t.Parallel()
			s := open(t, create(t))
			for range s.migrations()[7:] { // down to the one before the column
				s.ok(s.MigrateDown(t.Context()))
			}
			s.ok(s.exec(`INSERT INTO organizations (id, name, name_key, subdomain, created_at) VALUES ('old', 'Old', 'old', 'old', '2026-01-31 12:00:00')`))
			s.ok(s.exec(`INSERT INTO coupons (id, organization_id, promotion_code_id, code, name, currency, amount_off, added_at)
				VALUES ('old', 'old', 'promo_old', 'OLD', 'Old', 'USD', 100, '2026-01-31 12:00:00')`))
			s.ok(s.Migrate(t.Context()))
			for code, want := range map[string]int64{"promo_old": 1, "promo_new": 0} {
				ofCode, ofCoupon, err := s.CountRedemptions(t.Context(), code, "coupon")
				s.ok(err)
				if ofCode != want || ofCoupon != want {
					t.Errorf("%s was redeemed %d times, its coupon %d times, want %d", code, ofCode, ofCoupon, want)
				}
			}
		})
	}
	t.Run("EnginesAlike", func(t *testing.T) {
		t.Parallel()
		sqlite := open(t, dbtest.SQLite(t))
		postgres := open(t, dbtest.Postgres(t))
		if of, like := sqlite.columns("sqlite"), postgres.columns("postgres"); !slices.Equal(of, like) {
			t.Errorf("SQLite has\n%v, PostgreSQL has\n%v", of, like)
		}
		if of, like := sqlite.migrations(), postgres.migrations(); !slices.Equal(of, like) {
			t.Errorf("SQLite has the migrations\n%v, PostgreSQL\n%v", of, like)
		}
	})
	t.Run("AtOnce/postgres", func(t *testing.T) {
		t.Parallel()
		address := dbtest.Postgres(t)
		s := open(t, address)
		migrated := s.columns("postgres")
		for range s.migrations() {
			s.ok(s.MigrateDown(t.Context()))
		}

		// Until a process may write down what it has applied, it cannot be ahead of the others.
		gate, err := s.Pool().BeginTx(t.Context(), nil)
		s.ok(err)
		_, err = gate.ExecContext(t.Context(), "LOCK TABLE goose_db_version IN SHARE MODE")
		s.ok(err)

		const count = 4
		processes, ctx := errgroup.WithContext(t.Context())
		for range count {
			process := dbtest.Open(t, address)
			processes.Go(func() error { return process.Migrate(ctx) })
		}
		var atGate, waiting int
		for deadline := time.Now().Add(time.Minute); atGate+waiting < count && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
			s.ok(s.Pool().QueryRowContext(t.Context(), `SELECT count(*) FILTER (WHERE wait_event_type = 'Lock'),
				count(*) FILTER (WHERE state = 'idle' AND query LIKE '%pg_try_advisory_lock%')
				FROM pg_stat_activity WHERE datname = current_database()`).Scan(&atGate, &waiting))
		}
		if atGate != 1 || waiting != count-1 {
			t.Errorf("%d processes migrate and %d wait for them, want 1 and %d", atGate, waiting, count-1)
		}
		s.ok(gate.Rollback())
		s.ok(processes.Wait())
		if got := s.columns("postgres"); !slices.Equal(got, migrated) {
			t.Errorf("the columns are\n%v, want\n%v", got, migrated)
		}
		var ran, different int
		row := s.Pool().QueryRowContext(t.Context(), "SELECT count(*), count(DISTINCT version_id) FROM goose_db_version WHERE version_id > 0")
		s.ok(row.Scan(&ran, &different))
		if ran != different || ran != len(s.migrations()) {
			t.Errorf("%d migrations ran, %d different ones, of %d", ran, different, len(s.migrations()))
		}
	})
}

func (s *store) migrations() []db.Migration {
	s.Helper()
	steps, err := s.Migrations(s.Context())
	s.ok(err)
	return steps
}

// wantMigrations checks that there are migrations, and whether all or none are applied.
func (s *store) wantMigrations(applied bool) {
	s.Helper()
	steps := s.migrations()
	if len(steps) == 0 {
		s.Error("there are no migrations")
	}
	for _, step := range steps {
		if step.Applied != applied || !strings.HasPrefix(step.File, fmt.Sprintf("%05d_", step.Version)) {
			s.Errorf("got %+v, want it applied: %t", step, applied)
		}
	}
}

// TestParseURL shows that no refusal repeats the URL: it may hold a password.
func TestParseURL(t *testing.T) {
	t.Parallel()
	for address, accepted := range map[string]bool{
		"sqlite:studio.db":                        true,
		"postgres://studio:secret@127.0.0.1/x":    true,
		"postgresql://127.0.0.1:5432/studio":      true,
		"":                                        false,
		"sqlite:":                                 false,
		"sqlite:/srv/studio.db":                   true,
		"sqlite:///srv/studio.db":                 true,
		"sqlite://studio.db":                      false,
		"sqlite::memory:":                         false,
		"sqlite:file:studio.db":                   false,
		"studio.db":                               false,
		"mysql://studio:secret@127.0.0.1/x":       false,
		"postgres://studio:secret@127.0.0.1:no/x": false,
	} {
		err := db.ParseURL(address)
		if (err == nil) != accepted {
			t.Errorf("%q: got the error %v", address, err)
		}
		if err == nil {
			continue
		}
		if _, openErr := db.Open(address); openErr == nil || strings.Contains(openErr.Error()+err.Error(), "secret") {
			t.Errorf("%q: Open refuses with %v, ParseURL with %v", address, openErr, err)
		}
	}
}
