package resolvers

// Memberships: the users of an organization and the invitations to it.

import (
	"context"

	"studio/db"
	"studio/fault"
	"studio/graph"
)

func (r queryResolver) Invitation(ctx context.Context, token string) (*db.OpenInvitation, error) {
	return r.Organizations.Preview(ctx, token)
}

func (r organizationResolver) ViewerMembership(ctx context.Context, o *db.Organization) (*db.Membership, error) {
	own, err := loadersOf(ctx).viewerMembership(ctx, o.ID)
	if err == nil && own == nil {
		return nil, fault.ErrNoOrganization
	}
	return own, err
}

func (r organizationResolver) Users(
	ctx context.Context, o *db.Organization,
	first *int32, after *string, last *int32, before *string, status *db.MembershipStatus, search *string,
) (*graph.OrganizationUserConnection, error) {
	var filter db.MembershipFilter
	if status != nil {
		filter.Status = *status
	}
	var err error
	if filter.Search, err = searchTerm(search); err != nil {
		return nil, err
	}
	return connect(ctx, pageArguments{first, last, after, before}, db.UserList.Cursors(o.ID), (*db.Membership).Key,
		func(page db.Page) func() (*db.Rows[db.Membership], error) {
			return loadersOf(ctx).userPages.Load(ctx, organizationKey[userQuery]{o.ID, userQuery{filter, page}})
		},
		func() func() (int, error) {
			return loadersOf(ctx).userCounts.Load(ctx, organizationKey[db.MembershipFilter]{o.ID, filter})
		})
}

func (r organizationUserResolver) Organization(ctx context.Context, m *db.Membership) (*db.Organization, error) {
	return loadersOf(ctx).existingOrganization(ctx, m.OrganizationID)
}

func (r organizationUserResolver) User(ctx context.Context, m *db.Membership) (*db.User, error) {
	return optional(ctx, loadersOf(ctx).users, m.UserID)
}

func (r organizationUserResolver) InvitedBy(ctx context.Context, m *db.Membership) (*db.User, error) {
	return optional(ctx, loadersOf(ctx).users, m.InvitedByID)
}

func (r mutationResolver) InviteUser(ctx context.Context, input graph.InviteUserInput) (*graph.InviteUserPayload, error) {
	invited, err := r.Organizations.Invite(ctx, callerOf(ctx).User, input.OrganizationID, input.Email)
	if err != nil {
		return nil, err
	}
	return &graph.InviteUserPayload{OrganizationUser: invited}, nil
}

func (r mutationResolver) ResendInvitation(ctx context.Context, input graph.ResendInvitationInput) (*graph.ResendInvitationPayload, error) {
	invited, err := r.Organizations.ResendInvitation(ctx, callerOf(ctx).User, input.OrganizationUserID)
	if err != nil {
		return nil, err
	}
	return &graph.ResendInvitationPayload{OrganizationUser: invited}, nil
}

func (r mutationResolver) AcceptInvitation(ctx context.Context, input graph.AcceptInvitationInput) (*graph.AcceptInvitationPayload, error) {
	accepted, err := r.Organizations.Accept(ctx, callerOf(ctx).User, input.OrganizationUserID, input.Token)
	if err != nil {
		return nil, err
	}
	return &graph.AcceptInvitationPayload{OrganizationUser: accepted}, nil
}

func (r mutationResolver) DeclineInvitation(ctx context.Context, input graph.DeclineInvitationInput) (*graph.DeclineInvitationPayload, error) {
	if err := r.Organizations.Decline(ctx, callerOf(ctx).User, input.OrganizationUserID); err != nil {
		return nil, err
	}
	return &graph.DeclineInvitationPayload{DeclinedOrganizationUserID: input.OrganizationUserID}, nil
}

func (r mutationResolver) SetOrganizationOwner(ctx context.Context, input graph.SetOrganizationOwnerInput) (*graph.SetOrganizationOwnerPayload, error) {
	changed, err := r.Organizations.SetOwner(ctx, callerOf(ctx).User, input.OrganizationUserID, input.IsOwner)
	if err != nil {
		return nil, err
	}
	return &graph.SetOrganizationOwnerPayload{OrganizationUser: changed}, nil
}

func (r mutationResolver) RemoveOrganizationUser(ctx context.Context, input graph.RemoveOrganizationUserInput) (*graph.RemoveOrganizationUserPayload, error) {
	if err := r.Organizations.Remove(ctx, callerOf(ctx).User, input.OrganizationUserID, input.Confirm); err != nil {
		return nil, err
	}
	return &graph.RemoveOrganizationUserPayload{RemovedOrganizationUserID: input.OrganizationUserID}, nil
}

func (r mutationResolver) LeaveOrganization(ctx context.Context, input graph.LeaveOrganizationInput) (*graph.LeaveOrganizationPayload, error) {
	if err := r.Organizations.Leave(ctx, callerOf(ctx).User, input.OrganizationID, input.ConfirmName); err != nil {
		return nil, err
	}
	return &graph.LeaveOrganizationPayload{LeftOrganizationID: input.OrganizationID}, nil
}
