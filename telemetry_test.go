package main

// What operators see of a server: metrics, traces and the log.

import (
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"studio/db"
	"studio/db/dbtest"
)

func TestMetrics(t *testing.T) {
	t.Parallel()
	for engine, create := range map[string]func(*testing.T) string{"sqlite": dbtest.SQLite, "postgres": dbtest.Postgres} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			address := create(t)
			s := serve(t, address)
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
			database := dbtest.Open(t, address)
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
			for _, want := range []string{
				`studio_graphql_operation_seconds_count{field="signUp",type="mutation"} 1`,
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
