package event_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"studio/db"
	"studio/db/dbtest"
	"studio/event"
	"studio/fault"
)

var (
	errOnPurpose = errors.New("on purpose")
	noon         = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
)

// store is a database with a clock that stands still until the test moves it.
type store struct {
	*testing.T
	*db.DB
	clock *dbtest.Clock
}

// on runs a test on every engine.
func on(t *testing.T, test func(s *store)) {
	t.Helper()
	dbtest.Each(t, func(t *testing.T, open func(...db.Option) *db.DB) {
		clock := &dbtest.Clock{Start: noon}
		test(&store{t, open(db.WithClock(clock.Now)), clock})
	})
}

// ok ends the test when something failed that it only prepares with.
func (s *store) ok(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// organization adds one and returns its ID.
func (s *store) organization() string {
	s.Helper()
	id := db.NewID(db.OrganizationPrefix)
	_, err := s.InsertOrganization(s.Context(), &db.Organization{ID: id, Name: "Example", NameKey: "example", Subdomain: id, CreatedAt: s.Now()})
	s.ok(err)
	return id
}

// owner adds an owner who is signed in.
func (s *store) owner(organizationID string) (event.Caller, *db.Membership) {
	s.Helper()
	user := &db.User{ID: db.NewID(db.UserPrefix), Email: "ada@example.com", FirstName: "Ada", CreatedAt: s.Now()}
	s.ok(s.InsertUser(s.Context(), user))
	session := &db.Session{ID: db.NewID(db.SessionPrefix), UserID: user.ID, TokenHash: "hash", ExpiresAt: s.Now().Add(time.Hour)}
	s.ok(s.InsertSession(s.Context(), session))
	return event.Caller{User: user, CredentialID: session.ID}, s.join(organizationID, user)
}

// join makes a user an owner.
func (s *store) join(organizationID string, user *db.User) *db.Membership {
	s.Helper()
	member := &db.Membership{
		ID: db.NewID(db.MembershipPrefix), OrganizationID: organizationID, Email: user.Email, UserID: &user.ID,
		Status: db.Accepted, IsOwner: true,
	}
	s.ok(s.InsertMembership(s.Context(), member))
	return member
}

// hub works until the test ends.
func (s *store) hub() *event.Hub {
	hub := event.NewHub(s.DB)
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { hub.Run(ctx) })
	s.Cleanup(func() { stop(); running.Wait() })
	return hub
}

// record writes an event and then ends its transaction with an error, if there is one.
func (s *store) record(ctx context.Context, organizationID string, end error) error {
	return s.recordOf(ctx, organizationID, organizationID, end)
}

func (s *store) recordOf(ctx context.Context, organizationID, subjectID string, end error) error {
	return s.InTx(ctx, func(tx *db.DB) error {
		err := event.Record(ctx, tx, organizationID, db.OrganizationUpdated, nil, subjectID, "Something happened.")
		if err != nil {
			return err
		}
		return end
	})
}

// log reads an organization's events.
func (s *store) log(organizationID string) []*db.Event {
	s.Helper()
	events, err := s.EventsAfter(s.Context(), organizationID, 0, 1_000)
	s.ok(err)
	return events
}

func TestRecord(t *testing.T) {
	t.Parallel()
	// Every third writer takes back what it wrote, and leaves no gap.
	t.Run("InParallel", func(t *testing.T) {
		on(t, func(s *store) {
			const writers = 50
			organizations := []string{s.organization(), s.organization(), s.organization(), s.organization()}
			want := map[string]int{}
			work, ctx := errgroup.WithContext(s.Context())
			for writer := range writers {
				organization, end := organizations[writer%len(organizations)], error(nil)
				if writer%3 == 0 {
					end = errOnPurpose
				} else {
					want[organization]++
				}
				work.Go(func() error {
					if err := s.record(ctx, organization, end); !errors.Is(err, end) {
						return err
					}
					return nil
				})
			}
			s.ok(work.Wait())
			heads, err := s.EventHeads(s.Context(), organizations)
			s.ok(err)
			for _, organization := range organizations {
				events := s.log(organization)
				if len(events) != want[organization] || heads[organization] != int64(len(events)) {
					s.Errorf("%d events and the head %d, want %d", len(events), heads[organization], want[organization])
				}
				for i, e := range events {
					if e.Seq != int64(i+1) {
						s.Errorf("event %d has the number %d", i+1, e.Seq)
					}
				}
			}
		})
	})
	t.Run("Written", func(t *testing.T) {
		on(t, func(s *store) {
			organization := s.organization()
			actor := &db.User{ID: db.NewID(db.UserPrefix), Email: "ada@example.com", CreatedAt: s.Now()}
			s.ok(s.InsertUser(s.Context(), actor))
			subject := db.NewID(db.MembershipPrefix)
			s.ok(event.Record(s.Context(), s.DB, organization, db.UserInvited, actor, subject, "Ada invited Bob."))
			e := s.log(organization)[0]
			if e.Type != db.UserInvited || *e.ActorID != actor.ID || e.SubjectID != subject || e.Summary != "Ada invited Bob." ||
				!e.CreatedAt.Equal(noon) || db.PrefixOf(e.ID) != db.EventPrefix {
				s.Errorf("got %+v", e)
			}
		})
	})
	t.Run("NoOrganization", func(t *testing.T) {
		on(t, func(s *store) {
			if err := s.record(s.Context(), db.NewID(db.OrganizationPrefix), nil); !errors.Is(err, db.ErrNotFound) {
				s.Errorf("got the error %v", err)
			}
		})
	})
}

func TestPosition(t *testing.T) {
	on(t, func(s *store) {
		mine, other := s.organization(), s.organization()
		for range 2 {
			s.ok(s.record(s.Context(), mine, nil))
			s.ok(s.record(s.Context(), other, nil))
		}
		cursor := event.Cursor(s.log(mine)[1])
		position := func(cursor string) (int64, error) { return event.Position(s.Context(), s.DB, mine, cursor) }

		s.clock.Advance(event.Retention)
		if seq, err := position(cursor); seq != 2 || err != nil {
			s.Errorf("the position is %d, the error %v", seq, err)
		}
		for name, cursor := range map[string]string{
			"OtherOrganization": event.Cursor(s.log(other)[1]),
			"NotYet":            db.EventList.Cursors(mine).Of(db.Key{int64(3)}),
			"Zero":              db.EventList.Cursors(mine).Of(db.Key{int64(0)}),
			"Negative":          db.EventList.Cursors(mine).Of(db.Key{int64(-1)}),
			"Text":              db.EventList.Cursors(mine).Of(db.Key{"2"}),
			"OtherList":         db.InvoiceList.Cursors(mine).Of(db.Key{int64(2)}),
			"Garbage":           "garbage",
			"Empty":             "",
		} {
			_, err := position(cursor)
			s.wantFault(name, err, fault.InvalidInput)
		}
		s.clock.Advance(time.Microsecond)
		_, err := position(cursor)
		s.wantFault("TooOld", err, fault.CursorExpired)
	})
}

// wantFault checks an error about a cursor.
func (s *store) wantFault(name string, got error, code fault.Code) {
	s.Helper()
	found, isFault := errors.AsType[*fault.Error](got)
	if !isFault || found.Code != code || found.Field != "after" {
		s.Errorf("%s: got the error %#v, want %s on after", name, got, code)
	}
}

func TestVisibleTo(t *testing.T) {
	t.Parallel()
	const (
		organization = "org_01h455vb4pex5vsknk084sn02q"
		own          = "member_01h455vb4pex5vsknk084sn02q"
		others       = "member_01h455vb4pex5vsknk084sn02r"
		instance     = "inst_01h455vb4pex5vsknk084sn02q"
		billing      = "billing_01h455vb4pex5vsknk084sn02q"
		invoice      = "invoice_01h455vb4pex5vsknk084sn02q"
	)
	for _, test := range []struct {
		subject         string
		toOwner, toUser bool
	}{
		{organization, true, true},
		{own, true, true},
		{others, true, false},
		{instance, true, true},
		{billing, true, false},
		{invoice, true, false},
	} {
		e := &db.Event{SubjectID: test.subject}
		toOwner := event.VisibleTo(&db.Membership{ID: own, IsOwner: true}, e)
		toUser := event.VisibleTo(&db.Membership{ID: own}, e)
		if toOwner != test.toOwner || toUser != test.toUser {
			t.Errorf("%s is visible to an owner: %t, to another user: %t", test.subject, toOwner, toUser)
		}
	}
}

// TestStreams counts the streams of a hub that has not looked for those whose clients are gone.
func TestStreams(t *testing.T) {
	on(t, func(s *store) {
		organizationID, now := s.organization(), s.Now()
		caller, _ := s.owner(organizationID)
		caller.User.EmailVerifiedAt = &now
		hub := event.NewHub(s.DB)
		ctx, leave := context.WithCancel(s.Context())
		for _, ctx := range []context.Context{ctx, s.Context()} {
			_, err := hub.Follow(ctx, caller, organizationID, nil, false)
			s.ok(err)
			_, err = hub.Invitations(ctx, caller)
			s.ok(err)
		}
		before := hub.Streams()
		leave()
		if after := hub.Streams(); before != 4 || after != 2 {
			s.Errorf("%d streams are open, and %d when half of the clients are gone", before, after)
		}
	})
}

// TestRevoked takes the place, or the ownership, of a user who has taken only the first of many events.
func TestRevoked(t *testing.T) {
	t.Parallel()
	remove := func(s *store, member *db.Membership) error { return s.DeleteMembership(s.Context(), member.ID) }
	demote := func(s *store, member *db.Membership) error {
		member.IsOwner = false
		return s.UpdateMembership(s.Context(), member)
	}
	for name, test := range map[string]struct {
		// events are how many only owners may see; five for everybody follow.
		events int
		revoke func(s *store, member *db.Membership) error
		// left are the numbers of the events that still come, and end is how the stream then ends, if it does.
		left []int64
		end  error
	}{
		"RemovedInReplay": {40, remove, nil, fault.ErrNoOrganization},
		"RemovedLive":     {8, remove, nil, fault.ErrNoOrganization},
		"DemotedInReplay": {40, demote, []int64{41, 42, 43, 44, 45}, nil},
		"DemotedLive":     {8, demote, []int64{9, 10, 11, 12, 13}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			on(t, func(s *store) {
				organizationID := s.organization()
				caller, member := s.owner(organizationID)
				for range test.events {
					s.ok(s.recordOf(s.Context(), organizationID, db.NewID(db.InvoicePrefix), nil))
				}
				for range 5 {
					s.ok(s.record(s.Context(), organizationID, nil))
				}
				ctx, cancel := context.WithTimeout(s.Context(), time.Minute)
				defer cancel()
				hub := s.hub()
				var beginning int64
				stream, err := hub.Follow(ctx, caller, organizationID, &beginning, false)
				s.ok(err)
				first, err := stream.Next(ctx)
				if err != nil || first.Seq != 1 {
					s.Fatalf("got %v, %v", first, err)
				}
				waitFor := func(happened func() bool) {
					for !happened() && ctx.Err() == nil {
						time.Sleep(time.Millisecond)
					}
				}
				waitFor(func() bool { return stream.Waiting() == min(test.events+5-1, event.Backlog) })
				s.ok(test.revoke(s, member))
				waitFor(func() bool { return stream.Hides(first) })
				for _, want := range test.left {
					if next, err := stream.Next(ctx); err != nil || next.Seq != want {
						s.Errorf("got %+v, %v, want number %d", next, err, want)
					}
				}
				if test.end == nil {
					return
				}
				if next, err := stream.Next(ctx); !errors.Is(err, test.end) {
					s.Errorf("at the end came %+v, %v, want %v", next, err, test.end)
				}
			})
		})
	}
}

// TestLagging has more happen at once than is read at once for all who follow an organization.
func TestLagging(t *testing.T) {
	t.Parallel()
	const pages = 5
	const slow = "You read too slowly and were cut off. Subscribe again, "
	for name, test := range map[string]struct {
		reads, ownersOnly bool
		// waiting is how many entries were sent before.
		waiting int
		// looks are how often the log may be read for a follower who lags.
		looks int32
		end   string
	}{
		"Reading":           {true, false, event.Backlog, 2 * pages, ""},
		"Stalled":           {false, false, event.Backlog, 0, slow + "with the cursor of the last event that you received."},
		"StalledOwnersOnly": {false, true, event.Backlog, 0, slow + "and read the invitations anew."},
		"StalledWithRoom":   {false, false, 3, 1, slow + "with the cursor of the last event that you received."},
		"StalledAtOnce":     {false, false, 0, 1, slow + "with the cursor of the last event that you received."},
	} {
		t.Run(name, func(t *testing.T) {
			dbtest.Each(t, func(t *testing.T, open func(...db.Option) *db.DB) {
				var lagging atomic.Bool
				var organizationID string
				var looks atomic.Int32
				s := &store{t, open(db.WithStatementHook(func(query string) {
					if lagging.Load() && strings.Contains(query, organizationID) && strings.Contains(query, "seq > ") {
						looks.Add(1)
					}
				})), &dbtest.Clock{}}
				organizationID = s.organization()
				other := s.organization()
				caller, _ := s.owner(organizationID)
				s.join(other, caller.User)
				ctx, cancel := context.WithTimeout(s.Context(), time.Minute)
				defer cancel()
				hub := s.hub()
				stream, err := hub.Follow(ctx, caller, organizationID, nil, test.ownersOnly)
				s.ok(err)
				prompt, err := hub.Follow(ctx, caller, other, nil, false)
				s.ok(err)
				for range test.waiting {
					s.ok(s.record(ctx, organizationID, nil))
				}
				for stream.Waiting() != test.waiting && ctx.Err() == nil {
					time.Sleep(time.Millisecond)
				}
				lagging.Store(true)
				s.ok(s.InTx(ctx, func(tx *db.DB) error {
					for range pages * event.PageSize {
						if err := event.Record(ctx, tx, organizationID, db.OrganizationUpdated, nil, organizationID, "Something happened."); err != nil {
							return err
						}
					}
					return nil
				}))
				all := event.Backlog
				if test.reads {
					all = test.waiting + pages*event.PageSize
				} else {
					s.ok(s.record(ctx, other, nil))
					if e, err := prompt.Next(ctx); err != nil || e.Seq != 1 {
						s.Fatalf("another follower got %+v, %v", e, err)
					}
					for hub.Streams() > 1 && ctx.Err() == nil {
						time.Sleep(time.Millisecond)
					}
				}
				for seq := range all {
					if e, err := stream.Next(ctx); err != nil || e.Seq != int64(seq+1) {
						s.Fatalf("got %+v, %v, want number %d", e, err, seq+1)
					}
				}
				if got := looks.Load(); got > test.looks {
					s.Errorf("the log was read %d times", got)
				}
				if test.reads {
					return
				}
				if e, err := stream.Next(ctx); err == nil || err.Error() != test.end {
					s.Errorf("at the end came %+v, %v", e, err)
				}
			})
		})
	}
}

// TestManyInvitations has more come at once than wait for a subscriber.
func TestManyInvitations(t *testing.T) {
	t.Parallel()
	for name, reads := range map[string]bool{"Reading": true, "Stalled": false} {
		t.Run(name, func(t *testing.T) {
			on(t, func(s *store) {
				ctx, cancel := context.WithTimeout(s.Context(), time.Minute)
				defer cancel()
				organizationID, now := s.organization(), s.Now()
				caller, _ := s.owner(organizationID)
				caller.User.EmailVerifiedAt = &now
				hub := s.hub()
				stream, err := hub.Invitations(ctx, caller)
				s.ok(err)
				sent := map[string]bool{}
				s.ok(s.InTx(ctx, func(tx *db.DB) error {
					expires := now.Add(time.Hour)
					for range 3 * event.Backlog {
						inviting := &store{s.T, tx, s.clock}
						invitation := &db.Membership{
							ID: db.NewID(db.MembershipPrefix), OrganizationID: inviting.organization(), Email: caller.User.Email,
							Status: db.Invited, InvitedAt: &now, InvitationExpiresAt: &expires,
						}
						if err := tx.InsertMembership(ctx, invitation); err != nil {
							return err
						}
						sent[invitation.ID] = true
					}
					return event.Record(ctx, tx, organizationID, db.UserInvited, nil, organizationID, "Something happened.")
				}))
				all := len(sent)
				if !reads {
					all = event.Backlog
					for hub.Streams() > 0 && ctx.Err() == nil {
						time.Sleep(time.Millisecond)
					}
				}
				for range all {
					invitation, err := stream.Next(ctx)
					if err != nil || !sent[invitation.ID] {
						s.Fatalf("got %+v, %v", invitation, err)
					}
					delete(sent, invitation.ID)
				}
				if reads {
					return
				}
				const want = "You read too slowly and were cut off. Subscribe again, and read the invitations anew."
				if invitation, err := stream.Next(ctx); err == nil || err.Error() != want {
					s.Errorf("at the end came %+v, %v", invitation, err)
				}
			})
		})
	}
}

// TestBusy follows while requests have all connections.
func TestBusy(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, open func(...db.Option) *db.DB) {
		busy, other := &store{t, open(), &dbtest.Clock{}}, &store{t, open(), &dbtest.Clock{}}
		organizationID := busy.organization()
		caller, _ := busy.owner(organizationID)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		hub := busy.hub()
		stream, err := hub.Follow(ctx, caller, organizationID, nil, false)
		busy.ok(err)
		for range busy.Pool().Stats().MaxOpenConnections {
			conn, err := busy.Pool().Conn(t.Context())
			busy.ok(err)
			defer func() { _ = conn.Close() }()
		}
		busy.ok(other.record(t.Context(), organizationID, nil))
		if e, err := stream.Next(ctx); err != nil || e.Seq != 1 {
			t.Errorf("got %+v, %v", e, err)
		}
	})
}
