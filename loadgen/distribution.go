package loadgen

import (
	"math"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Record adds one duration. Below 1 us it is counted at 1 us, above 1 h at
// 1 h: never dropped. Min, Max and Sum stay exact.
func (d *Distribution) Record(v time.Duration) {
	if d.Hist == nil {
		d.Hist = newHistogram()
	}
	v = max(v, 0)
	if d.Hist.TotalCount() == 0 || v < d.Min {
		d.Min = v
	}
	d.Max = max(d.Max, v)
	d.Sum += v
	us := min(max(int64((v+time.Microsecond/2)/time.Microsecond), HistogramMin), HistogramMax)
	// The value is inside the histogram's range, so this cannot fail.
	_ = d.Hist.RecordValue(us)
}

func newHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(HistogramMin, HistogramMax, HistogramDigits)
}

// Merge adds everything o holds to d; o is unchanged and not retained.
func (d *Distribution) Merge(o Distribution) {
	if o.N() == 0 {
		return
	}
	if d.N() == 0 {
		d.Min = o.Min
	}
	if d.Hist == nil {
		d.Hist = newHistogram()
	}
	d.Min = min(d.Min, o.Min)
	d.Max = max(d.Max, o.Max)
	d.Sum += o.Sum
	d.Hist.Merge(o.Hist)
}

// N returns the number of recorded durations.
func (d Distribution) N() int64 {
	if d.Hist == nil {
		return 0
	}
	return d.Hist.TotalCount()
}

// Mean returns the exact mean, 0 when empty.
func (d Distribution) Mean() time.Duration {
	n := d.N()
	if n == 0 {
		return 0
	}
	return d.Sum / time.Duration(n)
}

// Quantile returns the nearest-rank quantile: the ceil(q n)-th smallest, to
// the histogram's 3 digits and never outside the exact Min and Max. q is
// 0..1; an empty distribution has 0.
func (d Distribution) Quantile(q float64) time.Duration {
	n := d.N()
	if n == 0 {
		return 0
	}
	// The tolerance is for products such as 0.07 * 100, just above 7 in binary.
	rank := int64(math.Ceil(q * float64(n) * (1 - 1e-12)))
	switch {
	case rank <= 1:
		return d.Min
	case rank >= n:
		return d.Max
	}
	v := time.Duration(d.Hist.ValueAtPercentile(100*float64(rank)/float64(n))) * time.Microsecond
	return min(max(v, d.Min), d.Max)
}

// Above returns how many recorded durations were longer than limit, to the
// histogram's resolution: durations in the same bucket as limit count as not
// longer.
func (d Distribution) Above(limit time.Duration) int64 {
	if d.N() == 0 || limit >= d.Max {
		return 0
	}
	us := int64(limit / time.Microsecond)
	var within int64
	for _, b := range d.Hist.Distribution() {
		if b.From > us {
			break
		}
		within += b.Count
	}
	return d.N() - within
}
