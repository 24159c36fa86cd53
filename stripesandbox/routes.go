package stripesandbox

// The endpoints there are, with the parameters that each takes.

type route struct {
	pattern string
	params  string // as form.check reads them
	do      func(t *turn) (any, error)
}

const (
	itemParams = " items[][price_data][currency] items[][price_data][product] items[][price_data][recurring][interval]" +
		" items[][price_data][unit_amount]:int items[][quantity]:int"
	changeParams = " discounts discounts[][coupon] discounts[][discount] discounts[][promotion_code] metadata metadata[]" +
		" payment_behavior proration_behavior off_session:bool expand[]"
)

var routes = []route{
	{"POST /v1/customers", "email name description metadata metadata[] expand[]", (*turn).createCustomer},
	{"GET /v1/customers", "email" + paging, (*turn).customers},
	{"GET /v1/customers/{id}", "expand[]", (*turn).customer},
	{"POST /v1/customers/{id}", "email name description metadata metadata[]" +
		" invoice_settings[default_payment_method] expand[]", (*turn).updateCustomer},
	{"POST /v1/customers/{id}/balance_transactions", "amount:int! currency! description metadata metadata[] expand[]", (*turn).createBalanceTransaction},
	{"GET /v1/customers/{id}/balance_transactions", paging, (*turn).balanceTransactions},
	{"GET /v1/customers/{id}/payment_methods", "type" + paging, (*turn).paymentMethods},

	{"POST /v1/setup_intents", "customer usage payment_method_types[] metadata metadata[] expand[]", (*turn).createSetupIntent},
	{"GET /v1/payment_methods/{id}", "expand[]", (*turn).paymentMethod},
	{"POST /v1/payment_methods/{id}/attach", "customer! expand[]", (*turn).attach},
	{"POST /v1/payment_methods/{id}/detach", "expand[]", (*turn).detach},

	{"POST /v1/products", "id name! description metadata metadata[] expand[]", (*turn).createProduct},
	{"GET /v1/products/{id}", "expand[]", (*turn).product},
	{"POST /v1/coupons", "id percent_off:decimal amount_off:int currency duration duration_in_months:int name" +
		" max_redemptions:int applies_to[products][] metadata metadata[] expand[]", (*turn).createCoupon},
	{"GET /v1/coupons/{id}", "expand[]", (*turn).coupon},
	{"POST /v1/promotion_codes", "promotion[type]! promotion[coupon]! code active:bool expires_at:int" +
		" max_redemptions:int metadata metadata[] expand[]", (*turn).createPromotionCode},
	{"GET /v1/promotion_codes", "code active:bool" + paging, (*turn).promotionCodes},

	{"POST /v1/subscriptions", "customer!" + itemParams + changeParams, (*turn).createSubscription},
	{"GET /v1/subscriptions", "customer status" + paging, (*turn).subscriptions},
	{"GET /v1/subscriptions/{id}", "expand[]", (*turn).subscription},
	{"POST /v1/subscriptions/{id}", "items[][id] items[][deleted]:bool" + itemParams + changeParams, (*turn).updateSubscription},
	{"DELETE /v1/subscriptions/{id}", "prorate:bool invoice_now:bool expand[]", (*turn).cancelSubscription},

	{"GET /v1/invoices", "customer subscription status created[gte]:int" + paging, (*turn).invoices},
	{"GET /v1/invoices/{id}", "expand[]", (*turn).invoice},
	{"POST /v1/invoices/{id}/pay", "off_session:bool expand[]", (*turn).payInvoice},
}
