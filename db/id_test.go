package db_test

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"studio/db"
)

func TestIDs(t *testing.T) {
	t.Parallel()
	t.Run("SortByCreation", func(t *testing.T) {
		t.Parallel()
		var previous string
		for range 5 {
			id := db.NewID(db.OrganizationPrefix)
			if db.PrefixOf(id) != db.OrganizationPrefix {
				t.Errorf("%s has the prefix %q", id, db.PrefixOf(id))
			}
			if id <= previous {
				t.Errorf("%s was made after %s and sorts before it", id, previous)
			}
			previous = id
			// IDs hold milliseconds: within one of them nothing is promised.
			for made := time.Now().UnixMilli(); time.Now().UnixMilli() <= made; {
				time.Sleep(time.Millisecond / 10)
			}
		}
	})
	t.Run("SortByGivenTime", func(t *testing.T) {
		t.Parallel()
		newer, older := db.NewIDAt(db.InvoicePrefix, noon.Add(time.Millisecond)), db.NewIDAt(db.InvoicePrefix, noon)
		if newer <= older || db.PrefixOf(newer) != db.InvoicePrefix || db.PrefixOf(older) != db.InvoicePrefix {
			t.Errorf("%s is the newer one, %s the older", newer, older)
		}
		if again := db.NewIDAt(db.InvoicePrefix, noon); again == older {
			t.Errorf("%s was made twice", again)
		}
	})
	t.Run("OfBilling", func(t *testing.T) {
		t.Parallel()
		organization := db.NewID(db.OrganizationPrefix)
		billing := db.BillingIDOf(organization)
		if db.PrefixOf(billing) != db.BillingPrefix || db.OrganizationIDOf(billing) != organization {
			t.Errorf("%s is the billing of %s", billing, organization)
		}
	})
	const suffix = "01h455vb4pex5vsknk084sn02q"
	for name, id := range map[string]string{
		"Empty":           "",
		"PrefixAlone":     "org",
		"NoSuffix":        "org_",
		"NoPrefix":        suffix,
		"EmptyPrefix":     "_" + suffix,
		"Short":           "org_" + suffix[1:],
		"Long":            "org_" + suffix + "0",
		"UpperCasePrefix": "ORG_" + suffix,
		"UpperCaseSuffix": "org_" + strings.ToUpper(suffix),
		"NotInAlphabet":   "org_01h455vb4pex5vsknk084sn02u",
		"Over128Bits":     "org_8zzzzzzzzzzzzzzzzzzzzzzzzz",
		"NULInside":       "org_01h455vb4pex5vsknk084sn02\x00",
		"NULAfter":        "org_" + suffix + "\x00",
		"Spaces":          " org_" + suffix,
		"LineBreak":       "org_" + suffix + "\n",
		"Quote":           "org_" + suffix + "'",
		"InvalidUTF8":     "org_" + suffix[1:] + "\xff",
		"VeryLong":        strings.Repeat("o", 1<<16) + "_" + suffix,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if prefix := db.PrefixOf(id); prefix != "" {
				t.Errorf("%.80q has the prefix %q", id, prefix)
			}
		})
	}
	// The same texts must be harmless where an ID is looked up.
	t.Run("LookedUp", func(t *testing.T) {
		on(t, func(s *store) {
			for _, id := range []string{"", "org_\x00", "user_" + suffix, "org_" + suffix + "'"} {
				_, err := s.LockOrganization(s.Context(), id)
				wantError(s.T, id, err, db.ErrNotFound)
			}
		})
	})
}

// FuzzPrefixOf shows that a text with a prefix is an ID in its one spelling.
func FuzzPrefixOf(f *testing.F) {
	f.Add(db.NewID(db.UserPrefix))
	f.Add(strings.ToUpper(db.NewID(db.UserPrefix)))
	f.Add("org_\x00")
	f.Add("a_b_01h455vb4pex5vsknk084sn02q")
	id := regexp.MustCompile(`^[a-z]([a-z_]{0,61}[a-z])?_[0-7][0-9a-hjkmnp-tv-z]{25}$`)
	f.Fuzz(func(t *testing.T, text string) {
		prefix := db.PrefixOf(text)
		if (prefix != "") != id.MatchString(text) || prefix != "" && len(text) != len(prefix)+27 {
			t.Errorf("%q has the prefix %q", text, prefix)
		}
	})
}
