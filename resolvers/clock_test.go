package resolvers_test

// A server's clock that is set back, or runs far ahead and is set right: nobody may get in who could
// not, and what was noted while it ran far ahead keeps nobody out until then.

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tidwall/gjson"

	"studio/fault"
)

const year = 365 * 24 * time.Hour

func TestClock(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]func(s *studio){
		"Sessions":        clockAndSessions,
		"Invitations":     clockAndInvitations,
		"FailedSignIns":   clockAndFailures,
		"InvitationMails": clockAndMails,
		"Storage":         clockAndStorage,
		"Jobs":            clockAndJobs,
		"Events":          clockAndEvents,
	} {
		t.Run(name, func(t *testing.T) { on(t, test) })
	}
}

func clockAndSessions(s *studio) {
	p := s.signUp("person")
	s.clock.Advance(-year)
	p.isSignedIn()
	other := p.elsewhere()
	other.isSignedIn()
	s.clock.Advance(year)
	p.isSignedIn()
	other.isNobody() // its session began a year ago
	s.clock.Advance(31 * 24 * time.Hour)
	p.isNobody()
}

func clockAndInvitations(s *studio) {
	owner, guest, late := s.signUp("owner"), s.signUp("guest"), s.signUp("late")
	home := owner.home()
	owner.invite(home, guest.email)
	owner.invite(home, late.email)
	token, other := s.invitationToken(guest.email, 1), s.invitationToken(late.email, 1)
	s.clock.Advance(-24 * time.Hour)
	owner.refused(fault.AlreadyInvited, "input.email", inviteUser, vars{"org": home, "email": guest.email})
	guest.do(acceptInvitation, vars{"token": token}).want("acceptInvitation.organizationUser.status", `"ACCEPTED"`)
	s.clock.Advance(24*time.Hour + invitationLifetime)
	late.refused(fault.InvitationInvalid, "input.token", acceptInvitation, vars{"token": other})
}

func clockAndFailures(s *studio) {
	p := s.signUp("person")
	fail := func() {
		for range 10 {
			s.nobody().refused(fault.InvalidCredentials, "", signIn, vars{"email": p.email, "password": "something else"})
		}
		s.nobody().refused(fault.RateLimited, "", signIn, vars{"email": p.email, "password": password})
	}
	fail()
	s.clock.Advance(-10 * time.Minute) // which lets nobody try again
	s.nobody().refused(fault.RateLimited, "", signIn, vars{"email": p.email, "password": password})
	s.clock.Advance(25 * time.Minute)
	s.nobody().do(signIn, vars{"email": p.email, "password": password})
	s.clock.Advance(year)
	fail()
	s.clock.Advance(-year) // nor does it keep somebody out for a year
	s.nobody().do(signIn, vars{"email": p.email, "password": password})
	fail()
}

func clockAndMails(s *studio) {
	owner := s.signUp("owner")
	home := owner.home()
	s.clock.Advance(20 * 24 * time.Hour)
	id := owner.invite(home, "new@example.com")
	for range 4 {
		owner.do(resendInvitation, vars{"id": id})
	}
	s.clock.Advance(-20 * 24 * time.Hour)
	owner.do(resendInvitation, vars{"id": id})
}

func clockAndStorage(s *studio) {
	owner := s.signUp("owner")
	home := owner.home()
	owner.setCard(home, "pm_card_visa")
	id := owner.createInstance(home, "one", "cloud-2gb", 10)
	owner.do(resizeInstance, vars{"id": id, "storage": 100})
	owner.runs(id)
	s.clock.Advance(-time.Hour)
	owner.refused(fault.ResizeCooldown, "input.storageGb", resizeInstance, vars{"id": id, "storage": 250})
	s.clock.Advance(-20 * 24 * time.Hour) // it was ahead, when the storage was changed
	owner.do(resizeInstance, vars{"id": id, "storage": 250})
}

// clockAndJobs sets the clock back while a job waits to be tried again: it waits for as long as that,
// and nothing else does.
func clockAndJobs(s *studio) {
	owner := s.signUp("owner")
	home := owner.home()
	owner.setCard(home, "pm_card_visa")
	s.settle()
	s.stripeDown.Store(true)
	id := owner.do(createInstance, vars{"org": home, "name": "one", "plan": "cloud-2gb", "storage": 10}).str("createInstance.instance.id")
	s.stripeDown.Store(false)
	s.clock.Advance(-time.Hour)
	owner.createInstance(owner.create("Other", "other"), "free", "cloud-1gb", 10)
	owner.invite(home, "new@example.com")
	s.invitationToken("new@example.com", 1)
	owner.do(`query($id: ID!) { node(id: $id) { ... on Instance { status } } }`, vars{"id": id}).want("node.status", `"CREATING"`)
	s.clock.Advance(time.Hour + time.Minute)
	owner.runs(id)
}

// clockAndEvents lets the clock go back between changes: the log goes on in the order of the changes,
// and so do its pages.
func clockAndEvents(s *studio) {
	owner := s.signUp("owner")
	home := owner.home()
	for i := range 6 {
		owner.do(updateOrganization, vars{"org": home, "name": fmt.Sprint("name ", i)})
		s.clock.Advance(-time.Hour)
	}
	last := owner.do(`query($org: ID!) { organization(id: $org) { events(first: 2) { nodes { summary } pageInfo { endCursor } } } }`, vars{"org": home})
	next := owner.do(`query($org: ID!, $after: String) { organization(id: $org) { events(first: 2, after: $after) { nodes { summary } } } }`,
		vars{"org": home, "after": last.str("organization.events.pageInfo.endCursor")})
	for i, summary := range append(gjson.Get(last.body, "data.organization.events.nodes.#.summary").Array(),
		gjson.Get(next.body, "data.organization.events.nodes.#.summary").Array()...) {
		if want := fmt.Sprintf("to name %d.", 5-i); !strings.Contains(summary.String(), want) {
			s.Errorf("entry %d is %q, want it to tell of %q", i, summary, want)
		}
	}
}
