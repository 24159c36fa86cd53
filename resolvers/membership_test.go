package resolvers_test

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tidwall/gjson"

	"studio/db"
	"studio/db/dbtest"
	"studio/fault"
	"studio/mail"
)

const (
	resendInvitation = `mutation($id: ID!) {
		resendInvitation(input: { organizationUserId: $id }) { organizationUser { id status invitationExpiresAt } }
	}`
	declineInvitation = `mutation($id: ID!) {
		declineInvitation(input: { organizationUserId: $id }) { declinedOrganizationUserId }
	}`
	setOwner = `mutation($id: ID!, $isOwner: Boolean!) {
		setOrganizationOwner(input: { organizationUserId: $id, isOwner: $isOwner }) { organizationUser { isOwner } }
	}`
	removeUser = `mutation($id: ID!, $confirm: String! = "DELETE") {
		removeOrganizationUser(input: { organizationUserId: $id, confirm: $confirm }) { removedOrganizationUserId }
	}`
	leaveOrganization = `mutation($org: ID!, $name: String!) {
		leaveOrganization(input: { organizationId: $org, confirmName: $name }) { leftOrganizationId }
	}`
	previewInvitation = `query($token: String!) {
		invitation(token: $token) { organizationName email invitedBy accountExists }
	}`
	viewerInvitations = `{ viewer { invitations { id } } }`
	ownMembership     = `query($org: ID!) { organization(id: $org) { viewerMembership { id } } }`
	listUsers         = `query($org: ID!, $status: OrganizationUserStatus, $search: String) {
		organization(id: $org) { users(status: $status, search: $search) { totalCount nodes { id email status isOwner } } }
	}`
	membershipByID = `query($id: ID!) { node(id: $id) { ... on OrganizationUser {
		status isOwner invitationDelivery invitationExpiresAt acceptedAt user { email }
	} } }`
)

// invitationLifetime is how long an invitation works.
const invitationLifetime = 7 * 24 * time.Hour

// invitations are the invitation mails to an address, newest first.
func (s *studio) invitations(to string) []mail.Message {
	s.Helper()
	return slices.DeleteFunc(s.mails(to), func(m mail.Message) bool { return !strings.Contains(m.Text, "/invitations/") })
}

// invitationToken waits for as many invitation mails, and returns the token of the newest.
func (s *studio) invitationToken(to string, mails int) string {
	s.Helper()
	s.eventually(fmt.Sprintf("%d invitation mails to %s", mails, to), func() bool { return len(s.invitations(to)) == mails })
	return s.mailedToken(to, "/invitations/")
}

// membership is the ID of a person's own place in an organization.
func (p *person) membership(organizationID string) string {
	p.Helper()
	return p.do(ownMembership, vars{"org": organizationID}).str("organization.viewerMembership.id")
}

// joinAsOwner is join, and makes the user an owner.
func (p *person) joinAsOwner(organizationID string, invited *person) string {
	p.Helper()
	id := p.join(organizationID, invited)
	p.do(setOwner, vars{"id": id, "isOwner": true})
	return id
}

func TestInviteUser(t *testing.T) {
	t.Parallel()
	t.Run("TwoInOneOperation", func(t *testing.T) {
		on(t, func(s *studio) {
			owner := s.signUp("owner")
			both := owner.do(`mutation($org: ID!) {
				first: inviteUser(input: { organizationId: $org, email: "first@example.com" }) { organizationUser { organization { users { totalCount } } } }
				second: inviteUser(input: { organizationId: $org, email: "second@example.com" }) { organizationUser { organization { users { totalCount } } } }
			}`, vars{"org": owner.home()})
			both.want("first.organizationUser.organization.users.totalCount", "2")
			both.want("second.organizationUser.organization.users.totalCount", "3")
		})
	})
	t.Run("NewAddress", func(t *testing.T) {
		on(t, func(s *studio) {
			owner := s.signUp("owner")
			home := owner.home()
			invited := owner.do(inviteUser, vars{"org": home, "email": " New@Example.com "})
			invited.want("inviteUser.organizationUser.status", `"INVITED"`)
			invited.want("inviteUser.organizationUser.email", `"new@example.com"`)
			invited.want("inviteUser.organizationUser.user", `null`)
			s.invitationToken("new@example.com", 1)
			if got := s.mails("new@example.com")[0].Subject; got != "Welcome to Studio: owner Example invited you to owner's Organization" {
				s.Errorf("got the subject %q", got)
			}
			s.wantLog(home, db.UserInvited)
		})
	})
	t.Run("ExistingAccount", func(t *testing.T) {
		on(t, func(s *studio) {
			owner, guest := s.signUp("owner"), s.signUp("guest")
			owner.invite(owner.home(), guest.email)
			s.invitationToken(guest.email, 1)
			if got := s.invitations(guest.email)[0].Subject; got != "owner Example invited you to owner's Organization" {
				s.Errorf("got the subject %q", got)
			}
		})
	})
	t.Run("TellsNoAccount", func(t *testing.T) {
		on(t, func(s *studio) {
			owner := s.signUp("owner")
			home := owner.home()
			s.signUp("known")
			var answers, listed []string
			for _, email := range []string{"known@example.com", "unknown@example.com"} {
				const all = `id status email isOwner user { id } invitedBy { id } invitedAt invitationExpiresAt acceptedAt organization { id }`
				invited := owner.do(strings.Replace(inviteUser, "id status email user { id }", all+" invitationDelivery", 1), vars{"org": home, "email": email})
				s.invitationToken(email, 1)
				list := owner.do(`query($org: ID!, $search: String) { organization(id: $org) { users(search: $search) { nodes { `+all+` } } } }`,
					vars{"org": home, "search": email[:len(email)-len("@example.com")]})
				// Both are about "known": what is left but that is the same when nothing is told.
				mask := strings.NewReplacer(invited.str("inviteUser.organizationUser.id"), "ID", email, "EMAIL")
				instants := regexp.MustCompile(`\d{4}-\d\d-\d\dT[\d:.]+Z`)
				answers = append(answers, instants.ReplaceAllString(mask.Replace(invited.body), "TIME"))
				entry := list.get(`organization.users.nodes.#(email=="` + email + `")`).Raw
				listed = append(listed, instants.ReplaceAllString(mask.Replace(entry), "TIME"))
			}
			if answers[0] != answers[1] || listed[0] != listed[1] || !strings.Contains(listed[0], `"id":"ID"`) {
				s.Errorf("the answers differ:\n%q\n%q", answers, listed)
			}
		})
	})
	t.Run("Delivery", func(t *testing.T) {
		on(t, func(s *studio) {
			owner := s.signUp("owner")
			invited := owner.do(`mutation($org: ID!) { inviteUser(input: { organizationId: $org, email: "new@example.com" }) {
				organizationUser { id invitationDelivery }
			} }`, vars{"org": owner.home()})
			invited.want("inviteUser.organizationUser.invitationDelivery", `"QUEUED"`)
			s.eventually("the invitation to be sent", func() bool {
				id := invited.str("inviteUser.organizationUser.id")
				return owner.do(membershipByID, vars{"id": id}).str("node.invitationDelivery") == "SENT"
			})
		})
	})
	t.Run("AlreadyMember", func(t *testing.T) {
		on(t, func(s *studio) {
			owner, member := s.signUp("owner"), s.signUp("member")
			home := owner.home()
			owner.join(home, member)
			for _, email := range []string{owner.email, member.email, "Member@Example.com"} {
				owner.refusedWhole(home, fault.AlreadyMember, "input.email", inviteUser, vars{"org": home, "email": email})
			}
		})
	})
	t.Run("AlreadyInvited", func(t *testing.T) {
		on(t, func(s *studio) {
			owner := s.signUp("owner")
			home := owner.home()
			owner.invite(home, "new@example.com")
			owner.refusedWhole(home, fault.AlreadyInvited, "input.email", inviteUser, vars{"org": home, "email": "NEW@example.com"})
		})
	})
	t.Run("Expired", func(t *testing.T) {
		on(t, func(s *studio) {
			owner := s.signUp("owner")
			home := owner.home()
			first := owner.invite(home, "new@example.com")
			s.clock.Advance(invitationLifetime)
			if again := owner.invite(home, "new@example.com"); again != first {
				s.Errorf("invited again as %s, was %s", again, first)
			}
			s.wantLog(home, db.UserInvited, db.UserInvited)
		})
	})
	t.Run("Declined", func(t *testing.T) {
		on(t, func(s *studio) {
			owner, second, guest := s.signUp("owner"), s.signUp("second"), s.verified("guest")
			home := owner.home()
			owner.joinAsOwner(home, second)
			first := owner.invite(home, guest.email)
			guest.do(declineInvitation, vars{"id": first})
			if again := second.invite(home, guest.email); again != first {
				s.Errorf("invited again as %s, was %s", again, first)
			}
			guest.do(`{ viewer { invitations { invitedBy { email } } } }`, nil).want("viewer.invitations", `[{"invitedBy":{"email":"second@example.com"}}]`)
			guest.do(acceptInvitation, vars{"id": first}).want("acceptInvitation.organizationUser.status", `"ACCEPTED"`)
			s.wantLog(home, db.UserInvited, db.InvitationAccepted, db.OwnerAdded,
				db.UserInvited, db.InvitationDeclined, db.UserInvited, db.InvitationAccepted)
		})
	})
	t.Run("Removed", func(t *testing.T) {
		on(t, func(s *studio) {
			owner, guest := s.signUp("owner"), s.verified("guest")
			home := owner.home()
			owner.do(removeUser, vars{"id": owner.join(home, guest)})
			guest.do(acceptInvitation, vars{"id": owner.invite(home, guest.email)})
			guest.do(ownMembership, vars{"org": home}).str("organization.viewerMembership.id")
		})
	})
	t.Run("FiveMailsADay", func(t *testing.T) {
		on(t, func(s *studio) {
			first, second := s.signUp("first"), s.signUp("second")
			home := first.home()
			for i := range 4 {
				first.invite(first.create("Acme", fmt.Sprint("acme", i)), "new@example.com")
			}
			second.invite(second.home(), "new@example.com")
			invite := vars{"org": home, "email": "new@example.com"}
			first.refusedWhole(home, fault.RateLimited, "", inviteUser, invite)
			wait := gjson.Get(first.send(inviteUser, invite).body, "errors.0.extensions.retryAfter").Int()
			if wait <= 0 || wait > 24*60*60 {
				s.Fatalf("retryAfter is %d seconds", wait)
			}
			s.clock.Advance(time.Duration(wait) * time.Second)
			first.do(inviteUser, invite)
			s.invitationToken("new@example.com", 6)
		})
	})
	t.Run("Refused", func(t *testing.T) {
		on(t, func(s *studio) {
			owner, member, stranger := s.signUp("owner"), s.signUp("member"), s.signUp("stranger")
			home := owner.home()
			owner.join(home, member)
			for _, test := range []struct {
				by    *person
				email string
				code  fault.Code
				field string
			}{
				{owner, "no address", fault.InvalidInput, "input.email"},
				{owner, long(250) + "@example.com", fault.InvalidInput, "input.email"},
				{member, "new@example.com", fault.Forbidden, "input.organizationId"},
				{stranger, "new@example.com", fault.NotFound, "input.organizationId"},
			} {
				test.by.refusedWhole(home, test.code, test.field, inviteUser, vars{"org": home, "email": test.email})
			}
		})
	})
}

func TestResendInvitation(t *testing.T) {
	t.Parallel()
	t.Run("NewLink", func(t *testing.T) {
		on(t, func(s *studio) {
			owner, guest := s.signUp("owner"), s.signUp("guest")
			home := owner.home()
			id := owner.invite(home, guest.email)
			old := s.invitationToken(guest.email, 1)
			s.clock.Advance(invitationLifetime - time.Hour)
			resent := owner.do(resendInvitation, vars{"id": id}).str("resendInvitation.organizationUser.invitationExpiresAt")
			expires, err := time.Parse(time.RFC3339, resent)
			if left := expires.Sub(s.clock.Now()); err != nil || left < invitationLifetime-time.Hour || left > invitationLifetime {
				s.Errorf("it expires at %s, want seven days from now", resent)
			}
			s.clock.Advance(2 * time.Hour)
			guest.refused(fault.InvitationInvalid, "input.token", acceptInvitation, vars{"token": old})
			guest.do(acceptInvitation, vars{"token": s.invitationToken(guest.email, 2)}).want("acceptInvitation.organizationUser.status", `"ACCEPTED"`)
			s.wantLog(home, db.UserInvited, db.InvitationResent, db.InvitationAccepted)
		})
	})
	t.Run("OldLinkAtOnce", func(t *testing.T) {
		on(t, func(s *studio) {
			owner, guest := s.signUp("owner"), s.signUp("guest")
			id := owner.invite(owner.home(), guest.email)
			old := s.invitationToken(guest.email, 1)
			owner.do(resendInvitation, vars{"id": id})
			guest.refused(fault.InvitationInvalid, "input.token", acceptInvitation, vars{"token": old})
		})
	})
	t.Run("Expired", func(t *testing.T) {
		on(t, func(s *studio) {
			owner, guest := s.signUp("owner"), s.verified("guest")
			id := owner.invite(owner.home(), guest.email)
			s.clock.Advance(invitationLifetime)
			owner.do(resendInvitation, vars{"id": id})
			guest.do(acceptInvitation, vars{"id": id}).want("acceptInvitation.organizationUser.status", `"ACCEPTED"`)
		})
	})
	t.Run("FiveMailsADay", func(t *testing.T) {
		on(t, func(s *studio) {
			owner := s.signUp("owner")
			home := owner.home()
			id := owner.invite(home, "new@example.com")
			for range 4 {
				owner.do(resendInvitation, vars{"id": id})
			}
			owner.refusedWhole(home, fault.RateLimited, "", resendInvitation, vars{"id": id})
			s.clock.Advance(24 * time.Hour)
			owner.do(resendInvitation, vars{"id": id})
		})
	})
	t.Run("Refused", func(t *testing.T) {
		on(t, func(s *studio) {
			owner, member, guest := s.signUp("owner"), s.signUp("member"), s.verified("guest")
			home := owner.home()
			accepted, declined := owner.join(home, member), owner.invite(home, guest.email)
			guest.do(declineInvitation, vars{"id": declined})
			for _, test := range []struct {
				by   *person
				id   string
				code fault.Code
			}{
				{owner, accepted, fault.AlreadyMember},
				{owner, declined, fault.InvitationInvalid},
				{member, declined, fault.Forbidden},
				{guest, declined, fault.NotFound},
			} {
				test.by.refusedWhole(home, test.code, "input.organizationUserId", resendInvitation, vars{"id": test.id})
			}
		})
	})
}

// endings are the ways in which an invitation by `owner` to `guest`, who is verified, stops working.
var endings = []struct {
	name string
	end  func(owner, guest *person, organizationID, id, token string)
}{
	{"Used", func(_, guest *person, _, _, token string) { guest.do(acceptInvitation, vars{"token": token}) }},
	{"Declined", func(_, guest *person, _, id, _ string) { guest.do(declineInvitation, vars{"id": id}) }},
	{"Revoked", func(owner, _ *person, _, id, _ string) { owner.do(removeUser, vars{"id": id}) }},
	{"Resent", func(owner, _ *person, _, id, _ string) { owner.do(resendInvitation, vars{"id": id}) }},
	{"Expired", func(owner, _ *person, _, _, _ string) { owner.clock.Advance(invitationLifetime) }},
	{"OrganizationDeleted", func(owner, _ *person, organizationID, _, _ string) {
		owner.do(deleteOrganization, vars{"org": organizationID, "name": "owner's Organization"})
	}},
}

func TestInvitationPreview(t *testing.T) {
	t.Parallel()
	t.Run("Pending", func(t *testing.T) {
		on(t, func(s *studio) {
			owner := s.signUp("owner")
			home := owner.home()
			s.signUp("known")
			for name, exists := range map[string]bool{"known": true, "unknown": false} {
				email := name + "@example.com"
				owner.invite(home, email)
				s.nobody().do(previewInvitation, vars{"token": s.invitationToken(email, 1)}).want("invitation", fmt.Sprintf(
					`{"organizationName":"owner's Organization","email":"%s","invitedBy":"owner Example","accountExists":%t}`, email, exists))
			}
		})
	})
	t.Run("Unknown", func(t *testing.T) {
		on(t, func(s *studio) {
			for _, token := range []string{"", "x", long(43), "\x00"} {
				s.nobody().do(previewInvitation, vars{"token": token}).want("invitation", `null`)
			}
		})
	})
	for _, ending := range endings {
		t.Run(ending.name, func(t *testing.T) {
			on(t, func(s *studio) {
				owner, guest := s.signUp("owner"), s.verified("guest")
				home := owner.home()
				id := owner.invite(home, guest.email)
				token := s.invitationToken(guest.email, 1)
				s.nobody().do(previewInvitation, vars{"token": token}).want("invitation.email", `"guest@example.com"`)
				ending.end(owner, guest, home, id, token)
				s.nobody().do(previewInvitation, vars{"token": token}).want("invitation", `null`)
				guest.refusedWhole(home, fault.InvitationInvalid, "input.token", acceptInvitation, vars{"token": token})
			})
		})
	}
}

func TestAcceptInvitation(t *testing.T) {
	t.Parallel()
	t.Run("ByToken", func(t *testing.T) {
		on(t, func(s *studio) {
			owner, guest := s.signUp("owner"), s.signUp("guest")
			home := owner.home()
			id := owner.invite(home, guest.email)
			accepted := guest.do(acceptInvitation, vars{"token": s.invitationToken(guest.email, 1)})
			accepted.want("acceptInvitation.organizationUser", `{"id":"`+id+`","status":"ACCEPTED","user":{"email":"guest@example.com"}}`)
			guest.do(`{ viewer { emailVerified organizations { totalCount } } }`, nil).
				want("viewer", `{"emailVerified":true,"organizations":{"totalCount":2}}`)
			listed := owner.do(membershipByID, vars{"id": id})
			listed.want("node.isOwner", `false`)
			listed.want("node.invitationExpiresAt", `null`)
			listed.str("node.acceptedAt")
			s.wantLog(home, db.UserInvited, db.InvitationAccepted)
		})
	})
	t.Run("ByID", func(t *testing.T) {
		on(t, func(s *studio) {
			owner, guest := s.signUp("owner"), s.verified("guest")
			home := owner.home()
			guest.do(acceptInvitation, vars{"id": owner.invite(home, guest.email)}).want("acceptInvitation.organizationUser.status", `"ACCEPTED"`)
			s.wantLog(home, db.UserInvited, db.InvitationAccepted)
		})
	})
	// What is known of the invitation's mail when the answer comes first.
	t.Run("BeforeMail", func(t *testing.T) {
		dbtest.Each(t, func(t *testing.T, open func(...db.Option) *db.DB) {
			s, meanwhile := interruptible(t, open, &dbtest.Clock{}, "INSERT INTO link_tokens", "INVITATION")
			owner, guest := s.signUp("owner"), s.verified("guest")
			home := owner.home()
			accept := func() {
				guest.do(acceptInvitation, vars{"id": guest.do(`{ viewer { invitations { id } } }`, nil).str("viewer.invitations.0.id")})
			}
			meanwhile.Store(&accept)
			id := owner.invite(home, guest.email)
			s.settle()
			owner.do(membershipByID, vars{"id": id}).want("node.invitationDelivery", `null`)
		})
	})
	t.Run("BeforeMailIsNoted", func(t *testing.T) {
		dbtest.Each(t, func(t *testing.T, open func(...db.Option) *db.DB) {
			s, meanwhile := interruptible(t, open, &dbtest.Clock{}, "UPDATE", "invitation_delivery = 'SENT'")
			owner, guest := s.signUp("owner"), s.signUp("guest")
			home := owner.home()
			accept := func() { guest.do(acceptInvitation, vars{"token": s.invitationToken(guest.email, 1)}) }
			meanwhile.Store(&accept)
			id := owner.invite(home, guest.email)
			s.eventually("the guest to accept", func() bool { return owner.do(membershipByID, vars{"id": id}).get("node.acceptedAt").String() != "" })
			s.settle()
			owner.do(membershipByID, vars{"id": id}).want("node.invitationDelivery", `"SENT"`)
		})
	})
	t.Run("BothOrNone", func(t *testing.T) {
		on(t, func(s *studio) {
			owner, guest := s.signUp("owner"), s.verified("guest")
			home := owner.home()
			id := owner.invite(home, guest.email)
			guest.refusedWhole(home, fault.InvalidInput, "", acceptInvitation, nil)
			guest.refusedWhole(home, fault.InvalidInput, "", acceptInvitation, vars{"id": id, "token": s.invitationToken(guest.email, 1)})
		})
	})
	t.Run("OtherAccount", func(t *testing.T) {
		on(t, func(s *studio) {
			owner, guest, other := s.signUp("owner"), s.signUp("guest"), s.verified("other")
			home := owner.home()
			owner.invite(home, guest.email)
			token := vars{"token": s.invitationToken(guest.email, 1)}
			other.refusedWhole(home, fault.InvitationEmailMismatch, "input.token", acceptInvitation, token)
			guest.do(acceptInvitation, token).want("acceptInvitation.organizationUser.status", `"ACCEPTED"`)
			other.refusedWhole(home, fault.InvitationInvalid, "input.token", acceptInvitation, token)
		})
	})
	testRefusedAnswers(t, acceptInvitation)
}

func TestDeclineInvitation(t *testing.T) {
	t.Parallel()
	t.Run("Declined", func(t *testing.T) {
		on(t, func(s *studio) {
			owner, guest := s.signUp("owner"), s.verified("guest")
			home := owner.home()
			id := owner.invite(home, guest.email)
			guest.do(declineInvitation, vars{"id": id}).want("declineInvitation.declinedOrganizationUserId", `"`+id+`"`)
			guest.do(viewerInvitations, nil).want("viewer.invitations", `[]`)
			guest.do(organizationByID, vars{"id": home}).want("organization", `null`)
			listed := owner.do(membershipByID, vars{"id": id})
			listed.want("node.status", `"DECLINED"`)
			listed.want("node.user", `null`)
			listed.want("node.invitationExpiresAt", `null`)
			s.wantLog(home, db.UserInvited, db.InvitationDeclined)
		})
	})
	testRefusedAnswers(t, declineInvitation)
}

// testRefusedAnswers tests what accepting and declining by ID refuse alike.
func testRefusedAnswers(t *testing.T, mutation string) {
	t.Run("Unverified", func(t *testing.T) {
		on(t, func(s *studio) {
			owner, guest := s.signUp("owner"), s.signUp("guest")
			home := owner.home()
			for _, id := range []string{owner.invite(home, guest.email), db.NewID(db.MembershipPrefix)} {
				guest.refusedWhole(home, fault.EmailUnverified, "", mutation, vars{"id": id})
			}
		})
	})
	t.Run("NotInvited", func(t *testing.T) {
		on(t, func(s *studio) {
			owner, other := s.signUp("owner"), s.verified("other")
			home := owner.home()
			for _, id := range []string{owner.invite(home, "new@example.com"), owner.membership(home), db.NewID(db.MembershipPrefix), home, "", "\x00"} {
				other.refusedWhole(home, fault.NotFound, "input.organizationUserId", mutation, vars{"id": id})
			}
		})
	})
	for _, answered := range []struct {
		name   string
		answer func(guest *person, id string)
		code   fault.Code
	}{
		{"Accepted", func(guest *person, id string) { guest.do(acceptInvitation, vars{"id": id}) }, fault.AlreadyMember},
		{"Declined", func(guest *person, id string) { guest.do(declineInvitation, vars{"id": id}) }, fault.InvitationInvalid},
		{"Expired", func(guest *person, _ string) { guest.clock.Advance(invitationLifetime) }, fault.InvitationInvalid},
	} {
		t.Run("After"+answered.name, func(t *testing.T) {
			dbtest.Each(t, func(t *testing.T, open func(...db.Option) *db.DB) {
				s := start(t, open, &dbtest.Clock{Start: time.Now()}) // which stands still, as an invitation ends at an instant
				owner, guest := s.signUp("owner"), s.verified("guest")
				home := owner.home()
				id := owner.invite(home, guest.email)
				answered.answer(guest, id)
				guest.refusedWhole(home, answered.code, "input.organizationUserId", mutation, vars{"id": id})
			})
		})
	}
}

func TestViewerInvitations(t *testing.T) {
	t.Parallel()
	t.Run("PendingOnly", func(t *testing.T) {
		on(t, func(s *studio) {
			owner, guest := s.signUp("owner"), s.verified("guest")
			expired := owner.invite(owner.create("Expired", "expired"), guest.email)
			s.clock.Advance(invitationLifetime)
			accepted := owner.invite(owner.create("Accepted", "accepted"), guest.email)
			declined := owner.invite(owner.create("Declined", "declined"), guest.email)
			older := owner.invite(owner.create("Older", "older"), guest.email)
			newer := owner.invite(owner.create("Newer", "newer"), guest.email)
			owner.invite(owner.home(), "other@example.com")
			guest.do(acceptInvitation, vars{"id": accepted})
			guest.do(declineInvitation, vars{"id": declined})
			if got := guest.do(viewerInvitations, nil).list("viewer.invitations.#.id"); !slices.Equal(got, []string{newer, older}) {
				s.Errorf("got %v, want %s and %s, and not %s", got, newer, older, expired)
			}
			owner.do(removeUser, vars{"id": newer})
			guest.do(viewerInvitations, nil).want("viewer.invitations.#.id", `["`+older+`"]`)
		})
	})
	t.Run("Organization", func(t *testing.T) {
		on(t, func(s *studio) {
			owner, guest := s.signUp("owner"), s.verified("guest")
			owner.invite(owner.home(), guest.email)
			guest.do(`{ viewer { invitations { invitedBy { email } organization { name viewerMembership { status } } } } }`, nil).
				want("viewer.invitations", `[{"invitedBy":{"email":"owner@example.com"},"organization":{"name":"owner's Organization","viewerMembership":{"status":"INVITED"}}}]`)
			for _, field := range []string{"users { totalCount }", "events { totalCount }", "deletionBlockers { code }"} {
				a := guest.refused(fault.NotFound, "", `{ viewer { invitations { organization { name `+field+` } } } }`, nil)
				a.want("viewer.invitations.0.organization.name", `"owner's Organization"`)
			}
		})
	})
	t.Run("Unverified", func(t *testing.T) {
		on(t, func(s *studio) {
			owner, guest := s.signUp("owner"), s.signUp("guest")
			home := owner.home()
			owner.invite(home, guest.email)
			guest.do(viewerInvitations, nil).want("viewer.invitations", `[]`)
			guest.do(organizationByID, vars{"id": home}).want("organization", `null`)
		})
	})
}

func TestSetOrganizationOwner(t *testing.T) {
	t.Parallel()
	t.Run("Toggled", func(t *testing.T) {
		on(t, func(s *studio) {
			owner, member := s.signUp("owner"), s.signUp("member")
			home := owner.home()
			id := owner.join(home, member)
			for _, isOwner := range []bool{true, true, false, false} { // the second time changes nothing
				owner.do(setOwner, vars{"id": id, "isOwner": isOwner}).
					want("setOrganizationOwner.organizationUser.isOwner", fmt.Sprint(isOwner))
				a := member.send(listUsers, vars{"org": home})
				if isOwner {
					a.want("organization.users.totalCount", `2`)
				} else {
					a.check(fault.Forbidden, "")
				}
			}
			s.wantLog(home, db.UserInvited, db.InvitationAccepted, db.OwnerAdded, db.OwnerRemoved)
		})
	})
	t.Run("Oneself", func(t *testing.T) {
		on(t, func(s *studio) {
			owner, second := s.signUp("owner"), s.signUp("second")
			home := owner.home()
			owner.joinAsOwner(home, second)
			own := vars{"id": owner.membership(home), "isOwner": false}
			owner.do(setOwner, own).want("setOrganizationOwner.organizationUser.isOwner", `false`)
			owner.refusedWhole(home, fault.Forbidden, "input.organizationUserId", setOwner, own)
		})
	})
	// The answer shows what one may see after the change, not before.
	t.Run("OneselfAndLook", func(t *testing.T) {
		on(t, func(s *studio) {
			owner, second := s.signUp("owner"), s.signUp("second")
			home := owner.home()
			owner.joinAsOwner(home, second)
			a := owner.send(`mutation($id: ID!) { setOrganizationOwner(input: { organizationUserId: $id, isOwner: false }) {
				organizationUser { organization { viewerMembership { isOwner } billing { id } } } } }`, vars{"id": owner.membership(home)})
			a.want("setOrganizationOwner.organizationUser.organization", `{"viewerMembership":{"isOwner":false},"billing":null}`)
			a.check(fault.Forbidden, "")
		})
	})
	t.Run("Refused", func(t *testing.T) {
		on(t, func(s *studio) {
			owner, member, guest := s.signUp("owner"), s.signUp("member"), s.verified("guest")
			home := owner.home()
			accepted, declined, own := owner.join(home, member), owner.invite(home, guest.email), owner.membership(home)
			guest.do(declineInvitation, vars{"id": declined})
			for _, test := range []struct {
				by      *person
				id      string
				isOwner bool
				code    fault.Code
				field   string
			}{
				{owner, owner.invite(home, "new@example.com"), true, fault.InvitationPending, "input.organizationUserId"},
				{owner, declined, true, fault.InvitationPending, "input.organizationUserId"},
				{owner, own, false, fault.LastOwner, ""},
				{member, accepted, true, fault.Forbidden, "input.organizationUserId"},
				{member, own, false, fault.Forbidden, "input.organizationUserId"},
				{guest, accepted, true, fault.NotFound, "input.organizationUserId"},
			} {
				test.by.refusedWhole(home, test.code, test.field, setOwner, vars{"id": test.id, "isOwner": test.isOwner})
			}
		})
	})
}

func TestRemoveOrganizationUser(t *testing.T) {
	t.Parallel()
	t.Run("Member", func(t *testing.T) {
		on(t, func(s *studio) {
			owner, member := s.signUp("owner"), s.signUp("member")
			home := owner.home()
			id := owner.join(home, member)
			owner.do(removeUser, vars{"id": id}).want("removeOrganizationUser.removedOrganizationUserId", `"`+id+`"`)
			member.do(organizationByID, vars{"id": home}).want("organization", `null`)
			member.refused(fault.NotFound, "input.organizationId", leaveOrganization, vars{"org": home, "name": "owner's Organization"})
			owner.do(listUsers, vars{"org": home}).want("organization.users.nodes.#.email", `["owner@example.com"]`)
			owner.do(membershipByID, vars{"id": id}).want("node", `null`)
			member.do(`{ viewer { user { email } organizations { totalCount } } }`, nil).
				want("viewer", `{"user":{"email":"member@example.com"},"organizations":{"totalCount":1}}`)
			owner.refusedWhole(home, fault.NotFound, "input.organizationUserId", removeUser, vars{"id": id})
			s.wantLog(home, db.UserInvited, db.InvitationAccepted, db.UserRemoved)
		})
	})
	t.Run("Invitation", func(t *testing.T) {
		on(t, func(s *studio) {
			owner, guest := s.signUp("owner"), s.verified("guest")
			home := owner.home()
			id := owner.invite(home, guest.email)
			token := s.invitationToken(guest.email, 1)
			owner.do(removeUser, vars{"id": id})
			guest.refusedWhole(home, fault.InvitationInvalid, "input.token", acceptInvitation, vars{"token": token})
			guest.refusedWhole(home, fault.NotFound, "input.organizationUserId", acceptInvitation, vars{"id": id})
			s.wantLog(home, db.UserInvited, db.InvitationRevoked)
		})
	})
	t.Run("Oneself", func(t *testing.T) {
		on(t, func(s *studio) {
			owner, second := s.signUp("owner"), s.signUp("second")
			home := owner.home()
			owner.joinAsOwner(home, second)
			owner.do(removeUser, vars{"id": owner.membership(home)})
			owner.do(organizationByID, vars{"id": home}).want("organization", `null`)
			second.do(listUsers, vars{"org": home}).want("organization.users.totalCount", `1`)
		})
	})
	t.Run("Refused", func(t *testing.T) {
		on(t, func(s *studio) {
			owner, member, stranger := s.signUp("owner"), s.signUp("member"), s.signUp("stranger")
			home := owner.home()
			id, own := owner.join(home, member), owner.membership(home)
			for _, test := range []struct {
				by          *person
				id, confirm string
				code        fault.Code
				field       string
			}{
				{owner, id, "", fault.ConfirmationMismatch, "input.confirm"},
				{owner, id, "delete", fault.ConfirmationMismatch, "input.confirm"},
				{owner, id, "DELETE!", fault.ConfirmationMismatch, "input.confirm"},
				{owner, own, "DELETE", fault.LastOwner, ""},
				{member, own, "DELETE", fault.Forbidden, "input.organizationUserId"},
				{member, id, "DELETE", fault.Forbidden, "input.organizationUserId"},
				{stranger, id, "DELETE", fault.NotFound, "input.organizationUserId"},
			} {
				test.by.refusedWhole(home, test.code, test.field, removeUser, vars{"id": test.id, "confirm": test.confirm})
			}
		})
	})
}

func TestLeaveOrganization(t *testing.T) {
	t.Parallel()
	t.Run("Left", func(t *testing.T) {
		on(t, func(s *studio) {
			owner, member, second := s.signUp("owner"), s.signUp("member"), s.signUp("second")
			home := owner.home()
			owner.join(home, member)
			owner.joinAsOwner(home, second)
			for _, p := range []*person{member, owner} {
				p.do(leaveOrganization, vars{"org": home, "name": "owner's Organization"}).
					want("leaveOrganization.leftOrganizationId", `"`+home+`"`)
				p.do(organizationByID, vars{"id": home}).want("organization", `null`)
			}
			second.do(listUsers, vars{"org": home}).want("organization.users.nodes.#.email", `["second@example.com"]`)
			s.wantLog(home, db.UserInvited, db.InvitationAccepted, db.UserInvited, db.InvitationAccepted, db.OwnerAdded, db.UserLeft, db.UserLeft)
		})
	})
	t.Run("Refused", func(t *testing.T) {
		on(t, func(s *studio) {
			owner, member, invited := s.signUp("owner"), s.signUp("member"), s.verified("invited")
			home := owner.home()
			owner.join(home, member)
			owner.invite(home, invited.email)
			for _, test := range []struct {
				by    *person
				name  string
				code  fault.Code
				field string
			}{
				{member, "", fault.ConfirmationMismatch, "input.confirmName"},
				{member, "OWNER'S ORGANIZATION", fault.ConfirmationMismatch, "input.confirmName"},
				{owner, "owner's Organization", fault.LastOwner, ""},
				{invited, "owner's Organization", fault.NotFound, "input.organizationId"},
			} {
				test.by.refusedWhole(home, test.code, test.field, leaveOrganization, vars{"org": home, "name": test.name})
			}
		})
	})
}

func TestUsers(t *testing.T) {
	t.Parallel()
	t.Run("Filter", func(t *testing.T) {
		on(t, func(s *studio) {
			owner, zoe, guest := s.signUp("owner"), s.signUp("zoe"), s.verified("guest")
			home := owner.home()
			owner.join(home, zoe)
			guest.do(declineInvitation, vars{"id": owner.invite(home, guest.email)})
			owner.invite(home, "a_b@example.com")
			zoe.do(`mutation { updateProfile(input: { firstName: "Älva", lastName: "100%" }) { user { id } } }`, nil)
			for _, test := range []struct {
				filter vars
				want   []string
			}{
				{vars{}, []string{"a_b", "guest", "owner", "zoe"}},
				{vars{"status": "ACCEPTED"}, []string{"owner", "zoe"}},
				{vars{"status": "INVITED"}, []string{"a_b"}},
				{vars{"status": "DECLINED"}, []string{"guest"}},
				{vars{"search": "ZOE@"}, []string{"zoe"}},
				{vars{"search": "älva 1"}, []string{"zoe"}},
				{vars{"search": "0%"}, []string{"zoe"}},
				{vars{"search": "_"}, []string{"a_b"}},
				{vars{"search": "guest Example"}, []string{}}, // an invitation tells no name
				{vars{"search": "o", "status": "ACCEPTED"}, []string{"owner", "zoe"}},
				{vars{"search": "a_b", "status": "ACCEPTED"}, []string{}},
			} {
				test.filter["org"] = home
				a := owner.do(listUsers, test.filter)
				want := make([]string, len(test.want))
				for i, name := range test.want {
					want[i] = name + "@example.com"
				}
				if got := a.list("organization.users.nodes.#.email"); !slices.Equal(got, want) || a.get("organization.users.totalCount").Int() != int64(len(want)) {
					s.Errorf("%v: got %s, want %v", test.filter, a.body, want)
				}
			}
		})
	})
	t.Run("Pages", func(t *testing.T) {
		on(t, func(s *studio) {
			owner := s.signUp("owner")
			home := owner.home()
			for _, name := range []string{"d", "b2", "z", "a2"} {
				owner.invite(home, name+"@example.com")
			}
			const pages = `query($org: ID!, $search: String, $first: Int, $after: String, $last: Int, $before: String) {
				organization(id: $org) { users(search: $search, first: $first, after: $after, last: $last, before: $before) ` + connection + ` }
			}`
			owner.walk(5, "organization.users", pages, vars{"org": home})
			owner.walk(2, "organization.users", pages, vars{"org": home, "search": "2"})
		})
	})
	t.Run("OwnersOnly", func(t *testing.T) {
		on(t, func(s *studio) {
			owner, member := s.signUp("owner"), s.signUp("member")
			home := owner.home()
			owner.join(home, member)
			for _, field := range []string{"users { totalCount }", "events { totalCount }", "deletionBlockers { code }"} {
				a := member.refused(fault.Forbidden, "", `query($org: ID!) { organization(id: $org) { name `+field+` } }`, vars{"org": home})
				a.want("organization.name", `"owner's Organization"`)
			}
		})
	})
}

func TestEvents(t *testing.T) {
	t.Parallel()
	const events = `query($org: ID!) { organization(id: $org) { events(first: 1) { totalCount nodes {
		type actor { email } subject { __typename ... on Organization { id } ... on OrganizationUser { id } } organization { id } summary
	} } } }`
	t.Run("OneAnEffect", func(t *testing.T) {
		on(t, func(s *studio) {
			owner, guest := s.signUp("owner"), s.verified("guest")
			home := owner.home()
			invite := func() string { return owner.invite(home, guest.email) }
			id := ""
			receiver := s.receiver(status(http.StatusOK)).URL
			for i, step := range []struct {
				do      func()
				kind    db.EventType
				actor   *person
				summary string
			}{
				{func() {}, db.OrganizationCreated, owner, "owner Example created the organization owner's Organization."},
				{func() { owner.do(updateOrganization, vars{"org": home, "name": "Acme"}) },
					db.OrganizationUpdated, owner, "owner Example renamed the organization from owner's Organization to Acme."},
				{func() { id = invite() }, db.UserInvited, owner, "owner Example invited guest@example.com."},
				{func() { owner.do(resendInvitation, vars{"id": id}) },
					db.InvitationResent, owner, "owner Example resent the invitation of guest@example.com."},
				{func() { guest.do(declineInvitation, vars{"id": id}) },
					db.InvitationDeclined, guest, "guest Example declined the invitation."},
				{func() { owner.do(removeUser, vars{"id": id}) }, db.UserRemoved, owner, "owner Example removed guest@example.com."},
				{func() { id = invite() }, db.UserInvited, owner, "owner Example invited guest@example.com."},
				{func() { guest.do(acceptInvitation, vars{"id": id}) },
					db.InvitationAccepted, guest, "guest Example accepted the invitation."},
				{func() { owner.do(setOwner, vars{"id": id, "isOwner": true}) },
					db.OwnerAdded, owner, "owner Example made guest Example an owner."},
				{func() { owner.do(setOwner, vars{"id": id, "isOwner": false}) },
					db.OwnerRemoved, owner, "owner Example took the ownership from guest Example."},
				{func() { owner.do(removeUser, vars{"id": id}) },
					db.UserRemoved, owner, "owner Example removed guest Example."},
				{func() { id = invite() }, db.UserInvited, owner, "owner Example invited guest@example.com."},
				{func() { owner.do(removeUser, vars{"id": id}) },
					db.InvitationRevoked, owner, "owner Example revoked the invitation of guest@example.com."},
				{func() { id = invite() }, db.UserInvited, owner, "owner Example invited guest@example.com."},
				{func() { guest.do(acceptInvitation, vars{"id": id}) },
					db.InvitationAccepted, guest, "guest Example accepted the invitation."},
				{func() { guest.do(leaveOrganization, vars{"org": home, "name": "Acme"}) },
					db.UserLeft, guest, "guest Example left the organization."},
				{func() { id, _ = owner.endpoint(home, receiver+"/secret") },
					db.WebhookEndpointCreated, owner, "owner Example added the webhook endpoint at " + strings.TrimPrefix(receiver, "http://") + "."},
				{func() { owner.do(updateWebhookEndpoint, vars{"id": id, "enabled": false}) },
					db.WebhookEndpointUpdated, owner, "owner Example changed the webhook endpoint at " + strings.TrimPrefix(receiver, "http://") + "."},
				{func() { owner.do(deleteWebhookEndpoint, vars{"id": id}) },
					db.WebhookEndpointDeleted, owner, "owner Example deleted the webhook endpoint at " + strings.TrimPrefix(receiver, "http://") + "."},
			} {
				step.do()
				subject := `{"__typename":"OrganizationUser","id":"` + id + `"}`
				switch step.kind {
				case db.OrganizationCreated, db.OrganizationUpdated:
					subject = `{"__typename":"Organization","id":"` + home + `"}`
				case db.WebhookEndpointCreated, db.WebhookEndpointUpdated:
					subject = `{"__typename":"WebhookEndpoint"}`
				case db.UserRemoved, db.InvitationRevoked, db.UserLeft, db.WebhookEndpointDeleted:
					subject = `null`
				}
				a := owner.do(events, vars{"org": home})
				a.want("organization.events.totalCount", fmt.Sprint(i+1))
				a.want("organization.events.nodes.0", fmt.Sprintf(`{"type":"%s","actor":{"email":"%s"},"subject":%s,"organization":{"id":"%s"},"summary":"%s"}`,
					step.kind, step.actor.email, subject, home, step.summary))
			}
		})
	})
	t.Run("Pages", func(t *testing.T) {
		on(t, func(s *studio) {
			owner := s.signUp("owner")
			home := owner.home()
			for _, name := range []string{"b", "c", "d", "e"} {
				owner.do(updateOrganization, vars{"org": home, "name": name})
			}
			const pages = `query($org: ID!, $first: Int, $after: String, $last: Int, $before: String) {
				organization(id: $org) { events(first: $first, after: $after, last: $last, before: $before) ` + connection + ` }
			}`
			owner.walk(5, "organization.events", pages, vars{"org": home})
			newestFirst := owner.do(`query($org: ID!) { organization(id: $org) { events { nodes { type summary } } } }`, vars{"org": home})
			newestFirst.want("organization.events.nodes.0.summary", `"owner Example renamed the organization from d to e."`)
			newestFirst.want("organization.events.nodes.4.type", `"ORGANIZATION_CREATED"`)
		})
	})
}

// TestInvariants is about what holds when requests meet.
func TestInvariants(t *testing.T) {
	t.Parallel()
	for _, ways := range []struct {
		name string
		// act is what each of the two owners does at once: the first of them that does it wins.
		act func(by *person, organizationID, own, other string) *answer
		// named is the input that whoever comes too late named: they get to hear of no other.
		named string
	}{
		{"OwnersDemoteEachOther", func(by *person, _, _, other string) *answer {
			return by.send(setOwner, vars{"id": other, "isOwner": false})
		}, "input.organizationUserId"},
		{"OwnersDemoteThemselves", func(by *person, _, own, _ string) *answer {
			return by.send(setOwner, vars{"id": own, "isOwner": false})
		}, "input.organizationUserId"},
		{"OwnersRemoveEachOther", func(by *person, _, _, other string) *answer {
			return by.send(removeUser, vars{"id": other})
		}, "input.organizationUserId"},
		{"OwnersRemoveThemselves", func(by *person, _, own, _ string) *answer {
			return by.send(removeUser, vars{"id": own})
		}, "input.organizationUserId"},
		{"OwnersLeave", func(by *person, organizationID, _, _ string) *answer {
			return by.send(leaveOrganization, vars{"org": organizationID, "name": "first's Organization"})
		}, "input.organizationId"},
	} {
		t.Run(ways.name, func(t *testing.T) {
			on(t, func(s *studio) {
				owners := []*person{s.signUp("first"), s.signUp("second")}
				home := owners[0].home()
				ids := []string{owners[0].membership(home), owners[0].joinAsOwner(home, owners[1])}
				before := len(s.log(home))
				answers := race(func(i int) *answer { return ways.act(owners[i%2], home, ids[i%2], ids[1-i%2]) })
				succeeded(answers, fault.LastOwner, fault.Forbidden, fault.NotFound)
				for _, a := range answers {
					if field := gjson.Get(a.body, "errors.0.extensions.field"); field.Exists() && field.String() != ways.named {
						s.Errorf("got %s\nwant no field but %s", a.body, ways.named)
					}
				}
				if after := len(s.log(home)); after != before+1 {
					s.Errorf("%d changes, want one: %v", after-before, s.log(home))
				}
				if left := strings.Count(s.state(home), `"IsOwner":true`); left != 1 {
					s.Errorf("%d owners are left, want one", left)
				}
			})
		})
	}
	t.Run("InviteOneAddress", func(t *testing.T) {
		on(t, func(s *studio) {
			owner := s.signUp("owner")
			home := owner.home()
			wantOne(race(func(int) *answer {
				return owner.send(inviteUser, vars{"org": home, "email": "new@example.com"})
			}), fault.AlreadyInvited)
			s.wantLog(home, db.UserInvited)
			// Jobs begin in their order: once the mail of a later one is there, a second one would be too.
			owner.invite(home, "last@example.com")
			s.invitationToken("last@example.com", 1)
			s.invitationToken("new@example.com", 1)
		})
	})
	t.Run("AcceptOneToken", func(t *testing.T) {
		on(t, func(s *studio) {
			owner, guest := s.signUp("owner"), s.signUp("guest")
			home := owner.home()
			owner.invite(home, guest.email)
			token := s.invitationToken(guest.email, 1)
			wantOne(race(func(int) *answer { return guest.send(acceptInvitation, vars{"token": token}) }), fault.InvitationInvalid)
			s.wantLog(home, db.UserInvited, db.InvitationAccepted)
		})
	})
	t.Run("AcceptAndRemove", func(t *testing.T) {
		on(t, func(s *studio) {
			owner, guest := s.signUp("owner"), s.signUp("guest")
			home := owner.home()
			id := owner.invite(home, guest.email)
			token := s.invitationToken(guest.email, 1)
			answers := race(func(i int) *answer {
				if i%2 == 0 {
					return guest.send(acceptInvitation, vars{"token": token})
				}
				return owner.send(removeUser, vars{"id": id})
			})
			want := []db.EventType{db.UserInvited, db.InvitationRevoked}
			if len(succeeded(answers, fault.InvitationInvalid, fault.NotFound)) == 2 {
				want = []db.EventType{db.UserInvited, db.InvitationAccepted, db.UserRemoved}
			}
			s.wantLog(home, want...)
			owner.do(listUsers, vars{"org": home}).want("organization.users.totalCount", `1`)
			guest.do(organizationByID, vars{"id": home}).want("organization", `null`)
		})
	})
	t.Run("AcceptAndDecline", func(t *testing.T) {
		on(t, func(s *studio) {
			owner, guest := s.signUp("owner"), s.verified("guest")
			home := owner.home()
			id := owner.invite(home, guest.email)
			token := s.invitationToken(guest.email, 1)
			answered := wantOne(race(func(i int) *answer {
				if i%2 == 0 {
					return guest.send(acceptInvitation, vars{"token": token})
				}
				return guest.send(declineInvitation, vars{"id": id})
			}), fault.InvitationInvalid, fault.AlreadyMember)
			status, event := `"DECLINED"`, db.InvitationDeclined
			if answered.get("acceptInvitation").Exists() {
				status, event = `"ACCEPTED"`, db.InvitationAccepted
			}
			owner.do(membershipByID, vars{"id": id}).want("node.status", status)
			s.wantLog(home, db.UserInvited, event)
		})
	})
}
