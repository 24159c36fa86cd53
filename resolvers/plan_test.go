package resolvers_test

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// TestPlans shows which queries have a plan and what it reads. That its answers are the executor's is
// part of every test here that sends a query.
func TestPlans(t *testing.T) {
	const (
		users     = `users(first: 2) { totalCount nodes { id email status isOwner invitedAt invitationExpiresAt invitationDelivery acceptedAt user { id email firstName lastName createdAt } invitedBy { firstName } } }`
		instances = `instances { totalCount nodes { id name type status url region { id name } computePlan { id type ramMb price { amount currency } interval } storageGb price { amount currency } interval createdAt } }`
		invoices  = `invoices(first: 1) { totalCount nodes { id number status createdAt periodStart periodEnd subtotal { amount currency } discount { amount } tax { amount } total { amount } amountPaid { amount } amountDue { amount } paidAt hostedUrl pdfUrl } }`
		coupons   = `coupons { id code name amountOff { amount currency } percentOff expiresAt addedAt addedBy { email } }`
		billing   = `billing { id status card { brand last4 expMonth expYear } credit { amount currency } ` + invoices + coupons + ` }`
		events    = `events(first: 3) { totalCount nodes { id cursor type createdAt actor { email } summary } }`
		paged     = `pageInfo { hasNextPage hasPreviousPage startCursor endCursor }`
	)
	const executor = -1 // has no plan
	for _, test := range []struct {
		name, query string
		statements  int
	}{
		{"Viewer", `{ viewer { id emailVerified user { id email firstName lastName createdAt } } }`, 1},
		{"Organization", `query($id: ID!) { organization(id: $id) { id name subdomain createdAt instanceCount viewerMembership { id isOwner status acceptedAt } } }`, 1},
		{"AllOfAnOrganization", `query($id: ID!) { organization(id: $id) { ` + users + instances + billing + events + ` } }`, 6},
		{"Organizations", `{ viewer { organizations { nodes { id name instanceCount users { totalCount } } } } }`, 1},
		{"OrganizationsAndCount", `{ viewer { organizations { totalCount nodes { id } } } }`, 2},
		{"AllOfOrganizations", `{ viewer { user { email } organizations(first: 3) { nodes { ` + users + instances + billing + events + ` } } } }`, 7},
		{"NoOrganizations", `{ viewer { id organizations(first: 0) { nodes { id ` + users + ` } ` + paged + ` } } }`, 2},
		{"ByAge", `{ viewer { organizations(first: 2, orderBy: { field: CREATED_AT, direction: DESC }) { edges { cursor node { id } } ` + paged + ` } } }`, 1},
		{"ByName", `query($by: OrganizationOrder = { field: NAME, direction: DESC }) { viewer { organizations(first: 2, orderBy: $by) { edges { cursor node { id } } ` + paged + ` } } }`, 1},
		{"Edges", `query($id: ID!) { organization(id: $id) { users(first: 1) { ` + paged + ` edges { cursor node { email } } } instances { edges { cursor node { name } } ` + paged + ` }
			billing { invoices(first: 0) { edges { cursor } ` + paged + ` } } events(first: 2) { edges { cursor node { cursor } } ` + paged + ` } } }`, 5},
		{"Aliases", `query($id: ID!) { a: organization(id: $id) { b: id c: users(first: 1) { d: nodes { e: email } } c2: users(first: 2) { nodes { email } } __typename } __typename }`, 3},
		{"Fragments", `query($id: ID!) { ... { organization(id: $id) { ...A ... on Node { id } ... on Organization { users { nodes { isOwner } } } } } }
			fragment A on Organization { id users { nodes { ...B } } } fragment B on OrganizationUser { email user { ... on User { email } } }`, 2},
		{"FragmentsOnUnion", `query($id: ID!) { organization(id: $id) { id ... on EventSubject { __typename ... on Organization { name } } users { nodes { ... on EventSubject { ... on OrganizationUser { email } }
			user { id ... on Node { ... on EventSubject { __typename } } } } } } }`, 2},
		{"OrganizationsAfter", `query($afterOrganization: String) { viewer { organizations(first: 1, after: $afterOrganization) { totalCount edges { cursor node { id ` + users + ` } } ` + paged + ` } } }`, 3},
		{"OrganizationsAfterByAge", `query($afterByAge: String) { viewer { organizations(after: $afterByAge, orderBy: { field: CREATED_AT, direction: DESC }) { nodes { id } } } }`, 1},
		{"ListsAfter", `query($id: ID!, $afterUser: String, $afterEvent: String) { organization(id: $id) { users(first: 1, after: $afterUser) { totalCount nodes { email } ` + paged + ` }
			events(first: 1, after: $afterEvent) { nodes { id } ` + paged + ` } again: events(first: 1) { nodes { id } pageInfo { hasPreviousPage } } } }`, 4},
		{"AfterTheLastUser", `query($id: ID!, $afterLastUser: String) { organization(id: $id) { users(after: $afterLastUser) { nodes { id } ` + paged + ` } } }`, 2},
		{"Null", `query($first: Int) { viewer { user { email } organizations(first: $first, after: null) { nodes { id } } } }`, 2},

		{"Directive", `query($id: ID!) { organization(id: $id) { id name @skip(if: true) } }`, executor},
		{"DirectiveInFragment", `query($id: ID!) { organization(id: $id) { id ...A } } fragment A on Organization { name @include(if: false) }`, executor},
		{"LastPage", `query($id: ID!) { organization(id: $id) { users(last: 1) { nodes { id } } } }`, executor},
		{"PageBefore", `query($id: ID!, $afterLastUser: String) { organization(id: $id) { users(before: $afterLastUser) { nodes { id } } } }`, executor},
		{"AfterTheLastOrganization", `query($afterLastOrganization: String) { viewer { organizations(after: $afterLastOrganization) { nodes { id } } } }`, executor},
		{"CountAfter", `query($id: ID!, $afterUser: String) { organization(id: $id) { users(after: $afterUser) { totalCount } } }`, executor},
		{"Filter", `query($id: ID!) { organization(id: $id) { users(status: ACCEPTED) { totalCount } } }`, executor},
		{"Search", `{ viewer { organizations(search: "o") { nodes { id } } } }`, executor},
		{"NodesAndEdges", `query($id: ID!) { organization(id: $id) { users { nodes { id } edges { cursor } } } }`, executor},
		{"PageInfoAlone", `query($id: ID!) { organization(id: $id) { users { ` + paged + ` } } }`, executor},
		{"TwoRoots", `query($id: ID!) { viewer { id } organization(id: $id) { id } }`, executor},
		{"UnknownField", `query($id: ID!) { organization(id: $id) { deletionBlockers { code } } }`, executor},
		{"Catalog", `{ catalog { regions { id } } }`, executor},
	} {
		t.Run(test.name, func(t *testing.T) {
			on(t, func(s *studio) {
				owner := s.signUp("owner")
				s.populate(owner, 3)
				known := owner.do(`{
					organizationBySubdomain(subdomain: "group1") { id users { edges { cursor } } events { edges { cursor } } }
					viewer { organizations { edges { cursor } } byAge: organizations(orderBy: { field: CREATED_AT, direction: DESC }) { edges { cursor } } }
				}`, nil)
				variables := vars{}
				for name, path := range map[string]string{
					"id":                    "organizationBySubdomain.id",
					"afterUser":             "organizationBySubdomain.users.edges.0.cursor",
					"afterLastUser":         "organizationBySubdomain.users.edges.2.cursor",
					"afterEvent":            "organizationBySubdomain.events.edges.0.cursor",
					"afterOrganization":     "viewer.organizations.edges.0.cursor",
					"afterLastOrganization": "viewer.organizations.edges.3.cursor",
					"afterByAge":            "viewer.byAge.edges.0.cursor",
				} {
					if strings.Contains(test.query, "$"+name+":") {
						variables[name] = known.str(path)
					}
				}
				owner.do(test.query, variables) // which compares the answers
				s.settle()

				counted := *s
				counted.executor = nil
				owner.studio = &counted
				s.statements.take()
				owner.do(test.query, variables)
				sent := s.ofRequests()
				byExecutor := slices.ContainsFunc(sent, func(statement string) bool { return strings.Contains(statement, `"`) }) // as Bun quotes
				if wantsExecutor := test.statements == executor || !s.db.CanRead(); byExecutor != wantsExecutor {
					t.Errorf("executed: %v, want %v: %s", byExecutor, wantsExecutor, strings.Join(sent, "\n"))
				} else if !wantsExecutor && len(sent) != test.statements {
					t.Errorf("got %d statements, want %d: %s", len(sent), test.statements, strings.Join(sent, "\n"))
				}
			})
		})
	}
}

// TestPlannedCredential is about what a plan finds out itself: whether the credential still opens
// anything. The executor is not asked here, as that would note the use too.
func TestPlannedCredential(t *testing.T) {
	const day = 24 * time.Hour
	const query = `{ viewer { user { email } } }`
	on(t, func(s *studio) {
		owner := s.signUp("owner")
		s.settle()
		s.executor = nil
		const create = `mutation($at: Time) { createApiToken(input: { name: "x", expiresAt: $at }) { token } }`
		lasting := s.with(owner.do(create, nil).str("createApiToken.token"))
		ending := s.with(owner.do(create, vars{"at": s.clock.Now().Add(40 * day).Format(time.RFC3339)}).str("createApiToken.token"))
		const email = `"owner@example.com"`
		for range 2 { // each use makes the session last 30 days more
			s.clock.Advance(29 * day)
			owner.do(query, nil).want("viewer.user.email", email)
		}
		lasting.do(query, nil).want("viewer.user.email", email)
		ending.do(query, nil).want("viewer", `null`)
		tokens := owner.do(`{ viewer { apiTokens { lastUsedAt } } }`, nil) // newest first
		tokens.want("viewer.apiTokens.0.lastUsedAt", `null`)
		tokens.str("viewer.apiTokens.1.lastUsedAt")
		s.clock.Advance(31 * day)
		owner.do(query, nil).want("viewer", `null`)
		lasting.do(query, nil).want("viewer.user.email", email)
	})
}
