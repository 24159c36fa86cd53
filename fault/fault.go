// Package fault holds the errors that a caller of the API gets to see: a code for programs, a
// message that says what to do, and the input value it is about. Any error that is not
// a fault is unexpected and never shown.
package fault

import (
	"fmt"
	"math"
	"time"
)

// Code is the value of `extensions.code` on an error; the schema's ErrorCode describes each.
type Code string

// The codes, in the order of the schema.
const (
	BadRequest              Code = "BAD_REQUEST"
	ParseFailed             Code = "GRAPHQL_PARSE_FAILED"
	ValidationFailed        Code = "GRAPHQL_VALIDATION_FAILED"
	PersistedQueryNotFound  Code = "PERSISTED_QUERY_NOT_FOUND"
	Unauthenticated         Code = "UNAUTHENTICATED"
	Forbidden               Code = "FORBIDDEN"
	NotFound                Code = "NOT_FOUND"
	InvalidInput            Code = "INVALID_INPUT"
	Conflict                Code = "CONFLICT"
	RateLimited             Code = "RATE_LIMITED"
	QueryTooComplex         Code = "QUERY_TOO_COMPLEX"
	Unavailable             Code = "UNAVAILABLE"
	Internal                Code = "INTERNAL"
	InvalidCredentials      Code = "INVALID_CREDENTIALS"
	EmailTaken              Code = "EMAIL_TAKEN"
	EmailUnverified         Code = "EMAIL_UNVERIFIED"
	SubdomainTaken          Code = "SUBDOMAIN_TAKEN"
	ConfirmationMismatch    Code = "CONFIRMATION_MISMATCH"
	OrganizationNotEmpty    Code = "ORGANIZATION_NOT_EMPTY"
	LastOwner               Code = "LAST_OWNER"
	AlreadyMember           Code = "ALREADY_MEMBER"
	AlreadyInvited          Code = "ALREADY_INVITED"
	InvitationPending       Code = "INVITATION_PENDING"
	InvitationInvalid       Code = "INVITATION_INVALID"
	InvitationEmailMismatch Code = "INVITATION_EMAIL_MISMATCH"
	InstanceNameTaken       Code = "INSTANCE_NAME_TAKEN"
	InstanceURLTaken        Code = "INSTANCE_URL_TAKEN"
	InstanceBusy            Code = "INSTANCE_BUSY"
	ResizeCooldown          Code = "RESIZE_COOLDOWN"
	FreeLimitReached        Code = "FREE_LIMIT_REACHED"
	PaymentMethodRequired   Code = "PAYMENT_METHOD_REQUIRED"
	PaymentOverdue          Code = "PAYMENT_OVERDUE"
	CardDeclined            Code = "CARD_DECLINED"
	CardInUse               Code = "CARD_IN_USE"
	CouponInvalid           Code = "COUPON_INVALID"
	CouponExpired           Code = "COUPON_EXPIRED"
	CouponAlreadyAdded      Code = "COUPON_ALREADY_ADDED"
	CursorExpired           Code = "CURSOR_EXPIRED"
)

// Error is an error made for the caller.
type Error struct {
	Code    Code
	Message string
	// Field is the input value that is wrong, for example "subdomain"; resolvers put "input." before it.
	Field string
	// RetryAfter is how long to wait before trying again; zero when waiting does not help.
	RetryAfter time.Duration
	// Later is set when what was asked for goes on, and may have its effect yet.
	Later bool
}

// New makes an error; the message is formatted as by fmt.Sprintf.
func New(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Invalid makes an INVALID_INPUT error about one input value.
func Invalid(field, format string, args ...any) *Error {
	return New(InvalidInput, format, args...).On(field)
}

// On returns a copy of the error that points at an input value.
func (e *Error) On(field string) *Error {
	copied := *e
	copied.Field = field
	return &copied
}

// After returns a copy of the error with how long to wait.
func (e *Error) After(wait time.Duration) *Error {
	copied := *e
	copied.RetryAfter = wait
	return &copied
}

// GoingOn returns a copy of the error with Later set.
func (e *Error) GoingOn() *Error {
	copied := *e
	copied.Later = true
	return &copied
}

// Error returns the message.
func (e *Error) Error() string { return e.Message }

// Extensions is the error's `extensions` in a GraphQL response; `retryAfter` is in whole seconds,
// rounded up, so that a caller who waits that long is not refused again.
func (e *Error) Extensions() map[string]any {
	extensions := map[string]any{"code": string(e.Code)}
	if e.Field != "" {
		extensions["field"] = e.Field
	}
	if e.RetryAfter > 0 {
		extensions["retryAfter"] = int(math.Ceil(e.RetryAfter.Seconds()))
	}
	return extensions
}

// What does not exist and what is closed to the caller get the same answer, so that nobody learns
// which it is. These are the answers, for all who give them.
var (
	ErrNoOrganization    = New(NotFound, "There is no such organization.")
	ErrNoMembership      = New(NotFound, "There is no such user or invitation.")
	ErrNoInstance        = New(NotFound, "There is no such instance.")
	ErrNoInvoice         = New(NotFound, "There is no such invoice.")
	ErrNoWebhookEndpoint = New(NotFound, "There is no such webhook endpoint.")
	ErrNotOwner          = New(Forbidden, "Only an owner of the organization may do this.")
	ErrSignedOut         = New(Unauthenticated, "Sign in first.")
)
