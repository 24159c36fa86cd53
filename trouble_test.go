package main

// Mail and Stripe do not answer, or not as they should: nothing is lost, and all else goes on.

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"studio/db/dbtest"
)

// gate is a port that leads to a server, or into trouble.
type gate struct {
	address, behind string

	mu      sync.Mutex
	trouble func(net.Conn)
	held    []net.Conn
	met     int
}

// newGate opens a gate that leads into trouble at first.
func newGate(t *testing.T, behind string, trouble func(net.Conn)) *gate {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{address: listener.Addr().String(), behind: behind, trouble: trouble}
	t.Cleanup(func() { _ = listener.Close(); g.mend() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			g.enter(conn)
		}
	}()
	return g
}

func (g *gate) enter(conn net.Conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.trouble != nil {
		g.met++
		g.held = append(g.held, conn)
		go g.trouble(conn)
		return
	}
	backend, err := net.Dial("tcp", g.behind)
	if err != nil {
		_ = conn.Close()
		return
	}
	go func() { _, _ = io.Copy(backend, conn); _ = backend.Close() }()
	go func() { _, _ = io.Copy(conn, backend); _ = conn.Close() }()
}

// mend ends the trouble, also of those who are in it.
func (g *gate) mend() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.trouble = nil
	for _, conn := range g.held {
		_ = conn.Close()
	}
}

// troubles are how a server can fail that is reached.
var troubles = map[string]func(net.Conn){
	"HangsUp": func(conn net.Conn) { _ = conn.Close() },
	"Silent":  func(net.Conn) {},
	"Rubbish": func(conn net.Conn) {
		_, _ = conn.Write([]byte("\x00\xff 999 <html>what?\r\n\r\n\r\n"))
		_ = conn.Close()
	},
}

// TestMailTrouble has more mails to send than are sent at once, and an SMTP server that does not take
// them. All else goes on meanwhile, and they are sent when it does.
func TestMailTrouble(t *testing.T) {
	t.Parallel()
	for name, trouble := range troubles {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			letters, settings := receive(t)
			behind := strings.TrimSuffix(strings.TrimPrefix(settings[0], "STUDIO_SMTP_URL=smtp://"), "?tls=none")
			gate := newGate(t, behind, trouble)
			settings[0] = strings.Replace(settings[0], behind, gate.address, 1)
			address := newFile(t)
			s := serve(t, address, settings...)
			owner, organizationID := s.signUp("owner")
			org := map[string]any{"org": organizationID}
			for i := range 8 {
				s.do(owner, inviteUser, map[string]any{"org": organizationID, "email": fmt.Sprintf("guest-%d@example.com", i)})
			}
			gate.waitFor(s, 4)
			s.freeInstance(owner, organizationID)
			database := dbtest.Open(t, address)
			if name != "Silent" {
				gate.waitFor(s, 18) // two for each
			}
			for _, row := range dbtest.Query(t, database, "SELECT attempts FROM jobs") {
				if attempts := row[0].(int64); attempts > 4 {
					t.Errorf("a mail was tried %d times already", attempts)
				}
			}
			const deliveries = `query($org: ID!) { organization(id: $org) { users(search: "guest-") { nodes { invitationDelivery } } } }`
			if got := s.do(owner, deliveries, org).Get(`organization.users.nodes.#(invitationDelivery=="QUEUED")#`).Array(); len(got) != 8 {
				t.Errorf("%d mails are still to be sent, want 8", len(got))
			}
			gate.mend()
			s.eventually("all mails to be sent", func() bool { return len(dbtest.Query(t, database, "SELECT id FROM jobs")) == 0 })
			if got := s.do(owner, deliveries, org).Get(`organization.users.nodes.#(invitationDelivery=="SENT")#`).Array(); len(got) != 8 {
				t.Errorf("%d mails are known as sent, want 8", len(got))
			}
			for i := range 8 {
				if mails := letters.of(fmt.Sprintf("guest-%d@example.com", i)); len(mails) != 1 {
					t.Errorf("%d mails to guest %d have arrived", len(mails), i)
				}
			}
		})
	}
}

// freeInstance creates an instance that costs nothing, and waits until it runs.
func (s *server) freeInstance(token, organizationID string) {
	s.Helper()
	id := s.do(token, `mutation($org: ID!) { createInstance(input: {
		organizationId: $org, name: "free", region: "us-east-1", computePlanId: "cloud-1gb", storageGb: 10
	}) { instance { id } } }`, map[string]any{"org": organizationID}).Get("createInstance.instance.id").String()
	s.eventually("the instance to run", func() bool {
		return s.do(token, `query($id: ID!) { node(id: $id) { ... on Instance { status } } }`, map[string]any{"id": id}).Get("node.status").String() == "ACTIVE"
	})
}

// waitFor waits until that many connections met trouble.
func (g *gate) waitFor(s *server, count int) {
	s.Helper()
	s.eventually("the server to meet trouble", func() bool {
		g.mu.Lock()
		defer g.mu.Unlock()
		return g.met >= count
	})
}

// TestStripeTrouble asks for what needs Stripe while it does not answer as it should. All else goes on
// meanwhile, and afterwards both sides agree; see also package billing, where the wire is cut at each call.
func TestStripeTrouble(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]http.HandlerFunc{
		"HangsUp": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"Failing": func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, `{"error": {"type": "api_error"}}`, http.StatusInternalServerError)
		},
		"Rubbish": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>It works!</html>") },
		"TooMany": func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, `{"error": {"type": "rate_limit_error"}}`, http.StatusTooManyRequests)
		},
		"Silent": nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCustomer(t, dbtest.SQLite)
			silence := make(chan struct{})
			if answer == nil {
				answer = func(http.ResponseWriter, *http.Request) { <-silence; panic(http.ErrAbortHandler) }
			}
			speak := sync.OnceFunc(func() { close(silence) })
			t.Cleanup(speak)
			for _, step := range steps[:4] { // a card, credit, and an instance
				c.do(step)
			}
			met := make(chan struct{}, 1000)
			c.stripe.setTrouble(func(w http.ResponseWriter, r *http.Request) {
				select {
				case met <- struct{}{}:
				default:
				}
				answer(w, r)
			})
			var asking sync.WaitGroup
			for _, step := range steps[4:7] { // another instance, a coupon, and more of the first
				asking.Go(func() {
					answer := step.ask(c)
					if code := answer.Get("errors.0.extensions.code"); code.Exists() && code.String() != "UNAVAILABLE" && code.String() != "CONFLICT" {
						t.Errorf("%s is answered with %s", step.name, answer.Raw)
					}
				})
			}
			<-met
			s := c.server
			s.do(c.token, inviteUser, map[string]any{"org": c.organizationID, "email": "guest@example.com"})
			s.mailedToken("/invitations/", s)
			s.freeInstance(c.token, c.organizationID)
			c.stripe.setTrouble(nil)
			speak()
			asking.Wait()
			for _, step := range steps[4:7] {
				if c.settle(); !step.have(c.look()) {
					c.do(step)
				}
			}
			c.wantAgreement()
		})
	}
}
