package db_test

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"studio/db"
)

// list is one way to read the rows of a store in pages.
type list struct {
	keys []db.Key // of all rows, in the list's order
	read func(page db.Page) (keys []db.Key, more bool)
}

func TestPages(t *testing.T) {
	t.Parallel()
	// Lists of random length, some of them with equal names, in pages of every size.
	t.Run("Walk", func(t *testing.T) {
		on(t, func(s *store) {
			for range 3 {
				for name, l := range s.lists(rand.IntN(8)) {
					for limit := 1; limit <= len(l.keys)+1; limit++ {
						for _, backward := range []bool{false, true} {
							if walked := s.walk(l, limit, backward); !slices.Equal(walked, l.keys) {
								s.Errorf("%s in pages of %d, backward %t:\n%v, want\n%v", name, limit, backward, walked, l.keys)
							}
						}
					}
					if keys, more := l.read(db.Page{}); len(keys) > 0 || more != (len(l.keys) > 0) {
						s.Errorf("%s: a page of none has %v, and there is more: %t", name, keys, more)
					}
				}
			}
		})
	})
	t.Run("Between", func(t *testing.T) {
		on(t, func(s *store) {
			for name, l := range s.lists(5) {
				for from := range l.keys {
					for to := from + 1; to < len(l.keys); to++ {
						keys, more := l.read(db.Page{Limit: len(l.keys), After: l.keys[from], Before: l.keys[to]})
						if want := l.keys[from+1 : to]; more || !slices.Equal(keys, want) {
							s.Errorf("%s between %d and %d: %v, want %v; more: %t", name, from, to, keys, want, more)
						}
					}
				}
			}
		})
	})
	// One read of the pages of several organizations, compared with one read for each.
	t.Run("ManyParents", func(t *testing.T) {
		on(t, func(s *store) {
			var parents []string
			for _, size := range []int{3, 0, 1, 5} {
				organization := s.organization("Example")
				s.fill(organization, size)
				parents = append(parents, organization.ID)
			}
			for _, page := range []db.Page{
				{Limit: 0}, {Limit: 2}, {Limit: 3, Backward: true},
				{Limit: 2, After: db.Key{address(1)}}, {Limit: 1, Backward: true, Before: db.Key{address(4)}},
			} {
				together, err := s.UsersOfOrganizations(s.Context(), parents, db.MembershipFilter{}, page)
				s.ok(err)
				for i, parent := range parents {
					alone, err := s.UsersOfOrganizations(s.Context(), []string{parent}, db.MembershipFilter{}, page)
					s.ok(err)
					got, want := keysOf(together[i].Nodes, (*db.Membership).Key), keysOf(alone[0].Nodes, (*db.Membership).Key)
					if !slices.Equal(got, want) || together[i].More != alone[0].More {
						s.Errorf("%+v of list %d: %v, more: %t, alone %v, more: %t", page, i, got, together[i].More, want, alone[0].More)
					}
				}
			}
			counts, err := s.CountUsersOfOrganizations(s.Context(), parents, db.MembershipFilter{})
			s.ok(err)
			if want := []int{3, 0, 1, 5}; !slices.Equal(counts, want) {
				s.Errorf("counted %v, want %v", counts, want)
			}
		})
	})
	// The characters that have a meaning in SQL patterns have none in a search.
	t.Run("Wildcards", func(t *testing.T) {
		on(t, func(s *store) {
			user := s.user("ada")
			for _, name := range []string{"100%", "100x", "a_b", "a-b", `a\b`} {
				s.ok(s.InsertMembership(s.Context(), accepted(s.organization(name), user)))
			}
			for search, want := range map[string]string{"100%": "100%", "a_": "a_b", `\`: `a\b`, "%": "100%", "_": "a_b"} {
				found, err := s.OrganizationsOfUser(s.Context(), user.ID, search, db.OrganizationOrder{}, db.Page{Limit: 5})
				s.ok(err)
				if len(found.Nodes) != 1 || found.Nodes[0].Name != want {
					s.Errorf("%s: found %d, want only %s", search, len(found.Nodes), want)
				}
			}
		})
	})
}

// walk turns all pages of a list, with cursors as a client would.
func (s *store) walk(l list, limit int, backward bool) []db.Key {
	s.Helper()
	walked, page := []db.Key{}, db.Page{Limit: limit, Backward: backward}
	for {
		keys, more := l.read(page)
		if len(keys) > limit || more && len(keys) < limit {
			s.Fatalf("a page of %d has %d rows, and there is more: %t", limit, len(keys), more)
		}
		if backward {
			walked = append(slices.Clone(keys), walked...)
		} else {
			walked = append(walked, keys...)
		}
		if !more || len(walked) > len(l.keys) {
			return walked
		}
		turn, at := &page.After, keys[len(keys)-1]
		if backward {
			turn, at = &page.Before, keys[0]
		}
		cursors := db.NewCursors("list", at)
		var err error
		*turn, err = cursors.Parse(cursors.Of(at))
		s.ok(err)
	}
}

// lists makes lists of some length, of every kind that there is.
func (s *store) lists(length int) map[string]list {
	s.Helper()
	user := s.user(strings.ToLower(db.NewID("user")))
	organizations := make([]*db.Organization, length)
	for i := range organizations {
		organizations[i] = s.organization(fmt.Sprintf("name %d", rand.IntN(3)))
		s.ok(s.InsertMembership(s.Context(), accepted(organizations[i], user)))
	}
	filled := s.organization("Example")
	s.fill(filled, length)

	lists := map[string]list{}
	for _, by := range []db.OrganizationOrder{{}, {Descending: true}, {ByAge: true}, {ByAge: true, Descending: true}} {
		keys := keysOf(organizations, by.Key)
		slices.SortFunc(keys, func(a, b db.Key) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
		if by.Descending {
			slices.Reverse(keys)
		}
		lists[by.Cursors().Name()] = list{keys: keys, read: func(page db.Page) ([]db.Key, bool) {
			rows, err := s.OrganizationsOfUser(s.Context(), user.ID, "", by, page)
			s.ok(err)
			return keysOf(rows.Nodes, by.Key), rows.More
		}}
	}
	users, events := list{}, list{}
	for i := range length {
		users.keys = append(users.keys, db.Key{address(i)})
		events.keys = append(events.keys, db.Key{int64(length - i)})
	}
	users.read = func(page db.Page) ([]db.Key, bool) {
		pages, err := s.UsersOfOrganizations(s.Context(), []string{filled.ID}, db.MembershipFilter{}, page)
		s.ok(err)
		return keysOf(pages[0].Nodes, (*db.Membership).Key), pages[0].More
	}
	events.read = func(page db.Page) ([]db.Key, bool) {
		pages, err := s.EventsOfOrganizations(s.Context(), []string{filled.ID}, page)
		s.ok(err)
		return keysOf(pages[0].Nodes, (*db.Event).Key), pages[0].More
	}
	lists["users"], lists["events"] = users, events
	return lists
}

// address is the one that comes at a place in the list of an organization's users.
func address(place int) string { return fmt.Sprintf("%d@example.com", place) }

// fill gives an organization users and events.
func (s *store) fill(organization *db.Organization, count int) {
	s.Helper()
	for _, place := range rand.Perm(count) {
		s.ok(s.InsertMembership(s.Context(), membership(organization, address(place))))
		s.ok(s.InTx(s.Context(), func(tx *db.DB) error { return log(s.Context(), tx, organization.ID) }))
	}
}

func keysOf[T any](rows []*T, key func(*T) db.Key) []db.Key {
	keys := []db.Key{}
	for _, row := range rows {
		keys = append(keys, key(row))
	}
	return keys
}

func TestCursor(t *testing.T) {
	t.Parallel()
	t.Run("RoundTrip", func(t *testing.T) {
		t.Parallel()
		for _, key := range []db.Key{
			{"ada@example.com"}, {""}, {"<é> & \u2028", "org_1"}, {"a", ""}, {int64(1)}, {int64(-1 << 63)}, {"a", int64(1<<63 - 1)},
		} {
			cursor := db.NewCursors("list", key).Of(key)
			if got, err := db.NewCursors("list", key).Parse(cursor); err != nil || got != key {
				t.Errorf("%v came back as %v: %v", key, got, err)
			}
			if _, err := db.NewCursors("other list", key).Parse(cursor); err == nil {
				t.Errorf("the cursor of %v is taken for one of another list", key)
			}
		}
	})
	text, number, pair := db.Key{""}, db.Key{int64(0)}, db.Key{"", ""}
	for name, test := range map[string]struct {
		json string
		like db.Key
	}{
		"Empty":            {``, text},
		"NotJSON":          {`list`, text},
		"NotAList":         {`{"list":"a"}`, text},
		"EmptyList":        {`[]`, text},
		"NoKey":            {`["list"]`, text},
		"OtherList":        {`["other","a"]`, text},
		"ListIsNumber":     {`[1,"a"]`, text},
		"NumberForText":    {`["list",1]`, text},
		"TextForNumber":    {`["list","1"]`, number},
		"Fraction":         {`["list",1.5]`, number},
		"TooLargeNumber":   {`["list",9223372036854775808]`, number},
		"Null":             {`["list",null]`, text},
		"Object":           {`["list",{}]`, text},
		"Bool":             {`["list",true]`, number},
		"TooFew":           {`["list","a"]`, pair},
		"TooMany":          {`["list","a","b"]`, text},
		"NUL":              {`["list","a\u0000"]`, text},
		"InvalidUTF8":      {"[\"list\",\"\xff\"]", text},
		"LoneSurrogate":    {`["list","\ud800"]`, text},
		"Trailing":         {`["list","a"]["list","b"]`, text},
		"Spaces":           {`["list", "a"]`, text},
		"UnusualNumber":    {`["list",-0]`, number},
		"ExponentOfNumber": {`["list",1e2]`, number},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			key, err := db.NewCursors("list", test.like).Parse(base64.RawURLEncoding.EncodeToString([]byte(test.json)))
			wantError(t, fmt.Sprint(key), err, db.ErrCursor)
		})
	}
	for _, cursor := range []string{"*", "WyJsaXN0IiwiYSJd\n", "WyJsaXN0IiwiYSJd="} {
		_, err := db.NewCursors("list", text).Parse(cursor)
		wantError(t, cursor, err, db.ErrCursor)
	}
}

// FuzzParseCursor shows that whatever is accepted is what Of writes, and that a forged cursor
// cannot bring a value into a statement that no column holds.
func FuzzParseCursor(f *testing.F) {
	likes := []db.Key{{""}, {int64(0)}, {"", ""}, {"", int64(0)}}
	for _, like := range likes {
		f.Add(db.NewCursors("list", like).Of(like))
	}
	f.Add("WyJsaXN0IiwiYSJd\n")
	f.Add(base64.RawURLEncoding.EncodeToString([]byte(`["list","\u0000"]`)))
	f.Fuzz(func(t *testing.T, cursor string) {
		for _, like := range likes {
			key, err := db.NewCursors("list", like).Parse(cursor)
			if err != nil {
				wantError(t, cursor, err, db.ErrCursor)
				continue
			}
			if again := db.NewCursors("list", key).Of(key); again != cursor {
				t.Errorf("%q was read as %v, which is written %q", cursor, key, again)
			}
			for i, value := range key {
				if text, _ := value.(string); fmt.Sprintf("%T", value) != fmt.Sprintf("%T", like[i]) || strings.ContainsRune(text, 0) {
					t.Errorf("%q was read as %#v", cursor, key)
				}
			}
		}
	})
}
