package main

// The commands besides serve and seed: migrate, backup and version.

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"studio/db"
)

// databaseSettings are those of every command that uses the database.
type databaseSettings struct {
	DatabaseURL string `env:"STUDIO_DATABASE_URL" default:"sqlite:studio.db" help:"sqlite:PATH, or postgres://… for PostgreSQL 14 or newer."`
}

// Validate checks the settings; kong calls it.
func (s *databaseSettings) Validate() error {
	return settingError("STUDIO_DATABASE_URL", db.ParseURL(s.DatabaseURL))
}

// settingError names the setting that an error is about.
func settingError(name string, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %s", name, strings.Join(strings.Fields(err.Error()), " ")) // one line
	}
	return nil
}

type migrateCommand struct {
	Up     migrateUp     `cmd:"" default:"withargs" help:"Apply what is missing (the default)."`
	Down   migrateDown   `cmd:"" help:"Take the newest change back, with what is in its tables."`
	Status migrateStatus `cmd:"" help:"List the changes."`
}

type (
	migrateUp     struct{ databaseSettings }
	migrateDown   struct{ databaseSettings }
	migrateStatus struct{ databaseSettings }
)

// with opens the database for one command.
func (s *databaseSettings) with(use func(database *db.DB) error) error {
	database, err := db.Open(s.DatabaseURL)
	if err != nil {
		return settingError("STUDIO_DATABASE_URL", err)
	}
	return errors.Join(use(database), database.Close())
}

// withExisting is like with, but requires the database to exist.
func (s *databaseSettings) withExisting(use func(database *db.DB) error) error {
	if err := db.CheckExists(s.DatabaseURL); err != nil {
		return settingError("STUDIO_DATABASE_URL", err)
	}
	return s.with(use)
}

// Run applies all migrations.
func (c *migrateUp) Run(ctx context.Context) error {
	return c.with(func(database *db.DB) error { return settingError("STUDIO_DATABASE_URL", database.Migrate(ctx)) })
}

// Run takes the newest migration back.
func (c *migrateDown) Run(ctx context.Context) error {
	return c.withExisting(func(database *db.DB) error { return settingError("STUDIO_DATABASE_URL", database.MigrateDown(ctx)) })
}

// Run lists the migrations.
func (c *migrateStatus) Run(ctx context.Context) error {
	return c.withExisting(func(database *db.DB) error {
		steps, err := database.Migrations(ctx)
		for _, step := range steps {
			state := "pending"
			if step.Applied {
				state = "applied"
			}
			fmt.Printf("%05d  %-8s %s\n", step.Version, state, step.File)
		}
		return settingError("STUDIO_DATABASE_URL", err)
	})
}

// backupCommand is for SQLite alone: PostgreSQL has programs of its own for that.
type backupCommand struct {
	databaseSettings

	File string `arg:"" help:"The file to write, which must not be there yet."`
}

// Run copies the database as it is at one moment, while servers may go on using it.
func (c *backupCommand) Run(ctx context.Context) error {
	return c.withExisting(func(database *db.DB) error { return database.Backup(ctx, c.File) })
}

type versionCommand struct{}

// Run prints the version.
func (versionCommand) Run() error {
	fmt.Println(version)
	return nil
}
