package db

import (
	"context"
	"time"

	"github.com/uptrace/bun"
)

// InvoiceStatus is how far an invoice has come.
type InvoiceStatus string

// The statuses of an invoice, which are Stripe's.
const (
	InvoiceDraft         InvoiceStatus = "DRAFT"
	InvoiceOpen          InvoiceStatus = "OPEN"
	InvoicePaid          InvoiceStatus = "PAID"
	InvoiceUncollectible InvoiceStatus = "UNCOLLECTIBLE"
	InvoiceVoid          InvoiceStatus = "VOID"
)

// Invoice mirrors one of Stripe's. Amounts are in cents: Subtotal - Discount + Tax = Total, and
// Total = AmountPaid + AmountDue unless Total is negative, which is added to the credit.
type Invoice struct {
	bun.BaseModel `bun:"table:invoices,alias:v"`

	// ID sorts by CreatedAt; see NewIDAt.
	ID             string        `bun:"id,pk"`
	OrganizationID string        `bun:"organization_id"`
	StripeID       string        `bun:"stripe_id"`
	Number         *string       `bun:"number"`
	Status         InvoiceStatus `bun:"status"`
	// Currency is an ISO 4217 code in upper case.
	Currency string `bun:"currency"`
	Subtotal int64  `bun:"subtotal"`
	// Discount is what coupons and credit took off.
	Discount   int64 `bun:"discount"`
	Tax        int64 `bun:"tax"`
	Total      int64 `bun:"total"`
	AmountPaid int64 `bun:"amount_paid"`
	AmountDue  int64 `bun:"amount_due"`
	// Attempts is how often its collection was tried.
	Attempts    int            `bun:"attempts"`
	Lines       []*InvoiceLine `bun:"lines,type:text"`
	HostedURL   *string        `bun:"hosted_url"`
	PDFURL      *string        `bun:"pdf_url"`
	PeriodStart time.Time      `bun:"period_start"`
	PeriodEnd   time.Time      `bun:"period_end"`
	PaidAt      *time.Time     `bun:"paid_at"`
	CreatedAt   time.Time      `bun:"created_at"`
}

// InvoiceLine is one line of an invoice.
type InvoiceLine struct {
	Description string `json:"description"`
	Quantity    int    `json:"quantity"`
	Amount      int64  `json:"amount"`
	Currency    string `json:"currency"`
	// InstanceID is what the line is for; the instance may be gone by now.
	InstanceID string `json:"instanceId"`
}

// Collectible reports whether an invoice waits to be paid.
func (v *Invoice) Collectible() bool {
	return v.Status == InvoiceOpen || v.Status == InvoiceUncollectible
}

// Overdue reports whether an invoice could not be collected.
func (v *Invoice) Overdue() bool {
	return v.Status == InvoiceUncollectible || v.Status == InvoiceOpen && v.Attempts > 0
}

var invoiceOrder = order{columns: []string{"id"}, descending: true}

// Key is the invoice's place in the list of its organization's invoices.
func (v *Invoice) Key() Key { return Key{v.ID} }

// InsertInvoice adds an invoice; ErrDuplicate when Stripe's invoice is mirrored already.
func (d *DB) InsertInvoice(ctx context.Context, invoice *Invoice) error {
	return executed(d.bun.NewInsert().Model(invoice).Exec(ctx))
}

// UpdateInvoice stores all of an invoice; the organization's row must be locked.
func (d *DB) UpdateInvoice(ctx context.Context, invoice *Invoice) error {
	return requireRow(d.bun.NewUpdate().Model(invoice).WherePK().Exec(ctx))
}

// InvoiceByID finds an invoice.
func (d *DB) InvoiceByID(ctx context.Context, id string) (*Invoice, error) {
	if err := wellFormed(InvoicePrefix, id); err != nil {
		return nil, err
	}
	return one[Invoice](ctx, d.bun.NewSelect().Model((*Invoice)(nil)).Where("v.id = ?", id))
}

// InvoicesByID finds invoices, in the order of ids, nil where there is none.
func (d *DB) InvoicesByID(ctx context.Context, ids []string) ([]*Invoice, error) {
	invoices, err := many[Invoice](ctx, d.bun.NewSelect().Model((*Invoice)(nil)).Where("?", d.among("v.id", ids)))
	return byKey(ids, invoices, func(v *Invoice) string { return v.ID }), err
}

// InvoiceByStripeID finds an organization's invoice by Stripe's ID.
func (d *DB) InvoiceByStripeID(ctx context.Context, organizationID, stripeID string) (*Invoice, error) {
	return one[Invoice](ctx, d.bun.NewSelect().Model((*Invoice)(nil)).
		Where("organization_id = ?", organizationID).Where("stripe_id = ?", stripeID))
}

// UnsettledInvoices lists an organization's invoices that can still change: drafts, open and
// uncollectible ones.
func (d *DB) UnsettledInvoices(ctx context.Context, organizationID string) ([]*Invoice, error) {
	return many[Invoice](ctx, d.bun.NewSelect().Model((*Invoice)(nil)).Where("organization_id = ?", organizationID).
		Where("status IN (?)", bun.List([]InvoiceStatus{InvoiceDraft, InvoiceOpen, InvoiceUncollectible})).OrderExpr("id"))
}

// NewestInvoice finds the newest invoice of an organization; ErrNotFound when there is none.
func (d *DB) NewestInvoice(ctx context.Context, organizationID string) (*Invoice, error) {
	return one[Invoice](ctx, d.bun.NewSelect().Model((*Invoice)(nil)).Where("organization_id = ?", organizationID).OrderExpr("id DESC"))
}

// InvoicesOfOrganizations is the same page of several organizations' invoices of a status, of all
// when it is "", newest first.
func (d *DB) InvoicesOfOrganizations(ctx context.Context, organizationIDs []string, status InvoiceStatus, page Page) ([]*Rows[Invoice], error) {
	list := func(organizationID any) *bun.SelectQuery {
		return d.invoices(status).Where("organization_id = ?", organizationID)
	}
	return readPages(ctx, d, organizationIDs, page, invoiceOrder, list, func(v *Invoice) string { return v.OrganizationID })
}

// CountInvoicesOfOrganizations counts what InvoicesOfOrganizations lists.
func (d *DB) CountInvoicesOfOrganizations(ctx context.Context, organizationIDs []string, status InvoiceStatus) ([]int, error) {
	query := d.invoices(status).Where("?", d.among("v.organization_id", organizationIDs))
	return d.countByOrganization(ctx, organizationIDs, query, "v")
}

func (d *DB) invoices(status InvoiceStatus) *bun.SelectQuery {
	query := d.bun.NewSelect().Model((*Invoice)(nil))
	if status != "" {
		query = query.Where("v.status = ?", status)
	}
	return query
}
