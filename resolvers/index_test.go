package resolvers_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/tidwall/gjson"

	"studio/db"
	"studio/db/dbtest"
	"studio/resolvers"
	"studio/seed"
)

// parameter is one of a statement that a plan sends.
var parameter = regexp.MustCompile(`\$\d+`)

// TestIndexes asks PostgreSQL how it finds what the API reads.
func TestIndexes(t *testing.T) {
	t.Parallel()
	onPostgres := func(name string, test func(s *studio)) {
		t.Run(name+"/postgres", func(t *testing.T) {
			t.Parallel()
			address := dbtest.Postgres(t)
			s := start(t, func(options ...db.Option) *db.DB { return dbtest.Open(t, address, options...) }, &dbtest.Clock{})
			s.executor = nil
			// What is known of the rows decides, and it must not come to be known by the way.
			for table := range dbtest.Dump(t, s.db) {
				s.exec("ALTER TABLE " + table + " SET (autovacuum_enabled = off)")
			}
			test(s)
		})
	}
	onPostgres("Lists", testIndexesOfLists)
	onPostgres("OwnPlace", testIndexOfOwnPlace)
}

// testIndexesOfLists has what the API lists and orders read: along indexes, also through tables so small
// that PostgreSQL would rather read them whole.
func testIndexesOfLists(s *studio) {
	// Nothing is known of the rows, which are few and all the viewer's: the plans are those for many rows.
	owner := s.verified("owner")
	s.populate(owner, 30)
	home := owner.do(`{ organizationBySubdomain(subdomain: "group1") { id } }`, nil).str("organizationBySubdomain.id")
	s.settle()
	s.statements.take()

	var queries []string
	for _, by := range []string{"NAME", "CREATED_AT"} {
		for _, direction := range []string{"ASC", "DESC"} {
			for _, page := range []string{"first: 3", "last: 3", `first: 3, search: "grou"`} {
				queries = append(queries, fmt.Sprintf(`{ viewer { organizations(%s, orderBy: { field: %s, direction: %s }) { totalCount nodes { id } } } }`, page, by, direction))
			}
		}
	}
	for _, list := range []string{
		"users(first: 2)", "users(last: 2)", "users(status: ACCEPTED)", `users(search: "o")`,
		"instances(first: 2)", "instances(last: 2)", "events(first: 2)", "events(last: 2)",
	} {
		queries = append(queries, fmt.Sprintf(`{ organization(id: %q) { %s { totalCount nodes { id } } } }`, home, list))
	}
	for _, list := range []string{"first: 2", "last: 2", "status: PAID"} {
		queries = append(queries, fmt.Sprintf(`{ organization(id: %q) { billing { invoices(%s) { totalCount nodes { id } } } } }`, home, list))
	}
	queries = append(queries,
		`{ viewer { landingOrganization { id } invitations { id } sessions { id } apiTokens { id } } }`,
		fmt.Sprintf(`{ organization(id: %q) { webhookEndpoints { id } deletionBlockers { code } billing { coupons { id } upcomingInvoices { dueAt } } } }`, home),
		fmt.Sprintf(`{ node(id: %q) { id } organizationBySubdomain(subdomain: "group1") { id } }`, home),
	)
	for _, query := range queries {
		owner.do(query, nil)
	}
	s.explain(func(statement, table string, how gjson.Result) {
		if how.Get("Node Type").String() != "Bitmap Heap Scan" && !how.Get("Index Cond").Exists() {
			s.Errorf("%s is read whole in\n%s", table, statement)
		}
	})
}

// testIndexOfOwnPlace has the place of somebody in one organization read who is in many, where most users
// are in few: an index of users alone looks good enough then, and has all their places read.
func testIndexOfOwnPlace(s *studio) {
	owner, err := seed.Organizations(s.Context(), s.db, 100)
	if err != nil {
		s.Fatal(err)
	}
	s.exec("ANALYZE")
	token := s.nobody().do(signIn, vars{"email": owner.Email, "password": seed.Password}).str("signIn.token")
	home := s.with(token).do(`{ viewer { organizations(first: 1) { nodes { id } } } }`, nil).str("viewer.organizations.nodes.0.id")
	s.statements.take()

	query := fmt.Sprintf(`{ organization(id: %q) { name billing { id } } }`, home)
	s.with(token).do(query, nil)
	s.beside(resolvers.HandlerOptions{Unplanned: true}, loaderWait).with(token).do(query, nil)
	s.with(token).do(fmt.Sprintf(`mutation { updateOrganization(input: { organizationId: %q, name: "New" }) { organization { id } } }`, home), nil)
	places := 0
	s.explain(func(statement, table string, how gjson.Result) {
		if table != "memberships" {
			return
		}
		places++
		if strings.Contains(how.Get("Filter").String(), "organization_id") {
			s.Errorf("those of other organizations are read and thrown away in\n%s", statement)
		}
	})
	if places < 3 { // of the plan, of the executor's directive, and of the mutation under its lock
		s.Errorf("%d statements read places, want at least 3", places)
	}
}

func (s *studio) exec(statement string) {
	s.Helper()
	if _, err := s.db.Pool().ExecContext(s.Context(), statement); err != nil {
		s.Fatal(err)
	}
}

// explain shows how each table is read by the statements since they were last taken.
func (s *studio) explain(show func(statement, table string, how gjson.Result)) {
	s.Helper()
	conn, err := s.db.Pool().Conn(s.Context())
	if err != nil {
		s.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	sent := s.ofRequests()
	slices.Sort(sent)
	for i, statement := range slices.Compact(sent) {
		if !strings.HasPrefix(statement, "SELECT") {
			continue
		}
		explained := statement
		if parameters := parameter.FindAllString(statement, -1); parameters != nil {
			slices.Sort(parameters)
			nulls := strings.TrimSuffix(strings.Repeat("NULL, ", len(slices.Compact(parameters))), ", ")
			if _, err := conn.ExecContext(s.Context(), fmt.Sprintf("PREPARE p%d AS %s", i, statement)); err != nil {
				s.Fatal(err)
			}
			explained = fmt.Sprintf("EXECUTE p%d(%s)", i, nulls)
		}
		var plan string
		if err := conn.QueryRowContext(s.Context(), "EXPLAIN (FORMAT JSON) "+explained).Scan(&plan); err != nil {
			s.Fatalf("%s: %v", statement, err)
		}
		tablesRead(gjson.Get(plan, "0.Plan"), func(table string, how gjson.Result) { show(statement, table, how) })
	}
}

// tablesRead shows the parts of a plan that read tables.
func tablesRead(plan gjson.Result, show func(table string, how gjson.Result)) {
	if table := plan.Get("Relation Name"); table.Exists() {
		show(table.String(), plan)
	}
	for _, inner := range plan.Get("Plans").Array() {
		tablesRead(inner, show)
	}
}
