package db_test

// What PostgreSQL is sent of a statement.

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"studio/db/dbtest"
)

func TestPreparedStatements(t *testing.T) {
	t.Parallel()
	s := open(t, dbtest.Postgres(t))
	s.ok(s.Migrate(t.Context()))
	// Each is asked by itself on one connection, which then tells what it has prepared for it.
	conn, err := s.Pool().Conn(t.Context())
	s.ok(err)
	defer func() { _ = conn.Close() }()
	prepared := func() (texts []string) {
		rows, err := conn.QueryContext(t.Context(), "TABLE pg_prepared_statements") // which is not prepared itself
		s.ok(err)
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			var name, text, at, types, fromSQL, generic, custom any
			s.ok(rows.Scan(&name, &text, &at, &types, &fromSQL, &generic, &custom))
			texts = append(texts, text.(string)) //nolint:forcetypeassert // it is text
		}
		s.ok(rows.Err())
		return texts
	}
	for name, test := range map[string]struct {
		statement string
		prepared  string // "" when it is sent as it is
	}{
		"Text":          {`SELECT id FROM users WHERE email = 'ada'`, `SELECT id FROM users WHERE email = $1`},
		"Apostrophes":   {`SELECT id FROM users WHERE email IN ('', '''', 'it''s', '''x''')`, `SELECT id FROM users WHERE email IN ($1, $2, $3, $4)`},
		"Backslash":     {`SELECT id FROM users WHERE email LIKE '%\%' ESCAPE '\'`, `SELECT id FROM users WHERE email LIKE $1 ESCAPE $2`},
		"LooksQuoted":   {`SELECT id FROM users WHERE last_name = 'say "5" or $1'`, `SELECT id FROM users WHERE last_name = $1`},
		"Numbers":       {`SELECT id FROM events WHERE (seq, id) > (10, 'evt') LIMIT 21`, `SELECT id FROM events WHERE (seq, id) > ($1, $2) LIMIT $3`},
		"Fraction":      {`SELECT id FROM coupons WHERE percent_off = 33.33`, `SELECT id FROM coupons WHERE percent_off = $1`},
		"BelowZero":     {`SELECT id FROM events WHERE seq > -12`, `SELECT id FROM events WHERE seq > -12`},
		"Time":          {`SELECT id FROM users WHERE created_at < '2026-01-02 03:04:05+00:00'`, `SELECT id FROM users WHERE created_at < $1`},
		"Names":         {`SELECT u1.id AS n2 FROM users AS u1`, `SELECT u1.id AS n2 FROM users AS u1`},
		"QuotedNames":   {`SELECT "id" AS "of 1 ""user""" FROM "users"`, `SELECT "id" AS "of 1 ""user""" FROM "users"`},
		"Change":        {`UPDATE organizations SET event_seq = event_seq + 1 WHERE id = 'org'`, `UPDATE organizations SET event_seq = event_seq + $1 WHERE id = $2`},
		"Many":          {`SELECT id FROM users WHERE email IN (` + repeated("'x'", 48) + `)`, `SELECT id FROM users WHERE email IN (` + numbered(48) + `)`},
		"TooMany":       {`SELECT id FROM users WHERE email IN (` + repeated("'x'", 49) + `)`, ""},
		"Place":         {`SELECT id FROM users WHERE email = 'ada' ORDER BY 1`, ""},
		"Definition":    {`CREATE TABLE sevens (seven integer DEFAULT 7)`, ""},
		"OddApostrophe": {`SELECT id AS "it's" FROM users WHERE email = 'ada'`, ""},
		"OddQuote":      {`SELECT id FROM users WHERE email = '"'`, ""},
	} {
		before := prepared()
		if rows, err := conn.QueryContext(t.Context(), test.statement); err != nil {
			t.Errorf("%s: %v", name, err)
		} else if err := rows.Close(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		added := slices.DeleteFunc(prepared(), func(text string) bool { return slices.Contains(before, text) })
		if got := strings.Join(added, "; "); got != test.prepared {
			t.Errorf("%s: PostgreSQL prepared %q, want %q", name, got, test.prepared)
		}
	}
}

func repeated(value string, times int) string {
	return strings.Join(slices.Repeat([]string{value}, times), ", ")
}

func numbered(count int) string {
	names := make([]string, count)
	for i := range names {
		names[i] = fmt.Sprintf("$%d", i+1)
	}
	return strings.Join(names, ", ")
}

// TestTexts reads back what was written, whatever it is.
func TestTexts(t *testing.T) {
	on(t, func(s *store) {
		for i, name := range []string{
			"", "'", "''", `\`, `\'`, `'; DROP TABLE users; --`, `"`, `"'`, "$1", "?", "??", "12", "-1", "1.5", "NULL", "é", "😀", "a\nb\tc",
			"BY 1", "E'x'", "$$", strings.Repeat("'", 99),
		} {
			organization := s.organization(fmt.Sprint("Example", i))
			organization.Name, organization.NameKey = name, name+"'"
			s.ok(s.UpdateOrganizationName(s.Context(), organization))
			found, err := s.OrganizationsByID(s.Context(), []string{organization.ID})
			s.ok(err)
			if found[0].Name != name || found[0].NameKey != name+"'" {
				s.Errorf("wrote %q and %q, read %q and %q", name, name+"'", found[0].Name, found[0].NameKey)
			}
		}
	})
}

// TestIsolation holds that what transactions rely on is no matter of how a role or a database is set up.
func TestIsolation(t *testing.T) {
	t.Parallel()
	address, err := url.Parse(dbtest.Postgres(t))
	if err != nil {
		t.Fatal(err)
	}
	query := address.Query()
	query.Set("default_transaction_isolation", "serializable")
	address.RawQuery = query.Encode()
	s := open(t, address.String())
	var level string
	s.ok(s.Pool().QueryRowContext(t.Context(), "SHOW transaction_isolation").Scan(&level))
	if level != "read committed" {
		t.Errorf("transactions are %s", level)
	}
}
