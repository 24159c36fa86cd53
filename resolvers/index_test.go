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
)

// parameter is one of a statement that a plan sends.
var parameter = regexp.MustCompile(`\$\d+`)

// TestIndexes asks PostgreSQL how it finds what the API lists and orders: along indexes, also through
// tables so small that it would rather read them whole.
func TestIndexes(t *testing.T) {
	t.Parallel()
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		address := dbtest.Postgres(t)
		s := start(t, func(options ...db.Option) *db.DB { return dbtest.Open(t, address, options...) }, &clock{})
		s.executor = nil
		// Nothing is known of the rows, which are few and all the viewer's, and nothing comes to be known:
		// the plans are those for many rows.
		for table := range dbtest.Dump(t, s.db) {
			if _, err := s.db.Pool().ExecContext(t.Context(), "ALTER TABLE "+table+" SET (autovacuum_enabled = off)"); err != nil {
				t.Fatal(err)
			}
		}
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

		conn, err := s.db.Pool().Conn(t.Context())
		if err != nil {
			t.Fatal(err)
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
				if _, err := conn.ExecContext(t.Context(), fmt.Sprintf("PREPARE p%d AS %s", i, statement)); err != nil {
					t.Fatal(err)
				}
				explained = fmt.Sprintf("EXECUTE p%d(%s)", i, nulls)
			}
			var plan string
			if err := conn.QueryRowContext(t.Context(), "EXPLAIN (FORMAT JSON) "+explained).Scan(&plan); err != nil {
				t.Fatalf("%s: %v", statement, err)
			}
			withoutIndex(gjson.Get(plan, "0.Plan"), func(node gjson.Result) {
				t.Errorf("%s of %s by no condition in\n%s", node.Get("Node Type"), node.Get("Relation Name"), statement)
			})
		}
	})
}

// withoutIndex finds where a plan reads a table whole.
func withoutIndex(node gjson.Result, found func(node gjson.Result)) {
	kind := node.Get("Node Type").String()
	if strings.HasSuffix(kind, "Scan") && node.Get("Relation Name").Exists() && kind != "Bitmap Heap Scan" && !node.Get("Index Cond").Exists() {
		found(node)
	}
	for _, inner := range node.Get("Plans").Array() {
		withoutIndex(inner, found)
	}
}
