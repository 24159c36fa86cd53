package main

// Backups: a copy of a SQLite database that is in use. PostgreSQL has programs of its own for that.

import (
	"context"

	"studio/db"
)

type backupCommand struct {
	databaseSettings

	File string `arg:"" help:"The file to write, which must not be there yet."`
}

// Run copies the database as it is at one moment, while servers may go on using it.
func (c *backupCommand) Run(ctx context.Context) error {
	return c.with(func(database *db.DB) error { return database.Backup(ctx, c.File) })
}
