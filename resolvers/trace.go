package resolvers

// Traces: a span for each operation, for each root field and for each batch of a loader, and none where the
// request has no span. They say what is asked for in the words of the schema, never in the client's.

import (
	"context"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// startSpan begins a part of the request's span, if that one is recorded.
func startSpan(ctx context.Context, name string, attributes ...attribute.KeyValue) (context.Context, trace.Span) {
	parent := trace.SpanFromContext(ctx)
	if !parent.IsRecording() {
		return ctx, noop.Span{}
	}
	return parent.TracerProvider().Tracer("studio/resolvers").Start(ctx, name, trace.WithAttributes(attributes...))
}

// traceOperation makes the span of an operation, which ends with its last response.
func traceOperation(ctx context.Context, next graphql.OperationHandler) graphql.ResponseHandler {
	operation := graphql.GetOperationContext(ctx).Operation
	kind, field := string(operation.Operation), rootField(operation)
	ctx, span := startSpan(ctx, kind+" "+field,
		attribute.String("graphql.operation.type", kind), attribute.String("studio.field", field))
	respond := next(ctx)
	if operation.Operation == ast.Subscription {
		span.End() // its stream may last for days; a trace shows how it began
		return respond
	}
	return func(ctx context.Context) *graphql.Response {
		defer span.End()
		response := respond(ctx)
		if response != nil && len(response.Errors) > 0 {
			code, _ := response.Errors[0].Extensions["code"].(string)
			span.SetStatus(codes.Error, code)
		}
		return response
	}
}

// traceRootField makes the span of a root field, which a domain package or the database answers; what is
// below it loads in batches.
func traceRootField(ctx context.Context, next graphql.RootResolver) graphql.Marshaler {
	ctx, span := startSpan(ctx, "field "+graphql.GetRootFieldContext(ctx).Field.Name)
	defer span.End()
	return next(ctx)
}
