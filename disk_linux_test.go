package main

// A disk that is full: on Linux, the size that a running program's files may have can be changed.

import (
	"net/http"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"studio/db/dbtest"
)

// TestDiskFull lets the files of a SQLite database grow no further for a while.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	database := dbtest.SQLite(t)
	letters, settings := receive(t)
	s := serve(t, database, append(settings, "STUDIO_RATE_LIMIT=0")...)
	c := newCrowd(s, letters)
	limit := func(size uint64) {
		t.Helper()
		var usual unix.Rlimit
		if err := unix.Prlimit(s.cmd.Process.Pid, unix.RLIMIT_FSIZE, nil, &usual); err != nil {
			t.Fatal(err)
		}
		if err := unix.Prlimit(s.cmd.Process.Pid, unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: size, Max: usual.Max}, nil); err != nil {
			t.Fatal(err)
		}
	}
	fills := times(2, 20)
	for range fills {
		before := c.count()
		s.eventually("the clients to go on", func() bool { return c.count() >= before+20 })
		file, err := os.Stat(strings.TrimPrefix(database, "sqlite:"))
		if err != nil {
			t.Fatal(err)
		}
		refused := c.refused(unavailable)
		limit(uint64(file.Size()) + 1<<16)
		s.eventually("the clients to be refused", func() bool { return c.refused(unavailable) >= refused+50 })
		if status, _, _ := s.get("/livez"); status != http.StatusOK {
			t.Errorf("/livez is %d", status)
		}
		limit(unix.RLIM_INFINITY)
	}
	before := c.count()
	s.eventually("the clients to go on", func() bool { return c.count() >= before+20 })
	c.leave()
	c.check(dbtest.Open(t, database))
	wantIntegrity(t, database)
	if got := c.refused(lost); got > 0 {
		t.Errorf("%d requests were not answered", got)
	}
}
