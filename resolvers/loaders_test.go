package resolvers_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/99designs/gqlgen/graphql/introspection"
	"github.com/tidwall/gjson"

	"studio/billing"
	"studio/db"
	"studio/db/dbtest"
	"studio/event"
	"studio/fault"
	"studio/job"
	"studio/mail"
	"studio/resolvers"
)

// beside is the same server with other options, and loaders that gather for so long.
func (s *studio) beside(options resolvers.HandlerOptions, wait time.Duration) *studio {
	s.Helper()
	edge := s.edge(job.NewQueue(s.db, mail.ErrPermanent), event.NewHub(s.db), wait)
	options.Open, options.Draining = &sync.WaitGroup{}, s.Context()
	server := httptest.NewServer(routes(edge, options))
	s.Cleanup(server.Close)
	other := *s
	other.url, other.executor = server.URL, nil
	return &other
}

// ofRequests are the statements since statements were last taken, but for those that look for jobs.
func (s *studio) ofRequests() []string {
	return slices.DeleteFunc(s.statements.take(), func(query string) bool { return strings.Contains(query, `"jobs"`) })
}

// populate adds organizations that the owner was made an owner of by somebody else, each with a
// founder and a member of its own.
func (s *studio) populate(owner *person, organizations int) {
	s.Helper()
	ctx := s.Context()
	viewer, err := s.db.UserByEmail(ctx, owner.email)
	if err != nil {
		s.Fatal(err)
	}
	now := s.db.Now()
	err = s.db.InTx(ctx, func(tx *db.DB) error {
		for i := range organizations {
			group := &db.Organization{
				ID: db.NewID(db.OrganizationPrefix), Name: "Group", NameKey: "group", Subdomain: fmt.Sprintf("group%d", i), CreatedAt: now,
			}
			if _, err := tx.InsertOrganization(ctx, group); err != nil {
				return err
			}
			var founder *string
			for _, member := range []*db.User{
				{ID: db.NewID(db.UserPrefix), Email: fmt.Sprintf("founder%d@example.com", i), CreatedAt: now},
				{ID: db.NewID(db.UserPrefix), Email: fmt.Sprintf("member%d@example.com", i), CreatedAt: now},
				viewer,
			} {
				if member != viewer {
					if err := tx.InsertUser(ctx, member); err != nil {
						return err
					}
				}
				place := &db.Membership{
					ID: db.NewID(db.MembershipPrefix), OrganizationID: group.ID, Email: member.Email, UserID: &member.ID,
					Status: db.Accepted, IsOwner: founder == nil || member == viewer, InvitedByID: founder, AcceptedAt: &now,
				}
				if founder == nil {
					founder = &member.ID
				}
				if err := tx.InsertMembership(ctx, place); err != nil {
					return err
				}
				if err := event.Record(ctx, tx, group.ID, db.InvitationAccepted, member, place.ID, "Somebody came."); err != nil {
					return err
				}
			}
			if err := event.Record(ctx, tx, group.ID, db.OrganizationUpdated, viewer, group.ID, "Renamed."); err != nil {
				return err
			}
			if err := s.bill(tx, viewer, group); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		s.Fatal(err)
	}
}

// bill adds an instance with what is billed for it.
func (s *studio) bill(tx *db.DB, owner *db.User, group *db.Organization) error {
	ctx, now := s.Context(), tx.Now()
	region, storage, subscription, month, credit := "us-east-1", 10, "sub_"+group.ID, now.AddDate(0, 1, 0), int64(5000)
	database := &db.Instance{
		ID: db.NewID(db.InstancePrefix), OrganizationID: group.ID, Name: "one", Type: db.Cloud, Status: db.InstanceActive,
		URL: "https://one-" + group.Subdomain + ".harperdbcloud.com", RegionID: &region, ComputePlanID: "cloud-2gb", StorageGB: &storage,
		Interval: db.Month, ComputeAmount: 1999, SubscriptionID: &subscription, PeriodEnd: &month, CreatedAt: now,
	}
	_, err := tx.InsertBillingAccount(ctx, &db.BillingAccount{OrganizationID: group.ID, CustomerID: "cus_" + group.ID, Credit: 1000, CreatedAt: now})
	return errors.Join(err,
		tx.InsertInstance(ctx, database),
		tx.InsertCoupon(ctx, &db.Coupon{
			ID: db.NewID(db.CouponPrefix), OrganizationID: group.ID, PromotionCodeID: "promo", Code: "WELCOME50", Name: "Welcome",
			Currency: billing.Currency, AmountOff: &credit, GrantedAt: &now, AddedAt: now, AddedByID: &owner.ID,
		}),
		tx.InsertInvoice(ctx, &db.Invoice{
			ID: db.NewIDAt(db.InvoicePrefix, now), OrganizationID: group.ID, StripeID: "in_" + group.ID, Status: db.InvoicePaid,
			Currency: billing.Currency, Subtotal: 1999, Total: 1999, AmountPaid: 1999, PeriodStart: now, PeriodEnd: month, PaidAt: &now, CreatedAt: now,
			Lines: []*db.InvoiceLine{{Description: "2 GB RAM", Quantity: 1, Amount: 1999, Currency: billing.Currency, InstanceID: database.ID}},
		}),
	)
}

// table is the first that a statement reads.
var table = regexp.MustCompile(`FROM "(\w+)"`)

func TestStatements(t *testing.T) {
	t.Parallel()
	const query = `{ viewer { organizations(first: 50, search: "group") { nodes {
		viewerMembership { user { email } invitedBy { id } }
		users(first: 5) { totalCount nodes { user { email } organization { name } } }
		events(first: 3) { totalCount nodes { actor { email } subject { __typename } } }
		deletionBlockers { code }
		instanceCount
		instances(first: 2) { totalCount nodes { price { amount } organization { name } } }
		billing {
			status card { last4 } credit { amount } coupons { code addedBy { email } } upcomingInvoices { total { amount } lines { instance { name } } }
			invoices(first: 2) { totalCount nodes { total { amount } lines { instance { name } } } }
		}
	} } } }`
	want := []string{
		"sessions", "users", // who calls
		"organizations", // the page
		"memberships",   // the caller's places, for viewerMembership and the guards of all else
		"memberships",   // the pages of users
		"memberships",   // how many there are
		"events",        // the pages of events
		"events",        // how many there are
		"users",         // of the caller's places
		"users",         // of the users and the events, but for those known by now
		"organizations", // of the users and the events
		"memberships",   // that events are about
		"instances",     // the pages of instances
		"instances",     // how many there are
		"billing_accounts",
		"invoices",         // the pages of invoices
		"invoices",         // how many there are
		"coupons",          // the lists of coupons
		"instances",        // that upcoming bills are worked out from
		"coupons",          // that take something off them
		"billing_accounts", // and their credit
		"instances",        // that lines are about
	}
	slices.Sort(want)
	for _, organizations := range []int{1, 50} {
		t.Run(fmt.Sprintf("%dOrganizations", organizations), func(t *testing.T) {
			on(t, func(s *studio) {
				owner := s.signUp("owner")
				s.populate(owner, organizations)
				s.settle() // sending the mails of the sign-up also takes statements
				var a *answer
				var statements, got []string
				known := false
				// How many statements there are depends on the operation alone when loaders gather for so long that the
				// machine runs all of a level's fields meanwhile, for which a busy one needs longer.
				for _, wait := range []time.Duration{500 * time.Millisecond, 2 * time.Second} {
					s.statements.take()
					a = s.beside(resolvers.HandlerOptions{Unplanned: true}, wait).with(owner.token).do(query, nil)
					statements, got = s.ofRequests(), nil
					for _, statement := range statements {
						from := table.FindStringSubmatch(statement)
						if from == nil {
							s.Fatalf("a statement that reads nothing: %s", statement)
						}
						got = append(got, from[1])
					}
					slices.Sort(got)
					// On a busy machine, users that are asked for later are gathered into one statement with those before.
					users := slices.Index(want, "users")
					known = slices.ContainsFunc([]int{0, 1, 2}, func(fewer int) bool {
						return slices.Equal(got, slices.Delete(slices.Clone(want), users, users+fewer))
					})
					if known {
						break
					}
				}
				if !known {
					s.Errorf("the statements read\n%v, want\n%v:\n%s", got, want, strings.Join(statements, "\n"))
				}
				a.want("viewer.organizations.nodes.#", fmt.Sprint(organizations))
				last := fmt.Sprintf("viewer.organizations.nodes.%d.", organizations-1)
				a.want(last+"users.totalCount", "3")
				a.want(last+"users.nodes.#.organization.name", `["Group","Group","Group"]`)
				a.want(last+"events.totalCount", "4")
				a.want(last+"events.nodes.#.subject.__typename", `["Organization","OrganizationUser","OrganizationUser"]`)
				a.want(last+"deletionBlockers", `[{"code":"ORGANIZATION_NOT_EMPTY"}]`)
				a.want(last+"instances", `{"totalCount":1,"nodes":[{"price":{"amount":1999},"organization":{"name":"Group"}}]}`)
				a.want(last+"billing.invoices.nodes", `[{"total":{"amount":1999},"lines":[{"instance":{"name":"one"}}]}]`)
				a.want(last+"billing.upcomingInvoices", `[{"total":{"amount":999},"lines":[{"instance":{"name":"one"}}]}]`)
			})
		})
	}
}

// TestPageOrCount shows that a connection reads only what of it is asked for.
func TestPageOrCount(t *testing.T) {
	on(t, func(s *studio) {
		owner := s.beside(resolvers.HandlerOptions{Unplanned: true}, time.Millisecond).signUp("owner")
		s.populate(owner, 1)
		s.settle()
		for name, test := range map[string]struct{ fields, want string }{
			"Count":   {"totalCount", "count"},
			"Nodes":   {"nodes { id }", "page"},
			"Edges":   {"edges { cursor }", "page"},
			"Info":    {"pageInfo { hasNextPage }", "page"},
			"Several": {"nodes { id } pageInfo { hasNextPage } again: nodes { id }", "page"},
			"Both":    {"totalCount nodes { id } count: totalCount", "count page"},
			"Neither": {"__typename", ""},
		} {
			for connection, of := range map[string]string{
				`viewer { organizations(search: "group") { %s } }`:                                  "organizations",
				`viewer { organizations(search: "group") { nodes { users(search: "e") { %s } } } }`: "memberships",
			} {
				s.statements.take()
				owner.do("{ "+fmt.Sprintf(connection, test.fields)+" }", nil)
				var read []string
				for _, statement := range s.ofRequests() {
					switch {
					case !strings.Contains(statement, `FROM "`+of+`"`):
					case strings.Contains(statement, "count(*)"):
						read = append(read, "count")
					case strings.Contains(statement, " LIMIT "):
						read = append(read, "page")
					}
				}
				slices.Sort(read)
				if got := strings.Join(read, " "); got != test.want {
					s.Errorf("%s of %s: read %q, want %q", name, of, got, test.want)
				}
			}
		}
	})
}

// nested is an operation of some depth.
func nested(depth int) string {
	levels := depth - 4
	return "{ viewer { organizations { nodes {" + strings.Repeat(" viewerMembership { organization {", levels/2) + " id " +
		strings.Repeat("}}", levels/2) + "} } } }"
}

// numbered repeats a text that has a place for a number.
func numbered(times int, format string) string {
	var text strings.Builder
	for i := range times {
		fmt.Fprintf(&text, format, i)
	}
	return text.String()
}

// doubling are fragments of which each spreads the next one twice.
func doubling(times int) string {
	return "{ ...F0 }" + numbered(times, " fragment F%[1]d on Query { viewer { id } ...G%[1]d ...G%[1]d }") +
		strings.Join(func() (links []string) {
			for i := range times {
				next := "viewer { id }"
				if i+1 < times {
					next = fmt.Sprintf("...F%d", i+1)
				}
				links = append(links, fmt.Sprintf(" fragment G%d on Query { %s }", i, next))
			}
			return links
		}(), "")
}

// in is a person whose failures are those of a subtest.
func (p *person) in(t *testing.T) *person {
	within := *p.studio
	within.T = t
	return &person{studio: &within, email: p.email, token: p.token}
}

func (p *person) postJSON(body string) *answer {
	p.Helper()
	return p.post(http.Header{"Content-Type": {"application/json"}}, body)
}

func TestLimits(t *testing.T) {
	on(t, func(s *studio) {
		owner := s.signUp("owner")
		s.settle()
		for _, test := range []struct {
			name   string
			send   func(p *person) *answer
			status int
			code   fault.Code
		}{
			{"Depth", func(p *person) *answer { return p.send(nested(22), nil) }, 200, fault.QueryTooComplex},
			{"Aliases", func(p *person) *answer { return p.send("{"+numbered(101, " a%d: __typename")+"}", nil) }, 200, fault.QueryTooComplex},
			{"Directives", func(p *person) *answer {
				return p.send("{ __typename"+strings.Repeat(" @include(if: true)", 1000)+" }", nil)
			}, 200, fault.QueryTooComplex},
			{"DirectivesOfManyFields", func(p *person) *answer {
				return p.send("{"+strings.Repeat(" __typename @include(if: true)", 101)+"}", nil)
			}, 200, fault.QueryTooComplex},
			{"Fragments", func(p *person) *answer { return p.send(doubling(60), nil) }, 200, fault.QueryTooComplex},
			{"Tokens", func(p *person) *answer { return p.send("{"+strings.Repeat(" __typename", 5000)+"}", nil) }, 200, fault.QueryTooComplex},
			{"Complexity", func(p *person) *answer {
				return p.send(`{ viewer { organizations(first: 100) { nodes { users(first: 50) { nodes { id } } } } } }`, nil)
			}, 200, fault.QueryTooComplex},
			{"ComplexityOfInstances", func(p *person) *answer {
				return p.send(`{ viewer { organizations(first: 100) { nodes { instances(first: 100) { nodes { id } } } } } }`, nil)
			}, 200, fault.QueryTooComplex},
			{"ComplexityOfInvoices", func(p *person) *answer {
				return p.send(`{ viewer { organizations(first: 100) { nodes { billing { invoices(first: 100) { nodes { id } } } } } } }`, nil)
			}, 200, fault.QueryTooComplex},
			{"ComplexityOfEndpoints", func(p *person) *answer {
				return p.send(`{ viewer { organizations(first: 100) { nodes { webhookEndpoints { a: id b: id c: id d: id e: id f: id g: id h: id i: id j: id } } } } }`, nil)
			}, 200, fault.QueryTooComplex},
			{"ComplexityOfDeliveries", func(p *person) *answer {
				return p.send(`{ viewer { organizations(first: 20) { nodes { webhookEndpoints { deliveries { id } } } } } }`, nil)
			}, 200, fault.QueryTooComplex},
			{"Batch", func(p *person) *answer {
				return p.postJSON("[" + strings.TrimSuffix(strings.Repeat(`{"query":"{ viewer { id } }"},`, 11), ",") + "]")
			}, 400, fault.QueryTooComplex},
			{"Body", func(p *person) *answer { return p.postJSON(`{"query":"{ viewer { id } } #` + long(1<<20) + `"}`) }, 413, fault.BadRequest},
			{"PublicMutations", func(p *person) *answer {
				return p.send(`mutation { a: requestPasswordReset(input: { email: "a@example.com" }) { requested } ... on Mutation { b: requestPasswordReset(input: { email: "a@example.com" }) { requested } } }`, nil)
			}, 200, fault.QueryTooComplex},
			{"NothingToFollow", func(p *person) *answer {
				return p.send(`subscription($skip: Boolean! = true) { invitationReceived @skip(if: $skip) { id } }`, nil)
			}, 200, fault.ValidationFailed},
			{"Defer", func(p *person) *answer { return p.send(`{ ... @defer { viewer { id } } }`, nil) }, 200, fault.ValidationFailed},
			{"NotGraphQL", func(p *person) *answer { return p.send(`{`, nil) }, 200, fault.ParseFailed},
			{"NotJSON", func(p *person) *answer { return p.postJSON(`{`) }, 400, fault.BadRequest},
			{"NoDefinition", func(p *person) *answer { return p.send(``, nil) }, 200, fault.ParseFailed},
			{"NoOperation", func(p *person) *answer { return p.send(`fragment F on Query { __typename }`, nil) }, 200, fault.ValidationFailed},
		} {
			s.Run(test.name, func(t *testing.T) {
				s.statements.take()
				a := test.send(owner.in(t))
				if sent := s.ofRequests(); len(sent) > 0 {
					t.Errorf("statements were sent: %v", sent)
				}
				if a.status != test.status {
					t.Errorf("got the status %d, want %d", a.status, test.status)
				}
				a.check(test.code, "")
				for _, one := range gjson.Get(a.body, "errors").Array() {
					if one.Get("extensions.code").String() == "" {
						t.Errorf("an error without a code: %s", one)
					}
				}
			})
		}
	})
}

// TestComplexityOfVariables asks the same document for more and for less.
func TestComplexityOfVariables(t *testing.T) {
	const query = `query($first: Int!) { viewer { organizations(first: $first) { nodes { users(first: 50) { nodes { id } } } } } }`
	on(t, func(s *studio) {
		owner := s.signUp("owner")
		for range 2 {
			owner.do(query, vars{"first": 1})
			owner.refused(fault.QueryTooComplex, "", query, vars{"first": 100})
		}
	})
}

func TestWithinLimits(t *testing.T) {
	on(t, func(s *studio) {
		for name, operation := range map[string]string{
			"GraphiQL":   introspection.NewQuery(introspection.QueryOptions{OneOf: true}),
			"Depth":      nested(20),
			"Aliases":    "{" + numbered(100, " a%d: __typename") + "}",
			"Directives": "{" + strings.Repeat(" __typename @include(if: true)", 100) + "}",
			"Fields":     "{" + strings.Repeat(" ...A", 10) + "} fragment A on Query {" + strings.Repeat(" __typename", 100) + "}",
			"SameField":  "{" + strings.Repeat(" __typename", 223) + "}",
			"Complexity": `{ viewer { organizations(first: 100) { nodes { users(first: 48) { nodes { id } } } } } }`,
		} {
			s.Run(name, func(t *testing.T) { s.nobody().in(t).do(operation, nil) })
		}
		s.Run("Batch", func(t *testing.T) {
			body := "[" + strings.TrimSuffix(strings.Repeat(`{"query":"{ __typename }"},`, 10), ",") + "]"
			a := s.nobody().in(t).postJSON(body)
			if got := gjson.Get(a.body, "#.data.__typename").Raw; got != "["+strings.TrimSuffix(strings.Repeat(`"Query",`, 10), ",")+"]" {
				t.Errorf("got %s", a.body)
			}
		})
	})
}

func TestNoSuggestions(t *testing.T) {
	on(t, func(s *studio) {
		for name, test := range map[string]struct {
			operation string
			variables vars
		}{
			"Field":           {operation: `{ viewe { id } }`},
			"NestedField":     {operation: `{ viewer { organization { id } } }`},
			"Argument":        {operation: `{ subdomainAvailability(subdomai: "x") { available } }`},
			"EnumValue":       {operation: `{ viewer { organizations(orderBy: { field: NAM, direction: ASC }) { totalCount } } }`},
			"EnumVariable":    {operation: `query($o: OrganizationOrder) { viewer { organizations(orderBy: $o) { totalCount } } }`, variables: vars{"o": vars{"field": "NAM", "direction": "ASC"}}},
			"Type":            {operation: `{ ... on Quer { viewer { id } } }`},
			"VariableType":    {operation: `query($id: I) { node(id: $id) { id } }`},
			"InputField":      {operation: `mutation { signIn(input: { emai: "x", password: "x" }) { token } }`},
			"VariableOfInput": {operation: `mutation($i: SignInInput!) { signIn(input: $i) { token } }`, variables: vars{"i": vars{"emai": "x", "email": "x", "password": "x"}}},
			"Directive":       {operation: `{ __typename @skp(if: true) }`},
		} {
			s.Run(name, func(t *testing.T) {
				a := s.nobody().in(t).send(test.operation, test.variables)
				a.check(fault.ValidationFailed, gjson.Get(a.body, "errors.0.extensions.field").String())
				if strings.Contains(a.body, "Did you mean") {
					t.Errorf("got a suggestion: %s", a.body)
				}
			})
		}
	})
}

func TestPersistedQueries(t *testing.T) {
	on(t, func(s *studio) {
		owner := s.signUp("owner")
		send := func(query, text string) *answer {
			hash := sha256.Sum256([]byte(text))
			request := vars{"extensions": vars{"persistedQuery": vars{"version": 1, "sha256Hash": hex.EncodeToString(hash[:])}}}
			if query != "" {
				request["query"] = query
			}
			body, err := json.Marshal(request)
			if err != nil {
				s.Fatal(err)
			}
			return owner.postJSON(string(body))
		}
		unknown := send("", whoAmI)
		unknown.check(fault.PersistedQueryNotFound, "")
		if got := gjson.Get(unknown.body, "errors.0.message").String(); got != "PersistedQueryNotFound" {
			s.Errorf("clients look for another message than %q", got)
		}
		send(whoAmI, "another text").check(fault.BadRequest, "")
		for _, query := range []string{whoAmI, ""} {
			send(query, whoAmI).want("viewer.user.email", `"owner@example.com"`)
		}

		// However many there are, and however long, they do not fill the memory.
		long := make([]string, 20)
		for i := range long {
			long[i] = fmt.Sprintf("%s # %d %s", whoAmI, i, strings.Repeat("x", 100<<10))
			send(long[i], long[i]).want("viewer.user.email", `"owner@example.com"`)
		}
		s.eventually("no more than five are kept", func() bool {
			kept := 0
			for _, text := range long {
				if !strings.Contains(send("", text).body, string(fault.PersistedQueryNotFound)) {
					kept++
				}
			}
			return kept <= 5
		})
	})
}

// internals is what must not be told to callers.
var internals = regexp.MustCompile(`(?i)sql|table|relation|column|driver|dial|refused|127\.0|api_tokens|panic`)

func TestInternal(t *testing.T) {
	on(t, func(s *studio) {
		owner := s.signUp("owner")
		if _, err := s.db.Pool().ExecContext(s.Context(), "DROP TABLE api_tokens"); err != nil {
			s.Fatal(err)
		}
		a := owner.refused(fault.Internal, "", listAPITokens, nil)
		message := gjson.Get(a.body, "errors.0.message").String()
		if !regexp.MustCompile(`the ID \w+ `).MatchString(message) || internals.MatchString(message) {
			s.Errorf("got %s", a.body)
		}
	})
}

func TestDatabaseGone(t *testing.T) {
	t.Parallel()
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		address, err := url.Parse(dbtest.Postgres(t))
		if err != nil {
			t.Fatal(err)
		}
		link := newLink(t, address.Host)
		address.Host = link.Addr().String()
		s := start(t, func(options ...db.Option) *db.DB { return dbtest.Open(t, address.String(), options...) }, &dbtest.Clock{})
		owner := s.signUp("owner")
		s.settle()
		link.cut()
		a := owner.refused(fault.Unavailable, "", whoAmI, nil)
		if internals.MatchString(gjson.Get(a.body, "errors.0.message").String()) {
			t.Errorf("got %s", a.body)
		}
	})
}

// link passes on what is sent to a server, until it is cut.
type link struct {
	net.Listener
	mu    sync.Mutex
	conns []net.Conn
}

func newLink(t *testing.T, to string) *link {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &link{Listener: listener}
	t.Cleanup(l.cut)
	go func() {
		for {
			here, err := listener.Accept()
			if err != nil {
				return
			}
			there, err := net.Dial("tcp", to)
			if err != nil {
				_ = here.Close()
				return
			}
			l.mu.Lock()
			l.conns = append(l.conns, here, there)
			l.mu.Unlock()
			go func() { _, _ = io.Copy(here, there) }()
			go func() { _, _ = io.Copy(there, here) }()
		}
	}()
	return l
}

func (l *link) cut() {
	_ = l.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, conn := range l.conns {
		_ = conn.Close()
	}
}
