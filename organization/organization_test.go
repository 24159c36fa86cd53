package organization_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"studio/db"
	"studio/db/dbtest"
	"studio/fault"
	"studio/job"
	"studio/mail"
	"studio/organization"
)

// group is an organization with its founder, and jobs that do not run yet.
type group struct {
	*testing.T
	*db.Organization
	db            *db.DB
	jobs          *job.Queue
	organizations *organization.Organizations
	owner         *db.User
}

func found(t *testing.T, database *db.DB) *group {
	t.Helper()
	g := &group{T: t, db: database, jobs: job.NewQueue(database, mail.ErrPermanent)}
	release := func(context.Context, string, string) error { return nil }
	g.organizations = organization.New(database, g.jobs, mail.NewMailbox(database.Now), "http://localhost", release)
	g.owner = g.user("owner")
	var err error
	g.Organization, err = g.organizations.Create(t.Context(), g.owner, "Example", "example1")
	g.ok(err)
	return g
}

// user adds one with a verified address.
func (g *group) user(name string) *db.User {
	g.Helper()
	now := g.db.Now()
	user := &db.User{ID: db.NewID(db.UserPrefix), Email: name + "@example.com", FirstName: name, EmailVerifiedAt: &now, CreatedAt: now}
	g.ok(g.db.InsertUser(g.Context(), user))
	return user
}

func (g *group) ok(err error) {
	g.Helper()
	if err != nil {
		g.Fatal(err)
	}
}

// TestDeletePending has another process take up a deletion that goes slowly: it is not refused, and whoever
// asks again with an idempotency key is not to run into it.
func TestDeletePending(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, open func(...db.Option) *db.DB) {
		clock := &dbtest.Clock{}
		g := found(t, open(db.WithClock(clock.Now)))
		release := func(ctx context.Context, jobID, _ string) error {
			clock.Advance(time.Hour)
			kinds := []string{"delete organization"}
			taken, err := g.db.ClaimJobs(ctx, kinds, kinds, clock.Now(), time.Hour, 1)
			if err != nil || len(taken) != 1 || taken[0].ID != jobID {
				t.Errorf("another process took up %v, with the error %v", taken, err)
			}
			return errors.New("on purpose")
		}
		slow := organization.New(g.db, job.NewQueue(g.db, mail.ErrPermanent), mail.NewMailbox(g.db.Now), "http://localhost", release)
		err := slow.Delete(t.Context(), g.owner, g.ID, g.Name)
		if refused, is := errors.AsType[*fault.Error](err); !is || refused.Code != fault.Unavailable || !refused.Later {
			t.Errorf("%v does not tell that it goes on", err)
		}
	})
}

// TestDeleteFails has an organization go on that cannot be deleted, also when that took all the job's time.
func TestDeleteFails(t *testing.T) {
	for name, c := range map[string]struct {
		err     error
		message string
	}{
		"Outside": {fault.New(fault.Unavailable, "On purpose."), "The payment service is not responding, so the organization was not deleted. Try again."},
		"Inside":  {errors.New("on purpose"), "The server cannot answer now, so the organization was not deleted. Try again."},
	} {
		t.Run(name, func(t *testing.T) {
			dbtest.Each(t, func(t *testing.T, open func(...db.Option) *db.DB) {
				g := found(t, open())
				ctx, cancel := context.WithCancel(t.Context())
				release := func(context.Context, string, string) error {
					cancel()
					return c.err
				}
				failing := organization.New(g.db, job.NewQueue(g.db, mail.ErrPermanent), mail.NewMailbox(g.db.Now), "http://localhost", release)
				g.ok(g.db.SetOrganizationClosing(t.Context(), g.ID, true))
				err := failing.Close(ctx, g.ID, g.owner.ID)
				if refused, is := errors.AsType[*fault.Error](err); !is || refused.Code != fault.Unavailable || refused.Message != c.message {
					t.Errorf("got the error %v", err)
				}
				_, err = g.organizations.Rename(t.Context(), g.owner, g.ID, "Renamed")
				g.ok(err)
			})
		})
	}
}

// TestDeleteGivenUp lets an organization go on whose deletion failed as often as it is tried.
func TestDeleteGivenUp(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, open func(...db.Option) *db.DB) {
		g := found(t, open())
		rename := func() error {
			_, err := g.organizations.Rename(t.Context(), g.owner, g.ID, "Renamed")
			return err
		}
		g.ok(g.db.SetOrganizationClosing(t.Context(), g.ID, true))
		if rename() == nil {
			t.Error("an organization that is being deleted was renamed")
		}
		// The job that cannot find who asked for it, at its last attempt.
		last := &db.Job{
			ID: db.NewID(db.JobPrefix), Kind: "delete organization", Attempts: 17, RunAt: g.db.Now().Add(-time.Minute), CreatedAt: g.db.Now(),
			Payload: `{"OrganizationID": "` + g.ID + `", "ActorID": "` + db.NewID(db.UserPrefix) + `"}`,
		}
		g.ok(g.db.InsertJob(t.Context(), last))
		ctx, cancel := context.WithCancel(context.Background())
		var running sync.WaitGroup
		running.Go(func() { g.jobs.Run(ctx) })
		t.Cleanup(func() {
			cancel()
			running.Wait()
		})
		deadline := time.After(time.Minute)
		for err := rename(); err != nil; err = rename() {
			select {
			case <-deadline:
				t.Fatalf("the organization stays closed: %v", err)
			case <-time.After(10 * time.Millisecond):
			}
		}
	})
}
