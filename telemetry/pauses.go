package telemetry

import (
	"context"
	"math"
	"runtime/metrics"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/otel/sdk/instrumentation"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/taillight-load/taillight/telemetry/names"
)

// scope is the name under which this package measures.
const scope = "github.com/taillight-load/taillight/telemetry"

// gcPauses is the runtime's name of its histogram of stop-the-world pauses.
const gcPauses = "/sched/pauses/total/gc:seconds"

// pauses produces the histogram of the collector's pauses as the runtime keeps
// it, so that quantiles over any stretch of time can be had of it. An
// instrument would have to be told every single pause.
type pauses struct {
	mu      sync.Mutex
	began   time.Time
	samples []metrics.Sample
	before  []uint64 // counts at the beginning
}

func newPauses(now time.Time) *pauses {
	p := &pauses{began: now, samples: []metrics.Sample{{Name: gcPauses}}}
	if h := p.read(); h != nil {
		p.before = slices.Clone(h.Counts)
	}
	return p
}

// read returns the runtime's histogram; nil when this Go has none.
func (p *pauses) read() *metrics.Float64Histogram {
	metrics.Read(p.samples)
	if p.samples[0].Value.Kind() != metrics.KindFloat64Histogram {
		return nil
	}
	return p.samples[0].Value.Float64Histogram()
}

// Produce returns the pauses since the beginning.
func (p *pauses) Produce(context.Context) ([]metricdata.ScopeMetrics, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	h := p.read()
	if h == nil || len(h.Counts) != len(p.before) {
		return nil, nil
	}
	point := pausePoint(h, p.before)
	point.StartTime, point.Time = p.began, time.Now()
	return []metricdata.ScopeMetrics{{
		Scope: instrumentation.Scope{Name: scope},
		Metrics: []metricdata.Metrics{{
			Name: names.GCPause.Name, Unit: names.GCPause.Unit, Description: names.GCPause.Description,
			Data: metricdata.Histogram[float64]{
				Temporality: metricdata.CumulativeTemporality, DataPoints: []metricdata.HistogramDataPoint[float64]{point},
			},
		}},
	}}, nil
}

// pausePoint makes a point of a runtime histogram, whose bounds, unlike those
// of OTLP, name both ends. Its sum is that of the middles of the buckets, for
// the runtime keeps none.
func pausePoint(h *metrics.Float64Histogram, before []uint64) metricdata.HistogramDataPoint[float64] {
	var p metricdata.HistogramDataPoint[float64]
	p.Bounds = slices.Clone(h.Buckets[1:])
	for i, n := range h.Counts {
		n -= before[i]
		p.BucketCounts = append(p.BucketCounts, n)
		p.Count += n
		low, high := max(h.Buckets[i], 0), h.Buckets[i+1]
		if math.IsInf(high, 1) {
			high = low
		}
		p.Sum += float64(n) * (low + high) / 2
	}
	if last := len(p.Bounds) - 1; math.IsInf(p.Bounds[last], 1) {
		p.Bounds = p.Bounds[:last] // it goes without saying in OTLP
	} else {
		p.BucketCounts = append(p.BucketCounts, 0)
	}
	return p
}
