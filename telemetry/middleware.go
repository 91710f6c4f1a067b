package telemetry

import (
	"net/http"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
)

// Middleware traces and measures the requests that next serves. A span is
// named after the method and the pattern that matched, such as GET /profile;
// wrap a whole [http.ServeMux] or single handlers alike. While telemetry is
// off it returns next itself.
func (t *Telemetry) Middleware(next http.Handler) http.Handler {
	if !t.Enabled() {
		return next
	}
	traced := otelhttp.NewMiddleware("",
		otelhttp.WithTracerProvider(t.tracer),
		otelhttp.WithMeterProvider(t.meter),
		otelhttp.WithPropagators(t.propagator),
	)(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, done := t.Label(r.Context(), r.Header)
		defer done()
		ctx, end := t.Task(ctx, r.Header)
		defer end()
		traced.ServeHTTP(w, r.WithContext(ctx))
	})
}

// Transport traces and measures the requests that base sends and carries trace
// and baggage along. While telemetry is off it returns base itself.
func (t *Telemetry) Transport(base http.RoundTripper) http.RoundTripper {
	if !t.Enabled() {
		return base
	}
	return otelhttp.NewTransport(base,
		otelhttp.WithTracerProvider(t.tracer),
		otelhttp.WithMeterProvider(t.meter),
		otelhttp.WithPropagators(t.propagator),
	)
}
