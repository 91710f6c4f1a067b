package telemetry

import (
	"context"
	"os"
	"strings"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/runtime"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/resource"

	"github.com/taillight-load/taillight/telemetry/names"
)

// metricInterval is how often metrics are collected and sent.
const metricInterval = time.Second

// Durations are kept in buckets of 2^(1/32), 2.2 % wide. 640 of them span 20
// octaves, 10 us to 10 s, before the SDK would have to widen them.
const (
	durationScale   = 5
	durationBuckets = 640
)

func (t *Telemetry) startMetrics(ctx context.Context, res *resource.Resource) error {
	// No retry: sums are cumulative, so the next collection makes up for it.
	otlp, err := otlpmetrichttp.New(ctx, otlpmetrichttp.WithRetry(otlpmetrichttp.RetryConfig{Enabled: false}))
	if err != nil {
		return err
	}
	memory := runtime.WithMinimumReadMemStatsInterval(metricInterval)
	var producing []runtime.ProducerOption
	if o, ok := memory.(runtime.ProducerOption); ok { // it is one, but declared to return the other
		producing = append(producing, o)
	}
	reading := []sdkmetric.PeriodicReaderOption{
		sdkmetric.WithProducer(runtime.NewProducer(producing...)), sdkmetric.WithProducer(newPauses(time.Now())),
	}
	if os.Getenv("OTEL_METRIC_EXPORT_INTERVAL") == "" {
		reading = append(reading, sdkmetric.WithInterval(metricInterval))
	}
	t.metrics = sdkmetric.NewMeterProvider(
		sdkmetric.WithResource(res),
		sdkmetric.WithReader(sdkmetric.NewPeriodicReader(&metricExporter{Exporter: otlp, t: t}, reading...)),
		sdkmetric.WithView(httpView),
	)
	t.meter = t.metrics
	if err := runtime.Start(runtime.WithMeterProvider(t.metrics), memory); err != nil {
		return err
	}
	return observeProcess(t.metrics.Meter(scope), os.DirFS("/"))
}

// httpView keeps every HTTP histogram exponential, and its attributes bounded:
// a request's Host header is in server.address, which anybody can make up. A
// service chooses the servers it calls itself, so clients keep theirs.
func httpView(i sdkmetric.Instrument) (sdkmetric.Stream, bool) {
	if i.Kind != sdkmetric.InstrumentKindHistogram || !strings.HasPrefix(i.Name, "http.") {
		return sdkmetric.Stream{}, false
	}
	keys := []attribute.Key{}
	for _, k := range names.ServerDuration.Attributes {
		keys = append(keys, attribute.Key(k))
	}
	if strings.HasPrefix(i.Name, "http.client.") {
		keys = append(keys, "server.address", "server.port")
	}
	return sdkmetric.Stream{
		Name: i.Name, Description: i.Description, Unit: i.Unit,
		Aggregation: sdkmetric.AggregationBase2ExponentialHistogram{
			MaxSize: durationBuckets, MaxScale: durationScale,
		},
		AttributeFilter: attribute.NewAllowKeysFilter(keys...),
	}, true
}

// metricExporter counts what it cannot deliver. It returns no error, for the
// SDK would print it.
type metricExporter struct {
	sdkmetric.Exporter
	t *Telemetry
}

// Export sends one collection.
func (e *metricExporter) Export(ctx context.Context, rm *metricdata.ResourceMetrics) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(e.t.aborted, cancel)()
	if err := e.Exporter.Export(ctx, rm); err != nil {
		e.t.lost.metrics.Add(1)
	}
	return nil
}
