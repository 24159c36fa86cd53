package seed

// One organization, and what has happened in it.

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"time"

	"studio/db"
	"studio/instance"
	"studio/text"
)

// organization is one that is being made.
type organization struct {
	*maker
	*db.Organization
	index   int
	founder *db.User
	log     []*db.Event
}

// organization makes the organization of an index. The last of each block is large, and the others
// share what it leaves of the block's users, instances and invoices.
func (m *maker) organization(index int) {
	founder := m.owners[index%len(m.owners)]
	name := pick(m, companies) + " " + pick(m, trades)
	at := spread(firstFounding, index, m.count)
	o := &organization{maker: m, index: index, founder: founder, Organization: &db.Organization{
		ID: m.id(db.OrganizationPrefix, at), Name: name, NameKey: text.Fold(name), CreatedByID: &founder.ID, CreatedAt: at,
		Subdomain: text.Slug(name, 10) + strconv.FormatInt(int64(index+1), 36),
	}}
	o.record(at, db.OrganizationCreated, founder, o.ID, "%s created the organization %s.", founder.Name(), name)

	largeUsers, largeInstances, largeInvoices := 20+index/block*7%11, 30+index/block*13%31, 60
	place := index % block
	if place == block-1 {
		o.users(largeUsers)
		o.instances(largeInstances, largeInvoices)
	} else {
		o.users(share(membersEach*block-largeUsers, block-1, place))
		o.instances(share(instancesEach*block-largeInstances, block-1, place), share(invoicesEach*block-largeInvoices, block-1, place))
	}

	slices.SortStableFunc(o.log, func(a, b *db.Event) int { return a.CreatedAt.Compare(b.CreatedAt) })
	for i, e := range o.log {
		e.Seq = int64(i + 1)
	}
	o.EventSeq = int64(len(o.log))
	m.batch.Organizations = append(m.batch.Organizations, o.Organization)
	m.batch.Events = append(m.batch.Events, o.log...)
}

// record adds to the log; the actor is nil for what the system did.
func (o *organization) record(at time.Time, kind db.EventType, actor *db.User, subjectID, summary string, about ...any) {
	e := &db.Event{
		ID: o.id(db.EventPrefix, at), OrganizationID: o.ID, Type: kind, SubjectID: subjectID,
		Summary: fmt.Sprintf(summary, about...), CreatedAt: at,
	}
	if actor != nil {
		e.ActorID = &actor.ID
	}
	o.log = append(o.log, e)
}

// users makes the founder's membership and those of the next users who are no founders.
func (o *organization) users(count int) {
	o.batch.Memberships = append(o.batch.Memberships, &db.Membership{
		ID: o.id(db.MembershipPrefix, o.CreatedAt), OrganizationID: o.ID, Email: o.founder.Email, UserID: &o.founder.ID,
		Status: db.Accepted, IsOwner: true, AcceptedAt: &o.CreatedAt,
	})
	sent := db.MailSent
	for range count - 1 {
		user := o.members[o.nextMember%len(o.members)]
		o.nextMember++
		invited := o.CreatedAt.Add(o.between(time.Hour, 90*24*time.Hour))
		member := &db.Membership{
			ID: o.id(db.MembershipPrefix, invited), OrganizationID: o.ID, Email: user.Email, Status: db.Invited,
			InvitedByID: &o.founder.ID, InvitedAt: &invited, InvitationDelivery: &sent,
		}
		o.record(invited, db.UserInvited, o.founder, member.ID, "%s invited %s.", o.founder.Name(), user.Email)
		answered := invited.Add(o.between(time.Minute, 5*24*time.Hour))
		switch chance := o.IntN(16); chance {
		case 0: // has not answered
			expires := invited.Add(7 * 24 * time.Hour)
			member.InvitationExpiresAt = &expires
		case 1:
			member.Status = db.Declined
			o.record(answered, db.InvitationDeclined, user, member.ID, "%s declined the invitation.", user.Name())
		default:
			member.Status, member.UserID, member.AcceptedAt = db.Accepted, &user.ID, &answered
			o.record(answered, db.InvitationAccepted, user, member.ID, "%s accepted the invitation.", user.Name())
			if chance < 4 {
				member.IsOwner = true
				o.record(answered.Add(time.Hour), db.OwnerAdded, o.founder, member.ID, "%s made %s an owner.", o.founder.Name(), user.Name())
			}
		}
		o.batch.Memberships = append(o.batch.Memberships, member)
	}
}

var (
	regions        = instance.Regions()
	storagePlans   = instance.StoragePlans()[:8]
	cloudPlans     = plansOf(db.Cloud)
	installedPlans = plansOf(db.UserInstalled)
)

func plansOf(kind db.InstanceType) []*instance.ComputePlan { return instance.ComputePlans(&kind) }

// instances makes instances and the invoices that they led to. Each sixth is user-installed and
// billed once; the others have been there for as many months as they have invoices.
func (o *organization) instances(count, invoices int) {
	made := make([]*db.Instance, count)
	var monthly []*db.Instance
	for i := range made {
		made[i] = o.instance(i)
		switch {
		case made[i].Interval == db.Year && made[i].Amount() > 0:
			invoices--
		case made[i].Amount() > 0:
			monthly = append(monthly, made[i])
		}
	}
	var bills []bill
	months := map[*db.Instance]int{}
	for i, one := range monthly {
		months[one] = share(invoices, len(monthly), i)
	}
	for _, one := range made {
		last := now.Add(-o.between(time.Hour, 28*24*time.Hour)) // when it was last billed
		if one.Interval == db.Year {
			last = now.Add(-o.between(time.Hour, 180*24*time.Hour))
		}
		one.CreatedAt = last
		if one.Interval == db.Month && one.Amount() > 0 {
			one.CreatedAt = last.AddDate(0, 1-months[one], 0)
		}
		one.ID = o.id(db.InstancePrefix, one.CreatedAt)
		verb := "created"
		if one.Type == db.UserInstalled {
			verb = "registered"
		}
		o.record(one.CreatedAt, db.InstanceCreated, o.founder, one.ID, "%s %s the instance %s.", o.founder.Name(), verb, one.Name)
		if one.Status == db.InstanceActive {
			o.record(one.CreatedAt.Add(2*time.Second), db.InstanceUpdated, nil, one.ID, "%s is running.", one.Name)
		} else {
			o.record(one.CreatedAt.Add(2*time.Second), db.InstanceUpdated, nil, one.ID, "%s could not be set up; it is tried again.", one.Name)
		}
		if one.Amount() == 0 {
			continue
		}
		subscription := o.id("sub", one.CreatedAt)
		one.SubscriptionID = &subscription
		end := last.AddDate(0, 1, 0)
		if one.Interval == db.Year {
			end = last.AddDate(1, 0, 0)
			bills = append(bills, bill{one, last, end})
		}
		one.PeriodEnd = &end
		for month := range months[one] {
			bills = append(bills, bill{one, last.AddDate(0, -month, 0), last.AddDate(0, 1-month, 0)})
		}
	}
	o.batch.Instances = append(o.batch.Instances, made...)
	slices.SortFunc(bills, func(a, b bill) int {
		return cmp.Or(a.start.Compare(b.start), cmp.Compare(a.instance.Name, b.instance.Name))
	})
	o.billing(bills)
}

// instance makes the i-th instance of the organization, but for its times.
func (o *organization) instance(i int) *db.Instance {
	name := purposes[i%len(purposes)] + "-" + stages[i/len(purposes)%len(stages)]
	made := &db.Instance{OrganizationID: o.ID, Name: name, Status: db.InstanceActive}
	if o.IntN(50) == 0 {
		made.Status = db.InstanceFailed
	}
	if i%6 == 5 {
		plan := pick(o.maker, installedPlans)
		made.Type, made.Interval, made.ComputePlanID, made.ComputeAmount = db.UserInstalled, plan.Interval, plan.ID, plan.Amount
		made.URL = fmt.Sprintf("https://%s.%s.example.net:9925", name, o.Subdomain)
		return made
	}
	plan, storage := pick(o.maker, cloudPlans), pick(o.maker, storagePlans)
	if i == 0 && o.index < len(o.owners) { // a founder's first organization has the founder's one free instance
		plan, storage = cloudPlans[0], storagePlans[0]
		made.FreeForUserID = &o.founder.ID
	} else if plan.Amount+storage.Amount == 0 {
		storage = storagePlans[1]
	}
	made.Type, made.Interval, made.ComputePlanID, made.ComputeAmount = db.Cloud, plan.Interval, plan.ID, plan.Amount
	region, size := pick(o.maker, regions).ID, storage.SizeGB // Bun writes to what it inserts
	made.RegionID, made.StorageGB, made.StorageAmount = &region, &size, storage.Amount
	made.URL = instance.CloudURL(name, o.Subdomain)
	return made
}
