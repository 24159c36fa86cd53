package resolvers

// Nodes: any object by its typed ID, for callers who may see it.

import (
	"context"
	"errors"

	"golang.org/x/sync/errgroup"

	"studio/db"
	"studio/event"
	"studio/fault"
	"studio/graph"
)

// maxNodes bounds how many nodes are fetched at once.
const maxNodes = 100

func (r queryResolver) Node(ctx context.Context, id string) (graph.Node, error) {
	caller, err := requireCaller(ctx)
	if err != nil {
		return nil, err
	}
	switch db.PrefixOf(id) {
	case db.UserPrefix:
		return found(r.DB.VisibleUser(ctx, caller.User, id))
	case db.SessionPrefix:
		return found(r.DB.SessionOfUser(ctx, caller.User.ID, id))
	case db.APITokenPrefix:
		return found(r.DB.APITokenOfUser(ctx, caller.User.ID, id))
	case db.OrganizationPrefix:
		return found(r.visibleOrganization(ctx, id))
	case db.MembershipPrefix:
		return found(r.visibleMembership(ctx, id))
	case db.EventPrefix:
		return found(r.visibleEvent(ctx, id))
	case db.InstancePrefix:
		return visibleTo(ctx, false, id)
	case db.BillingPrefix, db.InvoicePrefix, db.CouponPrefix:
		return visibleTo(ctx, true, id)
	}
	return nil, nil
}

func (r queryResolver) Nodes(ctx context.Context, ids []string) ([]graph.Node, error) {
	if len(ids) > maxNodes {
		return nil, fault.Invalid("ids", "Ask for at most %d nodes at once.", maxNodes)
	}
	nodes := make([]graph.Node, len(ids))
	group, ctx := errgroup.WithContext(ctx)
	for i, id := range ids {
		group.Go(func() (err error) { // at once, so that the loaders gather
			nodes[i], err = r.Node(ctx, id)
			return err
		})
	}
	return nodes, group.Wait()
}

// found turns a row that is not there into nil, and not into an interface that holds nil.
func found[T any](row *T, err error) (any, error) {
	if errors.Is(err, db.ErrNotFound) {
		return nil, nil
	}
	if err != nil || row == nil {
		return nil, err
	}
	return row, nil
}

// visibleTo loads what belongs to an organization; nil unless the caller is accepted there, or owns it.
func visibleTo(ctx context.Context, ownersOnly bool, id string) (any, error) {
	row, organizationID, err := loadersOf(ctx).belonging(ctx, id)
	if err != nil || row == nil {
		return nil, err
	}
	own, err := loadersOf(ctx).acceptedMembership(ctx, organizationID)
	if err != nil || own == nil || ownersOnly && !own.IsOwner {
		return nil, err
	}
	return row, nil
}

// visibleMembership is nil unless it is the caller's own or the caller owns its organization.
func (r *Resolvers) visibleMembership(ctx context.Context, id string) (*db.Membership, error) {
	membership, err := loadersOf(ctx).memberships.Load(ctx, id)()
	if err != nil || membership == nil {
		return nil, err
	}
	own, err := loadersOf(ctx).viewerMembership(ctx, membership.OrganizationID)
	if err != nil || own == nil || own.ID != id && !own.IsOwner {
		return nil, err
	}
	return membership, nil
}

// visibleEvent is nil unless the caller would receive it live.
func (r *Resolvers) visibleEvent(ctx context.Context, id string) (*db.Event, error) {
	found, err := r.DB.EventByID(ctx, id)
	if err != nil {
		return nil, err
	}
	own, err := loadersOf(ctx).acceptedMembership(ctx, found.OrganizationID)
	if err != nil || own == nil || !event.VisibleTo(own, found) {
		return nil, err
	}
	return found, nil
}
