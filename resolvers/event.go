package resolvers

// Events: the organization's log, and following it live.

import (
	"context"

	"studio/account"
	"studio/db"
	"studio/event"
	"studio/graph"
	"studio/transport"
)

func (r organizationResolver) Events(
	ctx context.Context, o *db.Organization, first *int32, after *string, last *int32, before *string,
) (*graph.EventConnection, error) {
	return connect(ctx, pageArguments{first, last, after, before}, db.EventList.Cursors(o.ID), (*db.Event).Key,
		func(page db.Page) func() (*db.Rows[db.Event], error) {
			return loadersOf(ctx).eventPages.Load(ctx, organizationKey[db.Page]{o.ID, page})
		},
		func() func() (int, error) { return loadersOf(ctx).eventCounts.Load(ctx, o.ID) })
}

func (r eventResolver) Cursor(_ context.Context, e *db.Event) (string, error) {
	return event.Cursor(e), nil
}

func (r eventResolver) Actor(ctx context.Context, e *db.Event) (*db.User, error) {
	return optional(ctx, loadersOf(ctx).users, e.ActorID)
}

func (r eventResolver) Organization(ctx context.Context, e *db.Event) (*db.Organization, error) {
	return loadersOf(ctx).organization(ctx, e.OrganizationID)
}

// Subject trusts that whoever sees an event may see its subject; see event.VisibleTo.
func (r eventResolver) Subject(ctx context.Context, e *db.Event) (graph.EventSubject, error) {
	switch db.PrefixOf(e.SubjectID) {
	case db.OrganizationPrefix:
		return found(loadersOf(ctx).organization(ctx, e.SubjectID))
	case db.BillingPrefix:
		return found(loadersOf(ctx).organization(ctx, db.OrganizationIDOf(e.SubjectID)))
	}
	subject, _, err := loadersOf(ctx).belonging(ctx, e.SubjectID)
	return subject, err
}

func (r subscriptionResolver) InvitationAccepted(ctx context.Context, organizationID string) (<-chan *db.Membership, error) {
	stream, err := r.Events.Follow(ctx, subscriberOf(callerOf(ctx)), organizationID, nil, true)
	if err != nil {
		return nil, err
	}
	return transport.Entries(ctx, func(ctx context.Context) (*db.Membership, error) {
		for {
			e, err := stream.Next(ctx)
			if err != nil {
				return nil, err
			}
			if e.Type != db.InvitationAccepted {
				continue
			}
			accepted, err := r.DB.MembershipsByID(ctx, []string{e.SubjectID})
			if err != nil {
				return nil, err
			}
			if accepted[0] != nil { // the user was not removed meanwhile
				return accepted[0], nil
			}
		}
	}), nil
}

func (r subscriptionResolver) OrganizationEvents(ctx context.Context, organizationID string, after *string) (<-chan *db.Event, error) {
	var position *int64
	if after != nil {
		seq, err := event.Position(ctx, r.DB, organizationID, *after)
		if err != nil {
			return nil, err
		}
		position = &seq
	}
	stream, err := r.Events.Follow(ctx, subscriberOf(callerOf(ctx)), organizationID, position, false)
	if err != nil {
		return nil, err
	}
	return transport.Entries(ctx, stream.Next), nil
}

func (r subscriptionResolver) InvitationReceived(ctx context.Context) (<-chan *db.Membership, error) {
	stream, err := r.Events.Invitations(ctx, subscriberOf(callerOf(ctx)))
	if err != nil {
		return nil, err
	}
	return transport.Entries(ctx, stream.Next), nil
}

func subscriberOf(caller *account.Caller) event.Caller {
	return event.Caller{User: caller.User, CredentialID: caller.CredentialID()}
}
