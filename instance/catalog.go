package instance

// The catalog: what can be had, where, and at what price. It is data, in catalog.json.

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"studio/billing"
	"studio/db"
	"studio/fault"
)

// Region is a place where cloud instances run.
type Region struct {
	ID, Name string
}

// ComputePlan is an amount of memory and its price.
type ComputePlan struct {
	ID       string
	Type     db.InstanceType
	RAMMB    int
	Amount   int64 // in cents for one interval
	Interval db.Interval
}

// Price is the plan's price for one interval.
func (p *ComputePlan) Price() *billing.Money { return billing.Dollars(p.Amount) }

// ram is the memory as people say it.
func (p *ComputePlan) ram() string { return fmt.Sprintf("%d GB RAM", p.RAMMB/1024) }

// items are what is billed for the plan at the given amount, which may be of an older catalog, and for storage,
// nil when user-installed.
func (p *ComputePlan) items(amount int64, storage *StoragePlan) (items []billing.Item) {
	if amount > 0 {
		name := "Cloud instance, "
		if p.Type == db.UserInstalled {
			name = "Enterprise license, "
		}
		items = append(items, billing.Item{ProductID: "studio-" + p.ID, Name: name + p.ram(), UnitAmount: amount, Quantity: 1})
	}
	if storage != nil {
		items = append(items, storage.items...)
	}
	return items
}

// StoragePlan is a size of storage and its price.
type StoragePlan struct {
	SizeGB int
	Amount int64 // in cents a month
	// items are what is billed: one for each tier that costs something.
	items []billing.Item
}

// Price is the whole size's price per month.
func (p *StoragePlan) Price() *billing.Money { return billing.Dollars(p.Amount) }

// storageTier is the price of each GB from FromGB on, up to where the next tier begins.
type storageTier struct {
	FromGB      int
	AmountPerGB int64 // in cents a month
	// ProductID and ProductName are what the tier is on invoices, if it costs anything.
	ProductID, ProductName string
}

// A plan that an instance may still have stays in it, as the API promises each instance's plan.
//
//go:embed catalog.json
var catalogFile []byte

var catalog struct {
	Regions        []*Region
	ComputePlans   []*ComputePlan
	StorageSizesGB []int
	StorageTiers   []storageTier
}

var storagePlans []*StoragePlan

func init() {
	decoder := json.NewDecoder(bytes.NewReader(catalogFile))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&catalog); err != nil {
		panic("instance/catalog.json: " + err.Error())
	}
	for _, size := range catalog.StorageSizesGB {
		storagePlans = append(storagePlans, graduated(size, catalog.StorageTiers))
	}
}

// graduated prices a size of storage: each GB at the price of its tier.
func graduated(sizeGB int, tiers []storageTier) *StoragePlan {
	plan := &StoragePlan{SizeGB: sizeGB}
	for i, tier := range tiers {
		end := sizeGB
		if i+1 < len(tiers) {
			end = min(end, tiers[i+1].FromGB)
		}
		if end <= tier.FromGB || tier.AmountPerGB == 0 {
			continue
		}
		item := billing.Item{ProductID: tier.ProductID, Name: tier.ProductName, UnitAmount: tier.AmountPerGB, Quantity: int64(end - tier.FromGB)}
		plan.Amount += item.UnitAmount * item.Quantity
		plan.items = append(plan.items, item)
	}
	return plan
}

// Regions lists where cloud instances run.
func Regions() []*Region { return slices.Clone(catalog.Regions) }

// ComputePlans lists the plans of a type, of both when it is nil.
func ComputePlans(of *db.InstanceType) []*ComputePlan {
	plans := slices.Clone(catalog.ComputePlans)
	if of == nil {
		return plans
	}
	return slices.DeleteFunc(plans, func(p *ComputePlan) bool { return p.Type != *of })
}

// StoragePlans lists the storage sizes on offer for cloud instances.
func StoragePlans() []*StoragePlan { return slices.Clone(storagePlans) }

// RegionByID finds a region; nil when there is none.
func RegionByID(id string) *Region {
	return first(catalog.Regions, func(r *Region) bool { return r.ID == id })
}

// ComputePlanByID finds a plan; nil when there is none.
func ComputePlanByID(id string) *ComputePlan {
	return first(catalog.ComputePlans, func(p *ComputePlan) bool { return p.ID == id })
}

func first[T any](all []*T, wanted func(*T) bool) *T {
	if i := slices.IndexFunc(all, wanted); i >= 0 {
		return all[i]
	}
	return nil
}

// checkRegion refuses a region that is not in the catalog.
func checkRegion(id string) error {
	if RegionByID(id) != nil {
		return nil
	}
	return fault.Invalid("region", "There is no such region; choose one of %s.",
		list(catalog.Regions, func(r *Region) string { return r.ID }))
}

// checkComputePlan finds a plan for an instance of the type.
func checkComputePlan(of db.InstanceType, id string) (*ComputePlan, error) {
	if plan := ComputePlanByID(id); plan != nil && plan.Type == of {
		return plan, nil
	}
	kind := "a cloud instance"
	if of == db.UserInstalled {
		kind = "a user-installed instance"
	}
	return nil, fault.Invalid("computePlanId", "This is not a compute plan for %s; choose one of %s.", kind,
		list(ComputePlans(&of), func(p *ComputePlan) string { return p.ID }))
}

// checkStorage finds a size of storage.
func checkStorage(sizeGB int) (*StoragePlan, error) {
	if plan := first(storagePlans, func(p *StoragePlan) bool { return p.SizeGB == sizeGB }); plan != nil {
		return plan, nil
	}
	return nil, fault.Invalid("storageGb", "There is no storage of this size; choose one of %s GB.",
		list(storagePlans, func(p *StoragePlan) string { return strconv.Itoa(p.SizeGB) }))
}

// list writes what can be chosen.
func list[T any](all []*T, name func(*T) string) string {
	names := make([]string, len(all))
	for i, one := range all {
		names[i] = name(one)
	}
	return strings.Join(names, ", ")
}
