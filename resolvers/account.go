package resolvers

// Accounts: signing up and in, passwords, sessions and API tokens.

import (
	"context"

	"studio/account"
	"studio/db"
	"studio/graph"
)

func (r queryResolver) Viewer(ctx context.Context) (*account.Caller, error) {
	return callerOf(ctx), nil
}

func (r mutationResolver) SignUp(ctx context.Context, input graph.SignUpInput) (*graph.SignUpPayload, error) {
	token, caller, err := r.Accounts.SignUp(ctx, requestOf(ctx).client, account.SignUp{
		Email:           input.Email,
		Password:        input.Password,
		FirstName:       input.FirstName,
		LastName:        input.LastName,
		Subdomain:       input.Subdomain,
		InvitationToken: input.InvitationToken,
	})
	if err != nil {
		return nil, err
	}
	actAs(ctx, token, caller)
	return &graph.SignUpPayload{Token: token, Viewer: caller}, nil
}

func (r mutationResolver) SignIn(ctx context.Context, input graph.SignInInput) (*graph.SignInPayload, error) {
	token, caller, err := r.Accounts.SignIn(ctx, requestOf(ctx).client, input.Email, input.Password)
	if err != nil {
		return nil, err
	}
	actAs(ctx, token, caller)
	return &graph.SignInPayload{Token: token, Viewer: caller}, nil
}

func (r mutationResolver) SignOut(ctx context.Context) (*graph.SignOutPayload, error) {
	if err := r.Accounts.SignOut(ctx, callerOf(ctx)); err != nil {
		return nil, err
	}
	actAs(ctx, "", nil)
	return &graph.SignOutPayload{SignedOut: true}, nil
}

func (r mutationResolver) UpdateProfile(ctx context.Context, input graph.UpdateProfileInput) (*graph.UpdateProfilePayload, error) {
	user, err := r.Accounts.UpdateProfile(ctx, callerOf(ctx), input.FirstName, input.LastName)
	if err != nil {
		return nil, err
	}
	return &graph.UpdateProfilePayload{User: user}, nil
}

func (r mutationResolver) ChangePassword(ctx context.Context, input graph.ChangePasswordInput) (*graph.ChangePasswordPayload, error) {
	caller := callerOf(ctx)
	if err := r.Accounts.ChangePassword(ctx, caller, input.CurrentPassword, input.NewPassword); err != nil {
		return nil, err
	}
	return &graph.ChangePasswordPayload{User: caller.User}, nil
}

func (r mutationResolver) RequestPasswordReset(ctx context.Context, input graph.RequestPasswordResetInput) (*graph.RequestPasswordResetPayload, error) {
	if err := r.Accounts.RequestPasswordReset(ctx, input.Email); err != nil {
		return nil, err
	}
	return &graph.RequestPasswordResetPayload{Requested: true}, nil
}

func (r mutationResolver) ResetPassword(ctx context.Context, input graph.ResetPasswordInput) (*graph.ResetPasswordPayload, error) {
	user, err := r.Accounts.ResetPassword(ctx, input.Token, input.NewPassword)
	if err != nil {
		return nil, err
	}
	return &graph.ResetPasswordPayload{User: user}, nil
}

func (r mutationResolver) VerifyEmail(ctx context.Context, input graph.VerifyEmailInput) (*graph.VerifyEmailPayload, error) {
	user, err := r.Accounts.VerifyEmail(ctx, input.Token)
	if err != nil {
		return nil, err
	}
	return &graph.VerifyEmailPayload{User: user}, nil
}

func (r mutationResolver) ResendVerificationEmail(ctx context.Context) (*graph.ResendVerificationEmailPayload, error) {
	requested, err := r.Accounts.ResendVerification(ctx, callerOf(ctx))
	if err != nil {
		return nil, err
	}
	return &graph.ResendVerificationEmailPayload{Requested: requested}, nil
}

func (r mutationResolver) RevokeSession(ctx context.Context, input graph.RevokeSessionInput) (*graph.RevokeSessionPayload, error) {
	if err := r.Accounts.RevokeSession(ctx, callerOf(ctx), input.SessionID); err != nil {
		return nil, err
	}
	return &graph.RevokeSessionPayload{RevokedSessionID: input.SessionID}, nil
}

func (r mutationResolver) CreateAPIToken(ctx context.Context, input graph.CreateAPITokenInput) (*graph.CreateAPITokenPayload, error) {
	token, created, err := r.Accounts.CreateAPIToken(ctx, callerOf(ctx), input.Name, input.ExpiresAt)
	if err != nil {
		return nil, err
	}
	return &graph.CreateAPITokenPayload{APIToken: created, Token: token}, nil
}

func (r mutationResolver) RevokeAPIToken(ctx context.Context, input graph.RevokeAPITokenInput) (*graph.RevokeAPITokenPayload, error) {
	if err := r.Accounts.RevokeAPIToken(ctx, callerOf(ctx), input.APITokenID); err != nil {
		return nil, err
	}
	return &graph.RevokeAPITokenPayload{RevokedAPITokenID: input.APITokenID}, nil
}

func (r viewerResolver) ID(_ context.Context, viewer *account.Caller) (string, error) {
	return db.ViewerIDOf(viewer.User.ID), nil
}

func (r viewerResolver) EmailVerified(_ context.Context, viewer *account.Caller) (bool, error) {
	return viewer.User.EmailVerifiedAt != nil, nil
}

func (r viewerResolver) Invitations(ctx context.Context, viewer *account.Caller) ([]*db.Membership, error) {
	return r.DB.OpenInvitations(ctx, viewer.User)
}

func (r viewerResolver) Sessions(ctx context.Context, viewer *account.Caller) ([]*db.Session, error) {
	return r.DB.SessionsOfUser(ctx, viewer.User.ID)
}

func (r viewerResolver) APITokens(ctx context.Context, viewer *account.Caller) ([]*db.APIToken, error) {
	return r.DB.APITokensOfUser(ctx, viewer.User.ID)
}

func (r sessionResolver) Current(ctx context.Context, session *db.Session) (bool, error) {
	caller := callerOf(ctx)
	return caller != nil && caller.CredentialID() == session.ID, nil
}
