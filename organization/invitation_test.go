package organization_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"studio/db"
	"studio/db/dbtest"
)

// inviting is an organization with an open invitation that has not been mailed yet.
type inviting struct {
	*group
	guest   *db.User
	invited *db.Membership
}

func invite(t *testing.T, database *db.DB) *inviting {
	t.Helper()
	i := &inviting{group: found(t, database)}
	i.guest = i.user("guest")
	var err error
	i.invited, err = i.organizations.Invite(t.Context(), i.owner, i.ID, i.guest.Email)
	i.ok(err)
	return i
}

// mailWhile mails an invitation, and does something just before a statement with a text.
func mailWhile(
	t *testing.T, open func(...db.Option) *db.DB, text string, do func(ctx context.Context, i *inviting) error,
) (i *inviting) {
	t.Helper()
	var once sync.Once
	i = invite(t, open(db.WithStatementHook(func(statement string) {
		if strings.Contains(statement, text) {
			once.Do(func() { i.ok(do(t.Context(), i)) })
		}
	})))
	i.ok(i.jobs.Do(t.Context(), *i.invited.InvitationJobID))
	return i
}

// wantNoLink checks that no link works that was mailed so far.
func (i *inviting) wantNoLink() {
	i.Helper()
	if tokens := dbtest.Query(i.T, i.db, "SELECT * FROM link_tokens"); len(tokens) > 0 {
		i.Errorf("a link works: %v", tokens)
	}
}

// TestWithdrawnWhileMailed withdraws an invitation just before, and just after, its mail's job has made the
// link: it does not work afterwards.
func TestWithdrawnWhileMailed(t *testing.T) {
	resend := func(ctx context.Context, i *inviting) error {
		_, err := i.organizations.ResendInvitation(ctx, i.owner, i.invited.ID)
		return err
	}
	for name, withdraw := range map[string]func(ctx context.Context, i *inviting) error{
		"Resent": resend,
		"Revoked": func(ctx context.Context, i *inviting) error {
			return i.organizations.Remove(ctx, i.owner, i.invited.ID, "DELETE")
		},
		"Accepted": func(ctx context.Context, i *inviting) error {
			_, err := i.organizations.Accept(ctx, i.guest, &i.invited.ID, nil)
			return err
		},
		"Declined": func(ctx context.Context, i *inviting) error {
			return i.organizations.Decline(ctx, i.guest, i.invited.ID)
		},
	} {
		t.Run(name+"Before", func(t *testing.T) {
			dbtest.Each(t, func(t *testing.T, open func(...db.Option) *db.DB) {
				mailWhile(t, open, "INSERT INTO link_tokens", withdraw).wantNoLink()
			})
		})
		t.Run(name+"After", func(t *testing.T) {
			dbtest.Each(t, func(t *testing.T, open func(...db.Option) *db.DB) {
				i := invite(t, open())
				withdrawn := make(chan error, 1)
				i.ok(i.db.InTx(t.Context(), func(tx *db.DB) error {
					made, err := tx.InsertInvitationLink(t.Context(), "token", i.invited.ID, *i.invited.InvitationJobID)
					if err != nil || !made {
						t.Fatal(made, err)
					}
					go func() { withdrawn <- withdraw(t.Context(), i) }()
					for i.db.CanRead() { // PostgreSQL, where it begins before this ends
						waiting := dbtest.Query(t, i.db, `SELECT pid FROM pg_stat_activity
							WHERE datname = current_database() AND wait_event_type = 'Lock'`)
						if len(waiting) > 0 || len(withdrawn) > 0 {
							return nil
						}
						time.Sleep(time.Millisecond)
					}
					return nil
				}))
				i.ok(<-withdrawn)
				i.wantNoLink()
			})
		})
	}
	// What is noted is how far the second mail has come, which has not gone out when the first has.
	t.Run("ResentWhileSent", func(t *testing.T) {
		dbtest.Each(t, func(t *testing.T, open func(...db.Option) *db.DB) {
			i := mailWhile(t, open, "invitation_delivery = 'SENT'", resend)
			resent, err := i.db.MembershipByID(t.Context(), i.invited.ID)
			i.ok(err)
			if *resent.InvitationDelivery != db.MailQueued {
				t.Errorf("the second mail is %s", *resent.InvitationDelivery)
			}
		})
	})
}
