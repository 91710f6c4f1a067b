// Package exporter sends a run's results by OTLP, so that the load shows on
// the same boards, and beside the same traces, as the service under it.
//
// Nothing happens per request. Once a second the merged results are added to
// cumulative state; a periodic reader collects that state once a second and
// sends it. A collection that cannot be sent is counted and made up by the
// next, for everything is cumulative. Latency goes out as exponential
// histograms of one fixed scale, whose buckets no outlier can widen, and the
// slowest exchanges as their exemplars. The exchanges themselves become client
// spans: the parents that the service's own spans already name.
//
// Every series exists, with the value 0, one collection before its first
// change, so that rate() in Prometheus sees that change; every gauge ends at 0.
package exporter

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/resource"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/telemetry/names"
	"github.com/taillight-load/taillight/telemetry/otlpenv"
)

// Interval is the time between two collections: the resolution of the boards.
const Interval = time.Second

// exportTimeout bounds one collection with its retries. It is short: the next
// one, a second later, says all of it again.
const exportTimeout = 4 * time.Second

// Options describe the run whose results are sent.
type Options struct {
	RunID   string
	Version string    // of Taillight
	Began   time.Time // wall clock at offset 0 of the run, unless Begin says otherwise; zero is now
	Target  string    // base URL of the target; may be empty
	Plan    string    // name of the plan; may be empty
	Report  string    // URL of the run's report; may be empty
	Phases  []string  // names, as in the plan
	Steps   []Step    // in the order of Plan.Steps()
}

// Step is what metrics and spans say of a step.
type Step struct {
	Name   string
	Method string // HTTP method
}

// An Exporter sends the results of one run. A nil Exporter is off: its methods
// do nothing.
type Exporter struct {
	state    *state
	losses   *losses
	provider *sdkmetric.MeterProvider // nil: metrics are off
	metrics  *countedExporter
	spans    *sender // nil: spans are off

	once  sync.Once // of Shutdown
	ended error
}

// New returns an exporter, configured by the environment as every
// OpenTelemetry SDK is. Metrics are sent when OTEL_EXPORTER_OTLP_ENDPOINT or
// OTEL_EXPORTER_OTLP_METRICS_ENDPOINT is set, spans when that or
// OTEL_EXPORTER_OTLP_TRACES_ENDPOINT is; OTEL_METRICS_EXPORTER=none,
// OTEL_TRACES_EXPORTER=none and OTEL_SDK_DISABLED=true switch them off. With
// neither, New returns nil and no error. Headers, timeouts, compression and
// certificates are OpenTelemetry's variables too; temporality is always
// cumulative. OTLP is sent over HTTP as protobuf; another
// OTEL_EXPORTER_OTLP_PROTOCOL is an error, and so is an endpoint that is no
// URL.
//
// No connection is made yet. ctx bounds this call only; Shutdown ends what New
// starts.
func New(ctx context.Context, opt Options) (*Exporter, error) {
	sendMetrics, err := otlpenv.On(otlpenv.Metrics)
	if err != nil {
		return nil, err
	}
	sendSpans, err := otlpenv.On(otlpenv.Traces)
	if err != nil || (!sendMetrics && !sendSpans) {
		return nil, err
	}
	if opt.Began.IsZero() {
		opt.Began = time.Now()
	}
	res, err := resourceOf(ctx, opt)
	if err != nil {
		return nil, err
	}
	lost := newLosses()
	e := &Exporter{state: newState(opt, lost), losses: lost}
	if sendSpans {
		client, err := otlptracehttp.New(ctx, otlptracehttp.WithRetry(otlptracehttp.RetryConfig{
			Enabled: true, InitialInterval: 500 * time.Millisecond, MaxInterval: 2 * time.Second, MaxElapsedTime: 8 * time.Second,
		}))
		if err != nil {
			return nil, fmt.Errorf("otlp spans: %w", err)
		}
		e.spans = newSender(client, newSpanMaker(opt, res), e.losses)
	}
	if sendMetrics {
		client, err := otlpmetrichttp.New(ctx, otlpmetrichttp.WithRetry(otlpmetrichttp.RetryConfig{
			Enabled: true, InitialInterval: 200 * time.Millisecond, MaxInterval: time.Second, MaxElapsedTime: 3 * time.Second,
		}))
		if err != nil {
			return nil, errors.Join(fmt.Errorf("otlp metrics: %w", err), e.Shutdown(ctx, ""))
		}
		e.metrics = &countedExporter{Exporter: client, losses: e.losses}
		e.provider = sdkmetric.NewMeterProvider(sdkmetric.WithResource(res), sdkmetric.WithReader(
			sdkmetric.NewPeriodicReader(e.metrics, sdkmetric.WithProducer(e.state),
				sdkmetric.WithInterval(Interval), sdkmetric.WithTimeout(exportTimeout))))
	}
	return e, nil
}

// resourceOf is who speaks: one instance per run, so that cumulative series
// of two runs never meet. OTEL_RESOURCE_ATTRIBUTES may add to it.
func resourceOf(ctx context.Context, opt Options) (*resource.Resource, error) {
	res, err := resource.New(ctx, resource.WithFromEnv(), resource.WithTelemetrySDK(), resource.WithAttributes(
		attribute.String(names.AttrService, names.ServiceTaillight),
		attribute.String("service.version", opt.Version),
		attribute.String("service.instance.id", otlpenv.NewInstance()),
		attribute.String(names.AttrRunID, opt.RunID),
	))
	if err != nil {
		return nil, fmt.Errorf("resource, see %s: %w", names.EnvResource, err)
	}
	return res, nil
}

// Begin says when the run began, the wall clock at its offset 0, which is known
// only after New. It comes before the first Second.
func (e *Exporter) Begin(at time.Time) {
	if e == nil {
		return
	}
	e.state.begin(at)
	if e.spans != nil {
		e.spans.maker.opt.Began = at
	}
}

// Second adds a second's results. It reads s and keeps nothing of it, does not
// block, and is called by one goroutine at a time.
func (e *Exporter) Second(s loadgen.Second) {
	if e == nil {
		return
	}
	e.state.add(&s)
	if e.spans != nil {
		e.spans.offer(s.Kept)
	}
}

// Shutdown sends a last time: everything that was added, users, requests in
// flight and phases at 0, and 1 for the verdict, unless it is "". It waits for
// queued spans until ctx ends, and releases everything. It returns what could
// not be sent at the end. A second call returns the same.
func (e *Exporter) Shutdown(ctx context.Context, verdict string) error {
	if e == nil {
		return nil
	}
	e.once.Do(func() { e.ended = e.shutdown(ctx, verdict) })
	return e.ended
}

// shutdown lets spans and metrics go side by side: ctx is for both, and one
// that hangs must not use it up.
func (e *Exporter) shutdown(ctx context.Context, verdict string) error {
	var spans, zeros, metrics error
	var wg sync.WaitGroup
	if e.spans != nil {
		wg.Go(func() { spans = e.spans.shutdown(ctx) })
	}
	if e.provider != nil {
		if e.state.unborn() {
			zeros = e.provider.ForceFlush(ctx)
		}
		e.state.end(verdict)
		metrics = errors.Join(e.provider.Shutdown(ctx), e.metrics.lastError())
	}
	wg.Wait()
	return errors.Join(spans, zeros, metrics)
}

// Dropped returns what was lost on the way out, by what it was; what never
// happened is absent.
func (e *Exporter) Dropped() map[string]int64 {
	if e == nil {
		return map[string]int64{}
	}
	return e.losses.all()
}

// Spans returns how many client spans were sent, of how many sampled
// exchanges that the run kept: the share that Options cannot promise.
func (e *Exporter) Spans() (sent, kept int64) {
	if e == nil || e.spans == nil {
		return 0, 0
	}
	return e.spans.sent.Load(), e.spans.kept.Load()
}

// Points returns how many data points of metrics were sent, of how many that
// were collected: made = sent + Dropped()[DroppedPoints].
func (e *Exporter) Points() (sent, made int64) {
	if e == nil || e.metrics == nil {
		return 0, 0
	}
	return e.metrics.sent.Load(), e.metrics.made.Load()
}

// A countedExporter counts collections, and those that could not be sent. It
// does not report them to the SDK, which would print each.
type countedExporter struct {
	sdkmetric.Exporter
	losses     *losses
	sent, made atomic.Int64 // data points
	last       errorBox
}

// Export sends a collection.
func (c *countedExporter) Export(ctx context.Context, rm *metricdata.ResourceMetrics) error {
	points := pointsOf(rm)
	c.made.Add(points)
	err := c.Exporter.Export(ctx, rm)
	if err != nil {
		c.losses.add(DroppedCollections, 1)
		c.losses.add(DroppedPoints, points)
	} else {
		c.sent.Add(points)
	}
	c.last.set(err)
	return nil
}

// lastError is of the latest collection: those before are made up by it.
func (c *countedExporter) lastError() error { return c.last.get() }

// pointsOf counts the data points of a collection, whose metrics are of the
// three kinds that state makes.
func pointsOf(rm *metricdata.ResourceMetrics) int64 {
	n := 0
	for _, scope := range rm.ScopeMetrics {
		for _, m := range scope.Metrics {
			switch data := m.Data.(type) {
			case metricdata.ExponentialHistogram[float64]:
				n += len(data.DataPoints)
			case metricdata.Sum[int64]:
				n += len(data.DataPoints)
			case metricdata.Gauge[int64]:
				n += len(data.DataPoints)
			}
		}
	}
	return int64(n)
}
