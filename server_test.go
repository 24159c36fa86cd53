package main

// The program as users run it: settings, commands, and processes that start, stop and share a
// database. What the API does is tested in package resolvers.

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/emersion/go-smtp"
	"github.com/tidwall/gjson"

	"studio/db"
	"studio/db/dbtest"
)

// asProgram makes the test binary the program itself, so that the tests run the very code that
// they are compiled with.
const asProgram = "STUDIO_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// patience is how long something may take that happens in another process.
const patience = 2 * time.Minute

// output is what a process has written so far.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(text []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(text)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// command is the program with settings such as "STUDIO_ADDR=…", and none from outside.
func command(t *testing.T, settings []string, arguments ...string) *exec.Cmd {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, arguments...)
	cmd.Dir = t.TempDir()
	cmd.Env = []string{asProgram + "=yes"}
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "STUDIO_") && !strings.HasPrefix(variable, "OTEL_") {
			cmd.Env = append(cmd.Env, variable)
		}
	}
	cmd.Env = append(cmd.Env, settings...)
	return cmd
}

// run runs a command that ends by itself.
func run(t *testing.T, settings []string, arguments ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, problems bytes.Buffer
	cmd := command(t, settings, arguments...)
	cmd.Stdout, cmd.Stderr = &out, &problems
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stuck := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
	defer stuck.Stop()
	_ = cmd.Wait()
	return out.String(), problems.String(), cmd.ProcessState.ExitCode()
}

// mustRun is run for a command that must succeed.
func mustRun(t *testing.T, settings []string, arguments ...string) string {
	t.Helper()
	stdout, stderr, code := run(t, settings, arguments...)
	if code != 0 {
		t.Fatalf("%v ended with %d: %s", arguments, code, stderr)
	}
	return stdout
}

// server is a process that serves.
type server struct {
	*testing.T
	url    string
	cmd    *exec.Cmd
	output *output
	ended  chan struct{}
}

// launch starts a server on a free port, which need not be ready yet.
func launch(t *testing.T, database string, settings ...string) *server {
	t.Helper()
	return launchAt(t, freeAddress(t), append([]string{"STUDIO_DATABASE_URL=" + database}, settings...)...)
}

// launchAt is launch on a given address.
func launchAt(t *testing.T, address string, settings ...string) *server {
	t.Helper()
	cmd := command(t, append([]string{"STUDIO_ADDR=" + address}, settings...), "serve")
	return start(t, address, cmd, syscall.SIGKILL)
}

// start starts a process that serves at an address, until the test ends it with a signal.
func start(t *testing.T, address string, cmd *exec.Cmd, end syscall.Signal) *server {
	t.Helper()
	s := &server{T: t, url: "http://" + address, cmd: cmd, output: &output{}, ended: make(chan struct{})}
	s.cmd.Stdout, s.cmd.Stderr = s.output, s.output
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(s.ended)
		_ = s.cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = s.cmd.Process.Signal(end)
		<-s.ended
		if t.Failed() {
			t.Logf("%s wrote:\n%s", s.url, s.output)
		}
	})
	return s
}

// serve starts a server and waits until it is ready.
func serve(t *testing.T, database string, settings ...string) *server {
	t.Helper()
	s := launch(t, database, settings...)
	s.ready()
	return s
}

func (s *server) ready() {
	s.Helper()
	s.eventually("the server to be ready", func() bool {
		select {
		case <-s.ended:
			s.Fatal("the server has ended")
		default:
		}
		response, err := http.Get(s.url + "/readyz")
		if err != nil {
			return false
		}
		_ = response.Body.Close()
		return response.StatusCode == http.StatusOK
	})
}

// terminate has the server stop and returns its exit code.
func (s *server) terminate() int {
	s.Helper()
	s.stop()
	return s.exitCode()
}

// stop tells the server to stop, as an orchestrator does.
func (s *server) stop() {
	s.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		s.Fatal(err)
	}
}

// exitCode waits for the server's end.
func (s *server) exitCode() int {
	s.Helper()
	select {
	case <-s.ended:
	case <-time.After(patience):
		s.Fatal("the server does not stop")
	}
	return s.cmd.ProcessState.ExitCode()
}

func (s *server) eventually(what string, happened func() bool) {
	s.Helper()
	deadline := time.After(patience)
	for !happened() {
		select {
		case <-deadline:
			s.Fatalf("waited in vain for %s", what)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

var hosts atomic.Uint32

// freeAddress is one that nobody listens on, of a host that is given out once: nobody else takes it before
// the server starts, or while it is down.
func freeAddress(t *testing.T) string {
	t.Helper()
	host := hosts.Add(1)
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", fmt.Sprintf("127.1.%d.%d:0", host>>8, host&0xff))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}

// get fetches a page without following redirects.
func (s *server) get(path string) (status int, header http.Header, body string) {
	s.Helper()
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Get(s.url + path)
	if err != nil {
		s.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		s.Fatal(err)
	}
	return response.StatusCode, response.Header, string(text)
}

// send sends an operation; the caller closes the body.
func (s *server) send(token, accept, query string, variables map[string]any) *http.Response {
	s.Helper()
	body, err := json.Marshal(map[string]any{"query": query, "variables": variables})
	if err != nil {
		s.Fatal(err)
	}
	request, err := http.NewRequestWithContext(s.Context(), http.MethodPost, s.url+"/graphql", bytes.NewReader(body))
	if err != nil {
		s.Fatal(err)
	}
	request.Header = http.Header{"Content-Type": {"application/json"}, "Accept": {accept}, "Authorization": {"Bearer " + token}}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		s.Fatal(err)
	}
	return response
}

// do sends an operation that must succeed, and returns its data.
func (s *server) do(token, query string, variables map[string]any) gjson.Result {
	s.Helper()
	response := s.send(token, "application/json", query, variables)
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		s.Fatal(err)
	}
	if gjson.GetBytes(text, "errors").Exists() {
		s.Fatalf("%s %v failed: %s", query, variables, text)
	}
	return gjson.GetBytes(text, "data")
}

const (
	password   = "correct horse battery"
	whoAmI     = `{ viewer { user { email } organizations { nodes { id name } } } }`
	inviteUser = `mutation($org: ID!, $email: String!) {
		inviteUser(input: { organizationId: $org, email: $email }) { organizationUser { id } }
	}`
)

// signUp makes an account and returns the token of its session, and the ID of its organization.
func (s *server) signUp(name string) (token, organizationID string) {
	s.Helper()
	token = s.do("", `mutation($email: String!, $password: String!, $name: String!) {
		signUp(input: { email: $email, password: $password, firstName: $name, lastName: "Example" }) { token }
	}`, map[string]any{"email": name + "@example.com", "password": password, "name": name}).Get("signUp.token").String()
	return token, s.do(token, whoAmI, nil).Get("viewer.organizations.nodes.0.id").String()
}

// emptyDatabases are databases without tables, by engine.
var emptyDatabases = map[string]func(t *testing.T) string{
	"sqlite": func(t *testing.T) string {
		t.Helper()
		address := newFile(t)
		if err := os.WriteFile(strings.TrimPrefix(address, "sqlite:"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		return address
	},
	"postgres": func(t *testing.T) string {
		t.Helper()
		address := dbtest.Postgres(t)
		if _, err := dbtest.Open(t, address).Pool().ExecContext(t.Context(), "DROP SCHEMA public CASCADE; CREATE SCHEMA public"); err != nil {
			t.Fatal(err)
		}
		return address
	},
}

// newFile is a database that is not there yet.
func newFile(t *testing.T) string {
	t.Helper()
	return "sqlite:" + filepath.Join(t.TempDir(), "studio.db")
}

func TestSettings(t *testing.T) {
	t.Parallel()
	taken, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = taken.Close() })
	const from = "STUDIO_MAIL_FROM=studio@example.com"
	const secret, publishable, signing = "STUDIO_STRIPE_SECRET_KEY=sk_test_s3cret", "STUDIO_STRIPE_PUBLISHABLE_KEY=pk_test_x", "STUDIO_STRIPE_WEBHOOK_SECRET=whsec_s3cret"
	for _, test := range []struct {
		name, variable string
		settings       []string
	}{
		{"AddressWithoutPort", "STUDIO_ADDR", []string{"STUDIO_ADDR=localhost"}},
		{"AddressWithHugePort", "STUDIO_ADDR", []string{"STUDIO_ADDR=127.0.0.1:65536"}},
		{"AddressTaken", "STUDIO_ADDR", []string{"STUDIO_ADDR=" + taken.Addr().String()}},
		{"PublicURLWithoutScheme", "STUDIO_PUBLIC_URL", []string{"STUDIO_PUBLIC_URL=studio.example.com"}},
		{"PublicURLWithOtherScheme", "STUDIO_PUBLIC_URL", []string{"STUDIO_PUBLIC_URL=ftp://studio.example.com"}},
		{"PublicURLWithPassword", "STUDIO_PUBLIC_URL", []string{"STUDIO_PUBLIC_URL=https://user@studio.example.com"}},
		{"PublicURLWithoutHost", "STUDIO_PUBLIC_URL", []string{"STUDIO_PUBLIC_URL=https://:80"}},
		{"PublicURLWithBadName", "STUDIO_PUBLIC_URL", []string{"STUDIO_PUBLIC_URL=https://-ü-.example.com"}},
		{"PublicURLWithZone", "STUDIO_PUBLIC_URL", []string{"STUDIO_PUBLIC_URL=http://[fe80::1%25eth0]"}},
		{"PublicURLWithHugePort", "STUDIO_PUBLIC_URL", []string{"STUDIO_PUBLIC_URL=https://studio.example.com:99999"}},
		{"PublicURLWithPath", "STUDIO_PUBLIC_URL", []string{"STUDIO_PUBLIC_URL=https://example.com/studio"}},
		{"DatabaseOfOtherKind", "STUDIO_DATABASE_URL", []string{"STUDIO_DATABASE_URL=mysql://studio:s3cret@127.0.0.1/studio"}},
		{"DatabaseMalformed", "STUDIO_DATABASE_URL", []string{"STUDIO_DATABASE_URL=postgres://studio:s3cret@127.0.0.1:port/studio"}},
		{"DatabaseUnreachable", "STUDIO_DATABASE_URL", []string{"STUDIO_DATABASE_URL=postgres://studio:s3cret@" + freeAddress(t) + "/studio"}},
		{"DatabaseFolderMissing", "STUDIO_DATABASE_URL: open missing/studio.db", []string{"STUDIO_DATABASE_URL=sqlite:missing/studio.db"}},
		{"DatabaseIsFolder", "STUDIO_DATABASE_URL: open .", []string{"STUDIO_DATABASE_URL=sqlite:."}},
		{"SMTPOfOtherKind", "STUDIO_SMTP_URL", []string{"STUDIO_SMTP_URL=http://studio:s3cret@127.0.0.1", from}},
		{"SMTPMalformed", "STUDIO_SMTP_URL", []string{"STUDIO_SMTP_URL=smtp://studio:s3cret@127.0.0.1:port", from}},
		{"SMTPPasswordInTheClear", "STUDIO_SMTP_URL", []string{"STUDIO_SMTP_URL=smtp://studio:s3cret@127.0.0.1?tls=none", from}},
		{"SMTPWithoutFrom", "STUDIO_MAIL_FROM", []string{"STUDIO_SMTP_URL=smtp://127.0.0.1"}},
		{"MailFromMalformed", "STUDIO_MAIL_FROM", []string{"STUDIO_SMTP_URL=smtp://127.0.0.1", "STUDIO_MAIL_FROM=studio"}},
		{"CORSAnybody", "STUDIO_CORS_ORIGINS", []string{"STUDIO_CORS_ORIGINS=*"}},
		{"CORSWithPath", "STUDIO_CORS_ORIGINS", []string{"STUDIO_CORS_ORIGINS=https://app.example.com,https://app.example.com/path"}},
		{"CORSWithQuery", "STUDIO_CORS_ORIGINS", []string{"STUDIO_CORS_ORIGINS=https://app.example.com?"}},
		{"RateLimitNegative", "STUDIO_RATE_LIMIT", []string{"STUDIO_RATE_LIMIT=-1"}},
		{"RateLimitOfOtherKind", "STUDIO_RATE_LIMIT", []string{"STUDIO_RATE_LIMIT=10/s"}},
		{"ShutdownDelayMalformed", "STUDIO_SHUTDOWN_DELAY", []string{"STUDIO_SHUTDOWN_DELAY=5"}},
		{"ShutdownDelayNegative", "STUDIO_SHUTDOWN_DELAY", []string{"STUDIO_SHUTDOWN_DELAY=-1s"}},
		{"RateLimitHuge", "STUDIO_RATE_LIMIT", []string{"STUDIO_RATE_LIMIT=1000001"}},
		{"TracesOfOtherKind", "OTEL_…", []string{"OTEL_TRACES_EXPORTER=pigeon"}},
		{"StripeKeyMalformed", "STUDIO_STRIPE_SECRET_KEY", []string{"STUDIO_STRIPE_SECRET_KEY=s3cret", publishable, signing}},
		{"StripeKeyMissing", "STUDIO_STRIPE_PUBLISHABLE_KEY", []string{publishable, signing}},
		{"StripePublishableKeyMissing", "STUDIO_STRIPE_PUBLISHABLE_KEY", []string{secret, signing}},
		{"StripeWebhookSecretMalformed", "STUDIO_STRIPE_WEBHOOK_SECRET", []string{secret, publishable, "STUDIO_STRIPE_WEBHOOK_SECRET=s3cret"}},
		{"StripeURLMalformed", "STUDIO_STRIPE_API_URL", []string{secret, publishable, signing, "STUDIO_STRIPE_API_URL=127.0.0.1"}},
		{"WebhookKeyMalformed", "STUDIO_WEBHOOK_KEY", []string{"STUDIO_WEBHOOK_KEY=s3cret"}},
		{"WebhookKeyShort", "STUDIO_WEBHOOK_KEY", []string{"STUDIO_WEBHOOK_KEY=czNjcmV0"}},
		{"WebhookNetworksMalformed", "STUDIO_WEBHOOK_NETWORKS", []string{"STUDIO_WEBHOOK_NETWORKS=127.0.0.0/8,localhost"}},
		{"StripeURLWithoutKey", "STUDIO_STRIPE_API_URL", []string{"STUDIO_STRIPE_API_URL=http://127.0.0.1"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			// A server that starts all the same must not fail for another reason.
			settings := append([]string{"STUDIO_ADDR=127.0.0.1:0"}, test.settings...)
			_, stderr, code := run(t, settings, "serve")
			lines := strings.Split(strings.TrimSpace(stderr), "\n")
			if code <= 0 || len(lines) != 1 || !strings.Contains(lines[0], test.variable+": ") {
				t.Errorf("ended with %d and wrote\n%s\nwant one line about %s", code, stderr, test.variable)
			}
			if strings.Contains(stderr, "s3cret") {
				t.Errorf("told a secret: %s", stderr)
			}
		})
	}
}

// TestOrigins sets origins as people may write them, and sends them as browsers do.
func TestOrigins(t *testing.T) {
	t.Parallel()
	s := serve(t, newFile(t), "STUDIO_PUBLIC_URL=https://Studio.Example.com:443/",
		"STUDIO_CORS_ORIGINS=HTTP://App.example.com:80,https://[2001:DB8::1]:443,https://app.example.com:,http://localhost:5173,"+
			"https://BÜRO.example.com,https://b%C3%BCcher.example,http://[2001:db8:0:0::2]:8080,http://my_host")
	for origin, allowed := range map[string]bool{
		"https://studio.example.com":      true,
		"http://app.example.com":          true,
		"https://[2001:db8::1]":           true,
		"https://app.example.com":         true,
		"http://localhost:5173":           true,
		"https://xn--bro-hoa.example.com": true,
		"https://xn--bcher-kva.example":   true,
		"http://[2001:db8::2]:8080":       true,
		"http://my_host":                  true,
		"http://localhost":                false,
		"http://studio.example.com":       false,
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodOptions, s.url+"/graphql", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header = http.Header{"Origin": {origin}, "Access-Control-Request-Method": {"POST"}}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if got := response.Header.Get("Access-Control-Allow-Origin") == origin; got != allowed {
			t.Errorf("%s is allowed: %t, want %t", origin, got, allowed)
		}
	}
}

func TestHelp(t *testing.T) {
	t.Parallel()
	for arguments, want := range map[string]string{
		"":               "migrate up",
		"serve":          "STUDIO_SMTP_URL",
		"migrate":        "status",
		"migrate up":     "STUDIO_DATABASE_URL",
		"migrate down":   "STUDIO_DATABASE_URL",
		"migrate status": "STUDIO_DATABASE_URL",
		"backup":         "STUDIO_DATABASE_URL",
		"seed":           "STUDIO_DATABASE_URL",
		"version":        "Print the version",
	} {
		t.Run(strings.ReplaceAll("studio "+arguments, " ", "_"), func(t *testing.T) {
			t.Parallel()
			if help := mustRun(t, nil, append(strings.Fields(arguments), "--help")...); !strings.Contains(help, want) {
				t.Errorf("the help does not mention %s:\n%s", want, help)
			}
		})
	}
	t.Run("Version", func(t *testing.T) {
		t.Parallel()
		if got := mustRun(t, nil, "version"); got != version+"\n" {
			t.Errorf("got the version %q, want %q", got, version)
		}
	})
}

func TestServe(t *testing.T) {
	t.Parallel()
	t.Run("Pages", func(t *testing.T) {
		t.Parallel()
		s := serve(t, newFile(t))
		for _, test := range []struct {
			path   string
			status int
			want   string
		}{
			{"/livez", 200, "ok"},
			{"/readyz", 200, "ok"},
			{"/metrics", 200, "studio_streams 0"},
			{"/dev/mailbox", 200, "<html"},
			// Built or not, there is a page.
			{"/", 200, "Studio"},
			{"/playground", 200, "Studio"},
			{"/invitations/abc-DEF_1", 200, "Studio"},
			{"/unknown.php", 404, "not found"},
			{"/dev/unknown", 404, "not found"},
			{"/graphql/unknown", 404, "not found"},
			{"/webhooks/unknown", 404, "not found"},
		} {
			status, _, body := s.get(test.path)
			if status != test.status || !strings.Contains(body, test.want) {
				t.Errorf("%s is %d and %q, want %d and %q in it", test.path, status, body, test.status, test.want)
			}
		}
		if strings.Contains(s.output.String(), "abc-DEF_1") {
			t.Errorf("the log holds the token of a link:\n%s", s.output)
		}
	})
	t.Run("Restart", func(t *testing.T) {
		t.Parallel()
		database := newFile(t)
		s := serve(t, database)
		token, _ := s.signUp("owner")
		mailed := s.mailedToken("/verify-email/", s)
		s.do(token, `mutation($token: String!) { verifyEmail(input: { token: $token }) { user { id } } }`, map[string]any{"token": mailed})
		if code := s.terminate(); code != 0 {
			t.Errorf("ended with %d", code)
		}
		for name, secret := range map[string]string{"session token": token, "mailed token": mailed, "password": password} {
			if strings.Contains(s.output.String(), secret) {
				t.Errorf("the log holds the %s", name)
			}
		}
		again := serve(t, database)
		if got := again.do(token, `{ viewer { emailVerified } }`, nil).Raw; got != `{"viewer":{"emailVerified":true}}` {
			t.Errorf("after a restart: %s", got)
		}
	})
	t.Run("Terminated", func(t *testing.T) {
		t.Parallel()
		s := serve(t, newFile(t))
		token, organizationID := s.signUp("owner")
		const query = `subscription($org: ID!) { organizationEvents(organizationId: $org) { id } }`
		socket := s.socket(token, query, map[string]any{"org": organizationID})
		stream := s.follow(token, query, map[string]any{"org": organizationID})
		s.eventually("the streams to be open", func() bool {
			_, _, body := s.get("/metrics")
			return strings.Contains(body, "studio_streams 2")
		})
		if code := s.terminate(); code != 0 {
			t.Errorf("ended with %d", code)
		}
		// Whatever is sent before the close would tell the subscriber that the stream is over.
		if _, message, err := socket.Read(t.Context()); websocket.CloseStatus(err) != websocket.StatusGoingAway {
			t.Errorf("got %s, %v instead of a close with 1001", message, err)
		}
		if end := s.next(stream); end.Get("errors.0.extensions.code").String() != "UNAVAILABLE" {
			t.Errorf("the stream of events ended with %s", end)
		}
	})
	t.Run("TerminatedWhileChanging", func(t *testing.T) {
		t.Parallel()
		database := newFile(t)
		s := serve(t, database)
		token, organizationID := s.signUp("owner")
		other, err := dbtest.Open(t, database).Pool().Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = other.Close() }()
		if _, err := other.ExecContext(t.Context(), "BEGIN IMMEDIATE"); err != nil { // nobody else can write
			t.Fatal(err)
		}
		answers := s.follow(token, `mutation($org: ID!) { updateOrganization(input: { organizationId: $org, name: "New" }) { organization { name } } }`,
			map[string]any{"org": organizationID})
		s.stop()
		s.eventually("the server to take no more requests", func() bool {
			conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
			if err == nil {
				_ = conn.Close()
			}
			return err != nil
		})
		if _, err := other.ExecContext(t.Context(), "ROLLBACK"); err != nil {
			t.Fatal(err)
		}
		if answer := s.next(answers); answer.Get("data.updateOrganization.organization.name").String() != "New" {
			t.Errorf("the change was answered %s", answer)
		}
		if code := s.exitCode(); code != 0 {
			t.Errorf("ended with %d", code)
		}
	})
	t.Run("UnexpectedError", func(t *testing.T) {
		t.Parallel()
		database := newFile(t)
		s := serve(t, database)
		token, _ := s.signUp("owner")
		if _, err := dbtest.Open(t, database).Pool().ExecContext(t.Context(), "DROP TABLE api_tokens"); err != nil {
			t.Fatal(err)
		}
		response := s.send(token, "application/json", `{ viewer { apiTokens { id } } }`, nil)
		defer func() { _ = response.Body.Close() }()
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		id := response.Header.Get("X-Request-Id")
		told := gjson.GetBytes(body, "errors.0.message").String()
		if id == "" || !strings.Contains(told, id) || strings.Contains(told, "api_tokens") {
			t.Errorf("request %q was told %s", id, body)
		}
		s.eventually("the cause in the log", func() bool {
			for line := range strings.Lines(s.output.String()) {
				if strings.Contains(line, id) && strings.Contains(line, "no such table") {
					return true
				}
			}
			return false
		})
	})
}

// socket opens a WebSocket with a subscription.
func (s *server) socket(token, query string, variables map[string]any) *websocket.Conn {
	s.Helper()
	socket, response, err := websocket.Dial(s.Context(), s.url+"/graphql", &websocket.DialOptions{Subprotocols: []string{"graphql-transport-ws"}})
	if err != nil {
		s.Fatalf("%v: %v", response, err)
	}
	s.Cleanup(func() { _ = socket.CloseNow() })
	for _, message := range []map[string]any{
		{"type": "connection_init", "payload": map[string]any{"Authorization": "Bearer " + token}},
		{"type": "subscribe", "id": "1", "payload": map[string]any{"query": query, "variables": variables}},
	} {
		text, err := json.Marshal(message)
		if err != nil {
			s.Fatal(err)
		}
		if err := socket.Write(s.Context(), websocket.MessageText, text); err != nil {
			s.Fatal(err)
		}
	}
	if _, message, err := socket.Read(s.Context()); gjson.GetBytes(message, "type").String() != "connection_ack" {
		s.Fatalf("got %s, %v", message, err)
	}
	return socket
}

// mailedToken waits for a mail with a link of a kind in the mailbox of any of the servers, since
// each shows those that it sent itself.
func (s *server) mailedToken(kind string, servers ...*server) (token string) {
	s.Helper()
	link := regexp.MustCompile(regexp.QuoteMeta(kind) + `([\w-]+)`)
	s.eventually("a mail with a link to "+kind, func() bool {
		for _, sender := range servers {
			_, _, mails := sender.get("/dev/mailbox.json")
			for _, mail := range gjson.Get(mails, "#.text").Array() {
				if found := link.FindStringSubmatch(mail.String()); found != nil {
					token = found[1]
				}
			}
		}
		return token != ""
	})
	return token
}

// follow opens a stream of server-sent events and returns the answers.
func (s *server) follow(token, query string, variables map[string]any) <-chan gjson.Result {
	s.Helper()
	response := s.send(token, "text/event-stream", query, variables)
	answers := make(chan gjson.Result, 10)
	go func() {
		defer close(answers)
		defer func() { _ = response.Body.Close() }()
		for lines := bufio.NewScanner(response.Body); lines.Scan(); {
			if data, found := strings.CutPrefix(lines.Text(), "data: "); found {
				answers <- gjson.Parse(data)
			}
		}
	}()
	return answers
}

// next waits for the next answer of a stream.
func (s *server) next(answers <-chan gjson.Result) gjson.Result {
	s.Helper()
	select {
	case answer := <-answers:
		return answer
	case <-time.After(patience):
		s.Fatal("nothing came")
		return gjson.Result{}
	}
}

func TestTwoServers(t *testing.T) {
	t.Parallel()
	for name, database := range map[string]func(t *testing.T) string{
		"EmptyDatabase": emptyDatabases["postgres"], "MigratedDatabase": dbtest.Postgres,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address := database(t)
			here, there := launch(t, address), launch(t, address)
			here.ready()
			there.ready()

			owner, organizationID := here.signUp("owner")
			if got := there.do(owner, whoAmI, nil).Get("viewer.user.email").String(); got != "owner@example.com" {
				t.Errorf("a session of one server is %q's on the other", got)
			}

			accepted := here.follow(owner, `subscription($org: ID!) {
				invitationAccepted(organizationId: $org) { user { email } }
			}`, map[string]any{"org": organizationID})
			here.eventually("the stream to be open", func() bool {
				_, _, body := here.get("/metrics")
				return strings.Contains(body, "studio_streams 1")
			})
			guest, _ := there.signUp("guest")
			there.do(owner, inviteUser, map[string]any{"org": organizationID, "email": "guest@example.com"})
			token := here.mailedToken("/invitations/", here, there)
			there.do(guest, `mutation($token: String!) { acceptInvitation(input: { token: $token }) { organizationUser { id } } }`,
				map[string]any{"token": token})
			if got := here.next(accepted).Get("data.invitationAccepted.user.email").String(); got != "guest@example.com" {
				t.Errorf("%q accepted", got)
			}

			there.do(owner, `mutation { signOut { signedOut } }`, nil)
			if end := here.next(accepted); end.Get("errors.0.extensions.code").String() != "UNAUTHENTICATED" {
				t.Errorf("signed out elsewhere, got %s", end)
			}
		})
	}
}

// TestSecondServer starts a server once more by mistake, which must not have jobs done twice.
func TestSecondServer(t *testing.T) {
	t.Parallel()
	address := newFile(t)
	s := serve(t, address)
	database := dbtest.Open(t, address)
	claim := func() int {
		jobs, err := database.ClaimJobs(t.Context(), []string{"long"}, []string{"long"}, database.Now(), time.Hour, 1)
		if err != nil {
			t.Fatal(err)
		}
		return len(jobs)
	}
	if err := database.InsertJob(t.Context(), &db.Job{ID: "job_1", Kind: "long", RunAt: database.Now(), CreatedAt: database.Now()}); err != nil {
		t.Fatal(err)
	}
	if claim() != 1 {
		t.Fatal("the job cannot be claimed")
	}
	settings := []string{"STUDIO_DATABASE_URL=" + address, "STUDIO_ADDR=" + strings.TrimPrefix(s.url, "http://")}
	if _, stderr, code := run(t, settings, "serve"); code == 0 || !strings.Contains(stderr, "STUDIO_ADDR: ") {
		t.Errorf("the second server ended with %d and %s", code, stderr)
	}
	if claim() > 0 {
		t.Error("it took away a job that the first was doing")
	}
}

// postOffice is an SMTP server that takes mails, or refuses them with an error.
type postOffice struct {
	refusal error
	mails   chan string
}

func (o *postOffice) NewSession(*smtp.Conn) (smtp.Session, error) { return o, nil }
func (o *postOffice) Mail(string, *smtp.MailOptions) error        { return nil }
func (o *postOffice) Rcpt(_ string, _ *smtp.RcptOptions) error    { return o.refusal }
func (o *postOffice) Reset()                                      {}
func (o *postOffice) Logout() error                               { return nil }
func (o *postOffice) Data(content io.Reader) error {
	text, err := io.ReadAll(content)
	o.mails <- string(text)
	return err
}

// open makes the post office receive, and returns the setting that makes a server use it.
func (o *postOffice) open(t *testing.T) []string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	office := smtp.NewServer(o)
	go func() { _ = office.Serve(listener) }()
	t.Cleanup(func() { _ = office.Close() })
	return []string{"STUDIO_SMTP_URL=smtp://" + listener.Addr().String() + "?tls=none", "STUDIO_MAIL_FROM=Studio <studio@example.com>"}
}

// TestBodyMissing announces a body that never comes, where nobody reads it.
func TestBodyMissing(t *testing.T) {
	t.Parallel()
	served := httptest.NewServer(arriving(50*time.Millisecond, http.NotFoundHandler()))
	t.Cleanup(served.Close)
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", served.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(conn) // to the end of the connection
	if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 404") {
		t.Errorf("got %q and %v", answer, err)
	}
}

func TestMail(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name     string
		refusal  error
		delivery string
	}{
		{"Taken", nil, "SENT"},
		{"Refused", &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "No such user"}, "FAILED"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			office := &postOffice{refusal: test.refusal, mails: make(chan string, 10)}
			s := serve(t, newFile(t), office.open(t)...)
			owner, organizationID := s.signUp("owner")
			s.do(owner, inviteUser, map[string]any{"org": organizationID, "email": "new@example.com"})
			var delivery string
			s.eventually("the mail to be "+test.delivery, func() bool {
				delivery = s.do(owner, `query($org: ID!) { organization(id: $org) { users(search: "new@") { nodes { invitationDelivery } } } }`,
					map[string]any{"org": organizationID}).Get("organization.users.nodes.0.invitationDelivery").String()
				return delivery != "QUEUED"
			})
			if delivery != test.delivery {
				t.Errorf("the delivery is %s, want %s", delivery, test.delivery)
			}
			found := false
			for len(office.mails) > 0 {
				mail := <-office.mails
				found = found || strings.Contains(mail, "To: <new@example.com>") && strings.Contains(mail, "/invitations/")
			}
			if found != (test.refusal == nil) {
				t.Errorf("the invitation has arrived: %t", found)
			}
			for _, path := range []string{"/dev/mailbox", "/dev/mailbox.json"} {
				if status, _, _ := s.get(path); status != http.StatusNotFound {
					t.Errorf("%s is %d although there is an SMTP server", path, status)
				}
			}
		})
	}
}

// TestSandbox bills without any setting, as the README's session does; with a Stripe account there is
// no sandbox.
func TestSandbox(t *testing.T) {
	t.Parallel()
	t.Run("Month", func(t *testing.T) {
		t.Parallel()
		s := serve(t, newFile(t))
		token, home := s.signUp("owner")
		org := map[string]any{"org": home}
		s.do(token, `mutation($org: ID!) { setCard(input: { organizationId: $org, paymentMethodId: "pm_card_visa" }) { billing { id } } }`, org)
		s.do(token, `mutation($org: ID!) { createInstance(input: {
			organizationId: $org, name: "one", region: "us-east-1", computePlanId: "cloud-2gb", storageGb: 10
		}) { instance { id } } }`, org)
		advance := func(to string) int {
			response, err := http.Post(s.url+"/dev/stripe/advance", "application/json", strings.NewReader(fmt.Sprintf(`{"to": %q}`, to)))
			if err != nil {
				t.Fatal(err)
			}
			_ = response.Body.Close()
			return response.StatusCode
		}
		if status := advance(time.Now().AddDate(0, 0, 32).Format(time.RFC3339)); status != http.StatusOK {
			t.Fatalf("advancing is answered with %d", status)
		}
		if status := advance("2001-01-01T00:00:00Z"); status != http.StatusBadRequest {
			t.Errorf("going back is answered with %d", status)
		}
		bills := s.do(token, `query($org: ID!) { organization(id: $org) { billing { invoices { nodes { status amountPaid { amount } } } } } }`, org)
		const want = `[{"status":"PAID","amountPaid":{"amount":1999}},{"status":"PAID","amountPaid":{"amount":1999}}]`
		if got := bills.Get("organization.billing.invoices.nodes").Raw; got != want {
			t.Errorf("the invoices are %s", got)
		}
	})
	t.Run("WithAccount", func(t *testing.T) {
		t.Parallel()
		s := serve(t, newFile(t), "STUDIO_STRIPE_SECRET_KEY=sk_test_x", "STUDIO_STRIPE_PUBLISHABLE_KEY=pk_test_x",
			"STUDIO_STRIPE_WEBHOOK_SECRET=whsec_x", "STUDIO_STRIPE_API_URL=http://"+freeAddress(t))
		if status, _, _ := s.get("/dev/stripe/advance"); status != http.StatusNotFound {
			t.Errorf("the sandbox's clock is answered with %d", status)
		}
		response, err := http.Post(s.url+"/webhooks/stripe", "application/json", strings.NewReader(`{}`))
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != http.StatusBadRequest {
			t.Errorf("a webhook without a signature is answered with %d", response.StatusCode)
		}
	})
}

func TestMigrate(t *testing.T) {
	t.Parallel()
	for engine, database := range emptyDatabases {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			settings := []string{"STUDIO_DATABASE_URL=" + database(t)}
			changes := strings.Count(mustRun(t, settings, "migrate", "status"), "\n")
			for _, step := range []struct {
				command string
				applied int
			}{{"", 0}, {"up", changes}, {"up", changes}, {"down", changes - 1}, {"", changes - 1}, {"up", changes}, {"down", changes - 1}, {"down", changes - 2}} {
				if step.command != "" {
					mustRun(t, settings, "migrate", step.command)
				}
				told := mustRun(t, settings, "migrate", "status")
				for i, line := range strings.Split(strings.TrimSpace(told), "\n") {
					state := "pending"
					if i < step.applied {
						state = "applied"
					}
					if words := strings.Fields(line); len(words) != 3 || words[0] != fmt.Sprintf("%05d", i+1) || words[1] != state || !strings.HasSuffix(words[2], ".sql") {
						t.Errorf("after %q the status is %q, want %d applied", step.command, told, step.applied)
					}
				}
			}
		})
	}
}

func TestSeed(t *testing.T) {
	t.Parallel()
	for engine, database := range emptyDatabases {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			address := database(t)
			settings := []string{"STUDIO_DATABASE_URL=" + address}
			told := mustRun(t, settings, "seed")
			seeded := regexp.MustCompile(`password of both is (\S+)\n$`).FindStringSubmatch(told)
			if seeded == nil {
				t.Fatalf("seed told %q", told)
			}
			if _, stderr, code := run(t, settings, "seed"); code == 0 || !strings.Contains(stderr, "owner@example.com") {
				t.Errorf("a second time it ended with %d and %s", code, stderr)
			}
			s := serve(t, address)
			for email, organizations := range map[string]string{
				"owner@example.com": `["Example Organization","Owner's Organization"]`, "member@example.com": `["Example Organization","Member's Organization"]`,
			} {
				got := s.do("", `mutation($email: String!, $password: String!) {
					signIn(input: { email: $email, password: $password }) { viewer { emailVerified organizations { nodes { name } } } }
				}`, map[string]any{"email": email, "password": seeded[1]}).Get("signIn.viewer")
				if names := got.Get("organizations.nodes.#.name").Raw; names != organizations || !got.Get("emailVerified").Bool() {
					t.Errorf("%s is %s", email, got)
				}
			}
		})
	}
}

// TestSeedRefused takes something that seed needs beforehand, and expects that it adds nothing.
func TestSeedRefused(t *testing.T) {
	t.Parallel()
	address := newFile(t)
	s := serve(t, address)
	const signUp = `mutation($email: String!, $subdomain: String) {
		signUp(input: { email: $email, password: "correct horse battery", firstName: "Jane", lastName: "Doe", subdomain: $subdomain }) { token }
	}`
	for _, taken := range []struct{ email, subdomain, told string }{
		{"someone@example.com", "example", "the subdomain example"},
		{"member@example.com", "member", "member@example.com"},
	} {
		s.do("", signUp, map[string]any{"email": taken.email, "subdomain": taken.subdomain})
		_, stderr, code := run(t, []string{"STUDIO_DATABASE_URL=" + address}, "seed")
		if code == 0 || !strings.Contains(stderr, taken.told) || strings.Count(stderr, "\n") != 1 {
			t.Errorf("with %s taken it ended with %d and %s", taken.told, code, stderr)
		}
	}
	s.do("", signUp, map[string]any{"email": "owner@example.com", "subdomain": "first"})
}

func TestSeedOrganizations(t *testing.T) {
	t.Parallel()
	for engine, database := range emptyDatabases {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			address := database(t)
			settings := []string{"STUDIO_DATABASE_URL=" + address}
			told := mustRun(t, settings, "seed", "--organizations", "40")
			seeded := regexp.MustCompile(`(\S+@\S+) owns .* password of all users is (\S+)\n$`).FindStringSubmatch(told)
			if seeded == nil {
				t.Fatalf("seed told %q", told)
			}
			if _, stderr, code := run(t, settings, "seed", "--organizations", "1"); code == 0 || !strings.Contains(stderr, "holds organizations already") {
				t.Errorf("a second time it ended with %d and %s", code, stderr)
			}
			s := serve(t, address)
			viewer := s.do("", `mutation($email: String!, $password: String!) {
				signIn(input: { email: $email, password: $password }) { viewer { organizations {
					totalCount
					nodes { name viewerMembership { isOwner } users { totalCount } instanceCount billing { invoices { totalCount } } events { totalCount } }
				} } }
			}`, map[string]any{"email": seeded[1], "password": seeded[2]}).Get("signIn.viewer.organizations")
			if viewer.Get("totalCount").Int() != 20 || viewer.Get("nodes.#").Int() != 20 {
				t.Errorf("the owner has %s", viewer.Get("totalCount"))
			}
			last := ""
			for _, group := range viewer.Get("nodes").Array() {
				name, users, instances := group.Get("name").String(), group.Get("users.totalCount").Int(), group.Get("instanceCount").Int()
				if name < last || !group.Get("viewerMembership.isOwner").Bool() || users < 3 || instances < 5 ||
					group.Get("billing.invoices.totalCount").Int() < 20 || group.Get("events.totalCount").Int() < users+instances {
					t.Errorf("after %q comes %s", last, group)
				}
				last = name
			}
		})
	}
}
