package instance

// The figures are written by hand, from the price list of HarperDB Studio.

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"studio/billing"
	"studio/db"
)

func TestComputePlans(t *testing.T) {
	t.Parallel()
	cloud := []string{
		"cloud-1gb CLOUD 1024 MB 0 USD MONTH",
		"cloud-2gb CLOUD 2048 MB 1999 USD MONTH",
		"cloud-4gb CLOUD 4096 MB 5999 USD MONTH",
		"cloud-8gb CLOUD 8192 MB 17520 USD MONTH",
	}
	installed := []string{
		"enterprise-1gb USER_INSTALLED 1024 MB 0 USD YEAR",
		"enterprise-2gb USER_INSTALLED 2048 MB 19190 USD YEAR",
		"enterprise-4gb USER_INSTALLED 4096 MB 57590 USD YEAR",
		"enterprise-8gb USER_INSTALLED 8192 MB 168192 USD YEAR",
	}
	ofCloud, ofInstalled := db.Cloud, db.UserInstalled
	for _, test := range []struct {
		name string
		of   *db.InstanceType
		want []string
	}{
		{"All", nil, slices.Concat(cloud, installed)},
		{"Cloud", &ofCloud, cloud},
		{"UserInstalled", &ofInstalled, installed},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := []string{}
			for _, p := range ComputePlans(test.of) {
				price := p.Price()
				got = append(got, fmt.Sprintf("%s %s %d MB %d %s %s", p.ID, p.Type, p.RAMMB, price.Amount, price.Currency, p.Interval))
				if ComputePlanByID(p.ID) != p {
					t.Errorf("%s is not found by its ID", p.ID)
				}
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("got\n%s", strings.Join(got, "\n"))
			}
		})
	}
	for _, unknown := range []string{"", "cloud-16gb", "CLOUD-1GB"} {
		if p := ComputePlanByID(unknown); p != nil {
			t.Errorf("%q is %v", unknown, p)
		}
	}
}

func TestStoragePlans(t *testing.T) {
	t.Parallel()
	want := []struct{ sizeGB, cents int }{
		{10, 0}, {100, 2250}, {250, 6000}, {500, 12250}, {1000, 24750},
		{1500, 37250}, {2000, 49750}, {2500, 62250}, {3000, 74750}, {3500, 87250}, {4000, 99750}, {4500, 112250},
		{5000, 124750}, {5500, 137250}, {6000, 149750}, {6500, 162250}, {7000, 174750}, {7500, 187250}, {8000, 199750},
		{8500, 212250}, {9000, 224750}, {9500, 237250}, {10000, 249750},
	}
	plans := StoragePlans()
	if len(plans) != len(want) {
		t.Fatalf("there are %d sizes, want %d", len(plans), len(want))
	}
	for i, p := range plans {
		if price := p.Price(); p.SizeGB != want[i].sizeGB || price.Amount != want[i].cents || price.Currency != "USD" {
			t.Errorf("size %d is %d GB for %d %s, want %v", i, p.SizeGB, price.Amount, price.Currency, want[i])
		}
	}
}

func TestRegions(t *testing.T) {
	t.Parallel()
	want := strings.Fields(`us-east-1 us-east-2 us-west-1 us-west-2 ca-central-1 sa-east-1 eu-west-1 eu-west-2 eu-west-3
		eu-central-1 eu-north-1 ap-south-1 ap-northeast-1 ap-northeast-2 ap-southeast-1 ap-southeast-2`)
	ids, names := []string{}, map[string]bool{}
	for _, r := range Regions() {
		ids = append(ids, r.ID)
		names[r.Name] = true
		if RegionByID(r.ID) != r {
			t.Errorf("%s is not found by its ID", r.ID)
		}
	}
	if !slices.Equal(ids, want) || len(names) != len(want) || names[""] {
		t.Errorf("got %v with the names %v", ids, names)
	}
	if r := RegionByID("us-east-1"); r.Name != "US East (N. Virginia)" {
		t.Errorf("us-east-1 is %s", r.Name)
	}
	for _, unknown := range []string{"", "us-east-9", "US-EAST-1"} {
		if r := RegionByID(unknown); r != nil {
			t.Errorf("%q is %v", unknown, r)
		}
	}
}

// What Stripe is told to bill for a plan with storage.
func TestItems(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, plan string
		storageGB  int // 0 when user-installed
		want       []billing.Item
	}{
		{"Free", "cloud-1gb", 10, nil},
		{"FreeLicense", "enterprise-1gb", 0, nil},
		{"Compute", "cloud-2gb", 10, []billing.Item{{ProductID: "studio-cloud-2gb", Name: "Cloud instance, 2 GB RAM", UnitAmount: 1999, Quantity: 1}}},
		{"Storage", "cloud-1gb", 100, []billing.Item{{ProductID: "studio-storage", Name: "Storage beyond 10 GB", UnitAmount: 25, Quantity: 90}}},
		{"Both", "cloud-8gb", 500, []billing.Item{
			{ProductID: "studio-cloud-8gb", Name: "Cloud instance, 8 GB RAM", UnitAmount: 17520, Quantity: 1},
			{ProductID: "studio-storage", Name: "Storage beyond 10 GB", UnitAmount: 25, Quantity: 490},
		}},
		{"License", "enterprise-4gb", 0, []billing.Item{
			{ProductID: "studio-enterprise-4gb", Name: "Enterprise license, 4 GB RAM", UnitAmount: 57590, Quantity: 1},
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			plan, storage := ComputePlanByID(test.plan), (*StoragePlan)(nil)
			if test.storageGB > 0 {
				storage, _ = checkStorage(test.storageGB)
			}
			agreed := termsOf(plan, storage)
			items := plan.items(plan.Amount, storage)
			if !slices.Equal(items, test.want) {
				t.Errorf("got %+v", items)
			}
			total := int64(0)
			for _, item := range items {
				total += item.UnitAmount * item.Quantity
			}
			if total != agreed.amount() {
				t.Errorf("the items cost %d, the instance %d", total, agreed.amount())
			}
		})
	}
}

// Tiers of any number, with free ones anywhere.
func TestGraduated(t *testing.T) {
	t.Parallel()
	tiers := []storageTier{{0, 7, "first", ""}, {10, 0, "", ""}, {20, 5, "third", ""}, {100, 1, "last", ""}}
	for sizeGB, want := range map[int]struct {
		cents int64
		items string
	}{
		0:    {0, ""},
		1:    {7, " first 1"},
		10:   {70, " first 10"},
		11:   {70, " first 10"},
		20:   {70, " first 10"},
		21:   {75, " first 10 third 1"},
		100:  {470, " first 10 third 80"},
		101:  {471, " first 10 third 80 last 1"},
		1000: {1370, " first 10 third 80 last 900"},
	} {
		plan, items := graduated(sizeGB, tiers), ""
		for _, item := range plan.items {
			items += fmt.Sprintf(" %s %d", item.ProductID, item.Quantity)
		}
		if plan.SizeGB != sizeGB || plan.Amount != want.cents || items != want.items {
			t.Errorf("%d GB became %+v", sizeGB, plan)
		}
	}
}
