package organization

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestReserved(t *testing.T) {
	t.Parallel()
	words := strings.Fields(reservedList)
	for _, word := range words {
		// A word that no subdomain can be is a slip of the pen: it reserves nothing.
		if !subdomainPattern.MatchString(word) {
			t.Errorf("%q is no subdomain", word)
		}
	}
	slices.Sort(words)
	if unique := slices.Compact(slices.Clone(words)); len(unique) != len(words) {
		t.Errorf("there are %d words, %d different ones", len(words), len(unique))
	}
	for _, word := range []string{"www", "api", "admin", "studio", "mail"} {
		if subdomainProblem(word) != SubdomainReserved {
			t.Errorf("%s can be had", word)
		}
	}
}

func TestCheckSubdomain(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]struct {
		subdomain string
		reason    SubdomainProblem
	}{
		"ada":               {"ada", ""},
		" Ada ":             {"ada", ""},
		"7":                 {"7", ""},
		"abcdefghijklmnop":  {"abcdefghijklmnop", ""},
		"abcdefghijklmnopq": {"abcdefghijklmnopq", SubdomainInvalid},
		"":                  {"", SubdomainInvalid},
		"   ":               {"", SubdomainInvalid},
		"a-b":               {"a-b", SubdomainInvalid},
		"a.b":               {"a.b", SubdomainInvalid},
		"a_b":               {"a_b", SubdomainInvalid},
		"ä":                 {"ä", SubdomainInvalid},
		"\u212a":            {"\u212a", SubdomainInvalid},
		"\u0130":            {"\u0130", SubdomainInvalid},
		"ada\x00":           {"ada\x00", SubdomainInvalid},
		"ada\nbob":          {"ada\nbob", SubdomainInvalid},
		" WWW":              {"www", SubdomainReserved},
		"Studio":            {"studio", SubdomainReserved},
	} {
		subdomain := normalizeSubdomain(given)
		if reason := subdomainProblem(subdomain); subdomain != want.subdomain || reason != want.reason {
			t.Errorf("%q became %q, refused for %q", given, subdomain, reason)
		}
		if checked, err := checkSubdomain(given); (err == nil) != (want.reason == "") || err == nil && checked != want.subdomain {
			t.Errorf("%q was checked as %q: %v", given, checked, err)
		}
	}
}

func TestDerivedSubdomain(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		try  int
		want string // a pattern
	}{
		{"AdaLovelace", 0, "adalovelace"},
		{"AdaLovelace", 1, "adalovelace1"},
		{"AdaLovelace", 9, "adalovelace9"},
		{"AdaLovelace", 10, "adalovel?a?c?e?[0-9]{1,9}"},
		{"AnneMarie O'Neill-Smith", 0, "annemarieoneills"},
		{"AnneMarie O'Neill-Smith", 1, "annemarieoneill1"},
		{"AnneMarie O'Neill-Smith", 50, "annemar[a-z]*[0-9]{1,9}"},
		{"Édith Ñandú", 0, "edithnandu"},
		{"ＡＤＡ", 0, "ada"},
		{"R2D2", 0, "r2d2"},
		{"李小龍", 0, "org"},
		{"李小龍", 2, "org2"},
		{"!?", 10, "org[0-9]{1,9}"},
		{"", 1, "org1"},
		{"Studio", 0, "studio"},
		{"Pop", 3, "pop3"},
	} {
		got := derivedSubdomain(test.name, test.try)
		if !regexp.MustCompile("^"+test.want+"$").MatchString(got) || subdomainProblem(got) == SubdomainInvalid {
			t.Errorf("%q at try %d: %s, want %s", test.name, test.try, got, test.want)
		}
	}
}

// FuzzSubdomain shows that what is accepted, or derived from a name, is fit for a host name.
func FuzzSubdomain(f *testing.F) {
	for _, subdomain := range []string{"acme", " ACME ", "a-b", "www", "WWW", "\u212a", "ﬀ", "0", "", "a.b", "a\x00", "abcdefghijklmnopq"} {
		f.Add(subdomain, 0)
		f.Add(subdomain, 10)
	}
	f.Fuzz(func(t *testing.T, text string, try int) {
		if subdomain, err := checkSubdomain(text); err == nil {
			if again, err := checkSubdomain(subdomain); err != nil || again != subdomain || !subdomainPattern.MatchString(subdomain) || reserved[subdomain] {
				t.Errorf("%q became %q, and that %q, %v", text, subdomain, again, err)
			}
		}
		derived := derivedSubdomain(text, try&0xff)
		if normalizeSubdomain(derived) != derived || subdomainProblem(derived) == SubdomainInvalid {
			t.Errorf("%q was derived from %q", derived, text)
		}
	})
}
