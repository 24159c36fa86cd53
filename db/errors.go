package db

// Errors of both drivers, mapped to the few that callers distinguish.

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

var (
	// ErrNotFound says that no such row exists.
	ErrNotFound = errors.New("no such row")
	// ErrDuplicate says that a unique constraint refused a row.
	ErrDuplicate = errors.New("duplicate row")
	// ErrConflict says that another transaction was in the way, again and again.
	ErrConflict = errors.New("transactions met")
	// ErrUnavailable says that the database cannot be reached or cannot work.
	ErrUnavailable = errors.New("database unavailable")
	// ErrUncertain says, with ErrUnavailable, that it could not be reached when a transaction was to be
	// committed, which it may have been.
	ErrUncertain = errors.New("perhaps committed")
)

func mapError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, sql.ErrNoRows):
		return ErrNotFound
	case errors.Is(err, ErrNotFound), errors.Is(err, ErrDuplicate), errors.Is(err, ErrConflict), errors.Is(err, ErrUnavailable):
		return err
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	case isDuplicate(err):
		return fmt.Errorf("%w: %w", ErrDuplicate, err)
	case isConflict(err):
		return fmt.Errorf("%w: %w", ErrConflict, err)
	case isUnavailable(err):
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return err
}

func isDuplicate(err error) bool {
	return postgresCode(err) == "23505" || // unique_violation
		isSQLite(err, sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY)
}

func isConflict(err error) bool {
	code := postgresCode(err)
	return code == "40001" || code == "40P01" || // serialization_failure, deadlock_detected
		isSQLite(err, sqlite3.SQLITE_BUSY_SNAPSHOT)
}

// isBusy says that others had SQLite's file for the whole busy timeout, whatever they changed in it.
func isBusy(err error) bool {
	return isSQLite(err, sqlite3.SQLITE_BUSY) && !isConflict(err)
}

func isUnavailable(err error) bool {
	_, connecting := errors.AsType[*pgconn.ConnectError](err)
	_, network := errors.AsType[net.Error](err)
	if connecting || network || isBusy(err) ||
		errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		pgconn.SafeToRetry(err) || // of a connection that was found closed
		strings.HasSuffix(err.Error(), "sql: database is closed") { // which database/sql does not export
		return true
	}
	// Classes 08 (connection), 53 (resources) and 57 (operator intervention); admin_shutdown is 57P01.
	code := postgresCode(err)
	return strings.HasPrefix(code, "08") || strings.HasPrefix(code, "53") || strings.HasPrefix(code, "57") ||
		code == "25006" || // read_only_sql_transaction, as on a standby
		isSQLite(err, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY)
}

func postgresCode(err error) string {
	if failure, is := errors.AsType[*pgconn.PgError](err); is {
		return failure.Code
	}
	return ""
}

func isSQLite(err error, codes ...int) bool {
	failure, is := errors.AsType[*sqlite.Error](err)
	if !is {
		return false
	}
	for _, code := range codes {
		// The low byte of an extended code is its class.
		if failure.Code() == code || (code <= 0xff && failure.Code()&0xff == code) {
			return true
		}
	}
	return false
}
