package mail

// The mailbox: keeps messages in memory and shows them, for development without an SMTP server.

import (
	"context"
	"encoding/json"
	htmltemplate "html/template"
	"net/http"
	"regexp"
	"slices"
	"sync"
	"time"
)

const mailboxSize = 1000

// Mailbox is a Sender that keeps the latest messages in memory. It is never stored: mails carry
// the secrets that let a person in.
type Mailbox struct {
	now func() time.Time

	mu    sync.Mutex
	mails []delivered
}

type delivered struct {
	Message
	SentAt time.Time `json:"sentAt"`
}

// NewMailbox makes an empty mailbox; now is the clock.
func NewMailbox(now func() time.Time) *Mailbox {
	return &Mailbox{now: now}
}

// Send puts the message into the mailbox.
func (b *Mailbox) Send(_ context.Context, m Message) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.mails) == mailboxSize {
		b.mails = slices.Delete(b.mails, 0, 1)
	}
	b.mails = append(b.mails, delivered{m, b.now().UTC()})
	return nil
}

// newest returns the messages, newest first, and never nil: JSON would make null of it.
func (b *Mailbox) newest() []delivered {
	b.mu.Lock()
	defer b.mu.Unlock()
	mails := append([]delivered{}, b.mails...)
	slices.Reverse(mails)
	return mails
}

var mailboxPage = htmltemplate.Must(htmltemplate.New("mailbox.html").
	Funcs(htmltemplate.FuncMap{"date": date, "passages": passages}).
	ParseFS(templates, "templates/mailbox.html"))

// Page shows the mailbox to a person. All mail is in it, so it is for this machine only.
func (b *Mailbox) Page() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; "+
			"base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		_ = mailboxPage.Execute(w, b.newest()) // only the connection can fail, and then nobody is there to be told
	})
}

// JSON shows the mailbox to a program, as Page does to a person.
func (b *Mailbox) JSON() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(b.newest())
	})
}

// passage is a piece of plain text and the link that follows it.
type passage struct{ Text, Link string }

var link = regexp.MustCompile(`https?://\S+`)

// passages splits plain text at its links, so that the page can make them clickable.
func passages(text string) []passage {
	var split []passage
	end := 0
	for _, at := range link.FindAllStringIndex(text, -1) {
		split = append(split, passage{text[end:at[0]], text[at[0]:at[1]]})
		end = at[1]
	}
	return append(split, passage{Text: text[end:]})
}
