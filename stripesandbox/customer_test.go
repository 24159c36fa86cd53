package stripesandbox_test

import (
	"strings"
	"testing"

	"github.com/stripe/stripe-go/v85"
)

func TestCustomer(t *testing.T) {
	each(t, func(f *fixture) {
		c := f.customer("")
		got := must[*stripe.Customer](f)(f.client.V1Customers.Retrieve(f.Context(), c.ID, nil))
		equal(f, "customer", []any{got.Name, got.Email, got.Balance, got.Created, got.Metadata},
			[]any{"Acme", "owner@example.com", int64(0), start.Unix(), map[string]string{"organization_id": "org_1"}})
		got = must[*stripe.Customer](f)(f.client.V1Customers.Update(f.Context(), c.ID, &stripe.CustomerUpdateParams{
			Name: stripe.String(""), Metadata: map[string]string{"organization_id": "", "other": "value"},
		}))
		equal(f, "changed", []any{got.Name, got.Email, got.Metadata}, []any{"", "owner@example.com", map[string]string{"other": "value"}})
		f.raw("POST", "/v1/customers/"+c.ID, "metadata=")
		got = must[*stripe.Customer](f)(f.client.V1Customers.Retrieve(f.Context(), c.ID, nil))
		equal(f, "metadata", got.Metadata, map[string]string{})
		f.deliver()
		equal(f, "events", f.told(), []string{"customer.created", "customer.updated", "customer.updated"})
	})
}

func TestBalance(t *testing.T) {
	each(t, func(f *fixture) {
		c := f.customer("")
		for _, amount := range []int64{-5000, 1200} {
			must[*stripe.CustomerBalanceTransaction](f)(f.client.V1CustomerBalanceTransactions.Create(f.Context(), &stripe.CustomerBalanceTransactionCreateParams{
				Customer: &c.ID, Amount: &amount, Currency: stripe.String("usd"), Description: stripe.String("WELCOME50"),
				Metadata: map[string]string{"coupon": "coupon_1"},
			}))
		}
		var got []any
		for _, b := range all(f, f.client.V1CustomerBalanceTransactions.List(f.Context(), &stripe.CustomerBalanceTransactionListParams{Customer: &c.ID}).All(f.Context())) {
			got = append(got, b.Amount, b.EndingBalance, string(b.Type), b.Metadata["coupon"])
		}
		equal(f, "transactions", got, []any{int64(1200), int64(-3800), "adjustment", "coupon_1", int64(-5000), int64(-5000), "adjustment", "coupon_1"})
		equal(f, "balance", must[*stripe.Customer](f)(f.client.V1Customers.Retrieve(f.Context(), c.ID, nil)).Balance, -3800)
		_, err := f.client.V1CustomerBalanceTransactions.Create(f.Context(), &stripe.CustomerBalanceTransactionCreateParams{
			Customer: &c.ID, Amount: stripe.Int64(1), Currency: stripe.String("eur"),
		})
		f.refused(err, 400, "", "You cannot combine currencies on a single customer. This customer has had usd.")
	})
}

func TestPaymentMethods(t *testing.T) {
	t.Parallel()
	attach := func(f *fixture, id, customer string) (*stripe.PaymentMethod, error) {
		return f.client.V1PaymentMethods.Attach(f.Context(), id, &stripe.PaymentMethodAttachParams{Customer: &customer})
	}
	for _, test := range []struct{ id, brand, last4 string }{
		{"pm_card_visa", "visa", "4242"},
		{"pm_card_mastercard", "mastercard", "4444"},
		{"pm_card_chargeCustomerFail", "visa", "0341"},
	} {
		t.Run(test.id, func(t *testing.T) {
			each(t, func(f *fixture) {
				c := f.customer("")
				known := must[*stripe.PaymentMethod](f)(f.client.V1PaymentMethods.Retrieve(f.Context(), test.id, nil))
				if known.ID != test.id || known.Customer != nil {
					f.Errorf("it is %s of %v", known.ID, known.Customer)
				}
				p := must[*stripe.PaymentMethod](f)(attach(f, test.id, c.ID))
				if p.ID == test.id || p.Customer.ID != c.ID {
					f.Errorf("attached, it is %s of %s", p.ID, p.Customer.ID)
				}
				got := must[*stripe.PaymentMethod](f)(f.client.V1PaymentMethods.Retrieve(f.Context(), p.ID, nil))
				equal(f, "card", []any{string(got.Card.Brand), got.Card.Last4, got.Card.ExpMonth, got.Card.ExpYear}, []any{test.brand, test.last4, int64(12), int64(2034)})
				again := must[*stripe.PaymentMethod](f)(attach(f, p.ID, c.ID))
				equal(f, "attached again", again.ID, p.ID)
				if another := must[*stripe.PaymentMethod](f)(attach(f, test.id, c.ID)); another.ID == p.ID {
					f.Error("attached anew, it is the same")
				}
				methods := all(f, f.client.V1Customers.ListPaymentMethods(f.Context(), &stripe.CustomerListPaymentMethodsParams{
					Customer: &c.ID, Type: stripe.String("card"),
				}).All(f.Context()))
				equal(f, "how many there are", len(methods), 2)
				f.deliver()
				equal(f, "events", f.told(), []string{"customer.created", "payment_method.attached", "payment_method.attached"})
			})
		})
	}
	t.Run("Refused", func(t *testing.T) {
		each(t, func(f *fixture) {
			c, other := f.customer("pm_card_visa"), f.customer("")
			method := f.setCard(other.ID, "pm_card_visa")
			f.unchanged(func() {
				_, err := attach(f, "pm_card_chargeDeclined", c.ID)
				f.refused(err, 402, "card_declined", "Your card was declined.")
				_, err = attach(f, "pm_card_unknown", c.ID)
				f.refused(err, 404, "resource_missing", "No such PaymentMethod: 'pm_card_unknown'")
				_, err = attach(f, "pm_card_visa", "cus_unknown")
				f.refused(err, 400, "resource_missing", "No such customer: 'cus_unknown'")
				_, err = attach(f, method.ID, c.ID)
				f.refused(err, 400, "", "The payment method you provided has already been attached to a customer.")
				_, err = f.client.V1Customers.Update(f.Context(), c.ID, &stripe.CustomerUpdateParams{
					InvoiceSettings: &stripe.CustomerUpdateInvoiceSettingsParams{DefaultPaymentMethod: &method.ID},
				})
				f.refused(err, 400, "resource_missing", "The customer does not have a payment method with the ID "+method.ID+". "+
					"The payment method must be attached to the customer.")
				_, err = f.client.V1PaymentMethods.Detach(f.Context(), "pm_unknown", nil)
				f.refused(err, 404, "resource_missing", "No such PaymentMethod: 'pm_unknown'")
			})
		})
	})
	t.Run("Detach", func(t *testing.T) {
		each(t, func(f *fixture) {
			c := f.customer("")
			expanded := &stripe.CustomerRetrieveParams{Expand: []*string{stripe.String("invoice_settings.default_payment_method")}}
			p, other := f.setCard(c.ID, "pm_card_visa"), f.setCard(c.ID, "pm_card_mastercard")
			must[*stripe.PaymentMethod](f)(f.client.V1PaymentMethods.Detach(f.Context(), p.ID, nil))
			got := must[*stripe.Customer](f)(f.client.V1Customers.Retrieve(f.Context(), c.ID, expanded))
			equal(f, "default", got.InvoiceSettings.DefaultPaymentMethod.Card.Last4, "4444")
			must[*stripe.PaymentMethod](f)(f.client.V1PaymentMethods.Detach(f.Context(), other.ID, nil))
			got = must[*stripe.Customer](f)(f.client.V1Customers.Retrieve(f.Context(), c.ID, expanded))
			if got.InvoiceSettings.DefaultPaymentMethod != nil {
				f.Error("the default is still there")
			}
			_, err := f.client.V1PaymentMethods.Detach(f.Context(), p.ID, nil)
			f.refused(err, 400, "", "The payment method you provided is not attached to a customer so detachment is impossible.")
			_, err = attach(f, p.ID, c.ID)
			f.refused(err, 400, "", "This PaymentMethod was previously used without being attached to a Customer or was detached from a Customer, "+
				"and may not be used again.")
			f.setCard(c.ID, "pm_card_visa")
			f.raw("POST", "/v1/customers/"+c.ID, "invoice_settings[default_payment_method]=")
			got = must[*stripe.Customer](f)(f.client.V1Customers.Retrieve(f.Context(), c.ID, expanded))
			if got.InvoiceSettings.DefaultPaymentMethod != nil {
				f.Error("the default cannot be cleared")
			}
		})
	})
}

func TestSetupIntent(t *testing.T) {
	each(t, func(f *fixture) {
		c := f.customer("")
		s := must[*stripe.SetupIntent](f)(f.client.V1SetupIntents.Create(f.Context(), &stripe.SetupIntentCreateParams{
			Customer: &c.ID, Usage: stripe.String("off_session"), PaymentMethodTypes: []*string{stripe.String("card")},
		}))
		if !strings.HasPrefix(s.ClientSecret, s.ID+"_secret_") || s.Customer.ID != c.ID {
			f.Errorf("got %s of %s", s.ClientSecret, s.Customer.ID)
		}
		equal(f, "setup intent", []any{s.Status, s.Usage, s.PaymentMethodTypes},
			[]any{stripe.SetupIntentStatusRequiresPaymentMethod, stripe.SetupIntentUsageOffSession, []string{"card"}})
		s = must[*stripe.SetupIntent](f)(f.client.V1SetupIntents.Create(f.Context(), &stripe.SetupIntentCreateParams{}))
		equal(f, "of nobody", []any{s.Customer == nil, s.Usage, s.PaymentMethodTypes}, []any{true, stripe.SetupIntentUsageOffSession, []string{"card"}})
		_, err := f.client.V1SetupIntents.Create(f.Context(), &stripe.SetupIntentCreateParams{Customer: stripe.String("cus_unknown")})
		f.refused(err, 400, "resource_missing", "No such customer: 'cus_unknown'")
		f.deliver()
		equal(f, "events", f.told(), []string{"customer.created", "setup_intent.created", "setup_intent.created"})
	})
}
