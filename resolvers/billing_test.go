package resolvers_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tidwall/gjson"

	"studio/db"
	"studio/fault"
)

const (
	setCard = `mutation($org: ID!, $method: String!) {
		setCard(input: { organizationId: $org, paymentMethodId: $method }) { billing { status card { brand last4 expMonth expYear } } }
	}`
	removeCard = `mutation($org: ID!) { removeCard(input: { organizationId: $org }) { billing { card { last4 } } } }`
	addCoupon  = `mutation($org: ID!, $code: String!) { addCoupon(input: { organizationId: $org, code: $code }) {
		coupon { id code name amountOff { amount currency } percentOff expiresAt addedBy { email } } billing { credit { amount } coupons { code } }
	} }`
	payInvoice = `mutation($id: ID!) { payInvoice(input: { invoiceId: $id }) { invoice { id status amountDue { amount } } } }`
)

func (p *person) setCard(organizationID, method string) {
	p.Helper()
	p.do(setCard, vars{"org": organizationID, "method": method})
}

// billing reads fields of an organization's billing, which the answer has at its root.
func (p *person) billing(organizationID, fields string) *answer {
	p.Helper()
	a := p.do(`query($org: ID!) { organization(id: $org) { billing { `+fields+` } } }`, vars{"org": organizationID})
	a.body = `{"data":` + a.get("organization.billing").Raw + `}`
	return a
}

// passTo lets time pass at Stripe.
func (s *studio) passTo(at time.Time) {
	s.Helper()
	request := httptest.NewRequestWithContext(s.Context(), http.MethodPost, "http://localhost/dev/stripe/advance",
		strings.NewReader(fmt.Sprintf(`{"to": %q}`, at.Format(time.RFC3339))))
	request.RemoteAddr = "127.0.0.1:1"
	recorder := httptest.NewRecorder()
	s.advance.ServeHTTP(recorder, request)
	if recorder.Code != http.StatusOK {
		s.Fatalf("the sandbox answers %d %s", recorder.Code, recorder.Body)
	}
}

func TestSetCard(t *testing.T) {
	t.Parallel()
	t.Run("OneCard", func(t *testing.T) {
		on(t, func(s *studio) {
			owner := s.signUp("owner")
			home := owner.home()
			owner.billing(home, `status card { last4 } credit { amount currency } coupons { id } upcomingInvoices { interval } invoices { totalCount }`).
				want("@this", `{"status":"OK","card":null,"credit":{"amount":0,"currency":"USD"},"coupons":[],"upcomingInvoices":[],"invoices":{"totalCount":0}}`)
			setup := owner.do(`mutation($org: ID!) { startCardSetup(input: { organizationId: $org }) { clientSecret publishableKey } }`, vars{"org": home})
			if !strings.HasPrefix(setup.str("startCardSetup.clientSecret"), "seti_") || !strings.HasPrefix(setup.str("startCardSetup.publishableKey"), "pk_") {
				s.Errorf("the card form cannot begin with %s", setup.body)
			}
			owner.do(setCard, vars{"org": home, "method": "pm_card_visa"}).want("setCard.billing.card.last4", `"4242"`)
			owner.do(setCard, vars{"org": home, "method": "pm_card_mastercard"}).want("setCard.billing.card.brand", `"mastercard"`)
			owner.refusedWhole(home, fault.CardDeclined, "input.paymentMethodId", setCard, vars{"org": home, "method": "pm_card_chargeDeclined"})
			owner.refusedWhole(home, fault.InvalidInput, "input.paymentMethodId", setCard, vars{"org": home, "method": "pm_card_unknown"})
			owner.refusedWhole(home, fault.InvalidInput, "input.paymentMethodId", setCard, vars{"org": home, "method": "4242 4242 4242 4242"})
			owner.billing(home, `card { last4 }`).want("card.last4", `"4444"`)
			owner.do(removeCard, vars{"org": home}).want("removeCard.billing.card", `null`)
			owner.do(removeCard, vars{"org": home}).want("removeCard.billing.card", `null`)
			s.wantLog(home, db.CardChanged, db.CardChanged, db.CardRemoved)
		})
	})
	t.Run("InUse", func(t *testing.T) {
		on(t, func(s *studio) {
			owner := s.signUp("owner")
			home := owner.home()
			owner.setCard(home, "pm_card_visa")
			id := owner.createInstance(home, "one", "cloud-2gb", 10)
			owner.refusedWhole(home, fault.CardInUse, "", removeCard, vars{"org": home})
			owner.deleteInstance(id, "one")
			owner.do(removeCard, vars{"org": home})
		})
	})
}

func TestAddCoupon(t *testing.T) {
	t.Parallel()
	t.Run("Credit", func(t *testing.T) {
		on(t, func(s *studio) {
			owner := s.signUp("owner")
			home := owner.home()
			a := owner.do(addCoupon, vars{"org": home, "code": " welcome50 "})
			a.want("addCoupon.coupon.code", `"WELCOME50"`)
			a.want("addCoupon.coupon.amountOff", `{"amount":5000,"currency":"USD"}`)
			a.want("addCoupon.coupon.percentOff", `null`)
			a.want("addCoupon.coupon.addedBy.email", `"owner@example.com"`)
			a.want("addCoupon.billing", `{"credit":{"amount":5000},"coupons":[{"code":"WELCOME50"}]}`)
			owner.refusedWhole(home, fault.CouponAlreadyAdded, "input.code", addCoupon, vars{"org": home, "code": "WELCOME50"})
			owner.refusedWhole(home, fault.CouponExpired, "input.code", addCoupon, vars{"org": home, "code": "EXPIRED1"})
			owner.refusedWhole(home, fault.CouponInvalid, "input.code", addCoupon, vars{"org": home, "code": "NONSENSE"})
			owner.refusedWhole(home, fault.CouponInvalid, "input.code", addCoupon, vars{"org": home, "code": ""})
			owner.do(addCoupon, vars{"org": home, "code": "FREETRIAL"}).
				want("addCoupon.billing", `{"credit":{"amount":8300},"coupons":[{"code":"FREETRIAL"},{"code":"WELCOME50"}]}`)
			s.wantLog(home, db.CouponAdded, db.CouponAdded)
		})
	})
	t.Run("AtOnce", func(t *testing.T) {
		on(t, func(s *studio) {
			owner := s.signUp("owner")
			home := owner.home()
			wantOne(race(func(int) *answer { return owner.send(addCoupon, vars{"org": home, "code": "WELCOME50"}) }), fault.CouponAlreadyAdded)
			owner.billing(home, `credit { amount }`).want("credit.amount", `5000`)
			s.wantLog(home, db.CouponAdded)
		})
	})
}

// TestOverdue lets a payment fail, and pays.
func TestOverdue(t *testing.T) {
	on(t, func(s *studio) {
		owner, second := s.signUp("owner"), s.signUp("second")
		home := owner.home()
		owner.joinAsOwner(home, second)
		owner.setCard(home, "pm_card_visa")
		owner.createInstance(home, "one", "cloud-2gb", 10)
		owner.setCard(home, "pm_card_chargeCustomerFail")
		s.passTo(s.db.Now().AddDate(0, 1, 1))
		open := owner.billing(home, `status invoices(status: OPEN) { nodes { id total { amount } amountDue { amount } amountPaid { amount } paidAt } }`)
		open.want("status", `"PAYMENT_OVERDUE"`)
		open.want("invoices.nodes.0.amountDue.amount", `1999`)
		id := open.str("invoices.nodes.0.id")
		for _, p := range []*person{owner, second} {
			s.eventually("a mail to "+p.email, func() bool { return len(s.mails(p.email)) > 0 && strings.Contains(s.mails(p.email)[0].Text, "19.99") })
		}

		owner.refusedWhole(home, fault.PaymentOverdue, "", createInstance, vars{"org": home, "name": "two", "plan": "cloud-2gb", "storage": 10})
		owner.createInstance(home, "free", "cloud-1gb", 10)
		owner.refused(fault.CardDeclined, "", payInvoice, vars{"id": id})
		owner.setCard(home, "pm_card_visa")
		owner.do(payInvoice, vars{"id": id}).want("payInvoice.invoice", `{"id":"`+id+`","status":"PAID","amountDue":{"amount":0}}`)
		owner.refusedWhole(home, fault.InvalidInput, "input.invoiceId", payInvoice, vars{"id": id})
		owner.billing(home, `status`).want("status", `"OK"`)
		owner.createInstance(home, "two", "cloud-2gb", 10)
	})
}

// TestStripeDown reads on without Stripe, and refuses what needs it, whole; an instance is billed when
// Stripe is back.
func TestStripeDown(t *testing.T) {
	on(t, func(s *studio) {
		owner := s.signUp("owner")
		home := owner.home()
		owner.setCard(home, "pm_card_visa")
		s.settle()
		const whole = `card { last4 } credit { amount } invoices { totalCount } upcomingInvoices { interval }`
		before := owner.billing(home, whole).body

		s.stripeDown.Store(true)
		for query, variables := range map[string]vars{
			setCard:            {"org": home, "method": "pm_card_mastercard"},
			addCoupon:          {"org": home, "code": "WELCOME50"},
			deleteOrganization: {"org": home, "name": "owner's Organization"},
		} {
			owner.refused(fault.Unavailable, "", query, variables)
		}
		if now := owner.billing(home, whole).body; now != before {
			s.Errorf("refused, but changed from %s to %s", before, now)
		}
		created := owner.do(createInstance, vars{"org": home, "name": "one", "plan": "cloud-2gb", "storage": 10})
		created.want("createInstance.instance.status", `"CREATING"`)

		s.stripeDown.Store(false)
		s.clock.Advance(time.Minute) // when it is tried again
		id := created.str("createInstance.instance.id")
		owner.runs(id)
		owner.deleteInstance(id, "one")
		owner.do(deleteOrganization, vars{"org": home, "name": "owner's Organization"})
		account, err := s.db.BillingAccountOf(s.Context(), home)
		if err != nil || account.PaymentMethodID != nil {
			s.Errorf("the account of the deleted organization is %+v, %v", account, err)
		}
	})
}

// TestInvoices lists them, and shows them to owners alone.
func TestInvoices(t *testing.T) {
	on(t, func(s *studio) {
		owner := s.signUp("owner")
		home := owner.home()
		owner.setCard(home, "pm_card_visa")
		owner.createInstance(home, "one", "cloud-4gb", 10)
		s.passTo(s.db.Now().AddDate(0, 4, 1))
		query := `query($org: ID!, $first: Int, $after: String, $last: Int, $before: String) {
			organization(id: $org) { billing { invoices(first: $first, after: $after, last: $last, before: $before%s) ` + connection + ` } }
		}`
		owner.walk(5, "organization.billing.invoices", fmt.Sprintf(query, ""), vars{"org": home})
		owner.walk(5, "organization.billing.invoices", fmt.Sprintf(query, ", status: PAID"), vars{"org": home})
		var times []string
		for _, at := range owner.billing(home, `invoices { nodes { createdAt } }`).get("invoices.nodes.#.createdAt").Array() {
			times = append(times, at.String())
		}
		for i := 1; i < len(times); i++ {
			if times[i-1] <= times[i] {
				s.Errorf("not newest first: %v", times)
			}
		}
	})
}

// TestBillingEvents follows live what owners are told of, and other members are not.
func TestBillingEvents(t *testing.T) {
	live(t, func(s *studio, follow follow) {
		owner, member := s.signUp("owner"), s.signUp("member")
		home := owner.home()
		owner.join(home, member)
		const query = `subscription($org: ID!) { organizationEvents(organizationId: $org) { type summary subject { __typename } actor { email } } }`
		told, public := follow(owner, query, vars{"org": home}), follow(member, query, vars{"org": home})
		owner.goesLive()
		member.goesLive()
		owner.setCard(home, "pm_card_visa")
		owner.do(addCoupon, vars{"org": home, "code": "TENPERCENT"})
		owner.createInstance(home, "one", "cloud-2gb", 10)
		for _, want := range []string{
			`["CARD_CHANGED","Organization","owner@example.com"]`,
			`["COUPON_ADDED","Coupon","owner@example.com"]`,
			`["INSTANCE_CREATED","Instance","owner@example.com"]`,
			`["INVOICE_CREATED","Invoice","owner@example.com"]`,
			`["INVOICE_PAID","Invoice","owner@example.com"]`,
			`["INSTANCE_UPDATED","Instance"]`,
		} {
			got := gjson.Get(told.receive().body, `data.organizationEvents.[type,subject.__typename,actor.email]`).Raw
			if got != want {
				s.Errorf("told %s, want %s", got, want)
			}
		}
		for _, want := range []string{`INSTANCE_CREATED`, `INSTANCE_UPDATED`} {
			if got := public.receive().str("organizationEvents.type"); got != want {
				s.Errorf("members are told %s, want %s", got, want)
			}
		}
	})
}
