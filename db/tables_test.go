package db_test

// What the tables refuse, whatever a statement says, and what they give back.

import (
	"errors"
	"testing"
	"time"

	"studio/db"
)

func TestMembershipConstraints(t *testing.T) {
	unknown, lost := db.NewID(db.UserPrefix), db.MailDelivery("LOST")
	refused := map[string]func(m *db.Membership, member, newcomer *db.User){
		"AcceptedWithoutUser": func(m *db.Membership, _, _ *db.User) { m.Status = db.Accepted },
		"InvitedWithUser":     func(m *db.Membership, _, newcomer *db.User) { m.UserID = &newcomer.ID },
		"DeclinedWithUser":    func(m *db.Membership, _, newcomer *db.User) { m.UserID, m.Status = &newcomer.ID, db.Declined },
		"OwnerInvited":        func(m *db.Membership, _, _ *db.User) { m.IsOwner = true },
		"OwnerDeclined":       func(m *db.Membership, _, _ *db.User) { m.IsOwner, m.Status = true, db.Declined },
		"UnknownStatus":       func(m *db.Membership, _, _ *db.User) { m.Status = "GONE" },
		"UnknownUser":         func(m *db.Membership, _, _ *db.User) { m.UserID, m.Status = &unknown, db.Accepted },
		"UnknownInviter":      func(m *db.Membership, _, _ *db.User) { m.InvitedByID = &unknown },
		"UnknownOrganization": func(m *db.Membership, _, _ *db.User) { m.OrganizationID = db.NewID(db.OrganizationPrefix) },
		"UnknownDelivery":     func(m *db.Membership, _, _ *db.User) { m.InvitationDelivery = &lost },
	}
	duplicate := map[string]func(m *db.Membership, member, newcomer *db.User){
		"SameAddress": func(m *db.Membership, member, _ *db.User) { m.Email = member.Email },
		"SameUser":    func(m *db.Membership, member, _ *db.User) { m.UserID, m.Status = &member.ID, db.Accepted },
	}
	on(t, func(s *store) {
		organization, member, newcomer := s.organization("Example"), s.user("ada"), s.user("bob")
		s.ok(s.InsertMembership(s.Context(), accepted(organization, member)))
		insert := func(change func(m *db.Membership, member, newcomer *db.User)) error {
			m := membership(organization, "new@example.com")
			change(m, member, newcomer)
			return s.InsertMembership(s.Context(), m)
		}
		for name, change := range duplicate {
			wantError(s.T, name, insert(change), db.ErrDuplicate)
		}
		for name, change := range refused {
			if err := insert(change); err == nil || errors.Is(err, db.ErrDuplicate) {
				s.Errorf("%s: got the error %v", name, err)
			}
		}
		// What all of them change a little is accepted, and so is a user's second organization.
		s.ok(insert(func(*db.Membership, *db.User, *db.User) {}))
		s.ok(s.InsertMembership(s.Context(), accepted(s.organization("Example"), member)))
	})
}

func TestInstanceConstraints(t *testing.T) {
	unknown := db.NewID(db.UserPrefix)
	refused := map[string]func(i *db.Instance){
		"UnknownType":          func(i *db.Instance) { i.Type = "BORROWED" },
		"UnknownStatus":        func(i *db.Instance) { i.Status = "GONE" },
		"UnknownInterval":      func(i *db.Instance) { i.Interval = "DAY" },
		"UnknownOrganization":  func(i *db.Instance) { i.OrganizationID = db.NewID(db.OrganizationPrefix) },
		"UnknownFounder":       func(i *db.Instance) { i.FreeForUserID = &unknown },
		"CloudWithoutRegion":   func(i *db.Instance) { i.RegionID = nil },
		"CloudWithoutStorage":  func(i *db.Instance) { i.StorageGB = nil },
		"InstalledWithStorage": func(i *db.Instance) { i.Type, i.RegionID = db.UserInstalled, nil },
		"NegativePrice":        func(i *db.Instance) { i.ComputeAmount = -1 },
	}
	duplicate := map[string]func(i *db.Instance){
		"SameName":         func(i *db.Instance) { i.Name = "one" },
		"SameURL":          func(i *db.Instance) { i.URL = "https://one" },
		"SecondFree":       func(i *db.Instance) { i.OrganizationID = "" }, // replaced by another of the founder's
		"SameSubscription": func(i *db.Instance) { subscription := "sub_one"; i.SubscriptionID = &subscription },
	}
	on(t, func(s *store) {
		founder, first, second := s.user("ada"), s.organization("First"), s.organization("Second")
		region, storage, subscription := "us-east-1", 10, "sub_one"
		insert := func(name string, change func(i *db.Instance)) error {
			i := &db.Instance{
				ID: db.NewID(db.InstancePrefix), OrganizationID: first.ID, Name: name, Type: db.Cloud, Status: db.InstanceActive,
				URL: "https://" + name, RegionID: &region, ComputePlanID: "cloud-1gb", StorageGB: &storage, Interval: db.Month, CreatedAt: s.Now(),
			}
			change(i)
			if i.OrganizationID == "" {
				i.OrganizationID, i.FreeForUserID = second.ID, &founder.ID
			}
			return s.InsertInstance(s.Context(), i)
		}
		s.ok(insert("one", func(i *db.Instance) { i.FreeForUserID, i.SubscriptionID = &founder.ID, &subscription }))
		for name, change := range duplicate {
			wantError(s.T, name, insert("two", change), db.ErrDuplicate)
		}
		for name, change := range refused {
			if err := insert("two", change); err == nil || errors.Is(err, db.ErrDuplicate) {
				s.Errorf("%s: got the error %v", name, err)
			}
		}
		s.ok(insert("two", func(*db.Instance) {}))
		s.ok(insert("one", func(i *db.Instance) { i.OrganizationID = second.ID }))
	})
}

func TestEventLogIsFinal(t *testing.T) {
	on(t, func(s *store) {
		organization := s.organization("Example")
		s.ok(log(s.Context(), s.DB, organization.ID))
		for _, statement := range []string{"UPDATE events SET summary = 'Nothing happened.'", "DELETE FROM events"} {
			if s.exec(statement) == nil {
				s.Errorf("accepted: %s", statement)
			}
		}
		event, err := s.EventBySeq(s.Context(), organization.ID, 1)
		s.ok(err)
		if event.Summary != "Something happened." {
			s.Errorf("the log now says: %s", event.Summary)
		}
	})
}

// times are written differently by what the drivers leave out of them.
var times = []time.Time{
	noon,
	noon.Add(time.Microsecond),
	noon.Add(50 * time.Millisecond),
	noon.Add(500 * time.Millisecond),
	noon.Add(510 * time.Millisecond),
	noon.Add(999_999 * time.Microsecond),
	noon.Add(12 * time.Hour),
}

func TestTimes(t *testing.T) {
	t.Parallel()
	t.Run("RoundTrip", func(t *testing.T) {
		on(t, func(s *store) {
			for _, at := range times {
				s.clock.Set(at.Add(999))
				written := s.organization("Example")
				found, err := s.OrganizationsByID(s.Context(), []string{written.ID})
				s.ok(err)
				if got := found[0].CreatedAt; got.String() != at.String() || written.CreatedAt != at {
					s.Errorf("%s was written as %s and read as %s", at, written.CreatedAt, got)
				}
			}
		})
	})
	// SQLite compares times as texts.
	t.Run("Comparison", func(t *testing.T) {
		on(t, func(s *store) {
			user := s.user("ada")
			for i, ends := range times {
				s.ok(s.InsertSession(s.Context(), &db.Session{
					ID: db.NewID(db.SessionPrefix), UserID: user.ID, TokenHash: ends.String(),
					CreatedAt: noon, LastUsedAt: noon, ExpiresAt: ends.In(time.FixedZone("west", -i*60*60)),
				}))
			}
			for _, now := range times {
				s.clock.Set(now)
				for _, ends := range times {
					_, err := s.SessionByToken(s.Context(), ends.String())
					if found := err == nil; found != ends.After(now) {
						s.Errorf("at %s the session until %s is found: %t", now, ends, found)
					}
				}
			}
		})
	})
}
