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
	// Made here, because SQLite would let everybody read it.
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	if err := file.Close(); err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	if _, err := d.pool.DB.ExecContext(ctx, "VACUUM INTO ?", path); err != nil {
		return errors.Join(fmt.Errorf("backup: %w", mapError(err)), os.Remove(path))
	}
	return nil
}
