package text

import (
	"errors"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"studio/fault"
)

// check compares a result; an empty want means that the value must be refused.
func check(t *testing.T, value, got, want string, err error) {
	t.Helper()
	if want != "" {
		if err != nil || got != want {
			t.Errorf("%.60q became %.60q, %v; want %.60q", value, got, err, want)
		}
		return
	}
	if refused, is := errors.AsType[*fault.Error](err); !is || refused.Code != fault.InvalidInput || refused.Field != "field" {
		t.Fatalf("%.60q became %.60q, %v; want an INVALID_INPUT about the field", value, got, err)
	}
	if got != "" {
		t.Errorf("%.60q was refused, but became %.60q", value, got)
	}
}

func TestName(t *testing.T) {
	t.Parallel()
	const family = "👩\u200d👩\u200d👧" // joined by U+200D
	for _, test := range []struct{ name, value, want string }{
		{"Plain", "Jane", "Jane"},
		{"Trimmed", " \u00a0Jane Doe\u3000 ", "Jane Doe"},
		{"InnerSpacesStay", "Jane  Doe", "Jane  Doe"},
		{"Composed", "Zoe\u0308", "Zo\u00eb"},
		{"Japanese", "山田太郎", "山田太郎"},
		{"Arabic", "محمد", "محمد"},
		{"Emoji", family, family},
		{"Markup", `<b>"O'Neil" & Co</b>`, `<b>"O'Neil" & Co</b>`},
		{"LongestInCharacters", strings.Repeat("界", 40), strings.Repeat("界", 40)},
		{"LongestOnceTrimmed", " " + strings.Repeat("x", 40) + " ", strings.Repeat("x", 40)},
		{"LongestOnceComposed", strings.Repeat("e\u0301", 40), strings.Repeat("\u00e9", 40)},
		{"Empty", "", ""},
		{"Spaces", " \u00a0\u2003", ""},
		{"InvisibleAlone", "\u200b\u2060\u200d", ""},
		{"HangulFillers", "\u3164\u115f\u1160\uffa0", ""},
		{"VariationAlone", "\ufe0f\u180b\U000e0100", ""},
		{"BrailleBlank", "\u2800", ""},
		{"NullNotehead", "\U0001d159", ""},
		{"BrailleLetters", "\u2801\u2800\u2803", "\u2801\u2800\u2803"},
		{"LostInDecoding", "Ja\ufffdne", ""},
		{"TooLong", strings.Repeat("界", 41), ""},
		{"Huge", strings.Repeat("x", 100_000), ""},
		{"NUL", "Ja\x00ne", ""},
		{"Newline", "Jane\n", ""},
		{"CarriageReturn", "Jane\rDoe", ""},
		{"Tab", "Jane\tDoe", ""},
		{"Delete", "Jane\x7f", ""},
		{"C1Control", "Jane\u0085Doe", ""},
		{"LineSeparator", "Jane\u2028Doe", ""},
		{"ParagraphSeparator", "Jane\u2029Doe", ""},
		{"RightToLeftOverride", "Jane\u202eDoe", ""},
		{"Isolate", "Jane\u2066Doe", ""},
		{"RightToLeftMark", "Jane\u200f", ""},
		{"BrokenUTF8", "Jane\xff", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := Name("field", test.value, 40)
			check(t, test.value, got, test.want, err)
		})
	}
}

func TestConfirmation(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, value, want string }{
		{"Exact", "Jane's", "Jane's"},
		{"SpacesStay", " Jane's\n", " Jane's\n"},
		{"Composed", "Zoe\u0308", "Zo\u00eb"},
		{"CaseStays", "JANE's", "JANE's"},
		{"Empty", "", ""},
		{"NUL", "\x00", "\x00"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := Confirmation(test.value); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestEmail(t *testing.T) {
	t.Parallel()
	// The longest domain whose labels are of legal length.
	label := strings.Repeat("d", 63)
	domain := func(length int) string {
		return (label + "." + label + "." + label + "." + label)[:length-4] + ".com"
	}
	local := strings.Repeat("l", 64)
	for _, test := range []struct{ name, value, want string }{
		{"Plain", "name@example.com", "name@example.com"},
		{"LowerCased", "Name@EXAMPLE.Com", "name@example.com"},
		{"Trimmed", " \tname@example.com\n", "name@example.com"},
		{"Tag", "name+tag@example.com", "name+tag@example.com"},
		{"Dots", "first.last@mail.example.co.uk", "first.last@mail.example.co.uk"},
		{"AllowedMarks", "!#$%&'*+/=?^_`{|}~-@example.com", "!#$%&'*+/=?^_`{|}~-@example.com"},
		{"Digits", "1@2.com", "1@2.com"},
		{"Punycode", "name@xn--bcher-kva.example", "name@xn--bcher-kva.example"},
		{"LongestLocal", local + "@example.com", local + "@example.com"},
		{"Longest", local + "@" + domain(254-65), local + "@" + domain(254-65)},
		{"Empty", "", ""},
		{"Spaces", "   ", ""},
		{"NoAt", "name.example.com", ""},
		{"NoLocal", "@example.com", ""},
		{"NoDomain", "name@", ""},
		{"NoDot", "name@example", ""},
		{"TwoAts", "na@me@example.com", ""},
		{"TwoAddresses", "a@example.com,b@example.com", ""},
		{"DisplayName", "Name <name@example.com>", ""},
		{"AngleBrackets", "<name@example.com>", ""},
		{"Comment", "name(comment)@example.com", ""},
		{"Quoted", `"na me"@example.com`, ""},
		{"InnerSpace", "na me@example.com", ""},
		{"DotsInARow", "na..me@example.com", ""},
		{"DotFirst", ".name@example.com", ""},
		{"DotLast", "name.@example.com", ""},
		{"DomainDotFirst", "name@.example.com", ""},
		{"DomainDotLast", "name@example.com.", ""},
		{"DomainDotsInARow", "name@example..com", ""},
		{"HyphenFirst", "name@-example.com", ""},
		{"HyphenLast", "name@example-.com", ""},
		{"Underscore", "name@exam_ple.com", ""},
		{"AddressLiteral", "name@[127.0.0.1]", ""},
		{"LongLocal", local + "l@example.com", ""},
		{"LongLabel", "name@" + label + "d.com", ""},
		{"TooLong", local + "@" + domain(255-65), ""},
		{"Huge", strings.Repeat("x", 100_000) + "@example.com", ""},
		{"OtherScript", "名前@example.com", ""},
		{"OtherScriptDomain", "name@例え.com", ""},
		{"LooksLikeAnotherLetter", "\u212aelvin@example.com", ""}, // the Kelvin sign, k in lower case
		{"HeaderInjection", "name@example.com\r\nBcc: other@example.com", ""},
		{"NUL", "na\x00me@example.com", ""},
		{"RightToLeftOverride", "na\u202eme@example.com", ""},
		{"BrokenUTF8", "na\xffme@example.com", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := Email("field", test.value)
			check(t, test.value, got, test.want, err)
		})
	}
}

func TestPassword(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, value string
		accepted    bool
	}{
		{"Shortest", "12345678", true},
		{"TooShort", "1234567", false},
		{"Longest", strings.Repeat("x", 128), true},
		{"TooLong", strings.Repeat("x", 129), false},
		{"Huge", strings.Repeat("x", 100_000), false},
		{"ShortestInCharacters", strings.Repeat("界", 8), true},
		{"TooShortInCharacters", strings.Repeat("界", 7), false},
		{"LongestInCharacters", strings.Repeat("👩", 128), true},
		{"SpacesStay", "  spaces  ", true},
		{"ComposedAsTyped", "Zoe\u0308 and more", true},
		{"Empty", "", false},
		{"NUL", "12345\x006789", false},
		{"BrokenUTF8", "123456789\xff", false},
		{"LostInDecoding", strings.Repeat("\ufffd", 9), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			want := ""
			if test.accepted {
				want = test.value
			}
			got, err := Password("field", test.value)
			check(t, test.value, got, want, err)
		})
	}
}

func TestSearch(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, value, want string }{
		{"Folded", "JANE", "jane"},
		{"Trimmed", "  Jane Doe ", "jane doe"},
		{"Wildcards", `100%_\`, `100%_\`},
		{"Longest", strings.Repeat("界", 100), strings.Repeat("界", 100)},
		{"TooLong", strings.Repeat("界", 101), ""},
		{"Huge", strings.Repeat("x", 100_000), ""},
		{"NUL", "\x00", ""},
		{"Newline", "a\nb", ""},
		{"RightToLeftOverride", "a\u202eb", ""},
		{"BrokenUTF8", "\xff", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := Search("field", test.value)
			check(t, test.value, got, test.want, err)
		})
	}
	for _, empty := range []string{"", "  "} {
		if got, err := Search("field", empty); got != "" || err != nil {
			t.Errorf("%q became %q, %v; want no search", empty, got, err)
		}
	}
}

func TestFold(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, one, other string }{
		{"Case", "Jane", "jANE"},
		{"Composition", "Zo\u00eb", "ZOE\u0308"},
		{"SharpS", "Straße", "STRASSE"},
		{"Sigma", "ΟΔΥΣΣΕΥΣ", "οδυσσευς"},
		{"Cyrillic", "ЮРИЙ", "юрий"},
		{"ComposedByFolding", "\u1e9e\u0301", "ss\u0301"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			folded := Fold(test.one)
			if other := Fold(test.other); folded != other {
				t.Errorf("%q and %q became %q and %q", test.one, test.other, folded, other)
			}
			if again := Fold(folded); again != folded {
				t.Errorf("%q became %q when folded again", folded, again)
			}
		})
	}
	for _, different := range [][2]string{{"Jane", "Janet"}, {"Zoë", "Zoe"}, {"日", "本"}} {
		if Fold(different[0]) == Fold(different[1]) {
			t.Errorf("%q and %q became the same", different[0], different[1])
		}
	}
}

func TestSlug(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, value, want string }{
		{"Plain", "Jane Doe", "janedoe"},
		{"Accents", "Zoë Müller-Lüdenscheid", "zoemullerludensc"},
		{"Composition", "Zoe\u0308", "zoe"},
		{"SharpS", "Straße", "strasse"},
		{"Ligature", "ﬁlip", "filip"},
		{"FullWidth", "Ｊａｎｅ７", "jane7"},
		{"MathLetters", "𝓙𝓪𝓷𝓮", "jane"},
		{"Digits", "Agent 47", "agent47"},
		{"OtherScripts", "山田 محمد Юрий", ""},
		{"Mixed", "山田 Taro", "taro"},
		{"Cut", "abcdefghijklmnopqrstuvwxyz", "abcdefghijklmnop"},
		{"CutInsideALetter", "abcdefghijklmnoß", "abcdefghijklmnos"},
		{"Empty", "", ""},
		{"Marks", "<!-- '; DROP --> \x00", "drop"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := Slug(test.value, 16); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// FuzzEmail shows that what is accepted is an address in its one spelling, which needs no care when
// it is put into a mail.
func FuzzEmail(f *testing.F) {
	for _, address := range []string{
		"name@example.com", " Name@EXAMPLE.com\t", "a@b", "a..b@example.com", "a@[127.0.0.1]", `"a b"@example.com`, "a@example.com\r\nBcc: b@example.com",
		"Name <a@example.com>", "\u212aa@example.com", "a@ex\x00ample.com", "@", strings.Repeat("a", 64) + "@" + strings.Repeat("b", 63) + ".com",
	} {
		f.Add(address)
	}
	f.Fuzz(func(t *testing.T, value string) {
		address, err := Email("email", value)
		if err != nil {
			return
		}
		again, err := Email("email", address)
		if err != nil || again != address || len(address) > MaxEmail || strings.Count(address, "@") != 1 ||
			strings.ContainsFunc(address, func(r rune) bool {
				return r <= ' ' || r > '~' || 'A' <= r && r <= 'Z' || strings.ContainsRune(`<>()[],;:\"`, r)
			}) {
			t.Errorf("%q became %q, and that %q, %v", value, address, again, err)
		}
	})
}

// FuzzName shows that what is accepted is one line of text in its one spelling.
func FuzzName(f *testing.F) {
	for _, name := range []string{
		"Ada", " Ada  Lovelace ", "A\u030a", "\u0344", "\u200b", "\u202egnp", "a\nb", "\xff", "\x00", "\ufdfa", "👩‍🚀", strings.Repeat("\u0301", 60), "\u3000", "<b>",
	} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, value string) {
		name, err := Name("name", value, MaxPersonName)
		if err != nil {
			return
		}
		again, err := Name("name", name, MaxPersonName)
		if err != nil || again != name || utf8.RuneCountInString(name) > MaxPersonName || !utf8.ValidString(name) ||
			strings.ContainsFunc(name, unicode.IsControl) || strings.TrimSpace(name) != name || name == "" {
			t.Errorf("%q became %q, and that %q, %v", value, name, again, err)
		}
		if slug := Slug(name, 16); len(slug) > 16 || strings.Trim(slug, "abcdefghijklmnopqrstuvwxyz0123456789") != "" {
			t.Errorf("the slug of %q is %q", name, slug)
		}
	})
}
