package mail

// SMTP: hands messages over to a server.

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	netmail "net/mail"
	"slices"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"
)

// SMTP sends messages through an SMTP server, each over a connection of its own.
type SMTP struct {
	server  Server
	from    *netmail.Address
	domain  string
	timeout time.Duration
	// roots are the authorities trusted to certify the server; nil means those of the system.
	roots *x509.CertPool
}

// NewSMTP makes a Sender of a server and the address that its mails come from.
func NewSMTP(server Server, from *netmail.Address) *SMTP {
	domain := from.Address[strings.LastIndex(from.Address, "@")+1:]
	return &SMTP{server: server, from: from, domain: domain, timeout: 30 * time.Second}
}

// Send hands the message over. An error that does not wrap ErrPermanent is worth another try.
func (s *SMTP) Send(ctx context.Context, m Message) error {
	composed, err := s.compose(m)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrPermanent, err)
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	client, err := s.client(ctx)
	if err != nil {
		return err
	}
	err = client.DialAndSendWithContext(ctx, composed)
	switch {
	case err == nil, composed.IsDelivered():
		// Once the server has taken the mail, an error can only be about saying goodbye; to
		// report it would have the mail sent again.
		return nil
	case refused(err):
		return fmt.Errorf("%w: %w", ErrPermanent, err)
	case ctx.Err() != nil:
		return fmt.Errorf("%w: %w", ctx.Err(), err)
	default:
		return err
	}
}

func (s *SMTP) compose(m Message) (*gomail.Msg, error) {
	composed := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	composed.FromMailAddress(s.from)
	composed.Subject(literal(m.Subject))
	composed.SetMessageIDWithValue(m.ID + "@" + s.domain)
	composed.SetDate()
	composed.SetGenHeader("Auto-Submitted", "auto-generated")
	composed.SetBodyString(gomail.TypeTextPlain, m.Text)
	composed.AddAlternativeString(gomail.TypeTextHTML, m.HTML)
	return composed, composed.To(m.To)
}

// literal encodes a subject that a reader would decode although it is not encoded, as go-mail leaves ASCII alone.
func literal(subject string) string {
	if !strings.Contains(subject, "=?") {
		return subject
	}
	var words []string
	for part := range slices.Chunk([]rune(subject), 10) { // a word has at most 75 characters
		words = append(words, "=?utf-8?b?"+base64.StdEncoding.EncodeToString([]byte(string(part)))+"?=")
	}
	return strings.Join(words, " ")
}

// client makes a client whose connection ends with ctx: go-mail itself forgets ctx once it has
// dialled, and forgets to close the connection when the server turns it down.
func (s *SMTP) client(ctx context.Context) (*gomail.Client, error) {
	security := &tls.Config{ServerName: s.server.host, RootCAs: s.roots, MinVersion: tls.VersionTLS12}
	connect := (&net.Dialer{}).DialContext
	if s.server.implicitTLS {
		connect = (&tls.Dialer{Config: security}).DialContext
	}
	options := []gomail.Option{
		gomail.WithDialContextFunc(func(dialling context.Context, network, _ string) (net.Conn, error) {
			conn, err := connect(dialling, network, net.JoinHostPort(s.server.host, s.server.port))
			if err == nil {
				context.AfterFunc(ctx, func() { _ = conn.Close() })
			}
			return conn, err
		}),
		gomail.WithTimeout(s.timeout),
		// The name of the machine, which is the default, is rarely one that a server accepts.
		gomail.WithHELO(s.domain),
		gomail.WithTLSConfig(security),
		gomail.WithTLSPolicy(s.server.startTLS),
	}
	if s.server.implicitTLS {
		options = append(options, gomail.WithSSL())
	}
	if s.server.login != nil {
		password, _ := s.server.login.Password()
		options = append(options,
			gomail.WithUsername(s.server.login.Username()),
			gomail.WithPassword(password),
			gomail.WithOpportunisticSMTPAuth(gomail.SMTPAuthPlain, gomail.SMTPAuthLogin))
	}
	return gomail.NewClient(s.server.host, options...)
}

// refused reports whether the server turned down the recipient or the content for good. Any other
// permanent answer, such as to the login or the sender, is about settings that can be corrected.
func refused(err error) bool {
	final := []gomail.SendErrReason{gomail.ErrSMTPRcptTo, gomail.ErrSMTPData, gomail.ErrSMTPDataClose}
	refusal, is := errors.AsType[*gomail.SendError](err)
	return is && refusal.ErrorCode() >= 500 && slices.Contains(final, refusal.Reason)
}
