package resolvers

// Pages: the arguments of connections, and what connections tell about themselves.

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

// pageInfo tells where a page lies. That something lies beyond a given cursor is taken from the
// cursor, which was that of an entry, rather than looked up.
func pageInfo[T any](page db.Page, rows *db.Rows[T], cursor func(*T) string) *graph.PageInfo {
	info := &graph.PageInfo{
		HasPreviousPage: page.After != (db.Key{}),
		HasNextPage:     rows.More,
	}
	if page.Backward {
		info.HasPreviousPage, info.HasNextPage = rows.More, page.Before != (db.Key{})
	}
	if len(rows.Nodes) > 0 {
		start, end := cursor(rows.Nodes[0]), cursor(rows.Nodes[len(rows.Nodes)-1])
		info.StartCursor, info.EndCursor = &start, &end
	}
	return info
}

// pageAndCount reads a page and counts its list, each only when it is asked for. Both are begun before
// either is waited for, so that loaders read them along with those of other lists.
func pageAndCount[T any](
	ctx context.Context, loadPage func() func() (*db.Rows[T], error), loadCount func() func() (int, error),
) (rows *db.Rows[T], total int32, err error) {
	var page func() (*db.Rows[T], error)
	var count func() (int, error)
	for _, field := range graphql.CollectFieldsCtx(ctx, nil) {
		switch field.Name {
		case "nodes", "edges", "pageInfo":
			if page == nil {
				page = loadPage()
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

// searchTerm checks a search argument; "" when there is none.
func searchTerm(search *string) (string, error) {
	if search == nil {
		return "", nil
	}
	return text.Search("search", *search)
}
