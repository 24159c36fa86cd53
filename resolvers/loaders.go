package resolvers

// Loaders: what the objects of a response ask for is gathered and read in one statement a level,
// however many objects there are.

import (
	"cmp"
	"context"
	"sync"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/graph-gophers/dataloader/v7"
	"go.opentelemetry.io/otel/attribute"

	"studio/billing"
	"studio/db"
	"studio/fault"
)

// defaultWait is how long a loader gathers before it reads. Shorter gathers less under load, and a
// timer of less than a millisecond fires no sooner; dataloader's own 16 ms would be most of the
// time that a response takes.
const defaultWait = time.Millisecond

// batchCapacity bounds how much one statement reads; SQLite takes unions of at most 500 parts.
const batchCapacity = 200

// loaders live for one response: later ones must see what has changed meanwhile.
type loaders struct {
	users                *dataloader.Loader[string, *db.User]
	organizations        *dataloader.Loader[string, *db.Organization]
	memberships          *dataloader.Loader[string, *db.Membership]
	viewerMemberships    *dataloader.Loader[string, *db.Membership]
	userPages            *dataloader.Loader[organizationKey[userQuery], *db.Rows[db.Membership]]
	userCounts           *dataloader.Loader[organizationKey[db.MembershipFilter], int]
	eventPages           *dataloader.Loader[organizationKey[db.Page], *db.Rows[db.Event]]
	eventCounts          *dataloader.Loader[string, int]
	instances            *dataloader.Loader[string, *db.Instance]
	instancePages        *dataloader.Loader[organizationKey[db.Page], *db.Rows[db.Instance]]
	instanceCounts       *dataloader.Loader[string, int]
	billingAccounts      *dataloader.Loader[string, *db.BillingAccount]
	invoices             *dataloader.Loader[string, *db.Invoice]
	invoicePages         *dataloader.Loader[organizationKey[invoiceQuery], *db.Rows[db.Invoice]]
	invoiceCounts        *dataloader.Loader[organizationKey[db.InvoiceStatus], int]
	coupons              *dataloader.Loader[string, *db.Coupon]
	couponLists          *dataloader.Loader[string, []*db.Coupon]
	upcoming             *dataloader.Loader[string, []*billing.Upcoming]
	events               *dataloader.Loader[string, *db.Event]
	webhookEndpoints     *dataloader.Loader[string, *db.WebhookEndpoint]
	webhookEndpointLists *dataloader.Loader[string, []*db.WebhookEndpoint]
	webhookDeliveries    *dataloader.Loader[string, *db.Rows[db.WebhookDelivery]]
}

// organizationKey is what is asked about an organization. Those that are asked the same are read together.
type organizationKey[Q comparable] struct {
	organizationID string
	query          Q
}

type userQuery struct {
	filter db.MembershipFilter
	page   db.Page
}

type invoiceQuery struct {
	status db.InvoiceStatus
	page   db.Page
}

func newLoaders(d *db.DB, bills *billing.Billing, wait time.Duration) *loaders {
	return &loaders{
		users:         newLoader(wait, d.UsersByID),
		organizations: newLoader(wait, d.OrganizationsByID),
		memberships:   newLoader(wait, d.MembershipsByID),
		viewerMemberships: newLoader(wait, func(ctx context.Context, organizationIDs []string) ([]*db.Membership, error) {
			caller, err := requireCaller(ctx)
			if err != nil {
				return nil, err
			}
			return d.ViewerMemberships(ctx, caller.User, organizationIDs)
		}),
		userPages: newGroupedLoader(wait, func(ctx context.Context, ids []string, q userQuery) ([]*db.Rows[db.Membership], error) {
			return d.UsersOfOrganizations(ctx, ids, q.filter, q.page)
		}),
		userCounts:      newGroupedLoader(wait, d.CountUsersOfOrganizations),
		eventPages:      newGroupedLoader(wait, d.EventsOfOrganizations),
		eventCounts:     newLoader(wait, d.CountEventsOfOrganizations),
		instances:       newLoader(wait, d.InstancesByID),
		instancePages:   newGroupedLoader(wait, d.InstancesOfOrganizations),
		instanceCounts:  newLoader(wait, d.CountInstancesOfOrganizations),
		billingAccounts: newLoader(wait, d.BillingAccountsOf),
		invoices:        newLoader(wait, d.InvoicesByID),
		invoicePages: newGroupedLoader(wait, func(ctx context.Context, ids []string, q invoiceQuery) ([]*db.Rows[db.Invoice], error) {
			return d.InvoicesOfOrganizations(ctx, ids, q.status, q.page)
		}),
		invoiceCounts:        newGroupedLoader(wait, d.CountInvoicesOfOrganizations),
		coupons:              newLoader(wait, d.CouponsByID),
		couponLists:          newLoader(wait, d.CouponsOfOrganizations),
		upcoming:             newLoader(wait, bills.Upcoming),
		events:               newLoader(wait, d.EventsByID),
		webhookEndpoints:     newLoader(wait, d.WebhookEndpointsByID),
		webhookEndpointLists: newLoader(wait, d.WebhookEndpointsOfOrganizations),
		webhookDeliveries: newLoader(wait, func(ctx context.Context, endpointIDs []string) ([]*db.Rows[db.WebhookDelivery], error) {
			return d.WebhookDeliveriesOf(ctx, endpointIDs, maxDeliveries)
		}),
	}
}

// newLoader makes a loader of a read that yields one value a key, in the order of the keys.
func newLoader[K comparable, V any](wait time.Duration, read func(ctx context.Context, keys []K) ([]V, error)) *dataloader.Loader[K, V] {
	batch := func(ctx context.Context, keys []K) []*dataloader.Result[V] {
		batchSizes.Observe(float64(len(keys)))
		ctx, span := startSpan(ctx, "load", attribute.Int("studio.batch.size", len(keys)))
		defer span.End()
		values, err := read(ctx, keys)
		results := make([]*dataloader.Result[V], len(keys))
		for i := range keys {
			results[i] = &dataloader.Result[V]{Error: err}
			if err == nil {
				results[i].Data = values[i]
			}
		}
		return results
	}
	return dataloader.NewBatchedLoader(batch, dataloader.WithWait[K, V](wait), dataloader.WithBatchCapacity[K, V](batchCapacity))
}

// newGroupedLoader makes a loader for keys that ask different things of different organizations: those
// that ask the same are read together.
func newGroupedLoader[Q comparable, V any](
	wait time.Duration, read func(ctx context.Context, organizationIDs []string, query Q) ([]V, error),
) *dataloader.Loader[organizationKey[Q], V] {
	return newLoader(wait, func(ctx context.Context, keys []organizationKey[Q]) ([]V, error) {
		ids, places := map[Q][]string{}, map[Q][]int{}
		for i, key := range keys {
			ids[key.query], places[key.query] = append(ids[key.query], key.organizationID), append(places[key.query], i)
		}
		values := make([]V, len(keys))
		for query, ids := range ids {
			found, err := read(ctx, ids, query)
			if err != nil {
				return nil, err
			}
			for i, place := range places[query] {
				values[place] = found[i]
			}
		}
		return values, nil
	})
}

func (l *loaders) organization(ctx context.Context, id string) (*db.Organization, error) {
	return l.organizations.Load(ctx, id)()
}

// existingOrganization is organization for what is permitted only if it exists, so that it can have been
// deleted at this moment alone: NOT_FOUND.
func (l *loaders) existingOrganization(ctx context.Context, id string) (*db.Organization, error) {
	o, err := l.organization(ctx, id)
	if err == nil && o == nil {
		return nil, fault.ErrNoOrganization
	}
	return o, err
}

// viewerMembership is the caller's own place in an organization, nil when there is none.
func (l *loaders) viewerMembership(ctx context.Context, organizationID string) (*db.Membership, error) {
	return l.viewerMemberships.Load(ctx, organizationID)()
}

// acceptedMembership is viewerMembership, nil also while it is an invitation.
func (l *loaders) acceptedMembership(ctx context.Context, organizationID string) (*db.Membership, error) {
	own, err := l.viewerMembership(ctx, organizationID)
	if err != nil || own == nil || own.Status != db.Accepted {
		return nil, err
	}
	return own, nil
}

// billing is an organization's billing, also when it never had to do with Stripe.
func (l *loaders) billing(ctx context.Context, organizationID string) (*db.BillingAccount, error) {
	account, err := l.billingAccounts.Load(ctx, organizationID)()
	if err == nil && account == nil {
		account = &db.BillingAccount{OrganizationID: organizationID}
	}
	return account, err
}

// belonging loads what an ID names, and whose it is; nil when there is none, or it belongs to no organization.
func (l *loaders) belonging(ctx context.Context, id string) (row any, organizationID string, err error) {
	switch db.PrefixOf(id) {
	case db.MembershipPrefix:
		return withOrganization(l.memberships.Load(ctx, id), func(m *db.Membership) string { return m.OrganizationID })
	case db.InstancePrefix:
		return withOrganization(l.instances.Load(ctx, id), func(i *db.Instance) string { return i.OrganizationID })
	case db.BillingPrefix:
		account, err := l.billing(ctx, db.OrganizationIDOf(id))
		return account, db.OrganizationIDOf(id), err
	case db.InvoicePrefix:
		return withOrganization(l.invoices.Load(ctx, id), func(v *db.Invoice) string { return v.OrganizationID })
	case db.CouponPrefix:
		return withOrganization(l.coupons.Load(ctx, id), func(k *db.Coupon) string { return k.OrganizationID })
	case db.WebhookEndpointPrefix:
		return withOrganization(l.webhookEndpoints.Load(ctx, id), func(e *db.WebhookEndpoint) string { return e.OrganizationID })
	}
	return nil, "", nil
}

func withOrganization[T any](load dataloader.Thunk[*T], organizationID func(*T) string) (row any, id string, err error) {
	loaded, err := load()
	if err != nil || loaded == nil {
		return nil, "", err
	}
	return loaded, organizationID(loaded), nil
}

type scopeKey struct{}

// scope holds the loaders of a part of an operation. They are made when they are first used, as many
// streams wait at the beginning of a response for long.
type scope struct {
	r    *Resolvers
	wait time.Duration

	mu      sync.Mutex
	loaders *loaders
}

func loadersOf(ctx context.Context) *loaders {
	in, _ := ctx.Value(scopeKey{}).(*scope)
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.loaders == nil {
		in.loaders = newLoaders(in.r.DB, in.r.Bills, in.wait)
	}
	return in.loaders
}

// The scopes of loaders: a response, of which a subscription has many; each root field of a mutation
// (beginRootField); and what a directive asks for an argument.

func (r *Resolvers) withLoaders(ctx context.Context) context.Context {
	return context.WithValue(ctx, scopeKey{}, &scope{r: r, wait: cmp.Or(r.LoaderWait, defaultWait)})
}

func (r *Resolvers) loadersForResponse(ctx context.Context, next graphql.ResponseHandler) *graphql.Response {
	return next(r.withLoaders(ctx))
}

// withLoadersForArgument gives argument directives their own loaders. They do not wait, as directives run one
// after another. What they load is not reused, because the mutation may change it. Subscription arguments are
// read outside any response.
func (r *Resolvers) withLoadersForArgument(ctx context.Context) context.Context {
	return context.WithValue(ctx, scopeKey{}, &scope{r: r})
}
