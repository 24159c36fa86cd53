package db_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"studio/db"
	"studio/db/dbtest"
)

func TestErrors(t *testing.T) {
	t.Parallel()
	t.Run("NotFound", func(t *testing.T) {
		on(t, func(s *store) {
			ctx, id := s.Context(), db.NewID(db.OrganizationPrefix)
			_, err := s.LockOrganization(ctx, id)
			wantError(s.T, "LockOrganization", err, db.ErrNotFound)
			_, err = s.UserByEmail(ctx, "nobody@example.com")
			wantError(s.T, "UserByEmail", err, db.ErrNotFound)
			wantError(s.T, "UpdateOrganizationName", rename(ctx, s.DB, id, "new"), db.ErrNotFound)
			wantError(s.T, "DeleteMembership", s.DeleteMembership(ctx, id), db.ErrNotFound)
			wantError(s.T, "InsertEvent", log(ctx, s.DB, id), db.ErrNotFound)
			wantError(s.T, "TakeLinkToken", s.TakeLinkToken(ctx, "unknown"), db.ErrNotFound)
		})
	})
	t.Run("Duplicate", func(t *testing.T) {
		on(t, func(s *store) {
			ctx, ada := s.Context(), s.user("ada")
			again := *ada
			wantError(s.T, "the same ID", s.InsertUser(ctx, &again), db.ErrDuplicate)
			again.ID = db.NewID(db.UserPrefix)
			wantError(s.T, "the same address", s.InsertUser(ctx, &again), db.ErrDuplicate)
		})
	})
	// A subdomain that is taken is expected, and must not end the transaction that tries another.
	t.Run("SubdomainTaken", func(t *testing.T) {
		on(t, func(s *store) {
			first := s.organization("old")
			s.ok(s.InTx(s.Context(), func(tx *db.DB) error {
				again := *first
				again.ID = db.NewID(db.OrganizationPrefix)
				if free, err := tx.InsertOrganization(s.Context(), &again); free || err != nil {
					s.Errorf("the subdomain is free: %t, the error is %v", free, err)
				}
				return rename(s.Context(), tx, first.ID, "new")
			}))
			if got := s.nameOf(first.ID); got != "new" {
				s.Errorf("the name is %s", got)
			}
		})
	})
	t.Run("Cancelled", func(t *testing.T) {
		on(t, func(s *store) {
			ctx, cancel := context.WithCancel(s.Context())
			cancel()
			_, err := s.UserByEmail(ctx, "ada@example.com")
			wantError(s.T, "UserByEmail", err, db.ErrUnavailable)
			wantError(s.T, "InTx", s.InTx(ctx, func(*db.DB) error { return nil }), db.ErrUnavailable)
		})
	})
	t.Run("Closed", func(t *testing.T) {
		on(t, func(s *store) {
			s.ok(s.Close())
			s.wantUnavailable()
		})
	})
	t.Run("Unreachable/sqlite", func(t *testing.T) {
		t.Parallel()
		folder := filepath.Join(t.TempDir(), "folder")
		if err := os.Mkdir(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		s := open(t, "sqlite:"+filepath.Join(folder, "studio.db"))
		s.ok(os.RemoveAll(folder))
		s.wantUnavailable()
	})
	t.Run("Unreachable/postgres", func(t *testing.T) {
		t.Parallel()
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		free := listener.Addr().String()
		if err := listener.Close(); err != nil {
			t.Fatal(err)
		}
		open(t, "postgres://"+free+"/studio?sslmode=disable").wantUnavailable()
	})
	for name, lose := range map[string]func(s *store, proxy *proxy){
		"Terminated/postgres": func(s *store, _ *proxy) {
			s.ok(s.exec("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = current_database() AND state = 'idle in transaction'"))
		},
		"ConnectionLost/postgres": func(_ *store, proxy *proxy) { proxy.cut() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testLost(t, lose)
		})
	}
	t.Run("Busy/sqlite", func(t *testing.T) {
		t.Parallel()
		address := dbtest.SQLite(t)
		s, other := open(t, address), open(t, address)
		organization := s.organization("old")
		// The one connection keeps the setting; the usual five seconds would only be waited for.
		other.Pool().SetMaxOpenConns(1)
		s.ok(other.exec("PRAGMA busy_timeout = 1"))
		var busy error
		s.ok(s.InTx(t.Context(), func(_ *db.DB) error {
			wantError(t, "an update", rename(t.Context(), other.DB, organization.ID, "new"), db.ErrUnavailable)
			wantError(t, "InTx", other.InTx(t.Context(), func(*db.DB) error { return nil }), db.ErrUnavailable)
			busy = other.exec("DELETE FROM organizations")
			return nil
		}))
		attempts := 0
		wantError(t, "InTx", s.InTx(t.Context(), func(*db.DB) error { attempts++; return busy }), db.ErrUnavailable)
		if attempts != 4 {
			t.Errorf("tried %d times", attempts)
		}
		s.ok(rename(t.Context(), other.DB, organization.ID, "new"))
	})
	t.Run("Overtaken/sqlite", func(t *testing.T) {
		t.Parallel()
		s := open(t, dbtest.SQLite(t))
		organization := s.organization("old")
		conn, err := s.Pool().Conn(t.Context())
		s.ok(err)
		defer func() { _ = conn.Close() }()
		run := func(statement string) error { _, err := conn.ExecContext(t.Context(), statement); return err }
		s.ok(run("BEGIN DEFERRED; SELECT count(*) FROM organizations"))
		s.ok(rename(t.Context(), s.DB, organization.ID, "new"))
		overtaken := run("UPDATE organizations SET name = 'newest'")
		s.ok(run("ROLLBACK"))
		attempts := 0
		wantError(t, "InTx", s.InTx(t.Context(), func(*db.DB) error { attempts++; return overtaken }), db.ErrConflict)
		if attempts != 4 {
			t.Errorf("tried %d times", attempts)
		}
	})
	t.Run("ReadOnly/sqlite", func(t *testing.T) {
		t.Parallel()
		s := open(t, dbtest.SQLite(t))
		s.Pool().SetMaxOpenConns(1) // which keeps the setting
		organization := s.organization("old")
		s.ok(s.exec("PRAGMA query_only = 1"))
		wantError(t, "an update", rename(t.Context(), s.DB, organization.ID, "new"), db.ErrUnavailable)
	})
	t.Run("Full/sqlite", func(t *testing.T) {
		t.Parallel()
		s := open(t, dbtest.SQLite(t))
		s.Pool().SetMaxOpenConns(1) // which keeps the limit
		organization := s.organization("old")
		s.ok(s.exec("PRAGMA max_page_count = 1")) // no more than there are
		var err error
		for err == nil {
			err = log(t.Context(), s.DB, organization.ID)
		}
		wantError(t, "an insert", err, db.ErrUnavailable)
		wantError(t, "InTx", s.InTx(t.Context(), func(tx *db.DB) error {
			for {
				if err := log(t.Context(), tx, organization.ID); err != nil {
					return err
				}
			}
		}), db.ErrUnavailable)
		s.ok(s.exec("PRAGMA max_page_count = 1000000"))
		s.ok(log(t.Context(), s.DB, organization.ID))
		if got := fmt.Sprint(dbtest.Query(t, s.DB, "PRAGMA integrity_check")); got != "[[ok]]" {
			t.Errorf("the file is damaged: %s", got)
		}
	})
}

// wantUnavailable checks what a caller is told of a database that does not answer.
func (s *store) wantUnavailable() {
	s.Helper()
	_, err := s.UserByEmail(s.Context(), "ada@example.com")
	wantError(s.T, "a select", err, db.ErrUnavailable)
	wantError(s.T, "an update", s.DeleteJob(s.Context(), &db.Job{ID: "job"}), db.ErrUnavailable)
	wantError(s.T, "InTx", s.InTx(s.Context(), func(*db.DB) error { return nil }), db.ErrUnavailable)
	wantError(s.T, "Ready", s.Ready(s.Context()), db.ErrUnavailable)
	wantError(s.T, "Migrate", s.Migrate(s.Context()), db.ErrUnavailable)
}

// testLost loses the connection of a transaction.
func testLost(t *testing.T, lose func(*store, *proxy)) {
	proxy := newProxy(t, dbtest.Postgres(t))
	s := open(t, proxy.address)
	organization := s.organization("old")
	after := 0
	err := s.InTx(t.Context(), func(tx *db.DB) error {
		tx.AfterCommit(func() { after++ })
		s.ok(rename(t.Context(), tx, organization.ID, "new"))
		lose(s, proxy)
		return rename(t.Context(), tx, organization.ID, "new")
	})
	wantError(t, "InTx", err, db.ErrUnavailable)
	if errors.Is(err, db.ErrUncertain) {
		t.Errorf("what was never to be committed may have been: %v", err)
	}
	s.wantOutcome(organization.ID, false, after)
	err = s.InTx(t.Context(), func(tx *db.DB) error {
		s.ok(rename(t.Context(), tx, organization.ID, "new"))
		lose(s, proxy)
		return nil
	})
	wantError(t, "InTx", err, db.ErrUnavailable)
	wantError(t, "InTx", err, db.ErrUncertain)
}

// proxy stands between a database and its server.
type proxy struct {
	address string

	mu          sync.Mutex
	connections []net.Conn
}

func newProxy(t *testing.T, address string) *proxy {
	t.Helper()
	server, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	behind := server.Host
	server.Host = listener.Addr().String()
	p := &proxy{address: server.String()}
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			backend, err := net.Dial("tcp", behind)
			if err != nil {
				_ = client.Close()
				continue
			}
			p.mu.Lock()
			p.connections = append(p.connections, client, backend)
			p.mu.Unlock()
			go func() { _, _ = io.Copy(backend, client); _ = backend.Close() }()
			go func() { _, _ = io.Copy(client, backend); _ = client.Close() }()
		}
	}()
	return p
}

// cut ends all connections without a word.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, connection := range p.connections {
		_ = connection.Close()
	}
}
