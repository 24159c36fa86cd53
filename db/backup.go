package db

import (
	"context"
	"errors"
	"fmt"
	"os"
)

// Backup copies a SQLite database into a new file, as it is at one moment; others may go on using it.
func (d *DB) Backup(ctx context.Context, path string) error {
	if d.isPostgres() {
		return errors.New("backup is for SQLite; save a PostgreSQL database with pg_dump")
	}
	if err := makeFile(path, os.O_EXCL); err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	if _, err := d.pool.DB.ExecContext(ctx, "VACUUM INTO ?", path); err != nil {
		return errors.Join(fmt.Errorf("backup: %w", mapError(err)), os.Remove(path))
	}
	return nil
}
