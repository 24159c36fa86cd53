package db_test

// The database under test, and rows to fill it with.

import (
	"context"
	"errors"
	"testing"
	"time"

	"studio/db"
	"studio/db/dbtest"
)

// store is one process's handle on a database, with a clock that stands still until the test moves it.
type store struct {
	*testing.T
	*db.DB
	clock *dbtest.Clock
}

// on runs a test on every engine.
func on(t *testing.T, test func(s *store)) {
	t.Helper()
	dbtest.Each(t, func(t *testing.T, open func(...db.Option) *db.DB) {
		clock := &dbtest.Clock{Start: noon}
		test(&store{t, open(db.WithClock(clock.Now)), clock})
	})
}

// open opens a database that only one engine can be.
func open(t *testing.T, address string) *store {
	t.Helper()
	clock := &dbtest.Clock{Start: noon}
	return &store{t, dbtest.Open(t, address, db.WithClock(clock.Now)), clock}
}

// ok ends the test when something failed that it only prepares with.
func (s *store) ok(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// wantError compares an error with the one that callers look for.
func wantError(t *testing.T, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: got the error %v, want %v", what, got, want)
	}
}

// exec runs a statement that the package itself never would.
func (s *store) exec(statement string) error {
	_, err := s.Pool().ExecContext(s.Context(), statement)
	return err
}

func (s *store) user(name string) *db.User {
	s.Helper()
	user := &db.User{ID: db.NewID(db.UserPrefix), Email: name + "@example.com", FirstName: name, LastName: "Example", CreatedAt: s.Now()}
	s.ok(s.InsertUser(s.Context(), user))
	return user
}

// organization adds an organization whose subdomain is unique as long as the test does not say so.
func (s *store) organization(name string) *db.Organization {
	s.Helper()
	id := db.NewID(db.OrganizationPrefix)
	organization := &db.Organization{ID: id, Name: name, NameKey: name, Subdomain: id, CreatedAt: s.Now()}
	free, err := s.InsertOrganization(s.Context(), organization)
	s.ok(err)
	if !free {
		s.Fatalf("the subdomain %s is taken", id)
	}
	return organization
}

// membership is one that no table refuses: an invitation.
func membership(organization *db.Organization, email string) *db.Membership {
	return &db.Membership{ID: db.NewID(db.MembershipPrefix), OrganizationID: organization.ID, Email: email, Status: db.Invited}
}

// accepted is the membership of a user who belongs to an organization.
func accepted(organization *db.Organization, user *db.User) *db.Membership {
	m := membership(organization, user.Email)
	m.UserID, m.Status = &user.ID, db.Accepted
	return m
}

// log writes an event into an organization's log.
func log(ctx context.Context, tx *db.DB, organizationID string) error {
	_, err := tx.InsertEvent(ctx, &db.Event{
		ID: db.NewID(db.EventPrefix), OrganizationID: organizationID, Type: db.OrganizationUpdated,
		SubjectID: organizationID, Summary: "Something happened.", CreatedAt: tx.Now(),
	})
	return err
}

// nameOf is the organization's name as it is stored.
func (s *store) nameOf(id string) string {
	s.Helper()
	found, err := s.OrganizationsByID(s.Context(), []string{id})
	s.ok(err)
	return found[0].Name
}

// rename gives an organization a name, which tells whether a transaction was committed.
func rename(ctx context.Context, tx *db.DB, id, name string) error {
	return tx.UpdateOrganizationName(ctx, &db.Organization{ID: id, Name: name, NameKey: name})
}

// noon is a time of no meaning.
var noon = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
