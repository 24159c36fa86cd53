package main

// The baseline: what a careful person would write by hand to answer these questions and no others,
// without GraphQL, without looking at who asks. This file is its HTTP and its answers; the statements
// are in those of the two databases.

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	catalog "studio/instance"
)

type baselineCommand struct {
	DatabaseURL string `env:"STUDIO_DATABASE_URL" required:""`
}

// store reads and writes what is asked for.
type store interface {
	// counted is a viewer's first 20 organizations with how many users and instances they have.
	counted(ctx context.Context, viewer string) ([]*organization, error)
	// listed is the same with their first users, instances and newest invoices.
	listed(ctx context.Context, viewer string) ([]*organization, error)
	// whole is one organization with these and its coupons.
	whole(ctx context.Context, id string) (*organization, error)
	// named is one organization with its name.
	named(ctx context.Context, id string) (*organization, error)
	// invite adds an invitation.
	invite(ctx context.Context, by, organization, email string) error
}

// The parts of answers.
type (
	organization struct {
		ID            string           `json:"id"`
		Name          string           `json:"name,omitempty"`
		Users         *users           `json:"users,omitempty"`
		InstanceCount *int             `json:"instanceCount,omitempty"`
		Instances     *nodes[instance] `json:"instances,omitempty"`
		Billing       *billing         `json:"billing,omitempty"`
	}
	users struct {
		TotalCount *int     `json:"totalCount,omitempty"`
		Nodes      []member `json:"nodes,omitempty"`
	}
	member struct {
		ID      string `json:"id"`
		IsOwner bool   `json:"isOwner"`
		Status  string `json:"status"`
		User    *user  `json:"user"`
	}
	user struct {
		ID        string `json:"id"`
		Email     string `json:"email"`
		FirstName string `json:"firstName"`
		LastName  string `json:"lastName"`
	}
	instance struct {
		ID          string      `json:"id"`
		Name        string      `json:"name"`
		Type        string      `json:"type"`
		Status      string      `json:"status"`
		ComputePlan computePlan `json:"computePlan"`
		StorageGB   *int        `json:"storageGb"`
		Region      *region     `json:"region"`
	}
	computePlan struct {
		RAMMB int `json:"ramMb"`
	}
	region struct {
		ID string `json:"id"`
	}
	billing struct {
		Invoices nodes[invoice] `json:"invoices"`
		Coupons  []coupon       `json:"coupons,omitempty"`
	}
	invoice struct {
		ID          string  `json:"id"`
		Number      *string `json:"number"`
		Total       money   `json:"total"`
		Status      string  `json:"status"`
		PeriodStart moment  `json:"periodStart"`
	}
	money struct {
		Amount   int64  `json:"amount"`
		Currency string `json:"currency"`
	}
	coupon struct {
		ID         string   `json:"id"`
		Code       string   `json:"code"`
		PercentOff *float64 `json:"percentOff"`
	}
	nodes[T any] struct {
		Nodes []T `json:"nodes"`
	}
)

// filled gives an organization the lists that its rows are added to.
func (o *organization) filled() *organization {
	if o.Users == nil {
		o.Users, o.Instances, o.Billing = &users{}, &nodes[instance]{}, &billing{}
	}
	return o
}

// row is one that is read, of either database. The first column is its organization's ID.
type row interface{ Scan(into ...any) error }

func scanMember(of row) (organizationID string, m member, err error) {
	var id, email, first, last *string
	err = of.Scan(&organizationID, &m.ID, &m.IsOwner, &m.Status, &id, &email, &first, &last)
	if id != nil {
		m.User = &user{*id, *email, *first, *last}
	}
	return organizationID, m, err
}

// memory is that of the catalog's compute plans.
var memory = func() map[string]int {
	of := map[string]int{}
	for _, plan := range catalog.ComputePlans(nil) {
		of[plan.ID] = plan.RAMMB
	}
	return of
}()

func scanInstance(of row) (organizationID string, i instance, err error) {
	var plan string
	var regionID *string
	err = of.Scan(&organizationID, &i.ID, &i.Name, &i.Type, &i.Status, &plan, &i.StorageGB, &regionID)
	i.ComputePlan.RAMMB = memory[plan]
	if regionID != nil {
		i.Region = &region{*regionID}
	}
	return organizationID, i, err
}

func scanInvoice(of row) (organizationID string, v invoice, err error) {
	err = of.Scan(&organizationID, &v.ID, &v.Number, &v.Total.Amount, &v.Total.Currency, &v.Status, &v.PeriodStart)
	return organizationID, v, err
}

// moment is a time, which SQLite stores as text.
type moment struct{ time.Time }

// Scan reads what the drivers yield.
func (m *moment) Scan(value any) (err error) {
	switch value := value.(type) {
	case time.Time:
		m.Time = value.UTC()
	case string:
		m.Time, err = time.Parse("2006-01-02 15:04:05.999999-07:00", value)
		m.Time = m.UTC()
	}
	return err
}

func scanCoupon(of row) (organizationID string, k coupon, err error) {
	err = of.Scan(&organizationID, &k.ID, &k.Code, &k.PercentOff)
	return organizationID, k, err
}

// each adds the rows that a scan reads to the lists of their organizations.
func each[T any](scan func(of row) (string, T, error), list func(organizationID string) *[]T) func(of row) error {
	return func(of row) error {
		organizationID, read, err := scan(of)
		if err == nil {
			to := list(organizationID)
			*to = append(*to, read)
		}
		return err
	}
}

// The lists of organizations that each adds to.
func membersOf(o *organization) *[]member     { return &o.filled().Users.Nodes }
func instancesOf(o *organization) *[]instance { return &o.filled().Instances.Nodes }
func invoicesOf(o *organization) *[]invoice   { return &o.filled().Billing.Invoices.Nodes }
func couponsOf(o *organization) *[]coupon     { return &o.filled().Billing.Coupons }

// The columns of rows.
const (
	memberColumns   = `m.organization_id, m.id, m.is_owner, m.status, u.id, u.email, u.first_name, u.last_name`
	instanceColumns = `i.organization_id, i.id, i.name, i.type, i.status, i.compute_plan_id, i.storage_gb, i.region_id`
	invoiceColumns  = `v.organization_id, v.id, v.number, v.total, v.currency, v.status, v.period_start`
	couponColumns   = `k.organization_id, k.id, k.code, k.percent_off`
)

// Run serves the baseline until a signal stops the process.
func (c *baselineCommand) Run(ctx context.Context) error {
	var s store
	var err error
	if path, found := strings.CutPrefix(c.DatabaseURL, "sqlite:"); found {
		s, err = openSQLite(ctx, path)
	} else {
		s, err = openPostgres(ctx, c.DatabaseURL)
	}
	if err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", os.Getenv("STUDIO_ADDR"))
	if err != nil {
		return err
	}
	server := &http.Server{Handler: routes(s), ReadHeaderTimeout: 10 * time.Second}
	go func() { <-ctx.Done(); _ = server.Close() }()
	_ = server.Serve(listener)
	return nil
}

func routes(s store) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /readyz", func(http.ResponseWriter, *http.Request) {})
	type object = map[string]any
	viewer := func(found []*organization, err error) (any, error) {
		return object{"viewer": object{"organizations": nodes[*organization]{found}}}, err
	}
	one := func(found *organization, err error) (any, error) { return object{"organization": found}, err }
	for name, answer := range map[string]func(ctx context.Context, a *asked) (any, error){
		"q0": func(context.Context, *asked) (any, error) { return object{"__typename": "Query"}, nil },
		"q1": func(ctx context.Context, a *asked) (any, error) { return viewer(s.counted(ctx, a.Viewer)) },
		"q2": func(ctx context.Context, a *asked) (any, error) { return one(s.whole(ctx, a.Organization)) },
		"q3": func(ctx context.Context, a *asked) (any, error) { return viewer(s.listed(ctx, a.Viewer)) },
		"q4": func(ctx context.Context, a *asked) (any, error) { return one(s.named(ctx, a.Organization)) },
		"m1": func(ctx context.Context, a *asked) (any, error) {
			err := s.invite(ctx, a.Viewer, a.Organization, a.Email)
			return object{"inviteUser": object{"organizationUser": object{"email": a.Email, "status": "INVITED"}}}, err
		},
	} {
		mux.HandleFunc("POST /"+name, func(w http.ResponseWriter, r *http.Request) {
			var a asked
			err := json.NewDecoder(r.Body).Decode(&a)
			var data any
			if err == nil {
				data, err = answer(r.Context(), &a)
			}
			if err != nil {
				http.Error(w, fmt.Sprintf("%s: %v", name, err), http.StatusInternalServerError)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(object{"data": data})
		})
	}
	return mux
}
