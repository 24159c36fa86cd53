package main

// Settings: what serve gets from its flags and from the environment, and what of it is refused.

import (
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/realclientip/realclientip-go"
	"golang.org/x/net/idna"

	studiomail "studio/mail"
)

type serveCommand struct {
	databaseSettings

	Addr        string         `env:"STUDIO_ADDR" default:"127.0.0.1:8080" help:"Address to listen on, HOST:PORT."`
	PublicURL   string         `env:"STUDIO_PUBLIC_URL" help:"Where users reach the server, without a path; links in mails start with it. Default: http:// and the address."`
	SMTPURL     string         `env:"STUDIO_SMTP_URL" help:"smtp://USER:PASSWORD@HOST:PORT or smtps://…; without it mails go to the mailbox page only."`
	MailFrom    string         `env:"STUDIO_MAIL_FROM" help:"Address that mails come from, for example: Studio <studio@example.com>. Needed with STUDIO_SMTP_URL."`
	CORSOrigins []string       `env:"STUDIO_CORS_ORIGINS" help:"Origins of front ends served elsewhere, separated by commas, for example https://app.example.com."`
	Stripe      stripeSettings `embed:"" prefix:"stripe-" envprefix:"STUDIO_STRIPE_"`
	RateLimit   string         `env:"STUDIO_RATE_LIMIT" default:"50" help:"Operations a second that a caller may send, ten seconds' worth of them at once; an address may send four times as many. 0: no limit."`
	Delay       string         `name:"shutdown-delay" env:"STUDIO_SHUTDOWN_DELAY" default:"0s" help:"How long to go on serving, though not ready, when told to stop; behind a load balancer longer than it needs to notice, for example 5s."`
	Proxies     []string       `name:"trusted-proxies" env:"STUDIO_TRUSTED_PROXIES" help:"Addresses or networks of proxies whose X-Forwarded-For is believed, separated by commas, for example 127.0.0.1,10.0.0.0/8."`

	Webhook webhookSettings `embed:"" prefix:"webhook-" envprefix:"STUDIO_WEBHOOK_"`

	smtpServer     studiomail.Server
	mailFrom       *mail.Address
	trustedProxies []net.IPNet
	rateLimit      int
	shutdownDelay  time.Duration
	traced         bool
}

// Validate checks the settings and completes them; kong calls it.
func (s *serveCommand) Validate() error {
	if err := s.databaseSettings.Validate(); err != nil {
		return err
	}
	host, port, err := net.SplitHostPort(s.Addr)
	if number, portErr := strconv.ParseUint(port, 10, 16); err != nil || portErr != nil {
		return fmt.Errorf("STUDIO_ADDR: %q is not an address; use HOST:PORT, for example 127.0.0.1:8080", s.Addr)
	} else if ip := net.ParseIP(host); s.PublicURL == "" {
		if host == "" || ip != nil && ip.IsUnspecified() {
			host = "localhost"
		}
		s.PublicURL = "http://" + net.JoinHostPort(host, strconv.FormatUint(number, 10))
	}
	if s.PublicURL, err = origin(s.PublicURL, false); err != nil {
		return settingError("STUDIO_PUBLIC_URL", err)
	}
	for i := range s.CORSOrigins {
		if s.CORSOrigins[i], err = origin(s.CORSOrigins[i], false); err != nil {
			return settingError("STUDIO_CORS_ORIGINS", err)
		}
	}
	if s.trustedProxies, err = realclientip.AddressesAndRangesToIPNets(s.Proxies...); err != nil {
		return fmt.Errorf("STUDIO_TRUSTED_PROXIES: %q is not accepted; use addresses and networks such as 127.0.0.1,10.0.0.0/8", strings.Join(s.Proxies, ","))
	}
	limit, err := strconv.ParseUint(s.RateLimit, 10, 20)
	if err != nil || limit > 1_000_000 {
		return fmt.Errorf("STUDIO_RATE_LIMIT: %q is not accepted; use a number of operations a second up to 1000000, or 0 for no limit", s.RateLimit)
	}
	s.rateLimit = int(limit)
	if s.SMTPURL != "" {
		if s.smtpServer, err = studiomail.ParseServer(s.SMTPURL); err != nil {
			return settingError("STUDIO_SMTP_URL", err)
		}
	}
	if s.shutdownDelay, err = time.ParseDuration(s.Delay); err != nil || s.shutdownDelay < 0 || s.shutdownDelay > maxShutdownDelay {
		return fmt.Errorf("STUDIO_SHUTDOWN_DELAY: %q is not accepted; use a time such as 5s, at most %s", s.Delay, maxShutdownDelay)
	}
	if err := s.Stripe.check(); err != nil {
		return err
	}
	if err := s.Webhook.check(); err != nil {
		return err
	}
	if s.SMTPURL != "" || s.MailFrom != "" {
		s.mailFrom, err = studiomail.ParseFrom(s.MailFrom)
	}
	return settingError("STUDIO_MAIL_FROM", err)
}

// stripeSettings are the keys of an account with Stripe; without them the sandbox stands in for it.
type stripeSettings struct {
	SecretKey      string `env:"SECRET_KEY" help:"Secret key of your Stripe account, sk_… or rk_…; without it the embedded sandbox stands in for Stripe."`
	PublishableKey string `env:"PUBLISHABLE_KEY" help:"Publishable key of the same account, pk_…, for Stripe's card form."`
	WebhookSecret  string `env:"WEBHOOK_SECRET" help:"Signing secret of the webhook endpoint, whsec_…."`
	APIURL         string `name:"api-url" env:"API_URL" help:"Where Stripe's API is, if not at Stripe."`
}

// check never repeats a key, which may be secret.
func (s *stripeSettings) check() (err error) {
	for _, key := range []struct{ name, value, like string }{
		{"SECRET_KEY", s.SecretKey, "sk_ or rk_"},
		{"PUBLISHABLE_KEY", s.PublishableKey, "pk_"},
		{"WEBHOOK_SECRET", s.WebhookSecret, "whsec_"},
	} {
		prefixes := strings.Split(key.like, " or ")
		fits := slices.ContainsFunc(prefixes, func(prefix string) bool { return strings.HasPrefix(key.value, prefix) })
		switch {
		case s.SecretKey == "" && key.value != "":
			return fmt.Errorf("STUDIO_STRIPE_%s: is of no use without STUDIO_STRIPE_SECRET_KEY; set all three keys, or none for the sandbox", key.name)
		case s.SecretKey != "" && !fits:
			return fmt.Errorf("STUDIO_STRIPE_%s: this key is missing or is none; it begins with %s", key.name, key.like)
		}
	}
	if s.APIURL == "" {
		return nil
	}
	if s.SecretKey == "" {
		return errors.New("STUDIO_STRIPE_API_URL: is of no use without STUDIO_STRIPE_SECRET_KEY; the sandbox needs no URL")
	}
	s.APIURL, err = origin(s.APIURL, true)
	return settingError("STUDIO_STRIPE_API_URL", err)
}

// webhookSettings are for the endpoints that organizations have their events sent to.
type webhookSettings struct {
	Key      string   `env:"KEY" help:"Secret from which those of webhook endpoints are derived, at least 32 bytes in base64, for example from: openssl rand -base64 32. Without it there can be no endpoints; another one changes all secrets."`
	Networks []string `env:"NETWORKS" help:"Networks that endpoints may be in although they are not public, and be called by http where the URL has the address, separated by commas, for example 127.0.0.0/8 to try them."`

	key      []byte
	networks []netip.Prefix
}

// check never repeats the key.
func (s *webhookSettings) check() (err error) {
	if s.key, err = base64.StdEncoding.DecodeString(s.Key); err != nil || s.Key != "" && len(s.key) < 32 {
		return errors.New("STUDIO_WEBHOOK_KEY: is not accepted; use at least 32 bytes in base64, for example from openssl rand -base64 32")
	}
	for _, text := range s.Networks {
		network, err := netip.ParsePrefix(text)
		if err != nil {
			return fmt.Errorf("STUDIO_WEBHOOK_NETWORKS: %q is not accepted; use networks such as 127.0.0.0/8,::1/128", text)
		}
		s.networks = append(s.networks, network)
	}
	return nil
}

// origin checks an http or https URL that ends with the host, or with a path where one may follow. It yields
// the URL with the host as browsers send it, and without a port that goes without saying.
func origin(text string, withPath bool) (string, error) {
	refused := fmt.Errorf("%q is not accepted; use a URL such as https://studio.example.com", text)
	u, err := url.Parse(strings.TrimRight(strings.TrimSpace(text), "/"))
	if err != nil || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		return "", refused
	}
	if u.Path != "" && !withPath {
		return "", fmt.Errorf("%q has a path, which is not accepted; use the URL of a host alone, such as https://studio.example.com", text)
	}
	usual, known := map[string]string{"http": "80", "https": "443"}[u.Scheme]
	if _, err := strconv.ParseUint(cmp.Or(u.Port(), usual), 10, 16); !known || err != nil {
		return "", refused
	}
	host, err := canonicalHost(u.Hostname())
	if err != nil {
		return "", refused
	}
	u.Host = strings.TrimSuffix(strings.TrimSuffix(net.JoinHostPort(host, u.Port()), ":"+usual), ":")
	return u.String(), nil
}

// canonicalHost is a host as browsers write it.
func canonicalHost(host string) (string, error) {
	if strings.Contains(host, ":") {
		ip, err := netip.ParseAddr(host)
		if ip.Zone() != "" || ip.Is4In6() { // no browser takes the one, and netip writes the other differently
			err = errors.New("not an address that browsers write like this")
		}
		return ip.String(), err
	}
	if strings.ContainsFunc(host, func(r rune) bool { return r >= utf8.RuneSelf }) {
		return idna.Lookup.ToASCII(host)
	}
	return strings.ToLower(host), nil // idna would refuse underscores, which browsers take
}
