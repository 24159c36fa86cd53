package resolvers_test

import (
	"testing"
	"time"

	"studio/fault"
)

func TestInviteUser(t *testing.T) {
	t.Parallel()
	t.Run("NewAddress", func(t *testing.T) {
		on(t, func(s *studio) {
			owner := s.signUp("owner")
			invited := owner.do(inviteUser, vars{"org": owner.home(), "email": " New@Example.com "})
			invited.want("inviteUser.organizationUser.status", `"INVITED"`)
			invited.want("inviteUser.organizationUser.email", `"new@example.com"`)
			invited.want("inviteUser.organizationUser.user", `null`)
			s.mailedToken("new@example.com", "/invitations/")
			if got := s.mails("new@example.com")[0].Subject; got != "Welcome to Studio: owner Example invited you to owner's Organization" {
				t.Errorf("got the subject %q", got)
			}
		})
	})
	t.Run("AlreadyInvited", func(t *testing.T) {
		on(t, func(s *studio) {
			owner := s.signUp("owner")
			home := owner.home()
			owner.invite(home, "new@example.com")
			owner.refused(fault.AlreadyInvited, "input.email", inviteUser, vars{"org": home, "email": "NEW@example.com"})
		})
	})
	t.Run("Expired", func(t *testing.T) {
		on(t, func(s *studio) {
			owner := s.signUp("owner")
			home := owner.home()
			first := owner.invite(home, "new@example.com")
			s.clock.advance(7*24*time.Hour + time.Second)
			if again := owner.invite(home, "new@example.com"); again != first {
				t.Errorf("invited again as %s, was %s", again, first)
			}
		})
	})
}
