package telemetry

import (
	"context"
	"os"
	"time"

	otelpyroscope "github.com/grafana/otel-profiling-go"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// Defaults of the span batcher. The SDK's own, 2048 spans every 5 s, lose
// spans at 500 requests/s when one export stalls; a span costs about 1 KiB
// while it waits.
const (
	spanQueue = 65536
	spanDelay = 500 * time.Millisecond
)

// Waits between attempts to export a batch of spans, doubling.
const (
	firstRetry = 250 * time.Millisecond
	lastRetry  = 2 * time.Second
)

func (t *Telemetry) startTraces(ctx context.Context, res *resource.Resource) error {
	// The exporter's own retry waits 5 s before its second attempt and cannot
	// be told that the process is about to end.
	otlp, err := otlptracehttp.New(ctx, otlptracehttp.WithRetry(otlptracehttp.RetryConfig{Enabled: false}))
	if err != nil {
		return err
	}
	var batching []sdktrace.BatchSpanProcessorOption
	if os.Getenv("OTEL_BSP_MAX_QUEUE_SIZE") == "" {
		batching = append(batching, sdktrace.WithMaxQueueSize(spanQueue))
	}
	if os.Getenv("OTEL_BSP_SCHEDULE_DELAY") == "" {
		batching = append(batching, sdktrace.WithBatchTimeout(spanDelay))
	}
	batcher := sdktrace.NewBatchSpanProcessor(&spanExporter{SpanExporter: otlp, t: t}, batching...)
	// No sampler is set: the SDK's default is parent-based, always on, unless
	// OTEL_TRACES_SAMPLER says otherwise.
	t.traces = sdktrace.NewTracerProvider(
		sdktrace.WithResource(res),
		sdktrace.WithSpanProcessor(baggageAttributes{t.carried}),
		sdktrace.WithSpanProcessor(taskSpans{}),
		sdktrace.WithSpanProcessor(&countedSpans{SpanProcessor: batcher, lost: &t.lost}),
	)
	t.tracer = t.traces
	if t.continuous {
		t.tracer = otelpyroscope.NewTracerProvider(t.traces)
	}
	return nil
}

// countedSpans counts the spans that go into a batcher, which drops without a
// word when its queue is full.
type countedSpans struct {
	sdktrace.SpanProcessor
	lost *losses
}

// OnEnd counts a span that should be exported.
func (c *countedSpans) OnEnd(s sdktrace.ReadOnlySpan) {
	if s.SpanContext().IsSampled() {
		c.lost.spansEnded.Add(1)
	}
	c.SpanProcessor.OnEnd(s)
}

// spanExporter tries a few times to deliver a batch, then counts it as lost.
// It returns no error, for the SDK would print it.
type spanExporter struct {
	sdktrace.SpanExporter
	t *Telemetry
}

// ExportSpans delivers one batch. Spans that end meanwhile wait in the queue.
func (e *spanExporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(e.t.aborted, cancel)()
	for delay := firstRetry; ; delay *= 2 {
		last := delay > lastRetry || e.t.closing.Err() != nil
		if e.t.aborted.Err() == nil && e.SpanExporter.ExportSpans(ctx, spans) == nil {
			e.t.lost.spansDelivered.Add(int64(len(spans)))
			return nil
		}
		if last || ctx.Err() != nil {
			e.t.lost.spansFailed.Add(int64(len(spans)))
			return nil
		}
		e.pause(ctx, delay)
	}
}

// pause waits for d, but no longer than Shutdown allows.
func (e *spanExporter) pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	case <-e.t.closing.Done():
	}
}
