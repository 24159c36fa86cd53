package event

// Streams: what one subscriber receives, and how that ends.

import (
	"context"
	"sync/atomic"
	"time"

	"studio/db"
	"studio/fault"
)

// backlog is how many entries wait for a slow subscriber; each stream holds the room for them. When there
// is none for checkInterval, it is cut off.
const backlog = 16

// pageSize is how many events are read at once.
const pageSize = 200

// Caller is whom a stream belongs to. It ends when the credential, a session or an API token, no
// longer opens anything.
type Caller struct {
	User         *db.User
	CredentialID string
}

// Stream delivers entries until it ends.
type Stream[T any] struct {
	entries chan T
	// hides, if set, filters entries that are already queued but that the subscriber may no longer see.
	hides atomic.Pointer[func(entry T) bool]
	err   error // why it has ended, once entries is closed
}

// Next waits for an entry. Its error is why none comes any more, or why ctx is done.
func (s *Stream[T]) Next(ctx context.Context) (T, error) {
	for {
		select {
		case entry, open := <-s.entries:
			if !open {
				return entry, s.err
			}
			if hides := s.hides.Load(); hides == nil || !(*hides)(entry) {
				return entry, nil
			}
		case <-ctx.Done():
			var none T
			return none, context.Cause(ctx)
		}
	}
}

// subscriber is a stream as the hub sees it.
type subscriber interface {
	caller() Caller
	// topic is an organization's ID, or invitations.
	topic() string
	// behind reports whether there was no room whenever it was looked for, for too long.
	behind() bool
	interrupt(why string)
	revoke(err error)
}

type subscription[T any] struct {
	Stream[T]
	of Caller
	// resuming is how the subscriber goes on after an interruption.
	resuming string
	// fullSince is since when there has been no room; zero when there was some.
	fullSince time.Time
}

func newSubscription[T any](caller Caller, resuming string) subscription[T] {
	return subscription[T]{Stream: Stream[T]{entries: make(chan T, backlog)}, of: caller, resuming: resuming}
}

func (s *subscription[T]) caller() Caller { return s.of }

// end must be called by the goroutine that sends, once.
func (s *subscription[T]) end(err error) {
	s.err = err
	close(s.entries)
}

// interrupt ends the stream of a caller who may come back.
func (s *subscription[T]) interrupt(why string) {
	s.end(fault.New(fault.Unavailable, "%s Subscribe again, %s.", why, s.resuming))
}

// revoke ends the stream of a caller who may see nothing any more, not even the entries already queued.
func (s *subscription[T]) revoke(err error) {
	s.hide(func(T) bool { return true })
	s.end(err)
}

func (s *subscription[T]) hide(which func(entry T) bool) { s.hides.Store(&which) }

// offer reports false when the subscriber has not taken what was sent before.
func (s *subscription[T]) offer(entry T) bool {
	if s.full() {
		return false
	}
	s.entries <- entry // nobody else sends
	return true
}

// full reports whether there is no room, and remembers since when.
func (s *subscription[T]) full() bool {
	if len(s.entries) < cap(s.entries) {
		s.fullSince = time.Time{}
		return false
	}
	if s.fullSince.IsZero() {
		s.fullSince = time.Now()
	}
	return true
}

func (s *subscription[T]) behind() bool { return time.Since(s.fullSince) > checkInterval }

// follower receives the events of an organization.
type follower struct {
	subscription[*db.Event]
	organizationID string
	ownersOnly     bool
	// owner is whether the follower was an owner when access was last looked at.
	owner bool
	// seq is the number of the newest event that was sent or passed over.
	seq int64
	// live is set once it has caught up: from then on it is cut off when it takes nothing. One that is still
	// resuming may take as long as a slow network needs.
	live bool
}

func (f *follower) topic() string { return f.organizationID }

// place is where the follower has to be accepted.
func (f *follower) place() db.Place {
	return db.Place{OrganizationID: f.organizationID, UserID: f.of.User.ID}
}

// errEnd is the reason why a follower may not go on, nil when it may. What does not exist and what
// is closed to the caller answer the same.
func (f *follower) errEnd(signedIn bool, member *db.Membership) error {
	switch {
	case !signedIn:
		return fault.ErrSignedOut
	case member == nil:
		return fault.ErrNoOrganization
	case f.ownersOnly && !member.IsOwner:
		return fault.ErrNotOwner
	}
	return nil
}

// see records the follower's current access. The sending goroutine must call it before sending.
func (f *follower) see(member *db.Membership) {
	if f.owner != member.IsOwner {
		f.hide(func(e *db.Event) bool { return !VisibleTo(member, e) })
	}
	f.owner = member.IsOwner
}

// inbox receives the invitations to a user's address.
type inbox struct {
	subscription[*db.Membership]
	// seen holds when each open invitation was made, to recognize a new one.
	seen map[string]time.Time
}

// invitations is the topic of all inboxes.
const invitations = "invitations"

func (*inbox) topic() string { return invitations }

// send offers the invitations that were not there before, and reports false when there was no room for all
// of them. Invitations that did not fit are not remembered, so they are offered again.
func (i *inbox) send(open []*db.Membership) bool {
	all := true
	now := make(map[string]time.Time, len(open))
	for _, invitation := range open {
		if invitation.Email != i.of.User.Email {
			continue
		}
		if before, known := i.seen[invitation.ID]; !known || !before.Equal(*invitation.InvitedAt) {
			if all = all && i.offer(invitation); !all {
				continue
			}
		}
		now[invitation.ID] = *invitation.InvitedAt
	}
	i.seen = now
	return all
}

// Why streams are interrupted, and how their subscribers go on.
const (
	tooSlow  = "You read too slowly and were cut off."
	broken   = "Live updates are interrupted."
	stopping = "The server restarts."

	withCursor = "with the cursor of the last event that you received"
	anew       = "and read the invitations anew"
)

// Follow sends the events of an organization that the caller may see: those after the given
// number, then live ones, in order, none missing, none twice. With ownersOnly it ends as soon as
// the caller is no owner. It sends nothing more once ctx is done.
func (h *Hub) Follow(ctx context.Context, caller Caller, organizationID string, after *int64, ownersOnly bool) (*Stream[*db.Event], error) {
	resuming := withCursor
	if ownersOnly {
		resuming = anew
	}
	f := &follower{subscription: newSubscription[*db.Event](caller, resuming), organizationID: organizationID, ownersOnly: ownersOnly}
	if after != nil {
		f.seq = *after
		h.replays.Add(1)
		go h.replay(ctx, f)
		return &f.Stream, nil
	}
	heads, err := h.db.EventHeads(ctx, []string{organizationID})
	if err != nil {
		return nil, err
	}
	f.seq = heads[organizationID]
	h.add(ctx, f)
	return &f.Stream, nil
}

// replay sends what is in the log already, as fast as the subscriber takes it, then hands the
// follower to the hub, which goes on from the same number. The caller has counted it in replays.
func (h *Hub) replay(ctx context.Context, f *follower) {
	defer h.replays.Add(-1)
	ticker := time.NewTicker(checkInterval) // for subscribers that take long over a page
	defer ticker.Stop()
	for {
		events, err := h.db.EventsAfter(ctx, f.organizationID, f.seq, pageSize)
		if err != nil {
			f.interrupt(broken)
			return
		}
		if len(events) == 0 {
			h.handOver(ctx, f)
			return
		}
		member := h.admit(ctx, f)
		for _, e := range events {
			if member = h.resend(ctx, f, member, e, ticker.C); member == nil {
				return
			}
			f.seq = e.Seq
		}
	}
}

// handOver has the hub serve the follower, at once.
func (h *Hub) handOver(ctx context.Context, f *follower) {
	h.add(ctx, f)
	h.notice(f.organizationID)
}

// resend delivers one logged event, if the follower may see it. While the follower has no room, it rechecks
// access at each tick. It returns the current membership, or nil once the stream has ended or gone back to the hub.
func (h *Hub) resend(ctx context.Context, f *follower, place *db.Membership, e *db.Event, tick <-chan time.Time) *db.Membership {
	for place != nil && VisibleTo(place, e) {
		select {
		case f.entries <- e:
			return place
		case <-tick:
			if f.live && f.full() {
				h.handOver(ctx, f)
				return nil
			}
			place = h.admit(ctx, f)
		case <-ctx.Done():
			return nil
		}
	}
	return place
}

// admit finds the place of a follower that is not yet with the hub, and ends it when there is none.
func (h *Hub) admit(ctx context.Context, f *follower) *db.Membership {
	access, err := accessOf(ctx, h.db, []subscriber{f})
	if err != nil {
		f.interrupt(broken)
		return nil
	}
	member := access.member(f)
	if err := f.errEnd(access.signedIn(f), member); err != nil {
		f.revoke(err)
		return nil
	}
	f.see(member)
	return member
}

// Invitations sends each invitation to the caller's verified address from now on. EMAIL_UNVERIFIED.
func (h *Hub) Invitations(ctx context.Context, caller Caller) (*Stream[*db.Membership], error) {
	if caller.User.EmailVerifiedAt == nil {
		return nil, fault.New(fault.EmailUnverified, "Verify your email address first: somebody else may own it.")
	}
	i := &inbox{subscription: newSubscription[*db.Membership](caller, anew), seen: map[string]time.Time{}}
	open, err := h.db.OpenInvitations(ctx, caller.User)
	if err != nil {
		return nil, err
	}
	for _, invitation := range open {
		i.seen[invitation.ID] = *invitation.InvitedAt
	}
	h.add(ctx, i)
	return &i.Stream, nil
}
