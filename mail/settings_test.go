package mail

import (
	"strings"
	"testing"

	gomail "github.com/wneessen/go-mail"
)

func TestParseServer(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]struct {
		address, host, port string
		login, implicitTLS  bool
		startTLS            gomail.TLSPolicy
	}{
		"Relay":         {address: "smtp://relay", host: "relay", port: "25", startTLS: gomail.TLSOpportunistic},
		"Port":          {address: "smtp://127.0.0.1:1025/", host: "127.0.0.1", port: "1025", startTLS: gomail.TLSOpportunistic},
		"IPv6":          {address: "smtp://[::1]:1025", host: "::1", port: "1025", startTLS: gomail.TLSOpportunistic},
		"Submission":    {address: "smtp://u:p@relay", host: "relay", port: "587", login: true, startTLS: gomail.TLSMandatory},
		"ImplicitTLS":   {address: "smtps://u:p@relay", host: "relay", port: "465", login: true, implicitTLS: true},
		"NoLogin":       {address: "smtps://relay:2465", host: "relay", port: "2465", implicitTLS: true},
		"None":          {address: "smtp://relay?tls=none", host: "relay", port: "25", startTLS: gomail.NoTLS},
		"Opportunistic": {address: "smtp://relay?tls=opportunistic", host: "relay", port: "25", startTLS: gomail.TLSOpportunistic},
		"StartTLS":      {address: "smtp://relay?tls=starttls", host: "relay", port: "25", startTLS: gomail.TLSMandatory},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := ParseServer(want.address)
			if err != nil {
				t.Fatal(err)
			}
			if got.host != want.host || got.port != want.port || (got.login != nil) != want.login ||
				got.implicitTLS != want.implicitTLS || got.startTLS != want.startTLS {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
}

func TestParseServerErrors(t *testing.T) {
	t.Parallel()
	for name, bad := range map[string]struct{ address, want string }{
		"Empty":                {"", "want smtp://"},
		"Scheme":               {"https://user:secret@relay", "want smtp://"},
		"NoScheme":             {"relay:25", "want smtp://"},
		"NoHost":               {"smtp://user:secret@:25", "want smtp://"},
		"Path":                 {"smtp://user:1/secret@relay", "want smtp://"},
		"UnescapedPercent":     {"smtp://user:secret%@relay", "percent-encoded"},
		"UnescapedHash":        {"smtp://user:1#secret@relay", "percent-encoded"},
		"UnescapedQuestion":    {"smtp://user:1?secret@relay", "want no options but"},
		"PortTooHigh":          {"smtp://user:secret@relay:65536", "want a port"},
		"PortZero":             {"smtp://user:secret@relay:0", "want a port"},
		"NoPassword":           {"smtp://secret@relay", "both a user and a password"},
		"NoUser":               {"smtp://:secret@relay", "both a user and a password"},
		"UnknownOption":        {"smtp://relay?secret=1", "want no options but"},
		"UnknownPolicy":        {"smtp://relay?tls=secret", "want no options but"},
		"PolicyTwice":          {"smtp://relay?tls=none&tls=starttls", "want no options but"},
		"PolicyOfImplicitTLS":  {"smtps://relay?tls=none", "want no options after smtps://"},
		"LoginInTheClear":      {"smtp://user:secret@relay?tls=none", "only ever sent over TLS"},
		"LoginPerhapsInClear":  {"smtp://user:secret@relay?tls=opportunistic", "only ever sent over TLS"},
		"PortAndPolicyAtFault": {"smtp://relay:0?tls=secret", "want no options but"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := ParseServer(bad.address)
			if err == nil || !strings.Contains(err.Error(), bad.want) {
				t.Fatalf("got %v, want an error with %q", err, bad.want)
			}
			if strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "\n") {
				t.Errorf("the error repeats the address or has several lines: %v", err)
			}
		})
	}
}

func TestParseFrom(t *testing.T) {
	t.Parallel()
	for from, want := range map[string]string{
		"studio@example.com":           "<studio@example.com>",
		"Studio <studio@example.com>":  `"Studio" <studio@example.com>`,
		"Stüdio <studio@example.com>":  "=?utf-8?q?St=C3=BCdio?= <studio@example.com>",
		"":                             "",
		"Studio":                       "",
		"a@example.com, b@example.com": "",
		"a@example.com\r\nBcc: b@c.de": "",
	} {
		t.Run(from, func(t *testing.T) {
			t.Parallel()
			got, err := ParseFrom(from)
			switch {
			case want == "" && err == nil:
				t.Errorf("accepted as %v", got)
			case want != "" && err != nil:
				t.Error(err)
			case want != "" && got.String() != want:
				t.Errorf("got %s, want %s", got, want)
			}
		})
	}
}
