package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"studio/mail"
)

func TestOnThisMachine(t *testing.T) {
	t.Parallel()
	mailbox := mail.NewMailbox(time.Now)
	if err := mailbox.Send(t.Context(), mail.Message{Subject: "for your eyes only"}); err != nil {
		t.Fatal(err)
	}
	served := (&studio{mailbox: mailbox}).dev()
	for name, test := range map[string]struct {
		method, client, host, header string
		want                         int
	}{
		"Localhost":       {"GET", "127.0.0.1:50000", "localhost:8080", "", 200},
		"Head":            {"HEAD", "127.0.0.1:50000", "localhost:8080", "", 200},
		"WithoutPort":     {"GET", "127.0.0.1:50000", "localhost", "", 200},
		"IPv4":            {"GET", "127.1.2.3:50000", "127.0.0.1:8080", "", 200},
		"IPv6":            {"GET", "[::1]:50000", "[::1]:8080", "", 200},
		"IPv6WithoutPort": {"GET", "[::1]:50000", "[::1]", "", 200},
		"MappedIPv4":      {"GET", "[::ffff:127.0.0.1]:50000", "127.0.0.1:8080", "", 200},
		"ForeignClient":   {"GET", "192.0.2.7:50000", "localhost:8080", "", 404},
		"ForeignIPv6":     {"GET", "[2001:db8::1]:50000", "localhost:8080", "", 404},
		"UnknownClient":   {"GET", "", "localhost:8080", "", 404},
		"ForeignHost":     {"GET", "127.0.0.1:50000", "evil.example:8080", "", 404},
		"LookalikeHost":   {"GET", "127.0.0.1:50000", "localhost.evil.example", "", 404},
		"NumericHost":     {"GET", "127.0.0.1:50000", "127.0.0.1.evil.example", "", 404},
		"NoHost":          {"GET", "127.0.0.1:50000", "", "", 404},
		"Forwarded":       {"GET", "127.0.0.1:50000", "127.0.0.1:8080", "Forwarded", 404},
		"ForwardedFor":    {"GET", "127.0.0.1:50000", "127.0.0.1:8080", "X-Forwarded-For", 404},
		"Via":             {"GET", "127.0.0.1:50000", "127.0.0.1:8080", "Via", 404},
		"Post":            {"POST", "127.0.0.1:50000", "localhost:8080", "", 405},
		"ForeignPost":     {"POST", "192.0.2.7:50000", "localhost:8080", "", 404},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, path := range []string{"/dev/mailbox", "/dev/mailbox.json"} {
				r := httptest.NewRequest(test.method, path, nil)
				r.RemoteAddr, r.Host = test.client, test.host
				if test.header != "" {
					r.Header.Set(test.header, "for=192.0.2.7")
				}
				w := httptest.NewRecorder()
				served.ServeHTTP(w, r)
				if w.Code != test.want || w.Header().Get("Cache-Control") != "no-store" {
					t.Errorf("got %d with %v, want %d", w.Code, w.Header(), test.want)
				}
				if shown := strings.Contains(w.Body.String(), "eyes"); shown != (test.want == http.StatusOK) {
					t.Errorf("the answer is %s", w.Body)
				}
			}
		})
	}
}
