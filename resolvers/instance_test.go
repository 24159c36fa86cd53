package resolvers_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/tidwall/gjson"

	"studio/db"
	"studio/fault"
)

const (
	instanceFields = `instance { id name type status url region { id } computePlan { id ramMb } storageGb price { amount currency } interval storageResizableAt }`
	createInstance = `mutation($org: ID!, $name: String!, $plan: ID!, $storage: Int!, $region: ID = "us-east-1") {
		createInstance(input: { organizationId: $org, name: $name, region: $region, computePlanId: $plan, storageGb: $storage }) { ` + instanceFields + ` }
	}`
	registerInstance = `mutation($org: ID!, $name: String!, $plan: ID!, $host: String!, $port: Int!, $ssl: Boolean!) {
		registerInstance(input: { organizationId: $org, name: $name, host: $host, port: $port, ssl: $ssl, computePlanId: $plan }) { ` + instanceFields + ` }
	}`
	resizeInstance = `mutation($id: ID!, $plan: ID, $storage: Int) {
		resizeInstance(input: { instanceId: $id, computePlanId: $plan, storageGb: $storage }) { ` + instanceFields + ` }
	}`
	deleteInstance = `mutation($id: ID!, $name: String!) {
		deleteInstance(input: { instanceId: $id, confirmName: $name }) { deletedInstanceId }
	}`
)

// createInstance creates a cloud instance, waits until it runs, and returns its ID.
func (p *person) createInstance(organizationID, name, plan string, storage int) string {
	p.Helper()
	id := p.do(createInstance, vars{"org": organizationID, "name": name, "plan": plan, "storage": storage}).str("createInstance.instance.id")
	p.runs(id)
	return id
}

// registerInstance registers a user-installed instance, and waits until it is known.
func (p *person) registerInstance(organizationID, name, plan string) string {
	p.Helper()
	id := p.do(registerInstance, vars{"org": organizationID, "name": name, "plan": plan, "host": name + ".example.com", "port": 9925, "ssl": true}).
		str("registerInstance.instance.id")
	p.runs(id)
	return id
}

// runs waits until an instance runs as it is described.
func (p *person) runs(id string) {
	p.Helper()
	p.eventually("the instance "+id+" to run", func() bool {
		return p.do(`query($id: ID!) { node(id: $id) { ... on Instance { status } } }`, vars{"id": id}).str("node.status") == "ACTIVE"
	})
}

// deleteInstance deletes an instance and waits until it is gone.
func (p *person) deleteInstance(id, name string) {
	p.Helper()
	p.do(deleteInstance, vars{"id": id, "name": name}).want("deleteInstance.deletedInstanceId", `"`+id+`"`)
	p.eventually("the instance "+id+" to be gone", func() bool {
		return p.do(`query($id: ID!) { node(id: $id) { id } }`, vars{"id": id}).get("node").Type == gjson.Null
	})
}

func TestCatalog(t *testing.T) {
	on(t, func(s *studio) {
		a := s.nobody().do(`query($type: InstanceType) { catalog {
			regions { id name } computePlans { id } ofType: computePlans(type: $type) { id ramMb type interval price { amount currency } }
			storagePlans { sizeGb price { amount } }
		} }`, vars{"type": "USER_INSTALLED"})
		a.want("catalog.regions.#", `16`)
		a.want("catalog.regions.0", `{"id":"us-east-1","name":"US East (N. Virginia)"}`)
		a.want("catalog.computePlans.#", `8`)
		a.want("catalog.ofType", `[`+
			`{"id":"enterprise-1gb","ramMb":1024,"type":"USER_INSTALLED","interval":"YEAR","price":{"amount":0,"currency":"USD"}},`+
			`{"id":"enterprise-2gb","ramMb":2048,"type":"USER_INSTALLED","interval":"YEAR","price":{"amount":19190,"currency":"USD"}},`+
			`{"id":"enterprise-4gb","ramMb":4096,"type":"USER_INSTALLED","interval":"YEAR","price":{"amount":57590,"currency":"USD"}},`+
			`{"id":"enterprise-8gb","ramMb":8192,"type":"USER_INSTALLED","interval":"YEAR","price":{"amount":168192,"currency":"USD"}}]`)
		a.want("catalog.storagePlans.#", `23`)
		a.want("catalog.storagePlans.#(sizeGb==500)", `{"sizeGb":500,"price":{"amount":12250}}`)
	})
}

func TestCreateInstance(t *testing.T) {
	t.Parallel()
	t.Run("Free", func(t *testing.T) {
		on(t, func(s *studio) {
			owner := s.signUp("owner")
			home := owner.create("Demo", "demo")
			a := owner.do(createInstance, vars{"org": home, "name": " C1 ", "plan": "cloud-1gb", "storage": 10})
			id := a.str("createInstance.instance.id")
			a.want("createInstance.instance", `{"id":"`+id+`","name":"c1","type":"CLOUD","status":"CREATING",`+
				`"url":"https://c1-demo.harperdbcloud.com","region":{"id":"us-east-1"},"computePlan":{"id":"cloud-1gb","ramMb":1024},`+
				`"storageGb":10,"price":{"amount":0,"currency":"USD"},"interval":"MONTH","storageResizableAt":null}`)
			owner.runs(id)
			s.wantLog(home, db.InstanceCreated, db.InstanceUpdated)
		})
	})
	t.Run("Paid", func(t *testing.T) {
		on(t, func(s *studio) {
			owner := s.signUp("owner")
			home := owner.home()
			paid := vars{"org": home, "name": "one", "plan": "cloud-8gb", "storage": 500}
			owner.refusedWhole(home, fault.PaymentMethodRequired, "", createInstance, paid)
			owner.setCard(home, "pm_card_visa")
			owner.do(createInstance, paid).want("createInstance.instance.price", `{"amount":29770,"currency":"USD"}`)
			owner.billing(home, `invoices { nodes { status total { amount } lines { description instance { name } amount { amount } } } }`).
				want("invoices.nodes.0.total", `{"amount":29770}`)
			owner.billing(home, `upcomingInvoices { lines { description quantity amount { amount } } }`).want("upcomingInvoices.0.lines",
				`[{"description":"one: 1 × Cloud instance, 8 GB RAM","quantity":1,"amount":{"amount":17520}},`+
					`{"description":"one: 490 × Storage beyond 10 GB","quantity":490,"amount":{"amount":12250}}]`)
		})
	})
	t.Run("Declined", func(t *testing.T) {
		on(t, func(s *studio) {
			owner := s.signUp("owner")
			home := owner.home()
			owner.setCard(home, "pm_card_chargeCustomerFail")
			owner.refusedWhole(home, fault.CardDeclined, "", createInstance, vars{"org": home, "name": "one", "plan": "cloud-2gb", "storage": 10})
			owner.setCard(home, "pm_card_visa")
			owner.createInstance(home, "one", "cloud-2gb", 10)
		})
	})
	t.Run("Refused", func(t *testing.T) {
		on(t, func(s *studio) {
			owner := s.signUp("owner")
			home := owner.home()
			owner.createInstance(home, "taken", "cloud-1gb", 10)
			for _, test := range []struct {
				changes vars
				code    fault.Code
				field   string
			}{
				{vars{"name": ""}, fault.InvalidInput, "input.name"},
				{vars{"name": "a_b"}, fault.InvalidInput, "input.name"},
				{vars{"name": long(17)}, fault.InvalidInput, "input.name"},
				{vars{"name": " TAKEN "}, fault.InstanceNameTaken, "input.name"},
				{vars{"region": "moon-1"}, fault.InvalidInput, "input.region"},
				{vars{"plan": "cloud-3gb"}, fault.InvalidInput, "input.computePlanId"},
				{vars{"plan": "enterprise-1gb"}, fault.InvalidInput, "input.computePlanId"},
				{vars{"storage": 11}, fault.InvalidInput, "input.storageGb"},
				{vars{}, fault.FreeLimitReached, "input.computePlanId"},
				{vars{"plan": "cloud-2gb"}, fault.PaymentMethodRequired, ""},
			} {
				wanted := vars{"org": home, "name": "new", "plan": "cloud-1gb", "storage": 10}
				for name, value := range test.changes {
					wanted[name] = value
				}
				owner.refusedWhole(home, test.code, test.field, createInstance, wanted)
			}
		})
	})
	// A founder has one free instance, whoever asks and in whichever of the organizations.
	t.Run("FreeAtOnce", func(t *testing.T) {
		on(t, func(s *studio) {
			owner := s.signUp("owner")
			homes := []string{owner.home(), owner.create("Second", "second"), owner.create("Third", "third")}
			wantOne(race(func(i int) *answer {
				return owner.send(createInstance, vars{"org": homes[i%3], "name": fmt.Sprint("one-", i), "plan": "cloud-1gb", "storage": 10})
			}), fault.FreeLimitReached)
		})
	})
	t.Run("NameAtOnce", func(t *testing.T) {
		on(t, func(s *studio) {
			owner := s.signUp("owner")
			home := owner.home()
			wantOne(race(func(i int) *answer {
				return owner.send(registerInstance, vars{
					"org": home, "name": "one", "plan": "enterprise-1gb", "host": fmt.Sprintf("host%d.example.com", i), "port": 1, "ssl": false,
				})
			}), fault.InstanceNameTaken)
		})
	})
}

func TestRegisterInstance(t *testing.T) {
	t.Parallel()
	t.Run("Registered", func(t *testing.T) {
		on(t, func(s *studio) {
			owner := s.signUp("owner")
			home := owner.home()
			a := owner.do(registerInstance, vars{"org": home, "name": "mine", "plan": "enterprise-1gb", "host": "2001:DB8::1", "port": 9925, "ssl": true})
			id := a.str("registerInstance.instance.id")
			owner.runs(id)
			a.want("registerInstance.instance.url", `"https://[2001:db8::1]:9925"`)
			a.want("registerInstance.instance.interval", `"YEAR"`)
			a.want("registerInstance.instance.region", `null`)
			a.want("registerInstance.instance.storageGb", `null`)
		})
	})
	t.Run("Refused", func(t *testing.T) {
		on(t, func(s *studio) {
			owner := s.signUp("owner")
			home := owner.home()
			owner.registerInstance(home, "taken", "enterprise-1gb")
			for _, test := range []struct {
				changes vars
				code    fault.Code
				field   string
			}{
				{vars{"host": "http://example.com"}, fault.InvalidInput, "input.host"},
				{vars{"host": "example.com/path"}, fault.InvalidInput, "input.host"},
				{vars{"port": 0}, fault.InvalidInput, "input.port"},
				{vars{"port": 65536}, fault.InvalidInput, "input.port"},
				{vars{"plan": "cloud-1gb"}, fault.InvalidInput, "input.computePlanId"},
				{vars{"host": "TAKEN.example.com."}, fault.InstanceURLTaken, "input.host"},
				{vars{"plan": "enterprise-2gb"}, fault.PaymentMethodRequired, ""},
			} {
				wanted := vars{"org": home, "name": "new", "plan": "enterprise-1gb", "host": "new.example.com", "port": 9925, "ssl": true}
				for name, value := range test.changes {
					wanted[name] = value
				}
				owner.refusedWhole(home, test.code, test.field, registerInstance, wanted)
			}
		})
	})
}

func TestResizeInstance(t *testing.T) {
	t.Parallel()
	t.Run("UpAndDown", func(t *testing.T) {
		on(t, func(s *studio) {
			owner := s.signUp("owner")
			home := owner.home()
			id := owner.createInstance(home, "one", "cloud-1gb", 10)
			owner.setCard(home, "pm_card_visa")
			owner.do(resizeInstance, vars{"id": id, "plan": "cloud-2gb"}).want("resizeInstance.instance.price.amount", `1999`)
			owner.runs(id)
			owner.createInstance(home, "free", "cloud-1gb", 10) // the place is free again
			owner.refusedWhole(home, fault.FreeLimitReached, "input.computePlanId", resizeInstance, vars{"id": id, "plan": "cloud-1gb"})
			owner.refused(fault.CardInUse, "", removeCard, vars{"org": home})
		})
	})
	t.Run("Cooldown", func(t *testing.T) {
		on(t, func(s *studio) {
			owner := s.signUp("owner")
			home := owner.home()
			owner.setCard(home, "pm_card_visa")
			id := owner.createInstance(home, "one", "cloud-2gb", 10)
			a := owner.do(resizeInstance, vars{"id": id, "storage": 100})
			a.want("resizeInstance.instance.storageGb", `100`)
			if a.get("resizeInstance.instance.storageResizableAt").Type == gjson.Null {
				s.Errorf("the storage can be resized at once: %s", a.body)
			}
			owner.runs(id)
			refusal := owner.refused(fault.ResizeCooldown, "input.storageGb", resizeInstance, vars{"id": id, "storage": 250})
			if wait := gjson.Get(refusal.body, "errors.0.extensions.retryAfter").Int(); wait < 6*60*60-60 || wait > 6*60*60 {
				s.Errorf("told to wait %d seconds", wait)
			}
			owner.do(resizeInstance, vars{"id": id, "plan": "cloud-4gb"}) // only the storage has to wait
			owner.runs(id)
			s.clock.Advance(6 * time.Hour)
			owner.refusedWhole(home, fault.InvalidInput, "input.storageGb", resizeInstance, vars{"id": id, "storage": 10})
			owner.do(resizeInstance, vars{"id": id, "storage": 250}).want("resizeInstance.instance.storageGb", `250`)
		})
	})
}

func TestDeleteInstance(t *testing.T) {
	on(t, func(s *studio) {
		owner := s.signUp("owner")
		home := owner.home()
		owner.setCard(home, "pm_card_visa")
		id := owner.createInstance(home, "one", "cloud-2gb", 10)
		owner.refusedWhole(home, fault.ConfirmationMismatch, "input.confirmName", deleteInstance, vars{"id": id, "name": "two"})
		blocked := owner.do(`query($id: ID!) { organization(id: $id) { instanceCount deletionBlockers { code } } }`, vars{"id": home})
		blocked.want("organization", `{"instanceCount":1,"deletionBlockers":[{"code":"ORGANIZATION_NOT_EMPTY"}]}`)
		owner.refusedWhole(home, fault.OrganizationNotEmpty, "", deleteOrganization, vars{"org": home, "name": "owner's Organization"})
		owner.deleteInstance(id, "one")
		owner.do(`query($id: ID!) { organization(id: $id) { instanceCount deletionBlockers { code } } }`, vars{"id": home}).
			want("organization", `{"instanceCount":0,"deletionBlockers":[]}`)
		owner.billing(home, `upcomingInvoices { interval } invoices { nodes { lines { instance { id } } } }`).
			want("upcomingInvoices", `[]`)
		owner.do(deleteOrganization, vars{"org": home, "name": "owner's Organization"})
	})
}

// TestInstances lists them to a member, who sees all of them and changes none.
func TestInstances(t *testing.T) {
	on(t, func(s *studio) {
		owner, member := s.signUp("owner"), s.signUp("member")
		home := owner.home()
		owner.join(home, member)
		for i := range 5 {
			owner.registerInstance(home, fmt.Sprint("c", i), "enterprise-1gb")
		}
		member.walk(5, "organization.instances", `query($org: ID!, $first: Int, $after: String, $last: Int, $before: String) {
			organization(id: $org) { instances(first: $first, after: $after, last: $last, before: $before) `+connection+` }
		}`, vars{"org": home})
		member.do(`query($id: ID!) { organization(id: $id) { instances { nodes { name } } } }`, vars{"id": home}).
			want("organization.instances.nodes.#.name", `["c0","c1","c2","c3","c4"]`)
	})
}

// TestOrganizationAtOnce deletes an organization while instances are created in it: one of them wins,
// whole.
func TestOrganizationAtOnce(t *testing.T) {
	on(t, func(s *studio) {
		owner := s.signUp("owner")
		home := owner.home()
		owner.setCard(home, "pm_card_visa")
		answers := race(func(i int) *answer {
			switch {
			case i%2 == 0:
				return owner.send(deleteOrganization, vars{"org": home, "name": "owner's Organization"})
			case i%5 == 0: // which takes its turn at Stripe
				return owner.send(createInstance, vars{"org": home, "name": fmt.Sprint("c", i), "plan": "cloud-2gb", "storage": 10})
			}
			return owner.send(registerInstance, vars{
				"org": home, "name": fmt.Sprint("c", i), "plan": "enterprise-1gb", "host": fmt.Sprintf("c%d.example.com", i), "port": 1, "ssl": true,
			})
		})
		successes := succeeded(answers, fault.OrganizationNotEmpty, fault.NotFound, fault.Conflict)
		s.settle()
		organizations, err := s.db.OrganizationsByID(s.Context(), []string{home})
		if err != nil {
			s.Fatal(err)
		}
		instances, err := s.db.InstancesOf(s.Context(), home)
		if err != nil {
			s.Fatal(err)
		}
		account, err := s.db.BillingAccountOf(s.Context(), home)
		if err != nil {
			s.Fatal(err)
		}
		deleted := organizations[0] == nil
		if deleted != (len(successes) == 1 && len(instances) == 0 && account.PaymentMethodID == nil) ||
			!deleted && (len(instances) != len(successes) || account.PaymentMethodID == nil) {
			s.Errorf("%d succeeded; it is deleted: %t; instances: %d; card: %v", len(successes), deleted, len(instances), account.PaymentMethodID)
		}
	})
}
