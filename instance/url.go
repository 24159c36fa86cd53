package instance

// Names and addresses: what an instance is called, and where it is reached.

import (
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"strings"

	"studio/fault"
)

// cloudDomain is where cloud instances are reached.
const cloudDomain = "harperdbcloud.com"

var (
	namePattern = regexp.MustCompile(`^[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,14}[a-zA-Z0-9])?$`)
	// dnsPattern is a DNS name, RFC 1123, 2.1.
	dnsPattern = regexp.MustCompile(`^(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?\.)*[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?$`)
	// numberPattern is a last label that makes clients take the name for an IPv4 address.
	// https://url.spec.whatwg.org/#ends-in-a-number-checker
	numberPattern = regexp.MustCompile(`(?:^|\.)(?:[0-9]+|0[xX][0-9a-fA-F]*)$`)
)

// maxHost is how long a DNS name can be.
const maxHost = 253

// checkName returns an instance's name as it is stored.
func checkName(name string) (string, error) {
	name = strings.TrimSpace(name)
	if !namePattern.MatchString(name) {
		return "", fault.Invalid("name", "Choose a name of 1 to 16 letters a-z, digits and hyphens, with no hyphen at its ends.")
	}
	return strings.ToLower(name), nil // last: there are letters that only then become a-z
}

// CloudURL is where a cloud instance is reached. Subdomains have no hyphen, so no two instances
// share one.
func CloudURL(name, subdomain string) string {
	return "https://" + name + "-" + subdomain + "." + cloudDomain
}

// installedURL is where a user-installed instance is reached.
func installedURL(host string, port int, tls bool) (string, error) {
	host, err := checkHost(host)
	if err != nil {
		return "", err
	}
	if port < 1 || port > 65535 {
		return "", fault.Invalid("port", "Enter a port from 1 to 65535.")
	}
	scheme := "http"
	if tls {
		scheme = "https"
	}
	return scheme + "://" + net.JoinHostPort(host, strconv.Itoa(port)), nil
}

// checkHost returns a DNS name or an IP address in the one form in which it is stored.
func checkHost(host string) (string, error) {
	host = strings.TrimSpace(host)
	if strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]") && strings.Contains(host, ":") { // as in URLs
		host = host[1 : len(host)-1]
	}
	if address, err := netip.ParseAddr(host); err == nil {
		if address.Zone() != "" {
			return "", fault.Invalid("host", "Enter the IPv6 address without a zone, which means something on one machine only.")
		}
		return address.Unmap().String(), nil
	}
	name := strings.TrimSuffix(host, ".")
	_, port, _ := strings.Cut(name, ":")
	switch _, err := strconv.Atoi(port); {
	case strings.Contains(name, "/"):
		return "", fault.Invalid("host", "Enter the host alone, without http:// and without a path.")
	case err == nil:
		return "", fault.Invalid("host", "Enter the host alone; its port has an input of its own.")
	case len(name) > maxHost, !dnsPattern.MatchString(name), numberPattern.MatchString(name):
		return "", fault.Invalid("host", "Enter a DNS name such as db.example.com, or an IP address.")
	}
	return strings.ToLower(name), nil
}
