package billing

// The sweep: finds and repairs what no webhook told.

import (
	"context"
	"errors"
	"time"

	"github.com/rs/zerolog"
	"github.com/stripe/stripe-go/v85"

	"studio/db"
	"studio/job"
)

const (
	// sweepPage is how many accounts are read at once.
	sweepPage = 100
	// eventRetention is how long a webhook is remembered; Stripe sends one again for three days.
	eventRetention = 30 * 24 * time.Hour
)

// Sweep compares every organization with Stripe, one after the other, and repairs what differs.
func (b *Billing) Sweep(ctx context.Context) error {
	if err := b.db.DeleteStripeEvents(ctx, b.db.Now().Add(-eventRetention)); err != nil {
		return err
	}
	last := ""
	for ctx.Err() == nil {
		accounts, err := b.db.BillingAccountsAfter(ctx, last, sweepPage)
		if err != nil {
			return err
		}
		for _, account := range accounts {
			err := b.refreshAtOnce(ctx, task{OrganizationID: account.OrganizationID, Sweep: true})
			if err != nil && !errors.Is(err, job.ErrPending) { // which is done when its lane is free
				zerolog.Ctx(ctx).Error().Err(err).Str("organization", account.OrganizationID).Msg("cannot compare with Stripe")
			}
			last = account.OrganizationID
		}
		if len(accounts) < sweepPage {
			return nil
		}
	}
	return ctx.Err()
}

// repair is the sweep's job.
func (b *Billing) repair(ctx context.Context, jobID string, t task) error {
	account, err := b.db.BillingAccountOf(ctx, t.OrganizationID)
	if err != nil {
		return err
	}
	log := zerolog.Ctx(ctx).With().Str("organization", t.OrganizationID).Logger()
	s, err := b.look(ctx, account)
	if err != nil {
		return err
	}
	instances, err := b.db.InstancesOf(ctx, t.OrganizationID)
	if err != nil {
		return err
	}
	for _, orphan := range orphans(s, instances) {
		log.Error().Str("subscription", orphan.ID).Msg("a subscription bills for no instance; it is canceled")
		if err := b.cancel(ctx, orphan); err != nil {
			return err
		}
		b.drift.Inc()
	}
	for _, instance := range instances {
		if err := b.lower(ctx, jobID, s, instance); err != nil {
			return err
		}
	}
	differences, err := b.refresh(ctx, t.OrganizationID, cause{}, nil)
	b.drift.Add(float64(differences))
	return err
}

// lower makes Stripe bill no more for an instance than it costs, as is left when Stripe did what it did
// not answer until that was given up.
func (b *Billing) lower(ctx context.Context, jobID string, s *seen, instance *db.Instance) error {
	var present int64
	if own := s.subscriptions(instance.ID); len(own) > 0 {
		present = billed(own[0])
	}
	if instance.JobID != nil || present == instance.Amount() { // what is under way is for its job to settle
		return nil
	}
	b.drift.Inc()
	log := zerolog.Ctx(ctx).With().Str("organization", instance.OrganizationID).Str("instance", instance.ID).
		Int64("billed", present).Int64("price", instance.Amount()).Logger()
	order := Order{Instance: instance, Items: b.items(instance)}
	if present < instance.Amount() || order.amount() != instance.Amount() {
		// Nothing is charged without being asked for, so this is for people to settle.
		log.Error().Msg("an instance is not billed at its price")
		return nil
	}
	log.Error().Msg("an instance is billed at more than its price; that is lowered")
	return b.arrange(ctx, jobID, s.account, order)
}

// orphans are the live subscriptions of ours that no instance is behind, or that another bills for
// already.
func orphans(s *seen, instances []*db.Instance) []*stripe.Subscription {
	hasOne := map[string]bool{} // of each instance
	for _, instance := range instances {
		hasOne[instance.ID] = false
	}
	var found []*stripe.Subscription
	for _, subscription := range s.live {
		if subscription.Metadata["organization_id"] != s.account.OrganizationID {
			continue // made by hand, for something else
		}
		id := subscription.Metadata["instance_id"]
		if already, exists := hasOne[id]; already || !exists {
			found = append(found, subscription)
		} else {
			hasOne[id] = true
		}
	}
	return found
}
