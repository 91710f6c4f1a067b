package exporter

import (
	"math"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/taillight-load/taillight/loadgen"
)

// Scale of all exponential histograms: 32 buckets to the octave, each 2.2 %
// wide. A quantile read from them is off by half of that at most.
const Scale = 5

// Buckets are held for all values that loadgen's histograms hold: 2^-20 s is
// below 1 us, and 2^12 s above 1 h.
const (
	perOctave   = 1 << Scale
	firstBucket = -20 * perOctave
	buckets     = 32 * perOctave
)

// bucketOf returns the index i of the bucket that holds v > 0:
// base^i < v <= base^(i+1), base 2^(1/32).
func bucketOf(v float64) int {
	frac, exp := math.Frexp(v) // exact, where log2 of a number near a power of two is not
	i := (exp-1)*perOctave + int(math.Ceil(math.Log2(2*frac)*perOctave)) - 1
	// Rounding may have gone over a bound by one.
	if v <= bound(i) {
		i--
	} else if v > bound(i+1) {
		i++
	}
	return i
}

// bound returns base^i, the bound between bucket i-1 and bucket i.
func bound(i int) float64 { return math.Exp2(float64(i) / perOctave) }

// A histogram is a cumulative exponential histogram. Sum, minimum and maximum
// are exact, counts too; only the place of a value is its bucket's.
type histogram struct {
	counts   []uint64 // of all buckets; nil while empty
	low, top int      // indices into counts, of the first and last in use
	zero     uint64   // below 1 us
	count    uint64
	sum      time.Duration
	min, max time.Duration
}

// add adds a distribution of durations.
func (h *histogram) add(d loadgen.Distribution) {
	if d.Hist == nil || d.Hist.TotalCount() == 0 {
		return
	}
	if h.counts == nil {
		h.counts = make([]uint64, buckets)
		h.low, h.top = buckets, -1
	}
	if h.count == 0 || d.Min < h.min {
		h.min = d.Min
	}
	h.max = max(h.max, d.Max)
	h.sum += d.Sum
	for _, bar := range d.Hist.Distribution() {
		if bar.Count > 0 {
			h.put(float64(bar.From+bar.To)/2e6, uint64(bar.Count))
		}
	}
}

// put adds n values of v seconds.
func (h *histogram) put(v float64, n uint64) {
	h.count += n
	if v <= 0 {
		h.zero += n
		return
	}
	at := min(max(bucketOf(v)-firstBucket, 0), buckets-1)
	h.counts[at] += n
	h.low, h.top = min(h.low, at), max(h.top, at)
}

// point returns the state as it is sent, without times and exemplars.
func (h *histogram) point(attributes attribute.Set) metricdata.ExponentialHistogramDataPoint[float64] {
	p := metricdata.ExponentialHistogramDataPoint[float64]{
		Attributes: attributes, Scale: Scale, Count: h.count, ZeroCount: h.zero, Sum: h.sum.Seconds(),
	}
	if h.count == 0 {
		return p
	}
	p.Min = metricdata.NewExtrema(h.min.Seconds())
	p.Max = metricdata.NewExtrema(h.max.Seconds())
	if h.top >= h.low {
		p.PositiveBucket = metricdata.ExponentialBucket{
			Offset: int32(firstBucket + h.low),
			Counts: append([]uint64(nil), h.counts[h.low:h.top+1]...),
		}
	}
	return p
}
