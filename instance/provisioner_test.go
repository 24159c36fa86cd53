package instance_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"studio/db"
	"studio/instance"
)

func TestProvisioning(t *testing.T) {
	t.Parallel()
	// A failure is told once, however often it is tried again.
	t.Run("Failure", func(t *testing.T) {
		on(t, func(s *studio) {
			owner, home := s.owner()
			created, err := s.instances.Create(s.Context(), owner, home.ID, free)
			s.ok(err)
			s.provisioner.will(fails)
			for range 3 {
				if err := s.turn(created.ID); !errors.Is(err, errOnPurpose) {
					s.Errorf("got the error %v", err)
				}
				s.wantInstance(created.ID, "demo FAILED cloud-1gb 10 GB 0+0 MONTH free")
			}
			s.provisioner.will(nil)
			s.settle(created.ID)
			s.wantInstance(created.ID, "demo ACTIVE cloud-1gb 10 GB 0+0 MONTH free")
			s.wantLog(home,
				"INSTANCE_CREATED Olive Owner created the instance demo.",
				"- INSTANCE_UPDATED demo could not be set up; it is tried again.",
				"- INSTANCE_UPDATED demo is running.")
		})
	})
	// The job fails each time without being able to say so, here as the provisioner panics.
	t.Run("GivenUp", func(t *testing.T) {
		on(t, func(s *studio) {
			owner, home := s.owner()
			s.provisioner.will(func() error { panic("on purpose") })
			created, err := s.instances.Create(s.Context(), owner, home.ID, free)
			s.ok(err)
			if s.turn(created.ID) == nil {
				s.Error("the job is done")
			}
			s.wantInstance(created.ID, "demo CREATING cloud-1gb 10 GB 0+0 MONTH free")
			s.deletableOnceGivenUp(owner, created.ID)
			s.wantLog(home,
				"INSTANCE_CREATED Olive Owner created the instance demo.",
				"- INSTANCE_UPDATED demo could not be set up.",
				"INSTANCE_UPDATED Olive Owner is deleting demo.",
				"INSTANCE_DELETED Olive Owner deleted the instance demo.")
		})
	})
	// The process ends after the work and before the job is removed: it is done again, by another.
	t.Run("Again", func(t *testing.T) {
		on(t, func(s *studio) {
			owner, home := s.owner()
			created, err := s.instances.Create(s.Context(), owner, home.ID, free)
			s.ok(err)
			again := s.copyJob(created.ID)
			s.settle(created.ID)
			before := s.state(home)
			again(s.process(s.T))
			if after := s.state(home); after != before {
				s.Errorf("after the second time there is\n%s\nbefore there was\n%s", after, before)
			}
			s.wantCalls("apply demo cloud-1gb")
		})
	})
	// The process ends in the middle: the lease runs out and the queue of another takes the job up.
	t.Run("CutOff", func(t *testing.T) {
		on(t, func(s *studio) {
			owner, home := s.owner()
			created, err := s.instances.Create(s.Context(), owner, home.ID, free)
			s.ok(err)
			_, err = s.db.ClaimJob(s.Context(), *created.JobID, time.Minute)
			s.ok(err)
			s.clock.Advance(2 * time.Minute)
			done := make(chan struct{})
			s.provisioner.will(func() error { close(done); return nil })
			other := s.process(s.T)
			ctx, cancel := context.WithCancel(context.Background())
			ended := make(chan struct{})
			go func() { other.jobs.Run(ctx); close(ended) }()
			select {
			case <-done:
			case <-time.After(time.Minute):
				s.Error("waited in vain for the provisioner")
			}
			cancel()
			<-ended
			s.wantInstance(created.ID, "demo ACTIVE cloud-1gb 10 GB 0+0 MONTH free")
		})
	})
	// A job that failed and waits to be tried again is late when the instance is being deleted.
	t.Run("Late", func(t *testing.T) {
		on(t, func(s *studio) {
			owner, home := s.owner()
			created, err := s.instances.Create(s.Context(), owner, home.ID, free)
			s.ok(err)
			s.provisioner.will(fails)
			if err := s.turn(created.ID); !errors.Is(err, errOnPurpose) {
				s.Fatal(err)
			}
			late := *created.JobID
			s.provisioner.will(nil)
			s.ok(s.instances.Delete(s.Context(), owner, created.ID, "demo"))
			s.wantCalls("apply demo cloud-1gb")
			s.ok(s.jobs.Do(s.Context(), late))
			s.wantCalls()
			s.settle(created.ID)
			s.wantCalls("remove demo")
			s.wantInstance(created.ID, "gone")
		})
	})
	// The instance is deleted while an attempt is under way at setting up what has failed.
	t.Run("DeletedMeanwhile", func(t *testing.T) {
		on(t, func(s *studio) {
			owner, home := s.owner()
			created, err := s.instances.Create(s.Context(), owner, home.ID, free)
			s.ok(err)
			s.provisioner.will(fails)
			if err := s.turn(created.ID); !errors.Is(err, errOnPurpose) {
				s.Fatal(err)
			}
			s.provisioner.will(func() error { return s.instances.Delete(s.Context(), owner, created.ID, "demo") })
			s.ok(s.turn(created.ID))
			s.wantInstance(created.ID, "demo DELETING cloud-1gb 10 GB 0+0 MONTH free")
			s.provisioner.will(nil)
			s.settle(created.ID)
			s.wantInstance(created.ID, "gone")
		})
	})
}

func TestEmbedded(t *testing.T) {
	t.Parallel()
	cloud, mine := &db.Instance{Type: db.Cloud}, &db.Instance{Type: db.UserInstalled}
	for name, work := range map[string]func(context.Context, instance.Embedded, *db.Instance) error{
		"Apply":  func(ctx context.Context, e instance.Embedded, i *db.Instance) error { return e.Apply(ctx, i) },
		"Remove": func(ctx context.Context, e instance.Embedded, i *db.Instance) error { return e.Remove(ctx, i) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			canceled, cancel := context.WithCancel(t.Context())
			cancel()
			if err := work(canceled, instance.Embedded{Delay: time.Hour}, cloud); !errors.Is(err, context.Canceled) {
				t.Errorf("got the error %v", err)
			}
			if err := work(t.Context(), instance.Embedded{}, cloud); err != nil {
				t.Error(err)
			}
			if err := work(t.Context(), instance.Embedded{Delay: time.Hour}, mine); err != nil {
				t.Error(err)
			}
		})
	}
}
