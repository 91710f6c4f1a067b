package telemetry

import (
	"context"
	"fmt"
	"net/http"
	"runtime/pprof"
	"slices"
	"strings"
	"sync"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/taillight-load/taillight/telemetry/names"
)

// mostBaggage bounds how many keys of its own a service may ask for.
const mostBaggage = 16

// tokenBytes are those that a key of baggage may have.
const tokenBytes = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

// carried is what is taken from a request's baggage: a list of keys, for
// baggage comes from outside. Values are cut, and no label gets more of them
// than names.LabelMaxValues.
type carried struct {
	members []member
	mu      sync.RWMutex
	seen    map[string]map[string]bool // label to values
}

// member is one key of baggage and what becomes of it.
type member struct {
	key       string
	attribute attribute.Key // of a span
	label     string        // of CPU samples, "" for none
	unless    string        // a key that says the same
}

// newCarried adds the keys that a service asks for to those of a load test. A
// step is no label: a plan may have many, and Pyroscope would multiply them
// with everything else.
func newCarried(keys []string) (*carried, error) {
	c := &carried{seen: map[string]map[string]bool{}, members: []member{
		{key: names.BaggageRunID, attribute: names.AttrRunID, label: names.LabelRunID},
		{key: names.BaggagePhase, attribute: names.AttrPhase, label: names.LabelPhase},
		{key: names.BaggageStep, attribute: names.AttrStep},
		{key: names.BaggageK6RunID, attribute: names.BaggageK6RunID, label: names.LabelK6RunID, unless: names.BaggageRunID},
		{key: names.BaggageK6Phase, attribute: names.BaggageK6Phase, label: names.LabelK6Phase, unless: names.BaggagePhase},
		{key: names.BaggageK6Step, attribute: names.BaggageK6Step, unless: names.BaggageStep},
	}}
	if len(keys) > mostBaggage {
		return nil, fmt.Errorf("options name %d baggage keys: at most %d may be taken", len(keys), mostBaggage)
	}
	taken := []string{names.LabelTraceID, names.LabelSpanID, names.LabelSpanName, names.LabelRecording}
	for _, m := range c.members {
		taken = append(taken, m.label)
	}
	for _, key := range keys {
		if key == "" || len(key) > names.BaggageMaxValue || strings.ContainsFunc(key, notInToken) {
			return nil, fmt.Errorf("baggage key %.80q: want a token of at most %d bytes, such as tenant.tier", key, names.BaggageMaxValue)
		}
		label := labelOf(key)
		if slices.Contains(taken, label) {
			return nil, fmt.Errorf("baggage key %q: its profile label %s is taken: leave it out", key, label)
		}
		taken = append(taken, label)
		c.members = append(c.members, member{key: key, attribute: attribute.Key(key), label: label})
	}
	return c, nil
}

// labelOf makes a label that Pyroscope takes of a key: letters, digits and _,
// not beginning with a digit.
func labelOf(key string) string {
	label := strings.Map(func(r rune) rune {
		if r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			return r
		}
		return '_'
	}, key)
	if label[0] >= '0' && label[0] <= '9' {
		label = "_" + label
	}
	return label
}

func notInToken(r rune) bool { return !strings.ContainsRune(tokenBytes, r) }

// leaveOut makes no label of that name any more.
func (c *carried) leaveOut(label string) {
	for i := range c.members {
		if c.members[i].label == label {
			c.members[i].label = ""
		}
	}
}

// each calls take for every allowed member that the baggage has a value of.
func (c *carried) each(b baggage.Baggage, take func(m member, value string)) {
	if b.Len() == 0 {
		return
	}
	for _, m := range c.members {
		if m.unless != "" && b.Member(m.unless).Value() != "" {
			continue
		}
		v := b.Member(m.key).Value()
		if len(v) > names.BaggageMaxValue {
			v = strings.ToValidUTF8(v[:names.BaggageMaxValue], "")
		}
		if v != "" {
			take(m, v)
		}
	}
}

// bounded returns the value, or "other" when the label has had enough of them.
func (c *carried) bounded(label, value string) string {
	c.mu.RLock()
	known := c.seen[label][value]
	c.mu.RUnlock()
	if known {
		return value
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.seen[label] == nil {
		c.seen[label] = map[string]bool{}
	}
	if values := c.seen[label]; len(values) < names.LabelMaxValues || values[value] {
		values[value] = true
		return value
	}
	return names.LabelOther
}

// baggageAttributes copies the allowed baggage onto every span, so that the
// spans of a run, a phase or a step can be asked for.
type baggageAttributes struct{ carried *carried }

// OnStart sets the attributes that the parent's baggage has values for.
func (a baggageAttributes) OnStart(parent context.Context, s sdktrace.ReadWriteSpan) {
	a.carried.each(baggage.FromContext(parent), func(m member, value string) {
		s.SetAttributes(m.attribute.String(value))
	})
}

// OnEnd does nothing.
func (baggageAttributes) OnEnd(sdktrace.ReadOnlySpan) {}

// ForceFlush does nothing.
func (baggageAttributes) ForceFlush(context.Context) error { return nil }

// Shutdown does nothing.
func (baggageAttributes) Shutdown(context.Context) error { return nil }

// Label puts what the headers of a request say about it on the CPU samples
// that the calling goroutine and those it starts will give: the load test's
// phase and run id, and the keys of Options.Baggage. The middlewares call it; a
// service calls it for work that reaches it in another way. Use the returned
// context for the work and call done, on the same goroutine, after it. While
// the profiler is not on for good it does nothing.
//
// Pyroscope makes a series of each value, so values are cut, each label takes
// a bounded number of them ("other" stands for the rest), and the run id is left out
// when it is on the whole profile already: the resource attribute
// loadtest.run.id puts it there. Without spans, which bring it, the trace id is
// a label too.
func (t *Telemetry) Label(ctx context.Context, h http.Header) (labelled context.Context, done func()) {
	if t == nil || !t.continuous {
		return ctx, func() {}
	}
	var labels []string
	if h.Get("Baggage") != "" {
		b := baggage.FromContext(propagation.Baggage{}.Extract(ctx, propagation.HeaderCarrier(h)))
		t.carried.each(b, func(m member, value string) {
			if m.label != "" {
				labels = append(labels, m.label, t.carried.bounded(m.label, value))
			}
		})
	}
	if t.traces == nil && h.Get("Traceparent") != "" {
		remote := propagation.TraceContext{}.Extract(context.Background(), propagation.HeaderCarrier(h))
		if sc := trace.SpanContextFromContext(remote); sc.IsSampled() {
			labels = append(labels, names.LabelTraceID, sc.TraceID().String())
		}
	}
	if len(labels) == 0 {
		return ctx, func() {}
	}
	labelled = pprof.WithLabels(ctx, pprof.Labels(labels...))
	pprof.SetGoroutineLabels(labelled)
	return labelled, func() { pprof.SetGoroutineLabels(ctx) }
}
