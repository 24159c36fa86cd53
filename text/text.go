// Package text checks what people type: names, addresses, passwords, search terms. Each check
// returns the value as it is to be stored, or an INVALID_INPUT fault that names the input value.
package text

import (
	"net/mail"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"studio/fault"
)

// Limits of what people type, in characters (Unicode code points).
const (
	MaxPersonName       = 40 // first and last name, as in HarperDB Studio
	MaxOrganizationName = 64
	MaxTokenName        = 64
	MaxEmail            = 254 // RFC 5321, 4.5.3.1.3, less the angle brackets
	MinPassword         = 8
	MaxPassword         = 128
	MaxSearch           = 100
)

// Name checks a name of 1 to limit characters in any script: trimmed, in Unicode's composed form
// (NFC), so that a name typed on another keyboard compares equal.
func Name(field, value string, limit int) (string, error) {
	if err := Plain(field, value); err != nil {
		return "", err
	}
	name := strings.TrimSpace(norm.NFC.String(value))
	switch length := utf8.RuneCountInString(name); {
	case !strings.ContainsFunc(name, visible):
		return "", fault.Invalid(field, "Enter 1 to %d characters; this is empty.", limit)
	case length > limit:
		return "", fault.Invalid(field, "Enter at most %d characters; these are %d.", limit, length)
	}
	return name, nil
}

// visible tells letters and signs from spaces, from what only joins, parts or varies others, and from letters that
// fill a place and show nothing: the blank of Braille and the null notehead.
func visible(r rune) bool {
	return unicode.IsGraphic(r) && !unicode.IsSpace(r) && r != '\u2800' && r != '\U0001d159' &&
		!unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// Confirmation prepares a typed confirmation for comparison with a stored name, however the
// keyboard composes letters. It refuses nothing: what is not the name is told by the comparison.
func Confirmation(value string) string {
	return norm.NFC.String(value)
}

// domain is the part after the @ that HTML's input of type email accepts, with at least one dot,
// as an address without one is a slip of the finger on the open internet.
// https://html.spec.whatwg.org/multipage/input.html#valid-e-mail-address
var domain = regexp.MustCompile(`^[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)+$`)

// local is the part before the @, by the same source.
var local = regexp.MustCompile("^[a-zA-Z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}$")

// Email checks an address of at most 254 characters: trimmed and lower-cased, since two
// spellings of one address are one mailbox with every provider in use.
func Email(field, value string) (string, error) {
	address := strings.TrimSpace(value) // lower-cased last: there are letters that only then become a-z
	before, after, _ := strings.Cut(address, "@")
	parsed, err := mail.ParseAddress(address) // also refuses what the patterns let through: dots in a row, at an end
	if err != nil || parsed.Address != address || len(address) > MaxEmail || !local.MatchString(before) || !domain.MatchString(after) {
		return "", fault.Invalid(field, "Enter an email address such as name@example.com, of at most %d characters.", MaxEmail)
	}
	return strings.ToLower(address), nil
}

// Password checks the length of a new password and keeps it as it was typed.
func Password(field, value string) (string, error) {
	if !utf8.ValidString(value) || strings.ContainsAny(value, "\x00\ufffd") { // which stands for any character that got lost
		return "", fault.Invalid(field, "This password has a character that cannot be typed; choose another.")
	}
	if length := utf8.RuneCountInString(value); length < MinPassword || length > MaxPassword {
		return "", fault.Invalid(field, "Choose a password of %d to %d characters; this one has %d.", MinPassword, MaxPassword, length)
	}
	return value, nil
}

// Search checks a search term and folds it, for comparison with folded names.
func Search(field, value string) (string, error) {
	if err := Plain(field, value); err != nil {
		return "", err
	}
	if utf8.RuneCountInString(value) > MaxSearch {
		return "", fault.Invalid(field, "Search for at most %d characters.", MaxSearch)
	}
	return Fold(strings.TrimSpace(value)), nil
}

// Fold returns the form in which names are sorted and searched: case and the ways of composing a
// letter make no difference, in any script.
func Fold(value string) string {
	return norm.NFC.String(cases.Fold().String(value))
}

// Slug derives a word of a-z and 0-9 from a name: accents are dropped, all else left out.
func Slug(value string, limit int) string {
	slug := make([]byte, 0, limit)
	for _, r := range cases.Fold().String(norm.NFKD.String(value)) {
		if ('a' <= r && r <= 'z' || '0' <= r && r <= '9') && len(slug) < limit {
			slug = append(slug, byte(r))
		}
	}
	return string(slug)
}

// Storable leaves out of a text that nobody has checked NUL, which no database stores, and broken UTF-8.
func Storable(value string) string {
	return strings.ToValidUTF8(strings.ReplaceAll(value, "\x00", ""), "")
}

// Plain refuses what has no place in one line of text: broken UTF-8 and what was lost by it, control
// characters, line separators, and the marks that turn the direction of text around, with which a name can be
// made to look like another.
func Plain(field, value string) error {
	if !utf8.ValidString(value) {
		return fault.Invalid(field, "This is not valid UTF-8 text.")
	}
	if strings.ContainsRune(value, utf8.RuneError) { // what half a surrogate in JSON has become
		return fault.Invalid(field, "A character got lost on the way here; remove U+FFFD.")
	}
	for _, r := range value {
		if unicode.IsControl(r) || unicode.In(r, unicode.Zl, unicode.Zp) || unicode.Is(unicode.Bidi_Control, r) {
			return fault.Invalid(field, "Control characters and line breaks are not allowed here; remove U+%04X.", r)
		}
	}
	return nil
}
