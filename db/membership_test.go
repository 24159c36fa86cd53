package db_test

import (
	"slices"
	"strings"
	"testing"

	"studio/db"
	"studio/db/dbtest"
)

func TestAcceptedMemberships(t *testing.T) {
	t.Parallel()
	// Those who are accepted at other pairs of the same users and organizations are not listed.
	t.Run("Pairs", func(t *testing.T) {
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
	})
	// Each place is found along the index, and not among all memberships or all of its user.
	t.Run("AlongTheIndex", func(t *testing.T) {
		dbtest.Each(t, func(t *testing.T, open func(...db.Option) *db.DB) {
			var sent string
			s := &store{T: t, DB: open(db.WithStatementHook(func(query string) { sent = query }))}
			_, err := s.AcceptedMemberships(t.Context(), []db.Place{{"org_a", "user_a"}, {"org_b", "user_b"}})
			s.ok(err)
			explain, want := "EXPLAIN ", "Index Cond: ((user_id = (unnest.unnest)::text) AND (organization_id = (unnest.unnest_1)::text))"
			if strings.HasSuffix(t.Name(), "sqlite") { // which has an index of its own for the constraint
				explain, want = "EXPLAIN QUERY PLAN ", "SEARCH m USING INDEX sqlite_autoindex_memberships_3 (organization_id=? AND user_id=?)"
			}
			rows, err := s.Pool().QueryContext(t.Context(), explain+sent)
			s.ok(err)
			defer func() { _ = rows.Close() }()
			columns, err := rows.Columns()
			s.ok(err)
			var plan string
			for rows.Next() {
				var line string // the last column; before it, SQLite has three numbers
				values := make([]any, len(columns))
				for i := range values {
					values[i] = new(any)
				}
				values[len(values)-1] = &line
				s.ok(rows.Scan(values...))
				plan += line + "\n"
			}
			s.ok(rows.Err())
			if !strings.Contains(plan, want) {
				t.Errorf("got the plan\n%s\nwithout %s", plan, want)
			}
		})
	})
}
