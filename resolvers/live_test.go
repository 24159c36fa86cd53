package resolvers_test

// Live updates: each test that follows something runs over both transports that carry streams.

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"runtime/pprof"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/tidwall/gjson"

	"studio/account"
	"studio/db"
	"studio/db/dbtest"
	"studio/event"
	"studio/fault"
)

const (
	followEvents = `subscription($org: ID!, $after: String) {
		organizationEvents(organizationId: $org, after: $after) { id cursor type summary }
	}`
	followAccepted = `subscription($org: ID!) {
		invitationAccepted(organizationId: $org) { status user { email } organization { id } }
	}`
	followReceived = `subscription { ... on Subscription { invitationReceived { id status organization { id name } } } }`
)

// soon is the second within which live updates come, and what a busy machine adds.
const soon = 30 * time.Second

// follow opens a subscription over some transport.
type follow func(p *person, query string, variables vars) *stream

// transports are those that carry streams.
var transports = map[string]follow{"WebSocket": overWebSocket, "SSE": overSSE}

// live runs a test over each transport, on every engine.
func live(t *testing.T, test func(s *studio, follow follow)) {
	t.Helper()
	t.Parallel()
	for name, follow := range transports {
		t.Run(name, func(t *testing.T) {
			on(t, func(s *studio) { test(s, follow) })
		})
	}
}

// stream is a subscription that was asked for.
type stream struct {
	*studio
	// read yields the next answer, and nil once the server has completed the stream. It reads from
	// the network only when it is called, so that a test can be a client that does not read.
	read  func() (*answer, error)
	close func()
}

func (s *stream) next() (*answer, error) {
	timer := time.AfterFunc(soon, s.close)
	defer timer.Stop()
	return s.read()
}

// receive waits for an answer with data.
func (s *stream) receive() *answer {
	s.Helper()
	a, err := s.next()
	if a == nil || gjson.Get(a.body, "errors").Exists() {
		s.Fatalf("the stream has ended: %+v, %v", a, err)
	}
	return a
}

// ends checks that the next answer tells why the stream ends, and that it does.
func (s *stream) ends(code fault.Code, field string) *answer {
	s.Helper()
	reason, err := s.next()
	if err != nil || reason == nil {
		s.Fatalf("got no reason for the end of the stream: %v", err)
	}
	reason.check(code, field)
	if more, err := s.next(); more != nil || err != nil {
		s.Errorf("the stream does not end: %+v, %v", more, err)
	}
	return reason
}

// streaming keeps little on the way between the server and a client that does not read, so that
// the server soon notices. Without small segments the server's side of a connection within one
// machine holds megabytes.
var streaming = &http.Client{Transport: &http.Transport{
	DialContext: (&net.Dialer{Control: func(_, _ string, conn syscall.RawConn) error {
		var receive, segment error
		err := conn.Control(func(fd uintptr) {
			receive = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 1<<15)
			segment = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_MAXSEG, 1400)
		})
		return errors.Join(err, receive, segment)
	}}).DialContext,
}}

// overSSE speaks graphql-sse with distinct connections.
func overSSE(p *person, query string, variables vars) *stream {
	p.Helper()
	body, err := json.Marshal(map[string]any{"query": query, "variables": variables})
	if err != nil {
		p.Fatal(err)
	}
	ctx, cancel := context.WithCancel(p.Context())
	p.Cleanup(cancel)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url+"/graphql", strings.NewReader(string(body)))
	if err != nil {
		p.Fatal(err)
	}
	request.Header = http.Header{
		"Content-Type": {"application/json"}, "Accept": {"text/event-stream"}, "Authorization": {"Bearer " + p.token},
	}
	response, err := streaming.Do(request)
	if err != nil {
		p.Fatal(err)
	}
	p.Cleanup(func() { _ = response.Body.Close() })
	lines := bufio.NewReader(response.Body)
	read := func() (*answer, error) {
		for kind := ""; ; {
			line, err := lines.ReadString('\n')
			if err != nil {
				return nil, err
			}
			name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
			switch {
			case name == "event":
				kind = value
			case kind == "next" && name == "data":
				return &answer{studio: p.studio, body: value}, nil
			case kind == "complete" && line == "\n":
				return nil, nil
			}
		}
	}
	return &stream{studio: p.studio, read: read, close: cancel}
}

// overWebSocket speaks graphql-transport-ws.
func overWebSocket(p *person, query string, variables vars) *stream {
	p.Helper()
	socket, response, err := p.dial(nil)
	if err != nil {
		p.Fatalf("%v: %v", response, err)
	}
	socket.initialize(vars{"Authorization": "Bearer " + p.token})
	return socket.subscribe("1", query, variables)
}

// socket is a WebSocket that speaks graphql-transport-ws.
type socket struct {
	*studio
	conn  *websocket.Conn
	ctx   context.Context
	close func()
}

func (s *studio) dial(header http.Header) (*socket, *http.Response, error) {
	s.Helper()
	ctx, cancel := context.WithCancel(s.Context())
	s.Cleanup(cancel)
	conn, response, err := websocket.Dial(ctx, s.url+"/graphql", &websocket.DialOptions{
		HTTPClient: streaming, HTTPHeader: header, Subprotocols: []string{"graphql-transport-ws"},
	})
	if err != nil {
		return nil, response, err
	}
	s.Cleanup(func() { _ = conn.CloseNow() })
	conn.SetReadLimit(1 << 20)
	return &socket{studio: s, conn: conn, ctx: ctx, close: cancel}, response, nil
}

func (s *socket) send(message vars) {
	s.Helper()
	text, err := json.Marshal(message)
	if err != nil {
		s.Fatal(err)
	}
	if err := s.conn.Write(s.ctx, websocket.MessageText, text); err != nil {
		s.Fatal(err)
	}
}

func (s *socket) receive() (gjson.Result, error) {
	_, message, err := s.conn.Read(s.ctx)
	return gjson.ParseBytes(message), err
}

// initialize signs in as browsers do, which cannot set a header.
func (s *socket) initialize(payload vars) {
	s.Helper()
	if payload["Authorization"] == "Bearer " {
		payload = nil
	}
	s.send(vars{"type": "connection_init", "payload": payload})
	if message, err := s.receive(); err != nil || message.Get("type").String() != "connection_ack" {
		s.Fatalf("got %s, %v instead of connection_ack", message, err)
	}
}

// subscribe starts an operation of any kind.
func (s *socket) subscribe(id, query string, variables vars) *stream {
	s.Helper()
	s.send(vars{"id": id, "type": "subscribe", "payload": vars{"query": query, "variables": variables}})
	return &stream{studio: s.studio, close: s.close, read: func() (*answer, error) {
		message, err := s.receive()
		if err != nil {
			return nil, err
		}
		payload := message.Get("payload").Raw
		switch kind := message.Get("type").String(); kind {
		case "next":
			return &answer{studio: s.studio, body: payload}, nil
		case "error":
			// Nothing marks that the operation is over but the silence after an error. What answers
			// this ping is passed on as the end unless something else comes first.
			s.send(vars{"type": "ping"})
			return &answer{studio: s.studio, body: `{"errors":` + payload + `}`}, nil
		case "complete", "pong":
			return nil, nil
		default:
			return nil, fmt.Errorf("a message of type %q", kind)
		}
	}}
}

// goesLive waits until a stream that was just opened receives what happens from now on: the server
// checks the access of those streams, and of no others.
func (p *person) goesLive() {
	p.Helper()
	credential := p.session()
	if credential == "" {
		credential = p.do(listAPITokens, nil).str("viewer.apiTokens.0.id")
	}
	p.statements.take()
	p.eventually("the stream to go live", func() bool {
		return slices.ContainsFunc(p.statements.take(), func(query string) bool {
			return strings.Contains(query, "UNION ALL") && strings.Contains(query, credential)
		})
	})
}

// session is the ID of the session that a person uses, "" for an API token.
func (p *person) session() string {
	p.Helper()
	return p.do(listSessions, nil).get(`viewer.sessions.#(current==true).id`).String()
}

// logged is an organization's log, oldest first.
func (p *person) logged(organizationID string) []gjson.Result {
	p.Helper()
	events := p.do(`query($org: ID!) { organization(id: $org) { events(first: 100) { nodes { id cursor type } } } }`,
		vars{"org": organizationID}).get("organization.events.nodes").Array()
	slices.Reverse(events)
	return events
}

// founded is the cursor of an organization's first event.
func (p *person) founded(organizationID string) string {
	p.Helper()
	return p.logged(organizationID)[0].Get("cursor").String()
}

func (p *person) renameTo(organizationID, name string) {
	p.Helper()
	p.do(updateOrganization, vars{"org": organizationID, "name": name})
}

func (p *person) takeBack(membershipID string) {
	p.Helper()
	p.do(`mutation($id: ID!) {
		removeOrganizationUser(input: { organizationUserId: $id, confirm: "DELETE" }) { removedOrganizationUserId }
	}`, vars{"id": membershipID})
}

func (p *person) share(membershipID string, owner bool) {
	p.Helper()
	p.do(`mutation($id: ID!, $owner: Boolean!) {
		setOrganizationOwner(input: { organizationUserId: $id, isOwner: $owner }) { organizationUser { id } }
	}`, vars{"id": membershipID, "owner": owner})
}

// record writes an event and nothing else, as the system would.
func record(ctx context.Context, s *studio, organizationID string, kind db.EventType, subjectID string) error {
	return s.db.InTx(ctx, func(tx *db.DB) error {
		return event.Record(ctx, tx, organizationID, kind, nil, subjectID, "Something happened.")
	})
}

func (p *person) ownPlace(organizationID string) string {
	p.Helper()
	return p.do(`query($org: ID!) { organization(id: $org) { viewerMembership { id } } }`,
		vars{"org": organizationID}).str("organization.viewerMembership.id")
}

func TestInvitationAccepted(t *testing.T) {
	t.Parallel()
	for name, before := range map[string]func(owner, guest *person, home string){
		"Accepted": func(_, _ *person, _ string) {},
		"OtherOrganization": func(owner, guest *person, _ string) {
			guest.do(acceptInvitation, vars{"id": owner.invite(owner.create("Another", "another"), guest.email)})
		},
		"OtherEvents": func(owner, _ *person, home string) {
			owner.renameTo(home, "Renamed")
			owner.takeBack(owner.invite(home, "new@example.com"))
		},
		"RemovedMeanwhile": func(owner, _ *person, home string) {
			if err := record(owner.Context(), owner.studio, home, db.InvitationAccepted, db.NewID(db.MembershipPrefix)); err != nil {
				owner.Fatal(err)
			}
		},
		// What is recorded is held back until the commit, which never comes.
		"NotCommitted": func(owner, _ *person, home string) {
			place, undone := owner.ownPlace(home), errors.New("undone")
			err := owner.db.InTx(owner.Context(), func(tx *db.DB) error {
				if err := event.Record(owner.Context(), tx, home, db.InvitationAccepted, nil, place, "Undone."); err != nil {
					return err
				}
				owner.goesLive()
				return undone
			})
			if !errors.Is(err, undone) {
				owner.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			live(t, func(s *studio, follow follow) {
				owner, guest := s.signUp("owner"), s.verified("guest")
				home := owner.home()
				accepted := follow(owner, followAccepted, vars{"org": home})
				owner.goesLive()
				before(owner, guest, home)
				guest.do(acceptInvitation, vars{"id": owner.invite(home, guest.email)})
				accepted.receive().want("invitationAccepted",
					`{"status":"ACCEPTED","user":{"email":"guest@example.com"},"organization":{"id":"`+home+`"}}`)
			})
		})
	}
}

func TestOrganizationEvents(t *testing.T) {
	t.Parallel()
	t.Run("Owner", func(t *testing.T) {
		live(t, func(s *studio, follow follow) {
			owner := s.signUp("owner")
			home := owner.home()
			events := follow(owner, followEvents, vars{"org": home})
			owner.goesLive()
			owner.renameTo(home, "Renamed")
			owner.takeBack(owner.invite(home, "new@example.com"))
			for _, kind := range []db.EventType{db.OrganizationUpdated, db.UserInvited, db.InvitationRevoked} {
				events.receive().want("organizationEvents.type", `"`+string(kind)+`"`)
			}
		})
	})
	t.Run("Member", func(t *testing.T) {
		live(t, func(s *studio, follow follow) {
			owner, member := s.signUp("owner"), s.signUp("member")
			home := owner.home()
			owner.invite(home, "hidden@example.com")
			owner.join(home, member)
			events := follow(member, followEvents, vars{"org": home, "after": owner.founded(home)})
			member.goesLive()
			owner.invite(home, "hidden.too@example.com")
			owner.renameTo(home, "Renamed")
			for _, summary := range []string{
				"owner Example invited member@example.com.",
				"member Example accepted the invitation.",
				"owner Example renamed the organization from owner's Organization to Renamed.",
			} {
				events.receive().want("organizationEvents.summary", `"`+summary+`"`)
			}
		})
	})
	t.Run("Resumed", func(t *testing.T) {
		live(t, func(s *studio, follow follow) { resume(follow, s) })
	})
	t.Run("ResumedElsewhere", func(t *testing.T) {
		t.Parallel()
		for name, follow := range transports {
			t.Run(name+"/postgres", func(t *testing.T) {
				t.Parallel()
				resume(follow, replicas(t)...)
			})
		}
	})
	t.Run("BadCursor", func(t *testing.T) {
		live(t, func(s *studio, follow follow) {
			owner := s.signUp("owner")
			home, another := owner.home(), owner.create("Another", "another")
			for name, cursor := range map[string]string{
				"forged":                  "forged",
				"empty":                   "",
				"another organization's":  owner.founded(another),
				"of an event yet to come": event.Cursor(&db.Event{OrganizationID: home, Seq: 1000}),
			} {
				s.Logf("a cursor that is %s", name)
				follow(owner, followEvents, vars{"org": home, "after": cursor}).ends(fault.InvalidInput, "after")
			}
		})
	})
	t.Run("ExpiredCursor", func(t *testing.T) {
		live(t, func(s *studio, follow follow) {
			owner := s.signUp("owner")
			home := owner.home()
			cursor := owner.founded(home)
			owner.grows(event.Retention + time.Second)
			follow(owner, followEvents, vars{"org": home, "after": cursor}).ends(fault.CursorExpired, "after")
		})
	})
	t.Run("OldCursor", func(t *testing.T) {
		live(t, func(s *studio, follow follow) {
			owner := s.signUp("owner")
			home := owner.home()
			cursor := owner.founded(home)
			owner.renameTo(home, "Renamed")
			owner.grows(event.Retention - time.Minute)
			follow(owner, followEvents, vars{"org": home, "after": cursor}).receive().
				want("organizationEvents.type", `"ORGANIZATION_UPDATED"`)
		})
	})
}

// grows lets time pass for somebody who keeps using the API, as a session ends when it is not used.
func (p *person) grows(older time.Duration) {
	p.Helper()
	p.clock.Advance(older / 2)
	p.do(`{ viewer { id } }`, nil)
	p.clock.Advance(older - older/2)
}

// replicas are two servers on one database.
func replicas(t *testing.T) []*studio {
	t.Helper()
	address, clock := dbtest.Postgres(t), &dbtest.Clock{}
	open := func(options ...db.Option) *db.DB { return dbtest.Open(t, address, options...) }
	return []*studio{start(t, open, clock), start(t, open, clock)}
}

// resume comes back to one server after the other from wherever it got to, while much happens and
// somebody else follows without a break.
func resume(follow follow, servers ...*studio) {
	s := servers[0]
	s.Helper()
	owner := s.signUp("owner")
	home := owner.home()

	founded := owner.founded(home)
	steady := follow(owner, followEvents, vars{"org": home, "after": founded})

	const writers, each = 5, 10
	var writing sync.WaitGroup
	for writer := range writers {
		writing.Go(func() {
			for range each {
				on := servers[writer%len(servers)]
				if err := record(s.Context(), on, home, db.OrganizationUpdated, home); err != nil {
					s.Error(err)
				}
			}
		})
	}
	var received []string
	cursor := founded
	for visit := 0; len(received) < writers*each; visit++ {
		visitor := &person{studio: servers[visit%len(servers)], token: owner.token}
		events := follow(visitor, followEvents, vars{"org": home, "after": cursor})
		for range min(1+visit%7, writers*each-len(received)) {
			a := events.receive()
			cursor = a.str("organizationEvents.cursor")
			received = append(received, a.str("organizationEvents.id"))
		}
		events.close()
	}
	writing.Wait()

	for i, entry := range owner.logged(home)[1:] {
		id := entry.Get("id").String()
		if received[i] != id {
			s.Errorf("received %s as number %d, but %s happened", received[i], i, id)
		}
		steady.receive().want("organizationEvents.id", `"`+id+`"`)
	}
}

func TestInvitationReceived(t *testing.T) {
	t.Parallel()
	t.Run("Unverified", func(t *testing.T) {
		live(t, func(s *studio, follow follow) {
			follow(s.signUp("guest"), followReceived, nil).ends(fault.EmailUnverified, "")
		})
	})
	for _, test := range []struct {
		name string
		// meanwhile happens to the invitation that was there before the guest followed.
		meanwhile func(owner, guest *person, id string)
		// again is for who is then invited to the same organization; otherwise it is another one.
		again bool
	}{
		{name: "New", meanwhile: func(_, _ *person, _ string) {}},
		{name: "Resent", meanwhile: func(owner, _ *person, id string) {
			owner.do(`mutation($id: ID!) { resendInvitation(input: { organizationUserId: $id }) { organizationUser { id } } }`, vars{"id": id})
		}},
		{name: "Declined", again: true, meanwhile: func(_, guest *person, id string) {
			guest.do(`mutation($id: ID!) { declineInvitation(input: { organizationUserId: $id }) { declinedOrganizationUserId } }`, vars{"id": id})
		}},
		{name: "Revoked", again: true, meanwhile: func(owner, _ *person, id string) { owner.takeBack(id) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			live(t, func(s *studio, follow follow) {
				owner, guest := s.signUp("owner"), s.verified("guest")
				home := owner.home()
				place := owner.invite(home, guest.email)
				received := follow(guest, followReceived, nil)
				guest.goesLive()
				owner.invite(home, "somebody.else@example.com")
				test.meanwhile(owner, guest, place)
				next := home
				if !test.again {
					next = owner.create("Another", "another")
				}
				owner.invite(next, guest.email)
				first := received.receive()
				first.want("invitationReceived.status", `"INVITED"`)
				first.want("invitationReceived.organization.id", `"`+next+`"`)
			})
		})
	}
}

func TestStreamEnds(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, query string
		code        fault.Code
		// as makes another credential to follow with; it is the follower's session when nil.
		as   func(follower *person) *person
		lose func(owner, follower *person, home, place string)
	}{
		{"Removed", followEvents, fault.NotFound, nil, func(owner, _ *person, _, place string) { owner.takeBack(place) }},
		{"RemovedOwner", followAccepted, fault.NotFound, withAPIToken, func(owner, _ *person, _, place string) { owner.takeBack(place) }},
		{"Demoted", followAccepted, fault.Forbidden, withAPIToken, func(owner, _ *person, _, place string) { owner.share(place, false) }},
		{"Left", followEvents, fault.NotFound, nil, func(_, follower *person, home, _ string) {
			follower.do(`mutation($org: ID!) {
				leaveOrganization(input: { organizationId: $org, confirmName: "owner's Organization" }) { leftOrganizationId }
			}`, vars{"org": home})
		}},
		{"OrganizationDeleted", followEvents, fault.NotFound, nil, func(owner, _ *person, home, _ string) {
			owner.do(deleteOrganization, vars{"org": home, "name": "owner's Organization"})
		}},
		{"SignedOut", followEvents, fault.Unauthenticated, nil, func(_, follower *person, _, _ string) { follower.do(signOut, nil) }},
		{"SessionRevoked", followEvents, fault.Unauthenticated, nil, func(_, follower *person, _, _ string) {
			follower.elsewhere().do(revokeSession, vars{"id": follower.session()})
		}},
		{"PasswordChanged", followEvents, fault.Unauthenticated, nil, func(_, follower *person, _, _ string) {
			follower.elsewhere().do(changePassword, vars{"current": password, "new": newPassword})
		}},
		{"PasswordReset", followEvents, fault.Unauthenticated, nil, func(_, follower *person, _, _ string) {
			follower.nobody().do(requestReset, vars{"email": follower.email})
			token := follower.mailedToken(follower.email, "/reset-password/")
			follower.nobody().do(resetPassword, vars{"token": token, "new": newPassword})
		}},
		{"SessionExpired", followEvents, fault.Unauthenticated, nil, func(owner, _ *person, _, _ string) {
			owner.clock.Advance(account.SessionLifetime + time.Second)
		}},
		{"APITokenRevoked", followEvents, fault.Unauthenticated, withAPIToken, revokeAPITokens},
		// Here nothing but the passing of time makes the server look.
		{"APITokenRevokedQuietly", followReceived, fault.Unauthenticated, withAPIToken, revokeAPITokens},
		{"APITokenExpired", followEvents, fault.Unauthenticated, withAPIToken, func(owner, _ *person, _, _ string) {
			owner.clock.Advance(25 * time.Hour)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			on(t, func(s *studio) {
				owner, follower := s.signUp("owner"), s.verified("follower")
				home := owner.home()
				place := owner.join(home, follower)
				owner.share(place, true)
				founder := owner.ownPlace(home)
				entries := owner.logged(home)
				updates := map[string]*stream{}
				for name, follow := range transports {
					if test.as == nil {
						// What is replayed shows that the stream is open.
						updates[name] = follow(follower, test.query, vars{"org": home, "after": entries[len(entries)-2].Get("cursor").String()})
						updates[name].receive()
						continue
					}
					as := test.as(follower)
					updates[name] = follow(as, test.query, vars{"org": home})
					as.goesLive()
				}
				test.lose(owner, follower, home, place)
				if err := record(s.Context(), s, home, db.InvitationAccepted, founder); err != nil {
					s.Fatal(err)
				}
				for name, stream := range updates {
					s.Logf("over %s", name)
					stream.ends(test.code, "")
				}
			})
		})
	}
}

func revokeAPITokens(_, follower *person, _, _ string) {
	follower.Helper()
	for _, id := range follower.do(listAPITokens, nil).get("viewer.apiTokens.#.id").Array() {
		follower.do(revokeAPIToken, vars{"id": id.String()})
	}
}

// withAPIToken is a program that acts as a person, for a day.
func withAPIToken(p *person) *person {
	p.Helper()
	expires := p.clock.Now().Add(24 * time.Hour).Format(time.RFC3339)
	return p.with(p.do(createAPIToken, vars{"name": "program", "expires": expires}).str("createApiToken.token"))
}

// TestBurst has more happen at once than waits for a subscriber, who reads promptly.
func TestBurst(t *testing.T) {
	live(t, func(s *studio, follow follow) {
		owner := s.signUp("owner")
		home := owner.home()
		prompt := follow(owner, followEvents, vars{"org": home})
		owner.goesLive()
		const many = 400
		recorded := make(chan error, 1)
		go func() {
			recorded <- s.db.InTx(s.Context(), func(tx *db.DB) error {
				for i := range many {
					if err := event.Record(s.Context(), tx, home, db.OrganizationUpdated, nil, home, fmt.Sprint(i)); err != nil {
						return err
					}
				}
				return nil
			})
		}()
		for i := range many { // reading from the beginning, as pings are answered only then
			if got := prompt.receive().str("organizationEvents.summary"); got != fmt.Sprint(i) {
				s.Fatalf("received %s, want %d", got, i)
			}
		}
		if err := <-recorded; err != nil {
			s.Fatal(err)
		}
	})
}

func TestSlowSubscriber(t *testing.T) {
	live(t, func(s *studio, follow follow) {
		owner := s.signUp("owner")
		home := owner.home()
		cursor := owner.founded(home)

		// Answers are large, so that what lies between server and client is soon full. All that
		// overflows then is the server's own backlog.
		slow := follow(owner, `subscription($org: ID!) {
			organizationEvents(organizationId: $org) { id cursor a: summary b: summary c: summary d: summary }
		}`, vars{"org": home})
		owner.goesLive()
		fast := follow(owner, `subscription($org: ID!, $after: String) { organizationEvents(organizationId: $org, after: $after) { id } }`,
			vars{"org": home, "after": cursor})
		var happened []string
		for range 8 {
			const each = 50
			err := s.db.InTx(s.Context(), func(tx *db.DB) error {
				for range each {
					if err := event.Record(s.Context(), tx, home, db.OrganizationUpdated, nil, home, long(2_000)); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				s.Fatal(err)
			}
			for range each {
				happened = append(happened, fast.receive().str("organizationEvents.id"))
			}
		}

		s.eventually("the slow subscriber to be cut off", func() bool { return s.events.Streams() == 1 })
		var received []string
		for {
			a, err := slow.next()
			if a == nil {
				s.Logf("the connection was closed: %v", err)
				break
			}
			if gjson.Get(a.body, "errors").Exists() {
				a.check(fault.Unavailable, "")
				break
			}
			cursor = a.str("organizationEvents.cursor")
			received = append(received, a.str("organizationEvents.id"))
		}
		if len(received) == len(happened) {
			s.Error("the slow subscriber was not cut off")
		}
		resumed := follow(owner, followEvents, vars{"org": home, "after": cursor})
		for len(received) < len(happened) {
			received = append(received, resumed.receive().str("organizationEvents.id"))
		}
		if !slices.Equal(received, happened) {
			s.Errorf("received %v\nbut these happened: %v", received, happened)
		}
	})
}

// What a stream keeps is kept for each of thousands.
func TestStreamKeepsNoRequest(t *testing.T) {
	live(t, func(s *studio, follow follow) {
		owner := s.signUp("owner")
		home := owner.home()
		stream := follow(owner, followEvents, vars{"org": home})
		request := s.latest.Load()
		owner.goesLive()
		s.eventually("the request to be forgotten", func() bool {
			runtime.GC()
			return request.Value() == nil
		})
		owner.renameTo(home, "Renamed")
		stream.receive().want("organizationEvents.type", `"ORGANIZATION_UPDATED"`)
	})
}

// The depth in which a goroutine waits is the size of its stack, for as long as it does.
func TestStreamWaitsOutsideTheExecutor(t *testing.T) {
	live(t, func(s *studio, follow follow) {
		owner := s.signUp("owner")
		home := owner.home()
		stream := follow(owner, followEvents, vars{"org": home})
		owner.goesLive()
		owner.renameTo(home, "Renamed")
		stream.receive().want("organizationEvents.type", `"ORGANIZATION_UPDATED"`)
		s.eventually("all streams of all tests to wait outside of it", func() bool {
			var stacks bytes.Buffer
			if err := pprof.Lookup("goroutine").WriteTo(&stacks, 2); err != nil {
				s.Fatal(err)
			}
			return strings.Contains(stacks.String(), "event.(*Stream") && !strings.Contains(stacks.String(), "ResolveFieldStream")
		})
	})
}

func TestSubscriptionRefused(t *testing.T) {
	t.Parallel()
	t.Run("Stranger", func(t *testing.T) {
		live(t, func(s *studio, follow follow) {
			stranger, home := s.signUp("stranger"), s.signUp("owner").home()
			for _, query := range []string{followEvents, followAccepted} {
				known := follow(stranger, query, vars{"org": home}).ends(fault.NotFound, "organizationId")
				for _, id := range []string{db.NewID(db.OrganizationPrefix), "unknown"} {
					unknown := follow(stranger, query, vars{"org": id}).ends(fault.NotFound, "organizationId")
					if known.body != unknown.body {
						s.Errorf("got %s for an organization, and %s for none", known.body, unknown.body)
					}
				}
			}
		})
	})
	t.Run("Roles", func(t *testing.T) {
		live(t, func(s *studio, follow follow) {
			owner, guest := s.signUp("owner"), s.verified("guest")
			home := owner.home()
			for _, query := range []string{followEvents, followAccepted, followReceived} {
				follow(s.nobody(), query, vars{"org": home}).ends(fault.Unauthenticated, "")
			}
			invitation := owner.invite(home, guest.email)
			follow(guest, followEvents, vars{"org": home}).ends(fault.NotFound, "organizationId")
			guest.do(acceptInvitation, vars{"id": invitation})
			follow(guest, followAccepted, vars{"org": home}).ends(fault.Forbidden, "organizationId")
		})
	})
	t.Run("BadToken", func(t *testing.T) {
		on(t, func(s *studio) {
			person := s.signUp("person")
			person.do(`mutation { signOut { signedOut } }`, nil)
			for _, token := range []string{"forged", person.token} {
				socket, response, err := s.dial(nil)
				if err != nil {
					s.Fatalf("%v: %v", response, err)
				}
				socket.send(vars{"type": "connection_init", "payload": vars{"Authorization": "Bearer " + token}})
				if message, err := socket.receive(); websocket.CloseStatus(err) != 4403 {
					s.Errorf("got %s, %v instead of a close with 4403", message, err)
				}
			}
		})
	})
}

func TestSocket(t *testing.T) {
	t.Parallel()
	t.Run("ForeignOrigin", func(t *testing.T) {
		on(t, func(s *studio) {
			owner := s.signUp("owner")
			for _, origin := range []string{"https://evil.example.com", "null", ""} {
				_, response, err := owner.dial(http.Header{"Cookie": {"studio_session=" + owner.token}, "Origin": {origin}})
				if err == nil || response == nil || response.StatusCode != http.StatusForbidden {
					s.Errorf("from %q: got %v, %v instead of a refusal", origin, response, err)
				}
			}
		})
	})
	t.Run("AllowedOrigin", func(t *testing.T) {
		on(t, func(s *studio) {
			owner := s.signUp("owner")
			for _, origin := range []string{"https://front-end.example.com", s.url} {
				socket, response, err := owner.dial(http.Header{"Cookie": {"studio_session=" + owner.token}, "Origin": {origin}})
				if err != nil {
					s.Fatalf("from %q: %v, %v", origin, response, err)
				}
				socket.initialize(nil)
				socket.subscribe("1", whoAmI, nil).receive().want("viewer.user.email", `"owner@example.com"`)
			}
		})
	})
	t.Run("QueryAndMutation", func(t *testing.T) {
		on(t, func(s *studio) {
			owner := s.signUp("owner")
			socket, response, err := s.dial(nil)
			if err != nil {
				s.Fatalf("%v: %v", response, err)
			}
			socket.initialize(vars{"Authorization": "Bearer " + owner.token})
			for id, operation := range []string{updateProfile, whoAmI} {
				stream := socket.subscribe(fmt.Sprint(id), operation, vars{"first": "Renamed"})
				stream.receive()
				if more, err := stream.next(); more != nil || err != nil {
					s.Errorf("got %+v, %v instead of the end", more, err)
				}
			}
			owner.do(`{ viewer { user { firstName } } }`, nil).want("viewer.user.firstName", `"Renamed"`)

			owner.elsewhere().do(revokeSession, vars{"id": owner.session()})
			socket.subscribe("2", updateProfile, vars{"first": "Again"}).ends(fault.Unauthenticated, "")
		})
	})
}
