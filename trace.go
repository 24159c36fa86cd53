package main

// Traces: a request, its operation, and what these read from the database, sent wherever the usual
// OTEL_ variables say. Without them there are none, and nothing is done for them.

import (
	"cmp"
	"context"
	"net/http"
	"os"
	"slices"

	"github.com/rs/zerolog"
	"github.com/rs/zerolog/hlog"
	"go.opentelemetry.io/contrib/exporters/autoexport"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.37.0"
	"go.opentelemetry.io/otel/trace"
)

// startTracing makes spans go where the environment says. The returned function sends what is left; it
// is nil when the environment says nowhere.
func startTracing(ctx context.Context) (stop func() error, err error) {
	named := slices.ContainsFunc([]string{"OTEL_TRACES_EXPORTER", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"},
		func(name string) bool { return os.Getenv(name) != "" })
	if !named || os.Getenv("OTEL_SDK_DISABLED") == "true" {
		return nil, nil
	}
	exporter, err := autoexport.NewSpanExporter(ctx)
	if err != nil || autoexport.IsNoneSpanExporter(exporter) {
		return nil, err
	}
	// What the environment says of the service comes last, and counts.
	about, err := resource.New(ctx, resource.WithTelemetrySDK(),
		resource.WithAttributes(semconv.ServiceName("studio"), semconv.ServiceVersion(version)), resource.WithFromEnv())
	if err != nil {
		return nil, err
	}
	log := zerolog.Ctx(ctx)
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { log.Warn().Err(err).Msg("traces are lost") }))
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(about))
	otel.SetTracerProvider(provider)
	return func() error {
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), sending)
		defer cancel()
		return provider.Shutdown(ending)
	}, nil
}

// traced makes a span for each request, and puts its trace's ID into the request's log. It must be
// inside of logged. As in the log, there is no path: those of mailed links hold a token.
func traced(next http.Handler) http.Handler {
	tracer := otel.Tracer("studio")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := propagation.TraceContext{}.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
		ctx, span := tracer.Start(ctx, r.Method, trace.WithSpanKind(trace.SpanKindServer))
		defer span.End()
		log := zerolog.Ctx(ctx) // the request's own
		*log = log.Hook(mark{"trace", span.SpanContext().TraceID()})
		if id, known := hlog.IDFromCtx(ctx); known {
			span.SetAttributes(attribute.Stringer("studio.request", id))
		}
		inner := r.WithContext(ctx)
		next.ServeHTTP(w, inner)
		r.Pattern = inner.Pattern // for the log
		span.SetName(cmp.Or(inner.Pattern, r.Method))
		span.SetAttributes(semconv.HTTPRequestMethodKey.String(r.Method), semconv.HTTPRoute(inner.Pattern))
	})
}
