// Package telemetry instruments a Go service: traces and metrics by OTLP,
// CPU profiles for Pyroscope whose samples name the span they were taken in,
// a middleware, and admin handlers.
//
// One call starts it, and the environment says where things go:
//
//	OTEL_EXPORTER_OTLP_ENDPOINT   traces and metrics (http/protobuf); the
//	                              _TRACES_ and _METRICS_ variants choose one
//	PYROSCOPE_SERVER_ADDRESS      CPU profiles
//	TAILLIGHT_PROFILE_ADDRESS     CPU profiles, a second receiver
//	TAILLIGHT_FLIGHT=1            keep the last seconds of the execution trace,
//	                              for GET /debug/flight
//	TAILLIGHT_THREAD_CLOCK=0.05   of that share of the requests in it, tell how
//	                              long their thread was on a CPU
//
// It also owns the CPU profiler of the process: uploads, profiles taken by hand
// ([Telemetry.AdminHandler]), recordings of single functions
// ([Telemetry.Profile]) and of traces ([Telemetry.CPUSamples]) go on at once.
//
// The other OTEL_* variables of the OpenTelemetry SDK are honoured. With none
// of the above set nothing is started and the middleware hands the request on
// untouched.
//
// Telemetry never stands in the way of a request: what cannot be delivered is
// dropped and counted ([Telemetry.Lost]), never waited for and never printed.
package telemetry

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/propagation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
)

// Options name the service. The environment beats them.
type Options struct {
	// Service is service.name unless OTEL_SERVICE_NAME or
	// OTEL_RESOURCE_ATTRIBUTES says otherwise.
	Service string
	// Version is service.version unless OTEL_RESOURCE_ATTRIBUTES says
	// otherwise; "" leaves it out.
	Version string
	// Flight keeps the last seconds of the execution trace, for [Telemetry.Flight]
	// and GET /debug/flight, unless TAILLIGHT_FLIGHT says otherwise. A process
	// can have one such recorder.
	Flight bool
	// ThreadClock is the share of recorded requests, 0 to 1, of which the
	// recording also tells how long their thread was on a CPU, unless
	// TAILLIGHT_THREAD_CLOCK says otherwise. It binds those requests to a thread,
	// which makes each of their waits slower by some microseconds. Linux only.
	ThreadClock float64
	// CPU keeps the CPU profile of the last minute, its samples labelled with
	// spans, for [Telemetry.CPUSamples], though no receiver of profiles is named. With one
	// it is kept anyway; without either, the profiler is on only while somebody
	// records.
	CPU bool
	// Baggage names keys of W3C baggage, besides those of a load test, whose
	// values become attributes of the spans and labels of the CPU samples of the
	// requests that carry them: tenant.tier becomes the attribute tenant.tier and
	// the label tenant_tier. At most 16; values are cut to 64 bytes, and a label
	// takes 64 of them, "other" from then on, for each is a series in Pyroscope.
	Baggage []string
}

// Telemetry is what [Start] started. A nil Telemetry is off: all methods work
// and do nothing. It is safe for concurrent use.
type Telemetry struct {
	service    string
	tracer     trace.TracerProvider
	meter      metric.MeterProvider
	propagator propagation.TextMapPropagator
	traces     *sdktrace.TracerProvider // nil when off; the wrapped tracer cannot be shut down
	metrics    *sdkmetric.MeterProvider // nil when off
	hub        *hub                     // owns the CPU profiler, on or off
	continuous bool                     // the profiler is on for good
	carried    *carried                 // what is taken from baggage
	flight     *flightRecorder          // nil when off
	threads    float64                  // share of requests in it whose thread's clock is read
	lost       losses

	closing  context.Context // ends when Shutdown begins: nobody waits for a retry any more
	close    context.CancelFunc
	aborted  context.Context // ends when Shutdown runs out of time: exports under way break off
	abort    context.CancelFunc
	shutOnce sync.Once
	shutErr  error
}

// Start starts what the environment asks for and returns its handle, which is
// never nil without an error. The context bounds the start alone; nothing is
// connected to yet, so a receiver that is down is no error. An error names the
// variable that cannot be used.
//
// When something is sent anywhere, Start also sets OpenTelemetry's global providers and
// propagator, so that instrumented libraries of the service take part.
func Start(ctx context.Context, o Options) (*Telemetry, error) {
	env, err := readEnvironment(o)
	if err != nil {
		return nil, err
	}
	allowed, err := newCarried(o.Baggage)
	if err != nil {
		return nil, err
	}
	t := &Telemetry{
		carried: allowed,
		tracer:  tracenoop.NewTracerProvider(), meter: metricnoop.NewMeterProvider(),
		propagator: propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{}),
	}
	t.hub = newHub(&t.lost)
	t.closing, t.close = context.WithCancel(context.Background())
	t.aborted, t.abort = context.WithCancel(context.Background())
	if !env.any() {
		return t, nil
	}
	if err := t.start(ctx, env, o); err != nil {
		return nil, errors.Join(err, t.Shutdown(ctx))
	}
	if env.exports() {
		otel.SetTracerProvider(t.tracer)
		otel.SetMeterProvider(t.meter)
		otel.SetTextMapPropagator(t.propagator)
	}
	return t, nil
}

func (t *Telemetry) start(ctx context.Context, env environment, o Options) error {
	res, err := newResource(ctx, o)
	if err != nil {
		return err
	}
	t.service = attributeOf(res, "service.name")
	if env.flight {
		if t.flight, err = startFlight(); err != nil {
			return err
		}
		t.threads = env.threadClock
	}
	if env.cpu {
		if err = t.startProfiles(env, res); err != nil {
			return err
		}
	}
	if env.traces {
		if err := t.startTraces(ctx, res); err != nil {
			return fmt.Errorf("start traces: %w", err)
		}
	}
	if env.metrics {
		if err := t.startMetrics(ctx, res); err != nil {
			return fmt.Errorf("start metrics: %w", err)
		}
	}
	return nil
}

// Enabled reports whether anything was started.
func (t *Telemetry) Enabled() bool {
	return t != nil && (t.traces != nil || t.metrics != nil || t.continuous || t.flight != nil)
}

// Service is service.name as it is sent; "" when telemetry is off.
func (t *Telemetry) Service() string {
	if t == nil {
		return ""
	}
	return t.service
}

// TracerProvider makes tracers whose spans are exported and, while the profiler
// is on for good, label the CPU samples taken in them.
func (t *Telemetry) TracerProvider() trace.TracerProvider {
	if t == nil {
		return tracenoop.NewTracerProvider()
	}
	return t.tracer
}

// MeterProvider makes meters whose instruments are exported once a second.
func (t *Telemetry) MeterProvider() metric.MeterProvider {
	if t == nil {
		return metricnoop.NewMeterProvider()
	}
	return t.meter
}

// Propagator reads and writes W3C trace context and baggage.
func (t *Telemetry) Propagator() propagation.TextMapPropagator {
	if t == nil {
		return propagation.NewCompositeTextMapPropagator()
	}
	return t.propagator
}

// Lost returns what has not reached its receiver so far; after Shutdown the
// figures are final.
func (t *Telemetry) Lost() Losses {
	if t == nil {
		return Losses{}
	}
	return t.lost.sum()
}

// Shutdown delivers what is still here, spans, a last collection of metrics,
// the profile segment under way, and stops everything. It returns when all is
// delivered or given up: a receiver that refuses is tried once more, one that
// does not answer until ctx ends, which is the only error. Later calls return
// what the first one did.
func (t *Telemetry) Shutdown(ctx context.Context) error {
	if t == nil {
		return nil
	}
	t.shutOnce.Do(func() { t.shutErr = t.shutdown(ctx) })
	return t.shutErr
}

func (t *Telemetry) shutdown(ctx context.Context) error {
	t.close()
	defer t.abort()
	defer context.AfterFunc(ctx, t.abort)()

	// The providers get a context that does not end, for with one that has
	// they leave their goroutines behind. The exports they wait for do end.
	patient := context.WithoutCancel(ctx)
	var traces, metrics error
	var wg sync.WaitGroup
	if t.traces != nil {
		wg.Go(func() { traces = t.traces.Shutdown(patient) })
	}
	if t.metrics != nil {
		wg.Go(func() { metrics = t.metrics.Shutdown(patient) })
	}
	wg.Go(t.hub.stop)
	if t.flight != nil {
		wg.Go(t.flight.stop)
	}
	wg.Wait()
	t.lost.settle()
	if err := errors.Join(traces, metrics, ctx.Err()); err != nil {
		return fmt.Errorf("deliver telemetry: %w", err)
	}
	return nil
}

// TraceID returns the W3C trace id of the span in ctx as 32 hex digits, or ""
// when there is none.
func TraceID(ctx context.Context) string {
	if sc := trace.SpanContextFromContext(ctx); sc.HasTraceID() {
		return sc.TraceID().String()
	}
	return ""
}
