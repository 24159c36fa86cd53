package main

// Backups are made while a server is writing, and restored into another database: what was committed
// before is there, what was committed meanwhile is there as a whole or not at all, and it is served.

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"studio/db/dbtest"
)

// contradictions are what no moment of a database may hold.
var contradictions = map[string]string{
	"organizations without an owner": `SELECT count(*) FROM organizations AS o WHERE deleted_at IS NULL AND NOT EXISTS (
		SELECT 1 FROM memberships AS m WHERE m.organization_id = o.id AND m.is_owner)`,
	"logs with a gap": `SELECT count(*) FROM organizations AS o WHERE event_seq <> (
		SELECT count(*) FROM events AS e WHERE e.organization_id = o.id)`,
	"invitations without an event": `SELECT count(*) FROM memberships AS m WHERE status = 'INVITED' AND NOT EXISTS (
		SELECT 1 FROM events AS e WHERE e.type = 'USER_INVITED' AND e.subject_id = m.id)`,
}

func TestBackup(t *testing.T) {
	t.Parallel()
	for engine, test := range map[string]struct {
		create, save, restore func(t *testing.T, from string) string
	}{
		"sqlite": {
			create: func(t *testing.T, _ string) string { return newFile(t) },
			save: func(t *testing.T, from string) string {
				to := filepath.Join(t.TempDir(), "backup.db")
				settings := []string{"STUDIO_DATABASE_URL=" + from}
				mustRun(t, settings, "backup", to)
				if info, err := os.Stat(to); err != nil || info.Mode().Perm() != 0o600 {
					t.Errorf("the backup is %v, %v", info, err)
				}
				if _, stderr, code := run(t, settings, "backup", to); code == 0 || !strings.Contains(stderr, "exists") {
					t.Errorf("over another backup, it ended with %d and %s", code, stderr)
				}
				return to
			},
			restore: func(_ *testing.T, from string) string { return "sqlite:" + from },
		},
		"postgres": {
			create: func(t *testing.T, _ string) string { return dbtest.Postgres(t) },
			save: func(t *testing.T, from string) string {
				to := filepath.Join(t.TempDir(), "backup.dump")
				if _, stderr, code := run(t, []string{"STUDIO_DATABASE_URL=" + from}, "backup", to); code == 0 || !strings.Contains(stderr, "pg_dump") {
					t.Errorf("of PostgreSQL, it ended with %d and %s", code, stderr)
				}
				mustExec(t, "pg_dump", "--format=custom", "--file="+to, from)
				return to
			},
			restore: func(t *testing.T, from string) string {
				to := emptyDatabases["postgres"](t)
				mustExec(t, "pg_restore", "--no-owner", "--exit-on-error", "--single-transaction", "--dbname="+to, from)
				return to
			},
		},
	} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			address := test.create(t, "")
			s := serve(t, address)
			token, organizationID := s.signUp("owner")
			u := &use{cluster: &cluster{server: s}, token: token, organizationID: organizationID, stop: make(chan struct{})}
			for worker := range 3 {
				u.invite(fmt.Sprintf("guest-%d", worker))
			}
			s.eventually("some to be invited", func() bool { return u.count() >= 30 })
			u.mu.Lock()
			before := len(u.invited)
			u.mu.Unlock()
			saved := test.save(t, address)
			at := u.count()
			s.eventually("more to be invited", func() bool { return u.count() >= at+30 })
			close(u.stop)
			u.clients.Wait()
			if len(u.failures) > 0 {
				t.Errorf("during the backup %d requests failed: %s", len(u.failures), u.failures[0])
			}
			s.terminate()

			restored := test.restore(t, saved)
			database := dbtest.Open(t, restored)
			for what, query := range contradictions {
				var count int
				if err := database.Pool().QueryRowContext(t.Context(), query).Scan(&count); err != nil || count > 0 {
					t.Errorf("there are %d %s, %v", count, what, err)
				}
			}
			again := serve(t, restored)
			users := again.do(token, `query($org: ID!) { organization(id: $org) { users { totalCount } } }`, map[string]any{"org": organizationID}).
				Get("organization.users.totalCount").Int()
			if users <= int64(before) || users > int64(len(u.invited)) {
				t.Errorf("the backup has %d users; %d were there before it, and %d in the end", users, before+1, len(u.invited)+1)
			}
			again.do(token, inviteUser, map[string]any{"org": organizationID, "email": "later@example.com"})
		})
	}
}

// TestDatabasePrivate lets nobody else read the files of a SQLite database that a server makes.
func TestDatabasePrivate(t *testing.T) {
	t.Parallel()
	address := newFile(t)
	serve(t, address).signUp("owner")
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if info, err := os.Stat(strings.TrimPrefix(address, "sqlite:") + suffix); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("studio.db%s is %v, %v", suffix, info, err)
		}
	}
}

// TestMissingDatabase leaves a database that is not there unmade, so that a wrong path is not taken for an
// empty database.
func TestMissingDatabase(t *testing.T) {
	t.Parallel()
	for _, arguments := range []string{"backup backup.db", "migrate status", "migrate down"} {
		t.Run(strings.ReplaceAll(arguments, " ", "_"), func(t *testing.T) {
			t.Parallel()
			address := newFile(t)
			path := strings.TrimPrefix(address, "sqlite:")
			stdout, stderr, code := run(t, []string{"STUDIO_DATABASE_URL=" + address}, strings.Fields(arguments)...)
			if code == 0 || stdout != "" || !strings.Contains(stderr, "STUDIO_DATABASE_URL: there is no database at "+path) {
				t.Errorf("ended with %d and wrote %s%s", code, stdout, stderr)
			}
			if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("the database has been made: %v", err)
			}
		})
	}
}

// TestUnreachableDatabase names the setting, whatever the command.
func TestUnreachableDatabase(t *testing.T) {
	t.Parallel()
	settings := []string{"STUDIO_DATABASE_URL=postgres://studio@" + freeAddress(t) + "/studio"}
	for _, arguments := range []string{"migrate", "migrate status", "migrate down", "seed"} {
		t.Run(strings.ReplaceAll(arguments, " ", "_"), func(t *testing.T) {
			t.Parallel()
			if _, stderr, code := run(t, settings, strings.Fields(arguments)...); code == 0 || !strings.Contains(stderr, "STUDIO_DATABASE_URL: ") {
				t.Errorf("ended with %d and wrote %s", code, stderr)
			}
		})
	}
}

// mustExec runs another program.
func mustExec(t *testing.T, program string, arguments ...string) {
	t.Helper()
	if output, err := exec.CommandContext(t.Context(), program, arguments...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", program, err, output)
	}
}
