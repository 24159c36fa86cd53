package resolvers_test

// Who may call what: tests over the whole schema, so that a field which is added is tested too.

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/tidwall/gjson"
	"github.com/vektah/gqlparser/v2"
	gql "github.com/vektah/gqlparser/v2/ast"

	"studio/db"
	"studio/fault"
	"studio/graph"
)

func schema() *gql.Schema { return graph.NewExecutableSchema(graph.Config{}).Schema() }

// root is a field of Query, Mutation or Subscription.
type root struct {
	schema    *gql.Schema
	operation gql.Operation
	*gql.FieldDefinition
}

func roots(schema *gql.Schema) []root {
	var found []root
	for operation, definition := range map[gql.Operation]*gql.Definition{
		gql.Query: schema.Query, gql.Mutation: schema.Mutation, gql.Subscription: schema.Subscription,
	} {
		if definition == nil {
			continue
		}
		for _, field := range definition.Fields {
			if !strings.HasPrefix(field.Name, "__") {
				found = append(found, root{schema, operation, field})
			}
		}
	}
	return found
}

// value is an argument or an input field, at a path such as "input.organizationId".
type value struct {
	path       string
	kind       *gql.Type
	directives gql.DirectiveList
	optional   bool
}

// values are the arguments of a field and what they hold.
func (r root) values() []value {
	var found []value
	for _, argument := range r.Arguments {
		found = append(found, r.valuesIn(value{argument.Name, argument.Type, argument.Directives, !argument.Type.NonNull})...)
	}
	return found
}

func (r root) valuesIn(v value) []value {
	found := []value{v}
	if definition := r.schema.Types[v.kind.Name()]; definition.Kind == gql.InputObject {
		for _, field := range definition.Fields {
			found = append(found, r.valuesIn(value{
				v.path + "." + field.Name, field.Type, field.Directives, v.optional || !field.Type.NonNull,
			})...)
		}
	}
	return found
}

func has(directives gql.DirectiveList, names ...string) bool {
	return slices.ContainsFunc(names, func(name string) bool { return directives.ForName(name) != nil })
}

// unguarded lists the root fields that anybody could call though nothing says so. A guard on what
// may be left out is none.
func unguarded(schema *gql.Schema) []string {
	var found []string
	for _, r := range roots(schema) {
		guarded := slices.ContainsFunc(r.values(), func(v value) bool { return !v.optional && has(v.directives, "member", "owner") })
		if !guarded && !has(r.Directives, "public", "authenticated") {
			found = append(found, r.Name)
		}
	}
	slices.Sort(found)
	return found
}

// undescribed lists what a schema leaves without a description.
func undescribed(schema *gql.Schema) []string {
	var found []string
	check := func(name, description string) {
		if strings.TrimSpace(description) == "" {
			found = append(found, name)
		}
	}
	arguments := func(name string, list gql.ArgumentDefinitionList) {
		for _, argument := range list {
			check(name+"("+argument.Name+")", argument.Description)
		}
	}
	for _, definition := range schema.Types {
		if definition.BuiltIn {
			continue
		}
		check(definition.Name, definition.Description)
		for _, field := range definition.Fields {
			if !strings.HasPrefix(field.Name, "__") {
				check(definition.Name+"."+field.Name, field.Description)
				arguments(definition.Name+"."+field.Name, field.Arguments)
			}
		}
		for _, constant := range definition.EnumValues {
			check(definition.Name+"."+constant.Name, constant.Description)
		}
	}
	for _, directive := range schema.Directives {
		if !directive.Position.Src.BuiltIn {
			check("@"+directive.Name, directive.Description)
			arguments("@"+directive.Name, directive.Arguments)
		}
	}
	slices.Sort(found)
	return found
}

func TestGuards(t *testing.T) {
	t.Parallel()
	wrong := gqlparser.MustLoadSchema(&gql.Source{Input: `
		"Described." directive @public on FIELD_DEFINITION
		directive @owner(a: Int) on FIELD_DEFINITION | ARGUMENT_DEFINITION | INPUT_FIELD_DEFINITION
		"Described."
		type Query {
			"Described." open: Int @public
			"Described." forgotten("Described." id: ID!): Int
			"Described." guarded("Described." id: ID! @owner): Int
		}
		type Mutation { nested(input: Outer!): Int, optional(input: Outer): Int, optionalField(input: Optional!): Int }
		input Outer { inner: Inner! }
		input Inner { id: ID! @owner }
		input Optional { id: ID @owner }
		enum Choice { ONE }
		scalar Bare
	`})
	for _, test := range []struct {
		name   string
		schema *gql.Schema
		find   func(*gql.Schema) []string
		want   string
	}{
		{"EveryRootField", schema(), unguarded, ""},
		{"FindsUnguarded", wrong, unguarded, "forgotten optional optionalField"},
		{"EveryDescription", schema(), undescribed, ""},
		{"FindsUndescribed", wrong, undescribed, "@owner @owner(a) Bare Choice Choice.ONE Inner Inner.id Mutation Mutation.nested " +
			"Mutation.nested(input) Mutation.optional Mutation.optional(input) Mutation.optionalField Mutation.optionalField(input) " +
			"Optional Optional.id Outer Outer.inner"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := strings.Join(test.find(test.schema), " "); got != test.want {
				t.Errorf("found %q, want %q", got, test.want)
			}
		})
	}
	t.Run("EveryDirective", func(t *testing.T) {
		on(t, func(s *studio) {
			owner, stranger := s.signUp("owner"), s.signUp("stranger")
			home := owner.home()
			refusals := map[string]func(){
				"Authenticated": func() { s.nobody().refused(fault.Unauthenticated, "", organizationByID, vars{"id": home}) },
				"Member": func() {
					stranger.refused(fault.NotFound, "input.organizationId", leaveOrganization, vars{"org": home, "name": "x"})
				},
				"Owner": func() {
					stranger.refused(fault.NotFound, "input.organizationId", updateOrganization, vars{"org": home, "name": "x"})
				},
			}
			for directive := range reflect.TypeFor[graph.DirectiveRoot]().Fields() {
				refuse, known := refusals[directive.Name]
				if !known {
					s.Fatalf("nothing here proves that @%s refuses anybody", directive.Name)
				}
				refuse()
			}
		})
	})
}

func TestErrorCodes(t *testing.T) {
	t.Parallel()
	file, err := parser.ParseFile(token.NewFileSet(), "../fault/fault.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var constants, documented []string
	ast.Inspect(file, func(node ast.Node) bool {
		spec, ok := node.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if kind, ok := spec.Type.(*ast.Ident); ok && kind.Name == "Code" {
			code, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			constants = append(constants, code)
		}
		return true
	})
	for _, code := range schema().Types["ErrorCode"].EnumValues {
		documented = append(documented, code.Name)
	}
	if len(constants) == 0 || !slices.Equal(constants, documented) {
		t.Errorf("the codes in Go are %v\nand in the schema %v", constants, documented)
	}
}

// document calls a root field with as little as it takes, and with the variable $id at a path.
func (r root) document(idAt string) string {
	var arguments []string
	for _, argument := range r.Arguments {
		if argument.Type.NonNull || within(idAt, argument.Name) {
			arguments = append(arguments, argument.Name+": "+r.literal(argument.Type, argument.Name, idAt))
		}
	}
	text := r.Name
	if len(arguments) > 0 {
		text += "(" + strings.Join(arguments, ", ") + ")"
	}
	if r.schema.Types[r.Type.Name()].IsCompositeType() {
		text += " { __typename }"
	}
	if idAt != "" {
		return fmt.Sprintf("%s($id: ID!) { %s }", r.operation, text)
	}
	return fmt.Sprintf("%s { %s }", r.operation, text)
}

func within(path, start string) bool { return path == start || strings.HasPrefix(path, start+".") }

func (r root) literal(kind *gql.Type, path, idAt string) string {
	definition := r.schema.Types[kind.Name()]
	switch {
	case kind.Elem != nil:
		return "[" + r.literal(kind.Elem, path, idAt) + "]"
	case path == idAt:
		return "$id"
	case definition.Kind == gql.Enum:
		return definition.EnumValues[0].Name
	case definition.Kind == gql.InputObject:
		var fields []string
		for _, field := range definition.Fields {
			if inner := path + "." + field.Name; field.Type.NonNull || within(idAt, inner) {
				fields = append(fields, field.Name+": "+r.literal(field.Type, inner, idAt))
			}
		}
		return "{ " + strings.Join(fields, ", ") + " }"
	}
	literal, known := map[string]string{
		"ID": `"` + db.NewID(db.OrganizationPrefix) + `"`, "String": `"DELETE"`, "Boolean": "true", "Int": "1", "Time": `"2100-01-01T00:00:00Z"`,
	}[definition.Name]
	if !known {
		panic("no placeholder for " + definition.Name)
	}
	return literal
}

// idPaths are the paths at which a field takes an ID.
func (r root) idPaths() []string {
	var paths []string
	for _, v := range r.values() {
		if v.kind.Name() == "ID" {
			paths = append(paths, v.path)
		}
	}
	return paths
}

// call sends an operation of any kind and returns its response, the first one of a stream.
func (p *person) call(r root, idAt, id string) string {
	p.Helper()
	document, variables := r.document(idAt), vars{"id": id}
	if r.operation != gql.Subscription {
		return p.send(document, variables).body
	}
	body, err := json.Marshal(map[string]any{"query": document, "variables": variables})
	if err != nil {
		p.Fatal(err)
	}
	a := p.post(http.Header{"Content-Type": {"application/json"}, "Accept": {"text/event-stream"}}, string(body))
	_, response, found := strings.Cut(a.body, "data: ")
	if !found {
		p.Fatalf("no response in the stream %q", a.body)
	}
	response, _, _ = strings.Cut(response, "\n")
	return response
}

func TestUnauthenticated(t *testing.T) {
	on(t, func(s *studio) {
		for _, r := range roots(schema()) {
			body := s.nobody().call(r, "", "")
			refused := gjson.Get(body, "errors.0.extensions.code").String() == string(fault.Unauthenticated)
			if public := has(r.Directives, "public"); refused == public {
				s.Errorf("%s answers nobody %s", r.Name, body)
			}
			if refused && strings.Contains(body, "__typename") {
				s.Errorf("%s refuses, but answers all the same: %s", r.Name, body)
			}
		}
	})
}

// tenant is an organization with one of everything, and those who have to do with it.
type tenant struct {
	*studio
	owner, member, invited, declined, removed, stranger *person
	organization                                        string
	// ids of objects by what they are.
	ids map[string]string
}

func newTenant(s *studio) *tenant {
	s.Helper()
	c := &tenant{
		studio: s, owner: s.signUp("owner"), member: s.signUp("member"), invited: s.verified("invited"),
		declined: s.verified("declined"), removed: s.signUp("removed"), stranger: s.verified("stranger"),
	}
	c.organization = c.owner.home()
	founded := c.owner.do(`query($id: ID!) { organization(id: $id) { events { nodes { id } } } }`, vars{"id": c.organization})
	joined := c.owner.join(c.organization, c.member)
	declined := c.owner.invite(c.organization, c.declined.email)
	c.declined.do(declineInvitation, vars{"id": declined})
	c.owner.do(removeUser, vars{"id": c.owner.join(c.organization, c.removed)})
	invited := c.owner.invite(c.organization, c.invited.email)
	c.owner.do(`mutation { createApiToken(input: { name: "x" }) { token } }`, nil)
	c.owner.setCard(c.organization, "pm_card_visa")
	instance := c.owner.createInstance(c.organization, "one", "cloud-2gb", 10)
	coupon := c.owner.do(addCoupon, vars{"org": c.organization, "code": "WELCOME50"}).str("addCoupon.coupon.id")
	endpoint, _ := c.owner.endpoint(c.organization, "https://127.0.0.1:1/", "USER_LEFT")
	c.settle()
	bills := c.owner.do(`query($org: ID!) { organization(id: $org) { billing { id invoices { nodes { id } } } } }`, vars{"org": c.organization})

	viewer := func(p *person) *answer {
		return p.do(`{ viewer { user { id } sessions { id } apiTokens { id } } }`, nil)
	}
	own := viewer(c.owner)
	about := func(subject string) string {
		return c.owner.do(`query($id: ID!) { organization(id: $id) { events { nodes { id subject { ... on Node { id } ... on WebhookEndpoint { id } } } } } }`,
			vars{"id": c.organization}).str(`organization.events.nodes.#(subject.id=="` + subject + `").id`)
	}
	c.ids = map[string]string{
		"organization":        c.organization,
		"owner":               own.str("viewer.user.id"),
		"session":             own.str("viewer.sessions.0.id"),
		"API token":           own.str("viewer.apiTokens.0.id"),
		"member":              viewer(c.member).str("viewer.user.id"),
		"invited":             viewer(c.invited).str("viewer.user.id"),
		"place of the owner":  c.owner.membership(c.organization),
		"place of the member": joined,
		"invitation":          invited,
		"declined":            declined,
		"founding":            founded.str("organization.events.nodes.0.id"),
		"joining":             about(joined),
		"inviting":            about(invited),
		"instance":            instance,
		"creation":            about(instance),
		"billing":             bills.str("organization.billing.id"),
		"invoice":             bills.str("organization.billing.invoices.nodes.0.id"),
		"invoicing":           about(bills.str("organization.billing.invoices.nodes.0.id")),
		"coupon":              coupon,
		"webhook endpoint":    endpoint,
		"adding":              about(endpoint),
		"redemption":          about(coupon),
	}
	return c
}

// wantNothing compares what somebody gets for each ID with what they get for one that names nothing.
func (c *tenant) wantNothing(name string, who *person, r root, path string) {
	c.Helper()
	answer := func(id string) string { return strings.ReplaceAll(who.call(r, path, id), id, "ID") }
	nothing := map[string]string{}
	for what, id := range c.ids {
		prefix := db.PrefixOf(id)
		if nothing[prefix] == "" {
			nothing[prefix] = answer(db.NewID(prefix))
		}
		if got := answer(id); got != nothing[prefix] {
			c.Errorf("%s with the %s at %s answers the %s\n%s\nand for one that does not exist\n%s", r.Name, what, path, name, got, nothing[prefix])
		}
	}
}

func TestTenantIsolation(t *testing.T) {
	t.Parallel()
	t.Run("Strangers", func(t *testing.T) {
		on(t, func(s *studio) {
			c := newTenant(s)
			before := s.state(c.organization)
			for _, r := range roots(schema()) {
				answers := r.Name == "acceptInvitation" || r.Name == "declineInvitation"
				strangers := map[string]*person{"stranger": c.stranger, "removed": c.removed}
				if !answers {
					strangers["declined"] = c.declined
				}
				// The invitation lets them read, as TestTenantIsolation/Node says.
				if !answers && r.operation != gql.Query {
					strangers["invited"] = c.invited
				}
				for _, path := range r.idPaths() {
					for name, who := range strangers {
						c.wantNothing(name, who, r, path)
					}
				}
			}
			if after := s.state(c.organization); after != before {
				s.Errorf("all was refused, but changed from\n%s\nto\n%s", before, after)
			}
			c.owner.do(`{ viewer { sessions { id } apiTokens { id } } }`, nil).
				want("viewer", `{"sessions":[{"id":"`+c.ids["session"]+`"}],"apiTokens":[{"id":"`+c.ids["API token"]+`"}]}`)
		})
	})
	t.Run("Member", func(t *testing.T) {
		on(t, func(s *studio) {
			c := newTenant(s)
			before := s.state(c.organization)
			for _, r := range roots(schema()) {
				for _, v := range r.values() {
					if !has(v.directives, "owner") {
						continue
					}
					prefix := map[string]string{
						"organizationId":     db.OrganizationPrefix,
						"organizationUserId": db.MembershipPrefix,
						"instanceId":         db.InstancePrefix,
						"invoiceId":          db.InvoicePrefix,
						"webhookEndpointId":  db.WebhookEndpointPrefix,
					}[v.path[strings.LastIndex(v.path, ".")+1:]]
					for what, id := range c.ids {
						want := fault.NotFound // as all else is not what is asked for
						if db.PrefixOf(id) == prefix {
							want = fault.Forbidden
						}
						body := c.member.call(r, v.path, id)
						if gjson.Get(body, "errors.0.extensions.code").String() != string(want) {
							s.Errorf("%s with the %s at %s answers a member %s, want %s", r.Name, what, v.path, body, want)
						}
					}
				}
			}
			if after := s.state(c.organization); after != before {
				s.Errorf("all was refused, but changed from\n%s\nto\n%s", before, after)
			}
		})
	})
	t.Run("Node", func(t *testing.T) {
		on(t, func(s *studio) {
			c := newTenant(s)
			people := map[string]*person{
				"owner": c.owner, "member": c.member, "invited": c.invited, "declined": c.declined, "removed": c.removed, "stranger": c.stranger,
			}
			seenBy := map[string]string{
				"organization":        "owner member invited",
				"owner":               "owner member invited",
				"session":             "owner",
				"API token":           "owner",
				"member":              "owner member",
				"invited":             "invited",
				"place of the owner":  "owner",
				"place of the member": "owner member",
				"invitation":          "owner invited",
				"declined":            "owner",
				"founding":            "owner member",
				"joining":             "owner member",
				"inviting":            "owner",
				"instance":            "owner member",
				"creation":            "owner member",
				"billing":             "owner",
				"invoice":             "owner",
				"invoicing":           "owner",
				"coupon":              "owner",
				"webhook endpoint":    "", // it is no node
				"adding":              "owner",
				"redemption":          "owner",
			}
			whats := slices.Sorted(maps.Keys(c.ids))
			ids := make([]string, len(whats))
			for i, what := range whats {
				ids[i] = c.ids[what]
			}
			for name, p := range people {
				several := p.do(`query($ids: [ID!]!) { nodes(ids: $ids) { id } }`, vars{"ids": ids})
				for i, what := range whats {
					want := `null`
					if slices.Contains(strings.Fields(seenBy[what]), name) {
						want = `{"id":"` + ids[i] + `"}`
					}
					several.want(fmt.Sprint("nodes.", i), want)
					if one := p.do(`query($id: ID!) { node(id: $id) { id } }`, vars{"id": ids[i]}).get("node").Raw; one != want {
						s.Errorf("the %s is %s to the %s, want %s", what, one, name, want)
					}
				}
			}
		})
	})
}

// fieldsOf selects each field of a type with all that can be reached through it, without coming back
// to a type on the way.
func fieldsOf(schema *gql.Schema, name string, above ...string) []string {
	if schema.Types[name].IsAbstractType() {
		return []string{"... on Node { id }"}
	}
	var fields []string
	for _, field := range schema.Types[name].Fields {
		inner := field.Type.Name()
		if strings.HasPrefix(field.Name, "__") || slices.Contains(above, inner) || strings.HasSuffix(inner, "Edge") { // which hold the same nodes
			continue
		}
		text := field.Name
		if field.Arguments.ForName("first") != nil {
			text += "(first: 20)"
		}
		if schema.Types[inner].IsCompositeType() {
			text += " { " + strings.Join(fieldsOf(schema, inner, append(above, name)...), " ") + " }"
		}
		fields = append(fields, text)
	}
	return fields
}

// comesUpon is all that somebody can read without being told an ID.
func (p *person) comesUpon() string {
	p.Helper()
	own := strings.Join(fieldsOf(schema(), "Viewer", "Organization", "OrganizationConnection"), " ")
	seen := p.do("{ viewer { "+own+" } }", nil).body
	for _, field := range fieldsOf(schema(), "Organization") { // one by one, to stay within the limits
		if strings.HasPrefix(field, "webhookEndpoints") { // whose deliveries are many: all that is seen of them hangs on the endpoint
			field = "webhookEndpoints { id deliveries { id } }"
		}
		seen += p.do("{ viewer { organizations(first: 2) { nodes { "+field+" } } } }", nil).body
	}
	return seen
}

// TestTenantWalk reads all that there is to read. What is added to the schema is read too, and must
// be among the tenant's things.
func TestTenantWalk(t *testing.T) {
	on(t, func(s *studio) {
		c := newTenant(s)
		seen := c.owner.comesUpon()
		for what, id := range c.ids {
			if !strings.Contains(seen, id) && what != "invited" { // who becomes a user of the organization by accepting
				s.Errorf("the owner does not come upon the %s: %s", what, seen)
			}
		}
		for name, who := range map[string]*person{"stranger": c.stranger, "removed": c.removed, "declined": c.declined} {
			seen := who.comesUpon()
			for what, id := range c.ids {
				if strings.Contains(seen, id) {
					s.Errorf("the %s comes upon the %s: %s", name, what, seen)
				}
			}
		}

		kinds := map[string]bool{}
		for _, id := range c.ids {
			kinds[c.owner.do(`query($id: ID!) { node(id: $id) { __typename } }`, vars{"id": id}).get("node.__typename").String()] = true
		}
		for _, kind := range schema().GetPossibleTypes(schema().Types["Node"]) {
			if !kinds[kind.Name] {
				s.Errorf("there is no %s among the tenant's things: add one to newTenant", kind.Name)
			}
		}
	})
}

// TestIDs lists what else holds an ID: a field that is added belongs here, or into a test above.
func TestIDs(t *testing.T) {
	t.Parallel()
	var found []string
	for _, definition := range schema().Types {
		isNode := slices.Contains(definition.Interfaces, "Node") || definition.Name == "Node"
		for _, field := range definition.Fields {
			if definition.Kind != gql.InputObject && field.Type.Name() == "ID" && !isNode {
				found = append(found, definition.Name+"."+field.Name)
			}
			for _, argument := range field.Arguments {
				isRoot := definition == schema().Query || definition == schema().Mutation || definition == schema().Subscription
				if kind := schema().Types[argument.Type.Name()]; !isRoot && (kind.Name == "ID" || kind.Kind == gql.InputObject && kind.Name != "OrganizationOrder") {
					found = append(found, definition.Name+"."+field.Name+"("+argument.Name+")")
				}
			}
		}
	}
	want := []string{
		"ComputePlan.id", "Region.id", // of the catalog, which everybody sees
		"DeclineInvitationPayload.declinedOrganizationUserId", "DeleteInstancePayload.deletedInstanceId", "DeleteOrganizationPayload.deletedOrganizationId",
		"DeleteWebhookEndpointPayload.deletedWebhookEndpointId",
		"LeaveOrganizationPayload.leftOrganizationId", "RemoveOrganizationUserPayload.removedOrganizationUserId",
		"RevokeApiTokenPayload.revokedApiTokenId", "RevokeSessionPayload.revokedSessionId", // given by the caller
		"Viewer.id",                                // of the caller
		"WebhookEndpoint.id", "WebhookDelivery.id", // no nodes; TestTenantWalk comes upon the first
	}
	slices.Sort(found)
	slices.Sort(want)
	if !slices.Equal(found, want) {
		t.Errorf("IDs are held by %v, want %v", found, want)
	}
}

// TestRequestSnapshot is about fields that follow, in one document, a field that changes what the
// caller may do.
func TestRequestSnapshot(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, change string
		code         fault.Code
	}{
		{"Demoted", `setOrganizationOwner(input: { organizationUserId: "OWN", isOwner: false }) { __typename }`, fault.Forbidden},
		{"Removed", `removeOrganizationUser(input: { organizationUserId: "OWN", confirm: "DELETE" }) { __typename }`, fault.NotFound},
		{"Left", `leaveOrganization(input: { organizationId: $org, confirmName: "before" }) { __typename }`, fault.NotFound},
		{"Deleted", `deleteOrganization(input: { organizationId: $org, confirmName: "before" }) { __typename }`, fault.NotFound},
	} {
		t.Run(test.name, func(t *testing.T) {
			on(t, func(s *studio) {
				owner, second := s.signUp("owner"), s.signUp("second")
				home := owner.home()
				owner.joinAsOwner(home, second)
				a := owner.refused(test.code, "input.organizationId", `mutation($org: ID!) {
					before: updateOrganization(input: { organizationId: $org, name: "before" }) { organization { name viewerMembership { isOwner } } }
					change: `+strings.ReplaceAll(test.change, "OWN", owner.membership(home))+`
					after: updateOrganization(input: { organizationId: $org, name: "after" }) { organization { name } }
				}`, vars{"org": home})
				if path := gjson.Get(a.body, "errors.#.path").Raw; path != `[["after"]]` {
					s.Errorf("want one error, at the last field: %s", a.body)
				}
				if names := s.log(home); names[len(names)-2] != db.OrganizationUpdated {
					s.Errorf("the log is %v", names)
				}
			})
		})
	}
	t.Run("SignedOut", func(t *testing.T) {
		on(t, func(s *studio) {
			owner := s.signUp("owner")
			home := owner.home()
			owner.refused(fault.Unauthenticated, "", `mutation($org: ID!) {
				signOut { signedOut }
				updateOrganization(input: { organizationId: $org, name: "after" }) { organization { name } }
			}`, vars{"org": home})
			s.wantLog(home)
		})
	})
	t.Run("SessionRevoked", func(t *testing.T) {
		on(t, func(s *studio) {
			owner := s.signUp("owner")
			home, own := owner.home(), owner.session()
			owner.refused(fault.Unauthenticated, "", `mutation($org: ID!, $session: ID!) {
				revokeSession(input: { sessionId: $session }) { revokedSessionId }
				updateOrganization(input: { organizationId: $org, name: "after" }) { organization { name } }
			}`, vars{"org": home, "session": own})
			s.wantLog(home)
		})
	})
	t.Run("Verified", func(t *testing.T) {
		on(t, func(s *studio) {
			owner, guest := s.signUp("owner"), s.signUp("guest")
			guest.do(`mutation($token: String!, $id: ID!) {
				verifyEmail(input: { token: $token }) { user { id } }
				acceptInvitation(input: { organizationUserId: $id }) { organizationUser { status } }
			}`, vars{"token": s.mailedToken(guest.email, "/verify-email/"), "id": owner.invite(owner.home(), guest.email)}).
				want("acceptInvitation.organizationUser.status", `"ACCEPTED"`)
		})
	})
	t.Run("Renamed", func(t *testing.T) {
		on(t, func(s *studio) {
			owner := s.signUp("owner")
			home := owner.home()
			owner.do(`mutation($org: ID!) {
				updateProfile(input: { firstName: "Jane", lastName: "Doe" }) { user { id } }
				updateOrganization(input: { organizationId: $org, name: "after" }) { organization { name } }
			}`, vars{"org": home})
			owner.do(`query($org: ID!) { organization(id: $org) { events(first: 1) { nodes { summary } } } }`, vars{"org": home}).
				want("organization.events.nodes.0.summary", `"Jane Doe renamed the organization from owner's Organization to after."`)
		})
	})
}
