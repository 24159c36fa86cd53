// Package billing lets organizations pay: one customer of Stripe's an organization, one card, a
// subscription for each instance that costs money, coupons, and a mirror of what Stripe knows, so
// that reads never call it.
//
// Whatever talks to Stripe is a job in the organization's lane, so that one thing happens at a time
// and nothing is lost when the process ends in the middle: the job is taken up again and finds out
// from Stripe how far it came. Each ends with a refresh, which stores what Stripe knows by then and
// records what has changed. Webhooks and the sweep are nothing but a refresh, so their order and
// their number make no difference.
package billing

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/stripe/stripe-go/v85"

	"studio/db"
	"studio/fault"
	"studio/job"
	"studio/mail"
	"studio/organization"
)

// The kinds of the jobs.
const (
	openJob    = "open billing account"
	setJob     = "set card"
	removeJob  = "remove card"
	couponJob  = "add coupon"
	payJob     = "pay invoice"
	refreshJob = "refresh billing"
	mailJob    = "mail payment failure"
)

// Settings is how Stripe is reached.
type Settings struct {
	SecretKey, PublishableKey, WebhookSecret string
	// APIURL is where Stripe's API is, without /v1; Stripe's own when "".
	APIURL string
}

// Billing applies the rules.
type Billing struct {
	db        *db.DB
	jobs      *job.Queue
	mails     mail.Sender
	publicURL string
	settings  Settings
	items     func(instance *db.Instance) []Item
	stripe    *stripe.Client
	products  sync.Map // the IDs of those that Stripe is known to have

	webhooks *prometheus.CounterVec
	drift    prometheus.Counter
}

// New makes the rules work on a database. Links in mails start with publicURL, and items are what is to be
// billed for an instance.
func New(
	database *db.DB, jobs *job.Queue, mails mail.Sender, publicURL string, settings Settings, items func(instance *db.Instance) []Item,
) *Billing {
	b := &Billing{
		db: database, jobs: jobs, mails: mails, publicURL: publicURL, settings: settings, items: items, stripe: client(settings),
		webhooks: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "studio_stripe_webhooks_total", Help: "Webhooks of Stripe's, by what came of them."}, []string{"outcome"}),
		drift: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "studio_billing_drift_total", Help: "Differences from Stripe that the sweep found."}),
	}
	job.Handle(jobs, openJob, job.Handler[task]{Do: b.open, Failed: b.refreshLater, NoRetry: true})
	job.Handle(jobs, setJob, job.Handler[task]{Do: b.setCard, Failed: b.refreshLater, NoRetry: true})
	job.Handle(jobs, removeJob, job.Handler[task]{Do: b.removeCard, Failed: b.refreshLater, NoRetry: true})
	job.Handle(jobs, couponJob, job.Handler[task]{Do: b.addCoupon, Failed: b.couponGivenUp})
	job.Handle(jobs, payJob, job.Handler[task]{Do: b.payInvoice, Failed: b.refreshLater, NoRetry: true})
	job.Handle(jobs, refreshJob, job.Handler[task]{Do: b.refreshNow})
	job.Handle(jobs, mailJob, job.Handler[failedPaymentPayload]{Do: b.mailFailure})
	return b
}

// Collectors are the metrics.
func (b *Billing) Collectors() []prometheus.Collector {
	return []prometheus.Collector{b.webhooks, b.drift}
}

// Money is an amount in the currency's minor unit.
type Money struct {
	Amount int
	// Currency is an ISO 4217 code in upper case.
	Currency string
}

// Currency is what all prices are in.
const Currency = "USD"

// Dollars is an amount of US dollars, given in cents.
func Dollars(cents int64) *Money { return &Money{Amount: int(cents), Currency: Currency} }

// written is an amount in words.
func written(cents int64) string {
	sign := ""
	if cents < 0 {
		sign, cents = "-", -cents
	}
	return fmt.Sprintf("%s$%d.%02d", sign, cents/100, cents%100)
}

// Affordable refuses what costs money when it could not be paid for: PAYMENT_METHOD_REQUIRED,
// PAYMENT_OVERDUE. The organization must be locked.
func Affordable(ctx context.Context, tx *db.DB, organizationID string) error {
	account, err := accountOf(ctx, tx, organizationID)
	switch {
	case err != nil:
		return err
	case account.PaymentMethodID == nil:
		return errNoCard
	case account.Overdue:
		return errOverdue
	}
	return nil
}

var (
	errNoCard      = fault.New(fault.PaymentMethodRequired, "This costs money, and the organization has no card. Set one first.")
	errOverdue     = fault.New(fault.PaymentOverdue, "A payment failed and is still open. Pay the open invoice first.")
	errUnavailable = fault.New(fault.Unavailable, "The payment service is not responding. Try again in a minute.")
	errSlow        = fault.New(fault.Unavailable, "The payment service takes longer than usual. Check again in a minute.").GoingOn()
)

// task is what a job is given.
type task struct {
	OrganizationID  string
	ActorID         string `json:",omitempty"`
	PaymentMethodID string `json:",omitempty"`
	Code, CouponID  string `json:",omitempty"`
	InvoiceID       string `json:",omitempty"`
	// EventID is the webhook that a refresh is due to, and Sweep tells that it is due to the sweep.
	EventID string `json:",omitempty"`
	Sweep   bool   `json:",omitempty"`
}

// change does what an owner asks for: the check under the organization's lock, which may complete the task,
// then the job. A check that answers false tells that there is nothing to do. To those who do not belong to
// the organization, what they named is missing.
func (b *Billing) change(
	ctx context.Context, actor *db.User, kind string, t *task, missing *fault.Error, check func(tx *db.DB) (bool, error),
) error {
	t.ActorID = actor.ID
	var jobID string
	err := b.db.InTx(ctx, func(tx *db.DB) error {
		jobID = ""
		if _, err := organization.LockAsOwner(ctx, tx, actor, t.OrganizationID, missing); err != nil {
			return err
		}
		needed, err := check(tx)
		if err != nil || !needed {
			return err
		}
		jobID, err = b.jobs.Enqueue(ctx, tx, kind, t, job.InLane(t.OrganizationID), job.Foreground())
		return err
	})
	if err != nil || jobID == "" {
		return err
	}
	if err = b.jobs.Do(ctx, jobID); errors.Is(err, job.ErrPending) {
		return errSlow
	}
	return err
}

// givingUp is how long it may take to store that a job is over, also when its own time is.
const givingUp = 10 * time.Second

// giveUp ends a job that is done now or not at all. When Stripe failed nobody knows how far it came,
// so a refresh is left, to be tried until Stripe answers.
func (b *Billing) giveUp(ctx context.Context, organizationID string, err error) error {
	if _, is := errors.AsType[*failure](err); !is {
		return err
	}
	zerolog.Ctx(ctx).Error().Err(err).Str("organization", organizationID).Msg("Stripe failed")
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), givingUp)
	defer cancel()
	if err := b.refreshLater(ctx, "", task{OrganizationID: organizationID}); err != nil {
		return err
	}
	return errUnavailable
}

// refreshLater leaves a refresh after a job that failed.
func (b *Billing) refreshLater(ctx context.Context, _ string, t task) error {
	return b.db.InTx(ctx, func(tx *db.DB) error {
		_, err := b.jobs.Enqueue(ctx, tx, refreshJob, task{OrganizationID: t.OrganizationID}, job.InLane(t.OrganizationID))
		return err
	})
}

// refreshAtOnce has an organization refreshed in its lane, and waits for that.
func (b *Billing) refreshAtOnce(ctx context.Context, t task) error {
	var jobID string
	err := b.db.InTx(ctx, func(tx *db.DB) (err error) {
		jobID, err = b.jobs.Enqueue(ctx, tx, refreshJob, t, job.InLane(t.OrganizationID), job.Foreground())
		return err
	})
	if err != nil {
		return err
	}
	return b.jobs.Do(ctx, jobID)
}

// accountOf is an organization's account; an empty one, of no customer, when there is none.
func accountOf(ctx context.Context, tx *db.DB, organizationID string) (*db.BillingAccount, error) {
	account, err := tx.BillingAccountOf(ctx, organizationID)
	if errors.Is(err, db.ErrNotFound) {
		return &db.BillingAccount{OrganizationID: organizationID}, nil
	}
	return account, err
}

// open is the job that makes an organization a customer of Stripe's.
func (b *Billing) open(ctx context.Context, _ string, t task) error {
	_, err := b.customer(ctx, t.OrganizationID)
	return b.giveUp(ctx, t.OrganizationID, err)
}

// customer is the account of an organization, which becomes a customer of Stripe's if it is none yet.
// It must be called in the organization's lane.
func (b *Billing) customer(ctx context.Context, organizationID string) (*db.BillingAccount, error) {
	owning, err := b.db.OrganizationByID(ctx, organizationID)
	if errors.Is(err, db.ErrNotFound) {
		return nil, organization.ErrMissing // it was deleted while the job waited, and must not get anything any more
	}
	if err != nil {
		return nil, err
	}
	account, err := accountOf(ctx, b.db, organizationID)
	if err != nil || account.CustomerID != "" {
		return account, err
	}
	// Not the job's ID, and not the name, which may be another by then: what a job could not finish, the
	// next one finds made.
	customer, err := b.stripe.V1Customers.Create(ctx, once("customer", organizationID, &stripe.CustomerCreateParams{
		Metadata: map[string]string{"organization_id": organizationID},
	}))
	if err != nil {
		return nil, err
	}
	_, err = b.stripe.V1Customers.Update(ctx, customer.ID, once("customer", organizationID+"/name", &stripe.CustomerUpdateParams{
		Name: &owning.Name,
	}))
	if err != nil {
		return nil, err
	}
	account.CustomerID, account.CreatedAt = customer.ID, b.db.Now()
	inserted, err := b.db.InsertBillingAccount(ctx, account)
	if err != nil || inserted {
		return account, err
	}
	return b.db.BillingAccountOf(ctx, organizationID) // the job was overtaken
}
