package resolvers

// Metrics: how operations go. No label holds what a client chose: an operation is named by the field of
// the schema that it asks for.

import (
	"context"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/vektah/gqlparser/v2/ast"
)

var (
	operationSeconds = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "studio_graphql_operation_seconds", Help: "Time that queries and mutations took, by the field that they ask for.",
	}, []string{"type", "field"})
	subscriptionsBegun = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "studio_graphql_subscriptions_total", Help: "Subscriptions that were begun, by the field that they ask for.",
	}, []string{"field"})
	errorsShown = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "studio_graphql_errors_total", Help: "Errors that clients were shown, by their code.",
	}, []string{"code"})
	batchSizes = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "studio_loader_batch_size", Help: "How many objects a loader read at once.", Buckets: []float64{1, 2, 5, 10, 20, 50, 100, batchCapacity},
	})
)

// Collectors are the metrics.
func Collectors() []prometheus.Collector {
	return []prometheus.Collector{operationSeconds, subscriptionsBegun, errorsShown, batchSizes}
}

// measured observes how long a query or mutation took, from its parsing on, and counts the subscriptions
// that begin; how long those last says nothing.
func measured(ctx context.Context, next graphql.OperationHandler) graphql.ResponseHandler {
	current := graphql.GetOperationContext(ctx)
	kind, field := current.Operation.Operation, rootField(current.Operation)
	respond := next(ctx)
	if kind == ast.Subscription {
		subscriptionsBegun.WithLabelValues(field).Inc()
		return respond
	}
	return func(ctx context.Context) *graphql.Response {
		response := respond(ctx)
		if response != nil {
			operationSeconds.WithLabelValues(string(kind), field).Observe(time.Since(current.Stats.OperationStart).Seconds())
		}
		return response
	}
}

// rootField names what an operation asks for, which is a field of the schema unless it is several.
func rootField(operation *ast.OperationDefinition) string {
	if len(operation.SelectionSet) == 1 {
		if field, is := operation.SelectionSet[0].(*ast.Field); is {
			return field.Name
		}
	}
	return "several"
}
