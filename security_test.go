package main

// What the program keeps to itself, and what it forbids to browsers.

import (
	"bytes"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
	"github.com/tidwall/gjson"

	"studio/db/dbtest"
	"studio/stripesandbox"
)

// guardedOffice is a post office that wants a login, over TLS.
type guardedOffice struct {
	postOffice
	password string
	closed   atomic.Bool
}

func (o *guardedOffice) NewSession(*smtp.Conn) (smtp.Session, error) { return o, nil }
func (o *guardedOffice) AuthMechanisms() []string                    { return []string{sasl.Plain} }
func (o *guardedOffice) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, _, password string) error {
		if o.closed.Load() || password != o.password {
			return errors.New("this login is not known")
		}
		return nil
	}), nil
}

// openGuarded makes the post office receive, and returns the settings that make a server use it.
func (o *guardedOffice) openGuarded(t *testing.T) []string {
	t.Helper()
	authority := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(authority.Close)
	file := filepath.Join(t.TempDir(), "authority.pem")
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: authority.Certificate().Raw})
	if err := os.WriteFile(file, certificate, 0o600); err != nil {
		t.Fatal(err)
	}
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: authority.TLS.Certificates})
	if err != nil {
		t.Fatal(err)
	}
	office := smtp.NewServer(o)
	go func() { _ = office.Serve(listener) }()
	t.Cleanup(func() { _ = office.Close() })
	return []string{
		"SSL_CERT_FILE=" + file,
		"STUDIO_SMTP_URL=smtps://studio:" + o.password + "@" + listener.Addr().String(),
		"STUDIO_MAIL_FROM=Studio <studio@example.com>",
	}
}

// token waits for a mail with a link of a kind, and returns the token in it.
func (o *guardedOffice) token(t *testing.T, kind string) string {
	t.Helper()
	for deadline := time.After(patience); ; {
		select {
		case mail := <-o.mails:
			text := strings.ReplaceAll(mail, "=\r\n", "") // lines that were too long for a mail
			if found := regexp.MustCompile(regexp.QuoteMeta(kind) + `([\w-]+)`).FindStringSubmatch(text); found != nil {
				return found[1]
			}
		case <-deadline:
			t.Fatalf("there is no mail with a link to %s", kind)
		}
	}
}

// TestSecrets lets people do all that has to do with a secret, and then looks for the secrets.
func TestSecrets(t *testing.T) {
	t.Parallel()
	for engine, create := range map[string]func(*testing.T) string{"sqlite": dbtest.SQLite, "postgres": dbtest.Postgres} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			office := &guardedOffice{postOffice: postOffice{mails: make(chan string, 100)}, password: "p0st0ffice-secret"}
			database, address := create(t), freeAddress(t)
			_, stripeURL := newStripe(t, "http://"+address+"/webhooks/stripe")
			s := launchAt(t, address, append(office.openGuarded(t),
				"STUDIO_DATABASE_URL="+database, "STUDIO_STRIPE_API_URL="+stripeURL, "STUDIO_STRIPE_SECRET_KEY="+stripesandbox.SecretKey,
				"STUDIO_STRIPE_PUBLISHABLE_KEY="+stripesandbox.PublishableKey, "STUDIO_STRIPE_WEBHOOK_SECRET="+stripesandbox.WebhookSecret)...)
			s.ready()

			const changed, reset, wrong = "changed correct horse", "reset correct horse", "wr0ng battery staple"
			secrets := map[string]string{
				"password": password, "changed password": changed, "reset password": reset, "wrong password": wrong,
				"SMTP password": office.password, "Stripe key": stripesandbox.SecretKey, "webhook secret": stripesandbox.WebhookSecret,
			}
			var errs strings.Builder // of all answers
			ask := func(token, query string, variables map[string]any) gjson.Result {
				response := s.send(token, "application/json", query, variables)
				defer func() { _ = response.Body.Close() }()
				body, err := io.ReadAll(response.Body)
				if err != nil {
					t.Fatal(err)
				}
				errs.WriteString(gjson.GetBytes(body, "errors").Raw + "\n")
				return gjson.GetBytes(body, "data")
			}
			must := func(answer gjson.Result, path string) string {
				t.Helper()
				if found := answer.Get(path).String(); found != "" {
					return found
				}
				t.Fatalf("there is no %s in %s; the errors were %s", path, answer, &errs)
				return ""
			}
			signIn := func(secret, password string) gjson.Result {
				answer := ask("", `mutation($password: String!) { signIn(input: { email: "owner@example.com", password: $password }) { token } }`,
					map[string]any{"password": password})
				if token := answer.Get("signIn.token").String(); token != "" {
					secrets[secret] = token
				}
				return answer
			}

			owner, home := s.signUp("owner")
			secrets["session"] = owner
			verification := office.token(t, "/verify-email/")
			secrets["verification"] = verification
			const verify = `mutation($token: String!) { verifyEmail(input: { token: $token }) { user { id } } }`
			must(ask("", verify, map[string]any{"token": verification}), "verifyEmail.user.id")
			ask("", verify, map[string]any{"token": verification}) // used up

			org := map[string]any{"org": home, "email": "guest@example.com"}
			must(ask(owner, inviteUser, org), "inviteUser.organizationUser.id")
			invitation := office.token(t, "/invitations/")
			secrets["invitation"] = invitation
			must(ask("", `query($token: String!) { invitation(token: $token) { email } }`, map[string]any{"token": invitation}), "invitation.email")
			ask(owner, `mutation($token: String!) { acceptInvitation(input: { token: $token }) { organizationUser { id } } }`,
				map[string]any{"token": invitation}) // is somebody else's
			guest := ask("", `mutation($password: String!, $token: String!) {
				signUp(input: { email: "guest@example.com", password: $password, firstName: "G", lastName: "G", invitationToken: $token }) { token }
			}`, map[string]any{"password": password, "token": invitation})
			secrets["session of the guest"] = must(guest, "signUp.token")

			secrets["API token"] = must(ask(owner, `mutation { createApiToken(input: { name: "x" }) { token } }`, nil), "createApiToken.token")
			must(ask(secrets["API token"], whoAmI, nil), "viewer.user.email")
			ask(secrets["API token"], `mutation { createApiToken(input: { name: "x" }) { token } }`, nil) // which it cannot
			ask(owner, "{ viewer { nope } }", nil)
			ask("", `{ viewer(token: "`+owner+`") { id } }`, nil)
			ask("", `mutation { signIn(input: { email: "owner@example.com", password: {x: "`+wrong+`"} }) { token } }`, nil)
			ask("", `mutation($password: String!) { signIn(input: { email: "owner@example.com", password: $password }) { token } }`,
				map[string]any{"password": []string{wrong}})
			signIn("", wrong)

			must(ask(owner, `mutation($old: String!, $new: String!) { changePassword(input: { currentPassword: $old, newPassword: $new }) { user { id } } }`,
				map[string]any{"old": password, "new": changed}), "changePassword.user.id")
			must(signIn("later session", changed), "signIn.token")
			must(ask("", `mutation { requestPasswordReset(input: { email: "owner@example.com" }) { requested } }`, nil), "requestPasswordReset.requested")
			secrets["reset"] = office.token(t, "/reset-password/")
			must(ask("", `mutation($token: String!, $new: String!) { resetPassword(input: { token: $token, newPassword: $new }) { user { id } } }`,
				map[string]any{"token": secrets["reset"], "new": reset}), "resetPassword.user.id")
			owner = must(signIn("last session", reset), "signIn.token")

			setup := must(ask(owner, `mutation($org: ID!) { startCardSetup(input: { organizationId: $org }) { clientSecret } }`, org), "startCardSetup.clientSecret")
			secrets["secret of the card's setup"] = setup
			must(ask(owner, `mutation($org: ID!) { setCard(input: { organizationId: $org, paymentMethodId: "pm_card_visa" }) { billing { id } } }`, org), "setCard.billing.id")
			must(ask(owner, `mutation($org: ID!) { createInstance(input: {
				organizationId: $org, name: "one", region: "us-east-1", computePlanId: "cloud-2gb", storageGb: 10
			}) { instance { id } } }`, org), "createInstance.instance.id")
			request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/webhooks/stripe", strings.NewReader(`{}`))
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set("Stripe-Signature", "t=1,v1="+stripesandbox.WebhookSecret)
			if response, err := http.DefaultClient.Do(request); err != nil || response.Body.Close() != nil {
				t.Fatal(err)
			}

			// At last, all that the server depends on fails, which it tells about in its log.
			office.closed.Store(true)
			ask(owner, inviteUser, map[string]any{"org": home, "email": "late@example.com"})
			s.eventually("a mail to fail", func() bool { return strings.Contains(s.output.String(), "this login is not known") })

			_, _, metrics := s.get("/metrics")
			told := map[string]string{"log": s.output.String(), "errors": errs.String(), "metrics": metrics}
			stored := fmt.Sprint(dbtest.Dump(t, dbtest.Open(t, database)))
			if path, isFile := strings.CutPrefix(database, "sqlite:"); isFile { // which also has what was deleted
				for _, name := range []string{path, path + "-wal"} {
					content, err := os.ReadFile(name)
					if err != nil {
						t.Fatal(err)
					}
					stored += string(content)
				}
			}
			told["database"] = stored
			for where, contains := range map[string]string{
				"log": `"status":200`, "errors": "INVALID_CREDENTIALS", "metrics": "studio_streams", "database": "owner@example.com",
			} {
				if !strings.Contains(told[where], contains) {
					t.Errorf("the %s cannot be looked through: it is %s", where, told[where])
				}
				for name, secret := range secrets {
					if strings.Contains(told[where], secret) {
						t.Errorf("the %s holds the %s", where, name)
					}
				}
			}
		})
	}
}

// TestSecurityHeaders is about every kind of response.
func TestSecurityHeaders(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ publicURL, transportSecurity string }{
		{"https://studio.example.com", "max-age=31536000"},
		{"http://studio.example.com", ""}, // where browsers could never come back to
	} {
		t.Run(strings.SplitN(test.publicURL, ":", 2)[0], func(t *testing.T) {
			t.Parallel()
			s := serve(t, newFile(t), "STUDIO_PUBLIC_URL="+test.publicURL)
			for _, request := range []struct {
				method, path string
				header       http.Header
				body         string
				status       int
			}{
				{"GET", "/", nil, "", 200},
				{"GET", "/playground", nil, "", 200},
				{"GET", "/assets/missing.js", nil, "", 404},
				{"PUT", "/", nil, "", 405},
				{"GET", "/livez", nil, "", 200},
				{"GET", "/readyz", nil, "", 200},
				{"GET", "/metrics", nil, "", 200},
				{"GET", "/dev/mailbox", nil, "", 200},
				{"GET", "/dev/mailbox.json", nil, "", 200},
				{"GET", "/dev/unknown", nil, "", 404},
				{"GET", "/dev/stripe/advance", nil, "", 405},
				{"POST", "/webhooks/stripe", nil, "{}", 400},
				{"GET", "/graphql?query={__typename}", nil, "", 200},
				{"GET", "/graphql?query={__typename}", http.Header{"Accept": {"text/event-stream"}}, "", 200},
				{"POST", "/graphql", http.Header{"Content-Type": {"application/json"}}, "{", 400},
				{"OPTIONS", "/graphql", http.Header{"Origin": {"https://x.example.com"}, "Access-Control-Request-Method": {"POST"}}, "", 204},
				{"GET", "/graphql", http.Header{
					"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"},
					"Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="}, "Sec-Websocket-Protocol": {"graphql-transport-ws"},
				}, "", 101},
				{"GET", "/graphql/unknown", nil, "", 404},
			} {
				sent, err := http.NewRequestWithContext(t.Context(), request.method, s.url+request.path, strings.NewReader(request.body))
				if err != nil {
					t.Fatal(err)
				}
				sent.Header = request.header
				response, err := http.DefaultClient.Do(sent)
				if err != nil {
					t.Fatal(err)
				}
				_ = response.Body.Close()
				name, header := request.method+" "+request.path, response.Header
				if response.StatusCode != request.status {
					t.Errorf("%s is answered with %d, want %d", name, response.StatusCode, request.status)
				}
				for key, want := range map[string]string{
					"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Strict-Transport-Security": test.transportSecurity,
				} {
					if got := header.Get(key); got != want {
						t.Errorf("%s: %s is %q, want %q", name, key, got, want)
					}
				}
				policies := header.Values("Content-Security-Policy")
				if len(policies) != 1 || !strings.HasPrefix(policies[0], "default-src 'none'; ") || !strings.HasSuffix(policies[0], "; frame-ancestors 'none'") {
					t.Errorf("%s: the policies are %q", name, policies)
				}
			}
		})
	}
}

// TestLargeHeader refuses headers whose reading alone would take long.
func TestLargeHeader(t *testing.T) {
	t.Parallel()
	s := serve(t, dbtest.SQLite(t))
	for size, want := range map[int]int{32 << 10: http.StatusOK, 80 << 10: http.StatusRequestHeaderFieldsTooLarge} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+"/livez", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Range", "bytes="+strings.Repeat("0-,", size/3))
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		if _ = response.Body.Close(); response.StatusCode != want {
			t.Errorf("%d bytes of header are answered with %s", size, response.Status)
		}
	}
}

// TestForgedHost asks for mails as if the server were somebody else's.
func TestForgedHost(t *testing.T) {
	t.Parallel()
	s := serve(t, newFile(t), "STUDIO_PUBLIC_URL=https://studio.example.com", "STUDIO_TRUSTED_PROXIES=127.0.0.1")
	const evil = "evil.example.net"
	for _, operation := range []string{
		`signUp(input: { email: \"owner@example.com\", password: \"correct horse battery\", firstName: \"O\", lastName: \"O\" }) { token }`,
		`requestPasswordReset(input: { email: \"owner@example.com\" }) { requested }`,
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/graphql", bytes.NewReader([]byte(`{"query":"mutation { `+operation+` }"}`)))
		if err != nil {
			t.Fatal(err)
		}
		request.Host = evil
		request.Header = http.Header{
			"Content-Type": {"application/json"}, "Origin": {"https://" + evil}, "Referer": {"https://" + evil + "/"},
			"X-Forwarded-Host": {evil}, "X-Forwarded-For": {"203.0.113.9"}, "X-Forwarded-Proto": {"http"}, "Forwarded": {"host=" + evil},
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		if err := errors.Join(err, response.Body.Close()); err != nil || response.StatusCode != http.StatusOK || gjson.GetBytes(body, "errors").Exists() {
			t.Fatalf("answered with %d and %s, %v", response.StatusCode, body, err)
		}
	}
	for _, kind := range []string{"https://studio.example.com/verify-email/", "https://studio.example.com/reset-password/"} {
		s.mailedToken(kind, s)
	}
	if _, _, mails := s.get("/dev/mailbox.json"); strings.Contains(mails, evil) {
		t.Errorf("a mail names the host of a request: %s", mails)
	}
}
