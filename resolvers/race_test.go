package resolvers_test

// Requests that meet: what must hold however many ask at once, where no other test has it. The
// memberships' are in TestMembershipsAtOnce and the rest beside what they are about, each named AtOnce.

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"studio/fault"
	"studio/stripesandbox"
)

func TestAtOnce(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]func(s *studio){
		"OneURL":         raceForURL,
		"StorageOnce":    raceForStorage,
		"FreeByResizing": raceForFreePlan,
		"FewRedemptions": raceForRedemptions,
		"CardInUse":      raceForCard,
	} {
		t.Run(name, func(t *testing.T) { on(t, test) })
	}
}

func raceForURL(s *studio) {
	owner := s.signUp("owner")
	home := owner.home()
	wantOne(race(func(i int) *answer {
		return owner.send(registerInstance, vars{
			"org": home, "name": fmt.Sprint("i", i), "plan": "enterprise-1gb", "host": "db.example.com", "port": 9925, "ssl": true,
		})
	}), fault.InstanceURLTaken)
}

// raceForStorage makes storage larger from all sides: one gets it, and pays for it once.
func raceForStorage(s *studio) {
	owner := s.signUp("owner")
	home := owner.home()
	owner.setCard(home, "pm_card_visa")
	id := owner.createInstance(home, "one", "cloud-2gb", 10)
	won := succeeded(race(func(i int) *answer {
		return owner.send(resizeInstance, vars{"id": id, "storage": []int{100, 250, 500}[i%3]})
	}), fault.ResizeCooldown, fault.InstanceBusy, fault.InvalidInput) // the last for less than it has by then
	owner.runs(id)
	s.settle()
	storage := owner.do(`query($id: ID!) { node(id: $id) { ... on Instance { storageGb } } }`, vars{"id": id}).get("node.storageGb").Raw
	for _, a := range won { // whoever asks for what it has got meanwhile has it
		a.want("resizeInstance.instance.storageGb", storage)
	}
	if invoices := s.count("invoices"); len(won) == 0 || invoices != 2 {
		s.Errorf("%d succeeded; there are %d invoices, want that of the creation and of one change", len(won), invoices)
	}
}

// raceForFreePlan resizes the paid instances of three organizations of a founder to the free plan.
func raceForFreePlan(s *studio) {
	owner := s.signUp("owner")
	var ids []string
	for i, home := range []string{owner.home(), owner.create("Second", "second"), owner.create("Third", "third")} {
		owner.setCard(home, "pm_card_visa")
		ids = append(ids, owner.createInstance(home, fmt.Sprint("i", i), "cloud-2gb", 10))
	}
	won := succeeded(race(func(i int) *answer {
		return owner.send(resizeInstance, vars{"id": ids[i%3], "plan": "cloud-1gb"})
	}), fault.FreeLimitReached, fault.InstanceBusy)
	for _, id := range ids {
		owner.runs(id)
	}
	free := 0
	for _, id := range ids {
		free += strings.Count(owner.do(`query($id: ID!) { node(id: $id) { ... on Instance { computePlan { id } } } }`, vars{"id": id}).body, "cloud-1gb")
	}
	if free != 1 || len(won) == 0 { // whoever asks for what is there already is told so
		s.Errorf("%d instances are free; %d were told so", free, len(won))
	}
}

// raceForRedemptions adds a code that may be redeemed three times to fifty organizations.
func raceForRedemptions(s *studio) {
	s.toStripe("/v1/promotion_codes", url.Values{
		"promotion[type]": {"coupon"}, "promotion[coupon]": {"tenpercent"}, "code": {"RARE"}, "max_redemptions": {"3"},
	})
	owner := s.signUp("owner")
	var homes []string
	for i := range atOnce {
		homes = append(homes, owner.create("New", fmt.Sprint("new", i)))
	}
	won := succeeded(race(func(i int) *answer {
		return owner.send(addCoupon, vars{"org": homes[i], "code": "rare"})
	}), fault.CouponInvalid)
	if len(won) != 3 || s.count("coupons") != 3 {
		s.Errorf("%d were told that the code is theirs, %d have it, want 3", len(won), s.count("coupons"))
	}
}

// raceForCard removes the cards of five organizations while instances are created: each is gone, or
// there is something to pay.
func raceForCard(s *studio) {
	owner := s.signUp("owner")
	homes := []string{owner.home()}
	for len(homes) < 5 {
		homes = append(homes, owner.create("New", fmt.Sprint("new", len(homes))))
	}
	for _, home := range homes {
		owner.setCard(home, "pm_card_visa")
	}
	succeeded(race(func(i int) *answer {
		if i >= 10 {
			return owner.send(removeCard, vars{"org": homes[i%5]})
		}
		return owner.send(createInstance, vars{"org": homes[i%5], "name": fmt.Sprint("i", i), "plan": "cloud-2gb", "storage": 10})
	}), fault.CardInUse, fault.PaymentMethodRequired, fault.Unavailable) // the last when its turn does not come for long
	s.settle()
	for _, home := range homes {
		got := owner.do(`query($org: ID!) { organization(id: $org) {
			instances { totalCount } billing { card { last4 } invoices { totalCount } }
		} }`, vars{"org": home})
		instances, card := got.get("organization.instances.totalCount").Int(), got.get("organization.billing.card.last4").Exists()
		if paid := got.get("organization.billing.invoices.totalCount").Int(); (instances > 0) != card || paid != instances {
			s.Errorf("there are %d instances, %d invoices, and a card: %v", instances, paid, card)
		}
	}
}

// toStripe sends a request to the sandbox.
func (s *studio) toStripe(path string, form url.Values) {
	s.Helper()
	request, err := http.NewRequestWithContext(s.Context(), http.MethodPost, s.stripe+path, strings.NewReader(form.Encode()))
	if err != nil {
		s.Fatal(err)
	}
	request.Header = http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Authorization": {"Bearer " + stripesandbox.SecretKey}}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		s.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if text, err := io.ReadAll(response.Body); err != nil || response.StatusCode != http.StatusOK {
		s.Fatalf("the sandbox answers %d %s %v", response.StatusCode, text, err)
	}
}
