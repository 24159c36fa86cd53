package mail

import (
	"strings"
	"testing"
	"time"
)

const testLink = "https://studio.example.com/invitations?token=a1&via=mail"

// mails makes each mail there is, with the same name wherever a mail has one.
func mails(name string) map[string]Message {
	berlin := time.FixedZone("", 2*60*60)
	p := InvitationParams{
		OrganizationName: name, InvitedBy: name, Link: testLink,
		ExpiresAt: time.Date(2026, 3, 1, 1, 30, 0, 0, berlin),
	}
	return map[string]Message{
		"Invitation":    Invitation("jo@example.com", p),
		"Welcome":       Welcome("jo@example.com", p),
		"Verification":  Verification("jo@example.com", name, testLink, p.ExpiresAt),
		"PasswordReset": PasswordReset("jo@example.com", name, testLink, p.ExpiresAt),
		"PaymentFailed": PaymentFailed("jo@example.com", PaymentFailedParams{OrganizationName: name, Amount: "$19.99", Link: testLink}),
	}
}

func TestTemplates(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]struct{ subject, action string }{
		"Invitation":    {"Ann invited you to Ann", "Accept the invitation"},
		"Welcome":       {"Welcome to Studio: Ann invited you to Ann", "Create an account"},
		"Verification":  {"Confirm your email address", "Confirm the address"},
		"PasswordReset": {"Choose a new password", "Choose a new password"},
		"PaymentFailed": {"A payment of Ann failed", "Open Studio"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := mails("Ann")[name]
			if m.To != "jo@example.com" || m.Subject != want.subject {
				t.Errorf("got a mail to %q about %q, want %q", m.To, m.Subject, want.subject)
			}
			escaped := strings.ReplaceAll(testLink, "&", "&amp;")
			contains(t, m.Text, "Ann", testLink+"\n", "You get this mail because", "ignore it")
			contains(t, m.HTML, "Ann", want.action+"</a>", `href="`+escaped+`"`, ">"+escaped+"</a>",
				"You get this mail because", "ignore it", "prefers-color-scheme: dark")
			if !strings.HasPrefix(m.Text, "Hello Ann,\n") && !strings.HasPrefix(m.Text, "Hello,\n") {
				t.Errorf("the text begins with %.20q", m.Text)
			}
		})
	}
}

func TestTemplatesExpiry(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"Invitation", "Welcome", "Verification", "PasswordReset"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := mails("Ann")[name]
			contains(t, m.Text, "28 February 2026, 23:30 UTC")
			contains(t, m.HTML, "28 February 2026, 23:30 UTC")
		})
	}
}

func TestTemplatesAmount(t *testing.T) {
	t.Parallel()
	m := mails("Ann")["PaymentFailed"]
	contains(t, m.Text, "charged $19.99.")
	contains(t, m.HTML, "<strong>$19.99</strong>")
}

func TestTemplatesNoName(t *testing.T) {
	t.Parallel()
	contains(t, Verification("jo@example.com", "", testLink, time.Time{}).Text, "Hello,\n")
	contains(t, PasswordReset("jo@example.com", "\r\n", testLink, time.Time{}).HTML, "Hello,<")
}

func TestTemplatesNames(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]struct{ given, text, html string }{
		"Script":    {"<script>alert(1)</script>", "<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"},
		"Quote":     {`"><img src=x>`, `"><img src=x>`, "&#34;&gt;&lt;img src=x&gt;"},
		"Action":    {"{{.Link}}", "{{.Link}}", "{{.Link}}"},
		"LineBreak": {"Ann\r\nBcc: eve@example.com", "Ann Bcc: eve@example.com", "Ann Bcc: eve@example.com"},
		"Separator": {"Ann\u2028\u2029\u0085Eve", "Ann Eve", "Ann Eve"},
		"Control":   {"\x00Ann\x1b[31m\x7f", "Ann [31m", "Ann [31m"},
		"Direction": {"Ann \u202egnp.exe\u2066", "Ann gnp.exe", "Ann gnp.exe"},
		"Arabic":    {"شركة النور", "شركة النور", "شركة النور"},
		"Japanese":  {"株式会社スタジオ", "株式会社スタジオ", "株式会社スタジオ"},
		"Emoji":     {"👩‍🚀 Space", "👩‍🚀 Space", "👩‍🚀 Space"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for mail, m := range mails(want.given) {
				contains(t, m.Text, want.text)
				contains(t, m.HTML, want.html)
				if want.given != want.text && strings.Contains(m.Subject+m.Text+m.HTML, want.given) {
					t.Errorf("%s: the name is still as it was given", mail)
				}
				if strings.Contains(m.HTML, "<script") || strings.Contains(m.HTML, "<img") {
					t.Errorf("%s: the name became part of the markup", mail)
				}
				if strings.ContainsAny(m.Subject, "\r\n") {
					t.Errorf("%s: the subject has several lines: %q", mail, m.Subject)
				}
			}
			contains(t, mails(want.given)["Invitation"].Subject, want.text+" invited you to "+want.text)
		})
	}
}

func contains(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("missing %q in:\n%s", part, text)
		}
	}
}
