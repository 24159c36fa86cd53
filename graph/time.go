package graph

import (
	"time"

	"github.com/99designs/gqlgen/graphql"

	"studio/fault"
)

// MarshalTime writes an instant as gqlgen does.
func MarshalTime(t time.Time) graphql.Marshaler { return graphql.MarshalTime(t) }

// UnmarshalTime reads an instant. gqlgen would take "" for one in the year 1, and times without a zone.
func UnmarshalTime(value any) (time.Time, error) {
	text, _ := value.(string)
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		err = fault.New(fault.ValidationFailed, "Write a time as in RFC 3339, for example 2026-01-31T09:30:00Z.")
	}
	return t, err
}
