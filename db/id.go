package db

// Typed IDs: a prefix that names the type, and a UUIDv7, so that they sort by time (TypeID).

import (
	"go.jetify.com/typeid"
)

// The prefixes of IDs, by the type that they name.
const (
	UserPrefix         = "user"
	SessionPrefix      = "sess"
	APITokenPrefix     = "token"
	OrganizationPrefix = "org"
	MembershipPrefix   = "member"
	EventPrefix        = "event"
	JobPrefix          = "job"
)

// NewID makes an ID with one of the prefixes above.
func NewID(prefix string) string {
	return typeid.Must(typeid.WithPrefix(prefix)).String()
}

// PrefixOf returns the prefix of an ID, and "" for a text that is no ID at all.
func PrefixOf(id string) string {
	parsed, err := typeid.FromString(id)
	if err != nil || parsed.String() != id {
		return ""
	}
	return parsed.Prefix()
}

// wellFormed yields ErrNotFound for a text that is no ID of the type, since no row has it. Such
// texts, which may hold anything, get no further than here.
func wellFormed(prefix, id string) error {
	if PrefixOf(id) != prefix {
		return ErrNotFound
	}
	return nil
}
