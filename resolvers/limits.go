package resolvers

// Limits: what an operation may ask for at once, checked before anything executes.

import (
	"context"
	"slices"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/handler/extension"
	"github.com/maypok86/otter/v2"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"github.com/vektah/gqlparser/v2/parser"

	"studio/account"
	"studio/db"
	"studio/fault"
	"studio/graph"
	"studio/organization"
	"studio/plan"
	"studio/webhook"
)

const (
	maxTokens      = 5_000  // of a document
	maxComparisons = 50_000 // of a document's fields with those of the same name, and of operations with fragments
	maxDepth       = 20     // the introspection query of graphql-js 16 is 15 deep
	maxFields      = 1_000  // with fragments written out
	maxAliases     = 100    // with fragments written out
	maxDirectives  = 100    // with fragments written out
	maxComplexity  = 10_000 // fields, each as often as its lists are long
)

// gqlparser adds @defer to each schema, but no transport here sends what would come later.
func init() { delete(graph.NewExecutableSchema(graph.Config{}).Schema().Directives, "defer") }

// unvalidated looks at documents that are not known yet before they are validated: validation compares each
// field with all others that have its name in the response, looks at fragments for each operation anew, and
// says of everything what is wrong with it.
type unvalidated struct{ known cache[*ast.QueryDocument] }

func (unvalidated) ExtensionName() string { return "Unvalidated" }

func (unvalidated) Validate(graphql.ExecutableSchema) error { return nil }

func (u unvalidated) MutateOperationParameters(ctx context.Context, params *graphql.RawParams) *gqlerror.Error {
	if _, known := u.known.Get(ctx, params.Query); known {
		return nil
	}
	document, err := parser.ParseQueryWithTokenLimit(&ast.Source{Input: params.Query}, maxTokens)
	if err != nil {
		return nil // the executor finds that, too
	}
	if len(document.Operations)+len(document.Fragments) == 0 {
		return gqlerror.WrapIfUnwrapped(fault.New(fault.ParseFailed, "The document is empty. Send one with an operation, such as { viewer { id } }."))
	}
	if comparisons(document) > maxComparisons {
		return gqlerror.WrapIfUnwrapped(fault.New(fault.QueryTooComplex, "This document repeats the same fields or fragments too often. Send a shorter one."))
	}
	return nil
}

// comparisons is about how much validation compares and looks at.
func comparisons(document *ast.QueryDocument) (total int) {
	named, inFragments := map[string]int{}, map[string]int{}
	for _, operation := range document.Operations {
		countNames(named, operation.SelectionSet)
	}
	for _, fragment := range document.Fragments {
		countNames(inFragments, fragment.SelectionSet)
	}
	for name, count := range inFragments {
		total += len(document.Operations) * count
		named[name] += count
	}
	for _, count := range named {
		total += count * count
	}
	return total
}

// countNames counts fields by their names in the response, and spreads of fragments as "...".
func countNames(named map[string]int, set ast.SelectionSet) {
	for _, selection := range set {
		switch selection := selection.(type) {
		case *ast.Field:
			named[selection.Alias]++
			countNames(named, selection.SelectionSet)
		case *ast.InlineFragment:
			countNames(named, selection.SelectionSet)
		case *ast.FragmentSpread:
			named["..."]++
		}
	}
}

// shape limits an operation's form. It runs before the complexity is worked out, as fragments that
// spread fragments would make that take for ever.
type shape struct{}

func (shape) ExtensionName() string { return "Shape" }

func (shape) Validate(graphql.ExecutableSchema) error { return nil }

func (shape) MutateOperationContext(_ context.Context, operation *graphql.OperationContext) *gqlerror.Error {
	m := measure{fragments: map[string]extent{}}
	found := m.selections(operation.Operation.SelectionSet)
	found.directives += len(operation.Operation.Directives)
	for _, limit := range []struct {
		what       string
		found, max int
	}{
		{"levels deep", found.depth, maxDepth},
		{"fields", found.fields, maxFields},
		{"aliases", found.aliases, maxAliases},
		{"directives", found.directives, maxDirectives},
	} {
		if limit.found > limit.max {
			return gqlerror.WrapIfUnwrapped(fault.New(fault.QueryTooComplex, "This operation has too many %s; at most %d are allowed.", limit.what, limit.max))
		}
	}
	switch operation.Operation.Operation {
	case ast.Subscription:
		if roots := graphql.CollectFields(operation, operation.Operation.SelectionSet, []string{"Subscription"}); len(roots) != 1 {
			return gqlerror.WrapIfUnwrapped(fault.New(fault.ValidationFailed, "A subscription has one field, and must not leave it out."))
		}
	case ast.Mutation:
		public := 0
		for _, root := range graphql.CollectFields(operation, operation.Operation.SelectionSet, []string{"Mutation"}) {
			if root.Definition.Directives.ForName("public") != nil {
				public++
			}
		}
		if public > 1 { // or strangers have passwords hashed and mails sent by the hundred
			return gqlerror.WrapIfUnwrapped(fault.New(fault.QueryTooComplex, "Send each mutation that needs no account in an operation of its own."))
		}
	}
	return nil
}

// extent is how much a part of an operation asks for.
type extent struct {
	depth, fields, aliases, directives int
}

// add joins two parts; sums stop growing where everything is refused anyway.
func (e extent) add(other extent) extent {
	const enough = 1 << 20
	return extent{
		depth:      max(e.depth, other.depth),
		fields:     min(e.fields+other.fields, enough),
		aliases:    min(e.aliases+other.aliases, enough),
		directives: min(e.directives+other.directives, enough),
	}
}

// with adds the directives of a selection.
func (e extent) with(directives ast.DirectiveList) extent {
	e.directives += len(directives)
	return e
}

// measure remembers fragments, so that each is walked once however often it is spread.
type measure struct {
	fragments map[string]extent
}

func (m measure) selections(set ast.SelectionSet) extent {
	var total extent
	for _, selection := range set {
		switch selection := selection.(type) {
		case *ast.Field:
			inner := m.selections(selection.SelectionSet)
			inner.depth++
			inner.fields++
			if selection.Alias != selection.Name {
				inner.aliases++
			}
			total = total.add(inner.with(selection.Directives))
		case *ast.InlineFragment:
			total = total.add(m.selections(selection.SelectionSet).with(selection.Directives))
		case *ast.FragmentSpread:
			inner, known := m.fragments[selection.Name]
			if !known {
				inner = m.selections(selection.Definition.SelectionSet)
				m.fragments[selection.Name] = inner
			}
			total = total.add(inner.with(selection.Directives))
		}
	}
	return total
}

// cost refuses what fits no type and limits the complexity, and remembers operations that it has worked this
// out for, where no variable can change it.
type cost struct {
	*extension.ComplexityLimit
	values values
	known  *otter.Cache[*ast.OperationDefinition, *gqlerror.Error]
}

func newCost(schema *ast.Schema) cost {
	return cost{extension.FixedComplexityLimit(maxComplexity), values{schema}, otter.Must(&otter.Options[*ast.OperationDefinition, *gqlerror.Error]{
		MaximumWeight: maxKept,
		Weigher: func(operation *ast.OperationDefinition, _ *gqlerror.Error) uint32 {
			return uint32(len(operation.Position.Src.Input))
		},
	})}
}

func (c cost) MutateOperationContext(ctx context.Context, operation *graphql.OperationContext) *gqlerror.Error {
	if refusal, known := c.known.GetIfPresent(operation.Operation); known {
		return refusal
	}
	refusal := c.values.fit(operation.Operation.SelectionSet, operation.Variables)
	if refusal == nil {
		refusal = c.ComplexityLimit.MutateOperationContext(ctx, operation)
	}
	fixed := !slices.ContainsFunc(operation.Operation.VariableDefinitions, func(variable *ast.VariableDefinition) bool {
		return variable.Type.NamedType != "ID" && variable.Type.NamedType != "String" // lengths are numbers, or those of lists
	})
	if fixed {
		_, _ = c.known.Set(operation.Operation, refusal)
	}
	return refusal
}

// complexity is how much lists cost: each entry costs what is selected of it.
func complexity() graph.ComplexityRoot {
	var root graph.ComplexityRoot
	root.Viewer.Organizations = func(child int, first *int32, _ *string, last *int32, _ *string, _ *string, _ *graph.OrganizationOrder) int {
		return listed(child, first, last)
	}
	root.Viewer.Invitations = func(child int) int { return 1 + organization.MaxOpen*child }
	root.Viewer.Sessions = func(child int) int { return 1 + account.MaxSessions*child }
	root.Viewer.APITokens = func(child int) int { return 1 + account.MaxAPITokens*child }
	root.Organization.Users = func(child int, first *int32, _ *string, last *int32, _ *string, _ *db.MembershipStatus, _ *string) int {
		return listed(child, first, last)
	}
	root.Organization.Events = func(child int, first *int32, _ *string, last *int32, _ *string) int {
		return listed(child, first, last)
	}
	root.Organization.Instances = func(child int, first *int32, _ *string, last *int32, _ *string) int {
		return listed(child, first, last)
	}
	root.Billing.Invoices = func(child int, first *int32, _ *string, last *int32, _ *string, _ *db.InvoiceStatus) int {
		return listed(child, first, last)
	}
	root.Organization.WebhookEndpoints = func(child int) int { return 1 + webhook.MaxEndpoints*child }
	root.WebhookEndpoint.Deliveries = func(child int) int { return 1 + maxDeliveries*child }
	root.Query.Nodes = func(child int, ids []string) int { return 1 + min(len(ids), maxNodes)*child }
	return root
}

func listed(child int, first, last *int32) int {
	length := int32(plan.DefaultPage)
	if first != nil {
		length = *first
	}
	if last != nil {
		length = *last
	}
	return 1 + int(min(max(length, 0), plan.MaxPage))*child
}
