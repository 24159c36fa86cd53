package main

// The log: a line of JSON for each thing of note, and for each request.

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/mattn/go-isatty"
	"github.com/rs/xid"
	"github.com/rs/zerolog"
	"github.com/rs/zerolog/hlog"
)

// newLog logs to a file, for people when it is a terminal. Flush writes what still waits.
func newLog(file *os.File) (log zerolog.Logger, flush func()) {
	if isatty.IsTerminal(file.Fd()) {
		return zerolog.New(zerolog.ConsoleWriter{Out: file, TimeFormat: time.TimeOnly}).With().Timestamp().Logger(), func() {}
	}
	out := &lines{file: file}
	return zerolog.New(out).With().Timestamp().Logger(), out.flush
}

// lines are written several at once: a system call for each would take a tenth of the processor time of
// the cheapest request (measured). A warning is written at once, after what waits.
type lines struct {
	file io.Writer

	mu      sync.Mutex
	waiting []byte
}

const (
	// linger is how long a line may wait for others, and most how much may wait.
	linger = 50 * time.Millisecond
	most   = 64 << 10
)

// WriteLevel takes a line from zerolog.
func (l *lines) WriteLevel(level zerolog.Level, line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.waiting) == 0 {
		time.AfterFunc(linger, l.flush)
	}
	l.waiting = append(l.waiting, line...)
	if level > zerolog.InfoLevel || len(l.waiting) > most {
		l.write()
	}
	return len(line), nil
}

// Write takes a line of no level.
func (l *lines) Write(line []byte) (int, error) { return l.WriteLevel(zerolog.NoLevel, line) }

func (l *lines) flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.write()
}

func (l *lines) write() {
	_, _ = l.file.Write(l.waiting) // there is nowhere to report that the log cannot be written
	l.waiting = l.waiting[:0]
}

// logged gives each request an ID and a line in the log. The path is left out: those of mailed
// links hold a token.
func logged(next http.Handler) http.Handler {
	next = hlog.AccessHandler(func(r *http.Request, status, size int, duration time.Duration) {
		zerolog.Ctx(r.Context()).Info().Str("method", r.Method).Str("route", r.Pattern).
			Int("status", status).Int("bytes", size).Dur("ms", duration).Msg("request")
	})(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := xid.New()
		w.Header().Set("X-Request-Id", id.String())
		log := zerolog.Ctx(r.Context()).Hook(mark{"request", id})
		next.ServeHTTP(w, r.WithContext(log.WithContext(hlog.CtxWithID(r.Context(), id))))
	})
}

// mark stands in all lines of a request. As a field of its logger, it would take half a kilobyte for as
// long as a stream is open.
type mark struct {
	name  string
	value fmt.Stringer
}

// Run adds it to a line.
func (m mark) Run(line *zerolog.Event, _ zerolog.Level, _ string) { line.Stringer(m.name, m.value) }
