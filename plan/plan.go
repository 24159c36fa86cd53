// Package plan answers queries of common shapes without executing them field by field. A document is
// compiled once, into a few statements and programs that write their rows as JSON: who the viewer is,
// what organizations are, and pages of what they have. That takes one round trip to PostgreSQL, or two
// where organizations must be found first.
//
// A plan gives nothing but the plain answer. Whatever else there may be to say, such as an error, a page
// from the end or a null that an error explains, is left to gqlgen's executor, which runs the query as if
// there had been no plan.
package plan

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/maypok86/otter/v2"
	"github.com/rs/zerolog"
	"github.com/vektah/gqlparser/v2/ast"

	"studio/db"
)

// How many rows a page has unless asked, and at the most.
const (
	DefaultPage = 20
	MaxPage     = 100
)

// Plans are those of the operations that were met last.
type Plans struct {
	db     *db.DB
	schema *ast.Schema
	plans  *otter.Cache[*ast.OperationDefinition, *plan] // nil for an operation that has none
}

// New makes plans for queries of a schema, and keeps them for documents of at most as many bytes
// together. On SQLite there are none.
func New(database *db.DB, schema *ast.Schema, bytes uint64) *Plans {
	return &Plans{database, schema, otter.Must(&otter.Options[*ast.OperationDefinition, *plan]{
		MaximumWeight: bytes,
		Weigher: func(operation *ast.OperationDefinition, _ *plan) uint32 {
			return uint32(len(operation.Position.Src.Input))
		},
	})}
}

// Answer is what a plan answers an operation with.
type Answer struct {
	Data json.RawMessage
	// Authenticated is set when the credential was found to be good, and LastUsedAt when it was used
	// before.
	Authenticated bool
	LastUsedAt    time.Time
}

// Answer answers an operation; nil when the executor must, as for a caller who shows no credential.
func (p *Plans) Answer(ctx context.Context, operation *graphql.OperationContext, by *db.Credential) *Answer {
	if by == nil || !p.db.CanRead() { // before anything is kept: strangers would fill the memory
		return nil
	}
	found, known := p.plans.GetIfPresent(operation.Operation)
	if !known {
		found = compile(p.schema, operation)
		p.plans.Set(operation.Operation, found)
	}
	if found == nil {
		return nil
	}
	r := run{plan: found, by: by, variables: operation.Variables}
	err := r.read(ctx, p.db)
	if err != nil && ctx.Err() == nil {
		zerolog.Ctx(ctx).Warn().Err(err).Msg("a plan failed; its query is executed instead")
	}
	if err != nil || r.refused {
		return nil
	}
	return &Answer{Data: r.answer(), Authenticated: found.root != nil, LastUsedAt: r.lastUsedAt}
}

// plan is what an operation compiles to.
type plan struct {
	program program
	root    *source // the viewer or an organization; nil when nothing is read
	sources int     // how many there are, root and below
	// pages are of connections, whose arguments say what is read of them.
	pages []*source
	// ownersOnly is whether anything is read that only owners of an organization may see.
	ownersOnly bool
}

// source is a statement, and what is written of each of its rows.
type source struct {
	number int
	// isOrganization distinguishes organizations from the viewer, and list is what organizations have. What the
	// rows begin with are organizationColumns, viewerColumns and listColumns.
	isOrganization bool
	list           *db.List
	// field is the root field that names an organization, or the connection.
	field *ast.Field
	// page is the number of the connection, or whole.
	page int
	// columns are what is read, and text makes the statement, which is kept in texts for each variant that was
	// asked for: all that there are would be most of what a plan weighs.
	columns []string
	text    func(v variant) string
	texts   sync.Map
	program program
	gaps    []step
	// children are the lists in each row.
	children []*source
	// keys are the columns that make a row's cursor.
	keys []int
	// probes is whether one row more is read than is shown, since it is asked whether there is more.
	probes bool
}

// whole is the page of a list that is no connection.
const whole = -1

// variant is what the text of a statement depends on besides its columns.
type variant struct {
	byAPIToken bool
	order      db.OrganizationOrder
	after      bool
}

// statement is the text in one variant.
func (s *source) statement(v variant) string {
	if known, ok := s.texts.Load(v); ok {
		return known.(string)
	}
	text := s.text(v)
	s.texts.Store(v, text)
	return text
}

var (
	viewerColumns       = []string{db.LastUsed}
	organizationColumns = []string{db.LastUsed, "o.id", "m.is_owner", "o.name_key"}
	listColumns         = []string{db.OrganizationNumber}
)

// The places of these columns.
const (
	lastUsed = iota
	organizationID
	ownedByViewer
	organizationNameKey

	organizationNumber = 0
)

// column is the place of a column in the statement.
func (s *source) column(expression string) int {
	if i := slices.Index(s.columns, expression); i >= 0 {
		return i
	}
	s.columns = append(s.columns, expression)
	return len(s.columns) - 1
}

// probe is how many rows are read only to know whether there are more.
func (s *source) probe() int {
	if s.probes {
		return 1
	}
	return 0
}
