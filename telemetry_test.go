package main

// What operators see of a server: metrics, traces and the log.

import (
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"studio/db"
	"studio/db/dbtest"
)

func TestMetrics(t *testing.T) {
	t.Parallel()
	for engine, create := range map[string]func(*testing.T) string{"sqlite": dbtest.SQLite, "postgres": dbtest.Postgres} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			address := create(t)
			database := dbtest.Open(t, address)
			long := database.Now().AddDate(0, 0, -31)
			old := &db.Job{ID: "given-up-long-ago", Kind: "test", Payload: "{}", RunAt: long, FailedAt: &long, CreatedAt: long}
			if err := database.InsertJob(t.Context(), old); err != nil {
				t.Fatal(err)
			}
			s := serve(t, address)
			s.eventually("the old job to be swept", func() bool { return strings.Contains(s.metrics(), "studio_jobs_failed 0\n") })
			token, organizationID := s.signUp("owner")
			s.eventually("the mail to be sent", func() bool { return strings.Contains(s.metrics(), "studio_jobs_waiting 0\n") })
			org := map[string]any{"org": organizationID}
			s.do(token, `query ChosenByClient($org: ID!) { chosen: organization(id: $org) { events { nodes { actor { email } } } } }`, org)
			s.do(token, `query { viewer { user { id } } catalog { __typename } }`, nil)
			for _, query := range []string{`{ chosenByClient }`, `mutation { deleteOrganization(input: { organizationId: "org_x", confirmName: "" }) { deletedOrganizationId } }`} {
				response := s.send(token, "application/json", query, nil)
				_, _ = io.Copy(io.Discard, response.Body)
				_ = response.Body.Close()
			}
			webhook, err := http.Post(s.url+"/webhooks/stripe", "application/json", strings.NewReader("{}"))
			if err != nil {
				t.Fatal(err)
			}
			_ = webhook.Body.Close()
			s.follow(token, `subscription($org: ID!) { organizationEvents(organizationId: $org) { id } }`, org)
			s.eventually("the stream to be open", func() bool { return strings.Contains(s.metrics(), "studio_streams 1\n") })
			// One that is given up, and one that somebody has been at for two hours.
			now := database.Now()
			began, until := now.Add(-2*time.Hour), now.Add(time.Hour)
			for _, job := range []*db.Job{
				{ID: "given-up", Kind: "test", Payload: "{}", RunAt: began.Add(-time.Hour), FailedAt: &now, CreatedAt: began},
				{ID: "slow", Kind: "test", Payload: "{}", RunAt: began, LeasedUntil: &until, CreatedAt: began},
			} {
				if err := database.InsertJob(t.Context(), job); err != nil {
					t.Fatal(err)
				}
			}

			told := s.metrics()
			pool := map[string]string{"sqlite": `go_sql_open_connections{db_name="studio"} `, "postgres": `pgxpool_total_conns{db_name="studio"} `}
			for _, want := range []string{
				`studio_graphql_operation_seconds_count{field="signUp",type="mutation"} 1`,
				`studio_graphql_operation_seconds_count{field="viewer",type="query"} 1`, // which PostgreSQL answers by a plan
				`studio_graphql_operation_seconds_count{field="organization",type="query"} 1`,
				`studio_graphql_operation_seconds_count{field="several",type="query"} 1`,
				`studio_graphql_subscriptions_total{field="organizationEvents"} 1`,
				`studio_graphql_errors_total{code="GRAPHQL_VALIDATION_FAILED"} 1`,
				`studio_graphql_errors_total{code="NOT_FOUND"} 1`,
				`studio_loader_batch_size_bucket{le="1"} `,
				`studio_stripe_webhooks_total{outcome="refused"} 1`,
				`studio_jobs_waiting 1`,
				`studio_jobs_failed 1`,
				`go_sql_open_connections{db_name="studio"} `,
				pool[engine],
			} {
				if !strings.Contains(told, want) {
					t.Errorf("the metrics lack %s", want)
				}
			}
			overdue := regexp.MustCompile(`(?m)^studio_jobs_oldest_due_seconds (\S+)$`).FindStringSubmatch(told)
			if overdue == nil {
				t.Fatal("the metrics do not tell for how long a job has been due")
			}
			if seconds, err := strconv.ParseFloat(overdue[1], 64); err != nil || seconds < 7200 || seconds > 7300 {
				t.Errorf("the oldest job has been due for %s seconds, want two hours", overdue[1])
			}
			if strings.Contains(strings.ToLower(told), "chosen") {
				t.Error("the metrics hold a name that a client chose")
			}
			if t.Failed() {
				t.Log(told)
			}
		})
	}
}

func (s *server) metrics() string {
	s.Helper()
	_, _, body := s.get("/metrics")
	return body
}

// receiver takes traces as a collector does.
type receiver struct {
	mu    sync.Mutex
	raw   strings.Builder
	spans []*trace.Span
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	body, err := io.ReadAll(request.Body)
	var told collector.ExportTraceServiceRequest
	if err == nil {
		err = proto.Unmarshal(body, &told)
	}
	if err != nil || request.URL.Path != "/v1/traces" {
		http.Error(w, "not traces", http.StatusBadRequest)
		return
	}
	r.raw.Write(body)
	for _, of := range told.ResourceSpans {
		for _, by := range of.ScopeSpans {
			r.spans = append(r.spans, by.Spans...)
		}
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
}

// under are the names of a span and all that it is part of, outermost first.
func (r *receiver) under(span *trace.Span) (names string) {
	for _, parent := range r.spans {
		if string(parent.SpanId) == string(span.ParentSpanId) {
			names = r.under(parent) + " > "
		}
	}
	return names + span.Name
}

func TestTraces(t *testing.T) {
	t.Parallel()
	for engine, create := range map[string]func(*testing.T) string{"sqlite": dbtest.SQLite, "postgres": dbtest.Postgres} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			collected := &receiver{}
			server := httptest.NewServer(collected)
			t.Cleanup(server.Close)
			s := serve(t, create(t), "OTEL_EXPORTER_OTLP_ENDPOINT="+server.URL)
			token, organizationID := s.signUp("owner")
			s.do(token, `mutation($org: ID!) { updateOrganization(input: { organizationId: $org, name: "Literal Secret" }) { organization { id } } }`,
				map[string]any{"org": organizationID})
			response := s.send(token, "application/json", `query ChosenByClient($org: ID!, $email: String) { chosen: organization(id: $org) {
				id name subdomain createdAt users(search: $email) { totalCount nodes { id status isOwner user { id email firstName lastName } } }
			} }`, map[string]any{"org": organizationID, "email": "variable-secret"})
			_, _ = io.Copy(io.Discard, response.Body)
			_ = response.Body.Close()
			if code := s.terminate(); code != 0 { // which sends what is left
				t.Fatalf("ended with %d", code)
			}

			found := map[string]int{}
			var traceID string
			for _, span := range collected.spans {
				found[collected.under(span)]++
				if span.Name == "query organization" {
					traceID = hex.EncodeToString(span.TraceId)
				}
			}
			for _, want := range []string{
				"/graphql > mutation signUp > field signUp > INSERT users",
				"/graphql > mutation updateOrganization > field updateOrganization > UPDATE organizations",
				"/graphql > query organization > field organization > load > SELECT memberships",
				"/graphql > query organization > field organization > load > SELECT organizations",
			} {
				if found[want] == 0 {
					t.Errorf("there is no span %s", want)
				}
			}
			known := regexp.MustCompile(`^(/graphql( > (query|mutation) \w+( > field \w+)?)?( > load)?|GET /\w+)( > (SELECT|INSERT|UPDATE|DELETE|BEGIN|COMMIT|ROLLBACK)( \w+)?)?$`)
			for name := range found {
				if !known.MatchString(name) {
					t.Errorf("there is a span %s", name)
				}
			}
			for _, secret := range []string{"Literal Secret", "variable-secret", "hosenByClient", "chosen", "owner@example.com", password, token, organizationID} {
				if strings.Contains(collected.raw.String(), secret) {
					t.Errorf("the traces hold %q", secret)
				}
			}
			request := response.Header.Get("X-Request-Id")
			logged := regexp.MustCompile(`(?m)^.*"request":"` + request + `".*"trace":"` + traceID + `".*"message":"request"`)
			if traceID == "" || request == "" || !logged.MatchString(s.output.String()) {
				t.Errorf("no line of the log tells of the request %q and the trace %q", request, traceID)
			}
			if t.Failed() {
				t.Logf("the spans are %v", found)
			}
		})
	}
}
