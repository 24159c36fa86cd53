package stripesandbox

// Customers and their balance. A negative balance is credit.

import (
	"strings"
)

type customer struct {
	ID                  string            `json:"id"`
	Object              string            `json:"object"`
	Balance             int64             `json:"balance"`
	Created             int64             `json:"created"`
	Currency            *string           `json:"currency"`
	Description         *string           `json:"description"`
	Email               *string           `json:"email"`
	InvoicePrefix       string            `json:"invoice_prefix"`
	InvoiceSettings     invoiceSettings   `json:"invoice_settings"`
	Livemode            bool              `json:"livemode"`
	Metadata            map[string]string `json:"metadata"`
	Name                *string           `json:"name"`
	NextInvoiceSequence int64             `json:"next_invoice_sequence"`
}

type invoiceSettings struct {
	DefaultPaymentMethod *string `json:"default_payment_method"`
}

func (c customer) key() (kind, id, customer string) { return "customer", c.ID, "" }

func (t *turn) createCustomer() (any, error) {
	c := &customer{ID: newID("cus"), Object: "customer", Created: t.now, NextInvoiceSequence: 1}
	c.InvoicePrefix = strings.ToUpper(c.ID[len(c.ID)-8:])
	t.fill(c)
	return c, save(t, c, "customer.created")
}

// fill sets what the request gives.
func (t *turn) fill(c *customer) {
	for name, field := range map[string]**string{"email": &c.Email, "name": &c.Name, "description": &c.Description} {
		if t.form.has(name) {
			*field = t.form.optional(name)
		}
	}
	c.Metadata = t.form.metadata(c.Metadata)
}

func (t *turn) customers() (any, error) {
	return page(t, "", func(c *customer) bool {
		return !t.form.has("email") || c.Email != nil && *c.Email == t.form.text("email")
	})
}

func (t *turn) customer() (any, error) { return find[customer](t, t.id, inPath) }

func (t *turn) updateCustomer() (any, error) {
	c, err := find[customer](t, t.id, inPath)
	if err != nil {
		return nil, err
	}
	t.fill(c)
	const param = "invoice_settings[default_payment_method]"
	if t.form.has(param) {
		c.InvoiceSettings.DefaultPaymentMethod = t.form.optional(param)
	}
	if id := t.form.text(param); id != "" {
		method, err := find[paymentMethod](t, id, param)
		if err != nil {
			return nil, err
		}
		if method.Customer == nil || *method.Customer != c.ID {
			return nil, invalid("resource_missing", param, "The customer does not have a payment method with the ID %s. "+
				"The payment method must be attached to the customer.", id)
		}
	}
	return c, save(t, c, "customer.updated")
}

type balanceTransaction struct {
	ID            string            `json:"id"`
	Object        string            `json:"object"`
	Amount        int64             `json:"amount"`
	Created       int64             `json:"created"`
	Currency      string            `json:"currency"`
	Customer      string            `json:"customer"`
	Description   *string           `json:"description"`
	EndingBalance int64             `json:"ending_balance"`
	Invoice       *string           `json:"invoice"`
	Livemode      bool              `json:"livemode"`
	Metadata      map[string]string `json:"metadata"`
	Type          string            `json:"type"`
}

func (b balanceTransaction) key() (kind, id, customer string) {
	return "customer_balance_transaction", b.ID, b.Customer
}

func (t *turn) createBalanceTransaction() (any, error) {
	c, err := find[customer](t, t.id, inPath)
	if err != nil {
		return nil, err
	}
	b, err := t.changeBalance(c, &balanceTransaction{Amount: t.form.int("amount"), Currency: strings.ToLower(t.form.text("currency")),
		Description: t.form.optional("description"), Metadata: t.form.metadata(nil), Type: "adjustment"})
	if err != nil {
		return nil, err
	}
	return b, save(t, c, "customer.updated")
}

// changeBalance adds to a customer's balance. The caller saves the customer.
func (t *turn) changeBalance(c *customer, b *balanceTransaction) (*balanceTransaction, error) {
	if err := c.use(b.Currency); err != nil {
		return nil, err
	}
	c.Balance += b.Amount
	b.ID, b.Object, b.Created, b.Customer, b.EndingBalance = newID("cbtxn"), "customer_balance_transaction", t.now, c.ID, c.Balance
	return b, save(t, b)
}

// use makes a currency the customer's, who can have only one.
func (c *customer) use(currency string) error {
	if c.Currency != nil && *c.Currency != currency {
		return invalid("", "currency", "You cannot combine currencies on a single customer. This customer has had %s.", *c.Currency)
	}
	c.Currency = &currency
	return nil
}

func (t *turn) balanceTransactions() (any, error) {
	if _, err := find[customer](t, t.id, inPath); err != nil {
		return nil, err
	}
	return page(t, t.id, func(*balanceTransaction) bool { return true })
}
