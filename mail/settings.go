package mail

// Settings: the two of SMTP. Errors about them are put after the name of the setting.

import (
	"errors"
	netmail "net/mail"
	"net/url"
	"strconv"
	"strings"

	gomail "github.com/wneessen/go-mail"
)

// Server is an SMTP server and the way to talk to it.
type Server struct {
	host, port  string
	implicitTLS bool
	startTLS    gomail.TLSPolicy
	login       *url.Userinfo
}

// ParseServer reads smtp://user:password@host:port, or smtps:// for TLS from the start. Without a
// port it is 465 for smtps://, else 587 with a login and 25 without. On smtp://, a login makes
// STARTTLS mandatory, and anything else uses it where the server offers it; ?tls=starttls,
// ?tls=opportunistic and ?tls=none say so explicitly.
func ParseServer(address string) (Server, error) {
	// No error repeats a part of the address: in a mistyped one, any part may be the password's.
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "smtp" && u.Scheme != "smtps" || u.Hostname() == "" ||
		strings.Trim(u.Path, "/") != "" || u.Fragment != "" {
		return Server{}, errors.New("want smtp://host:port or smtps://host:port, with user:password@ before " +
			"the host where it takes a login (special characters percent-encoded, such as %40 for @)")
	}
	password, _ := u.User.Password()
	if (u.User.Username() == "") != (password == "") {
		return Server{}, errors.New("want both a user and a password, or neither")
	}
	server := Server{host: u.Hostname(), port: u.Port(), implicitTLS: u.Scheme == "smtps"}
	if password != "" {
		server.login = u.User
	}
	if err := server.chooseTLS(u.RawQuery); err != nil {
		return Server{}, err
	}
	if server.port == "" {
		server.port = server.usualPort()
	}
	if port, err := strconv.ParseUint(server.port, 10, 16); err != nil || port == 0 {
		return Server{}, errors.New("want a port from 1 to 65535")
	}
	return server, nil
}

func (s *Server) chooseTLS(option string) error {
	switch {
	case s.implicitTLS && option == "":
		return nil
	case s.implicitTLS:
		return errors.New("want no options after smtps://, it is TLS from the start")
	case option == "tls=starttls", option == "" && s.login != nil:
		s.startTLS = gomail.TLSMandatory
	case s.login != nil:
		return errors.New("user and password are only ever sent over TLS: want ?tls=starttls or smtps://")
	case option == "tls=opportunistic", option == "":
		s.startTLS = gomail.TLSOpportunistic
	case option == "tls=none":
		s.startTLS = gomail.NoTLS
	default:
		return errors.New("want no options but ?tls=starttls, ?tls=opportunistic or ?tls=none")
	}
	return nil
}

func (s *Server) usualPort() string {
	switch {
	case s.implicitTLS:
		return "465"
	case s.login != nil:
		return "587"
	default:
		return "25"
	}
}

// ParseFrom reads the address that mails come from, with or without a name.
func ParseFrom(from string) (*netmail.Address, error) {
	address, err := netmail.ParseAddress(from)
	if err != nil {
		return nil, errors.New("want an address such as studio@example.com or Studio <studio@example.com>")
	}
	return address, nil
}
