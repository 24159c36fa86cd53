package db_test

import (
	"slices"
	"testing"

	"studio/db"
)

// Those who are accepted at other pairs of the same users and organizations are not listed.
func TestAcceptedMemberships(t *testing.T) {
	on(t, func(s *store) {
		home, away := s.organization("Home"), s.organization("Away")
		ada, bob := s.user("ada"), s.user("bob")
		own := accepted(home, ada)
		s.ok(s.InsertMembership(s.Context(), own))
		s.ok(s.InsertMembership(s.Context(), accepted(home, bob)))
		s.ok(s.InsertMembership(s.Context(), accepted(away, ada)))
		s.ok(s.InsertMembership(s.Context(), membership(away, bob.Email)))
		found, err := s.AcceptedMemberships(s.Context(), []db.Place{{home.ID, ada.ID}, {away.ID, bob.ID}, {away.ID, "unknown"}})
		s.ok(err)
		var ids []string
		for _, m := range found {
			ids = append(ids, m.ID)
		}
		if !slices.Equal(ids, []string{own.ID}) {
			s.Errorf("found %v, want only %s", ids, own.ID)
		}
	})
}
