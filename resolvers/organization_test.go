package resolvers_test

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tidwall/gjson"

	"studio/db"
	"studio/fault"
)

const (
	createOrganization = `mutation($name: String!, $subdomain: String!) {
		createOrganization(input: { name: $name, subdomain: $subdomain }) {
			organization { id name subdomain viewerMembership { isOwner status } }
		}
	}`
	updateOrganization = `mutation($org: ID!, $name: String!) {
		updateOrganization(input: { organizationId: $org, name: $name }) { organization { id name } }
	}`
	deleteOrganization = `mutation($org: ID!, $name: String!) {
		deleteOrganization(input: { organizationId: $org, confirmName: $name }) { deletedOrganizationId }
	}`
	organizationByID     = `query($id: ID!) { organization(id: $id) { name } }`
	countOrganizations   = `{ viewer { organizations { totalCount } } }`
	checkSubdomain       = `query($subdomain: String!) { subdomainAvailability(subdomain: $subdomain) { subdomain available reason } }`
	landingOrganization  = `{ viewer { landingOrganization { id } } }`
	organizationAtDomain = `query($subdomain: String!) { organizationBySubdomain(subdomain: $subdomain) { id } }`
)

// create creates an organization and returns its ID.
func (p *person) create(name, subdomain string) string {
	p.Helper()
	return p.do(createOrganization, vars{"name": name, "subdomain": subdomain}).str("createOrganization.organization.id")
}

// state is all that an organization holds and its log, to be compared.
func (s *studio) state(organizationID string) string {
	s.Helper()
	organizations, err := s.db.OrganizationsByID(s.Context(), []string{organizationID})
	users, usersErr := s.db.UsersOfOrganizations(s.Context(), []string{organizationID}, db.MembershipFilter{}, db.Page{Limit: 100})
	events, eventsErr := s.db.EventsAfter(s.Context(), organizationID, 0, 1000)
	instances, instancesErr := s.db.InstancesOf(s.Context(), organizationID)
	accounts, accountsErr := s.db.BillingAccountsOf(s.Context(), []string{organizationID})
	invoices, invoicesErr := s.db.InvoicesOfOrganizations(s.Context(), []string{organizationID}, "", db.Page{Limit: 100})
	coupons, couponsErr := s.db.CouponsOfOrganizations(s.Context(), []string{organizationID})
	if err := errors.Join(err, usersErr, eventsErr, instancesErr, accountsErr, invoicesErr, couponsErr); err != nil {
		s.Fatal(err)
	}
	for _, user := range users[0].Nodes {
		user.InvitationDelivery = nil // goes on in the background; the mail's job is compared
	}
	text, err := json.Marshal([]any{organizations, users, events, instances, accounts, invoices, coupons})
	if err != nil {
		s.Fatal(err)
	}
	return string(text)
}

// refusedWhole is refused, and nothing about the organization may change.
func (p *person) refusedWhole(organizationID string, code fault.Code, field, query string, variables vars) {
	p.Helper()
	before := p.state(organizationID)
	p.refused(code, field, query, variables)
	if after := p.state(organizationID); after != before {
		p.Errorf("refused, but changed from\n%s\nto\n%s", before, after)
	}
}

// log lists what happened in an organization, deleted or not, oldest first.
func (s *studio) log(organizationID string) []db.EventType {
	s.Helper()
	events, err := s.db.EventsAfter(s.Context(), organizationID, 0, 1000)
	if err != nil {
		s.Fatal(err)
	}
	var types []db.EventType
	for _, event := range events {
		types = append(types, event.Type)
	}
	return types
}

// wantLog compares the log that follows ORGANIZATION_CREATED.
func (s *studio) wantLog(organizationID string, want ...db.EventType) {
	s.Helper()
	want = append([]db.EventType{db.OrganizationCreated}, want...)
	if got := s.log(organizationID); !slices.Equal(got, want) {
		s.Errorf("the log is %v, want %v", got, want)
	}
}

// atOnce is how many requests meet where a test is about requests that meet.
const atOnce = 50

// race sends requests at once and returns the answers.
func race(send func(i int) *answer) []*answer {
	answers := make([]*answer, atOnce)
	start := make(chan struct{})
	var racers sync.WaitGroup
	for i := range answers {
		racers.Go(func() {
			<-start
			answers[i] = send(i)
		})
	}
	close(start)
	racers.Wait()
	return answers
}

// succeeded returns the answers without an error. The others must have one of the codes.
func succeeded(answers []*answer, codes ...fault.Code) []*answer {
	var successes []*answer
	for _, a := range answers {
		code := gjson.Get(a.body, "errors.0.extensions.code")
		switch {
		case !code.Exists():
			successes = append(successes, a)
		case !slices.Contains(codes, fault.Code(code.String())):
			a.Errorf("got %s\nwant one of the codes %v", a.body, codes)
		}
	}
	return successes
}

// wantOne is succeeded when exactly one of the racers may.
func wantOne(answers []*answer, codes ...fault.Code) *answer {
	answers[0].Helper()
	successes := succeeded(answers, codes...)
	if len(successes) != 1 {
		answers[0].Fatalf("%d of %d succeeded, want one", len(successes), len(answers))
	}
	return successes[0]
}

// list reads the strings at a path.
func (a *answer) list(path string) []string {
	a.Helper()
	values := a.get(path)
	if !values.IsArray() {
		a.Fatalf("no list at %s in %s", path, a.body)
	}
	return texts(values)
}

func texts(values gjson.Result) []string {
	list := []string{}
	for _, value := range values.Array() {
		list = append(list, value.String())
	}
	return list
}

// connection is what walk wants to know of one.
const connection = `{ edges { cursor node { id } } nodes { id } totalCount
	pageInfo { hasNextPage hasPreviousPage startCursor endCursor } }`

// walk goes through a connection of a known length both ways, with every page size, and compares
// what it finds with the list in one piece. The query takes $first, $after, $last and $before.
func (p *person) walk(length int, path, query string, variables vars) {
	p.Helper()
	whole := p.page(path, query, variables, vars{"first": 100}, length)
	if len(whole.ids) != length {
		p.Fatalf("%d entries, want %d", len(whole.ids), length)
	}
	for size := 1; size <= length+1; size++ {
		var forward, backward []string
		var after, before any
		for more := true; more; {
			page := p.page(path, query, variables, vars{"first": size, "after": after}, length)
			if page.hasPrevious != (after != nil) {
				p.Errorf("first %d after %v: hasPreviousPage is %t", size, after, page.hasPrevious)
			}
			forward = append(forward, page.ids...)
			more, after = page.hasNext, page.end
		}
		for more := true; more; {
			page := p.page(path, query, variables, vars{"last": size, "before": before}, length)
			if page.hasNext != (before != nil) {
				p.Errorf("last %d before %v: hasNextPage is %t", size, before, page.hasNext)
			}
			backward = append(page.ids, backward...)
			more, before = page.hasPrevious, page.start
		}
		if !slices.Equal(forward, whole.ids) || !slices.Equal(backward, whole.ids) {
			p.Errorf("by %d: forward %v\nbackward %v\nwhole %v", size, forward, backward, whole.ids)
		}
	}
}

type page struct {
	ids                  []string
	hasNext, hasPrevious bool
	start, end           string
}

// page reads a page that is not empty, and compares what it tells in several ways.
func (p *person) page(path, query string, variables, arguments vars, length int) page {
	p.Helper()
	all := maps.Clone(arguments)
	maps.Copy(all, variables)
	a := p.do(query, all)
	ids, cursors := a.list(path+".nodes.#.id"), a.list(path+".edges.#.cursor")
	info := a.get(path + ".pageInfo")
	found := page{
		ids: ids, hasNext: info.Get("hasNextPage").Bool(), hasPrevious: info.Get("hasPreviousPage").Bool(),
		start: info.Get("startCursor").String(), end: info.Get("endCursor").String(),
	}
	switch {
	case len(ids) == 0:
		p.Fatalf("an empty page for %v", arguments)
	case !slices.Equal(ids, a.list(path+".edges.#.node.id")):
		p.Errorf("nodes and edges differ: %s", a.body)
	case found.start != cursors[0] || found.end != cursors[len(cursors)-1]:
		p.Errorf("the page's cursors are not those of its first and last edge: %s", a.body)
	case a.get(path+".totalCount").Int() != int64(length):
		p.Errorf("want the total %d: %s", length, a.body)
	}
	return found
}

func TestCreateOrganization(t *testing.T) {
	t.Parallel()
	t.Run("Created", func(t *testing.T) {
		on(t, func(s *studio) {
			founder := s.signUp("founder")
			created := founder.do(createOrganization, vars{"name": "  Acme ", "subdomain": " Acme1 "})
			created.want("createOrganization.organization.name", `"Acme"`)
			created.want("createOrganization.organization.subdomain", `"acme1"`)
			created.want("createOrganization.organization.viewerMembership", `{"isOwner":true,"status":"ACCEPTED"}`)
			founder.do(countOrganizations, nil).want("viewer.organizations.totalCount", `2`)
			s.wantLog(created.str("createOrganization.organization.id"))
		})
	})
	t.Run("LongestAndSame", func(t *testing.T) {
		on(t, func(s *studio) {
			founder := s.signUp("founder")
			name := strings.Repeat("ü", 64)
			founder.create(name, long(16))
			founder.create(name, "x")
			founder.do(countOrganizations, nil).want("viewer.organizations.totalCount", `3`)
		})
	})
	t.Run("Refused", func(t *testing.T) {
		on(t, func(s *studio) {
			founder := s.signUp("founder")
			founder.create("Acme", "acme")
			for _, test := range []struct {
				name, subdomain string
				code            fault.Code
				field           string
			}{
				{" ", "free", fault.InvalidInput, "input.name"},
				{long(65), "free", fault.InvalidInput, "input.name"},
				{"two\nlines", "free", fault.InvalidInput, "input.name"},
				{"Acme", "", fault.InvalidInput, "input.subdomain"},
				{"Acme", long(17), fault.InvalidInput, "input.subdomain"},
				{"Acme", "with-hyphen", fault.InvalidInput, "input.subdomain"},
				{"Acme", "größe", fault.InvalidInput, "input.subdomain"},
				{"Acme", "Admin", fault.InvalidInput, "input.subdomain"},
				{"Other", "ACME", fault.SubdomainTaken, "input.subdomain"},
			} {
				founder.refused(test.code, test.field, createOrganization, vars{"name": test.name, "subdomain": test.subdomain})
			}
			founder.do(countOrganizations, nil).want("viewer.organizations.totalCount", `2`)
		})
	})
	t.Run("SubdomainAtOnce", func(t *testing.T) {
		on(t, func(s *studio) {
			founder := s.signUp("founder")
			wantOne(race(func(int) *answer {
				return founder.send(createOrganization, vars{"name": "Acme", "subdomain": "acme"})
			}), fault.SubdomainTaken)
			founder.do(countOrganizations, nil).want("viewer.organizations.totalCount", `2`)
		})
	})
}

func TestUpdateOrganization(t *testing.T) {
	t.Parallel()
	t.Run("Renamed", func(t *testing.T) {
		on(t, func(s *studio) {
			owner := s.signUp("owner")
			home := owner.home()
			owner.do(updateOrganization, vars{"org": home, "name": " Acme "}).want("updateOrganization.organization.name", `"Acme"`)
			owner.do(organizationByID, vars{"id": home}).want("organization.name", `"Acme"`)
			s.wantLog(home, db.OrganizationUpdated)
		})
	})
	t.Run("SameName", func(t *testing.T) {
		on(t, func(s *studio) {
			owner := s.signUp("owner")
			home := owner.home()
			owner.do(updateOrganization, vars{"org": home, "name": "owner's Organization"}).
				want("updateOrganization.organization.name", `"owner's Organization"`)
			s.wantLog(home)
		})
	})
	t.Run("Refused", func(t *testing.T) {
		on(t, func(s *studio) {
			owner, member, stranger := s.signUp("owner"), s.signUp("member"), s.signUp("stranger")
			home := owner.home()
			owner.join(home, member)
			for _, test := range []struct {
				by    *person
				name  string
				code  fault.Code
				field string
			}{
				{owner, "", fault.InvalidInput, "input.name"},
				{owner, long(65), fault.InvalidInput, "input.name"},
				{member, "Acme", fault.Forbidden, "input.organizationId"},
				{stranger, "Acme", fault.NotFound, "input.organizationId"},
			} {
				test.by.refusedWhole(home, test.code, test.field, updateOrganization, vars{"org": home, "name": test.name})
			}
		})
	})
}

func TestDeleteOrganization(t *testing.T) {
	t.Parallel()
	t.Run("Deleted", func(t *testing.T) {
		on(t, func(s *studio) {
			owner, member, invited := s.signUp("owner"), s.signUp("member"), s.verified("invited")
			acme := owner.create("Acme", "acme")
			owner.join(acme, member)
			invitation := owner.invite(acme, invited.email)
			link := s.mailedToken(invited.email, "/invitations/")
			owner.do(`query($id: ID!) { organization(id: $id) { deletionBlockers { code } } }`, vars{"id": acme}).
				want("organization.deletionBlockers", `[]`)
			owner.do(deleteOrganization, vars{"org": acme, "name": "Acme"}).
				want("deleteOrganization.deletedOrganizationId", `"`+acme+`"`)

			for _, p := range []*person{owner, member, invited} {
				p.do(organizationByID, vars{"id": acme}).want("organization", `null`)
				p.do(organizationAtDomain, vars{"subdomain": "acme"}).want("organizationBySubdomain", `null`)
				p.do(`query($ids: [ID!]!) { nodes(ids: $ids) { id } }`, vars{"ids": []string{acme, invitation}}).want("nodes", `[null,null]`)
				p.refused(fault.NotFound, "input.organizationId", updateOrganization, vars{"org": acme, "name": "Other"})
				p.refused(fault.NotFound, "input.organizationId", leaveOrganization, vars{"org": acme, "name": "Acme"})
				p.refused(fault.NotFound, "input.organizationId", deleteOrganization, vars{"org": acme, "name": "Acme"})
				p.do(countOrganizations, nil).want("viewer.organizations.totalCount", `1`)
				p.do(viewerInvitations, nil).want("viewer.invitations", `[]`)
			}
			invited.refused(fault.InvitationInvalid, "input.token", acceptInvitation, vars{"token": link})
			s.nobody().do(checkSubdomain, vars{"subdomain": "acme"}).want("subdomainAvailability.reason", `"TAKEN"`)
			owner.refused(fault.SubdomainTaken, "input.subdomain", createOrganization, vars{"name": "Acme", "subdomain": "acme"})
			s.wantLog(acme, db.UserInvited, db.InvitationAccepted, db.UserInvited, db.OrganizationDeleted)
		})
	})
	t.Run("Refused", func(t *testing.T) {
		on(t, func(s *studio) {
			owner, member, stranger := s.signUp("owner"), s.signUp("member"), s.signUp("stranger")
			acme := owner.create("Acme", "acme")
			owner.join(acme, member)
			for _, test := range []struct {
				by    *person
				name  string
				code  fault.Code
				field string
			}{
				{owner, "", fault.ConfirmationMismatch, "input.confirmName"},
				{owner, "acme", fault.ConfirmationMismatch, "input.confirmName"},
				{owner, "Acme ", fault.ConfirmationMismatch, "input.confirmName"},
				{owner, "Acme2", fault.ConfirmationMismatch, "input.confirmName"},
				{owner, "DELETE", fault.ConfirmationMismatch, "input.confirmName"},
				{member, "Acme", fault.Forbidden, "input.organizationId"},
				{stranger, "Acme", fault.NotFound, "input.organizationId"},
			} {
				test.by.refusedWhole(acme, test.code, test.field, deleteOrganization, vars{"org": acme, "name": test.name})
			}
		})
	})
	t.Run("AtOnce", func(t *testing.T) {
		on(t, func(s *studio) {
			owner := s.signUp("owner")
			acme := owner.create("Acme", "acme")
			wantOne(race(func(int) *answer { return owner.send(deleteOrganization, vars{"org": acme, "name": "Acme"}) }), fault.NotFound, fault.Conflict)
			s.wantLog(acme, db.OrganizationDeleted)
		})
	})
}

func TestOrganizations(t *testing.T) {
	t.Parallel()
	t.Run("Order", func(t *testing.T) {
		on(t, func(s *studio) {
			p := s.signUp("gamma")
			for subdomain, name := range []string{"beta", "Alpha", "Émile", "ZULU", "alpha 2"} {
				p.create(name, string(rune('a'+subdomain)))
			}
			byName := []string{"Alpha", "alpha 2", "beta", "gamma's Organization", "ZULU", "Émile"}
			byAge := []string{"gamma's Organization", "beta", "Alpha", "Émile", "ZULU", "alpha 2"}
			for order, want := range map[string][]string{
				"": byName,
				"(orderBy: { field: NAME, direction: ASC })":        byName,
				"(orderBy: { field: NAME, direction: DESC })":       reversed(byName),
				"(orderBy: { field: CREATED_AT, direction: ASC })":  byAge,
				"(orderBy: { field: CREATED_AT, direction: DESC })": reversed(byAge),
			} {
				got := p.do(`{ viewer { organizations`+order+` { nodes { name } } } }`, nil).list("viewer.organizations.nodes.#.name")
				if !slices.Equal(got, want) {
					s.Errorf("%s: got %q, want %q", order, got, want)
				}
			}
		})
	})
	t.Run("Search", func(t *testing.T) {
		on(t, func(s *studio) {
			p := s.signUp("x")
			for subdomain, name := range []string{
				"100% Acme", "1000 ACME", "under_score", "underXscore", `back\slash`, "backXslash", "ÄRGER", "Straße",
			} {
				p.create(name, string(rune('a'+subdomain)))
			}
			for search, want := range map[string][]string{
				"acme":    {"100% Acme", "1000 ACME"},
				"00 A":    {"1000 ACME"},
				"%":       {"100% Acme"},
				"_":       {"under_score"},
				"r_s":     {"under_score"},
				`\`:       {`back\slash`},
				"ärg":     {"ÄRGER"},
				"A\u0308": {"ÄRGER"}, // the same letter, typed as two
				"STRASSE": {"Straße"},
				"'":       {"x's Organization"},
				"nothing": {},
			} {
				a := p.do(`query($search: String) { viewer { organizations(search: $search) { totalCount nodes { name } } } }`, vars{"search": search})
				if got := a.list("viewer.organizations.nodes.#.name"); !slices.Equal(got, want) || a.get("viewer.organizations.totalCount").Int() != int64(len(want)) {
					s.Errorf("%s: got %s, want %q", search, a.body, want)
				}
			}
		})
	})
	t.Run("Pages", func(t *testing.T) {
		on(t, func(s *studio) {
			p := s.signUp("p")
			for subdomain, name := range []string{"same", "SAME", "b", "c", "a", "same"} {
				p.create(name, string(rune('a'+subdomain)))
			}
			for _, order := range []string{"", "orderBy: { field: NAME, direction: DESC }", "orderBy: { field: CREATED_AT, direction: DESC }"} {
				p.walk(7, "viewer.organizations", `query($first: Int, $after: String, $last: Int, $before: String) {
					viewer { organizations(first: $first, after: $after, last: $last, before: $before, `+order+`) `+connection+` }
				}`, nil)
			}
			p.walk(3, "viewer.organizations", `query($first: Int, $after: String, $last: Int, $before: String) {
				viewer { organizations(first: $first, after: $after, last: $last, before: $before, search: "same") `+connection+` }
			}`, nil)
		})
	})
	t.Run("BetweenCursors", func(t *testing.T) {
		on(t, func(s *studio) {
			p := s.signUp("p")
			for _, name := range []string{"a", "b", "c"} {
				p.create(name, name)
			}
			const query = `query($first: Int, $last: Int, $after: String, $before: String) {
				viewer { organizations(first: $first, last: $last, after: $after, before: $before) { nodes { name } edges { cursor } pageInfo { startCursor endCursor } } }
			}`
			cursors := p.do(query, nil).list("viewer.organizations.edges.#.cursor")
			between := vars{"after": cursors[0], "before": cursors[3]}
			p.do(query, between).want("viewer.organizations.nodes", `[{"name":"b"},{"name":"c"}]`)
			between["first"] = 1
			p.do(query, between).want("viewer.organizations.nodes", `[{"name":"b"}]`)
			delete(between, "first")
			between["last"] = 1
			p.do(query, between).want("viewer.organizations.nodes", `[{"name":"c"}]`)
			p.do(query, vars{"after": cursors[3]}).want("viewer.organizations.pageInfo", `{"startCursor":null,"endCursor":null}`)
		})
	})
	t.Run("InvitedOnly", func(t *testing.T) {
		on(t, func(s *studio) {
			owner, invited := s.signUp("owner"), s.verified("invited")
			id := owner.invite(owner.home(), invited.email)
			invited.do(countOrganizations, nil).want("viewer.organizations.totalCount", `1`)
			invited.do(acceptInvitation, vars{"id": id})
			invited.do(countOrganizations, nil).want("viewer.organizations.totalCount", `2`)
		})
	})
}

func reversed(list []string) []string {
	list = slices.Clone(list)
	slices.Reverse(list)
	return list
}

func TestLandingOrganization(t *testing.T) {
	on(t, func(s *studio) {
		owner, guest := s.signUp("owner"), s.signUp("guest")
		home := guest.home()
		guest.do(landingOrganization, nil).want("viewer.landingOrganization.id", `"`+home+`"`)
		joined := owner.create("Acme", "acme")
		owner.do(landingOrganization, nil).want("viewer.landingOrganization", `null`)
		owner.join(joined, guest)
		guest.do(landingOrganization, nil).want("viewer.landingOrganization", `null`)
		guest.do(leaveOrganization, vars{"org": joined, "name": "Acme"})
		guest.do(landingOrganization, nil).want("viewer.landingOrganization.id", `"`+home+`"`)
		guest.do(deleteOrganization, vars{"org": home, "name": "guest's Organization"})
		guest.do(landingOrganization, nil).want("viewer.landingOrganization", `null`)
	})
}

func TestSubdomainAvailability(t *testing.T) {
	on(t, func(s *studio) {
		s.signUp("owner").create("Acme", "acme")
		for _, test := range []struct{ asked, want string }{
			{" Free1 ", `{"subdomain":"free1","available":true,"reason":null}`},
			{long(16), `{"subdomain":"` + long(16) + `","available":true,"reason":null}`},
			{" ACME ", `{"subdomain":"acme","available":false,"reason":"TAKEN"}`},
			{"WWW", `{"subdomain":"www","available":false,"reason":"RESERVED"}`},
			{"studio", `{"subdomain":"studio","available":false,"reason":"RESERVED"}`},
			{"", `{"subdomain":"","available":false,"reason":"INVALID"}`},
			{"with-hyphen", `{"subdomain":"with-hyphen","available":false,"reason":"INVALID"}`},
			{long(17), `{"subdomain":"` + long(17) + `","available":false,"reason":"INVALID"}`},
			{"é", `{"subdomain":"é","available":false,"reason":"INVALID"}`},
		} {
			s.nobody().do(checkSubdomain, vars{"subdomain": test.asked}).want("subdomainAvailability", test.want)
		}
	})
}

func TestOrganizationBySubdomain(t *testing.T) {
	on(t, func(s *studio) {
		owner, member, invited, stranger := s.signUp("owner"), s.signUp("member"), s.verified("invited"), s.signUp("stranger")
		acme := owner.create("Acme", "acme")
		owner.join(acme, member)
		owner.invite(acme, invited.email)
		for p, want := range map[*person]string{
			owner: `{"id":"` + acme + `"}`, member: `{"id":"` + acme + `"}`, invited: `{"id":"` + acme + `"}`, stranger: `null`,
		} {
			p.do(organizationAtDomain, vars{"subdomain": "Acme"}).want("organizationBySubdomain", want)
		}
		owner.do(organizationAtDomain, vars{"subdomain": "other"}).want("organizationBySubdomain", `null`)
		s.clock.Advance(8 * 24 * time.Hour)
		invited.do(organizationAtDomain, vars{"subdomain": "acme"}).want("organizationBySubdomain", `null`)
	})
}
