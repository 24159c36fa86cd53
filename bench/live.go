package main

// Live delivery: many streams, users who accept invitations, and what reaches whom, and when.

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"
	"golang.org/x/sync/errgroup"

	"studio/db"
)

type liveCommand struct {
	Organizations int    `default:"2000" help:"How many organizations the database holds, and the streams are spread over."`
	Streams       int    `default:"10000" help:"How many streams are open."`
	Sessions      int    `default:"1000" help:"How many sessions of owners the streams belong to."`
	Accepts       int    `default:"1000" help:"How many users accept an invitation in a minute."`
	Seconds       int    `default:"60" help:"For how long."`
	Database      string `default:"postgres" enum:"sqlite,postgres" help:"sqlite or postgres."`
	Over          string `default:"events" enum:"events,websockets" help:"events or websockets: what a stream is, one of server-sent events or a WebSocket of its own."`
}

const (
	followDocument = `subscription ($organization: ID!) { organizationEvents(organizationId: $organization) { id createdAt } }`
	inviteDocument = `mutation ($organization: ID!, $email: String!) {
		inviteUser(input: { organizationId: $organization, email: $email }) { organizationUser { id } } }`
	acceptDocument = `mutation ($id: ID!) { acceptInvitation(input: { organizationUserId: $id }) { organizationUser { status } } }`
	// invitationsEach is how many invitations a day are mailed to one address.
	invitationsEach = 5
)

// stream is one that is open, and what it has received.
type stream struct {
	organization string
	end          func() error

	mu        sync.Mutex
	ids       []string
	latencies []time.Duration
	err       error
}

// Run opens the streams and measures.
func (c *liveCommand) Run(ctx context.Context) error {
	if err := allowFiles(uint64(c.Streams) + 1_000); err != nil {
		return err
	}
	folder, err := os.MkdirTemp("", "studio-bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	program, err := build(ctx, folder)
	if err != nil {
		return err
	}
	address, drop, err := seeded(ctx, program, folder, c.Database, c.Organizations)
	if err != nil {
		return err
	}
	defer drop()
	database, err := db.Open(address)
	if err != nil {
		return err
	}
	defer func() { _ = database.Close() }()
	followers, invitees, err := c.people(ctx, database)
	if err != nil {
		return err
	}
	server, err := startStudio(ctx, folder, program, address)
	if err != nil {
		return err
	}
	defer server.stop()
	if err := server.settle(ctx); err != nil {
		return err
	}
	before, err := server.usage()
	if err != nil {
		return err
	}

	streams := make([]*stream, c.Streams)
	opening, openingCtx := errgroup.WithContext(ctx)
	opening.SetLimit(64)
	began := time.Now()
	for i := range streams {
		opening.Go(func() (err error) {
			streams[i], err = c.follow(openingCtx, server.address, followers[i%len(followers)])
			return err
		})
	}
	if err := opening.Wait(); err != nil {
		return err
	}
	open, err := server.usage()
	for looks := 0; err == nil && open.streams < c.Streams; looks++ { // the answer begins before the server follows
		if looks == 300 {
			return fmt.Errorf("only %d of %d streams are open half a minute later", open.streams, c.Streams)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
		open, err = server.usage()
	}
	if err != nil {
		return err
	}
	fmt.Printf("%s: %d streams to %d organizations were open after %v\n", c.Database, c.Streams, c.Organizations, time.Since(began).Round(time.Millisecond))
	heads := map[string]int64{}
	for _, s := range streams {
		heads[s.organization] = 0
	}
	for id := range heads {
		found, err := database.EventHeads(ctx, []string{id})
		if err != nil {
			return err
		}
		heads[id] = found[id]
	}

	accepted, failed := c.accept(ctx, server.address, followers, invitees)
	time.Sleep(3 * time.Second) // for what is under way
	after, err := server.usage()
	if err != nil {
		return err
	}
	for _, s := range streams {
		_ = s.end()
	}
	return errors.Join(failed, c.report(ctx, database, streams, heads, accepted, before, open, after))
}

// allowFiles lets the process, and the server that it starts, have so many files open.
func allowFiles(wanted uint64) error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	limit.Cur, limit.Max = max(limit.Cur, wanted), max(limit.Max, wanted)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("%d files cannot be open at once: %w; raise the limit (ulimit -n) or ask for fewer --streams", wanted, err)
	}
	return nil
}

// people signs owners in, for each session one organization after the other, and users who are to be
// invited.
func (c *liveCommand) people(ctx context.Context, database *db.DB) (followers, invitees []*subject, err error) {
	organizations, err := subjectsOf(ctx, database, owners)
	if err != nil {
		return nil, nil, err
	}
	sessions := map[string][]string{} // of each owner
	for i := range c.Sessions {
		owner := organizations[i%len(organizations)].viewer
		token, err := newSession(ctx, database, owner)
		if err != nil {
			return nil, nil, err
		}
		sessions[owner] = append(sessions[owner], token)
	}
	for i := range max(c.Streams, len(organizations)) {
		of := *organizations[i%len(organizations)]
		tokens := sessions[of.viewer]
		if len(tokens) == 0 {
			return nil, nil, errors.New("there are fewer --sessions than owners")
		}
		of.token = tokens[i/len(organizations)%len(tokens)]
		followers = append(followers, &of)
	}
	needed := c.Accepts*c.Seconds/60/invitationsEach + 1
	invitees, err = subjectsOf(ctx, database, fmt.Sprintf(`SELECT '', u.id, u.email FROM users AS u WHERE NOT EXISTS
		(SELECT 1 FROM memberships AS m WHERE m.email = u.email) ORDER BY u.id LIMIT %d`, needed))
	if err == nil && len(invitees) < needed {
		err = fmt.Errorf("there are %d users to invite, and %d are needed: ask for more --organizations or fewer --accepts", len(invitees), needed)
	}
	for _, s := range invitees {
		if err == nil {
			s.token, err = newSession(ctx, database, s.viewer)
		}
	}
	return followers, invitees, err
}

// follow opens a stream, and reads it until it is closed.
func (c *liveCommand) follow(ctx context.Context, address string, of *subject) (*stream, error) {
	operation := map[string]any{"query": followDocument, "variables": map[string]string{"organization": of.organization}}
	if c.Over == "websockets" {
		return followSocket(ctx, address, of, operation)
	}
	return followEvents(ctx, address, of, operation)
}

func followEvents(ctx context.Context, address string, of *subject, operation map[string]any) (*stream, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	s := &stream{organization: of.organization, end: conn.Close}
	request := bytes.Replace(post("/graphql", of.token, operation), []byte("Accept: application/json"), []byte("Accept: text/event-stream"), 1)
	if _, err := conn.Write(request); err != nil {
		return nil, err
	}
	reader := bufio.NewReaderSize(conn, 1<<10)
	response, err := http.ReadResponse(reader, nil)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, errors.Join(fmt.Errorf("a stream was answered %s", response.Status), response.Body.Close())
	}
	go s.read(response)
	return s, nil
}

func (s *stream) read(response *http.Response) {
	defer func() { _ = response.Body.Close() }()
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		if data, found := bytes.CutPrefix(lines.Bytes(), []byte("data: ")); found {
			s.note(data)
		}
	}
}

func followSocket(ctx context.Context, address string, of *subject, operation map[string]any) (*stream, error) {
	options := &websocket.DialOptions{Subprotocols: []string{"graphql-transport-ws"}}
	socket, _, err := websocket.Dial(ctx, "ws://"+address+"/graphql", options) //nolint:bodyclose // Dial says that it has none to close
	if err != nil {
		return nil, err
	}
	s := &stream{organization: of.organization, end: socket.CloseNow}
	if err := wsjson.Write(ctx, socket, map[string]any{"type": "connection_init", "payload": map[string]string{"Authorization": "Bearer " + of.token}}); err != nil {
		return nil, err
	}
	var acknowledged struct{ Type string }
	if err := wsjson.Read(ctx, socket, &acknowledged); err != nil || acknowledged.Type != "connection_ack" {
		return nil, errors.Join(fmt.Errorf("a WebSocket was answered %q", acknowledged.Type), err)
	}
	if err := wsjson.Write(ctx, socket, map[string]any{"id": "1", "type": "subscribe", "payload": operation}); err != nil {
		return nil, err
	}
	go func() {
		for {
			var message struct{ Payload json.RawMessage }
			if wsjson.Read(context.Background(), socket, &message) != nil {
				return
			}
			s.note(message.Payload)
		}
	}()
	return s, nil
}

// note notes what has come.
func (s *stream) note(data []byte) {
	now := time.Now()
	var message struct {
		Data struct {
			OrganizationEvents *struct {
				ID        string
				CreatedAt time.Time
			}
		}
	}
	err := json.Unmarshal(data, &message)
	s.mu.Lock()
	defer s.mu.Unlock()
	if event := message.Data.OrganizationEvents; err == nil && event != nil {
		s.ids = append(s.ids, event.ID)
		s.latencies = append(s.latencies, now.Sub(event.CreatedAt))
	} else {
		s.err = fmt.Errorf("a stream brought %s", data)
	}
}

// accept has users invited and accept, at an even pace, and returns how many did.
func (c *liveCommand) accept(ctx context.Context, address string, followers, invitees []*subject) (accepted int64, failed error) {
	total := c.Accepts * c.Seconds / 60
	var done atomic.Int64
	work, ctx := errgroup.WithContext(ctx)
	pace := time.NewTicker(time.Duration(c.Seconds) * time.Second / time.Duration(total))
	defer pace.Stop()
	for i := range total {
		select {
		case <-ctx.Done():
			return done.Load(), work.Wait()
		case <-pace.C:
		}
		// Each user is invited by organizations that lie apart, and each organization in its turn.
		owner, invitee := followers[i*7%len(followers)], invitees[i%len(invitees)]
		work.Go(func() error {
			connection, err := dial(ctx, address)
			if err != nil {
				return err
			}
			defer func() { _ = connection.Close() }()
			text, err := connection.ask(post("/graphql", owner.token, map[string]any{"query": inviteDocument,
				"variables": map[string]string{"organization": owner.organization, "email": invitee.email}}))
			if err != nil {
				return err
			}
			var answer struct {
				Data struct {
					InviteUser struct{ OrganizationUser struct{ ID string } }
				}
			}
			if err := json.Unmarshal(text, &answer); err != nil {
				return err
			}
			_, err = connection.ask(post("/graphql", invitee.token, map[string]any{"query": acceptDocument,
				"variables": map[string]string{"id": answer.Data.InviteUser.OrganizationUser.ID}}))
			if err == nil {
				done.Add(1)
			}
			return err
		})
	}
	err := work.Wait()
	return done.Load(), err
}

// report compares what the streams have received with the log, and prints what was measured.
func (c *liveCommand) report(ctx context.Context, database *db.DB, streams []*stream, heads map[string]int64, accepted int64, before, open, after usage) error {
	logs := map[string][]*db.Event{}
	for id, head := range heads {
		events, err := database.EventsAfter(ctx, id, head, 10_000)
		if err != nil {
			return err
		}
		logs[id] = events
	}
	var latencies []time.Duration
	var ended error
	expected, lost, wrong := 0, 0, 0
	for _, s := range streams {
		s.mu.Lock()
		log := logs[s.organization]
		expected += len(log)
		lost += max(0, len(log)-len(s.ids))
		for i, id := range s.ids {
			if i >= len(log) || log[i].ID != id {
				wrong++
			}
		}
		latencies = append(latencies, s.latencies...)
		ended = errors.Join(ended, s.err)
		s.mu.Unlock()
	}
	fmt.Printf("%d users accepted an invitation within %d s; %d deliveries were due, %d were lost, %d out of order or twice\n",
		accepted, c.Seconds, expected, lost, wrong)
	fmt.Printf("from just before the commit to the receipt: p50 %v, p99 %v, max %v\n", quantile(latencies, 0.5).Round(time.Millisecond/10),
		quantile(latencies, 0.99).Round(time.Millisecond/10), quantile(latencies, 1).Round(time.Millisecond/10))
	perStream := func(u usage) float64 { return float64(u.memory-before.memory) / float64(c.Streams) / 1024 }
	fmt.Printf("resident memory: %d MiB without streams; %.1f KiB a stream when they were open, %.1f KiB at the end\n",
		before.memory>>20, perStream(open), perStream(after))
	fmt.Printf("CPU of the server while users accepted: %v\n", (after.cpu - open.cpu).Round(time.Millisecond))
	if lost > 0 || wrong > 0 {
		ended = errors.Join(errors.New("events were lost, out of order or delivered twice"), ended)
	}
	return ended
}
