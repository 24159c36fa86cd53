package resolvers_test

import (
	"encoding/csv"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/tidwall/gjson"

	"studio/db"
	"studio/db/dbtest"
	"studio/event"
)

// download asks for an organization's log as a file, with headers of one's own.
func (p *person) download(organizationID, file string, header http.Header) *answer {
	p.Helper()
	request, err := http.NewRequestWithContext(p.Context(), http.MethodGet, p.url+"/organizations/"+organizationID+"/"+file, nil)
	if err != nil {
		p.Fatal(err)
	}
	if request.Header = header; header == nil {
		request.Header = http.Header{"Authorization": {"Bearer " + p.token}}
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		p.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		p.Fatal(err)
	}
	return &answer{studio: p.studio, status: response.StatusCode, header: response.Header, body: string(text)}
}

func TestLogFile(t *testing.T) {
	t.Parallel()
	t.Run("Whole", func(t *testing.T) {
		on(t, func(s *studio) {
			owner := s.signUp("owner")
			home := owner.home()
			owner.do(updateOrganization, vars{"org": home, "name": `Ada, "Bob" & Söhne`})
			const more = 1_200 // several pages
			s.lengthen(home, more)
			a := owner.download(home, "events.ndjson", nil)
			lines := strings.Split(strings.TrimSuffix(a.body, "\n"), "\n")
			if len(lines) != more+2 {
				s.Fatalf("%d lines", len(lines))
			}
			for i, line := range lines {
				if got := gjson.Get(line, "seq").Int(); got != int64(i+1) {
					s.Fatalf("line %d is %s", i, line)
				}
			}
			renamed := gjson.Parse(lines[1])
			for path, want := range map[string]string{
				"type": "ORGANIZATION_UPDATED", "actorName": "owner Example", "actorEmail": "owner@example.com", "subjectId": home,
				"summary": `owner Example renamed the organization from owner's Organization to Ada, "Bob" & Söhne.`,
			} {
				if got := renamed.Get(path).String(); got != want {
					s.Errorf("%s is %q, want %q", path, got, want)
				}
			}
			rows, err := csv.NewReader(strings.NewReader(owner.download(home, "events.csv", nil).body)).ReadAll()
			if err != nil || len(rows) != more+3 {
				s.Fatalf("%d rows and the error %v", len(rows), err)
			}
			for i, line := range lines {
				object := gjson.Parse(line)
				var want []string
				for _, column := range rows[0] {
					want = append(want, object.Get(column).String())
				}
				if !slices.Equal(rows[i+1], want) {
					s.Fatalf("the CSV has %q, NDJSON %q", rows[i+1], want)
				}
			}
			for name, want := range map[string]string{
				"Cache-Control": "no-store", "Content-Type": "application/x-ndjson",
				"Content-Disposition": `attachment; filename="ownerexample-events.ndjson"`,
			} {
				if got := a.header.Get(name); got != want {
					s.Errorf("%s is %q, want %q", name, got, want)
				}
			}
		})
	})
	t.Run("Formulas", func(t *testing.T) {
		on(t, func(s *studio) {
			owner := s.signUp("owner")
			home := owner.home()
			for _, start := range []string{"=", "+", "-", "@"} {
				owner.do(`mutation($name: String!) { updateProfile(input: { firstName: $name }) { user { id } } }`, vars{"name": start + "cmd|' /C calc'!A0"})
				owner.do(updateOrganization, vars{"org": home, "name": start})
				rows, err := csv.NewReader(strings.NewReader(owner.download(home, "events.csv", nil).body)).ReadAll()
				if err != nil {
					s.Fatal(err)
				}
				for _, text := range slices.Concat(rows...) {
					if strings.HasPrefix(text, start) {
						s.Errorf("a cell is %q", text)
					}
				}
				if last := rows[len(rows)-1]; !strings.HasPrefix(last[len(last)-1], "'"+start) {
					s.Errorf("the last row is %q", last)
				}
			}
		})
	})
	t.Run("Callers", func(t *testing.T) {
		on(t, func(s *studio) {
			owner, member, invited, stranger := s.signUp("owner"), s.signUp("member"), s.verified("invited"), s.signUp("stranger")
			home := owner.home()
			owner.join(home, member)
			owner.invite(home, invited.email)
			token := owner.do(`mutation { createApiToken(input: { name: "x" }) { token } }`, nil).str("createApiToken.token")
			cookie := func(value string) http.Header { return http.Header{"Cookie": {"studio_session=" + value}} }
			missing := stranger.download(db.NewID(db.OrganizationPrefix), "events.csv", nil)
			for name, test := range map[string]struct {
				who    *person
				header http.Header
				status int
			}{
				"Owner":     {owner, nil, 200},
				"Cookie":    {owner, cookie(owner.token), 200},
				"APIToken":  {owner, http.Header{"Authorization": {"Bearer " + token}}, 200},
				"PATCookie": {owner, cookie(token), 401},
				"Nobody":    {owner, http.Header{}, 401},
				"Rubbish":   {owner, http.Header{"Authorization": {"Bearer x"}}, 401},
				"Member":    {member, nil, 403},
				"Invited":   {invited, nil, 404},
				"Stranger":  {stranger, nil, 404},
			} {
				for _, file := range []string{"events.csv", "events.ndjson"} {
					a := test.who.download(home, file, test.header)
					if a.status != test.status || a.header.Get("Cache-Control") != "no-store" {
						s.Errorf("%s gets %d: %s", name, a.status, a.body)
					}
					if test.status == 404 && a.body != missing.body {
						s.Errorf("%s gets %q, and %q for what does not exist", name, a.body, missing.body)
					}
					if test.status != 200 && strings.Contains(a.body, "ORGANIZATION") {
						s.Errorf("%s reads %s", name, a.body)
					}
				}
			}
			for _, id := range []string{"x", "%00", owner.membership(home)} {
				if a := owner.download(id, "events.csv", nil); a.status != 404 || a.body != missing.body {
					s.Errorf("%s gets %d: %s", id, a.status, a.body)
				}
			}
		})
	})
	// The rest is not sent to one who has lost the right meanwhile, and what is cut off does not pass for whole.
	t.Run("Demoted", func(t *testing.T) {
		dbtest.Each(t, func(t *testing.T, open func(...db.Option) *db.DB) {
			s, demote := interruptible(t, open, &dbtest.Clock{}, `FROM "events"`)
			owner := s.signUp("owner")
			home := owner.home()
			s.lengthen(home, 1_200)
			do := func() {
				if _, err := s.db.Pool().ExecContext(t.Context(), "UPDATE memberships SET is_owner = false"); err != nil {
					t.Error(err)
				}
			}
			demote.Store(&do)
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+"/organizations/"+home+"/events.ndjson", nil)
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set("Authorization", "Bearer "+owner.token)
			response, err := http.DefaultClient.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = response.Body.Close() }()
			text, err := io.ReadAll(response.Body)
			if lines := strings.Count(string(text), "\n"); err == nil || lines > 500 {
				t.Errorf("read %d lines and the error %v", lines, err)
			}
		})
	})
}

// lengthen adds events to an organization's log.
func (s *studio) lengthen(organizationID string, count int) {
	s.Helper()
	err := s.db.InTx(s.Context(), func(tx *db.DB) error {
		for i := range count {
			if err := event.Record(s.Context(), tx, organizationID, db.OrganizationUpdated, nil, organizationID, fmt.Sprint("Event ", i)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		s.Fatal(err)
	}
}
