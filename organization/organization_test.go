package organization_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"studio/db"
	"studio/db/dbtest"
	"studio/job"
	"studio/mail"
	"studio/organization"
)

// TestDeleteGivenUp lets an organization go on whose deletion failed as often as it is tried.
func TestDeleteGivenUp(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, open func(...db.Option) *db.DB) {
		database := open()
		ok := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		jobs := job.NewQueue(database, mail.ErrPermanent)
		release := func(context.Context, string, string) error { return nil }
		organizations := organization.New(database, jobs, mail.NewMailbox(database.Now), "http://localhost", release)
		owner := &db.User{ID: db.NewID(db.UserPrefix), Email: "ada@example.com", FirstName: "Ada", CreatedAt: database.Now()}
		ok(database.InsertUser(t.Context(), owner))
		created, err := organizations.Create(t.Context(), owner, "Example", "example1")
		ok(err)

		ok(database.SetOrganizationClosing(t.Context(), created.ID, true))
		if _, err := organizations.Rename(t.Context(), owner, created.ID, "Renamed"); err == nil {
			t.Error("an organization that is being deleted was renamed")
		}
		// The job that cannot find who asked for it, at its last attempt.
		last := &db.Job{
			ID: db.NewID(db.JobPrefix), Kind: "delete organization", Attempts: 17, RunAt: database.Now().Add(-time.Minute), CreatedAt: database.Now(),
			Payload: `{"OrganizationID": "` + created.ID + `", "ActorID": "` + db.NewID(db.UserPrefix) + `"}`,
		}
		ok(database.InsertJob(t.Context(), last))
		ctx, cancel := context.WithCancel(context.Background())
		var running sync.WaitGroup
		running.Go(func() { jobs.Run(ctx) })
		t.Cleanup(func() {
			cancel()
			running.Wait()
		})
		deadline := time.After(time.Minute)
		for {
			if _, err = organizations.Rename(t.Context(), owner, created.ID, "Renamed"); err == nil {
				return
			}
			select {
			case <-deadline:
				t.Fatalf("the organization stays closed: %v", err)
			case <-time.After(10 * time.Millisecond):
			}
		}
	})
}
