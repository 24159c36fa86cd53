package seed_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"studio/db"
	"studio/db/dbtest"
	"studio/instance"
	"studio/seed"
)

// count is two whole blocks and a part of one.
const count = 45

// on runs a test on a seeded database of every engine; another makes and seeds another database.
func on(t *testing.T, test func(t *testing.T, seeded *db.DB, another func() *db.DB)) {
	t.Helper()
	t.Parallel()
	for engine, create := range map[string]func(t *testing.T) string{"sqlite": dbtest.SQLite, "postgres": dbtest.Postgres} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			another := func() *db.DB {
				database := dbtest.Open(t, create(t))
				if _, err := seed.Organizations(t.Context(), database, count); err != nil {
					t.Fatal(err)
				}
				return database
			}
			test(t, another(), another)
		})
	}
}

// read returns all rows of a statement, each value as text.
func read(t *testing.T, database *db.DB, statement string) [][]string {
	t.Helper()
	var all [][]string
	for _, values := range dbtest.Query(t, database, statement) {
		row := make([]string, len(values))
		for i, value := range values {
			row[i] = fmt.Sprint(value)
		}
		all = append(all, row)
	}
	return all
}

var tables = []string{"users", "organizations", "memberships", "instances", "billing_accounts", "coupons", "invoices", "events"}

func TestOrganizations(t *testing.T) {
	on(t, func(t *testing.T, seeded *db.DB, another func() *db.DB) {
		t.Run("SameEachTime", func(t *testing.T) {
			other := another()
			for _, table := range tables {
				statement := "SELECT * FROM " + table + " ORDER BY 1"
				first, second := fmt.Sprint(read(t, seeded, statement)), fmt.Sprint(read(t, other, statement))
				if first != second || len(first) < 100 {
					t.Errorf("%s differ, or are none", table)
				}
			}
		})
		t.Run("InUse", func(t *testing.T) {
			if _, err := seed.Organizations(t.Context(), seeded, 1); !errors.Is(err, seed.ErrNotEmpty) {
				t.Errorf("a second time it ended with %v", err)
			}
			if got := read(t, seeded, "SELECT count(*) FROM organizations")[0][0]; got != fmt.Sprint(count) {
				t.Errorf("then there are %s organizations", got)
			}
		})
		t.Run("Whole", func(t *testing.T) {
			whole(t, seeded)
			invoices(t, seeded)
			instances(t, seeded)
		})
	})
	t.Run("Few", func(t *testing.T) {
		t.Parallel()
		for few := 1; few < 4; few++ {
			database := dbtest.Open(t, dbtest.SQLite(t))
			owner, err := seed.Organizations(t.Context(), database, few)
			if err != nil {
				t.Fatalf("%d: %v", few, err)
			}
			if owned, err := database.CountOrganizationsOfUser(t.Context(), owner.ID, ""); owned != few || err != nil {
				t.Errorf("of %d, the owner has %d, the error is %v", few, owned, err)
			}
		}
	})
}

// whole checks what a statement can tell.
func whole(t *testing.T, seeded *db.DB) {
	for name, check := range map[string]struct{ statement, want string }{
		"Users":       {"SELECT count(*) FROM users", "[[225]]"},
		"WholeBlocks": {`SELECT count(*) FROM memberships WHERE organization_id IN (SELECT id FROM organizations ORDER BY id LIMIT 40)`, "[[200]]"},
		"InstancesOfWholeBlocks": {`SELECT count(*) FROM instances WHERE organization_id IN
			(SELECT id FROM organizations ORDER BY id LIMIT 40)`, "[[320]]"},
		"InvoicesOfWholeBlocks": {`SELECT count(*) FROM invoices WHERE organization_id IN
			(SELECT id FROM organizations ORDER BY id LIMIT 40)`, "[[960]]"},
		"Large": {`SELECT (SELECT count(*) FROM memberships AS m WHERE m.organization_id = o.id) BETWEEN 20 AND 30,
			(SELECT count(*) FROM instances AS i WHERE i.organization_id = o.id) BETWEEN 30 AND 60
			FROM organizations AS o WHERE (SELECT count(*) FROM instances AS i WHERE i.organization_id = o.id) > 20`,
			"[[true true] [true true]]"},
		"Founders": {`SELECT count(*) FROM organizations GROUP BY created_by_id ORDER BY 1`, "[[22] [23]]"},
		"FounderIsAcceptedOwner": {`SELECT o.id FROM organizations AS o WHERE NOT EXISTS (SELECT 1 FROM memberships AS m
			WHERE m.organization_id = o.id AND m.user_id = o.created_by_id AND m.is_owner AND m.status = 'ACCEPTED')`, "[]"},
		"AddressOfMember": {`SELECT m.id FROM memberships AS m JOIN users AS u ON u.id = m.user_id WHERE u.email <> m.email`, "[]"},
		"Answered": {`SELECT id FROM memberships
			WHERE (status = 'ACCEPTED') <> (accepted_at IS NOT NULL) OR (status = 'INVITED') <> (invitation_expires_at IS NOT NULL)`, "[]"},
		"Log": {`SELECT o.id FROM organizations AS o WHERE o.event_seq <> (SELECT count(*) FROM events AS e WHERE e.organization_id = o.id)
			OR o.event_seq <> (SELECT max(e.seq) FROM events AS e WHERE e.organization_id = o.id)`, "[]"},
		"LogOrder": {`SELECT e.id FROM events AS e JOIN events AS f ON f.organization_id = e.organization_id AND f.seq = e.seq + 1
			WHERE f.created_at < e.created_at`, "[]"},
		"LogBegins": {`SELECT DISTINCT type FROM events WHERE seq = 1`, "[[ORGANIZATION_CREATED]]"},
		"LogOfInvoices": {`SELECT v.id FROM invoices AS v WHERE 1 <>
			(SELECT count(*) FROM events AS e WHERE e.subject_id = v.id AND e.type = 'INVOICE_CREATED')`, "[]"},
		"LogOfPaid": {`SELECT v.id FROM invoices AS v WHERE (v.status = 'PAID') <>
			EXISTS (SELECT 1 FROM events AS e WHERE e.subject_id = v.id AND e.type = 'INVOICE_PAID')`, "[]"},
		"LogOfAccepted": {`SELECT m.id FROM memberships AS m WHERE m.invited_at IS NOT NULL AND (m.status = 'ACCEPTED') <>
			EXISTS (SELECT 1 FROM events AS e WHERE e.subject_id = m.id AND e.type = 'INVITATION_ACCEPTED')`, "[]"},
		"AfterFounding": {`SELECT o.id FROM organizations AS o JOIN instances AS i ON i.organization_id = o.id
			WHERE i.created_at < o.created_at`, "[]"},
		"Statuses": {`SELECT DISTINCT status FROM invoices ORDER BY status`, "[[DRAFT] [OPEN] [PAID] [UNCOLLECTIBLE] [VOID]]"},
		"Sums": {`SELECT id FROM invoices WHERE total <> subtotal - discount + tax OR discount < 0 OR total < 0
			OR total <> amount_paid + amount_due AND status <> 'VOID'`, "[]"},
		"Paid": {`SELECT id FROM invoices
			WHERE (status = 'PAID') <> (paid_at IS NOT NULL) OR status = 'PAID' AND amount_paid <> total`, "[]"},
		"Numbers": {`SELECT id FROM invoices WHERE (status = 'DRAFT') <> (number IS NULL)`, "[]"},
		"Overdue": {`SELECT a.organization_id FROM billing_accounts AS a WHERE a.overdue <>
			EXISTS (SELECT 1 FROM invoices AS v WHERE v.organization_id = a.organization_id AND v.status IN ('OPEN', 'UNCOLLECTIBLE'))`, "[]"},
		"Credit": {`SELECT a.organization_id FROM billing_accounts AS a WHERE a.organization_id NOT IN
			(SELECT organization_id FROM coupons WHERE percent_off IS NOT NULL) AND a.credit +
			(SELECT sum(discount) FROM invoices AS v WHERE v.organization_id = a.organization_id) <> 5000`, "[]"},
		"Accounts": {`SELECT count(*) FROM billing_accounts WHERE payment_method_id IS NOT NULL`, "[[45]]"},
		"Free": {`SELECT count(*) FROM instances AS i JOIN organizations AS o ON o.id = i.organization_id
			WHERE i.free_for_user_id = o.created_by_id AND i.compute_amount + i.storage_amount = 0`, "[[2]]"},
		"FreeOfNobody":  {`SELECT id FROM instances WHERE type = 'CLOUD' AND compute_amount + storage_amount = 0 AND free_for_user_id IS NULL`, "[]"},
		"Subscriptions": {`SELECT id FROM instances WHERE (compute_amount + storage_amount > 0) <> (subscription_id IS NOT NULL AND period_end IS NOT NULL)`, "[]"},
		"Billed": {`SELECT i.id FROM instances AS i WHERE (i.subscription_id IS NOT NULL) <>
			EXISTS (SELECT 1 FROM invoices AS v WHERE v.organization_id = i.organization_id AND v.lines LIKE '%' || i.id || '%')`, "[]"},
	} {
		got := strings.ReplaceAll(fmt.Sprint(read(t, seeded, check.statement)), "[1 1]", "[true true]") // SQLite's true
		if got != check.want {
			t.Errorf("%s: got %.200s, want %s", name, got, check.want)
		}
	}
}

// invoices checks that lines sum up, and that IDs sort by time.
func invoices(t *testing.T, seeded *db.DB) {
	for _, row := range read(t, seeded, "SELECT id, lines, subtotal FROM invoices") {
		var lines []db.InvoiceLine
		if err := json.Unmarshal([]byte(row[1]), &lines); err != nil {
			t.Fatal(err)
		}
		var sum int64
		for _, line := range lines {
			sum += line.Amount
			if line.Amount%int64(line.Quantity) != 0 {
				t.Errorf("%s has a line of %d for %d", row[0], line.Amount, line.Quantity)
			}
		}
		if fmt.Sprint(sum) != row[2] || sum == 0 {
			t.Errorf("the lines of %s are %d in all, the subtotal %s", row[0], sum, row[2])
		}
	}
	organizations := read(t, seeded, "SELECT id FROM organizations")
	for _, organization := range organizations {
		pages, err := seeded.InvoicesOfOrganizations(t.Context(), []string{organization[0]}, "", db.Page{Limit: 100})
		if err != nil {
			t.Fatal(err)
		}
		var before time.Time
		for i, invoice := range pages[0].Nodes {
			if i > 0 && invoice.CreatedAt.After(before) {
				t.Errorf("%s is newer than the one listed before", invoice.ID)
			}
			before = invoice.CreatedAt
		}
	}
}

// instances checks them against the catalog.
func instances(t *testing.T, seeded *db.DB) {
	for _, organization := range read(t, seeded, "SELECT id, subdomain FROM organizations") {
		found, err := seeded.InstancesOf(t.Context(), organization[0])
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range found {
			plan := instance.ComputePlanByID(i.ComputePlanID)
			if plan == nil || plan.Type != i.Type || plan.Amount != i.ComputeAmount || plan.Interval != i.Interval {
				t.Errorf("%s has the plan %s at %d", i.ID, i.ComputePlanID, i.ComputeAmount)
			}
			if i.Type == db.Cloud && (instance.RegionByID(*i.RegionID) == nil || i.URL != "https://"+i.Name+"-"+organization[1]+".harperdbcloud.com") {
				t.Errorf("%s is at %s in %s", i.ID, i.URL, *i.RegionID)
			}
			for _, storage := range instance.StoragePlans() {
				if i.StorageGB != nil && *i.StorageGB == storage.SizeGB && i.StorageAmount != storage.Amount {
					t.Errorf("%s has storage at %d", i.ID, i.StorageAmount)
				}
			}
		}
	}
}
