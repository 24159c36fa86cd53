package resolvers

// Pages: the arguments of connections, and connections made of what is read.

import (
	"context"

	"github.com/99designs/gqlgen/graphql"

	"studio/db"
	"studio/fault"
	"studio/graph"
	"studio/plan"
	"studio/text"
)

// pageArguments are those that all connections take.
type pageArguments struct {
	first, last   *int32
	after, before *string
}

// page checks the arguments.
func (a pageArguments) page(cursors db.Cursors) (db.Page, error) {
	page := db.Page{Limit: plan.DefaultPage}
	if a.first != nil && a.last != nil {
		return page, fault.Invalid("last", "Give either first or last, not both.")
	}
	var err error
	if page.After, err = parseCursor("after", cursors, a.after); err != nil {
		return page, err
	}
	if page.Before, err = parseCursor("before", cursors, a.before); err != nil {
		return page, err
	}
	limit, field := a.first, "first"
	if a.last != nil {
		limit, field, page.Backward = a.last, "last", true
	}
	if limit != nil {
		page.Limit = int(*limit)
	}
	if page.Limit < 0 || page.Limit > plan.MaxPage {
		return page, fault.Invalid(field, "Ask for 0 to %d at once.", plan.MaxPage)
	}
	return page, nil
}

func parseCursor(field string, cursors db.Cursors, cursor *string) (db.Key, error) {
	if cursor == nil {
		return db.Key{}, nil
	}
	key, err := cursors.Parse(*cursor)
	if err != nil {
		return key, fault.Invalid(field, "This is not a cursor of this list; use one of its cursors, with the same order.")
	}
	return key, nil
}

// connect makes a connection of a page and the count of its list, which loadPage and loadCount begin to read.
func connect[T any](
	ctx context.Context, arguments pageArguments, cursors db.Cursors, key func(*T) db.Key,
	loadPage func(db.Page) func() (*db.Rows[T], error), loadCount func() func() (int, error),
) (*graph.Connection[T], error) {
	page, err := arguments.page(cursors)
	if err != nil {
		return nil, err
	}
	rows, total, err := pageAndCount(ctx, page, loadPage, loadCount)
	if err != nil {
		return nil, err
	}
	edges := make([]*graph.Edge[T], len(rows.Nodes))
	for i, node := range rows.Nodes {
		edges[i] = &graph.Edge[T]{Cursor: cursors.Of(key(node)), Node: node}
	}
	return &graph.Connection[T]{
		Edges: edges, Nodes: rows.Nodes, PageInfo: pageInfo(page, rows.More, edges), TotalCount: total,
	}, nil
}

// pageAndCount reads a page and counts its list, each only when it is asked for. Both are begun before
// either is waited for, so that loaders read them along with those of other lists.
func pageAndCount[T any](
	ctx context.Context, asked db.Page, loadPage func(db.Page) func() (*db.Rows[T], error), loadCount func() func() (int, error),
) (rows *db.Rows[T], total int32, err error) {
	var page func() (*db.Rows[T], error)
	var count func() (int, error)
	for _, field := range graphql.CollectFieldsCtx(ctx, nil) {
		switch field.Name {
		case "nodes", "edges", "pageInfo":
			if page == nil {
				page = loadPage(asked)
			}
		case "totalCount":
			if count == nil {
				count = loadCount()
			}
		}
	}
	rows = &db.Rows[T]{}
	if page != nil {
		if rows, err = page(); err != nil {
			return nil, 0, err
		}
	}
	if count != nil {
		var counted int
		counted, err = count()
		total = int32(counted)
	}
	return rows, total, err
}

// pageInfo says where a page lies. That something lies beyond a given cursor is taken from the
// cursor, which was that of an entry, rather than looked up.
func pageInfo[T any](page db.Page, more bool, edges []*graph.Edge[T]) *graph.PageInfo {
	info := &graph.PageInfo{HasPreviousPage: page.After != (db.Key{}), HasNextPage: more}
	if page.Backward {
		info.HasPreviousPage, info.HasNextPage = more, page.Before != (db.Key{})
	}
	if len(edges) > 0 {
		info.StartCursor, info.EndCursor = &edges[0].Cursor, &edges[len(edges)-1].Cursor
	}
	return info
}

// searchTerm checks a search argument; "" when there is none.
func searchTerm(search *string) (string, error) {
	if search == nil {
		return "", nil
	}
	return text.Search("search", *search)
}
