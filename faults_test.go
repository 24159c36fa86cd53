package main

// The program is killed, its database is stopped, or the connection is cut over which it hears of
// events, while a crowd uses it. Being killed between the database and Stripe is in stripe_test.go, a
// full disk in disk_linux_test.go.

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tidwall/gjson"

	"studio/db/dbtest"
)

// TestKillInUse kills the server again and again while it is used.
func TestKillInUse(t *testing.T) {
	t.Parallel()
	for engine, create := range map[string]func(*testing.T) string{"sqlite": dbtest.SQLite, "postgres": dbtest.Postgres} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			database := create(t)
			letters, settings := receive(t)
			settings = append(settings, "STUDIO_DATABASE_URL="+database, "STUDIO_RATE_LIMIT=0")
			address := freeAddress(t)
			s := launchAt(t, address, settings...)
			s.ready()
			c := newCrowd(s, letters)
			kills := times(4, 60)
			for range kills {
				before := c.count()
				s.eventually("the clients to go on", func() bool { return c.count() >= before+20 })
				time.Sleep(rand.N(50 * time.Millisecond))
				_ = s.cmd.Process.Kill()
				<-s.ended
				s = launchAt(t, address, settings...)
				s.ready()
			}
			c.leave()
			c.check(dbtest.Open(t, database))
			if engine == "sqlite" {
				wantIntegrity(t, database)
			}
			t.Logf("killed %d times", kills)
		})
	}
}

func wantIntegrity(t *testing.T, database string) {
	t.Helper()
	if got := fmt.Sprint(dbtest.Query(t, dbtest.Open(t, database), "PRAGMA integrity_check")); got != "[[ok]]" {
		t.Errorf("the file is damaged: %s", got)
	}
}

// postgres is a database on a server of its own, which is stopped and started.
type postgres struct {
	*testing.T
	url, data, program string
	arguments          []string
	output             output
}

// ownPostgres starts a server with the script that also starts the one of all tests.
func ownPostgres(t *testing.T) *postgres {
	t.Helper()
	cmd := exec.Command("db/dbtest/with-postgres", "sh", "-c", `echo "$STUDIO_TEST_POSTGRES_URL"; exec sleep 1200`)
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "STUDIO_TEST_POSTGRES_URL=") })
	script := start(t, "", cmd, syscall.SIGTERM)
	script.eventually("the server to start", func() bool { return strings.HasSuffix(script.output.String(), "\n") })
	p := &postgres{T: t, url: strings.TrimSpace(script.output.String())}
	server := dbtest.Open(t, p.url)
	p.data = fmt.Sprint(dbtest.Query(t, server, "SHOW data_directory")[0][0])
	// The script's server may forget what it has committed, as if there were no tomorrow.
	for _, statement := range []string{"CREATE DATABASE studio", "ALTER DATABASE studio SET synchronous_commit = on"} {
		if _, err := server.Pool().ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	p.url = strings.Replace(p.url, "/postgres?", "/studio?", 1)
	options, err := os.ReadFile(filepath.Join(p.data, "postmaster.opts")) // its command line
	if err != nil {
		t.Fatal(err)
	}
	p.program, _, _ = strings.Cut(string(options), " ")
	for _, argument := range regexp.MustCompile(`"([^"]*)"`).FindAllStringSubmatch(string(options), -1) {
		p.arguments = append(p.arguments, argument[1])
	}
	return p
}

// stop tells the server to stop: with SIGINT it ends well, with SIGQUIT as in a crash.
func (p *postgres) stop(s *server, signal syscall.Signal) {
	p.Helper()
	file := filepath.Join(p.data, "postmaster.pid")
	text, err := os.ReadFile(file)
	if err != nil {
		p.Fatal(err)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(line)
	if err != nil {
		p.Fatal(err)
	}
	if err := syscall.Kill(pid, signal); err != nil {
		p.Fatal(err)
	}
	s.eventually("PostgreSQL to stop", func() bool { _, err := os.Stat(file); return os.IsNotExist(err) })
}

// start starts the server again, as the user who owns its files.
func (p *postgres) start() {
	p.Helper()
	folder, err := os.Stat(p.data)
	if err != nil {
		p.Fatal(err)
	}
	cmd := exec.Command(p.program, p.arguments...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = p.data, &p.output, &p.output
	if owner := folder.Sys().(*syscall.Stat_t); int(owner.Uid) != os.Getuid() {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: owner.Uid, Gid: owner.Gid}}
	}
	start(p.T, "", cmd, syscall.SIGQUIT)
}

// TestPostgresDown stops PostgreSQL again and again while a server uses it, which is never restarted.
func TestPostgresDown(t *testing.T) {
	t.Parallel()
	p := ownPostgres(t)
	letters, settings := receive(t)
	s := serve(t, p.url, append(settings, "STUDIO_RATE_LIMIT=0")...)
	c := newCrowd(s, letters)
	u := c.following(s)
	for i := range times(2, 30) {
		before := c.count()
		s.eventually("the clients to go on", func() bool { return c.count() >= before+20 })
		p.stop(s, []syscall.Signal{syscall.SIGINT, syscall.SIGQUIT}[i%2])
		s.eventually("the server not to be ready", func() bool { status, _, _ := s.get("/readyz"); return status == http.StatusServiceUnavailable })
		refused := c.refused(unavailable)
		_, opened := u.seen()
		s.eventually("the clients to be refused", func() bool { return c.refused(unavailable) >= refused+20 })
		s.eventually("the stream to be ended", func() bool { _, connections := u.seen(); return connections > opened })
		if status, _, _ := s.get("/livez"); status != http.StatusOK {
			t.Errorf("/livez is %d", status)
		}
		p.start()
		s.ready()
	}
	c.leave()
	database := dbtest.Open(t, p.url)
	c.check(database)
	u.check(database)
	if got := c.refused(lost); got > 0 {
		t.Errorf("%d requests were not answered", got)
	}
}

// TestPostgresReadOnly has a server on a PostgreSQL that takes no changes, as when a failover left it a standby.
func TestPostgresReadOnly(t *testing.T) {
	t.Parallel()
	address := dbtest.Postgres(t)
	owner, organizationID := serve(t, address).signUp("owner")
	s := launch(t, address+"&default_transaction_read_only=on")
	s.eventually("the server to listen", func() bool {
		response, err := http.Get(s.url + "/livez")
		if err != nil {
			return false
		}
		_ = response.Body.Close()
		return response.StatusCode == http.StatusOK
	})
	if status, _, body := s.get("/readyz"); status != http.StatusServiceUnavailable {
		t.Errorf("/readyz is %d: %s", status, body)
	}
	response := s.send(owner, "application/json", inviteUser, map[string]any{"org": organizationID, "email": "guest@example.com"})
	defer func() { _ = response.Body.Close() }()
	if answer, err := io.ReadAll(response.Body); err != nil || gjson.GetBytes(answer, "errors.0.extensions.code").String() != "UNAVAILABLE" {
		t.Errorf("a mutation is answered with %s, %v", answer, err)
	}
}

// TestNotificationsCut ends the connection over which a server is told of events, while they come.
func TestNotificationsCut(t *testing.T) {
	t.Parallel()
	address := dbtest.Postgres(t)
	letters, settings := receive(t)
	s := serve(t, address, append(settings, "STUDIO_RATE_LIMIT=0")...)
	c := newCrowd(s, letters)
	u := c.following(s)
	database := dbtest.Open(t, address)
	cuts := times(5, 100)
	for range cuts {
		s.eventually("the connection to be there, and to be cut", func() bool {
			return len(dbtest.Query(t, database, `SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
				WHERE datname = current_database() AND query LIKE 'LISTEN %'`)) == 1
		})
		before := c.count()
		s.eventually("the clients to go on", func() bool { return c.count() >= before+20 })
	}
	c.leave()
	c.check(database)
	u.check(database)
	if _, connections := u.seen(); connections != 1 {
		t.Errorf("the stream was cut off %d times", connections-1)
	}
	t.Logf("cut %d times", cuts)
}
