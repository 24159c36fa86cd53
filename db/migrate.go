package db

// Migrations: numbered SQL files, one folder an engine, applied by goose.

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

//go:embed migrations
var migrations embed.FS

// ErrNewer says that a newer version of the program has changed the tables in ways that this one does not know.
var ErrNewer = errors.New("a newer version of Studio Organizations has changed the database's tables: run that version, " +
	"or take its changes back with its own command migrate down")

// Migrate brings the tables up to date, or returns ErrNewer. Several processes may call it at once: on
// PostgreSQL a lock lets one work and the others wait.
func (d *DB) Migrate(ctx context.Context) error {
	provider, err := d.migrator()
	if err != nil {
		return err
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("migrate: %w", mapError(err))
	}
	return known(ctx, provider)
}

// MigrateDown takes the newest migration back, and what is in its tables with it. ErrNewer when that is not known here.
func (d *DB) MigrateDown(ctx context.Context) error {
	provider, err := d.migrator()
	if err != nil {
		return err
	}
	if err := known(ctx, provider); err != nil {
		return err
	}
	if _, err := provider.Down(ctx); err != nil {
		return fmt.Errorf("migrate down: %w", mapError(err))
	}
	return nil
}

// known returns ErrNewer when the database's version is above all migrations.
func known(ctx context.Context, provider *goose.Provider) error {
	current, newest, err := provider.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("database version: %w", mapError(err))
	}
	if current > newest {
		return ErrNewer
	}
	return nil
}

// Migration is one step of the schema.
type Migration struct {
	Version int64
	File    string
	Applied bool
}

// Migrations lists all steps in order, and which of them are applied.
func (d *DB) Migrations(ctx context.Context) ([]Migration, error) {
	provider, err := d.migrator()
	if err != nil {
		return nil, err
	}
	statuses, err := provider.Status(ctx)
	if err != nil {
		return nil, fmt.Errorf("migration status: %w", mapError(err))
	}
	steps := make([]Migration, len(statuses))
	for i, status := range statuses {
		steps[i] = Migration{Version: status.Source.Version, File: status.Source.Path, Applied: status.State == goose.StateApplied}
	}
	return steps, nil
}

// Ready returns nil when the database answers, all migrations are applied, and PostgreSQL may be written to, which
// a standby or a provider's protection forbids.
func (d *DB) Ready(ctx context.Context) error {
	provider, err := d.migrator()
	if err != nil {
		return err
	}
	pending, err := provider.HasPending(ctx)
	if err != nil {
		return mapError(err)
	}
	if pending {
		return errors.New("migrations are pending")
	}
	if !d.isPostgres() {
		return nil
	}
	var readOnly bool
	if err := d.pool.QueryRowContext(ctx, "SELECT current_setting('transaction_read_only')::bool").Scan(&readOnly); err != nil {
		return mapError(err)
	}
	if readOnly {
		return fmt.Errorf("%w: it is read-only", ErrUnavailable)
	}
	return nil
}

func (d *DB) migrator() (*goose.Provider, error) {
	folder, engine := "migrations/sqlite", goose.DialectSQLite3
	options := []goose.ProviderOption{goose.WithVerbose(false), goose.WithLogger(goose.NopLogger())}
	if d.isPostgres() {
		folder, engine = "migrations/postgres", goose.DialectPostgres
		locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 120), lock.WithUnlockTimeout(1, 10))
		if err != nil {
			return nil, fmt.Errorf("migration lock: %w", err)
		}
		options = append(options, goose.WithSessionLocker(locker))
	}
	files, err := fs.Sub(migrations, folder)
	if err != nil {
		return nil, err
	}
	provider, err := goose.NewProvider(engine, d.pool.DB, files, options...)
	if err != nil {
		return nil, fmt.Errorf("migrations: %w", err)
	}
	return provider, nil
}
