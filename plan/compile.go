package plan

// How a document becomes a plan.

import (
	"maps"
	"slices"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"

	"studio/db"
)

// compiler makes one plan.
type compiler struct {
	schema    *ast.Schema
	operation *graphql.OperationContext
	plan      *plan
	// failed is set by what no plan can carry.
	failed bool
}

// object is a type, and how its fields are written.
type object struct {
	name   string
	fields fields
}

type fields map[string]field

// with is these fields and others.
func (f fields) with(others fields) fields {
	all := maps.Clone(f)
	maps.Copy(all, others)
	return all
}

// field adds what writes a selected field to the program of a row.
type field func(c *compiler, s *source, to *program, selected graphql.CollectedField)

// compile makes the plan of an operation, nil when it has none.
func compile(schema *ast.Schema, operation *graphql.OperationContext) *plan {
	if operation.Operation.Operation != ast.Query || len(operation.Operation.Directives) > 0 || directed(operation.Operation.SelectionSet) {
		return nil
	}
	c := &compiler{schema: schema, operation: operation, plan: &plan{}}
	c.object(nil, &c.plan.program, query, operation.Operation.SelectionSet)
	if c.failed {
		return nil
	}
	return c.plan
}

// directed reports whether anything selected has a directive, whose effect may depend on variables.
func directed(set ast.SelectionSet) bool {
	for _, selection := range set {
		var directives ast.DirectiveList
		var inner ast.SelectionSet
		switch selection := selection.(type) {
		case *ast.Field:
			directives, inner = selection.Directives, selection.SelectionSet
		case *ast.InlineFragment:
			directives, inner = selection.Directives, selection.SelectionSet
		case *ast.FragmentSpread:
			directives, inner = selection.Directives, selection.Definition.SelectionSet
		}
		if len(directives) > 0 || directed(inner) {
			return true
		}
	}
	return false
}

// object adds what writes an object.
func (c *compiler) object(s *source, to *program, is *object, set ast.SelectionSet) {
	before := "{"
	for _, selected := range graphql.CollectFields(c.operation, set, c.conditions(is)) {
		to.literal(before + quoted(selected.Alias) + ":")
		before = ","
		if selected.Name == "__typename" {
			to.literal(quoted(is.name))
			continue
		}
		write, known := is.fields[selected.Name]
		if !known || !c.permits(is, selected.Field) {
			c.failed = true
			return
		}
		write(c, s, to, selected)
	}
	to.literal("}")
}

// conditions are the types of fragments that apply to an object.
func (c *compiler) conditions(is *object) []string {
	names := []string{is.name}
	for _, abstract := range c.schema.GetImplements(c.schema.Types[is.name]) {
		names = append(names, abstract.Name)
	}
	return names
}

// permits notes what the schema's directives ask of the caller, and reports false for one that is not
// carried by what every plan asks: that there is a credential, and that each organization has been
// accepted by its user.
func (c *compiler) permits(is *object, selected *ast.Field) bool {
	for _, argument := range selected.Definition.Arguments {
		if len(argument.Directives) > 0 {
			return false
		}
	}
	for _, directive := range selected.Definition.Directives {
		switch {
		case is == query && (directive.Name == "authenticated" || directive.Name == "public"):
		case is == organization && directive.Name == "member":
		case is == organization && directive.Name == "owner":
			c.plan.ownersOnly = true
		default:
			return false
		}
	}
	return true
}

// column writes a column's value.
func column(expression string) field {
	return func(_ *compiler, s *source, to *program, _ graphql.CollectedField) {
		to.add(step{kind: valueStep, column: s.column(expression)})
	}
}

// derived writes what of makes of a column's text.
func derived(expression string, of func(text string) (json string, ok bool)) field {
	return func(_ *compiler, s *source, to *program, _ graphql.CollectedField) {
		to.add(step{kind: derivedStep, column: s.column(expression), derive: of})
	}
}

// constant writes the same for every row.
func constant(json string) field {
	return func(_ *compiler, _ *source, to *program, _ graphql.CollectedField) { to.literal(json) }
}

// cursor writes the row's cursor in its list.
func cursor(_ *compiler, s *source, to *program, _ graphql.CollectedField) {
	s.keepKey()
	to.add(step{kind: cursorStep})
}

// ofSameRow writes an object that is made of the same row.
func ofSameRow(is *object) field {
	return func(c *compiler, s *source, to *program, selected graphql.CollectedField) {
		c.object(s, to, is, selected.Selections)
	}
}

// optional writes an object that is made of the same row and is there when a column has a value.
func optional(expression string, is *object) field {
	return func(c *compiler, s *source, to *program, selected graphql.CollectedField) {
		inner := step{kind: optionalStep, column: s.column(expression)}
		c.object(s, &inner.inner, is, selected.Selections)
		to.add(inner)
	}
}

// root writes what a root field names: the viewer, or one organization.
func root(is *object, text func(byAPIToken bool, columns []string) string) field {
	return func(c *compiler, _ *source, to *program, selected graphql.CollectedField) {
		if c.plan.root != nil {
			c.failed = true // one root is enough to show whether the credential is good
			return
		}
		added := c.source(nil, is == organization)
		added.field = selected.Field
		c.plan.root = added
		c.object(added, &added.program, is, selected.Selections)
		added.finish(func(v variant) string { return text(v.byAPIToken, added.columns) })
		to.add(step{kind: gapStep, source: added, part: theRow})
	}
}

// all writes a list whole.
func all(list *db.List, is *object) field {
	return func(c *compiler, s *source, to *program, selected graphql.CollectedField) {
		listed := c.source(list, false)
		c.object(listed, &listed.program, is, selected.Selections)
		c.under(s, listed)
		to.add(step{kind: gapStep, source: listed, part: theRows})
	}
}

// connection writes a page of a list, the first or one after a cursor; the list is nil for the viewer's
// organizations. The count is a column of the row that the connection is in.
func connection(list *db.List, is *object, count string) field {
	return func(c *compiler, s *source, to *program, selected graphql.CollectedField) {
		listed := c.source(list, is == organization)
		listed.page, listed.field = len(c.plan.pages), selected.Field
		c.plan.pages = append(c.plan.pages, listed)
		rows := func(of *object) field {
			return func(c *compiler, _ *source, to *program, selected graphql.CollectedField) {
				if len(listed.program) > 0 {
					c.failed = true // nodes and edges, which are two programs
					return
				}
				c.object(listed, &listed.program, of, selected.Selections)
				to.add(step{kind: gapStep, source: listed, part: theRows})
			}
		}
		about := func(part part) field {
			return func(_ *compiler, _ *source, to *program, _ graphql.CollectedField) {
				listed.keepKey()
				listed.probes = true
				to.add(step{kind: gapStep, source: listed, part: part})
			}
		}
		c.object(s, to, &object{is.name + "Connection", fields{
			"nodes":      rows(is),
			"edges":      rows(&object{is.name + "Edge", fields{"cursor": cursor, "node": ofSameRow(is)}}),
			"totalCount": column(count),
			"pageInfo": ofSameRow(&object{"PageInfo", fields{
				"hasNextPage": about(hasNextPage), "hasPreviousPage": about(hasPreviousPage),
				"startCursor": about(startCursor), "endCursor": about(endCursor),
			}}),
		}}, selected.Selections)
		switch {
		case len(listed.program) > 0:
			c.under(s, listed)
		case listed.probes:
			c.failed = true // is about a page that is not read
		}
	}
}

// source adds a statement.
func (c *compiler) source(list *db.List, isOrganization bool) *source {
	added := &source{number: c.plan.sources, list: list, isOrganization: isOrganization, page: whole}
	switch {
	case list != nil:
		added.columns = slices.Clone(listColumns)
	case isOrganization:
		added.columns = slices.Clone(organizationColumns)
	default:
		added.columns = slices.Clone(viewerColumns)
	}
	c.plan.sources++
	return added
}

// under puts a list into each row of a source.
func (c *compiler) under(s, listed *source) {
	s.children = append(s.children, listed)
	ofOne := s == c.plan.root
	listed.finish(func(v variant) string {
		switch {
		case listed.isOrganization:
			return db.SelectOrganizationsOfViewer(v.byAPIToken, listed.columns, v.order, v.after)
		case ofOne:
			return db.SelectList(listed.list, listed.columns, v.after)
		default:
			return db.SelectLists(listed.list, listed.columns)
		}
	})
}

// finish ends what is read and written of a source. The text is kept for longer than the compiler.
func (s *source) finish(text func(v variant) string) {
	s.gaps, s.text = s.program.gaps(), text
}

// keepKey reads the columns that make a row's cursor; organizations have them anyway.
func (s *source) keepKey() {
	if s.list == nil || s.keys != nil {
		return
	}
	for _, column := range s.list.KeyColumns() {
		s.keys = append(s.keys, s.column(column))
	}
}
