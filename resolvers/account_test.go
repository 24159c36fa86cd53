package resolvers_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tidwall/gjson"

	"studio/account"
	"studio/db"
	"studio/db/dbtest"
	"studio/fault"
	"studio/job"
	"studio/mail"
)

const (
	signUp = `mutation($input: SignUpInput!) { signUp(input: $input) { token viewer {
		emailVerified user { email firstName lastName }
		organizations { nodes { name subdomain viewerMembership { isOwner status } } }
	} } }`
	signIn = `mutation($email: String!, $password: String!) {
		signIn(input: { email: $email, password: $password }) { token viewer { user { email } } }
	}`
	signOut        = `mutation { signOut { signedOut } }`
	changePassword = `mutation($current: String!, $new: String!) {
		changePassword(input: { currentPassword: $current, newPassword: $new }) { user { email } }
	}`
	requestReset  = `mutation($email: String!) { requestPasswordReset(input: { email: $email }) { requested } }`
	resetPassword = `mutation($token: String!, $new: String!) {
		resetPassword(input: { token: $token, newPassword: $new }) { user { email } }
	}`
	verifyEmail        = `mutation($token: String!) { verifyEmail(input: { token: $token }) { user { email } } }`
	resendVerification = `mutation { resendVerificationEmail { requested } }`
	listSessions       = `{ viewer { sessions { id current userAgent ipAddress } } }`
	revokeSession      = `mutation($id: ID!) { revokeSession(input: { sessionId: $id }) { revokedSessionId } }`
	createAPIToken     = `mutation($name: String!, $expires: Time) {
		createApiToken(input: { name: $name, expiresAt: $expires }) { token apiToken { id name lastUsedAt } }
	}`
	listAPITokens  = `{ viewer { apiTokens { id name lastUsedAt expiresAt } } }`
	revokeAPIToken = `mutation($id: ID!) { revokeApiToken(input: { apiTokenId: $id }) { revokedApiTokenId } }`
	updateProfile  = `mutation($first: String, $last: String) {
		updateProfile(input: { firstName: $first, lastName: $last }) { user { firstName lastName } }
	}`
	whoAmI = `{ viewer { user { email } emailVerified } }`

	newPassword = "another horse battery"
)

// registration is what new@example.com enters to sign up, but for the changes.
func registration(changes vars) vars {
	input := vars{"email": "new@example.com", "password": password, "firstName": "Jane", "lastName": "Doe"}
	maps.Copy(input, changes)
	return vars{"input": input}
}

// with is a caller who sends another token.
func (s *studio) with(token string) *person { return &person{studio: s, token: token} }

// elsewhere is the same person, signed in another time.
func (p *person) elsewhere() *person {
	p.Helper()
	token := p.nobody().do(signIn, vars{"email": p.email, "password": password}).str("signIn.token")
	return &person{studio: p.studio, email: p.email, token: token}
}

// isNobody checks that the token opens nothing.
func (p *person) isNobody() {
	p.Helper()
	p.do(whoAmI, nil).want("viewer", `null`)
	p.refused(fault.Unauthenticated, "", signOut, nil)
}

// isSignedIn checks that the token opens the person's account.
func (p *person) isSignedIn() {
	p.Helper()
	p.do(whoAmI, nil).want("viewer.user.email", `"`+p.email+`"`)
}

// together does something several times at once.
func together(times int, do func(i int) *answer) []*answer {
	answers := make([]*answer, times)
	var running sync.WaitGroup
	for i := range times {
		running.Go(func() { answers[i] = do(i) })
	}
	running.Wait()
	return answers
}

// codes counts answers by the code of their error, which is "" for a success.
func codes(answers []*answer) map[fault.Code]int {
	counts := map[fault.Code]int{}
	for _, a := range answers {
		counts[fault.Code(gjson.Get(a.body, "errors.0.extensions.code").String())]++
	}
	return counts
}

// count counts the rows of a table.
func (s *studio) count(table string) int {
	s.Helper()
	return len(dbtest.Query(s.T, s.db, "SELECT * FROM "+table))
}

// settle waits until all jobs are done, after which no mail is under way.
func (s *studio) settle() {
	s.Helper()
	s.eventually("the end of all jobs", func() bool { return s.count("jobs") == 0 })
}

// rows counts the rows of each table once all jobs are done. Throttles are left out, as they also
// count what is refused.
func (s *studio) rows() map[string]int {
	s.Helper()
	s.settle()
	counts := map[string]int{}
	for table, rows := range dbtest.Dump(s.T, s.db) {
		if table != "throttles" {
			counts[table] = len(rows)
		}
	}
	return counts
}

// unchanged checks that something that is refused adds and removes no row.
func (s *studio) unchanged(refused func()) {
	s.Helper()
	before := s.rows()
	refused()
	if after := s.rows(); !maps.Equal(before, after) {
		s.Errorf("the tables had %v rows and have %v", before, after)
	}
}

func TestSignUp(t *testing.T) {
	t.Parallel()
	t.Run("FirstOrganization", func(t *testing.T) {
		on(t, func(s *studio) {
			created := s.nobody().do(signUp, registration(vars{"email": " New@Example.COM\t", "firstName": " Jane "}))
			// The payload is read as the new user, although nobody sent the operation.
			created.want("signUp.viewer.user", `{"email":"new@example.com","firstName":"Jane","lastName":"Doe"}`)
			created.want("signUp.viewer.emailVerified", `false`)
			created.want("signUp.viewer.organizations.nodes",
				`[{"name":"Jane's Organization","subdomain":"janedoe","viewerMembership":{"isOwner":true,"status":"ACCEPTED"}}]`)
			s.with(created.str("signUp.token")).do(`{ viewer { landingOrganization { events { nodes { type actor { email } } } } } }`, nil).
				want("viewer.landingOrganization.events.nodes", `[{"type":"ORGANIZATION_CREATED","actor":{"email":"new@example.com"}}]`)
		})
	})
	t.Run("RestOfTheOperation", func(t *testing.T) {
		on(t, func(s *studio) {
			s.nobody().do(`mutation {
				signUp(input: { email: "new@example.com", password: "`+password+`", firstName: "Jane", lastName: "Doe" }) { token }
				createOrganization(input: { name: "Second", subdomain: "second" }) { organization { viewerMembership { isOwner user { email } } } }
			}`, nil).want("createOrganization.organization.viewerMembership", `{"isOwner":true,"user":{"email":"new@example.com"}}`)
		})
	})
	for _, test := range []struct {
		name    string
		changes vars
		code    fault.Code
		field   string
	}{
		{"EmailTaken", vars{"email": "owner@example.com"}, fault.EmailTaken, "input.email"},
		{"EmailTakenInAnotherCase", vars{"email": " OWNER@Example.com "}, fault.EmailTaken, "input.email"},
		{"SubdomainTaken", vars{"subdomain": "ownerexample"}, fault.SubdomainTaken, "input.subdomain"},
		{"SubdomainTakenInAnotherCase", vars{"subdomain": " OwnerExample "}, fault.SubdomainTaken, "input.subdomain"},
		{"SubdomainReserved", vars{"subdomain": "api"}, fault.InvalidInput, "input.subdomain"},
		{"SubdomainInvalid", vars{"subdomain": "jane-doe"}, fault.InvalidInput, "input.subdomain"},
		{"SubdomainEmpty", vars{"subdomain": ""}, fault.InvalidInput, "input.subdomain"},
		{"InvitationUnknown", vars{"invitationToken": db.NewToken()}, fault.InvitationInvalid, "input.invitationToken"},
	} {
		t.Run(test.name, func(t *testing.T) {
			on(t, func(s *studio) {
				s.signUp("owner")
				s.settle()
				s.unchanged(func() { s.nobody().refused(test.code, test.field, signUp, registration(test.changes)) })
				if mails := s.mails("new@example.com"); len(mails) > 0 {
					t.Errorf("mailed %v", mails)
				}
			})
		})
	}
	t.Run("DerivedSubdomain", testDerivedSubdomain)
	t.Run("Invitation", testSignUpWithInvitation)
	t.Run("AtOnce", testSignUpAtOnce)
}

func testDerivedSubdomain(t *testing.T) {
	on(t, func(s *studio) {
		for i, test := range []struct{ first, last, want string }{
			{"Zoë", "Müller-Lüdenscheidt", "zoemullerludensc"},
			{"Jane", "Doe", "janedoe"},
			{"JANE", "D'Oe", "janedoe1"},
			{"jane", "doe", "janedoe2"},
			{"Wolfeschlegel", "Steinhausen", "wolfeschlegelste"},
			{"Wolfeschlegel", "Steinhausen", "wolfeschlegelst1"},
			{"太郎", "山田", "org1"}, // org itself is reserved
			{"Ad", "Min", "admin1"},
		} {
			s.nobody().do(signUp, registration(vars{
				"email": fmt.Sprintf("person%d@example.com", i), "firstName": test.first, "lastName": test.last, "subdomain": nil,
			})).want("signUp.viewer.organizations.nodes.0.subdomain", `"`+test.want+`"`)
		}
	})
}

func testSignUpWithInvitation(t *testing.T) {
	invite := func(s *studio) (owner *person, membership, token string) {
		owner = s.signUp("owner")
		membership = owner.invite(owner.home(), "new@example.com")
		return owner, membership, s.mailedToken("new@example.com", "/invitations/")
	}
	t.Run("Accepted", func(t *testing.T) {
		on(t, func(s *studio) {
			_, _, token := invite(s)
			joined := s.nobody().do(signUp, registration(vars{"email": "NEW@example.com", "invitationToken": token}))
			joined.want("signUp.viewer.emailVerified", `true`)
			joined.want("signUp.viewer.organizations.nodes", `[`+
				`{"name":"Jane's Organization","subdomain":"janedoe","viewerMembership":{"isOwner":true,"status":"ACCEPTED"}},`+
				`{"name":"owner's Organization","subdomain":"ownerexample","viewerMembership":{"isOwner":false,"status":"ACCEPTED"}}]`)
			s.settle()
			if mails := s.mails("new@example.com"); len(mails) != 1 {
				t.Errorf("mailed %d times, want the invitation alone, as it proved the address", len(mails))
			}
		})
	})
	t.Run("AnotherAddress", func(t *testing.T) {
		on(t, func(s *studio) {
			_, _, token := invite(s)
			s.unchanged(func() {
				s.nobody().refused(fault.InvitationEmailMismatch, "input.invitationToken", signUp,
					registration(vars{"email": "another@example.com", "invitationToken": token}))
			})
			s.nobody().do(signUp, registration(vars{"invitationToken": token})).want("signUp.viewer.emailVerified", `true`)
		})
	})
	for name, spoil := range map[string]func(s *studio, owner *person, membership, token string){
		"Expired": func(s *studio, _ *person, _, _ string) { s.clock.Advance(7 * 24 * time.Hour) },
		"Resent": func(_ *studio, owner *person, membership, _ string) {
			owner.do(`mutation($id: ID!) { resendInvitation(input: { organizationUserId: $id }) { organizationUser { id } } }`, vars{"id": membership})
		},
		"Revoked": func(_ *studio, owner *person, membership, _ string) {
			owner.do(`mutation($id: ID!) { removeOrganizationUser(input: { organizationUserId: $id, confirm: "DELETE" }) { removedOrganizationUserId } }`,
				vars{"id": membership})
		},
	} {
		t.Run(name, func(t *testing.T) {
			on(t, func(s *studio) {
				owner, membership, token := invite(s)
				spoil(s, owner, membership, token)
				s.unchanged(func() {
					s.nobody().refused(fault.InvitationInvalid, "input.invitationToken", signUp, registration(vars{"invitationToken": token}))
				})
			})
		})
	}
	t.Run("Used", func(t *testing.T) {
		on(t, func(s *studio) {
			_, _, token := invite(s)
			s.nobody().do(signUp, registration(vars{"invitationToken": token}))
			s.unchanged(func() {
				s.nobody().refused(fault.InvitationInvalid, "input.invitationToken", signUp,
					registration(vars{"email": "another@example.com", "invitationToken": token}))
			})
		})
	})
}

func testSignUpAtOnce(t *testing.T) {
	const times = atOnce
	for _, test := range []struct {
		name    string
		changes func(i int) vars
		want    map[fault.Code]int
	}{
		{"OneAddress", func(i int) vars { return vars{"subdomain": fmt.Sprint("sub", i)} },
			map[fault.Code]int{"": 1, fault.EmailTaken: times - 1}},
		{"OneSubdomain", func(i int) vars { return vars{"email": fmt.Sprintf("person%d@example.com", i), "subdomain": "wanted"} },
			map[fault.Code]int{"": 1, fault.SubdomainTaken: times - 1}},
		{"OneName", func(i int) vars { return vars{"email": fmt.Sprintf("person%d@example.com", i)} },
			map[fault.Code]int{"": times}},
	} {
		t.Run(test.name, func(t *testing.T) {
			on(t, func(s *studio) {
				answers := together(times, func(i int) *answer { return s.nobody().send(signUp, registration(test.changes(i))) })
				if got := codes(answers); !maps.Equal(got, test.want) {
					t.Errorf("got %v, want %v", got, test.want)
				}
				for _, table := range []string{"users", "sessions", "organizations", "memberships", "events"} {
					if got := s.count(table); got != test.want[""] {
						t.Errorf("%d rows in %s, want one for each success", got, table)
					}
				}
			})
		})
	}
}

func TestSignIn(t *testing.T) {
	t.Parallel()
	t.Run("Success", func(t *testing.T) {
		on(t, func(s *studio) {
			p := s.signUp("person")
			in := s.nobody().do(signIn, vars{"email": " Person@EXAMPLE.com ", "password": password})
			in.want("signIn.viewer.user.email", `"person@example.com"`)
			again := s.with(in.str("signIn.token"))
			if again.token == p.token {
				t.Error("two sessions have one token")
			}
			again.email = p.email
			again.isSignedIn()
			p.isSignedIn()
		})
	})
	t.Run("Refused", func(t *testing.T) {
		on(t, func(s *studio) {
			s.signUp("person")
			s.unchanged(func() {
				wrong := s.nobody().refused(fault.InvalidCredentials, "", signIn, vars{"email": "person@example.com", "password": newPassword})
				unknown := s.nobody().refused(fault.InvalidCredentials, "", signIn, vars{"email": "unknown@example.com", "password": newPassword})
				if wrong.body != unknown.body || wrong.status != unknown.status {
					t.Errorf("the answer tells who has an account: %s, %s", wrong.body, unknown.body)
				}
				if cookies := wrong.header.Values("Set-Cookie"); len(cookies) > 0 {
					t.Errorf("got the cookies %v", cookies)
				}
			})
		})
	})
	t.Run("Throttled", testSignInThrottle)
}

func testSignInThrottle(t *testing.T) {
	wrong := func(email string) vars { return vars{"email": email, "password": newPassword} }
	right := func(p *person) vars { return vars{"email": p.email, "password": password} }
	fail := func(s *studio, email func(i int) string) {
		s.Helper()
		for i := range 10 {
			s.nobody().refused(fault.InvalidCredentials, "", signIn, wrong(email(i)))
		}
	}
	checkRetry := func(a *answer) {
		a.Helper()
		if wait := gjson.Get(a.body, "errors.0.extensions.retryAfter").Int(); wait < 1 || wait > 15*60 {
			a.Errorf("retryAfter is %d s, want up to 15 minutes", wait)
		}
	}
	t.Run("For15Minutes", func(t *testing.T) {
		on(t, func(s *studio) {
			p := s.signUp("person")
			fail(s, func(int) string { return p.email })
			checkRetry(s.nobody().refused(fault.RateLimited, "", signIn, wrong(p.email)))
			checkRetry(s.nobody().refused(fault.RateLimited, "", signIn, right(p)))
			p.isSignedIn()
			s.clock.Advance(15 * time.Minute)
			s.nobody().do(signIn, right(p))
		})
	})
	t.Run("Client", func(t *testing.T) {
		on(t, func(s *studio) {
			p := s.signUp("person")
			fail(s, func(i int) string { return fmt.Sprintf("unknown%d@example.com", i) })
			checkRetry(s.nobody().refused(fault.RateLimited, "", signIn, right(p)))
		})
	})
	t.Run("Network", func(t *testing.T) {
		on(t, func(s *studio) {
			accounts := s.edge(job.NewQueue(s.db, mail.ErrPermanent), nil, 0).Accounts
			fail := func(address string, want fault.Code) {
				_, _, err := accounts.SignIn(s.Context(), account.Client{IPAddress: address}, db.NewID("user")+"@example.com", newPassword)
				if got, is := errors.AsType[*fault.Error](err); !is || got.Code != want {
					s.Errorf("from %s: got %v, want %s", address, err, want)
				}
			}
			for i := range 10 {
				fail(fmt.Sprintf("2001:db8::%x", i), fault.InvalidCredentials)
			}
			fail("2001:db8::ffff:1", fault.RateLimited)
			fail("2001:db8:0:1::1", fault.InvalidCredentials)
		})
	})
	// Failures to change the password count for the address alone, which tells it from the client.
	t.Run("AddressUntilPasswordReset", func(t *testing.T) {
		on(t, func(s *studio) {
			p, other := s.signUp("person"), s.signUp("other")
			for range 10 {
				p.refused(fault.InvalidCredentials, "input.currentPassword", changePassword, vars{"current": newPassword, "new": newPassword})
			}
			checkRetry(p.refused(fault.RateLimited, "", changePassword, vars{"current": password, "new": newPassword}))
			checkRetry(s.nobody().refused(fault.RateLimited, "", signIn, right(p)))
			s.nobody().do(signIn, right(other))
			s.nobody().do(resetPassword, vars{"token": p.requestsReset(), "new": newPassword})
			s.nobody().do(signIn, wrong(p.email)) // which is right now
		})
	})
	// The failures come when those before have been looked at and the right password has not been compared.
	t.Run("Meanwhile", func(t *testing.T) {
		dbtest.Each(t, func(t *testing.T, open func(...db.Option) *db.DB) {
			s, meanwhile := interruptible(t, open, &dbtest.Clock{}, `FROM "throttles"`, "failed sign-ins from")
			p := s.signUp("person")
			failures := func() {
				for range 10 {
					p.refused(fault.InvalidCredentials, "input.currentPassword", changePassword, vars{"current": newPassword, "new": newPassword})
				}
			}
			meanwhile.Store(&failures)
			checkRetry(s.nobody().refused(fault.RateLimited, "", signIn, right(p)))
		})
	})
	t.Run("AtOnce", func(t *testing.T) {
		on(t, func(s *studio) {
			answers := race(func(int) *answer { return s.nobody().send(signIn, wrong("person@example.com")) })
			want := map[fault.Code]int{fault.InvalidCredentials: 10, fault.RateLimited: atOnce - 10}
			if got := codes(answers); !maps.Equal(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
		})
	})
}

func TestSessions(t *testing.T) {
	t.Parallel()
	t.Run("List", func(t *testing.T) {
		on(t, func(s *studio) {
			first := s.signUp("person")
			second := first.elsewhere()
			listed := first.do(listSessions, nil)
			listed.want("viewer.sessions.#.current", `[false,true]`)
			listed.want("viewer.sessions.0.ipAddress", `"127.0.0.1"`)
			listed.want("viewer.sessions.0.userAgent", `"Go-http-client/1.1"`)
			seen := second.do(listSessions, nil)
			seen.want("viewer.sessions.#.current", `[true,false]`)
			seen.want("viewer.sessions.#.id", listed.get("viewer.sessions.#.id").Raw)
		})
	})
	t.Run("Most", func(t *testing.T) {
		on(t, func(s *studio) {
			used, other := s.signUp("person"), s.signUp("other")
			unused := used.elsewhere()
			s.clock.Advance(time.Hour)
			used.isSignedIn()
			for range account.MaxSessions - 2 {
				used.elsewhere()
			}
			listed := used.do(listSessions, nil)
			listed.want("viewer.sessions.#", fmt.Sprint(account.MaxSessions))
			used.elsewhere().isSignedIn()
			unused.isNobody()
			used.do(listSessions, nil).want("viewer.sessions.#", fmt.Sprint(account.MaxSessions))
			other.isSignedIn()
		})
	})
	t.Run("Revoke", func(t *testing.T) {
		on(t, func(s *studio) {
			first := s.signUp("person")
			second := first.elsewhere()
			id := second.do(listSessions, nil).str("viewer.sessions.0.id")
			first.do(revokeSession, vars{"id": id}).want("revokeSession.revokedSessionId", `"`+id+`"`)
			second.isNobody()
			first.isSignedIn()
			first.refused(fault.NotFound, "input.sessionId", revokeSession, vars{"id": id})
		})
	})
	t.Run("RevokeAnothers", func(t *testing.T) {
		on(t, func(s *studio) {
			p, other := s.signUp("person"), s.signUp("other")
			id := other.do(listSessions, nil).str("viewer.sessions.0.id")
			anothers := p.refused(fault.NotFound, "input.sessionId", revokeSession, vars{"id": id})
			unknown := p.refused(fault.NotFound, "input.sessionId", revokeSession, vars{"id": db.NewID(db.SessionPrefix)})
			if anothers.body != unknown.body {
				t.Errorf("the answer tells which sessions there are: %s, %s", anothers.body, unknown.body)
			}
			other.isSignedIn()
		})
	})
	t.Run("SignOut", func(t *testing.T) {
		on(t, func(s *studio) {
			first := s.signUp("person")
			second := first.elsewhere()
			out := first.do(`mutation { signOut { signedOut } }`, nil)
			out.want("signOut.signedOut", `true`)
			if cookie := sessionCookie(out); cookie.Value != "" || cookie.MaxAge >= 0 {
				t.Errorf("the cookie stays: %v", cookie)
			}
			first.isNobody()
			second.isSignedIn()
		})
	})
	t.Run("Expiry", func(t *testing.T) {
		on(t, func(s *studio) {
			used := s.signUp("person")
			unused := used.elsewhere()
			s.clock.Advance(20 * 24 * time.Hour)
			used.isSignedIn()
			s.clock.Advance(10*24*time.Hour + time.Second)
			unused.isNobody()
			used.do(listSessions, nil).want("viewer.sessions.#.current", `[true]`)
			s.clock.Advance(account.SessionLifetime)
			used.isNobody()
		})
	})
}

// sessionCookie is the cookie that an answer sets.
func sessionCookie(a *answer) *http.Cookie {
	a.Helper()
	for _, cookie := range (&http.Response{Header: a.header}).Cookies() {
		if cookie.Name == "studio_session" {
			return cookie
		}
	}
	a.Fatalf("no cookie in %v", a.header)
	return nil
}

// TestSweep waits until what people have left behind is of no use to anybody.
func TestSweep(t *testing.T) {
	on(t, func(s *studio) {
		p := s.signUp("person")
		p.requestsReset()
		s.nobody().refused(fault.InvalidCredentials, "", signIn, vars{"email": p.email, "password": "another one"})
		s.settle()
		for _, step := range []struct {
			after                      time.Duration
			sessions, links, throttles bool // that there are any
		}{
			{0, true, true, true},
			{25 * time.Hour, true, true, true},
			{24 * time.Hour, true, true, false},
			{6 * 24 * time.Hour, true, false, false},
			{23 * 24 * time.Hour, false, false, false},
		} {
			s.clock.Advance(step.after)
			if err := s.edge(job.NewQueue(s.db, mail.ErrPermanent), nil, 0).Accounts.Sweep(s.Context()); err != nil {
				s.Fatal(err)
			}
			for table, want := range map[string]bool{"sessions": step.sessions, "link_tokens": step.links, "throttles": step.throttles} {
				if got := s.count(table); got > 0 != want {
					s.Errorf("%s later there are %d %s", step.after, got, table)
				}
			}
		}
	})
}

func TestCookie(t *testing.T) {
	t.Parallel()
	t.Run("Attributes", func(t *testing.T) {
		on(t, func(s *studio) {
			up := s.nobody().do(signUp, registration(nil))
			in := s.nobody().do(signIn, vars{"email": "new@example.com", "password": password})
			for operation, a := range map[string]*answer{"signUp": up, "signIn": in} {
				cookie := sessionCookie(a)
				if cookie.Value != a.str(operation+".token") || !cookie.HttpOnly || cookie.SameSite != http.SameSiteLaxMode || cookie.Path != "/" {
					t.Errorf("%s sets %v", operation, cookie)
				}
				if cookie.Secure {
					t.Errorf("%s sets %v, which browsers do not send back over http", operation, cookie)
				}
			}
		})
	})
	t.Run("Post", func(t *testing.T) {
		on(t, func(s *studio) {
			token := s.signUp("person").token
			for contentType, want := range map[string]int{"application/json": http.StatusOK, "text/plain": http.StatusForbidden} {
				a := s.nobody().post(http.Header{"Content-Type": {contentType}, "Cookie": {"studio_session=" + token}}, `{"query":"{ viewer { user { email } } }"}`)
				if a.status != want {
					t.Errorf("%s is answered with %d, want %d", contentType, a.status, want)
				}
				if want == http.StatusOK {
					a.want("viewer.user.email", `"person@example.com"`)
				} else {
					a.check(fault.Forbidden, "")
				}
			}
		})
	})
	t.Run("AcceptsStreamsToo", func(t *testing.T) {
		on(t, func(s *studio) {
			registration, err := json.Marshal(map[string]any{"query": signUp, "variables": registration(nil)})
			if err != nil {
				t.Fatal(err)
			}
			header := http.Header{"Content-Type": {"application/json"}, "Accept": {"application/json, text/event-stream"}}
			a := s.nobody().post(header, string(registration))
			if cookie := sessionCookie(a); cookie.Value != a.str("signUp.token") {
				t.Errorf("signUp sets %v", cookie)
			}
			// Headers are sent before the operation runs, so that this must not try.
			header = http.Header{"Accept": {"text/event-stream"}, "Cookie": {"studio_session=" + a.str("signUp.token")}, "GraphQL-Require-Preflight": {"1"}}
			if stream := s.fetch(whoAmI, header); !strings.Contains(stream.body, "new@example.com") || stream.header.Get("Set-Cookie") != "" {
				t.Errorf("the stream is %s with %v", stream.body, stream.header)
			}
		})
	})
	t.Run("LastsFromLastUse", func(t *testing.T) {
		on(t, func(s *studio) {
			day := 24 * time.Hour
			s.clock.Set(s.clock.Now().Truncate(day).Add(36 * time.Hour)) // noon
			token := s.signUp("person").token
			header := func(token string) http.Header {
				return http.Header{"Cookie": {"studio_session=" + token}, "GraphQL-Require-Preflight": {"1"}}
			}
			isKept := func() { // or what is asked while somebody else signs in would sign them out
				t.Helper()
				a := s.fetch(whoAmI, header(token))
				a.want("viewer.user.email", `"person@example.com"`)
				if set := a.header.Values("Set-Cookie"); len(set) > 0 {
					t.Errorf("the cookie becomes %v", set)
				}
			}
			isKept()
			s.clock.Advance(time.Hour)
			isKept()
			s.clock.Advance(day)
			if set := s.fetch(whoAmI, header(db.NewToken())).header.Values("Set-Cookie"); len(set) > 0 {
				t.Errorf("a cookie that opens nothing becomes %v", set)
			}
			program := &person{studio: s, token: s.nobody().do(signIn, vars{"email": "person@example.com", "password": password}).str("signIn.token")}
			s.clock.Advance(day)
			if set := program.send(whoAmI, nil).header.Values("Set-Cookie"); len(set) > 0 {
				t.Errorf("who shows a token is given the cookie %v", set)
			}
			cookie := sessionCookie(s.fetch(whoAmI, header(token)))
			if cookie.Value != token || cookie.MaxAge < int(account.SessionLifetime.Seconds()) {
				t.Errorf("the cookie becomes %v", cookie)
			}
			isKept()
		})
	})
	t.Run("TheLastOneAlone", func(t *testing.T) {
		on(t, func(s *studio) {
			const signsOut, signsIn = `mutation { signOut { signedOut } }`,
				`mutation { signIn(input: { email: "person@example.com", password: "` + password + `" }) { token } }`
			person := s.signUp("person")
			for name, test := range map[string]struct {
				operations []string
				signedIn   string // where the answer has the token
			}{
				"SignIn":  {[]string{signsIn}, "0.data.signIn.token"},
				"SignOut": {[]string{signsOut}, ""},
				"Switch":  {[]string{whoAmI, signsOut, signsIn}, "2.data.signIn.token"},
				"Leave":   {[]string{signsIn, whoAmI, signsOut}, ""},
			} {
				token := person.elsewhere().token
				s.clock.Advance(24 * time.Hour) // so that it is renewed, too
				var batch []vars
				for _, operation := range test.operations {
					batch = append(batch, vars{"query": operation})
				}
				body, err := json.Marshal(batch)
				if err != nil {
					t.Fatal(err)
				}
				a := s.nobody().post(http.Header{"Content-Type": {"application/json"}, "Cookie": {"studio_session=" + token}}, string(body))
				want := ""
				if test.signedIn != "" {
					want = gjson.Get(a.body, test.signedIn).String()
				}
				if set := a.header.Values("Set-Cookie"); len(set) != 1 || sessionCookie(a).Value != want {
					t.Errorf("%s sets %v after %s", name, set, a.body)
				}
			}
		})
	})
	t.Run("Get", func(t *testing.T) {
		on(t, func(s *studio) {
			cookie := "studio_session=" + s.signUp("person").token
			s.fetch(whoAmI, http.Header{"Cookie": {cookie}}).check(fault.Forbidden, "")
			s.fetch(whoAmI, http.Header{"Cookie": {cookie}, "GraphQL-Require-Preflight": {"1"}}).
				want("viewer.user.email", `"person@example.com"`)
		})
	})
}

// fetch sends a query as a GET request.
func (s *studio) fetch(query string, header http.Header) *answer {
	s.Helper()
	request, err := http.NewRequestWithContext(s.Context(), http.MethodGet, s.url+"/graphql?query="+url.QueryEscape(query), nil)
	if err != nil {
		s.Fatal(err)
	}
	request.Header = header
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		s.Fatal(err)
	}
	body, err := io.ReadAll(response.Body)
	if err := errors.Join(err, response.Body.Close()); err != nil {
		s.Fatal(err)
	}
	return &answer{studio: s, status: response.StatusCode, header: response.Header, body: string(body)}
}

func TestChangePassword(t *testing.T) {
	t.Parallel()
	t.Run("Success", func(t *testing.T) {
		on(t, func(s *studio) {
			own := s.signUp("person")
			other := own.elsewhere()
			own.do(changePassword, vars{"current": password, "new": newPassword}).want("changePassword.user.email", `"person@example.com"`)
			own.isSignedIn()
			other.isNobody()
			s.nobody().refused(fault.InvalidCredentials, "", signIn, vars{"email": own.email, "password": password})
			s.nobody().do(signIn, vars{"email": own.email, "password": newPassword})
		})
	})
	t.Run("WrongPassword", func(t *testing.T) {
		on(t, func(s *studio) {
			own := s.signUp("person")
			other := own.elsewhere()
			own.refused(fault.InvalidCredentials, "input.currentPassword", changePassword, vars{"current": newPassword, "new": newPassword})
			other.isSignedIn()
			s.nobody().do(signIn, vars{"email": own.email, "password": password})
		})
	})
	t.Run("WorthlessResetLink", func(t *testing.T) {
		on(t, func(s *studio) {
			p := s.signUp("person")
			token := p.requestsReset()
			p.do(changePassword, vars{"current": password, "new": newPassword})
			s.nobody().refused(fault.InvalidInput, "input.token", resetPassword, vars{"token": token, "new": password})
		})
	})
}

// TestOldPassword resets a password just when the old one, or a session that it opened, has been read.
func TestOldPassword(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		before string
		code   fault.Code
		field  string
		use    func(p *person) *answer
	}{
		"SignIn": {`FROM "throttles"`, fault.InvalidCredentials, "", func(p *person) *answer {
			return p.nobody().send(signIn, vars{"email": p.email, "password": password})
		}},
		"ChangePassword": {`FROM "throttles"`, fault.InvalidCredentials, "input.currentPassword", func(p *person) *answer {
			return p.send(changePassword, vars{"current": password, "new": "the thief's own"})
		}},
		"CreateAPIToken": {`UPDATE "sessions"`, fault.Unauthenticated, "", func(p *person) *answer {
			return p.send(createAPIToken, vars{"name": "the thief's own"})
		}},
	} {
		t.Run(name, func(t *testing.T) {
			dbtest.Each(t, func(t *testing.T, open func(...db.Option) *db.DB) {
				s, meanwhile := interruptible(t, open, &dbtest.Clock{}, test.before)
				p := s.signUp("person")
				s.clock.Advance(time.Hour) // so that the use of the session is noted
				token := p.requestsReset()
				reset := func() { s.nobody().do(resetPassword, vars{"token": token, "new": newPassword}) }
				meanwhile.Store(&reset)
				test.use(p).check(test.code, test.field)
				if meanwhile.Load() != nil {
					t.Fatal("the password was not reset meanwhile")
				}
				s.nobody().do(signIn, vars{"email": p.email, "password": newPassword})
			})
		})
	}
}

// requestsReset returns the token from the mail.
func (p *person) requestsReset() string {
	p.Helper()
	p.nobody().do(requestReset, vars{"email": p.email}).want("requestPasswordReset.requested", `true`)
	p.settle()
	return p.mailedToken(p.email, "/reset-password/")
}

func TestPasswordReset(t *testing.T) {
	t.Parallel()
	t.Run("Success", func(t *testing.T) {
		on(t, func(s *studio) {
			first := s.signUp("person")
			second := first.elsewhere()
			older, token := first.requestsReset(), first.requestsReset()
			if older == token {
				t.Fatal("two mails have one token")
			}
			s.nobody().refused(fault.InvalidInput, "input.newPassword", resetPassword, vars{"token": token, "new": "short"})
			s.nobody().do(resetPassword, vars{"token": token, "new": newPassword}).want("resetPassword.user.email", `"person@example.com"`)
			first.isNobody()
			second.isNobody()
			for _, worthless := range []string{token, older} {
				s.nobody().refused(fault.InvalidInput, "input.token", resetPassword, vars{"token": worthless, "new": password})
			}
			s.nobody().refused(fault.InvalidCredentials, "", signIn, vars{"email": first.email, "password": password})
			in := s.nobody().do(signIn, vars{"email": first.email, "password": newPassword})
			s.with(in.str("signIn.token")).do(whoAmI, nil).want("viewer.emailVerified", `true`)
		})
	})
	// Who signed up with an address that is not theirs keeps no way in, also when the address was verified
	// meanwhile; a program of the true owner's goes on.
	t.Run("APITokens", func(t *testing.T) {
		on(t, func(s *studio) {
			p := s.signUp("person")
			program, _ := p.apiToken(nil)
			s.nobody().do(resetPassword, vars{"token": p.requestsReset(), "new": newPassword})
			program.isNobody()
			p.token = s.nobody().do(signIn, vars{"email": p.email, "password": newPassword}).str("signIn.token")
			program, _ = p.apiToken(nil)
			s.nobody().do(resetPassword, vars{"token": program.requestsReset(), "new": password})
			program.isSignedIn()
		})
	})
	t.Run("APITokensSinceVerifying", func(t *testing.T) {
		on(t, func(s *studio) {
			p := s.signUp("person")
			s.nobody().do(verifyEmail, vars{"token": s.mailedToken(p.email, "/verify-email/")})
			s.clock.Advance(time.Second)
			program, _ := p.apiToken(nil)
			s.nobody().do(resetPassword, vars{"token": p.requestsReset(), "new": newPassword})
			program.isNobody()
		})
	})
	t.Run("UnknownAddress", func(t *testing.T) {
		on(t, func(s *studio) {
			p := s.signUp("person")
			known := s.nobody().do(requestReset, vars{"email": p.email})
			unknown := s.nobody().do(requestReset, vars{"email": "unknown@example.com"})
			if known.body != unknown.body {
				t.Errorf("the answer tells who has an account: %s, %s", known.body, unknown.body)
			}
			s.mailedToken(p.email, "/reset-password/")
			s.settle()
			if mails := s.mails("unknown@example.com"); len(mails) > 0 {
				t.Errorf("mailed %v", mails)
			}
		})
	})
	t.Run("Expired", func(t *testing.T) {
		on(t, func(s *studio) {
			p := s.signUp("person")
			token := p.requestsReset()
			s.clock.Advance(time.Hour)
			s.nobody().refused(fault.InvalidInput, "input.token", resetPassword, vars{"token": token, "new": newPassword})
			p.isSignedIn()
			s.nobody().do(signIn, vars{"email": p.email, "password": password})
		})
	})
	t.Run("FiveMailsADay", func(t *testing.T) {
		on(t, func(s *studio) {
			p := s.signUp("person")
			resets := func() int {
				s.settle()
				return len(slices.DeleteFunc(s.mails(p.email), func(m mail.Message) bool { return !strings.Contains(m.Text, "/reset-password/") }))
			}
			for range 7 {
				s.nobody().do(requestReset, vars{"email": p.email}).want("requestPasswordReset.requested", `true`)
			}
			if got := resets(); got != 5 {
				t.Errorf("%d mails, want 5", got)
			}
			s.clock.Advance(2 * time.Hour)
			if err := s.edge(job.NewQueue(s.db, mail.ErrPermanent), nil, 0).Accounts.Sweep(s.Context()); err != nil {
				t.Fatal(err)
			}
			s.nobody().do(requestReset, vars{"email": p.email})
			if got := resets(); got != 5 {
				t.Errorf("%d mails after the sweep, want 5", got)
			}
			s.clock.Advance(24 * time.Hour)
			s.nobody().do(requestReset, vars{"email": p.email})
			if got := resets(); got != 6 {
				t.Errorf("%d mails with the next day's, want 6", got)
			}
		})
	})
	t.Run("AtOnce", func(t *testing.T) {
		on(t, func(s *studio) {
			token := s.signUp("person").requestsReset()
			wantOne(race(func(int) *answer { return s.nobody().send(resetPassword, vars{"token": token, "new": newPassword}) }), fault.InvalidInput)
		})
	})
}

func TestVerifyEmail(t *testing.T) {
	t.Parallel()
	t.Run("Once", func(t *testing.T) {
		on(t, func(s *studio) {
			p := s.signUp("person")
			p.do(whoAmI, nil).want("viewer.emailVerified", `false`)
			token := s.mailedToken(p.email, "/verify-email/")
			s.nobody().do(verifyEmail, vars{"token": token}).want("verifyEmail.user.email", `"person@example.com"`)
			p.do(whoAmI, nil).want("viewer.emailVerified", `true`)
			s.nobody().refused(fault.InvalidInput, "input.token", verifyEmail, vars{"token": token})
		})
	})
	t.Run("Expired", func(t *testing.T) {
		on(t, func(s *studio) {
			p := s.signUp("person")
			token := s.mailedToken(p.email, "/verify-email/")
			s.clock.Advance(7 * 24 * time.Hour)
			s.nobody().refused(fault.InvalidInput, "input.token", verifyEmail, vars{"token": token})
			p.do(whoAmI, nil).want("viewer.emailVerified", `false`)
		})
	})
	t.Run("TokenOfAnotherKind", func(t *testing.T) {
		on(t, func(s *studio) {
			p := s.signUp("person")
			reset, verification := p.requestsReset(), s.mailedToken(p.email, "/verify-email/")
			s.nobody().refused(fault.InvalidInput, "input.token", verifyEmail, vars{"token": reset})
			s.nobody().refused(fault.InvalidInput, "input.token", resetPassword, vars{"token": verification, "new": newPassword})
			p.refused(fault.InvitationInvalid, "input.token", acceptInvitation, vars{"token": verification})
			p.do(whoAmI, nil).want("viewer.emailVerified", `false`)
		})
	})
	t.Run("Resend", func(t *testing.T) {
		on(t, func(s *studio) {
			p := s.signUp("person")
			s.settle()
			first := s.mailedToken(p.email, "/verify-email/")
			p.do(resendVerification, nil).want("resendVerificationEmail.requested", `true`)
			s.settle()
			if mails := s.mails(p.email); len(mails) != 2 {
				t.Errorf("%d mails, want that of the sign-up and another", len(mails))
			}
			s.nobody().do(verifyEmail, vars{"token": s.mailedToken(p.email, "/verify-email/")})
			s.nobody().refused(fault.InvalidInput, "input.token", verifyEmail, vars{"token": first})
			p.do(resendVerification, nil).want("resendVerificationEmail.requested", `false`)
			s.settle()
			if mails := s.mails(p.email); len(mails) != 2 {
				t.Errorf("%d mails, want none to a verified address", len(mails))
			}
		})
	})
	// Of the links in several mails one works, and no transaction is stopped for being in the way of another.
	t.Run("AtOnce", func(t *testing.T) {
		on(t, func(s *studio) {
			p := s.signUp("person")
			s.settle()
			tokens := []string{s.mailedToken(p.email, "/verify-email/")}
			for range 3 {
				p.do(resendVerification, nil)
				s.settle()
				tokens = append(tokens, s.mailedToken(p.email, "/verify-email/"))
			}
			s.statements.take()
			wantOne(race(func(i int) *answer {
				return s.nobody().send(verifyEmail, vars{"token": tokens[i%len(tokens)]})
			}), fault.InvalidInput)
			begun := slices.DeleteFunc(s.statements.take(), func(statement string) bool { return statement != "BEGIN" })
			if len(begun) != atOnce {
				s.Errorf("%d transactions were begun, want one for each of %d requests", len(begun), atOnce)
			}
		})
	})
	// The clock stands still, so that another process's job waits until it moves.
	t.Run("BeforeResent", func(t *testing.T) {
		dbtest.Each(t, func(t *testing.T, open func(...db.Option) *db.DB) {
			s := start(t, open, &dbtest.Clock{Start: time.Now()})
			p := s.signUp("person")
			s.settle()
			user, err := s.db.UserByEmail(t.Context(), p.email)
			if err != nil {
				t.Fatal(err)
			}
			accounts := s.edge(job.NewQueue(s.db, mail.ErrPermanent), nil, 0).Accounts
			if queued, err := accounts.ResendVerification(t.Context(), &account.Caller{User: user}); err != nil || !queued {
				t.Fatal(queued, err)
			}
			s.nobody().do(verifyEmail, vars{"token": s.mailedToken(p.email, "/verify-email/")})
			s.clock.Advance(time.Minute)
			s.settle()
			if mails := s.mails(p.email); len(mails) != 1 {
				t.Errorf("%d mails, want that of the sign-up", len(mails))
			}
		})
	})
	t.Run("FiveMailsADay", func(t *testing.T) {
		on(t, func(s *studio) {
			p := s.signUp("person")
			s.settle() // or the sign-up's job would run again, as the clock ends its lease
			s.clock.Advance(24 * time.Hour)
			for range 5 {
				p.do(resendVerification, nil).want("resendVerificationEmail.requested", `true`)
			}
			limited := p.refused(fault.RateLimited, "", resendVerification, nil)
			if wait := gjson.Get(limited.body, "errors.0.extensions.retryAfter").Int(); wait < 1 || wait > 24*60*60 {
				t.Errorf("retryAfter is %d s, want up to a day", wait)
			}
			s.settle()
			if mails := s.mails(p.email); len(mails) != 6 {
				t.Errorf("%d mails, want that of the sign-up and five", len(mails))
			}
			s.clock.Advance(24 * time.Hour)
			p.do(resendVerification, nil)
		})
	})
}

// apiToken makes a token and returns who acts by it, and the ID of its entry.
func (p *person) apiToken(expiresAt *time.Time) (program *person, id string) {
	p.Helper()
	created := p.do(createAPIToken, vars{"name": "backup", "expires": expiresAt})
	program = &person{studio: p.studio, email: p.email, token: created.str("createApiToken.token")}
	return program, created.str("createApiToken.apiToken.id")
}

func TestAPITokens(t *testing.T) {
	t.Parallel()
	t.Run("Use", func(t *testing.T) {
		on(t, func(s *studio) {
			owner := s.signUp("owner")
			program, id := owner.apiToken(nil)
			if !strings.HasPrefix(program.token, "studio_pat_") {
				t.Errorf("the token %s is not recognizable", program.token)
			}
			owner.do(listAPITokens, nil).want("viewer.apiTokens", `[{"id":"`+id+`","name":"backup","lastUsedAt":null,"expiresAt":null}]`)
			program.isSignedIn()
			program.invite(owner.home(), "new@example.com")
			program.do(updateProfile, vars{"first": "Robot"}).want("updateProfile.user.firstName", `"Robot"`)
			program.do(listSessions, nil).want("viewer.sessions.#.current", `[false]`)
			used, err := time.Parse(time.RFC3339, owner.do(listAPITokens, nil).str("viewer.apiTokens.0.lastUsedAt"))
			if now := s.clock.Now(); err != nil || used.After(now) || used.Before(now.Add(-time.Hour)) {
				t.Errorf("last used at %v, it is %v; %v", used, now, err)
			}
		})
	})
	t.Run("BearerOnly", func(t *testing.T) {
		on(t, func(s *studio) {
			program, _ := s.signUp("person").apiToken(nil)
			s.nobody().post(http.Header{"Content-Type": {"application/json"}, "Cookie": {"studio_session=" + program.token}}, `{"query":"{ viewer { id } }"}`).
				want("viewer", `null`)
		})
	})
	t.Run("Newest", func(t *testing.T) {
		on(t, func(s *studio) {
			p := s.signUp("person")
			_, older := p.apiToken(nil)
			_, newer := p.apiToken(nil)
			p.do(listAPITokens, nil).want("viewer.apiTokens.#.id", `["`+newer+`","`+older+`"]`)
		})
	})
	t.Run("Revoke", func(t *testing.T) {
		on(t, func(s *studio) {
			p, other := s.signUp("person"), s.signUp("other")
			program, id := p.apiToken(nil)
			anothers := other.refused(fault.NotFound, "input.apiTokenId", revokeAPIToken, vars{"id": id})
			unknown := other.refused(fault.NotFound, "input.apiTokenId", revokeAPIToken, vars{"id": db.NewID(db.APITokenPrefix)})
			if anothers.body != unknown.body {
				t.Errorf("the answer tells which tokens there are: %s, %s", anothers.body, unknown.body)
			}
			program.isSignedIn()
			p.do(revokeAPIToken, vars{"id": id}).want("revokeApiToken.revokedApiTokenId", `"`+id+`"`)
			program.isNobody()
			p.do(listAPITokens, nil).want("viewer.apiTokens", `[]`)
		})
	})
	t.Run("Expiry", func(t *testing.T) {
		on(t, func(s *studio) {
			p := s.signUp("person")
			expiry := s.clock.Now().Add(24 * time.Hour)
			program, _ := p.apiToken(&expiry)
			s.clock.Advance(23 * time.Hour)
			program.isSignedIn()
			s.clock.Advance(time.Hour)
			program.isNobody()
			p.do(listAPITokens, nil).want("viewer.apiTokens.#", `1`)
		})
	})
	t.Run("ExpiryInThePast", func(t *testing.T) {
		on(t, func(s *studio) {
			p := s.signUp("person")
			s.unchanged(func() {
				p.refused(fault.InvalidInput, "input.expiresAt", createAPIToken, vars{"name": "backup", "expires": s.clock.Now().Add(-time.Second)})
			})
		})
	})
	t.Run("ExpiryWithoutTime", func(t *testing.T) {
		on(t, func(s *studio) {
			p := s.signUp("person")
			for _, query := range []string{
				createAPIToken, `mutation { createApiToken(input: { name: "backup", expiresAt: "2030-01-01" }) { token } }`,
			} {
				a := p.refused(fault.ValidationFailed, "input.expiresAt", query, vars{"name": "backup", "expires": ""})
				if !strings.Contains(a.body, "2026-01-31T09:30:00Z") {
					t.Errorf("the answer does not say what is accepted: %s", a.body)
				}
			}
		})
	})
	t.Run("Most", func(t *testing.T) {
		on(t, func(s *studio) {
			p, other := s.signUp("person"), s.signUp("other")
			expiry := s.clock.Now().Add(time.Hour)
			program, id := p.apiToken(nil)
			p.apiToken(&expiry)
			p.do("mutation {"+numbered(account.MaxAPITokens-2, ` a%d: createApiToken(input: { name: "backup" }) { token }`)+"}", nil)
			s.unchanged(func() { p.refused(fault.InvalidInput, "input.name", createAPIToken, vars{"name": "backup"}) })
			other.apiToken(nil)
			program.isSignedIn()
			s.clock.Advance(time.Hour)
			p.apiToken(nil) // in the place of the one that has expired
			p.refused(fault.InvalidInput, "input.name", createAPIToken, vars{"name": "backup"})
			p.do(revokeAPIToken, vars{"id": id})
			p.apiToken(nil)
			p.do(listAPITokens, nil).want("viewer.apiTokens.#", fmt.Sprint(account.MaxAPITokens))
		})
	})
	t.Run("Forbidden", func(t *testing.T) {
		on(t, func(s *studio) {
			p := s.signUp("person")
			program, tokenID := p.apiToken(nil)
			sessionID := p.do(listSessions, nil).str("viewer.sessions.0.id")
			s.unchanged(func() {
				for query, variables := range map[string]vars{
					changePassword: {"current": password, "new": newPassword},
					revokeSession:  {"id": sessionID},
					createAPIToken: {"name": "another"},
					revokeAPIToken: {"id": tokenID},
					signOut:        nil,
				} {
					program.refused(fault.Forbidden, "", query, variables)
				}
			})
			p.isSignedIn()
			program.isSignedIn()
			s.nobody().do(signIn, vars{"email": p.email, "password": password})
		})
	})
}

func TestUpdateProfile(t *testing.T) {
	t.Parallel()
	t.Run("GivenAlone", func(t *testing.T) {
		on(t, func(s *studio) {
			p := s.signUp("person")
			for _, step := range []struct{ fields, want string }{
				{`firstName: " Jane "`, `{"firstName":"Jane","lastName":"Example"}`},
				{`lastName: "Doe"`, `{"firstName":"Jane","lastName":"Doe"}`},
				{`firstName: null, lastName: "Roe"`, `{"firstName":"Jane","lastName":"Roe"}`},
				{`firstName: null, lastName: null`, `{"firstName":"Jane","lastName":"Roe"}`},
				{``, `{"firstName":"Jane","lastName":"Roe"}`},
				{`firstName: "Janet", lastName: "Roe-Doe"`, `{"firstName":"Janet","lastName":"Roe-Doe"}`},
			} {
				p.do(`mutation { updateProfile(input: { `+step.fields+` }) { user { firstName lastName } } }`, nil).want("updateProfile.user", step.want)
				p.do(`{ viewer { user { firstName lastName } } }`, nil).want("viewer.user", step.want)
			}
		})
	})
	t.Run("Refused", func(t *testing.T) {
		on(t, func(s *studio) {
			p := s.signUp("person")
			p.refused(fault.InvalidInput, "input.lastName", updateProfile, vars{"first": "Jane", "last": ""})
			p.do(`{ viewer { user { firstName lastName } } }`, nil).want("viewer.user", `{"firstName":"person","lastName":"Example"}`)
			s.nobody().refused(fault.Unauthenticated, "", updateProfile, vars{"first": "Jane"})
		})
	})
	// Each changes one name and must not put the other back to what it was when it began.
	t.Run("AtOnce", func(t *testing.T) {
		on(t, func(s *studio) {
			p := s.signUp("person")
			for i := range 20 {
				first, last := fmt.Sprint("first", i), fmt.Sprint("last", i)
				var both sync.WaitGroup
				both.Go(func() { p.do(updateProfile, vars{"first": first}) })
				both.Go(func() { p.do(updateProfile, vars{"last": last}) })
				both.Wait()
				p.do(`{ viewer { user { firstName lastName } } }`, nil).
					want("viewer.user", fmt.Sprintf(`{"firstName":%q,"lastName":%q}`, first, last))
			}
		})
	})
}

func TestTokensStored(t *testing.T) {
	on(t, func(s *studio) {
		owner := s.signUp("owner")
		owner.invite(owner.home(), "new@example.com")
		program, _ := owner.apiToken(nil)
		tokens := map[string]string{
			"session":      owner.token,
			"API":          program.token,
			"invitation":   s.mailedToken("new@example.com", "/invitations/"),
			"verification": s.mailedToken(owner.email, "/verify-email/"),
			"reset":        owner.requestsReset(),
		}
		var stored strings.Builder
		for _, rows := range dbtest.Dump(s.T, s.db) {
			_, _ = fmt.Fprintln(&stored, rows)
		}
		sent := strings.Join(s.statements.take(), "\n")
		for kind, token := range tokens {
			if !strings.Contains(stored.String(), db.HashToken(token)) {
				t.Errorf("the hash of the %s token is not stored; what was searched?", kind)
			}
			// What was stored for a moment, such as a job, was in a statement.
			if strings.Contains(stored.String(), token) || strings.Contains(sent, token) {
				t.Errorf("the %s token is stored", kind)
			}
		}
		for _, secret := range []string{password, newPassword} {
			if strings.Contains(stored.String(), secret) || strings.Contains(sent, secret) {
				t.Error("a password is stored")
			}
		}
	})
}
