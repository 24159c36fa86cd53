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

func get(handler http.Handler) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	return w
}

func read(t *testing.T, b *Mailbox) []delivered {
	t.Helper()
	w := get(b.JSON())
	var mails []delivered
	if err := json.Unmarshal(w.Body.Bytes(), &mails); err != nil {
		t.Fatalf("%v in %s", err, w.Body)
	}
	return mails
}

func TestMailboxJSON(t *testing.T) {
	t.Parallel()
	b := NewMailbox(clock)
	if w := get(b.JSON()); w.Body.String() != "[]\n" {
		t.Errorf("empty, it is %s", w.Body)
	}
	for _, id := range []string{"job_1", "job_2"} {
		m := Message{ID: id, To: "jo@example.com", Subject: "Grüße", Text: "text", HTML: "<p>html</p>"}
		if err := b.Send(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	w := get(b.JSON())
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
			get(b.Page())
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
	contains(t, get(b.Page()).Body.String(), "No mails yet.")

	for _, m := range []Message{
		{To: "first@example.com", Subject: "First", Text: "Open\nhttps://studio.example.com/a?b=c&d=e\nor http://localhost/f"},
		{To: `"<i>"@example.com`, Subject: "<script>alert(1)</script>", Text: "</pre><script>", HTML: `<p class="x">&amp;</p>`},
		{To: "last@example.com", Subject: "Last", Text: "javascript:alert(1)"},
	} {
		if err := b.Send(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	w := get(b.Page())
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
