package plan

// What plans know to write, by type and field. A query of anything else is left to the executor.

import (
	"strconv"

	"studio/billing"
	"studio/db"
	"studio/instance"
)

var (
	query        = &object{name: "Query"}
	organization = &object{name: "Organization"}
)

// Set in init: the compiler compares against these two variables, so initializing them in place would be a cycle.
func init() {
	query.fields = fields{
		"viewer":       root(viewer, db.SelectViewer),
		"organization": root(organization, db.SelectOrganization),
	}
	organization.fields = fields{
		"id":               column("o.id"),
		"name":             column("o.name"),
		"subdomain":        column("o.subdomain"),
		"createdAt":        column("o.created_at"),
		"viewerMembership": ofSameRow(&object{"OrganizationUser", membership}),
		"instanceCount":    column(db.CountInstances),
		"users":            connection(db.UserList, organizationUser, db.CountUsers),
		"instances":        connection(db.InstanceList, instanceObject, db.CountInstances),
		"billing":          ofSameRow(account),
		"events":           connection(db.EventList, event, db.CountEvents),
	}
}

var viewer = &object{"Viewer", fields{
	"id":            derived("u.id", func(id string) (string, bool) { return quoted(db.ViewerIDOf(id)), true }),
	"user":          ofSameRow(user("u")),
	"emailVerified": column(db.EmailVerified),
	"organizations": connection(nil, organization, db.CountOrganizations),
}}

// user is one that goes by an alias.
func user(alias string) *object {
	return &object{"User", fields{
		"id":        column(alias + ".id"),
		"email":     column(alias + ".email"),
		"firstName": column(alias + ".first_name"),
		"lastName":  column(alias + ".last_name"),
		"createdAt": column(alias + ".created_at"),
	}}
}

// membership are the fields of an OrganizationUser that need no other row.
var membership = fields{
	"id":                  column("m.id"),
	"email":               column("m.email"),
	"status":              column("m.status"),
	"isOwner":             column("m.is_owner"),
	"invitedAt":           column("m.invited_at"),
	"invitationExpiresAt": column("m.invitation_expires_at"),
	"invitationDelivery":  column("m.invitation_delivery"),
	"acceptedAt":          column("m.accepted_at"),
}

var organizationUser = &object{"OrganizationUser", membership.with(fields{
	"user":      optional("u.id", user("u")),
	"invitedBy": optional("inviter.id", user("inviter")),
})}

var instanceObject = &object{"Instance", fields{
	"id":          column("i.id"),
	"name":        column("i.name"),
	"type":        column("i.type"),
	"status":      column("i.status"),
	"url":         column("i.url"),
	"region":      optional("i.region_id", region),
	"computePlan": ofSameRow(computePlan),
	"storageGb":   column("i.storage_gb"),
	"price":       ofSameRow(dollars(db.InstanceAmount)),
	"interval":    column("i.billing_interval"),
	"createdAt":   column("i.created_at"),
}}

var region = &object{"Region", fields{
	"id": column("i.region_id"),
	"name": derived("i.region_id", func(id string) (string, bool) {
		if found := instance.RegionByID(id); found != nil {
			return quoted(found.Name), true
		}
		return "", false
	}),
}}

var computePlan = &object{"ComputePlan", fields{
	"id":    inPlan(func(p *instance.ComputePlan) string { return quoted(p.ID) }),
	"type":  inPlan(func(p *instance.ComputePlan) string { return quoted(string(p.Type)) }),
	"ramMb": inPlan(func(p *instance.ComputePlan) string { return strconv.Itoa(p.RAMMB) }),
	"price": ofSameRow(&object{"Money", fields{
		"amount":   inPlan(func(p *instance.ComputePlan) string { return strconv.FormatInt(p.Amount, 10) }),
		"currency": constant(quoted(billing.Currency)),
	}}),
	"interval": inPlan(func(p *instance.ComputePlan) string { return quoted(string(p.Interval)) }),
}}

// inPlan writes what of makes of an instance's compute plan.
func inPlan(of func(*instance.ComputePlan) string) field {
	return derived("i.compute_plan_id", func(id string) (string, bool) {
		if found := instance.ComputePlanByID(id); found != nil {
			return of(found), true
		}
		return "", false
	})
}

// money is an amount in a currency, which are columns.
func money(amount, currency string) *object {
	return &object{"Money", fields{"amount": column(amount), "currency": column(currency)}}
}

func dollars(amount string) *object {
	return &object{"Money", fields{"amount": column(amount), "currency": constant(quoted(billing.Currency))}}
}

// account has no row for an organization that never had to do with Stripe.
var account = &object{"Billing", fields{
	"id":     derived("o.id", func(id string) (string, bool) { return quoted(db.BillingIDOf(id)), true }),
	"status": column(db.BillingStatus),
	"card": optional("b.payment_method_id", &object{"Card", fields{
		"brand":    column("b.card_brand"),
		"last4":    column("b.card_last4"),
		"expMonth": column("b.card_exp_month"),
		"expYear":  column("b.card_exp_year"),
	}}),
	"credit":   ofSameRow(dollars(db.Credit)),
	"invoices": connection(db.InvoiceList, invoice, db.CountInvoices),
	"coupons":  all(db.CouponList, coupon),
}}

var invoice = &object{"Invoice", fields{
	"id":          column("v.id"),
	"number":      column("v.number"),
	"status":      column("v.status"),
	"createdAt":   column("v.created_at"),
	"periodStart": column("v.period_start"),
	"periodEnd":   column("v.period_end"),
	"subtotal":    ofSameRow(money("v.subtotal", "v.currency")),
	"discount":    ofSameRow(money("v.discount", "v.currency")),
	"tax":         ofSameRow(money("v.tax", "v.currency")),
	"total":       ofSameRow(money("v.total", "v.currency")),
	"amountPaid":  ofSameRow(money("v.amount_paid", "v.currency")),
	"amountDue":   ofSameRow(money("v.amount_due", "v.currency")),
	"paidAt":      column("v.paid_at"),
	"hostedUrl":   column("v.hosted_url"),
	"pdfUrl":      column("v.pdf_url"),
}}

var coupon = &object{"Coupon", fields{
	"id":         column("k.id"),
	"code":       column("k.code"),
	"name":       column("k.name"),
	"amountOff":  optional("k.amount_off", money("k.amount_off", "k.currency")),
	"percentOff": column("k.percent_off"),
	"expiresAt":  column("k.expires_at"),
	"addedAt":    column("k.added_at"),
	"addedBy":    optional("u.id", user("u")),
}}

var event = &object{"Event", fields{
	"id":        column("e.id"),
	"cursor":    cursor,
	"type":      column("e.type"),
	"createdAt": column("e.created_at"),
	"actor":     optional("u.id", user("u")),
	"summary":   column("e.summary"),
}}
