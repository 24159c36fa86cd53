// This file keeps messages in memory and shows them, for development without an SMTP server.

package mail

import (
	"context"
	"encoding/json"
	htmltemplate "html/template"
	"net/http"
	"net/netip"
	"net/url"
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

// Page shows the mailbox to a person on this machine.
func (b *Mailbox) Page() http.Handler {
	return local(func(w http.ResponseWriter) error {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; "+
			"base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		return mailboxPage.Execute(w, b.newest())
	})
}

// JSON shows the mailbox to a program on this machine.
func (b *Mailbox) JSON() http.Handler {
	return local(func(w http.ResponseWriter) error {
		w.Header().Set("Content-Type", "application/json")
		return json.NewEncoder(w).Encode(b.newest())
	})
}

// local keeps what show writes on this machine; to anybody else, there is nothing here.
func local(show func(http.ResponseWriter) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		switch {
		case !fromLoopback(r), !byAddress(r), forwarded(r):
			http.NotFound(w, r)
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "only GET and HEAD", http.StatusMethodNotAllowed)
		default:
			// All that can fail is the connection, and then nobody is left to be told.
			_ = show(w)
		}
	})
}

func fromLoopback(r *http.Request) bool {
	client, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && client.Addr().Unmap().IsLoopback()
}

// forwarded tells whether a proxy on this machine passes on what somebody elsewhere asks.
func forwarded(r *http.Request) bool {
	return r.Header.Get("Forwarded") != "" || r.Header.Get("X-Forwarded-For") != "" || r.Header.Get("Via") != ""
}

// byAddress tells whether the client asked for an IP address or localhost. Any other name may be one
// whose owner points it at 127.0.0.1 as soon as a page of theirs is loaded (DNS rebinding): the
// browser, taking us for the page's own server, would let the page read every mail.
func byAddress(r *http.Request) bool {
	host := (&url.URL{Host: r.Host}).Hostname()
	_, err := netip.ParseAddr(host)
	return err == nil || host == "localhost"
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
