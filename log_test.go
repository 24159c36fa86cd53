package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/tidwall/gjson"
)

func TestLog(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		log   func(log zerolog.Logger)
		flush bool
		want  string
	}{
		"WarningAtOnce": {log: func(log zerolog.Logger) { log.Info().Msg("a"); log.Warn().Msg("b") }, want: "a b"},
		"ErrorAtOnce":   {log: func(log zerolog.Logger) { log.Error().Msg("a") }, want: "a"},
		"Flushed":       {log: func(log zerolog.Logger) { log.Info().Msg("a"); log.Debug().Msg("b") }, flush: true, want: "a b"},
		"Much": {log: func(log zerolog.Logger) {
			for range 2 * most / 100 {
				log.Info().Str("text", strings.Repeat("x", 100)).Msg("a")
			}
		}, flush: true, want: strings.TrimSuffix(strings.Repeat("a ", 2*most/100), " ")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			log, flush, written := logTo(t)
			test.log(log)
			if test.flush {
				flush()
			}
			if got := strings.Join(written(), " "); got != test.want {
				t.Errorf("the log holds %q, want %q", got, test.want)
			}
		})
	}

	t.Run("SoonByItself", func(t *testing.T) {
		t.Parallel()
		log, _, written := logTo(t)
		for i := range 3 { // each time, also after what came before has been written
			log.Info().Msg("a")
			for deadline := time.Now().Add(time.Minute); len(written()) <= i; time.Sleep(linger) {
				if time.Now().After(deadline) {
					t.Fatalf("line %d is not written", i+1)
				}
			}
		}
	})

	t.Run("AtOnceByMany", func(t *testing.T) {
		t.Parallel()
		log, flush, written := logTo(t)
		var writing sync.WaitGroup
		for i := range 8 {
			writing.Go(func() {
				for j := range 500 {
					log.Info().Msg(fmt.Sprint(i, " ", j))
				}
			})
		}
		writing.Wait()
		flush()
		next := map[string]int{}
		for _, line := range written() {
			who, number, _ := strings.Cut(line, " ")
			if number != fmt.Sprint(next[who]) {
				t.Fatalf("%s wrote line %s, want %d", who, number, next[who])
			}
			next[who]++
		}
		for who, lines := range next {
			if lines != 500 {
				t.Errorf("%s wrote %d lines, want 500", who, lines)
			}
		}
		if len(next) != 8 {
			t.Errorf("%d wrote, want 8", len(next))
		}
	})
}

// logTo logs to a file; written reads the messages that are in it.
func logTo(t *testing.T) (log zerolog.Logger, flush func(), written func() []string) {
	t.Helper()
	file, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	log, flush = newLog(file)
	return log, flush, func() (messages []string) {
		text, err := os.ReadFile(file.Name())
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if !gjson.Valid(line) {
				t.Fatalf("%q is no line of the log", line)
			}
			messages = append(messages, gjson.Get(line, "message").Str)
		}
		return messages
	}
}
