package resolvers_test

// A year of an organization, billed month by month: each invoice is compared to the cent with figures
// worked out by hand.

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"studio/db"
	"studio/db/dbtest"
	"studio/fault"
)

// ledger reads the invoices of an organization that were not read before.
type ledger struct {
	*person
	organization string
	read         map[string]bool
}

// want compares the new invoices with lines such as "big: 297.70 - 29.77 = 267.93 PAID", in any order.
// What is charged must be what an invoice that is paid says.
func (l *ledger) want(when string, want ...string) {
	l.Helper()
	var got []string
	for _, invoice := range l.billing(l.organization, `invoices(first: 100) { nodes {
		id status subtotal { amount } discount { amount } tax { amount } total { amount } amountPaid { amount } amountDue { amount }
		lines { amount { amount currency } instance { name } }
	} }`).get("invoices.nodes").Array() {
		id := invoice.Get("id").String()
		if l.read[id] {
			continue
		}
		l.read[id] = true
		cents := func(field string) int64 { return invoice.Get(field + ".amount").Int() }
		var sum int64
		for _, line := range invoice.Get("lines").Array() {
			sum += line.Get("amount.amount").Int()
		}
		total := cents("total")
		paid, due := total, int64(0)
		if invoice.Get("status").String() == "OPEN" {
			paid, due = 0, total
		}
		if total < 0 { // added to the credit
			paid = 0
		}
		if sum != cents("subtotal") || cents("tax") != 0 || cents("amountPaid") != paid || cents("amountDue") != due {
			l.Errorf("%s: the amounts do not add up: %s", when, invoice.Raw)
		}
		name := "-"
		if instance := invoice.Get("lines.0.instance.name"); instance.Exists() {
			name = instance.String()
		}
		got = append(got, fmt.Sprintf("%s: %s - %s = %s %s", name, dollars(cents("subtotal")), dollars(cents("discount")), dollars(total), invoice.Get("status")))
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		l.Errorf("%s: the invoices are\n  %s\nwant\n  %s", when, strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

func dollars(cents int64) string { return fmt.Sprintf("%.2f", float64(cents)/100) }

func TestYear(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, open func(...db.Option) *db.DB) {
		// It stands still, so that months end to the second.
		s := start(t, open, &dbtest.Clock{Start: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)})
		owner := s.signUp("owner")
		home := owner.home()
		l := &ledger{person: owner, organization: home, read: map[string]bool{}}
		to := func(year int, month time.Month, day int) { s.passTo(time.Date(year, month, day, 0, 0, 0, 0, time.UTC)) }

		owner.setCard(home, "pm_card_visa")
		owner.do(addCoupon, vars{"org": home, "code": "WELCOME50"})
		owner.do(addCoupon, vars{"org": home, "code": "FREETRIAL"}).want("addCoupon.billing.credit.amount", `8300`)
		owner.createInstance(home, "free", "cloud-1gb", 10)
		owner.registerInstance(home, "own", "enterprise-1gb")
		small := owner.createInstance(home, "small", "cloud-2gb", 10)
		owner.createInstance(home, "a", "cloud-4gb", 10)
		c := owner.createInstance(home, "c", "cloud-4gb", 10)
		// 10 GB at 0 and 490 at 0.25 are 122.50, and 8 GB of RAM 175.20.
		owner.createInstance(home, "big", "cloud-8gb", 500)
		owner.registerInstance(home, "license", "enterprise-4gb")
		// 83.00 of credit: 19.99 and 59.99 leave 3.02, which the third bill uses up.
		l.want("January",
			"small: 19.99 - 19.99 = 0.00 PAID",
			"a: 59.99 - 59.99 = 0.00 PAID",
			"c: 59.99 - 3.02 = 56.97 PAID",
			"big: 297.70 - 0.00 = 297.70 PAID",
			"license: 575.90 - 0.00 = 575.90 PAID")
		// 122.50 + 175.20 + 2 × 59.99 + 19.99
		owner.billing(home, `upcomingInvoices { interval dueAt total { amount } } credit { amount }`).want("@this", `{"upcomingInvoices":[`+
			`{"interval":"MONTH","dueAt":"2026-02-01T00:00:00Z","total":{"amount":43767}},`+
			`{"interval":"YEAR","dueAt":"2027-01-01T00:00:00Z","total":{"amount":57590}}],"credit":{"amount":0}}`)

		whole := []string{
			"a: 59.99 - 0.00 = 59.99 PAID",
			"c: 59.99 - 0.00 = 59.99 PAID",
			"big: 297.70 - 0.00 = 297.70 PAID",
		}
		to(2026, 2, 1)
		l.want("February", append(whole, "small: 19.99 - 0.00 = 19.99 PAID")...)

		// Half of February's 28 days are left: 30.00 for the larger less 10.00 for the smaller.
		to(2026, 2, 15)
		owner.do(resizeInstance, vars{"id": small, "plan": "cloud-4gb"})
		owner.runs(small)
		l.want("upgrade", "small: 20.00 - 0.00 = 20.00 PAID")
		to(2026, 3, 1)
		l.want("March", append(whole, "small: 59.99 - 0.00 = 59.99 PAID")...)

		// 17 of March's 31 days are left: 59.99 × 17/31 = 32.90 back, 19.99 × 17/31 = 10.96 to pay.
		to(2026, 3, 15)
		owner.do(resizeInstance, vars{"id": small, "plan": "cloud-2gb"})
		owner.runs(small)
		l.want("downgrade", "small: -21.94 - 0.00 = -21.94 PAID")
		owner.billing(home, `credit { amount }`).want("credit.amount", `2194`)
		to(2026, 4, 1)
		l.want("April",
			"small: 19.99 - 19.99 = 0.00 PAID",
			"a: 59.99 - 1.95 = 58.04 PAID",
			"c: 59.99 - 0.00 = 59.99 PAID",
			"big: 297.70 - 0.00 = 297.70 PAID")

		to(2026, 4, 20)
		owner.do(addCoupon, vars{"org": home, "code": "TENPERCENT"}).want("addCoupon.coupon.percentOff", `10`)
		owner.billing(home, `coupons { expiresAt }`).want("coupons.0.expiresAt", `"2027-04-20T00:00:00Z"`)
		reduced := []string{
			"small: 19.99 - 2.00 = 17.99 PAID",
			"a: 59.99 - 6.00 = 53.99 PAID",
			"c: 59.99 - 6.00 = 53.99 PAID",
			"big: 297.70 - 29.77 = 267.93 PAID",
		}
		to(2026, 5, 1)
		l.want("May", reduced...)

		owner.setCard(home, "pm_card_chargeCustomerFail")
		to(2026, 6, 1)
		var unpaid []string
		for _, invoice := range reduced {
			unpaid = append(unpaid, strings.Replace(invoice, "PAID", "OPEN", 1))
		}
		l.want("June, when the card fails", unpaid...)
		owner.refused(fault.PaymentOverdue, "", createInstance, vars{"org": home, "name": "late", "plan": "cloud-2gb", "storage": 10})
		owner.setCard(home, "pm_card_mastercard")
		overdue := owner.billing(home, `status invoices(status: OPEN) { nodes { id } }`)
		overdue.want("status", `"PAYMENT_OVERDUE"`)
		for _, id := range overdue.list("invoices.nodes.#.id") {
			owner.do(payInvoice, vars{"id": id}).want("payInvoice.invoice.status", `"PAID"`)
			delete(l.read, id)
		}
		l.want("June, paid", reduced...)
		owner.billing(home, `status`).want("status", `"OK"`)

		to(2026, 7, 1)
		l.want("July", reduced...)
		to(2026, 8, 1)
		l.want("August", reduced...)
		to(2026, 8, 16)
		owner.createInstance(home, "late", "cloud-2gb", 10)
		l.want("a new instance", "late: 19.99 - 2.00 = 17.99 PAID")
		to(2026, 9, 1)
		l.want("September", reduced...)
		to(2026, 9, 16)
		l.want("September, in the middle", "late: 19.99 - 2.00 = 17.99 PAID")
		to(2026, 10, 1)
		l.want("October", reduced...)

		// 22 of October's 31 days are left of what was paid: 53.99 × 22/31 = 38.32.
		to(2026, 10, 10)
		owner.deleteInstance(c, "c")
		l.want("deletion", "-: -38.32 - 0.00 = -38.32 PAID")
		to(2026, 10, 16)
		l.want("October, in the middle", "late: 19.99 - 19.99 = 0.00 PAID")
		to(2026, 11, 1)
		l.want("November",
			"small: 19.99 - 19.99 = 0.00 PAID",
			"a: 59.99 - 8.34 = 51.65 PAID",
			"big: 297.70 - 29.77 = 267.93 PAID")
		to(2026, 11, 16)
		l.want("November, in the middle", "late: 19.99 - 2.00 = 17.99 PAID")
		to(2026, 12, 1)
		l.want("December", reduced[0], reduced[1], reduced[3])
		to(2027, 1, 1)
		l.want("the year's end", "late: 19.99 - 2.00 = 17.99 PAID", reduced[0], reduced[1], reduced[3],
			"license: 575.90 - 57.59 = 518.31 PAID")

		// The percentage ends with 19 April, also for the instance that was created later.
		to(2027, 4, 18)
		l.want("the last of the percentage",
			reduced[0], reduced[0], reduced[0], reduced[1], reduced[1], reduced[1], reduced[3], reduced[3], reduced[3],
			"late: 19.99 - 2.00 = 17.99 PAID", "late: 19.99 - 2.00 = 17.99 PAID", "late: 19.99 - 2.00 = 17.99 PAID", "late: 19.99 - 2.00 = 17.99 PAID")
		to(2027, 5, 17)
		l.want("without it", whole[0], whole[2], "small: 19.99 - 0.00 = 19.99 PAID", "late: 19.99 - 0.00 = 19.99 PAID")
	})
}
