package main

// Three servers over one PostgreSQL behind nginx, with the configuration that deploy/ has: they are
// restarted one after the other while they are used, and nobody may notice.

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/tidwall/gjson"

	"studio/db"
	"studio/db/dbtest"
)

// proxied starts nginx in front of servers, with deploy/nginx.conf but for the addresses. The server
// that it returns is the proxy: what clients see.
func proxied(t *testing.T, upstream []string) *server {
	t.Helper()
	program, err := exec.LookPath("nginx")
	if err != nil {
		program, err = exec.LookPath("/usr/sbin/nginx") // not in everybody's path
	}
	if err != nil {
		t.Fatal("nginx is missing; run the tests with `make test`, which installs it")
	}
	shipped, err := os.ReadFile("deploy/nginx.conf")
	if err != nil {
		t.Fatal(err)
	}
	address := freeAddress(t)
	config := string(shipped)
	replace := func(pattern, with string) {
		found := regexp.MustCompile(pattern).FindAllString(config, -1)
		if len(found) == 0 {
			t.Fatalf("deploy/nginx.conf has no %s", pattern)
		}
		config = strings.Replace(config, found[0], with, 1)
	}
	var servers strings.Builder
	for _, server := range upstream {
		fmt.Fprintf(&servers, "server %s max_fails=1 fail_timeout=1s;\n", server)
	}
	replace(`(?s)server studio-1:8080 (.*?;\n\s*server studio-\d:8080 .*?;\n)+`, servers.String())
	replace(`listen 80;`, "listen "+address+";")

	dir := t.TempDir()
	main := "daemon off;\nworker_processes 2;\npid nginx.pid;\nerror_log stderr warn;\nevents {}\nhttp {\naccess_log off;\n"
	if os.Geteuid() == 0 {
		main = "user root;\n" + main // the directory is closed to others
	}
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		main += kind + "_temp_path " + kind + ";\n"
	}
	if err := os.WriteFile(filepath.Join(dir, "nginx.conf"), []byte(main+config+"}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	// Its workers would survive a SIGKILL.
	s := start(t, address, exec.Command(program, "-p", dir, "-c", "nginx.conf"), syscall.SIGTERM)
	s.ready()
	return s
}

// cluster is three servers and the proxy.
type cluster struct {
	*server
	database string
	settings []string
	replicas []*server
	mails    chan string
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	office := &postOffice{mails: make(chan string, 100_000)}
	c := &cluster{database: emptyDatabases["postgres"](t), mails: office.mails}
	c.settings = append(office.open(t), "STUDIO_DATABASE_URL="+c.database,
		"STUDIO_TRUSTED_PROXIES=127.0.0.1", "STUDIO_SHUTDOWN_DELAY=3s")
	var addresses []string
	for range 3 {
		addresses = append(addresses, freeAddress(t))
	}
	for _, address := range addresses { // at once, with a database that is empty
		c.replicas = append(c.replicas, launchAt(t, address, c.settings...))
	}
	for _, replica := range c.replicas {
		replica.ready()
	}
	c.server = proxied(t, addresses)
	return c
}

// restart ends a server as a rollout does, and starts it anew.
func (c *cluster) restart(i int) {
	c.Helper()
	old := c.replicas[i]
	if code := old.terminate(); code != 0 {
		c.Errorf("a replica ended with %d", code)
	}
	c.replicas[i] = launchAt(c.T, strings.TrimPrefix(old.url, "http://"), c.settings...)
	c.replicas[i].ready()
}

// use is what clients do and note while the servers are restarted.
type use struct {
	*cluster
	token, organizationID string
	stop                  chan struct{}
	clients, followers    sync.WaitGroup

	mu       sync.Mutex
	done     int
	invited  []string
	failures []string
}

func (u *use) failed(format string, args ...any) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.failures = append(u.failures, fmt.Sprintf(format, args...))
}

// count is how much has been done.
func (u *use) count() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.done
}

// client keeps doing something, with connections of its own, until the use is over.
func (u *use) client(work func(client *http.Client, i int) error) {
	client := &http.Client{Transport: &http.Transport{}}
	u.clients.Go(func() {
		pace := time.NewTicker(10 * time.Millisecond)
		defer pace.Stop()
		for i := 0; ; i++ {
			select {
			case <-u.stop:
				return
			case <-pace.C:
			}
			if err := work(client, i); err != nil {
				u.failed("%v", err)
			}
			u.mu.Lock()
			u.done++
			u.mu.Unlock()
		}
	})
}

// ask sends a request and expects data without errors.
func (u *use) ask(client *http.Client, request *http.Request) error {
	request.Header.Set("Authorization", "Bearer "+u.token)
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK || gjson.GetBytes(text, "errors").Exists() || !gjson.GetBytes(text, "data").Exists() {
		return fmt.Errorf("%d %s", response.StatusCode, text)
	}
	return nil
}

// post makes the request for an operation.
func (u *use) post(query string, variables map[string]any) *http.Request {
	body, _ := json.Marshal(map[string]any{"query": query, "variables": variables})
	request, _ := http.NewRequest(http.MethodPost, u.url+"/graphql", bytes.NewReader(body))
	request.Header.Set("Content-Type", "application/json")
	return request
}

// invite is a client that invites one after the other.
func (u *use) invite(name string) {
	u.client(func(client *http.Client, i int) error {
		email := fmt.Sprintf("%s-%d@example.com", name, i)
		err := u.ask(client, u.post(inviteUser, map[string]any{"org": u.organizationID, "email": email}))
		if err == nil {
			u.mu.Lock()
			u.invited = append(u.invited, email)
			u.mu.Unlock()
		}
		return err
	})
}

// feed is a subscriber who resumes whenever the stream ends.
type feed struct {
	mu          sync.Mutex
	ids         []string
	cursor      string
	connections int
}

func (f *feed) take(event gjson.Result) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ids, f.cursor = append(f.ids, event.Get("id").String()), event.Get("cursor").String()
}

func (f *feed) seen() (ids []string, connections int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.ids), f.connections
}

const eventsAfter = `subscription($org: ID!, $after: String) { organizationEvents(organizationId: $org, after: $after) { id cursor } }`

// follow keeps a stream open until ctx is done. Connect returns when a stream has ended.
func (u *use) follow(ctx context.Context, cursor string, connect func(ctx context.Context, f *feed, variables map[string]any) error) *feed {
	f := &feed{cursor: cursor}
	u.followers.Go(func() {
		for ctx.Err() == nil {
			f.mu.Lock()
			f.connections++
			variables := map[string]any{"org": u.organizationID, "after": f.cursor}
			f.mu.Unlock()
			if err := connect(ctx, f, variables); err != nil && ctx.Err() == nil {
				u.failed("a stream: %v", err)
			}
		}
	})
	return f
}

// overSSE is one stream of server-sent events.
func (u *use) overSSE(ctx context.Context, f *feed, variables map[string]any) error {
	request := u.post(eventsAfter, variables).WithContext(ctx)
	request.Header.Set("Accept", "text/event-stream")
	request.Header.Set("Authorization", "Bearer "+u.token)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("the stream is answered with %d", response.StatusCode)
	}
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		data, _ := strings.CutPrefix(lines.Text(), "data: ")
		if event := gjson.Get(data, "data.organizationEvents"); event.Exists() {
			f.take(event)
		} else if code := gjson.Get(data, "errors.0.extensions.code").String(); code != "" && code != "UNAVAILABLE" {
			return fmt.Errorf("the stream tells %s", data)
		}
	}
	return nil
}

// overWebSocket is one stream over a WebSocket.
func (u *use) overWebSocket(ctx context.Context, f *feed, variables map[string]any) error {
	socket, _, err := websocket.Dial(ctx, u.url+"/graphql", &websocket.DialOptions{Subprotocols: []string{"graphql-transport-ws"}})
	if err != nil {
		return err
	}
	defer func() { _ = socket.CloseNow() }()
	for _, message := range []map[string]any{
		{"type": "connection_init", "payload": map[string]any{"Authorization": "Bearer " + u.token}},
		{"type": "subscribe", "id": "1", "payload": map[string]any{"query": eventsAfter, "variables": variables}},
	} {
		text, _ := json.Marshal(message)
		if err := socket.Write(ctx, websocket.MessageText, text); err != nil {
			return err
		}
	}
	for {
		_, message, err := socket.Read(ctx)
		if websocket.CloseStatus(err) == websocket.StatusGoingAway {
			return nil
		}
		if err != nil {
			return err
		}
		if event := gjson.GetBytes(message, "payload.data.organizationEvents"); event.Exists() {
			f.take(event)
		}
	}
}

func TestReplicas(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	database := dbtest.Open(t, c.database)
	t.Run("MigratedOnce", func(t *testing.T) {
		var steps, versions int
		if err := database.Pool().QueryRowContext(t.Context(), "SELECT count(*), count(DISTINCT version_id) FROM goose_db_version WHERE version_id > 0").
			Scan(&steps, &versions); err != nil || steps == 0 || steps != versions {
			t.Errorf("%d migrations were applied in %d steps, %v", versions, steps, err)
		}
	})
	t.Run("ForwardedFor", c.forwardedFor)
	t.Run("RollingRestart", func(t *testing.T) { c.rollingRestart(t, database) })
}

// forwardedFor shows that a client's word for its address counts neither through the proxy nor past it.
func (c *cluster) forwardedFor(t *testing.T) {
	token, _ := c.signUp("forger")
	address := func(server *server, from string) string {
		dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
		client := &http.Client{Transport: &http.Transport{DialContext: dialer.DialContext}}
		u := &use{cluster: c, token: token}
		request := u.post(`mutation($password: String!) {
			signIn(input: { email: "forger@example.com", password: $password }) { viewer { sessions { current ipAddress } } }
		}`, map[string]any{"password": password})
		request.URL.Host = strings.TrimPrefix(server.url, "http://")
		request.Header.Set("X-Forwarded-For", "203.0.113.9")
		request.Header.Set("X-Real-IP", "203.0.113.9")
		request.Header.Set("Forwarded", "for=203.0.113.9")
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = response.Body.Close() }()
		text, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return gjson.GetBytes(text, "data.signIn.viewer.sessions.#(current==true).ipAddress").String()
	}
	for name, test := range map[string]struct {
		server *server
		from   string
	}{
		"ThroughProxy": {c.server, "127.0.0.5"},
		"PastProxy":    {c.replicas[0], "127.0.0.6"},
	} {
		if got := address(test.server, test.from); got != test.from {
			t.Errorf("%s: a client at %s is taken for %q", name, test.from, got)
		}
	}
}

func (c *cluster) rollingRestart(t *testing.T, database *db.DB) {
	token, organizationID := c.signUp("owner")
	u := &use{cluster: c, token: token, organizationID: organizationID, stop: make(chan struct{})}
	beginning := c.do(token, `query($org: ID!) { organization(id: $org) { events(last: 1) { nodes { cursor } } } }`, map[string]any{"org": organizationID}).
		Get("organization.events.nodes.0.cursor").String()
	following, hangUp := context.WithCancel(t.Context())
	defer hangUp()
	feeds := map[string]*feed{
		"server-sent events": u.follow(following, beginning, u.overSSE),
		"WebSocket":          u.follow(following, beginning, u.overWebSocket),
	}
	const users = `query($org: ID!) { organization(id: $org) { name users(last: 10) { nodes { email } } } }`
	org := map[string]any{"org": organizationID}
	for worker := range 3 {
		u.invite(fmt.Sprintf("guest-%d", worker))
		u.client(func(client *http.Client, _ int) error { return u.ask(client, u.post(users, org)) })
	}
	u.client(func(client *http.Client, _ int) error {
		variables, _ := json.Marshal(org)
		request, err := http.NewRequest(http.MethodGet, c.url+"/graphql?"+url.Values{"query": {users}, "variables": {string(variables)}}.Encode(), nil)
		if err != nil {
			return err
		}
		return u.ask(client, request)
	})
	more := func() {
		target := u.count() + 100
		c.eventually("the clients to go on", func() bool { return u.count() >= target })
	}
	more()
	for i := range c.replicas {
		c.restart(i)
		more()
	}
	close(u.stop)
	u.clients.Wait()

	c.eventually("all mails to be sent", func() bool {
		var left int
		if err := database.Pool().QueryRowContext(t.Context(), "SELECT count(*) FROM jobs").Scan(&left); err != nil {
			t.Fatal(err)
		}
		return left == 0
	})
	events, err := database.EventsAfter(t.Context(), organizationID, 1, 1_000_000) // the first is the beginning
	if err != nil {
		t.Fatal(err)
	}
	var logged []string
	invitations := 0
	for _, event := range events {
		logged = append(logged, event.ID)
		if event.Type == db.UserInvited {
			invitations++
		}
	}
	for name, feed := range feeds {
		c.eventually(name+" to bring the newest event", func() bool {
			ids, _ := feed.seen()
			return slices.Contains(ids, logged[len(logged)-1])
		})
	}
	hangUp()
	u.followers.Wait()

	if len(u.failures) > 0 {
		t.Errorf("of %d requests %d failed:\n%s", u.done, len(u.failures), strings.Join(u.failures[:min(len(u.failures), 10)], "\n"))
	}
	if invitations != len(u.invited) {
		t.Errorf("%d users were invited, %d events tell of it", len(u.invited), invitations)
	}
	for name, feed := range feeds {
		ids, connections := feed.seen()
		if !slices.Equal(ids, logged) {
			t.Errorf("over %s came %d events, the log has %d", name, len(ids), len(logged))
		}
		if connections < 2 {
			t.Errorf("over %s the stream was never resumed", name)
		}
	}
	mailed := map[string]int{}
	to := regexp.MustCompile(`(?m)^To: <(guest-[^>]+)>`)
	for len(c.mails) > 0 {
		if found := to.FindStringSubmatch(<-c.mails); found != nil {
			mailed[found[1]]++
		}
	}
	for _, email := range u.invited {
		if mailed[email] != 1 {
			t.Errorf("%s has %d mails", email, mailed[email])
		}
	}
	t.Logf("%d requests, %d events, %d mails", u.done, len(logged), len(mailed))
}
