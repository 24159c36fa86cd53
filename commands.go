package main

// The commands besides serve: migrate, backup, seed and version.

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"studio/account"
	"studio/billing"
	"studio/db"
	"studio/seed"
)

// databaseSettings are those of every command that uses the database.
type databaseSettings struct {
	DatabaseURL string `env:"STUDIO_DATABASE_URL" default:"sqlite:studio.db" help:"sqlite:PATH, or postgres://… for PostgreSQL 14 or newer."`
}

// Validate checks the settings; kong calls it.
func (s *databaseSettings) Validate() error {
	return settingError("STUDIO_DATABASE_URL", db.ParseURL(s.DatabaseURL))
}

// settingError names the setting that an error is about.
func settingError(name string, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %s", name, strings.Join(strings.Fields(err.Error()), " ")) // one line
	}
	return nil
}

type migrateCommand struct {
	Up     migrateUp     `cmd:"" default:"withargs" help:"Apply what is missing (what happens without a word)."`
	Down   migrateDown   `cmd:"" help:"Take the newest change back, with what is in its tables."`
	Status migrateStatus `cmd:"" help:"List the changes."`
}

type (
	migrateUp     struct{ databaseSettings }
	migrateDown   struct{ databaseSettings }
	migrateStatus struct{ databaseSettings }
)

// with opens the database for one command.
func (s *databaseSettings) with(use func(database *db.DB) error) error {
	database, err := db.Open(s.DatabaseURL)
	if err != nil {
		return settingError("STUDIO_DATABASE_URL", err)
	}
	return errors.Join(use(database), database.Close())
}

// withExisting is like with, but requires the database to exist.
func (s *databaseSettings) withExisting(use func(database *db.DB) error) error {
	if err := db.CheckExists(s.DatabaseURL); err != nil {
		return settingError("STUDIO_DATABASE_URL", err)
	}
	return s.with(use)
}

// Run applies all migrations.
func (c *migrateUp) Run(ctx context.Context) error {
	return c.with(func(database *db.DB) error { return database.Migrate(ctx) })
}

// Run takes the newest migration back.
func (c *migrateDown) Run(ctx context.Context) error {
	return c.withExisting(func(database *db.DB) error { return database.MigrateDown(ctx) })
}

// Run lists the migrations.
func (c *migrateStatus) Run(ctx context.Context) error {
	return c.withExisting(func(database *db.DB) error {
		steps, err := database.Migrations(ctx)
		for _, step := range steps {
			state := "pending"
			if step.Applied {
				state = "applied"
			}
			fmt.Printf("%05d  %-8s %s\n", step.Version, state, step.File)
		}
		return err
	})
}

// backupCommand is for SQLite alone: PostgreSQL has programs of its own for that.
type backupCommand struct {
	databaseSettings

	File string `arg:"" help:"The file to write, which must not be there yet."`
}

// Run copies the database as it is at one moment, while servers may go on using it.
func (c *backupCommand) Run(ctx context.Context) error {
	return c.withExisting(func(database *db.DB) error { return database.Backup(ctx, c.File) })
}

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
			return err
		}
		if c.Organizations > 0 {
			owner, err := seed.Organizations(ctx, database, c.Organizations)
			if err == nil {
				fmt.Printf("There are %d organizations. %s owns some of them. The password of all users is %s\n", c.Organizations, owner.Email, seed.Password)
			}
			return err
		}
		return (&serveCommand{}).wire(database, billing.Settings{}).seed(ctx) // which needs nothing at Stripe
	})
}

// seed makes an owner and a member, both with the same new password.
func (s *studio) seed(ctx context.Context) error {
	const ownersEmail, membersEmail, subdomain = "owner@example.com", "member@example.com", "example"
	// Before anything is written: what a failed seed left would have a password that nobody has seen.
	for _, email := range []string{ownersEmail, membersEmail} {
		_, err := s.database.UserByEmail(ctx, email)
		if err == nil {
			return fmt.Errorf("%s has an account already; nothing was added", email)
		}
		if !errors.Is(err, db.ErrNotFound) {
			return err
		}
	}
	taken, err := s.database.SubdomainTaken(ctx, subdomain)
	if err != nil {
		return err
	}
	if taken {
		return fmt.Errorf("the subdomain %s is taken already; nothing was added", subdomain)
	}
	password := db.NewToken()
	sign := func(first, email string) (*db.User, error) {
		_, caller, err := s.accounts.SignUp(ctx, account.Client{}, account.SignUp{
			Email: email, Password: password, FirstName: first, LastName: "Example",
		})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", email, err)
		}
		if err := s.database.MarkEmailVerified(ctx, caller.User.ID); err != nil {
			return nil, err
		}
		return s.database.UserByID(ctx, caller.User.ID)
	}
	owner, err := sign("Owner", ownersEmail)
	if err != nil {
		return err
	}
	member, err := sign("Member", membersEmail)
	if err != nil {
		return err
	}
	shared, err := s.organizations.Create(ctx, owner, "Example Organization", subdomain)
	if err != nil {
		return err
	}
	invited, err := s.organizations.Invite(ctx, owner, shared.ID, member.Email)
	if err != nil {
		return err
	}
	if _, err := s.organizations.Accept(ctx, member, &invited.ID, nil); err != nil {
		return err
	}
	fmt.Printf("%s owns %s, and %s belongs to it. The password of both is %s\n", owner.Email, shared.Name, member.Email, password)
	return nil
}

type versionCommand struct{}

// Run prints the version.
func (versionCommand) Run() error {
	fmt.Println(version)
	return nil
}
