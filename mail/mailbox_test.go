package mail

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

func clock() time.Time { return time.Date(2026, 3, 1, 9, 30, 0, 0, time.FixedZone("", 3600)) }

func get(handler http.Handler, method, client, host string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "/", nil)
	r.RemoteAddr, r.Host = client, host
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	return w
}

func TestMailboxBehindProxy(t *testing.T) {
	t.Parallel()
	for _, header := range []string{"Forwarded", "X-Forwarded-For", "Via"} {
		t.Run(header, func(t *testing.T) {
			t.Parallel()
			for _, handler := range []http.Handler{NewMailbox(clock).Page(), NewMailbox(clock).JSON()} {
				r := httptest.NewRequest(http.MethodGet, "/", nil)
				r.RemoteAddr, r.Host = "127.0.0.1:50000", "127.0.0.1:8080"
				r.Header.Set(header, "for=192.0.2.7")
				w := httptest.NewRecorder()
				handler.ServeHTTP(w, r)
				if w.Code != http.StatusNotFound {
					t.Errorf("got %d", w.Code)
				}
			}
		})
	}
}

func read(t *testing.T, b *Mailbox) []delivered {
	t.Helper()
	w := get(b.JSON(), "GET", "127.0.0.1:50000", "localhost:8080")
	var mails []delivered
	if err := json.Unmarshal(w.Body.Bytes(), &mails); err != nil {
		t.Fatalf("%v in %s", err, w.Body)
	}
	return mails
}

func TestMailbox(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		method, client, host string
		want                 int
	}{
		"Localhost":       {"GET", "127.0.0.1:50000", "localhost:8080", 200},
		"Head":            {"HEAD", "127.0.0.1:50000", "localhost:8080", 200},
		"WithoutPort":     {"GET", "127.0.0.1:50000", "localhost", 200},
		"IPv4":            {"GET", "127.1.2.3:50000", "127.0.0.1:8080", 200},
		"IPv6":            {"GET", "[::1]:50000", "[::1]:8080", 200},
		"IPv6WithoutPort": {"GET", "[::1]:50000", "[::1]", 200},
		"MappedIPv4":      {"GET", "[::ffff:127.0.0.1]:50000", "127.0.0.1:8080", 200},
		"ForeignClient":   {"GET", "192.0.2.7:50000", "localhost:8080", 404},
		"ForeignIPv6":     {"GET", "[2001:db8::1]:50000", "localhost:8080", 404},
		"UnknownClient":   {"GET", "", "localhost:8080", 404},
		"ForeignHost":     {"GET", "127.0.0.1:50000", "evil.example:8080", 404},
		"LookalikeHost":   {"GET", "127.0.0.1:50000", "localhost.evil.example", 404},
		"NumericHost":     {"GET", "127.0.0.1:50000", "127.0.0.1.evil.example", 404},
		"NoHost":          {"GET", "127.0.0.1:50000", "", 404},
		"Post":            {"POST", "127.0.0.1:50000", "localhost:8080", 405},
		"ForeignPost":     {"POST", "192.0.2.7:50000", "localhost:8080", 404},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := NewMailbox(clock)
			if err := b.Send(t.Context(), Message{Subject: "for your eyes only"}); err != nil {
				t.Fatal(err)
			}
			for _, handler := range []http.Handler{b.Page(), b.JSON()} {
				w := get(handler, test.method, test.client, test.host)
				if w.Code != test.want || w.Header().Get("Cache-Control") != "no-store" {
					t.Errorf("got %d with %v, want %d", w.Code, w.Header(), test.want)
				}
				if test.want != 200 && strings.Contains(w.Body.String(), "eyes") {
					t.Errorf("the mail was shown: %s", w.Body)
				}
			}
		})
	}
}

func TestMailboxJSON(t *testing.T) {
	t.Parallel()
	b := NewMailbox(clock)
	if w := get(b.JSON(), "GET", "127.0.0.1:50000", "localhost"); w.Body.String() != "[]\n" {
		t.Errorf("empty, it is %s", w.Body)
	}
	for _, id := range []string{"job_1", "job_2"} {
		m := Message{ID: id, To: "jo@example.com", Subject: "Grüße", Text: "text", HTML: "<p>html</p>"}
		if err := b.Send(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	w := get(b.JSON(), "GET", "127.0.0.1:50000", "localhost")
	want := `{"id":"job_2","to":"jo@example.com","subject":"Grüße","text":"text",` +
		`"html":"\u003cp\u003ehtml\u003c/p\u003e","sentAt":"2026-03-01T08:30:00Z"}`
	if got := w.Body.String(); !strings.HasPrefix(got, "["+want+`,{"id":"job_1",`) {
		t.Errorf("got %s", got)
	}
	if got := w.Header().Get("Content-Type"); got != "application/json" {
		t.Errorf("the content type is %s", got)
	}
}

func TestMailboxFull(t *testing.T) {
	t.Parallel()
	b := NewMailbox(clock)
	for i := range mailboxSize + 2 {
		if err := b.Send(t.Context(), Message{ID: fmt.Sprint("job_", i)}); err != nil {
			t.Fatal(err)
		}
	}
	mails := read(t, b)
	if len(mails) != mailboxSize || mails[0].ID != "job_1001" || mails[mailboxSize-1].ID != "job_2" {
		t.Errorf("got %d mails from %s to %s", len(mails), mails[0].ID, mails[len(mails)-1].ID)
	}
}

func TestMailboxConcurrent(t *testing.T) {
	t.Parallel()
	b := NewMailbox(clock)
	var senders sync.WaitGroup
	for range 8 {
		senders.Go(func() {
			_ = b.Send(t.Context(), Message{})
			get(b.Page(), "GET", "127.0.0.1:50000", "localhost")
		})
	}
	senders.Wait()
	if mails := read(t, b); len(mails) != 8 {
		t.Errorf("got %d mails, want 8", len(mails))
	}
}

func TestMailboxPage(t *testing.T) {
	t.Parallel()
	b := NewMailbox(clock)
	contains(t, get(b.Page(), "GET", "127.0.0.1:50000", "localhost").Body.String(), "No mails yet.")

	for _, m := range []Message{
		{To: "first@example.com", Subject: "First", Text: "Open\nhttps://studio.example.com/a?b=c&d=e\nor http://localhost/f"},
		{To: `"<i>"@example.com`, Subject: "<script>alert(1)</script>", Text: "</pre><script>", HTML: `<p class="x">&amp;</p>`},
		{To: "last@example.com", Subject: "Last", Text: "javascript:alert(1)"},
	} {
		if err := b.Send(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	w := get(b.Page(), "GET", "127.0.0.1:50000", "localhost")
	page := w.Body.String()
	contains(t, page,
		"<pre>Open\n"+`<a href="https://studio.example.com/a?b=c&amp;d=e">https://studio.example.com/a?b=c&amp;d=e</a>`,
		"\nor "+`<a href="http://localhost/f">http://localhost/f</a></pre>`,
		"&lt;script&gt;alert(1)&lt;/script&gt;",
		"&lt;/pre&gt;&lt;script&gt;",
		`srcdoc="&lt;p class=&#34;x&#34;&gt;&amp;amp;&lt;/p&gt;"`,
		`<time datetime="2026-03-01T08:30:00Z">1 March 2026, 08:30 UTC</time>`,
	)
	for _, never := range []string{"<script", "<i>", `href="javascript`, "ZgotmplZ"} {
		if strings.Contains(page, never) {
			t.Errorf("the page contains %s", never)
		}
	}
	if strings.Index(page, "Last") > strings.Index(page, "First") {
		t.Error("the newest mail is not the first")
	}
	policy := w.Header().Get("Content-Security-Policy")
	if !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "script-src") {
		t.Errorf("the policy is %s", policy)
	}
	if got := w.Header().Get("Content-Type"); got != "text/html; charset=utf-8" {
		t.Errorf("the content type is %s", got)
	}
}
