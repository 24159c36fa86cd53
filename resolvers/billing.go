package resolvers

// Billing: the card, the invoices and the coupons of an organization.

import (
	"context"

	"studio/billing"
	"studio/db"
	"studio/graph"
)

func (r organizationResolver) Billing(ctx context.Context, o *db.Organization) (*db.BillingAccount, error) {
	return loadersOf(ctx).billing(ctx, o.ID)
}

func (r billingResolver) ID(_ context.Context, b *db.BillingAccount) (string, error) {
	return db.BillingIDOf(b.OrganizationID), nil
}

func (r billingResolver) Status(_ context.Context, b *db.BillingAccount) (graph.BillingStatus, error) {
	if b.Overdue {
		return graph.BillingStatusPaymentOverdue, nil
	}
	return graph.BillingStatusOk, nil
}

func (r billingResolver) Card(_ context.Context, b *db.BillingAccount) (*graph.Card, error) {
	if b.PaymentMethodID == nil {
		return nil, nil
	}
	return &graph.Card{
		Brand: *b.CardBrand, Last4: *b.CardLast4, ExpMonth: int32(*b.CardExpMonth), ExpYear: int32(*b.CardExpYear),
	}, nil
}

func (r billingResolver) Invoices(
	ctx context.Context, b *db.BillingAccount, first *int32, after *string, last *int32, before *string, status *db.InvoiceStatus,
) (*graph.InvoiceConnection, error) {
	var only db.InvoiceStatus
	if status != nil {
		only = *status
	}
	return connect(ctx, pageArguments{first, last, after, before}, db.InvoiceList.Cursors(b.OrganizationID), (*db.Invoice).Key,
		func(page db.Page) func() (*db.Rows[db.Invoice], error) {
			return loadersOf(ctx).invoicePages.Load(ctx, organizationKey[invoiceQuery]{b.OrganizationID, invoiceQuery{only, page}})
		},
		func() func() (int, error) {
			return loadersOf(ctx).invoiceCounts.Load(ctx, organizationKey[db.InvoiceStatus]{b.OrganizationID, only})
		})
}

func (r billingResolver) Coupons(ctx context.Context, b *db.BillingAccount) ([]*db.Coupon, error) {
	return loadersOf(ctx).couponLists.Load(ctx, b.OrganizationID)()
}

func (r billingResolver) Credit(_ context.Context, b *db.BillingAccount) (*billing.Money, error) {
	return billing.Dollars(b.Credit), nil
}

func (r billingResolver) UpcomingInvoices(ctx context.Context, b *db.BillingAccount) ([]*billing.Upcoming, error) {
	return loadersOf(ctx).upcoming.Load(ctx, b.OrganizationID)()
}

func money(amount int64, currency string) (*billing.Money, error) {
	return &billing.Money{Amount: int(amount), Currency: currency}, nil
}

func (r invoiceResolver) Subtotal(_ context.Context, v *db.Invoice) (*billing.Money, error) {
	return money(v.Subtotal, v.Currency)
}

func (r invoiceResolver) Discount(_ context.Context, v *db.Invoice) (*billing.Money, error) {
	return money(v.Discount, v.Currency)
}

func (r invoiceResolver) Tax(_ context.Context, v *db.Invoice) (*billing.Money, error) {
	return money(v.Tax, v.Currency)
}

func (r invoiceResolver) Total(_ context.Context, v *db.Invoice) (*billing.Money, error) {
	return money(v.Total, v.Currency)
}

func (r invoiceResolver) AmountPaid(_ context.Context, v *db.Invoice) (*billing.Money, error) {
	return money(v.AmountPaid, v.Currency)
}

func (r invoiceResolver) AmountDue(_ context.Context, v *db.Invoice) (*billing.Money, error) {
	return money(v.AmountDue, v.Currency)
}

func (r invoiceLineResolver) Amount(_ context.Context, line *db.InvoiceLine) (*billing.Money, error) {
	return money(line.Amount, line.Currency)
}

func (r invoiceLineResolver) Instance(ctx context.Context, line *db.InvoiceLine) (*db.Instance, error) {
	if line.InstanceID == "" {
		return nil, nil
	}
	return loadersOf(ctx).instances.Load(ctx, line.InstanceID)()
}

func (r couponResolver) AmountOff(_ context.Context, k *db.Coupon) (*billing.Money, error) {
	if k.AmountOff == nil {
		return nil, nil
	}
	return money(*k.AmountOff, k.Currency)
}

func (r couponResolver) AddedBy(ctx context.Context, k *db.Coupon) (*db.User, error) {
	return optional(ctx, loadersOf(ctx).users, k.AddedByID)
}

func (r mutationResolver) StartCardSetup(ctx context.Context, input graph.StartCardSetupInput) (*graph.StartCardSetupPayload, error) {
	secret, key, err := r.Bills.StartCardSetup(ctx, callerOf(ctx).User, input.OrganizationID)
	if err != nil {
		return nil, err
	}
	return &graph.StartCardSetupPayload{ClientSecret: secret, PublishableKey: key}, nil
}

func (r mutationResolver) SetCard(ctx context.Context, input graph.SetCardInput) (*graph.SetCardPayload, error) {
	account, err := r.Bills.SetCard(ctx, callerOf(ctx).User, input.OrganizationID, input.PaymentMethodID)
	if err != nil {
		return nil, err
	}
	return &graph.SetCardPayload{Billing: account}, nil
}

func (r mutationResolver) RemoveCard(ctx context.Context, input graph.RemoveCardInput) (*graph.RemoveCardPayload, error) {
	account, err := r.Bills.RemoveCard(ctx, callerOf(ctx).User, input.OrganizationID)
	if err != nil {
		return nil, err
	}
	return &graph.RemoveCardPayload{Billing: account}, nil
}

func (r mutationResolver) AddCoupon(ctx context.Context, input graph.AddCouponInput) (*graph.AddCouponPayload, error) {
	coupon, account, err := r.Bills.AddCoupon(ctx, callerOf(ctx).User, input.OrganizationID, input.Code)
	if err != nil {
		return nil, err
	}
	return &graph.AddCouponPayload{Coupon: coupon, Billing: account}, nil
}

func (r mutationResolver) PayInvoice(ctx context.Context, input graph.PayInvoiceInput) (*graph.PayInvoicePayload, error) {
	paid, err := r.Bills.PayInvoice(ctx, callerOf(ctx).User, input.InvoiceID)
	if err != nil {
		return nil, err
	}
	return &graph.PayInvoicePayload{Invoice: paid}, nil
}
