package telemetry

import (
	"context"
	"net/http"
	"runtime/pprof"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/taillight-load/taillight/telemetry/names"
)

// baggageAttributes copies a load test's baggage onto every span, so that the
// spans of a run, a phase or a step can be asked for. Only its own keys are
// taken and values are cut: baggage comes from outside.
type baggageAttributes struct{}

// OnStart sets the attributes that the parent's baggage has values for.
func (baggageAttributes) OnStart(parent context.Context, s sdktrace.ReadWriteSpan) {
	b := baggage.FromContext(parent)
	if b.Len() == 0 {
		return
	}
	for _, k := range [...]struct{ member, attribute string }{
		{names.BaggageRunID, names.AttrRunID},
		{names.BaggagePhase, names.AttrPhase},
		{names.BaggageStep, names.AttrStep},
	} {
		if v := memberOf(b, k.member); v != "" {
			s.SetAttributes(attribute.String(k.attribute, v))
		}
	}
}

// OnEnd does nothing.
func (baggageAttributes) OnEnd(sdktrace.ReadOnlySpan) {}

// ForceFlush does nothing.
func (baggageAttributes) ForceFlush(context.Context) error { return nil }

// Shutdown does nothing.
func (baggageAttributes) Shutdown(context.Context) error { return nil }

// memberOf returns a value cut to the bytes that are allowed, or "".
func memberOf(b baggage.Baggage, key string) string {
	v := b.Member(key).Value()
	if len(v) > names.BaggageMaxValue {
		v = strings.ToValidUTF8(v[:names.BaggageMaxValue], "")
	}
	return v
}

// Label puts the load test's phase and run id, as the request's Baggage header
// has them, on the CPU samples that the calling goroutine and those it starts
// will give. The middlewares call it; a service calls it for work that reaches
// it in another way. Use the returned context for the work and call done, on
// the same goroutine, after it. While profiles are off it does nothing.
//
// Pyroscope makes a series of each value, so nothing else is taken, values are
// cut, and the run id is left out when it is on the whole profile already:
// the resource attribute loadtest.run.id puts it there.
func (t *Telemetry) Label(ctx context.Context, h http.Header) (labelled context.Context, done func()) {
	if t == nil || t.profiles == nil || h.Get("Baggage") == "" {
		return ctx, func() {}
	}
	b := baggage.FromContext(propagation.Baggage{}.Extract(ctx, propagation.HeaderCarrier(h)))
	labels := make([]string, 0, 4)
	if v := memberOf(b, names.BaggagePhase); v != "" {
		labels = append(labels, names.LabelPhase, v)
	}
	if v := memberOf(b, names.BaggageRunID); v != "" && !t.profiles.hasRunID {
		labels = append(labels, names.LabelRunID, v)
	}
	if len(labels) == 0 {
		return ctx, func() {}
	}
	labelled = pprof.WithLabels(ctx, pprof.Labels(labels...))
	pprof.SetGoroutineLabels(labelled)
	return labelled, func() { pprof.SetGoroutineLabels(ctx) }
}
