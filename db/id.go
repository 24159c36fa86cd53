package db

// Typed IDs: a prefix that names the type, and a UUIDv7, so that they sort by time (TypeID).

import (
	"strings"
	"time"

	"github.com/google/uuid"
	"go.jetify.com/typeid"
)

// The prefixes of IDs, by the type that they name.
const (
	UserPrefix            = "user"
	SessionPrefix         = "sess"
	APITokenPrefix        = "token"
	OrganizationPrefix    = "org"
	MembershipPrefix      = "member"
	EventPrefix           = "event"
	JobPrefix             = "job"
	InstancePrefix        = "inst"
	BillingPrefix         = "billing"
	InvoicePrefix         = "invoice"
	CouponPrefix          = "coupon"
	WebhookEndpointPrefix = "hook"
	WebhookDeliveryPrefix = "delivery"
)

// NewID makes an ID with one of the prefixes above.
func NewID(prefix string) string {
	return typeid.Must(typeid.WithPrefix(prefix)).String()
}

// NewIDAt makes an ID that sorts as if it had been made at the given time.
func NewIDAt(prefix string, at time.Time) string {
	return IDFrom(prefix, at, uuid.Must(uuid.NewV7()))
}

// IDFrom makes an ID of a time and of the random bits that follow the first 48 and those of version
// and variant: the same of the same.
func IDFrom(prefix string, at time.Time, id [16]byte) string {
	millis := at.UnixMilli()
	for i := range 6 { // the first 48 bits, RFC 9562 5.7
		id[i] = byte(millis >> (40 - 8*i))
	}
	id[6], id[8] = 0x70|id[6]&0x0f, 0x80|id[8]&0x3f
	return typeid.Must(typeid.FromUUIDBytesWithPrefix(prefix, id[:])).String()
}

// ViewerIDOf is the ID of a user as the viewer, under a prefix of its own, as no two objects have the
// same.
func ViewerIDOf(userID string) string { return "viewer" + strings.TrimPrefix(userID, UserPrefix) }

// BillingIDOf is the ID of an organization's billing, which is one thing with the organization.
func BillingIDOf(organizationID string) string {
	return BillingPrefix + strings.TrimPrefix(organizationID, OrganizationPrefix)
}

// OrganizationIDOf is the reverse of BillingIDOf.
func OrganizationIDOf(billingID string) string {
	return OrganizationPrefix + strings.TrimPrefix(billingID, BillingPrefix)
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
