package resolvers_test

// Bad input of every kind, and input that only looks bad.

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/tidwall/gjson"
	gql "github.com/vektah/gqlparser/v2/ast"

	"studio/db"
	"studio/fault"
)

// internal are words that only somebody who knows the server's insides would use.
var internal = regexp.MustCompile(`(?i)\b(sql\w*|pq|pgx|bun|panic\w*|goroutine|nil|null byte)\b`)

// rejects checks that a value is refused, and that the error is fit for people.
func (p *person) rejects(code fault.Code, field, query string, variables vars) *answer {
	p.Helper()
	a := p.refused(code, field, query, variables)
	for _, message := range gjson.Get(a.body, "errors.#.message").Array() {
		if message.String() == "" || len(message.String()) > 300 || internal.MatchString(message.String()) {
			p.Errorf("the error says %.400q", message.String())
		}
	}
	return a
}

// textInput is an input value that takes text. The document takes $value, and may take $org, an
// organization, and what it has: $member, an invitation, $instance and $endpoint.
type textInput struct {
	document, field string
	code            fault.Code
	bad             []string
}

// The values that no text input takes, whatever it is for.
var (
	empties  = []string{"", " ", "\u00a0\u2003"}
	controls = []string{"a\nb", "a\tb", "a\x00b", "a\x1bb", "a\u0085b", "a\u2028b", "a\u202eb", "a\u2066b", "\x00"}
	huge     = long(100_000)

	badEmails = append([]string{
		huge + "@example.com", long(243) + "@example.com", "a", "a@", "@example.com", "a@example", "a b@example.com", "a@b@example.com",
		"名前@example.com", "a@example.com\r\nBcc: b@example.com", "a\u202e@example.com", "a@example.com\x00",
	}, append(empties, controls...)...)
	badPasswords  = []string{"", "       ", "seven77", long(129), huge, "correct\x00horse"}
	badSubdomains = append([]string{
		long(17), huge, "with-hyphen", "dot.dot", "ünicode", "組織", "www", "ADMIN", "a b", "<b>", "'--",
	}, append(empties, controls...)...)
	badInstanceNames = append([]string{
		long(17), huge, "-one", "one-", "dot.dot", "ünicode", "組織", "a b", "<b>", "'--",
	}, append(empties, controls...)...)
	badHosts = append([]string{
		long(300), huge, "a b", "http://example.com", "example.com/x", "example.com:1", "user@example.com", "<b>", "'--", "-.example.com", "1.2.3.4.5",
	}, append(empties, controls...)...)
	badURLs = append([]string{
		"https://example.com/" + long(2000), huge, "example.com", "ftp://example.com", "javascript:alert(1)", "https://", "https:///x",
		"https://a b.example.com", "https://example.com:99999", "https://jane:secret@example.com", "組織",
	}, append(empties, controls...)...)
	wrongTexts = append([]string{huge, "wrong", "組織", "'; DROP TABLE users; --"}, append(empties, controls...)...)
	badSearch  = append([]string{long(101), huge}, controls...)
)

func badNames(limit int) []string {
	return append([]string{long(limit + 1), huge, "\u200b"}, append(empties, controls...)...)
}

// textInputs are all that take text, but for cursors and IDs; those of plans and regions are chosen by people.
var textInputs = []textInput{
	{`mutation($value: String!) { signUp(input: { email: $value, password: "correct horse", firstName: "Jane", lastName: "Doe" }) { token } }`,
		"input.email", fault.InvalidInput, badEmails},
	{`mutation($value: String!) { signUp(input: { email: "new@example.com", password: $value, firstName: "Jane", lastName: "Doe" }) { token } }`,
		"input.password", fault.InvalidInput, badPasswords},
	{`mutation($value: String!) { signUp(input: { email: "new@example.com", password: "correct horse", firstName: $value, lastName: "Doe" }) { token } }`,
		"input.firstName", fault.InvalidInput, badNames(40)},
	{`mutation($value: String!) { signUp(input: { email: "new@example.com", password: "correct horse", firstName: "Jane", lastName: $value }) { token } }`,
		"input.lastName", fault.InvalidInput, badNames(40)},
	{`mutation($value: String!) { signUp(input: {
		email: "new@example.com", password: "correct horse", firstName: "Jane", lastName: "Doe", subdomain: $value }) { token } }`,
		"input.subdomain", fault.InvalidInput, badSubdomains[:2]}, // the rest with createOrganization, which hashes no password
	{`mutation($value: String!) { signUp(input: {
		email: "new@example.com", password: "correct horse", firstName: "Jane", lastName: "Doe", invitationToken: $value }) { token } }`,
		"input.invitationToken", fault.InvitationInvalid, wrongTexts[:2]}, // the rest with acceptInvitation
	{`mutation($value: String!) { signIn(input: { email: $value, password: "correct horse" }) { token } }`,
		"input.email", fault.InvalidInput, badEmails},
	{`mutation($value: String!) { signIn(input: { email: "owner@example.com", password: $value }) { token } }`,
		"", fault.InvalidCredentials, badPasswords[3:]}, // with the next fewer than a throttle allows
	{`mutation($value: String!) { updateProfile(input: { firstName: $value }) { user { id } } }`,
		"input.firstName", fault.InvalidInput, badNames(40)},
	{`mutation($value: String!) { updateProfile(input: { lastName: $value }) { user { id } } }`,
		"input.lastName", fault.InvalidInput, badNames(40)},
	{`mutation($value: String!) { changePassword(input: { currentPassword: $value, newPassword: "another horse" }) { user { id } } }`,
		"input.currentPassword", fault.InvalidCredentials, badPasswords[4:]},
	{`mutation($value: String!) { changePassword(input: { currentPassword: "correct horse battery", newPassword: $value }) { user { id } } }`,
		"input.newPassword", fault.InvalidInput, badPasswords},
	{`mutation($value: String!) { requestPasswordReset(input: { email: $value }) { requested } }`,
		"input.email", fault.InvalidInput, badEmails},
	{`mutation($value: String!) { resetPassword(input: { token: $value, newPassword: "another horse" }) { user { id } } }`,
		"input.token", fault.InvalidInput, wrongTexts},
	{`mutation($value: String!) { resetPassword(input: { token: "unknown", newPassword: $value }) { user { id } } }`,
		"input.newPassword", fault.InvalidInput, badPasswords},
	{`mutation($value: String!) { verifyEmail(input: { token: $value }) { user { id } } }`,
		"input.token", fault.InvalidInput, wrongTexts},
	{`mutation($value: String!) { createApiToken(input: { name: $value }) { token } }`,
		"input.name", fault.InvalidInput, badNames(64)},
	{`mutation($value: Time!) { createApiToken(input: { name: "backup", expiresAt: $value }) { token } }`,
		"input.expiresAt", fault.ValidationFailed, []string{"", "tomorrow", "2999-02-30T00:00:00Z", "2999-01-01", "2999-01-01 00:00:00", huge, "\x00"}},
	{`mutation($value: Time!) { createApiToken(input: { name: "backup", expiresAt: $value }) { token } }`,
		"input.expiresAt", fault.InvalidInput, []string{"2001-01-01T00:00:00Z", "0000-01-01T00:00:00Z", "9999-12-31T23:59:59-14:00"}},
	{`mutation($value: String!) { createOrganization(input: { name: $value, subdomain: "free" }) { organization { id } } }`,
		"input.name", fault.InvalidInput, badNames(64)},
	{`mutation($value: String!) { createOrganization(input: { name: "New", subdomain: $value }) { organization { id } } }`,
		"input.subdomain", fault.InvalidInput, badSubdomains},
	{`mutation($org: ID!, $value: String!) { updateOrganization(input: { organizationId: $org, name: $value }) { organization { id } } }`,
		"input.name", fault.InvalidInput, badNames(64)},
	{`mutation($org: ID!, $value: String!) { deleteOrganization(input: { organizationId: $org, confirmName: $value }) { deletedOrganizationId } }`,
		"input.confirmName", fault.ConfirmationMismatch, wrongTexts},
	{`mutation($org: ID!, $value: String!) { leaveOrganization(input: { organizationId: $org, confirmName: $value }) { leftOrganizationId } }`,
		"input.confirmName", fault.ConfirmationMismatch, wrongTexts},
	{`mutation($org: ID!, $value: String!) { inviteUser(input: { organizationId: $org, email: $value }) { organizationUser { id } } }`,
		"input.email", fault.InvalidInput, badEmails},
	{`mutation($value: String!) { acceptInvitation(input: { token: $value }) { organizationUser { id } } }`,
		"input.token", fault.InvitationInvalid, wrongTexts},
	{`mutation($member: ID!, $value: String!) { removeOrganizationUser(input: { organizationUserId: $member, confirm: $value }) { removedOrganizationUserId } }`,
		"input.confirm", fault.ConfirmationMismatch, append([]string{"delete", "DELETE "}, wrongTexts...)},
	{`mutation($org: ID!, $value: String!) { createInstance(input: {
		organizationId: $org, name: $value, region: "us-east-1", computePlanId: "cloud-1gb", storageGb: 10 }) { instance { id } } }`,
		"input.name", fault.InvalidInput, badInstanceNames},
	{`mutation($org: ID!, $value: ID!) { createInstance(input: {
		organizationId: $org, name: "new", region: $value, computePlanId: "cloud-1gb", storageGb: 10 }) { instance { id } } }`,
		"input.region", fault.InvalidInput, wrongTexts},
	{`mutation($org: ID!, $value: ID!) { createInstance(input: {
		organizationId: $org, name: "new", region: "us-east-1", computePlanId: $value, storageGb: 10 }) { instance { id } } }`,
		"input.computePlanId", fault.InvalidInput, append([]string{"enterprise-1gb"}, wrongTexts...)},
	{`mutation($org: ID!, $value: String!) { registerInstance(input: {
		organizationId: $org, name: $value, host: "example.com", port: 9925, ssl: true, computePlanId: "enterprise-1gb" }) { instance { id } } }`,
		"input.name", fault.InvalidInput, badInstanceNames},
	{`mutation($org: ID!, $value: String!) { registerInstance(input: {
		organizationId: $org, name: "new", host: $value, port: 9925, ssl: true, computePlanId: "enterprise-1gb" }) { instance { id } } }`,
		"input.host", fault.InvalidInput, badHosts},
	{`mutation($org: ID!, $value: ID!) { registerInstance(input: {
		organizationId: $org, name: "new", host: "example.com", port: 9925, ssl: true, computePlanId: $value }) { instance { id } } }`,
		"input.computePlanId", fault.InvalidInput, append([]string{"cloud-1gb"}, wrongTexts...)},
	{`mutation($instance: ID!, $value: ID!) { resizeInstance(input: { instanceId: $instance, computePlanId: $value }) { instance { id } } }`,
		"input.computePlanId", fault.InvalidInput, append([]string{"enterprise-1gb"}, wrongTexts...)},
	{`mutation($instance: ID!, $value: String!) { deleteInstance(input: { instanceId: $instance, confirmName: $value }) { deletedInstanceId } }`,
		"input.confirmName", fault.ConfirmationMismatch, wrongTexts},
	{`mutation($org: ID!, $value: String!) { setCard(input: { organizationId: $org, paymentMethodId: $value }) { billing { id } } }`,
		"input.paymentMethodId", fault.InvalidInput, append([]string{"pm_", "tok_visa"}, wrongTexts...)},
	{`mutation($org: ID!, $value: String!) { addCoupon(input: { organizationId: $org, code: $value }) { coupon { id } } }`,
		"input.code", fault.CouponInvalid, wrongTexts},
	{`mutation($org: ID!, $value: String!) { createWebhookEndpoint(input: { organizationId: $org, url: $value }) { webhookEndpoint { id } } }`,
		"input.url", fault.InvalidInput, badURLs},
	{`mutation($endpoint: ID!, $value: String!) { updateWebhookEndpoint(input: { webhookEndpointId: $endpoint, url: $value }) { webhookEndpoint { id } } }`,
		"input.url", fault.InvalidInput, badURLs},
	{`query($value: String!) { viewer { organizations(search: $value) { totalCount } } }`,
		"search", fault.InvalidInput, badSearch},
	{`query($org: ID!, $value: String!) { organization(id: $org) { users(search: $value) { totalCount } } }`,
		"search", fault.InvalidInput, badSearch},
}

func TestInput(t *testing.T) {
	t.Parallel()
	t.Run("BadText", func(t *testing.T) {
		on(t, func(s *studio) {
			owner := s.verified("owner")
			org := owner.home()
			member := owner.invite(org, "invited@example.com")
			owner.setCard(org, "pm_card_visa")
			owner.do(addCoupon, vars{"org": org, "code": "WELCOME50"}) // makes the sandbox's coupons
			instance := owner.createInstance(org, "one", "cloud-1gb", 10)
			endpoint, _ := owner.endpoint(org, s.receiver(status(200)).URL)
			s.unchanged(func() {
				for _, input := range textInputs {
					for _, value := range input.bad {
						owner.rejects(input.code, input.field, input.document,
							vars{"value": value, "org": org, "member": member, "instance": instance, "endpoint": endpoint})
					}
				}
			})
			if mails := s.mails("new@example.com"); len(mails) > 0 {
				t.Errorf("mailed %v", mails)
			}
		})
	})
	t.Run("Complete", testInputsComplete)
	t.Run("UnknownText", testUnknownText)
	t.Run("GoodText", testGoodText)
	t.Run("BadID", testBadID)
	t.Run("UnknownNode", testUnknownNode)
	t.Run("BadCursor", testBadCursor)
	t.Run("PageSize", testPageSize)
}

// testInputsComplete holds what is tried against the schema.
func testInputsComplete(t *testing.T) {
	t.Parallel()
	tried := map[string]bool{}
	for _, input := range textInputs {
		for _, mutation := range calledMutation.FindAllStringSubmatch(input.document, 1) {
			tried[mutation[1]+" "+input.field] = true
		}
	}
	for _, input := range idInputs {
		tried[calledMutation.FindStringSubmatch(input.document)[1]+" input."+input.field] = true
	}
	tried["signIn input.password"] = true // whose error does not tell which of the two is wrong
	found := 0
	for _, root := range roots(schema()) {
		for _, value := range root.values() {
			if kind := value.kind.Name(); root.operation != gql.Mutation || kind != "String" && kind != "ID" {
				continue
			}
			found++
			if !tried[root.Name+" "+value.path] {
				t.Errorf("no bad value of %s %s is tried", root.Name, value.path)
			}
		}
	}
	if found < 50 {
		t.Errorf("the schema has %d inputs", found)
	}
}

// calledMutation finds the mutation of a document.
var calledMutation = regexp.MustCompile(`^mutation\([^)]*\) \{ (\w+)\(`)

// Where a text is looked up, what nothing has is answered with null.
func testUnknownText(t *testing.T) {
	on(t, func(s *studio) {
		owner := s.signUp("owner")
		for _, value := range wrongTexts {
			owner.do(`query($value: String!) { organizationBySubdomain(subdomain: $value) { id } }`, vars{"value": value}).
				want("organizationBySubdomain", `null`)
			owner.do(`query($value: String!) { invitation(token: $value) { email } }`, vars{"value": value}).want("invitation", `null`)
		}
		for _, value := range badSubdomains {
			owner.do(`query($value: String!) { subdomainAvailability(subdomain: $value) { available } }`, vars{"value": value}).
				want("subdomainAvailability.available", `false`)
		}
	})
}

// goodNames are what people and organizations are called, or say that they are called.
var goodNames = []string{
	"日本語", "العربية", "Ελληνικά", "नमस्ते", "👩\u200d👩\u200d👧\u200d👦 & co", "Jane 🏴\U000e0067\U000e0062\U000e007f",
	`<script>alert("x")</script>`, `Robert'); DROP TABLE users;--`, `" OR 1=1`, `%_\`, "$1 ? ?0 {{.}}", "null", "O'Neil", long(40),
}

func testGoodText(t *testing.T) {
	on(t, func(s *studio) {
		owner := s.signUp("owner")
		org := owner.home()
		owner.create("Zebra", "zebra")
		for i, name := range goodNames {
			values := vars{"org": org, "name": name}
			owner.do(`mutation($org: ID!, $name: String!) {
				updateProfile(input: { firstName: $name, lastName: $name }) { user { id } }
				updateOrganization(input: { organizationId: $org, name: $name }) { organization { id } }
				createApiToken(input: { name: $name }) { token }
			}`, values)
			// Nothing but this organization is called so, whatever the name means to a database.
			read := owner.do(`query($name: String!) { viewer { user { firstName lastName } apiTokens { name } organizations(search: $name) { nodes {
				name users(search: $name) { totalCount }
			} } } }`, values)
			for _, path := range []string{"user.firstName", "user.lastName", "apiTokens.0.name", "organizations.nodes.0.name"} {
				if got := read.str("viewer." + path); got != name {
					t.Errorf("%s is %q, want %q", path, got, name)
				}
			}
			read.want("viewer.organizations.nodes.#.users.totalCount", `[1]`)
			read.want("viewer.apiTokens.#", fmt.Sprint(i+1))

			invited := fmt.Sprintf("invited%d@example.com", i)
			owner.invite(org, invited)
			s.mailedToken(invited, "/invitations/")
			message := s.mails(invited)[0]
			for part, want := range map[string]string{message.Subject: name, message.Text: name, message.HTML: html.EscapeString(name)} {
				if !strings.Contains(part, want) {
					t.Errorf("no %q in %s", want, part)
				}
			}
			if strings.Contains(message.HTML, "<script") {
				t.Errorf("the mail holds a script: %s", message.HTML)
			}
		}
	})
}

// A value that takes an ID, with a document that takes $id.
var idInputs = []struct{ document, field, prefix string }{
	{`mutation($id: ID!) { updateOrganization(input: { organizationId: $id, name: "Mine" }) { organization { id } } }`, "organizationId", db.OrganizationPrefix},
	{`mutation($id: ID!) { deleteOrganization(input: { organizationId: $id, confirmName: "other's Organization" }) { deletedOrganizationId } }`,
		"organizationId", db.OrganizationPrefix},
	{`mutation($id: ID!) { leaveOrganization(input: { organizationId: $id, confirmName: "other's Organization" }) { leftOrganizationId } }`,
		"organizationId", db.OrganizationPrefix},
	{`mutation($id: ID!) { inviteUser(input: { organizationId: $id, email: "new@example.com" }) { organizationUser { id } } }`,
		"organizationId", db.OrganizationPrefix},
	{`mutation($id: ID!) { resendInvitation(input: { organizationUserId: $id }) { organizationUser { id } } }`, "organizationUserId", db.MembershipPrefix},
	{`mutation($id: ID!) { setOrganizationOwner(input: { organizationUserId: $id, isOwner: true }) { organizationUser { id } } }`,
		"organizationUserId", db.MembershipPrefix},
	{`mutation($id: ID!) { removeOrganizationUser(input: { organizationUserId: $id, confirm: "DELETE" }) { removedOrganizationUserId } }`,
		"organizationUserId", db.MembershipPrefix},
	{`mutation($id: ID!) { acceptInvitation(input: { organizationUserId: $id }) { organizationUser { id } } }`, "organizationUserId", db.MembershipPrefix},
	{`mutation($id: ID!) { declineInvitation(input: { organizationUserId: $id }) { declinedOrganizationUserId } }`, "organizationUserId", db.MembershipPrefix},
	{`mutation($id: ID!) { createInstance(input: { organizationId: $id, name: "x", region: "us-east-1", computePlanId: "cloud-1gb", storageGb: 10 }) {
		instance { id } } }`, "organizationId", db.OrganizationPrefix},
	{`mutation($id: ID!) { registerInstance(input: { organizationId: $id, name: "x", host: "localhost", port: 1, ssl: true, computePlanId: "enterprise-1gb" }) {
		instance { id } } }`, "organizationId", db.OrganizationPrefix},
	{`mutation($id: ID!) { resizeInstance(input: { instanceId: $id, storageGb: 100 }) { instance { id } } }`, "instanceId", db.InstancePrefix},
	{`mutation($id: ID!) { deleteInstance(input: { instanceId: $id, confirmName: "x" }) { deletedInstanceId } }`, "instanceId", db.InstancePrefix},
	{`mutation($id: ID!) { startCardSetup(input: { organizationId: $id }) { clientSecret } }`, "organizationId", db.OrganizationPrefix},
	{`mutation($id: ID!) { setCard(input: { organizationId: $id, paymentMethodId: "pm_card_visa" }) { billing { id } } }`,
		"organizationId", db.OrganizationPrefix},
	{`mutation($id: ID!) { removeCard(input: { organizationId: $id }) { billing { id } } }`, "organizationId", db.OrganizationPrefix},
	{`mutation($id: ID!) { addCoupon(input: { organizationId: $id, code: "WELCOME50" }) { coupon { id } } }`, "organizationId", db.OrganizationPrefix},
	{`mutation($id: ID!) { payInvoice(input: { invoiceId: $id }) { invoice { id } } }`, "invoiceId", db.InvoicePrefix},
	{`mutation($id: ID!) { createWebhookEndpoint(input: { organizationId: $id, url: "https://example.com/" }) { webhookEndpoint { id } } }`,
		"organizationId", db.OrganizationPrefix},
	{`mutation($id: ID!) { updateWebhookEndpoint(input: { webhookEndpointId: $id, enabled: false }) { webhookEndpoint { id } } }`,
		"webhookEndpointId", db.WebhookEndpointPrefix},
	{`mutation($id: ID!) { rotateWebhookSecret(input: { webhookEndpointId: $id }) { secret } }`, "webhookEndpointId", db.WebhookEndpointPrefix},
	{`mutation($id: ID!) { testWebhookEndpoint(input: { webhookEndpointId: $id }) { delivery { id } } }`, "webhookEndpointId", db.WebhookEndpointPrefix},
	{`mutation($id: ID!) { deleteWebhookEndpoint(input: { webhookEndpointId: $id }) { deletedWebhookEndpointId } }`,
		"webhookEndpointId", db.WebhookEndpointPrefix},
	{`mutation($id: ID!) { revokeSession(input: { sessionId: $id }) { revokedSessionId } }`, "sessionId", db.SessionPrefix},
	{`mutation($id: ID!) { revokeApiToken(input: { apiTokenId: $id }) { revokedApiTokenId } }`, "apiTokenId", db.APITokenPrefix},
}

// ids are one ID of each type of what a person has, and an invitation to their organization.
func (p *person) ids() map[string]string {
	p.Helper()
	_, token := p.apiToken(nil)
	home := p.home()
	p.invite(home, "invited@example.com")
	p.setCard(home, "pm_card_visa")
	instance := p.createInstance(home, "one", "cloud-2gb", 10)
	coupon := p.do(addCoupon, vars{"org": home, "code": "WELCOME50"}).str("addCoupon.coupon.id")
	endpoint, _ := p.endpoint(home, p.receiver(status(200)).URL)
	read := p.do(`{ viewer { user { id } sessions { id } landingOrganization {
		id users(status: INVITED) { nodes { id } } events { nodes { id } } billing { id invoices { nodes { id } } }
	} } }`, nil)
	return map[string]string{
		db.UserPrefix:         read.str("viewer.user.id"),
		db.SessionPrefix:      read.str("viewer.sessions.0.id"),
		db.APITokenPrefix:     token,
		db.OrganizationPrefix: home,
		db.MembershipPrefix:   read.str("viewer.landingOrganization.users.nodes.0.id"),
		db.EventPrefix:        read.str("viewer.landingOrganization.events.nodes.0.id"),
		db.InstancePrefix:     instance,
		db.BillingPrefix:      read.str("viewer.landingOrganization.billing.id"),
		db.InvoicePrefix:      read.str("viewer.landingOrganization.billing.invoices.nodes.0.id"),
		db.CouponPrefix:       coupon,

		db.WebhookEndpointPrefix: endpoint,
	}
}

// badIDs are IDs of nothing, misspelled ones of a type, and those of what another person has.
func badIDs(prefix string, others map[string]string) []string {
	id := others[prefix]
	bad := []string{"", " ", "garbage", "5", "'; --", huge[:10_000], "\x00",
		prefix, prefix + "_", prefix + "_\x00", strings.ToUpper(id), " " + id, id + "\x00", id + huge[:10_000]}
	for prefix, id := range others {
		bad = append(bad, id, db.NewID(prefix))
	}
	return bad
}

func testBadID(t *testing.T) {
	on(t, func(s *studio) {
		own, others := s.verified("own"), s.signUp("other").ids()
		ownIDs := own.ids()
		s.unchanged(func() {
			for _, input := range idInputs {
				unknown := own.rejects(fault.NotFound, "input."+input.field, input.document, vars{"id": db.NewID(input.prefix)})
				bad := badIDs(input.prefix, others)
				for prefix, id := range ownIDs {
					if prefix != input.prefix {
						bad = append(bad, id)
					}
				}
				for _, id := range bad {
					a := own.rejects(fault.NotFound, "input."+input.field, input.document, vars{"id": id})
					if a.body != unknown.body {
						t.Errorf("%.50q is answered with %s, an unknown ID with %s", id, a.body, unknown.body)
					}
				}
			}
		})
	})
}

func testUnknownNode(t *testing.T) {
	on(t, func(s *studio) {
		own, others := s.signUp("own"), s.signUp("other").ids()
		bad := badIDs(db.OrganizationPrefix, others)
		for _, id := range bad {
			own.do(`query($id: ID!) { node(id: $id) { id } }`, vars{"id": id}).want("node", `null`)
			own.do(`query($id: ID!) { organization(id: $id) { id } }`, vars{"id": id}).want("organization", `null`)
		}
		nodes := own.do(`query($ids: [ID!]!) { nodes(ids: $ids) { id } }`, vars{"ids": bad})
		nodes.want("nodes", `[`+strings.TrimSuffix(strings.Repeat(`null,`, len(bad)), ",")+`]`)
	})
}

// lists are all connections: how they are asked for, and where the answer has them.
var lists = []struct{ path, document string }{
	{"viewer.organizations", `{ viewer { organizations%s { totalCount pageInfo { hasNextPage hasPreviousPage } edges { cursor } } } }`},
	{"viewer.landingOrganization.users", `{ viewer { landingOrganization { users%s { totalCount pageInfo { hasNextPage hasPreviousPage } edges { cursor } } } } }`},
	{"viewer.landingOrganization.events", `{ viewer { landingOrganization { events%s { totalCount pageInfo { hasNextPage hasPreviousPage } edges { cursor } } } } }`},
	{"viewer.landingOrganization.instances", `{ viewer { landingOrganization { instances%s { totalCount pageInfo { hasNextPage hasPreviousPage } edges { cursor } } } } }`},
	{"viewer.landingOrganization.billing.invoices", `{ viewer { landingOrganization { billing { invoices%s { totalCount pageInfo { hasNextPage hasPreviousPage } edges { cursor } } } } } }`},
}

// forge changes the parts of a cursor. That cursors are JSON in base64 is no promise to clients, but
// what somebody may find out and try.
func forge(s *studio, cursor string, change func(parts []any) []any) string {
	s.Helper()
	text, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil {
		s.Fatal(err)
	}
	var parts []any
	if err := json.Unmarshal(text, &parts); err != nil {
		s.Fatal(err)
	}
	if text, err = json.Marshal(change(parts)); err != nil {
		s.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

// place replaces a cursor's place in its list.
func place(values ...any) func(parts []any) []any {
	return func(parts []any) []any { return append(parts[:1:1], values...) }
}

func testBadCursor(t *testing.T) {
	on(t, func(s *studio) {
		owner, other := s.signUp("owner"), s.signUp("other")
		for _, p := range []*person{owner, other} {
			p.setCard(p.home(), "pm_card_visa")
			p.createInstance(p.home(), "one", "cloud-2gb", 10)
		}
		for i, list := range lists {
			cursorOf := func(p *person, of int) string {
				return p.do(fmt.Sprintf(lists[of].document, ""), nil).str(lists[of].path + ".edges.0.cursor")
			}
			own := cursorOf(owner, i)
			if unchanged := forge(s, own, func(parts []any) []any { return parts }); unchanged != own {
				t.Fatalf("forged %s from %s: what follows would try nothing", unchanged, own)
			}
			bad := []string{
				"", " ", "garbage", "!", "\x00", huge, own + "=", own + "A", own[1:],
				base64.RawURLEncoding.EncodeToString([]byte("garbage")),
				base64.RawURLEncoding.EncodeToString([]byte(`{}`)),
				cursorOf(owner, (i+1)%len(lists)),
				forge(s, own, place()),
				forge(s, own, place(nil)),
				forge(s, own, place(true)),
				forge(s, own, place(1.5)),
				forge(s, own, place("a\x00b")),
				forge(s, own, place("a\x00b", "a\x00b")),
				forge(s, own, place(json.Number("99999999999999999999"))),
				forge(s, own, place([]any{}, vars{})),
				forge(s, own, func(parts []any) []any { return append(parts, "more") }),
				// A number where a text belongs, and the other way round.
				forge(s, own, func(parts []any) []any {
					if _, isText := parts[1].(string); isText {
						parts[1] = 1
					} else {
						parts[1] = "text"
					}
					return parts
				}),
			}
			if list.path != "viewer.organizations" { // whose cursors hold nothing of the viewer's
				bad = append(bad, cursorOf(other, i))
			}
			for _, field := range []string{"after", "before"} {
				query := "query($cursor: String!) " + fmt.Sprintf(list.document, "("+field+": $cursor)")
				for _, cursor := range bad {
					owner.rejects(fault.InvalidInput, field, query, vars{"cursor": cursor})
				}
			}
		}
	})
}

func testPageSize(t *testing.T) {
	on(t, func(s *studio) {
		owner := s.signUp("owner")
		owner.setCard(owner.home(), "pm_card_visa")
		owner.createInstance(owner.home(), "one", "cloud-2gb", 10)
		for _, list := range lists {
			for arguments, want := range map[string]struct {
				code  fault.Code
				field string
			}{
				`first: -1`:           {fault.InvalidInput, "first"},
				`last: -1`:            {fault.InvalidInput, "last"},
				`first: 101`:          {fault.InvalidInput, "first"},
				`last: 101`:           {fault.InvalidInput, "last"},
				`first: -2147483648`:  {fault.InvalidInput, "first"},
				`first: 2147483648`:   {fault.ValidationFailed, "first"},
				`last: 2147483648`:    {fault.ValidationFailed, "last"},
				`first: 1, last: 1`:   {fault.InvalidInput, "last"},
				`first: 0, last: 0`:   {fault.InvalidInput, "last"},
				`first: 101, last: 1`: {fault.InvalidInput, "last"},
			} {
				owner.rejects(want.code, want.field, fmt.Sprintf(list.document, "("+arguments+")"), nil)
			}
			all := owner.do(fmt.Sprintf(list.document, "(first: 100)"), nil)
			total := all.get(list.path + ".totalCount").Raw
			if all.want(list.path+".edges.#", total); total == "0" {
				t.Fatalf("the list %s is empty", list.path)
			}
			for arguments, info := range map[string]string{
				`first: 0`:             `{"hasNextPage":true,"hasPreviousPage":false}`,
				`last: 0`:              `{"hasNextPage":false,"hasPreviousPage":true}`,
				`first: 0, last: null`: `{"hasNextPage":true,"hasPreviousPage":false}`,
			} {
				empty := owner.do(fmt.Sprintf(list.document, "("+arguments+")"), nil)
				empty.want(list.path, `{"totalCount":`+total+`,"pageInfo":`+info+`,"edges":[]}`)
			}
		}
	})
}

// TestRequestErrors holds what is told of a request that nothing is done with.
func TestRequestErrors(t *testing.T) {
	const found = `mutation($input: CreateOrganizationInput!) { createOrganization(input: $input) { organization { id } } }`
	on(t, func(s *studio) {
		for name, test := range map[string]struct{ query, variables, field, message string }{
			"Fraction":     {`query($first: Int) { viewer { organizations(first: $first) { totalCount } } }`, `{"first":1.5}`, "first", "This value does not fit the type of first."},
			"Missing":      {`query($id: ID!) { node(id: $id) { id } }`, `{}`, "id", "id: must be defined."},
			"Null":         {`query($id: ID!) { node(id: $id) { id } }`, `{"id":null}`, "id", "id: cannot be null."},
			"InList":       {`query($ids: [ID!]!) { nodes(ids: $ids) { id } }`, `{"ids":["a",true]}`, "ids.1", "This value does not fit the type of ids.1."},
			"InInput":      {found, `{"input":{"name":true,"subdomain":"x"}}`, "input.name", "This value does not fit the type of input.name."},
			"NoName":       {`query A { __typename } query B { __typename }`, `{}`, "", "Name one of the document's operations in operationName."},
			"Number":       {found, `{"input":{"name":1.50,"subdomain":"x"}}`, "input.name", "This value does not fit the type of input.name."},
			"WholeNumber":  {found, `{"input":{"name":"x","subdomain":77}}`, "input.subdomain", "This value does not fit the type of input.subdomain."},
			"UnknownInput": {found, `{"input":{"name":"x","nome":"x"}}`, "input.nome", "input.nome: unknown field."},
		} {
			s.Run(name, func(t *testing.T) {
				a := s.nobody().in(t).postJSON(fmt.Sprintf(`{"query":%q,"variables":%s}`, test.query, test.variables))
				a.check(fault.ValidationFailed, test.field)
				if got := gjson.Get(a.body, "errors.0.message").String(); got != test.message {
					t.Errorf("the error says %q", got)
				}
				if gjson.Get(a.body, "errors.0.path").Exists() {
					t.Errorf("the error has a path: %s", a.body)
				}
			})
		}
	})
}

// TestUnfitValues holds that of an operation with a value that does not fit its type nothing runs.
func TestUnfitValues(t *testing.T) {
	const (
		register = `registerInstance(input: { organizationId: "org_x", name: "x", host: "example.com", ssl: true, computePlanId: "x", port: %s }) { instance { id } }`
		expire   = `createApiToken(input: { name: "x", expiresAt: %s }) { token }`
		follow   = `createWebhookEndpoint(input: { organizationId: "org_x", url: "https://example.com", eventTypes: %s }) { secret }`
		notFit   = "This value does not fit the type of "
		aTime    = "Write a time as in RFC 3339"
	)
	on(t, func(s *studio) {
		owner := s.signUp("owner")
		for name, test := range map[string]struct{ declares, second, variables, field, message string }{
			"Literal":         {``, fmt.Sprintf(register, `3000000000`), `{}`, "input.port", notFit},
			"Variable":        {`($port: Int!)`, fmt.Sprintf(register, `$port`), `{"port":3000000000}`, "input.port", notFit},
			"Fraction":        {`($port: Int!)`, fmt.Sprintf(register, `$port`), `{"port":443.0}`, "input.port", notFit},
			"Digits":          {`($port: Int!)`, fmt.Sprintf(register, `$port`), `{"port":"3000000000"}`, "input.port", notFit},
			"Input":           {`($input: ResizeInstanceInput!)`, `resizeInstance(input: $input) { instance { id } }`, `{"input":{"instanceId":"x","storageGb":-2147483649}}`, "input.storageGb", notFit},
			"Nested":          {``, `...F } fragment F on Mutation { ... { signIn(input: { email: "x", password: "x" }) { viewer { organizations(first: 2147483648) { totalCount } } } }`, `{}`, "first", notFit},
			"TimeLiteral":     {``, fmt.Sprintf(expire, `"not a time"`), `{}`, "input.expiresAt", aTime},
			"TimeIsNumber":    {``, fmt.Sprintf(expire, `20300101`), `{}`, "input.expiresAt", aTime},
			"TimeVariable":    {`($at: Time)`, fmt.Sprintf(expire, `$at`), `{"at":"not a time"}`, "input.expiresAt", aTime},
			"EnumInOtherCase": {`($of: [EventType!])`, fmt.Sprintf(follow, `$of`), `{"of":["USER_INVITED","user_invited"]}`, "input.eventTypes.1", notFit},
			"EnumAlone":       {`($of: [EventType!])`, fmt.Sprintf(follow, `$of`), `{"of":"user_invited"}`, "input.eventTypes.0", notFit},
		} {
			s.Run(name, func(t *testing.T) {
				p := owner.in(t)
				query := `mutation` + test.declares + ` { first: createApiToken(input: { name: "x" }) { token } ` + test.second + ` }`
				p.unchanged(func() {
					for range 2 { // the second time the document is known
						a := p.post(http.Header{"Content-Type": {"application/json"}, "Accept": {"application/graphql-response+json"}},
							fmt.Sprintf(`{"query":%q,"variables":%s}`, query, test.variables))
						a.check(fault.ValidationFailed, test.field)
						refusal := gjson.Get(a.body, "errors.0")
						isTold := strings.HasPrefix(refusal.Get("message").String(), test.message)
						if a.status != 400 || !isTold || refusal.Get("path").Exists() || gjson.Get(a.body, "data").Exists() {
							t.Errorf("the answer is %d %s", a.status, a.body)
						}
					}
				})
			})
		}
		const first = `query($first: Int) { viewer { organizations(first: $first) { totalCount } } }`
		owner.refused(fault.ValidationFailed, "first", first, vars{"first": json.RawMessage(`5.0`)})
		owner.do(first, vars{"first": "5"})
	})
}
