package exporter

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/taillight-load/taillight/loadgen"
)

// slowest is how many of the slowest exchanges always become exemplars.
const slowest = 4

// A reservoir picks the exemplars of one point and one collection: the
// slowest, and a uniform choice in each octave of latency, so that a click on
// any height of a heat map finds a trace.
type reservoir struct {
	tail    []exemplar // ascending by value, at most slowest
	octaves map[int]*octave
}

type octave struct {
	seen int
	pick exemplar
}

type exemplar struct {
	value float64 // seconds
	done  time.Duration
	trace [16]byte
	span  [8]byte
}

// offer considers an exchange that was measured as v.
func (r *reservoir) offer(x *loadgen.Exchange, v time.Duration) {
	e := exemplar{value: v.Seconds(), done: x.Done, trace: x.TraceID, span: x.SpanID}
	at, _ := slices.BinarySearchFunc(r.tail, e, func(a, b exemplar) int { return cmp.Compare(a.value, b.value) })
	if r.tail = slices.Insert(r.tail, at, e); len(r.tail) > slowest {
		r.tail = slices.Delete(r.tail, 0, 1)
	}
	if r.octaves == nil {
		r.octaves = map[int]*octave{}
	}
	_, exp := math.Frexp(e.value)
	o := r.octaves[exp]
	if o == nil {
		o = &octave{}
		r.octaves[exp] = o
	}
	// The n-th replaces the pick with probability 1/n: no part of the second
	// is preferred.
	if o.seen++; rand.IntN(o.seen) == 0 {
		o.pick = e
	}
}

// take returns the exemplars in order of time, as Prometheus wants them, and
// empties the reservoir.
func (r *reservoir) take(began time.Time) []metricdata.Exemplar[float64] {
	all := r.tail
	for _, o := range r.octaves {
		if !slices.ContainsFunc(all, func(e exemplar) bool { return e.span == o.pick.span && e.trace == o.pick.trace }) {
			all = append(all, o.pick)
		}
	}
	*r = reservoir{}
	slices.SortFunc(all, func(a, b exemplar) int { return cmp.Compare(a.done, b.done) })
	var out []metricdata.Exemplar[float64]
	for i := range all {
		e := &all[i]
		out = append(out, metricdata.Exemplar[float64]{
			Time: began.Add(e.done), Value: e.value, TraceID: e.trace[:], SpanID: e.span[:],
		})
	}
	return out
}
