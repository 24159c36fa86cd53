package db

import (
	"context"
	"time"

	"github.com/uptrace/bun"
)

// EventType is what happened.
type EventType string

// The types of events.
const (
	OrganizationCreated    EventType = "ORGANIZATION_CREATED"
	OrganizationUpdated    EventType = "ORGANIZATION_UPDATED"
	OrganizationDeleted    EventType = "ORGANIZATION_DELETED"
	UserInvited            EventType = "USER_INVITED"
	InvitationResent       EventType = "INVITATION_RESENT"
	InvitationRevoked      EventType = "INVITATION_REVOKED"
	InvitationAccepted     EventType = "INVITATION_ACCEPTED"
	InvitationDeclined     EventType = "INVITATION_DECLINED"
	OwnerAdded             EventType = "OWNER_ADDED"
	OwnerRemoved           EventType = "OWNER_REMOVED"
	UserRemoved            EventType = "USER_REMOVED"
	UserLeft               EventType = "USER_LEFT"
	InstanceCreated        EventType = "INSTANCE_CREATED"
	InstanceUpdated        EventType = "INSTANCE_UPDATED"
	InstanceDeleted        EventType = "INSTANCE_DELETED"
	CardChanged            EventType = "CARD_CHANGED"
	CardRemoved            EventType = "CARD_REMOVED"
	CouponAdded            EventType = "COUPON_ADDED"
	InvoiceCreated         EventType = "INVOICE_CREATED"
	InvoiceWasPaid         EventType = "INVOICE_PAID"
	PaymentFailed          EventType = "PAYMENT_FAILED"
	WebhookEndpointCreated EventType = "WEBHOOK_ENDPOINT_CREATED"
	WebhookEndpointUpdated EventType = "WEBHOOK_ENDPOINT_UPDATED"
	WebhookEndpointDeleted EventType = "WEBHOOK_ENDPOINT_DELETED"
)

// Event is one entry of an organization's log. The tables refuse to change or delete it.
type Event struct {
	bun.BaseModel `bun:"table:events,alias:e"`

	ID             string `bun:"id,pk"`
	OrganizationID string `bun:"organization_id"`
	// Seq counts the organization's events from 1 without a gap, in the order of their commits.
	Seq  int64     `bun:"seq"`
	Type EventType `bun:"type"`
	// ActorID is nil for what the system did.
	ActorID *string `bun:"actor_id"`
	// SubjectID is what the event is about; it may be gone by now.
	SubjectID string    `bun:"subject_id"`
	Summary   string    `bun:"summary"`
	CreatedAt time.Time `bun:"created_at"`
}

var eventOrder = order{columns: []string{"seq"}, descending: true}

// Key is the event's place in its organization's log.
func (e *Event) Key() Key { return Key{e.Seq} }

// InsertEvent adds an event and gives it the next number of its organization, whose row is locked
// by that until the transaction ends: events are numbered in the order of their commits. It also tells
// how many webhook endpoints there are that events are sent to.
func (d *DB) InsertEvent(ctx context.Context, event *Event) (endpoints int, err error) {
	err = d.bun.NewUpdate().Model((*Organization)(nil)).Set("event_seq = event_seq + 1").
		Where("id = ?", event.OrganizationID).Returning("event_seq, webhook_endpoints").Scan(ctx, &event.Seq, &endpoints)
	if err != nil {
		return 0, mapError(err)
	}
	_, err = d.bun.NewInsert().Model(event).Exec(ctx)
	return endpoints, mapError(err)
}

// EventByID finds an event.
func (d *DB) EventByID(ctx context.Context, id string) (*Event, error) {
	if err := wellFormed(EventPrefix, id); err != nil {
		return nil, err
	}
	return one[Event](ctx, d.bun.NewSelect().Model((*Event)(nil)).Where("id = ?", id))
}

// EventsByID finds events, in the order of ids, nil where there is none.
func (d *DB) EventsByID(ctx context.Context, ids []string) ([]*Event, error) {
	events, err := many[Event](ctx, d.bun.NewSelect().Model((*Event)(nil)).Where("?", d.among("id", ids)))
	return byKey(ids, events, func(e *Event) string { return e.ID }), err
}

// EventBySeq finds an event by its number.
func (d *DB) EventBySeq(ctx context.Context, organizationID string, seq int64) (*Event, error) {
	return one[Event](ctx, d.bun.NewSelect().Model((*Event)(nil)).Where("organization_id = ?", organizationID).Where("seq = ?", seq))
}

// EventsAfter lists up to limit events of an organization that follow a number, oldest first.
func (d *DB) EventsAfter(ctx context.Context, organizationID string, seq int64, limit int) ([]*Event, error) {
	return many[Event](ctx, d.bun.NewSelect().Model((*Event)(nil)).
		Where("organization_id = ?", organizationID).Where("seq > ?", seq).OrderExpr("seq").Limit(int64(limit)))
}

// EventHeads finds the numbers of the newest events of organizations, deleted ones too.
func (d *DB) EventHeads(ctx context.Context, organizationIDs []string) (map[string]int64, error) {
	var rows []struct {
		ID       string `bun:"id"`
		EventSeq int64  `bun:"event_seq"`
	}
	err := d.bun.NewSelect().Model((*Organization)(nil)).Column("id", "event_seq").
		Where("?", d.among("id", organizationIDs)).Scan(ctx, &rows)
	heads := make(map[string]int64, len(rows))
	for _, row := range rows {
		heads[row.ID] = row.EventSeq
	}
	return heads, mapError(err)
}

// EventsOfOrganizations is the same page of several organizations' logs, newest first.
func (d *DB) EventsOfOrganizations(ctx context.Context, organizationIDs []string, page Page) ([]*Rows[Event], error) {
	list := func(organizationID any) *bun.SelectQuery {
		return d.bun.NewSelect().Model((*Event)(nil)).Where("organization_id = ?", organizationID)
	}
	return readPages(ctx, d, organizationIDs, page, eventOrder, list, func(e *Event) string { return e.OrganizationID })
}

// CountEventsOfOrganizations counts what EventsOfOrganizations lists.
func (d *DB) CountEventsOfOrganizations(ctx context.Context, organizationIDs []string) ([]int, error) {
	query := d.bun.NewSelect().Model((*Event)(nil)).Where("?", d.among("e.organization_id", organizationIDs))
	return d.countByOrganization(ctx, organizationIDs, query, "e")
}
