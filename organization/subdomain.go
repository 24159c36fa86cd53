package organization

// Subdomains: part of the host names of cloud instances, `instance-subdomain`, hence without a
// hyphen of their own.

import (
	"context"
	_ "embed"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strconv"
	"strings"

	"studio/db"
	"studio/fault"
	"studio/text"
)

// maxSubdomain is how long a subdomain may be, as in HarperDB Studio.
const maxSubdomain = 16

var subdomainPattern = regexp.MustCompile(fmt.Sprintf(`^[a-z0-9]{1,%d}$`, maxSubdomain))

//go:embed reserved.txt
var reservedList string

// reserved are the words that would pass for a part of the service.
var reserved = func() map[string]bool {
	words := map[string]bool{}
	for _, word := range strings.Fields(reservedList) {
		words[word] = true
	}
	return words
}()

// SubdomainProblem is why a subdomain cannot be had.
type SubdomainProblem string

// The reasons why a subdomain cannot be had.
const (
	SubdomainInvalid  SubdomainProblem = "INVALID"
	SubdomainReserved SubdomainProblem = "RESERVED"
	SubdomainTaken    SubdomainProblem = "TAKEN"
)

var errSubdomainTaken = fault.New(fault.SubdomainTaken, "This subdomain is taken; choose another.").On("subdomain")

// Availability is whether a subdomain can be had, and otherwise why not. The subdomain comes
// back trimmed and lower-cased.
func (o *Organizations) Availability(ctx context.Context, subdomain string) (string, SubdomainProblem, error) {
	subdomain = normalizeSubdomain(subdomain)
	if reason := subdomainProblem(subdomain); reason != "" {
		return subdomain, reason, nil
	}
	taken, err := o.db.SubdomainTaken(ctx, subdomain)
	if err == nil && taken {
		return subdomain, SubdomainTaken, nil
	}
	return subdomain, "", err
}

// BySubdomain returns the organization of a subdomain, whoever asks. db.ErrNotFound.
func (o *Organizations) BySubdomain(ctx context.Context, subdomain string) (*db.Organization, error) {
	subdomain = normalizeSubdomain(subdomain)
	if subdomainProblem(subdomain) == SubdomainInvalid {
		return nil, db.ErrNotFound
	}
	return o.db.OrganizationBySubdomain(ctx, subdomain)
}

// normalizeSubdomain lowers A-Z alone, as there are other letters that strings.ToLower makes a-z of.
func normalizeSubdomain(subdomain string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r - 'A' + 'a'
		}
		return r
	}, strings.TrimSpace(subdomain))
}

func subdomainProblem(subdomain string) SubdomainProblem {
	switch {
	case !subdomainPattern.MatchString(subdomain):
		return SubdomainInvalid
	case reserved[subdomain]:
		return SubdomainReserved
	}
	return ""
}

// checkSubdomain returns a subdomain as it is stored.
func checkSubdomain(subdomain string) (string, error) {
	subdomain = normalizeSubdomain(subdomain)
	switch subdomainProblem(subdomain) {
	case SubdomainInvalid:
		return "", fault.Invalid("subdomain", "Choose a subdomain of 1 to %d letters a-z and digits.", maxSubdomain)
	case SubdomainReserved:
		return "", fault.Invalid("subdomain", "This subdomain is reserved; choose another.")
	}
	return subdomain, nil
}

// derivedSubdomain makes a subdomain from a name, which may be reserved: the name alone at first, then with a
// digit, then with random ones.
func derivedSubdomain(name string, try int) string {
	digits := ""
	switch {
	case try >= 10:
		digits = strconv.Itoa(rand.IntN(1_000_000_000))
	case try > 0:
		digits = strconv.Itoa(try)
	}
	word := text.Slug(name, maxSubdomain)
	if word == "" {
		word = "org"
	}
	return word[:min(len(word), maxSubdomain-len(digits))] + digits
}
