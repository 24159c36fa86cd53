package db

// Traces: a span for each statement that belongs to a request, and one for all that a plan sends together.
// It has the kind of statement and the table, for a plan's how many there are, and never the text, in
// which arguments are written out.

import (
	"context"

	"github.com/uptrace/bun"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// WithTracing makes spans of statements, wherever the context has one that they are parts of.
func WithTracing() Option {
	return func(d *DB) {
		system := "sqlite"
		if d.isPostgres() {
			system = "postgresql"
		}
		d.pool = d.pool.WithQueryHook(tracing{system})
		d.bun = d.pool
	}
}

type tracing struct{ system string }

func (t tracing) BeforeQuery(ctx context.Context, event *bun.QueryEvent) context.Context {
	parent := trace.SpanFromContext(ctx)
	if !parent.IsRecording() {
		return ctx
	}
	name := event.Operation()
	attributes := []attribute.KeyValue{attribute.String("db.system.name", t.system), attribute.String("db.operation.name", name)}
	if model, is := event.Model.(bun.TableModel); is {
		table := model.Table().Name
		name += " " + table
		attributes = append(attributes, attribute.String("db.collection.name", table))
	}
	ctx, _ = parent.TracerProvider().Tracer("studio/db").Start(ctx, name,
		trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(attributes...))
	return ctx
}

func (tracing) AfterQuery(ctx context.Context, event *bun.QueryEvent) {
	span := trace.SpanFromContext(ctx) // the statement's, as one that is recorded has begun
	if event.Err != nil {
		span.SetStatus(codes.Error, "") // the text may hold arguments
	}
	span.End()
}

// traceReads makes the span of reads that are sent together.
func traceReads(ctx context.Context, count int) (inner context.Context, end func(error)) {
	parent := trace.SpanFromContext(ctx)
	if !parent.IsRecording() {
		return ctx, func(error) {}
	}
	ctx, span := parent.TracerProvider().Tracer("studio/db").Start(ctx, "SELECT", trace.WithSpanKind(trace.SpanKindClient),
		trace.WithAttributes(attribute.String("db.system.name", "postgresql"), attribute.Int("db.operation.batch.size", count)))
	return ctx, func(err error) {
		if err != nil {
			span.SetStatus(codes.Error, "")
		}
		span.End()
	}
}
