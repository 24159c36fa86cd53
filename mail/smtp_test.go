package mail

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"mime"
	"mime/multipart"
	"net"
	netmail "net/mail"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

const (
	password = "p@ss:wörd/%"
	escaped  = "p%40ss%3Aw%C3%B6rd%2F%25"
)

// backend is the post office of the tests: it delivers to mails, unless a hook objects.
type backend struct {
	mails chan received
	// The hooks stand in for a server's answer to each step; nil means yes.
	mail, rcpt, data func() error
	// hangup drops the connection once a mail is taken, without waiting for QUIT.
	hangup bool
}

type received struct {
	user, from, to, content string
	tls                     bool
}

// session is one connection to the backend.
type session struct {
	*backend
	conn *smtp.Conn
	received
}

func (b *backend) NewSession(c *smtp.Conn) (smtp.Session, error) {
	return &session{backend: b, conn: c}, nil
}

func (s *session) AuthMechanisms() []string { return []string{sasl.Plain} }

func (s *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, given string) error {
		if given != password {
			return smtp.ErrAuthFailed
		}
		s.user = user
		return nil
	}), nil
}

func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	s.from = from
	return answer(s.mail)
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.to = to
	return answer(s.rcpt)
}

func (s *session) Data(r io.Reader) error {
	content, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if err := answer(s.data); err != nil {
		return err
	}
	s.content = string(content)
	_, s.tls = s.conn.TLSConnectionState()
	s.mails <- s.received
	return nil
}

func (s *session) Reset() {
	if s.hangup && s.content != "" {
		_ = s.conn.Conn().Close()
	}
}

func (s *session) Logout() error { return nil }

func answer(hook func() error) error {
	if hook == nil {
		return nil
	}
	return hook()
}

func replying(code int) func() error {
	return func() error {
		return &smtp.SMTPError{Code: code, EnhancedCode: smtp.EnhancedCode{code / 100, 1, 1}, Message: "No"}
	}
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	return listener
}

// serve starts the backend behind the listener; a nil config is a server without TLS.
func serve(t *testing.T, listener net.Listener, b *backend, config *tls.Config) {
	t.Helper()
	b.mails = make(chan received, 1)
	server := smtp.NewServer(b)
	server.TLSConfig = config
	server.ErrorLog = quiet{}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
}

type quiet struct{}

func (quiet) Printf(string, ...any) {}
func (quiet) Println(...any)        {}

// certificate makes a certificate for 127.0.0.1 and the pool that trusts it.
func certificate(t *testing.T) (*tls.Config, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotAfter:     time.Now().Add(time.Hour),
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(parsed)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, roots
}

// connect makes a sender from a URL in which %s is the listener's address.
func connect(t *testing.T, format string, listener net.Listener) *SMTP {
	t.Helper()
	server, err := ParseServer(strings.Replace(format, "%s", listener.Addr().String(), 1))
	if err != nil {
		t.Fatal(err)
	}
	from, err := ParseFrom("Stüdio <studio@example.com>")
	if err != nil {
		t.Fatal(err)
	}
	return NewSMTP(server, from)
}

func message() Message {
	return Message{ID: "job_1", To: "jo@example.com", Subject: "Hello", Text: "text", HTML: "<p>html</p>"}
}

func TestSMTPContent(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]Message{
		"Plain":    message(),
		"NonASCII": {ID: "job_2", To: "jo@example.com", Subject: "Grüße von 株式会社 👩‍🚀", Text: "Grüße\n.\n株", HTML: "<p>👩‍🚀 = &lt;</p>"},
		"Long": {
			ID: "job_3", To: "jo@example.com", Subject: strings.Repeat("Grüße an alle ", 30) + "!",
			Text: strings.Repeat("long line ", 300), HTML: strings.Repeat("<p>", 2000),
		},
		"Injection":   {ID: "job_4", To: "jo@example.com", Subject: "Hello\r\nBcc: eve@example.com\r\n\r\nbody", Text: "text", HTML: "html"},
		"Encoded":     {ID: "job_6", To: "jo@example.com", Subject: "=?utf-8?q?Your=20bank=E2=80=AE?= invited you to =?x?=", Text: "text", HTML: "html"},
		"EncodedLong": {ID: "job_7", To: "jo@example.com", Subject: strings.Repeat("=?utf-8?b?R3LDvMOfZQ==?= an álle", 9), Text: "text", HTML: "html"},
		"Invitation": func() Message {
			m := mails("株式会社")["Invitation"]
			m.ID = "job_5"
			return m
		}(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, listener := &backend{}, listen(t)
			serve(t, listener, b, nil)
			before := time.Now().Truncate(time.Second)
			if err := connect(t, "smtp://%s", listener).Send(t.Context(), want); err != nil {
				t.Fatal(err)
			}
			got := <-b.mails
			if got.from != "studio@example.com" || got.to != want.To {
				t.Errorf("the envelope is from %s to %s", got.from, got.to)
			}
			m, err := netmail.ReadMessage(strings.NewReader(got.content))
			if err != nil {
				t.Fatal(err)
			}
			for header, want := range map[string]string{
				"From":           "Stüdio <studio@example.com>",
				"To":             "<" + want.To + ">",
				"Subject":        want.Subject,
				"Message-Id":     "<" + want.ID + "@example.com>",
				"Auto-Submitted": "auto-generated",
				"Mime-Version":   "1.0",
				"Bcc":            "",
				"X-Mailer":       "",
			} {
				got, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get(header))
				if err != nil || got != want {
					t.Errorf("%s is %q (%v), want %q", header, got, err, want)
				}
			}
			if date, err := m.Header.Date(); err != nil || date.Before(before) || date.After(time.Now()) {
				t.Errorf("Date is %v (%v)", date, err)
			}
			for line := range strings.Lines(got.content) {
				if len(line) > 1000 {
					t.Errorf("a line has %d bytes", len(line))
				}
			}
			checkParts(t, m, want)
		})
	}
}

// checkParts expects the text and then the HTML: a reader shows the last one it understands.
func checkParts(t *testing.T, m *netmail.Message, want Message) {
	t.Helper()
	media, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || media != "multipart/alternative" {
		t.Fatalf("the content is %s (%v)", media, err)
	}
	parts := multipart.NewReader(m.Body, params["boundary"])
	for _, want := range []struct{ media, content string }{
		{"text/plain; charset=UTF-8", want.Text},
		{"text/html; charset=UTF-8", want.HTML},
	} {
		part, err := parts.NextPart()
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(part)
		if err != nil {
			t.Fatal(err)
		}
		got := strings.ReplaceAll(string(content), "\r\n", "\n")
		if media := part.Header.Get("Content-Type"); media != want.media || got != want.content {
			t.Errorf("got %s %q, want %s %q", media, got, want.media, want.content)
		}
	}
	if _, err := parts.NextPart(); !errors.Is(err, io.EOF) {
		t.Errorf("after the parts comes %v", err)
	}
}

func TestSMTP(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		backend   *backend
		to        string
		permanent bool
		want      string
	}{
		"Accepted":           {backend: &backend{}},
		"HangupAfterwards":   {backend: &backend{hangup: true}},
		"PermanentRefusal":   {backend: &backend{rcpt: replying(550)}, permanent: true, want: "550"},
		"TemporaryRefusal":   {backend: &backend{rcpt: replying(451)}, want: "451"},
		"ContentRefused":     {backend: &backend{data: replying(554)}, permanent: true, want: "554"},
		"ContentPutOff":      {backend: &backend{data: replying(452)}, want: "452"},
		"SenderRefused":      {backend: &backend{mail: replying(550)}, want: "550"},
		"Busy":               {backend: &backend{mail: replying(421)}, want: "421"},
		"InvalidRecipient":   {backend: &backend{}, to: "nobody", permanent: true, want: "nobody"},
		"SeveralRecipients":  {backend: &backend{}, to: "a@example.com, b@example.com", permanent: true, want: "a@example.com"},
		"RecipientInjection": {backend: &backend{}, to: "a@example.com>\r\nRCPT TO:<b@example.com", permanent: true, want: "a@example.com"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			listener := listen(t)
			serve(t, listener, test.backend, nil)
			m := message()
			if test.to != "" {
				m.To = test.to
			}
			err := connect(t, "smtp://%s", listener).Send(t.Context(), m)
			if test.want == "" && err != nil {
				t.Fatal(err)
			}
			if test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("got %v, want an error with %s", err, test.want)
			}
			if got := errors.Is(err, ErrPermanent); got != test.permanent {
				t.Errorf("permanent is %t, want %t: %v", got, test.permanent, err)
			}
		})
	}
}

func TestSMTPTLS(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		url                string
		offered, trusted   bool
		implicit           bool
		wantUser, wantFail string
		wantTLS            bool
	}{
		"Login":         {url: "smtp://jo:" + escaped + "@%s", offered: true, trusted: true, wantUser: "jo", wantTLS: true},
		"WrongPassword": {url: "smtp://jo:secret@%s", offered: true, trusted: true, wantFail: "535"},
		"NotOffered":    {url: "smtp://jo:" + escaped + "@%s", wantFail: "STARTTLS"},
		"Untrusted":     {url: "smtp://jo:" + escaped + "@%s", offered: true, wantFail: "certificate"},
		"Opportunistic": {url: "smtp://%s", offered: true, trusted: true, wantTLS: true},
		"InTheClear":    {url: "smtp://%s"},
		"None":          {url: "smtp://%s?tls=none", offered: true},
		"Mandatory":     {url: "smtp://%s?tls=starttls", wantFail: "STARTTLS"},
		"Implicit":      {url: "smtps://jo:" + escaped + "@%s", implicit: true, trusted: true, wantUser: "jo", wantTLS: true},
		"ImplicitWrong": {url: "smtps://jo:secret@%s", implicit: true, trusted: true, wantFail: "535"},
		"ImplicitFaked": {url: "smtps://jo:" + escaped + "@%s", implicit: true, wantFail: "certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, listener := &backend{}, listen(t)
			sender := connect(t, test.url, listener)
			config, roots := certificate(t)
			if test.trusted {
				sender.roots = roots
			}
			switch {
			case test.implicit:
				serve(t, tls.NewListener(listener, config), b, nil)
			case test.offered:
				serve(t, listener, b, config)
			default:
				serve(t, listener, b, nil)
			}
			err := sender.Send(t.Context(), message())
			if test.wantFail != "" {
				checkFailure(t, err, test.wantFail)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := <-b.mails; got.user != test.wantUser || got.tls != test.wantTLS {
				t.Errorf("user %q, TLS %t; want %q, %t", got.user, got.tls, test.wantUser, test.wantTLS)
			}
		})
	}
}

// checkFailure expects an error that is worth another try and keeps the password to itself.
func checkFailure(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) || errors.Is(err, ErrPermanent) {
		t.Fatalf("got %v, want a temporary error with %s", err, want)
	}
	for _, secret := range []string{password, escaped, "secret"} {
		if strings.Contains(fmt.Sprintf("%+v", err), secret) {
			t.Errorf("the error contains the password: %v", err)
		}
	}
}

func TestSMTPDown(t *testing.T) {
	t.Parallel()
	listener := listen(t)
	_ = listener.Close()
	err := connect(t, "smtp://jo:"+escaped+"@%s", listener).Send(t.Context(), message())
	checkFailure(t, err, "connection refused")
}

func TestSMTPHangs(t *testing.T) {
	t.Parallel()
	// Each server answers up to a point and is then silent for as long as the client stays.
	for name, answers := range map[string][]string{
		"BeforeGreeting": nil,
		"AfterGreeting":  {"220 hello"},
		"AtSender":       {"220 hello", "250 hello", "250 noop"},
		"AtContent":      {"220 hello", "250 hello", "250 noop", "250 sender", "250 recipient"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for name, test := range map[string]struct{ timeout, deadline time.Duration }{
				"Timeout":  {50 * time.Millisecond, time.Minute},
				"Deadline": {time.Minute, 50 * time.Millisecond},
			} {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					listener := listen(t)
					left := silent(listener, answers)
					sender := connect(t, "smtp://%s", listener)
					sender.timeout = test.timeout
					ctx, cancel := context.WithTimeout(t.Context(), test.deadline)
					defer cancel()
					checkFailure(t, sender.Send(ctx, message()), "")
					_ = listener.Close() // a client that was too late to connect never leaves
					<-left
				})
			}
		})
	}
}

// silent gives one client the answers and then none; the channel is closed when the client left.
func silent(listener net.Listener, answers []string) <-chan struct{} {
	left := make(chan struct{})
	go func() {
		defer close(left)
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		lines := bufio.NewReader(conn)
		for _, answer := range answers {
			_, _ = fmt.Fprintf(conn, "%s\r\n", answer)
			_, _ = lines.ReadString('\n')
		}
		_, _ = io.Copy(io.Discard, lines)
	}()
	return left
}
