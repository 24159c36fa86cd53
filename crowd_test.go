package main

// A crowd of clients who use the program while something happens to it, and note what they were told.
// Afterwards that must be so: each thing with its event once, its mail sent, and no work left over.

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tidwall/gjson"

	"studio/db"
	"studio/db/dbtest"
)

// times is how often something is done that `make soak` does more often.
func times(usual, soaking int) int {
	if os.Getenv("STUDIO_TEST_KILLS") == "all" {
		return soaking
	}
	return usual
}

// letters are the mails that a post office has taken, by who they are to.
type letters struct {
	mu sync.Mutex
	to map[string][]string
}

var recipient = regexp.MustCompile(`(?m)^To: <([^>]+)>`)

// receive opens a post office, and returns the settings that make a server use it.
func receive(t *testing.T) (*letters, []string) {
	t.Helper()
	l := &letters{to: map[string][]string{}}
	office := &postOffice{mails: make(chan string)}
	done := make(chan struct{})
	t.Cleanup(func() { close(done) })
	go func() {
		for {
			select {
			case <-done:
				return
			case mail := <-office.mails:
				if found := recipient.FindStringSubmatch(mail); found != nil {
					l.mu.Lock()
					l.to[found[1]] = append(l.to[found[1]], strings.ReplaceAll(mail, "=\r\n", "")) // lines that were folded
					l.mu.Unlock()
				}
			}
		}
	}()
	return l, office.open(t)
}

// of are the mails to an address.
func (l *letters) of(email string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.to[email])
}

// refusal is the code with which an operation was refused, "LOST" when no answer came.
type refusal string

func (r refusal) Error() string { return string(r) }

const (
	lost        refusal = "LOST"
	unavailable refusal = "UNAVAILABLE"
)

// try sends an operation to a server that may not be there.
func try(client *http.Client, url, token, query string, variables map[string]any) (gjson.Result, error) {
	body, _ := json.Marshal(map[string]any{"query": query, "variables": variables})
	request, err := http.NewRequest(http.MethodPost, url+"/graphql", strings.NewReader(string(body)))
	if err != nil {
		return gjson.Result{}, err
	}
	request.Header = http.Header{"Content-Type": {"application/json"}, "Authorization": {"Bearer " + token}}
	response, err := client.Do(request)
	if err != nil {
		return gjson.Result{}, lost
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return gjson.Result{}, lost
	}
	if code := gjson.GetBytes(text, "errors.0.extensions.code"); code.Exists() {
		return gjson.Result{}, fmt.Errorf("%w: %s", refusal(code.String()), text)
	}
	return gjson.GetBytes(text, "data"), nil
}

// done is something that a client was told has happened.
type done struct {
	kind    db.EventType
	subject string
}

// crowd are clients who use an organization and found others, and note what they were told.
type crowd struct {
	*testing.T
	url, token, organizationID string
	letters                    *letters
	stop                       chan struct{}
	stopping                   sync.Once
	clients                    sync.WaitGroup

	mu           sync.Mutex
	acknowledged []done
	invited      []string
	refusals     map[refusal]int
	failures     []string
}

// told notes what a client was told about its wish, and reports whether it was that it has come true.
func (c *crowd) told(kind db.EventType, subject string, err error) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.refuse(fmt.Sprint(kind), err)
		return false
	}
	c.acknowledged = append(c.acknowledged, done{kind, subject})
	return true
}

// refuse notes a refusal. Whoever hears that there is no answer, or none now, looks and asks again; no
// other is in order.
func (c *crowd) refuse(what string, err error) {
	code, _ := errors.AsType[refusal](err)
	c.refusals[code]++
	if code != lost && code != unavailable {
		c.failures = append(c.failures, fmt.Sprintf("%s: %v", what, err))
	}
}

// look reads what there is.
func (c *crowd) look(client *http.Client) {
	_, err := try(client, c.url, c.token, `query($org: ID!) {
		viewer { user { email } organizations { totalCount } }
		organization(id: $org) { name users(last: 10) { nodes { email } } events(first: 10) { nodes { summary } } }
	}`, map[string]any{"org": c.organizationID})
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.refuse("a query", err)
	}
}

// count is how much was acknowledged.
func (c *crowd) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.acknowledged)
}

// refused is how often a client was refused with a code.
func (c *crowd) refused(code refusal) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.refusals[code]
}

// come lets a number of clients work until the crowd is stopped.
func (c *crowd) come(number int) {
	for worker := range number {
		client := &http.Client{Transport: &http.Transport{}, Timeout: time.Minute}
		c.clients.Go(func() {
			for round := 0; ; round++ {
				select {
				case <-c.stop:
					return
				case <-time.After(5 * time.Millisecond):
				}
				c.invite(client, fmt.Sprintf("guest-%d-%d@example.com", worker, round), round)
				c.found(client, fmt.Sprintf("s%dx%d", worker, round), round)
				c.look(client)
			}
		})
	}
}

// invite invites somebody, who may accept by signing up with the link from the mail, and may be removed.
func (c *crowd) invite(client *http.Client, email string, round int) {
	answer, err := try(client, c.url, c.token, inviteUser, map[string]any{"org": c.organizationID, "email": email})
	id := answer.Get("inviteUser.organizationUser.id").String()
	if !c.told(db.UserInvited, id, err) {
		return
	}
	c.mu.Lock()
	c.invited = append(c.invited, email)
	c.mu.Unlock()
	if round%4 > 0 {
		return
	}
	mails := c.letters.of(email)
	for ; len(mails) == 0; mails = c.letters.of(email) {
		select {
		case <-c.stop:
			return
		case <-time.After(10 * time.Millisecond):
		}
	}
	link := regexp.MustCompile(`/invitations/([\w-]+)`).FindStringSubmatch(mails[0])
	if link == nil {
		c.Errorf("a mail without a link: %s", mails[0])
		return
	}
	_, err = try(client, c.url, "", `mutation($email: String!, $password: String!, $token: String!) {
		signUp(input: { email: $email, password: $password, firstName: "Guest", lastName: "Example", invitationToken: $token }) { token }
	}`, map[string]any{"email": email, "password": password, "token": link[1]})
	if c.told(db.InvitationAccepted, id, err) && round%8 == 0 {
		_, err = try(client, c.url, c.token, `mutation($id: ID!) {
			removeOrganizationUser(input: { organizationUserId: $id, confirm: "DELETE" }) { removedOrganizationUserId }
		}`, map[string]any{"id": id})
		c.told(db.UserRemoved, id, err)
	}
}

// found founds an organization, renames it, and may add a coupon.
func (c *crowd) found(client *http.Client, subdomain string, round int) {
	answer, err := try(client, c.url, c.token, `mutation($subdomain: String!) {
		createOrganization(input: { name: "New", subdomain: $subdomain }) { organization { id } }
	}`, map[string]any{"subdomain": subdomain})
	id := answer.Get("createOrganization.organization.id").String()
	if !c.told(db.OrganizationCreated, id, err) {
		return
	}
	_, err = try(client, c.url, c.token, `mutation($org: ID!) {
		updateOrganization(input: { organizationId: $org, name: "Renamed" }) { organization { id } }
	}`, map[string]any{"org": id})
	c.told(db.OrganizationUpdated, id, err)
	if round%3 == 0 {
		answer, err = try(client, c.url, c.token, `mutation($org: ID!) {
			addCoupon(input: { organizationId: $org, code: "WELCOME50" }) { coupon { id } }
		}`, map[string]any{"org": id})
		c.told(db.CouponAdded, answer.Get("addCoupon.coupon.id").String(), err)
	}
}

// leave ends the crowd's work.
func (c *crowd) leave() {
	c.stopping.Do(func() { close(c.stop) })
	c.clients.Wait()
}

// check compares what the crowd was told with what there is, once all jobs are done.
func (c *crowd) check(database *db.DB) {
	c.Helper()
	count := func(query string) (count int) {
		c.Helper()
		if err := database.Pool().QueryRowContext(c.Context(), query).Scan(&count); err != nil {
			c.Fatal(err)
		}
		return count
	}
	// What was cut off while somebody waited for it is left alone for half a minute, then taken up.
	for deadline := time.Now().Add(2 * time.Minute); count("SELECT count(*) FROM jobs") > 0; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			c.Fatalf("jobs are left over: %v", dbtest.Query(c.T, database, "SELECT * FROM jobs"))
		}
	}
	for _, failure := range c.failures[:min(len(c.failures), 5)] {
		c.Errorf("a client was told %s", failure)
	}

	events := map[done]int{}
	tally := map[db.EventType]int{}
	for _, row := range dbtest.Query(c.T, database, "SELECT id, event_seq FROM organizations") {
		id, head := fmt.Sprint(row[0]), row[1].(int64)
		log, err := database.EventsAfter(c.Context(), id, 0, 1_000_000)
		if err != nil {
			c.Fatal(err)
		}
		if int64(len(log)) != head {
			c.Errorf("%s counts %d events and has %d", id, head, len(log))
		}
		for i, event := range log {
			if event.Seq != int64(i)+1 {
				c.Errorf("event %d of %s has the number %d", i+1, id, event.Seq)
			}
			events[done{event.Type, event.SubjectID}]++
			tally[event.Type]++
		}
	}
	missing := 0
	for _, what := range c.acknowledged {
		if events[what] == 0 {
			missing++
			c.Errorf("%s of %s was acknowledged and is not in the log", what.kind, what.subject)
		}
	}
	for what, count := range events { // nobody here does anything twice
		if count != 1 {
			c.Errorf("%s of %s is %d times in the log", what.kind, what.subject, count)
		}
	}
	for what, pair := range map[string][2]int{
		"organizations":       {count("SELECT count(*) FROM organizations"), tally[db.OrganizationCreated]},
		"renamed":             {count("SELECT count(*) FROM organizations WHERE name = 'Renamed'"), tally[db.OrganizationUpdated]},
		"invited users":       {count("SELECT count(*) FROM memberships WHERE invited_at IS NOT NULL"), tally[db.UserInvited] - tally[db.UserRemoved]},
		"users who accepted":  {count("SELECT count(*) FROM memberships WHERE invited_at IS NOT NULL AND status = 'ACCEPTED'"), tally[db.InvitationAccepted] - tally[db.UserRemoved]},
		"coupons":             {count("SELECT count(*) FROM coupons WHERE granted_at IS NOT NULL"), tally[db.CouponAdded]},
		"reserved coupons":    {count("SELECT count(*) FROM coupons WHERE granted_at IS NULL"), 0},
		"credit":              {count("SELECT coalesce(sum(credit), 0) FROM billing_accounts"), 5000 * tally[db.CouponAdded]},
		"credit at Stripe":    {count("SELECT count(*) FROM sandbox_objects WHERE kind = 'customer_balance_transaction'"), tally[db.CouponAdded]},
		"mails known as sent": {count("SELECT count(*) FROM memberships WHERE status = 'INVITED' AND invitation_delivery <> 'SENT'"), 0},
	} {
		if pair[0] != pair[1] {
			c.Errorf("%s: there are %d, the log tells of %d", what, pair[0], pair[1])
		}
	}
	again := 0
	for _, email := range c.invited {
		mails := len(c.letters.of(email))
		if mails == 0 {
			c.Errorf("%s was invited and has no mail", email)
		}
		again += max(0, mails-1)
	}
	c.Logf("%d acknowledged, %d lost; %v in the log; %d invitations, %d mails more than once",
		len(c.acknowledged), missing, slices.Sorted(maps.Keys(tally)), len(c.invited), again)
}

// newCrowd signs an owner up and lets clients begin.
func newCrowd(s *server, letters *letters) *crowd {
	s.Helper()
	token, organizationID := s.signUp("owner")
	c := &crowd{T: s.T, url: s.url, token: token, organizationID: organizationID, letters: letters, stop: make(chan struct{}), refusals: map[refusal]int{}}
	s.Cleanup(c.leave)
	c.come(4)
	return c
}

// follower follows the events of the crowd's organization over a stream, which is resumed.
type follower struct {
	*use
	*feed
	hangUp func()
}

func (c *crowd) following(s *server) *follower {
	c.Helper()
	beginning := s.do(c.token, `query($org: ID!) { organization(id: $org) { events(last: 1) { nodes { cursor } } } }`, map[string]any{"org": c.organizationID}).
		Get("organization.events.nodes.0.cursor").String()
	f := &follower{use: &use{cluster: &cluster{server: s}, token: c.token, organizationID: c.organizationID}}
	following, hangUp := context.WithCancel(c.Context())
	c.Cleanup(func() { hangUp(); f.followers.Wait() })
	f.hangUp = hangUp
	f.feed = f.follow(following, beginning, func(ctx context.Context, feed *feed, variables map[string]any) error {
		err := f.overSSE(ctx, feed, variables)
		if err != nil && strings.Contains(err.Error(), "answered with 503") {
			err = nil
		}
		time.Sleep(20 * time.Millisecond)
		return err
	})
	return f
}

// check compares what came with the log: all of it, in order, once.
func (f *follower) check(database *db.DB) {
	f.Helper()
	events, err := database.EventsAfter(f.Context(), f.organizationID, 1, 1_000_000) // the first is the beginning
	if err != nil {
		f.Fatal(err)
	}
	var logged []string
	for _, event := range events {
		logged = append(logged, event.ID)
	}
	f.eventually("the stream to bring the newest event", func() bool {
		ids, _ := f.seen()
		return slices.Contains(ids, logged[len(logged)-1])
	})
	f.hangUp()
	f.followers.Wait()
	ids, connections := f.seen()
	if !slices.Equal(ids, logged) {
		f.Errorf("%d events came over the stream, the log has %d", len(ids), len(logged))
	}
	for _, failure := range f.failures {
		f.Error(failure)
	}
	f.Logf("%d events over a stream that was opened %d times", len(ids), connections)
}
