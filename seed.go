package main

// The command seed: what there is to try things with.

import (
	"context"
	"errors"
	"fmt"

	"studio/account"
	"studio/db"
	"studio/job"
	"studio/mail"
	"studio/organization"
	"studio/seed"
)

type seedCommand struct {
	databaseSettings

	Organizations int `placeholder:"N" help:"Fill an empty database with N organizations instead, the same each time."`
}

// Validate checks the settings; kong calls it.
func (c *seedCommand) Validate() error {
	if c.Organizations < 0 {
		return errors.New("--organizations: cannot be less than 0")
	}
	return c.databaseSettings.Validate()
}

// Run adds two users who share an organization, or many organizations, and prints how to sign in.
func (c *seedCommand) Run(ctx context.Context) error {
	return c.with(func(database *db.DB) error {
		if err := database.Migrate(ctx); err != nil {
			return settingError("STUDIO_DATABASE_URL", err)
		}
		if c.Organizations > 0 {
			owner, err := seed.Organizations(ctx, database, c.Organizations)
			if err == nil {
				fmt.Printf("There are %d organizations. %s owns some of them. The password of all users is %s\n", c.Organizations, owner.Email, seed.Password)
			}
			return err
		}
		return seedExample(ctx, database)
	})
}

// seedExample makes an owner and a member, both with the same new password. No mail is sent: by the time a server
// does the jobs, both addresses are verified and the invitation is accepted.
func seedExample(ctx context.Context, database *db.DB) error {
	const ownersEmail, membersEmail, subdomain = "owner@example.com", "member@example.com", "example"
	// Before anything is written: what a failed seed left would have a password that nobody has seen.
	for _, email := range []string{ownersEmail, membersEmail} {
		_, err := database.UserByEmail(ctx, email)
		if err == nil {
			return fmt.Errorf("%s has an account already; nothing was added", email)
		}
		if !errors.Is(err, db.ErrNotFound) {
			return err
		}
	}
	taken, err := database.SubdomainTaken(ctx, subdomain)
	if err != nil {
		return err
	}
	if taken {
		return fmt.Errorf("the subdomain %s is taken already; nothing was added", subdomain)
	}
	jobs, mails := job.NewQueue(database, mail.ErrPermanent), mail.NewMailbox(database.Now)
	organizations := organization.New(database, jobs, mails, "", nil)
	accounts := account.New(database, jobs, mails, organizations, "", account.RecommendedHashing)
	password := db.NewToken()
	sign := func(first, email string) (*db.User, error) {
		_, caller, err := accounts.SignUp(ctx, account.Client{}, account.SignUp{
			Email: email, Password: password, FirstName: first, LastName: "Example",
		})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", email, err)
		}
		if err := database.MarkEmailVerified(ctx, caller.User.ID); err != nil {
			return nil, err
		}
		return database.UserByID(ctx, caller.User.ID)
	}
	owner, err := sign("Owner", ownersEmail)
	if err != nil {
		return err
	}
	member, err := sign("Member", membersEmail)
	if err != nil {
		return err
	}
	shared, err := organizations.Create(ctx, owner, "Example Organization", subdomain)
	if err != nil {
		return err
	}
	invited, err := organizations.Invite(ctx, owner, shared.ID, member.Email)
	if err != nil {
		return err
	}
	if _, err := organizations.Accept(ctx, member, &invited.ID, nil); err != nil {
		return err
	}
	fmt.Printf("%s owns %s, and %s belongs to it. The password of both is %s\n", owner.Email, shared.Name, member.Email, password)
	return nil
}
