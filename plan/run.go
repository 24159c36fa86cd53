package plan

// Runs: the statements are sent, each row is written as it comes, and the pieces are put together.

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"time"

	"studio/db"
)

// run is one execution of a plan.
type run struct {
	plan      *plan
	by        *db.Credential
	variables map[string]any

	// text is what was written of all rows, with gaps in it where lists are to stand.
	text []byte
	gaps []int
	// pages are what is asked of each connection.
	pages []page
	// found is by the number of the source.
	found []found
	// lastUsedAt is when the credential was used before.
	lastUsedAt time.Time
	// refused is set when there is more to say than a plan can.
	refused bool
}

// page is what is asked of a connection.
type page struct {
	limit int
	after string               // a cursor, or ""
	order db.OrganizationOrder // of the viewer's organizations
}

// found is what was read of a source.
type found struct {
	pieces []piece
	groups []group // by the number of the parent's row
	// ids are those of organizations.
	ids []string
	// key is the place of a row in the list of a parent, whose cursors these are.
	key     func(row db.Row) db.Key
	cursors func(parent int) db.Cursors
}

// piece is where a row stands in the text, and its first gap among all.
type piece struct{ from, to, gap int }

// group are the rows of one list, which follow each other.
type group struct {
	from, to    int
	more        bool
	first, last db.Key
}

// read reads everything, in one round trip or two.
func (r *run) read(ctx context.Context, database *db.DB) error {
	for _, connection := range r.plan.pages {
		r.pages = append(r.pages, r.page(connection))
	}
	root := r.plan.root
	if root == nil {
		return nil
	}
	r.found = make([]found, r.plan.sources)
	if root.isOrganization {
		reads := r.lists([]db.Read{r.root(root)}, root)
		if err := r.send(ctx, database, reads); err != nil {
			return err
		}
		r.refused = r.refused || len(r.found[root.number].pieces) == 0
		return nil
	}

	// The viewer needs no row where any organization shows that the credential is good.
	var reads []db.Read
	needed := len(root.columns) > len(viewerColumns) || len(root.children) == 0
	if needed {
		reads = append(reads, r.root(root))
	} else {
		r.write(root, db.Row{}, 0)
	}
	for _, list := range root.children {
		reads = append(reads, r.organizations(list))
	}
	if err := r.send(ctx, database, reads); err != nil {
		return err
	}
	reads = nil
	for _, list := range root.children {
		r.refused = r.refused || !needed && len(r.found[list.number].ids) == 0
		reads = r.lists(reads, list)
	}
	r.refused = r.refused || len(r.found[root.number].pieces) == 0
	return r.send(ctx, database, reads)
}

// send does nothing once the run is refused.
func (r *run) send(ctx context.Context, database *db.DB, reads []db.Read) error {
	if r.refused || len(reads) == 0 {
		return nil
	}
	return database.ReadTogether(ctx, reads)
}

// root reads the viewer, or the organization that the field names.
func (r *run) root(root *source) db.Read {
	read := db.Read{SQL: root.statement(variant{byAPIToken: r.by.IsAPIToken}), Arguments: r.by.Arguments()}
	if root.isOrganization {
		id, _ := root.field.ArgumentMap(r.variables)["id"].(string)
		r.refused = r.refused || db.PrefixOf(id) != db.OrganizationPrefix
		r.found[root.number].ids = []string{id}
		read.Arguments = append(read.Arguments, id)
	}
	read.Row = func(row db.Row) {
		r.admit(root, row)
		r.write(root, row, 0)
	}
	return read
}

// organizations reads those of the viewer.
func (r *run) organizations(list *source) db.Read {
	page := r.pages[list.page]
	into := &r.found[list.number]
	into.groups = make([]group, 1)
	into.cursors = func(int) db.Cursors { return page.order.Cursors() }
	into.key = func(row db.Row) db.Key {
		return page.order.Key(&db.Organization{ID: row.Text(organizationID), NameKey: row.Text(organizationNameKey)})
	}
	arguments := r.by.Arguments(page.limit + list.probe())
	if page.after != "" {
		key, err := page.order.Cursors().Parse(page.after)
		r.refused = r.refused || err != nil
		arguments = append(arguments, key.Values()...)
	}
	return db.Read{
		SQL:       list.statement(variant{r.by.IsAPIToken, page.order, page.after != ""}),
		Arguments: arguments,
		Row: func(row db.Row) {
			r.admit(list, row)
			if r.enter(list, row, 0, page.limit) {
				into.ids = append(into.ids, row.Text(organizationID))
			}
		},
	}
}

// lists adds the lists of organizations, where there are any.
func (r *run) lists(to []db.Read, organizations *source) []db.Read {
	ids := r.found[organizations.number].ids
	if len(ids) == 0 {
		return to
	}
	for _, list := range organizations.children {
		into := &r.found[list.number]
		into.groups = make([]group, len(ids))
		into.cursors = func(parent int) db.Cursors { return list.list.Cursors(ids[parent]) }
		into.key = func(row db.Row) (key db.Key) {
			for i, column := range list.keys {
				key[i] = row.KeyPart(column)
			}
			return key
		}
		which := any(ids)
		if organizations == r.plan.root {
			which = ids[0]
		}
		arguments, shown, after := []any{which, nil}, math.MaxInt, ""
		if list.page != whole {
			shown, after = r.pages[list.page].limit, r.pages[list.page].after
			arguments[1] = shown + list.probe()
		}
		if after != "" {
			key, err := list.list.Cursors(ids[0]).Parse(after)
			r.refused = r.refused || err != nil
			arguments = append(arguments, key.Values()...)
		}
		to = append(to, db.Read{
			SQL: list.statement(variant{after: after != ""}), Arguments: arguments,
			Row: func(row db.Row) { r.enter(list, row, int(row.Int(organizationNumber))-1, shown) },
		})
	}
	return to
}

// page reads a connection's arguments. Those that no plan carries, and wrong ones, refuse the run.
func (r *run) page(listed *source) page {
	asked := page{limit: DefaultPage}
	for name, value := range listed.field.ArgumentMap(r.variables) {
		switch {
		case value == nil:
		case name == "first":
			first, err := strconv.Atoi(fmt.Sprint(value))
			r.refused = r.refused || err != nil || first < 0 || first > MaxPage
			asked.limit = first
		case name == "after":
			asked.after, _ = value.(string)
			// A cursor is one of a single list, and is looked at only where that is read.
			ofOne := listed.isOrganization || r.plan.root.isOrganization
			r.refused = r.refused || asked.after == "" || !ofOne || len(listed.program) == 0
		case name == "orderBy":
			by, _ := value.(map[string]any)
			asked.order = db.OrganizationOrder{ByAge: by["field"] == "CREATED_AT", Descending: by["direction"] == "DESC"}
		default:
			r.refused = true
		}
	}
	return asked
}

// admit notes what a row says of the credential, and refuses what it does not open.
func (r *run) admit(s *source, row db.Row) {
	r.lastUsedAt = row.Time(lastUsed)
	if s.isOrganization && r.plan.ownersOnly && !row.Bool(ownedByViewer) {
		r.refused = true
	}
}

// enter writes a row of a parent's list, unless it only shows that there are more.
func (r *run) enter(s *source, row db.Row, parent, limit int) bool {
	into := &r.found[s.number]
	list := &into.groups[parent]
	if list.from == list.to {
		list.from, list.to = len(into.pieces), len(into.pieces)
	}
	if list.to-list.from == limit {
		list.more = true
		return false
	}
	list.to++
	if s.probes {
		list.last = into.key(row)
		if list.to-list.from == 1 {
			list.first = list.last
		}
	}
	r.write(s, row, parent)
	return true
}

// write writes a row as it is known by now.
func (r *run) write(s *source, row db.Row, parent int) {
	written := piece{from: len(r.text), gap: len(r.gaps)}
	r.execute(s, s.program, row, parent)
	written.to = len(r.text)
	r.found[s.number].pieces = append(r.found[s.number].pieces, written)
}

func (r *run) execute(s *source, p program, row db.Row, parent int) {
	for i := range p {
		step := &p[i]
		switch {
		case step.kind == literalStep:
			r.text = append(r.text, step.literal...)
		case step.kind == gapStep:
			r.gaps = append(r.gaps, len(r.text))
		case step.kind == cursorStep:
			r.text = append(r.text, r.cursor(s, parent, r.found[s.number].key(row))...)
		case step.kind == valueStep:
			r.text = row.AppendJSON(r.text, step.column)
		case row.IsNull(step.column):
			r.text = append(r.text, "null"...)
		case step.kind == optionalStep:
			r.execute(s, step.inner, row, parent)
		case step.kind == derivedStep:
			derived, ok := step.derive(row.Text(step.column))
			r.text = append(r.text, derived...)
			r.refused = r.refused || !ok
		}
	}
}

func (r *run) cursor(s *source, parent int, key db.Key) string {
	return quoted(r.found[s.number].cursors(parent).Of(key))
}

// answer puts the pieces together.
func (r *run) answer() json.RawMessage {
	to := make([]byte, 0, len(r.text)+len(r.text)/8+256)
	for _, step := range r.plan.program {
		if step.kind == literalStep {
			to = append(to, step.literal...)
		} else {
			to = r.fill(to, &step, 0)
		}
	}
	return to
}

// fill writes what stands in a gap of a row of the source's parent.
func (r *run) fill(to []byte, gap *step, parent int) []byte {
	switch gap.part {
	case theRow:
		return r.piece(to, gap.source, 0)
	case hasPreviousPage:
		return strconv.AppendBool(to, r.pages[gap.source.page].after != "")
	}
	list := r.found[gap.source.number].groups[parent]
	switch gap.part {
	case hasNextPage:
		return strconv.AppendBool(to, list.more)
	case startCursor, endCursor:
		key := list.first
		if gap.part == endCursor {
			key = list.last
		}
		if list.from == list.to {
			return append(to, "null"...)
		}
		return append(to, r.cursor(gap.source, parent, key)...)
	}
	to = append(to, '[')
	for row := list.from; row < list.to; row++ {
		if row > list.from {
			to = append(to, ',')
		}
		to = r.piece(to, gap.source, row)
	}
	return append(to, ']')
}

// piece writes a row with its gaps filled.
func (r *run) piece(to []byte, s *source, row int) []byte {
	piece := r.found[s.number].pieces[row]
	at := piece.from
	for i := range s.gaps {
		next := r.gaps[piece.gap+i]
		to = append(to, r.text[at:next]...)
		to = r.fill(to, &s.gaps[i], row)
		at = next
	}
	return append(to, r.text[at:piece.to]...)
}
