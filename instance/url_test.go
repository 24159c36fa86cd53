package instance

import (
	"errors"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"studio/fault"
)

func TestCheckName(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{ // "" when refused
		"demo":              "demo",
		" Demo-1\t":         "demo-1",
		"7":                 "7",
		"a--b":              "a--b",
		"abcdefghijklmnop":  "abcdefghijklmnop",
		"abcdefghijklmnopq": "",
		"":                  "",
		"  ":                "",
		"-":                 "",
		"-demo":             "",
		"demo-":             "",
		"de mo":             "",
		"de_mo":             "",
		"de.mo":             "",
		"dämo":              "",
		"\u212aelvin":       "", // the Kelvin sign, k in lower case
		"demo\x00":          "",
		"demo\nother":       "",
	} {
		got, err := checkName(given)
		check(t, given, got, err, want, "name")
	}
	check(t, "huge", "", errorOf(checkName(strings.Repeat("x", 100_000))), "", "name")
}

func TestCloudURL(t *testing.T) {
	t.Parallel()
	if got := CloudURL("demo-1", "ada"); got != "https://demo-1-ada.harperdbcloud.com" {
		t.Errorf("got %s", got)
	}
}

func TestInstalledURL(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, host string
		port       int
		tls        bool
		want       string // "" when refused
		field      string
	}{
		{"DNSName", "db.example.com", 9925, false, "http://db.example.com:9925", ""},
		{"TLS", "db.example.com", 9925, true, "https://db.example.com:9925", ""},
		{"DefaultPortIsShown", "db.example.com", 443, true, "https://db.example.com:443", ""},
		{"LowestPort", "localhost", 1, false, "http://localhost:1", ""},
		{"HighestPort", "localhost", 65535, false, "http://localhost:65535", ""},
		{"PortZero", "localhost", 0, false, "", "port"},
		{"PortNegative", "localhost", -1, false, "", "port"},
		{"PortTooHigh", "localhost", 65536, false, "", "port"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := installedURL(test.host, test.port, test.tls)
			check(t, test.host, got, err, test.want, test.field)
		})
	}
}

func TestCheckHost(t *testing.T) {
	t.Parallel()
	label := strings.Repeat("x", 63)
	longest := strings.Repeat(label+".", 3) + strings.Repeat("y", 253-3*64)
	for _, test := range []struct{ name, host, want string }{ // "" when refused
		{"Plain", "db.example.com", "db.example.com"},
		{"Trimmed", " DB.Example.COM\t", "db.example.com"},
		{"TrailingDot", "db.example.com.", "db.example.com"},
		{"OneLabel", "localhost", "localhost"},
		{"Hyphens", "a--b.example.com", "a--b.example.com"},
		{"Digits", "9.example.com", "9.example.com"},
		{"Punycode", "xn--bcher-kva.example", "xn--bcher-kva.example"},
		{"Longest", longest, longest},
		{"LongestWithDot", longest + ".", longest},
		{"TooLong", "y" + longest, ""},
		{"LabelTooLong", label + "x.example.com", ""},
		{"Huge", strings.Repeat("x.", 100_000), ""},
		{"Empty", "", ""},
		{"Dot", ".", ""},
		{"EmptyLabel", "db..example.com", ""},
		{"TwoTrailingDots", "db.example.com..", ""},
		{"HyphenFirst", "-db.example.com", ""},
		{"HyphenLast", "db-.example.com", ""},
		{"Underscore", "my_db.example.com", ""},
		{"Space", "my db", ""},
		{"NotASCII", "bücher.example", ""},
		{"Kelvin", "\u212a.example", ""},
		{"NUL", "db\x00.example.com", ""},
		{"Newline", "db\n.example.com", ""},
		{"User", "user@example.com", ""},
		{"Query", "db.example.com?x", ""},
		{"Scheme", "https://db.example.com", ""},
		{"Path", "db.example.com/path", ""},
		{"Port", "db.example.com:9925", ""},
		{"IPv4Port", "192.0.2.1:9925", ""},
		{"IPv6Port", "[2001:db8::1]:9925", ""},

		{"IPv4", "192.0.2.1", "192.0.2.1"},
		{"IPv4Octal", "192.0.02.1", ""},
		{"IPv4Short", "192.1", ""},
		{"IPv4Number", "3221225985", ""},
		{"IPv4Hex", "0xc0000201", ""},
		{"IPv4TooHigh", "192.0.2.256", ""},
		{"IPv4TrailingDot", "192.0.2.1.", ""},
		{"IPv6", "2001:DB8:0:0::1", "2001:db8::1"},
		{"IPv6Brackets", "[2001:db8::1]", "2001:db8::1"},
		{"IPv6Loopback", "0:0:0:0:0:0:0:1", "::1"},
		{"IPv4InIPv6", "::ffff:192.0.2.1", "192.0.2.1"},
		{"IPv6Zone", "fe80::1%eth0", ""},
		{"IPv6Broken", "2001:db8::1::2", ""},
		{"BracketsAroundNothing", "[]", ""},
		{"BracketsAroundIPv4", "[192.0.2.1]", ""},
		{"BracketsAroundAName", "[db.example.com]", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := checkHost(test.host)
			check(t, test.host, got, err, test.want, "host")
		})
	}
	t.Run("InURL", func(t *testing.T) {
		t.Parallel()
		got, err := installedURL("2001:DB8::1", 9925, true)
		check(t, "2001:DB8::1", got, err, "https://[2001:db8::1]:9925", "")
	})
}

// check compares what became of an input with what was wanted: a value, or INVALID_INPUT on a field.
func check(t *testing.T, given, got string, err error, want, field string) {
	t.Helper()
	if want != "" {
		if got != want || err != nil {
			t.Errorf("%q became %q, %v; want %q", given, got, err, want)
		}
		return
	}
	refused, is := errors.AsType[*fault.Error](err)
	if got != "" || !is || refused.Code != fault.InvalidInput || refused.Field != field {
		t.Errorf("%q became %q, %#v; want a refusal on %s", given, got, err, field)
	}
}

func errorOf(_ string, err error) error { return err }

// FuzzInstalledURL shows that what is accepted is the URL of that host and port, in its one spelling.
func FuzzInstalledURL(f *testing.F) {
	for _, host := range []string{
		"db.example.com", "DB.example.com.", "127.0.0.1", "::1", "[::1]", "::ffff:127.0.0.1", "fe80::1%eth0", "a:80", "http://a", "a/b", "a@b", "a?b", "a#b",
		"1.2.3", "0x7f.1", "\u212a.com", "xn--", "-a", "a\n", "a\x00", "..", "", strings.Repeat("a.", 127),
	} {
		f.Add(host, 443, true)
	}
	f.Add("a", 0, false)
	f.Add("a", 65536, false)
	f.Fuzz(func(t *testing.T, host string, port int, tls bool) {
		address, err := installedURL(host, port, tls)
		if err != nil {
			return
		}
		parsed, err := url.Parse(address)
		if err != nil {
			t.Fatalf("%q is no URL: %v", address, err)
		}
		alone := url.URL{Scheme: parsed.Scheme, Host: parsed.Host}
		if again, err := installedURL(parsed.Hostname(), port, tls); err != nil || again != address || alone.String() != address ||
			parsed.Port() != strconv.Itoa(port) || (parsed.Scheme == "https") != tls {
			t.Errorf("%q became %q, and that %q, %v", host, address, again, err)
		}
	})
}
