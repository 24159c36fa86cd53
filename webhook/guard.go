package webhook

// The guard: endpoints are named by users, and calls to them must not reach what only this server's
// network can reach. The address is checked when it is dialed, after the name was looked up.

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"time"

	"code.dny.dev/ssrf"

	"studio/fault"
)

const (
	// callTimeout bounds a call, from looking the name up to the end of the answer's header.
	callTimeout = 10 * time.Second
	// maxAnswerHeader is how much of an answer is read; its body is not.
	maxAnswerHeader = 16 << 10
)

type guard struct {
	*ssrf.Guardian
	networks []netip.Prefix
}

func newGuard(networks []netip.Prefix) guard {
	var four, six []netip.Prefix
	for _, network := range networks {
		if network.Addr().Is4() {
			four = append(four, network)
		} else {
			six = append(six, network)
		}
	}
	return guard{ssrf.New(ssrf.WithAnyPort(), ssrf.WithAllowedV4Prefixes(four...), ssrf.WithAllowedV6Prefixes(six...)), networks}
}

// permits refuses what is known without looking a name up: addresses that are not public, and http but
// to the networks that are allowed.
func (g guard) permits(u *url.URL) error {
	host := u.Hostname()
	if host == "localhost" {
		host = "127.0.0.1"
	}
	address, err := netip.ParseAddr(host)
	isAddress := err == nil
	if isAddress && g.SafeAddr(address.Unmap()) != nil {
		return fault.Invalid("url", "This address is not on the public internet.")
	}
	inside := isAddress && slices.ContainsFunc(g.networks, func(network netip.Prefix) bool { return network.Contains(address.Unmap()) })
	if u.Scheme != "https" && (u.Scheme != "http" || !inside) {
		return fault.Invalid("url", "The URL must begin with https://.")
	}
	return nil
}

// newClient calls endpoints: no proxy, which would dial for it, no redirect, and no connection that is
// kept, as its address would not be checked again.
func newClient(g guard) *http.Client {
	dialer := &net.Dialer{Timeout: callTimeout, Control: g.Safe}
	return &http.Client{
		Timeout:       callTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext: dialer.DialContext, DisableKeepAlives: true, DisableCompression: true,
			MaxResponseHeaderBytes: maxAnswerHeader, TLSHandshakeTimeout: callTimeout,
		},
	}
}
