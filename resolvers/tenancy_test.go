package resolvers_test

// Which organization a statement is about: the whole API is driven, and each statement on a table of
// organizations must name its organization, or be listed here with the reason why it does not.

import (
	"errors"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"studio/db"
	"studio/db/dbtest"
	"studio/event"
	"studio/job"
	"studio/mail"
)

// tenantKeys are the columns by which the rows of a table belong to an organization each; deliveries
// have none, and belong to their endpoint.
var tenantKeys = map[string]string{
	"organizations": "id", "memberships": "organization_id", "instances": "organization_id", "billing_accounts": "organization_id",
	"invoices": "organization_id", "coupons": "organization_id", "events": "organization_id",
	"webhook_endpoints": "organization_id", "webhook_deliveries": "organization_id",
}

// unnamed are the statements that name no organization, under the reason why not, and without what they
// select, set, insert and sort by.
var unnamed = map[string][]string{
	"by user": {
		"SELECT …, (SELECT count(*) FROM memberships AS c JOIN organizations AS o ON o.id = c.organization_id WHERE c.user_id = u.id AND o.deleted_at IS NULL) FROM sessions AS s JOIN users AS u ON u.id = s.user_id WHERE s.token_hash = ? AND (s.expires_at IS NULL OR s.expires_at > ?)",
		"SELECT …, (SELECT count(*) FROM memberships AS c JOIN organizations AS o ON o.id = c.organization_id WHERE c.user_id = u.id AND o.deleted_at IS NULL) FROM api_tokens AS s JOIN users AS u ON u.id = s.user_id WHERE s.token_hash = ? AND (s.expires_at IS NULL OR s.expires_at > ?)",
		"SELECT … FROM sessions AS s JOIN memberships AS m ON m.user_id = s.user_id JOIN organizations AS o ON o.id = m.organization_id WHERE s.token_hash = ? AND (s.expires_at IS NULL OR s.expires_at > ?) AND o.deleted_at IS NULL",
		"SELECT … FROM sessions AS s JOIN memberships AS m ON m.user_id = s.user_id JOIN organizations AS o ON o.id = m.organization_id LEFT JOIN billing_accounts AS b ON b.organization_id = o.id WHERE s.token_hash = ? AND (s.expires_at IS NULL OR s.expires_at > ?) AND o.deleted_at IS NULL",
		"SELECT … FROM organizations AS o JOIN memberships AS m ON m.organization_id = o.id WHERE (o.deleted_at IS NULL) AND (m.user_id = ?)",
		"SELECT count(*) FROM organizations AS o JOIN memberships AS m ON m.organization_id = o.id WHERE (o.deleted_at IS NULL) AND (m.user_id = ?)",
		"SELECT … FROM organizations AS o JOIN memberships AS m ON m.organization_id = o.id WHERE (o.deleted_at IS NULL) AND (m.user_id = ?) AND (o.name_key LIKE ? ESCAPE ?)",
		"SELECT count(*) FROM organizations AS o JOIN memberships AS m ON m.organization_id = o.id WHERE (o.deleted_at IS NULL) AND (m.user_id = ?) AND (o.name_key LIKE ? ESCAPE ?)",
	},
	"by place: each user comes with an organization": {
		"SELECT … FROM memberships AS m WHERE ((user_id, organization_id) IN (SELECT * FROM unnest(?::text[], ?::text[])))",
	},
	"by address: invitations come from any organization": {
		"SELECT … FROM memberships AS m WHERE (m.status = ? AND m.email = ? AND m.invitation_expires_at > ?)",
		"SELECT … FROM memberships AS m WHERE (email = ANY (?::text[])) AND (status = ?) AND (invitation_expires_at > ?)",
	},
	"by subdomain, which is unique over all": {
		"SELECT EXISTS (SELECT … FROM organizations AS o WHERE (subdomain = ?))",
		"SELECT … FROM organizations AS o WHERE (o.deleted_at IS NULL) AND (o.subdomain = ?)",
	},
	"by ID: the API's IDs do not tell the organization": {
		"SELECT … FROM memberships AS m WHERE (m.id = ?)",
		"SELECT … FROM memberships AS m WHERE (m.id = ANY (?::text[]))",
		"SELECT … FROM instances AS i WHERE (i.id = ?)",
		"SELECT … FROM instances AS i WHERE (i.id = ANY (?::text[]))",
		"SELECT … FROM invoices AS v WHERE (v.id = ?)",
		"SELECT … FROM invoices AS v WHERE (v.id = ANY (?::text[]))",
		"SELECT … FROM coupons AS k WHERE (k.id = ANY (?::text[])) AND (granted_at IS NOT NULL)",
		"SELECT … FROM webhook_endpoints AS we WHERE (id = ?)",
		"SELECT … FROM webhook_endpoints AS we WHERE (id = ANY (?::text[]))",
		"SELECT … FROM events AS e WHERE (id = ?)",
		"SELECT … FROM events AS e WHERE (id = ANY (?::text[]))",
	},
	"by ID, of a row that was read and whose organization is known": {
		"UPDATE memberships AS m SET … WHERE (m.id = ?)",
		"DELETE FROM memberships AS m WHERE (id = ?)",
		"UPDATE instances AS i SET … WHERE (i.id = ?)",
		"UPDATE instances AS i SET … WHERE (id = ?)",
		"DELETE FROM instances AS i WHERE (id = ?)",
		"UPDATE invoices AS v SET … WHERE (v.id = ?)",
		"UPDATE coupons AS k SET … WHERE (id = ?) AND (granted_at IS NULL)",
		"DELETE FROM coupons AS k WHERE (id = ?) AND (granted_at IS NULL)",
		"UPDATE webhook_endpoints AS we SET … WHERE (we.id = ?)",
		"DELETE FROM webhook_endpoints AS we WHERE (we.id = ?)",
	},
	"by ID: a job has no more": {
		"UPDATE memberships AS m SET … WHERE (id = ?) AND (invitation_job_id = ?)",
		"INSERT INTO link_tokens (token_hash, purpose, subject_id, expires_at) SELECT ?, m.id, m.invitation_expires_at FROM memberships AS m WHERE (m.id = ?) AND (m.invitation_job_id = ?) AND (m.status = ?) AND (m.invitation_expires_at > ?) FOR UPDATE",
		"SELECT … FROM webhook_deliveries AS wd WHERE (id = ?)",
		"UPDATE webhook_deliveries AS wd SET … WHERE (wd.id = ?)",
	},
	"by ID: a job, or the link in a mail, has no more": {
		"SELECT o.name AS organization_name, m.email, m.invitation_expires_at AS expires_at, u.first_name, u.last_name, EXISTS (SELECT ? FROM users AS a WHERE a.email = m.email) AS account_exists FROM memberships AS m JOIN organizations AS o ON o.id = m.organization_id JOIN users AS u ON u.id = m.invited_by_id WHERE (m.id = ?) AND (m.status = ?) AND (m.invitation_expires_at > ?) AND (o.deleted_at IS NULL)",
	},
	"by endpoint: a delivery does not hold its organization": {
		"INSERT INTO webhook_deliveries",
		"SELECT * FROM (SELECT list.* FROM unnest(?::text[]) AS p (id) CROSS JOIN LATERAL (SELECT …, (SELECT … FROM jobs AS j WHERE j.id = wd.job_id AND j.failed_at IS NULL AND wd.status = ?) AS next_attempt_at FROM webhook_deliveries AS wd WHERE (endpoint_id = p.id)) AS list) AS lists",
	},
	"by Stripe's ID: its webhooks name the customer": {
		"SELECT … FROM billing_accounts AS b WHERE (customer_id = ?)",
	},
	"over all: the redemptions of a promotion code and its coupon are limited together": {
		"SELECT count(*) FILTER (WHERE promotion_code_id = ?), count(*) FROM coupons AS k WHERE (promotion_code_id = ? OR stripe_id = ?)",
	},
	"over all: a sweep": {
		"SELECT … FROM billing_accounts AS b JOIN organizations AS o ON o.id = b.organization_id WHERE (o.deleted_at IS NULL) AND (organization_id > ?)",
		"DELETE FROM webhook_deliveries AS wd WHERE (created_at < ?)",
	},
}

var (
	quoted      = regexp.MustCompile(`'(?:[^']|'')*'`)
	blank       = regexp.MustCompile(`\s+`)
	placeholder = regexp.MustCompile(`\$\d+|\b\d+\b`)
	several     = regexp.MustCompile(`\?(?:, \?)+`)

	ofOrganization  = regexp.MustCompile(`\(SELECT count\(\*\) FROM \w+ AS c WHERE c\.organization_id = o\.id\)|coalesce\(b\.credit, \?\)`)
	selectedColumns = regexp.MustCompile(`SELECT [\w.]+(?:, [\w.]+)*(,| FROM)`)
	setColumns      = regexp.MustCompile(`SET .* WHERE`)
	insertedColumns = regexp.MustCompile(`^(INSERT INTO \w+) .* VALUES .*`)
	ordered         = regexp.MustCompile(`(?: ORDER BY [\w., ]+?)?(?: LIMIT \?)?(\)|$)`)

	assigned    = regexp.MustCompile(`(SET|,) organization_id = \?`)
	inserted    = regexp.MustCompile(`^INSERT INTO (\w+)(?: AS \w+)? \((.*?)\) VALUES`)
	source      = regexp.MustCompile(`(?:FROM|JOIN|UPDATE) (\w+)(?: AS (\w+))?`)
	given       = regexp.MustCompile(`((?:\w+\.)?(?:id|organization_id)) (?:= |IN \(|= ANY \()(?:\?|p\.id)`)
	joinedByKey = regexp.MustCompile(`(\w+\.(?:id|organization_id)) = (\w+\.(?:id|organization_id))`)
)

// shape is a statement without its values.
func shape(statement string) string {
	text := strings.ReplaceAll(quoted.ReplaceAllString(statement, "?"), `"`, "")
	return several.ReplaceAllString(placeholder.ReplaceAllString(blank.ReplaceAllString(text, " "), "?"), "?")
}

// brief is a shape without what is selected, set or inserted, and without the order.
func brief(shape string) string {
	shape = selectedColumns.ReplaceAllString(ofOrganization.ReplaceAllString(shape, "o.x"), "SELECT …$1")
	shape = setColumns.ReplaceAllString(shape, "SET … WHERE")
	return ordered.ReplaceAllString(insertedColumns.ReplaceAllString(shape, "$1"), "$1")
}

// tenants are the tables of organizations in a statement's shape, and whether each is bound to
// organizations that are given, by a value or by a join with what is.
func tenants(shape string) (tables []string, named bool) {
	if insert := inserted.FindStringSubmatch(shape); insert != nil {
		key, is := tenantKeys[insert[1]]
		if !is {
			return nil, true
		}
		return []string{insert[1]}, slices.Contains(strings.Split(insert[2], ", "), key)
	}
	shape = assigned.ReplaceAllString(shape, "$1")
	bound := map[string]bool{}
	for _, match := range given.FindAllStringSubmatch(shape, -1) {
		bound[match[1]] = true
	}
	joins := joinedByKey.FindAllStringSubmatch(shape, -1)
	for range joins {
		for _, join := range joins {
			both := bound[join[1]] || bound[join[2]]
			bound[join[1]], bound[join[2]] = both, both
		}
	}
	named = true
	for _, match := range source.FindAllStringSubmatch(shape, -1) {
		if key, is := tenantKeys[match[1]]; is {
			tables = append(tables, match[1])
			named = named && (bound[match[2]+"."+key] || bound[key])
		}
	}
	return tables, named
}

// TestTenants shows what is taken for a statement that names its organization.
func TestTenants(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, statement string
		named           bool
	}{
		{"Value", `SELECT "m"."id" FROM "memberships" AS "m" WHERE (organization_id = 'org_1') AND (email = 'it''s')`, true},
		{"Values", `SELECT * FROM "invoices" AS "v" WHERE ("v"."organization_id" IN ('org_1', 'org_2'))`, true},
		{"OneOf", `SELECT * FROM "invoices" AS "v" WHERE (v.organization_id = ANY ('{"org_1","org_2"}'::text[]))`, true},
		{"Parameter", `SELECT o.id FROM organizations AS o WHERE o.id = $3`, true},
		{"Join", `SELECT 1 FROM organizations AS o JOIN memberships AS m ON o.id = m.organization_id WHERE o.id = $1`, true},
		{"Insert", `INSERT INTO "coupons" AS "k" ("id", "organization_id") VALUES ('coup_1', 'org_1')`, true},
		{"NoTenant", `SELECT * FROM "users" AS "u" WHERE ("u"."email" = 'x')`, true},
		{"PrimaryKey", `SELECT * FROM "memberships" AS "m" WHERE ("m"."id" = 'mem_1')`, false},
		{"OnlySet", `UPDATE "memberships" AS "m" SET "organization_id" = 'org_1', "email" = 'x' WHERE ("m"."id" = 'mem_1')`, false},
		{"JoinOfNone", `SELECT 1 FROM organizations AS o JOIN memberships AS m ON o.id = m.organization_id WHERE m.user_id = $1`, false},
		{"JoinWithoutKey", `SELECT 1 FROM coupons AS k JOIN events AS e ON e.subject_id = k.id WHERE k.organization_id = $1`, false},
		{"OnlySelected", `SELECT organization_id FROM instances AS i WHERE i.subscription_id = $1`, false},
		{"Range", `SELECT * FROM "billing_accounts" AS "b" WHERE (organization_id > 'org_1')`, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if _, named := tenants(shape(test.statement)); named != test.named {
				t.Errorf("named: %v, want %v", named, test.named)
			}
		})
	}
}

// TestStatementsNameTheirOrganization drives everything that the server does.
func TestStatementsNameTheirOrganization(t *testing.T) {
	t.Parallel()
	address := dbtest.Postgres(t)
	sent := &statements{} // apart from the server's, which waiting for streams takes
	s := start(t, func(options ...db.Option) *db.DB {
		return dbtest.Open(t, address, append(options, db.WithStatementHook(sent.add))...)
	}, &dbtest.Clock{})

	called := driveAll(s)
	for _, r := range roots(schema()) {
		if !regexp.MustCompile(`\b` + r.Name + `\b`).MatchString(called) {
			t.Errorf("nothing here calls %s", r.Name)
		}
	}

	listed := slices.Concat(slices.Collect(maps.Values(unnamed))...)
	met, reached := map[string]bool{}, map[string]bool{}
	for _, statement := range slices.Compact(slices.Sorted(slices.Values(sent.take()))) {
		text := shape(statement)
		tables, named := tenants(text)
		for _, table := range tables {
			reached[table] = true
		}
		if brief := brief(text); !named && !met[brief] {
			met[brief] = true
			if !slices.Contains(listed, brief) {
				t.Errorf("a statement on %v names no organization, and the list does not say why:\n%s", tables, brief)
			}
		}
	}
	for reason, statements := range unnamed {
		for _, statement := range statements {
			if !met[statement] {
				t.Errorf("no statement goes %q (%s); take it off the list", statement, reason)
			}
		}
	}
	for table := range tenantKeys {
		if !reached[table] {
			t.Errorf("no statement on %s was sent", table)
		}
	}
}

// driveAll calls every root field so that it succeeds, and has every job, stream, webhook and sweep
// run. It returns the operations.
func driveAll(s *studio) string {
	var called strings.Builder
	do := func(p *person, query string, variables vars) *answer {
		s.Helper()
		called.WriteString(query)
		return p.do(query, variables)
	}
	follow := func(p *person, query string, variables vars) *stream {
		s.Helper()
		called.WriteString(query)
		return overSSE(p, query, variables)
	}

	// People.
	owner, second, member := s.signUp("owner"), s.verified("second"), s.verified("member")
	guest, refuser, leaver := s.verified("guest"), s.verified("refuser"), s.signUp("leaver")
	do(owner, resendVerification, nil)
	do(owner, verifyEmail, vars{"token": s.mailedToken(owner.email, "/verify-email/")})
	do(owner, updateProfile, vars{"first": "Ada"})
	do(owner, changePassword, vars{"current": password, "new": newPassword})
	do(owner, requestReset, vars{"email": owner.email})
	do(owner, resetPassword, vars{"token": s.mailedToken(owner.email, "/reset-password/"), "new": password})
	owner.token = do(s.nobody(), signIn, vars{"email": owner.email, "password": password}).str("signIn.token")
	do(owner.elsewhere(), signOut, nil)
	do(owner, revokeSession, vars{"id": owner.elsewhere().session()})
	program := do(owner, createAPIToken, vars{"name": "program"})
	do(s.with(program.str("createApiToken.token")), countOrganizations, nil)
	do(owner, revokeAPIToken, vars{"id": program.str("createApiToken.apiToken.id")})

	// Organizations, their users, and the streams that tell of them.
	home := owner.home()
	org := vars{"org": home}
	receives := follow(member, followReceived, nil)
	member.goesLive()
	hears := follow(owner, followEvents, vars{"org": home, "after": owner.founded(home)})
	accepts := follow(owner, followAccepted, org)
	owner.goesLive()
	r := s.receiver(nil)
	endpoint := do(owner, createWebhookEndpoint, vars{"org": home, "url": r.URL}).str("createWebhookEndpoint.webhookEndpoint.id")
	do(owner, checkSubdomain, vars{"subdomain": "spare"})
	spare := do(owner, createOrganization, vars{"name": "Spare", "subdomain": "spare"}).str("createOrganization.organization.id")
	do(owner, organizationAtDomain, vars{"subdomain": "spare"})
	do(owner, updateOrganization, vars{"org": home, "name": "Home"})
	joining := do(owner, inviteUser, vars{"org": home, "email": member.email}).str("inviteUser.organizationUser.id")
	receives.receive()
	do(owner, resendInvitation, vars{"id": joining})
	do(member, viewerInvitations, nil)
	do(s.nobody(), previewInvitation, vars{"token": s.invitationToken(member.email, 2)})
	do(member, acceptInvitation, vars{"id": joining})
	accepts.receive()
	hears.receive()
	owner.join(home, second)
	for _, isOwner := range []bool{true, false} {
		do(owner, setOwner, vars{"id": second.membership(home), "isOwner": isOwner})
	}
	do(refuser, declineInvitation, vars{"id": owner.invite(home, refuser.email)})
	do(owner, removeUser, vars{"id": owner.join(home, guest)})
	owner.join(home, leaver)
	do(leaver, leaveOrganization, vars{"org": home, "name": "Home"})
	owner.invite(home, "new@example.com")
	do(s.nobody(), signUp, registration(vars{"invitationToken": s.mailedToken("new@example.com", "/invitations/")}))

	// Billing and instances.
	do(owner, `{ catalog { regions { id } } }`, nil)
	do(owner, `mutation($org: ID!) { startCardSetup(input: { organizationId: $org }) { clientSecret } }`, org)
	do(owner, setCard, vars{"org": home, "method": "pm_card_visa"})
	do(owner, addCoupon, vars{"org": home, "code": "TENPERCENT"})
	free := do(owner, createInstance, vars{"org": home, "name": "free", "plan": "cloud-1gb", "storage": 10}).str("createInstance.instance.id")
	owner.runs(free)
	paid := owner.createInstance(home, "paid", "cloud-2gb", 10)
	license := do(owner, registerInstance, vars{"org": home, "name": "license", "plan": "enterprise-4gb", "host": "db.example.com", "port": 9925, "ssl": true}).
		str("registerInstance.instance.id")
	owner.runs(license)
	do(owner, resizeInstance, vars{"id": paid, "plan": "cloud-4gb"})
	owner.runs(paid)
	owner.setCard(home, "pm_card_chargeCustomerFail")
	s.passTo(s.db.Now().AddDate(0, 1, 1))
	open := owner.billing(home, `invoices(status: OPEN) { totalCount nodes { id } }`).str("invoices.nodes.0.id")
	owner.setCard(home, "pm_card_visa")
	do(owner, payInvoice, vars{"id": open})

	// Webhooks, also such as do not arrive.
	s.wantMessages(r, 1)
	do(owner, testWebhookEndpoint, vars{"id": endpoint})
	do(owner, rotateWebhookSecret, vars{"id": endpoint})
	r.answers(status(http.StatusGone))
	do(owner, updateOrganization, vars{"org": home, "name": "Home again"})
	s.eventually("an endpoint that is gone to be disabled", func() bool {
		return owner.do(webhookEndpoints, org).get("organization.webhookEndpoints.0.disabledAt").String() != ""
	})
	r.answers(nil)
	do(owner, updateWebhookEndpoint, vars{"id": endpoint, "enabled": true})

	// All that is read, page by page and by ID. What has a plan is also executed: person.compare does that.
	list := do(owner, `query($org: ID!) { organization(id: $org) { deletionBlockers { code } viewerMembership { organization { id } }
		users(last: 2, status: ACCEPTED, search: "e") { totalCount nodes { email } } instances(last: 1) { totalCount nodes { id } }
		events(last: 50) { totalCount nodes { id actor { id } subject { __typename } } }
		billing { id upcomingInvoices { total { amount } lines { instance { name } } } coupons { id addedBy { email } }
			invoices(last: 5) { totalCount nodes { id lines { instance { name } } } } } } }`, org)
	const lists = `instanceCount users { totalCount nodes { user { email } invitedBy { id } } } instances { totalCount nodes { name } }
		events { totalCount nodes { summary actor { id } } }
		billing { card { last4 } credit { amount } coupons { code addedBy { email } } invoices { totalCount nodes { number } } }`
	do(owner, `query($org: ID!) { organization(id: $org) { `+lists+` } }`, org)
	for _, order := range []string{`{ field: NAME, direction: ASC }`, `{ field: CREATED_AT, direction: DESC }`} {
		do(owner, `{ viewer { organizations(orderBy: `+order+`) { totalCount nodes { `+lists+` } } } }`, nil)
	}
	do(owner, `{ viewer { landingOrganization { id } organizations(last: 1, search: "home") { totalCount nodes { id } } } }`, nil)
	newest := list.str("organization.events.nodes.0.id")
	ids := []string{home, joining, free, open, list.str("organization.billing.id"), list.str("organization.billing.coupons.0.id"), newest}
	do(owner, `query($ids: [ID!]!) { nodes(ids: $ids) { id } }`, vars{"ids": ids})
	do(owner, `query($id: ID!) { node(id: $id) { id } }`, vars{"id": newest})
	owner.download(home, "events.ndjson", nil)
	owner.keyed("key", updateOrganization, vars{"org": home, "name": "Home"})

	// What goes.
	do(owner, deleteWebhookEndpoint, vars{"id": endpoint})
	do(owner, deleteInstance, vars{"id": free, "name": "free"})
	owner.deleteInstance(paid, "paid")
	owner.deleteInstance(license, "license")
	s.settle()
	do(owner, removeCard, org)
	do(owner, deleteOrganization, vars{"org": spare, "name": "Spare"})
	// Stripe would have to fail in the middle for a coupon to be taken back: only the statement is here.
	if err := s.db.DeleteCoupon(s.Context(), db.NewID(db.CouponPrefix)); err != nil {
		s.Fatal(err)
	}

	// Sweeps, which find what is old.
	s.settle()
	edge := s.edge(job.NewQueue(s.db, mail.ErrPermanent), event.NewHub(s.db), loaderWait)
	s.clock.Advance(60 * 24 * time.Hour)
	if err := errors.Join(edge.Accounts.Sweep(s.Context()), s.bills.Sweep(s.Context()), s.webhooks.Sweep(s.Context()), edge.Sweep(s.Context())); err != nil {
		s.Fatal(err)
	}
	s.settle()
	return called.String()
}
