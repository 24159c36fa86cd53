package event

// The hub: the one reader of a process that serves all its streams.

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"studio/db"
	"studio/fault"
)

// checkInterval is how often streams are checked without a signal: a caller who signed out or whose
// session ran out makes no event, and a signal may be lost. It is half of the second within which a
// stream must end.
const checkInterval = 500 * time.Millisecond

// breath is the pause before a full stream is tried again.
const breath = 20 * time.Millisecond

// Hub carries events to streams. One goroutine reads the log for all of them, so that a hundred
// followers of an organization cost as many statements as one.
type Hub struct {
	db *db.DB
	// apart serves the open streams by a connection of its own. When that takes too long, they are ended.
	apart *db.DB

	wake chan struct{}
	// replays is the number of streams that are brought up to date apart from the others.
	replays atomic.Int64

	mu      sync.Mutex
	stopped bool
	// subscribers are kept by topic, as a signal is for one of many.
	subscribers map[string]map[subscriber]context.Context
	// dirty holds the topics that have news; all is set when each of them may have some.
	dirty map[string]bool
	all   bool
}

// NewHub makes a hub; Run makes it work.
func NewHub(database *db.DB) *Hub {
	return &Hub{
		db:          database,
		apart:       database.Apart(),
		wake:        make(chan struct{}, 1),
		subscribers: map[string]map[subscriber]context.Context{},
		dirty:       map[string]bool{},
	}
}

// Streams is the number of open streams. One whose client is gone is not open, also before due forgets it.
func (h *Hub) Streams() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	open := int(h.replays.Load())
	for _, of := range h.subscribers {
		for _, ctx := range of {
			if ctx.Err() == nil {
				open++
			}
		}
	}
	return open
}

// Run serves the streams until ctx is done, and then ends them all.
func (h *Hub) Run(ctx context.Context) {
	h.db.Listen(ctx, h.notice)
	ticker := time.NewTicker(checkInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			h.stop()
			return
		case <-ticker.C:
			h.notice("")
			continue
		case <-h.wake:
		}
		h.serve(ctx)
	}
}

// notice takes a signal: an organization's ID and, if it is known, the type of the event; an empty one
// means that anything may be new.
func (h *Hub) notice(signal string) {
	organizationID, kind, _ := strings.Cut(strings.TrimSuffix(signal, withDeliveries), " ")
	h.mu.Lock()
	if organizationID == "" {
		h.all = true
	} else {
		h.dirty[organizationID] = true
	}
	if kind == string(db.UserInvited) {
		h.dirty[invitations] = true
	}
	h.mu.Unlock()
	select {
	case h.wake <- struct{}{}:
	default: // a wake-up is waiting already
	}
}

func (h *Hub) add(ctx context.Context, s subscriber) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.stopped {
		s.interrupt(stopping)
		return
	}
	topic := s.topic()
	if h.subscribers[topic] == nil {
		h.subscribers[topic] = map[subscriber]context.Context{}
	}
	h.subscribers[topic][s] = ctx
}

// drop takes a stream from those that are served, and returns its context.
func (h *Hub) drop(s subscriber) context.Context {
	h.mu.Lock()
	defer h.mu.Unlock()
	ctx := h.subscribers[s.topic()][s]
	h.forget(s)
	return ctx
}

// forget needs the lock.
func (h *Hub) forget(s subscriber) {
	topic := s.topic()
	delete(h.subscribers[topic], s)
	if len(h.subscribers[topic]) == 0 {
		delete(h.subscribers, topic)
	}
}

func (h *Hub) stop() {
	h.mu.Lock()
	h.stopped = true
	subscribers := h.subscribers
	h.subscribers = nil
	h.mu.Unlock()
	for _, of := range subscribers {
		for s := range of {
			s.interrupt(stopping)
		}
	}
}

// due returns the streams that there may be news for, and forgets those whose client is gone.
func (h *Hub) due() []subscriber {
	h.mu.Lock()
	defer h.mu.Unlock()
	topics := maps.Keys(h.dirty)
	if h.all {
		topics = maps.Keys(h.subscribers)
	}
	var due []subscriber
	for topic := range topics {
		for s, ctx := range h.subscribers[topic] {
			if ctx.Err() != nil {
				h.forget(s)
			} else {
				due = append(due, s)
			}
		}
	}
	clear(h.dirty)
	h.all = false
	return due
}

// serve brings the due streams up to date. Events are read before access is checked: whoever was
// removed before an event was committed is found removed, and does not get it.
func (h *Hub) serve(ctx context.Context) {
	due := h.due()
	if len(due) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	news, err := h.read(ctx, due)
	var access *access
	if err == nil {
		access, err = accessOf(ctx, h.apart, due)
	}
	if err != nil {
		zerolog.Ctx(ctx).Error().Err(err).Int("streams", len(due)).Msg("cannot serve live updates; streams are ended")
		for _, s := range due {
			h.drop(s)
			s.interrupt(broken)
		}
		return
	}
	for _, s := range due {
		switch s := s.(type) {
		case *follower:
			member := access.member(s)
			if err := s.errEnd(access.signedIn(s), member); err != nil {
				h.drop(s)
				s.revoke(err)
				continue
			}
			s.see(member)
			lags := news.lags(s)
			switch {
			case lags && !s.full():
				s.live = true
				h.replays.Add(1)
				go h.replay(h.drop(s), s)
			case lags || !s.send(news.events[s.organizationID], member):
				h.hold(s)
			}
		case *inbox:
			if !access.signedIn(s) {
				h.drop(s)
				s.revoke(fault.ErrSignedOut)
			} else if !s.send(news.invitations) {
				h.hold(s)
			}
		}
	}
}

// hold gives a stream without room a moment, and cuts it off when it has had none for too long.
func (h *Hub) hold(s subscriber) {
	if s.behind() {
		h.drop(s)
		s.interrupt(tooSlow)
		return
	}
	time.AfterFunc(breath, func() { h.notice(s.topic()) })
}

// send offers the events that follow those sent before, and reports false when there was no room for
// all of them.
func (f *follower) send(events []*db.Event, member *db.Membership) bool {
	for _, e := range events {
		if e.Seq <= f.seq {
			continue
		}
		if VisibleTo(member, e) && !f.offer(e) {
			return false
		}
		f.seq = e.Seq
	}
	return true
}

// news is what was found in the tables.
type news struct {
	heads       map[string]int64
	events      map[string][]*db.Event
	invitations []*db.Membership
}

// lags reports whether a follower misses more events than are read at once for all of its organization.
func (n *news) lags(f *follower) bool { return n.heads[f.organizationID]-f.seq > pageSize }

// read finds what the streams have not been sent, with one look at all logs' ends. Of each log it reads a
// page at the most, as all streams wait for it.
func (h *Hub) read(ctx context.Context, due []subscriber) (*news, error) {
	var followers []*follower
	organizations := make(map[string]bool, len(due))
	var emails []string
	for _, s := range due {
		switch s := s.(type) {
		case *follower:
			followers = append(followers, s)
			organizations[s.organizationID] = true
		case *inbox:
			emails = append(emails, s.of.User.Email)
		}
	}
	found := &news{events: map[string][]*db.Event{}}
	if len(organizations) > 0 {
		var err error
		if found.heads, err = h.apart.EventHeads(ctx, slices.Collect(maps.Keys(organizations))); err != nil {
			return nil, err
		}
	}
	from := maps.Clone(found.heads)
	for _, f := range followers {
		if !found.lags(f) {
			from[f.organizationID] = min(from[f.organizationID], f.seq)
		}
	}
	for organizationID, seq := range from {
		if seq < found.heads[organizationID] {
			var err error
			if found.events[organizationID], err = h.apart.EventsAfter(ctx, organizationID, seq, pageSize); err != nil {
				return nil, err
			}
		}
	}
	if len(emails) > 0 {
		var err error
		if found.invitations, err = h.apart.OpenInvitationsTo(ctx, emails); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// access is what the callers of some streams may do at one moment.
type access struct {
	credentials map[string]bool
	members     map[db.Place]*db.Membership
}

func (a *access) signedIn(s subscriber) bool { return a.credentials[s.caller().CredentialID] }

func (a *access) member(f *follower) *db.Membership { return a.members[f.place()] }

// accessOf reads the access of all the streams in two statements.
func accessOf(ctx context.Context, database *db.DB, subscribers []subscriber) (*access, error) {
	credentials := make(map[string]bool, len(subscribers))
	members := make(map[db.Place]*db.Membership, len(subscribers))
	for _, s := range subscribers {
		credentials[s.caller().CredentialID] = true
		if f, ok := s.(*follower); ok {
			members[f.place()] = nil
		}
	}
	live, err := database.LiveCredentials(ctx, slices.Collect(maps.Keys(credentials)))
	if err != nil || len(members) == 0 {
		return &access{credentials: live}, err
	}
	found, err := database.AcceptedMemberships(ctx, slices.Collect(maps.Keys(members)))
	if err != nil {
		return nil, err
	}
	for _, member := range found {
		members[db.Place{OrganizationID: member.OrganizationID, UserID: *member.UserID}] = member
	}
	return &access{live, members}, nil
}
