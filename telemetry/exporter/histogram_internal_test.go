package exporter

import (
	"math"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"go.opentelemetry.io/otel/attribute"
	"pgregory.net/rapid"

	"github.com/taillight-load/taillight/loadgen"
)

// The bounds of a bucket contain its value, for every value that can be held.
func TestBucketHoldsItsValue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := rapid.Float64Range(1e-6, 3604).Draw(t, "seconds")
		holds(t, v)
	})
}

// Bounds themselves, and their neighbours, are where rounding would show.
func TestBucketAtBounds(t *testing.T) {
	for i := firstBucket; i <= firstBucket+buckets; i++ {
		b := bound(i)
		if got := bucketOf(b); got != i-1 {
			t.Fatalf("the bound %g is in bucket %d, want %d: upper bounds belong to their bucket", b, got, i-1)
		}
		holds(t, math.Nextafter(b, 0))
		holds(t, math.Nextafter(b, math.Inf(1)))
	}
}

func holds(t interface{ Fatalf(string, ...any) }, v float64) {
	i := bucketOf(v)
	if low, high := bound(i), bound(i+1); v <= low || v > high {
		t.Fatalf("%g is in bucket %d, (%g, %g]", v, i, low, high)
	}
}

// No count is lost or made, whatever the distributions and however they are
// cut; sum, minimum and maximum stay exact.
func TestHistogramConserves(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var h histogram
		var count uint64
		var sum, lowest, highest time.Duration
		for range rapid.IntRange(0, 4).Draw(t, "seconds") {
			d := loadgen.Distribution{Hist: hdrhistogram.New(loadgen.HistogramMin, loadgen.HistogramMax, loadgen.HistogramDigits)}
			for i, us := range rapid.SliceOfN(rapid.Int64Range(0, loadgen.HistogramMax), 0, 50).Draw(t, "us") {
				if err := d.Hist.RecordValue(us); err != nil {
					t.Fatal(err)
				}
				v := time.Duration(us)*time.Microsecond + 7
				if i == 0 || v < d.Min {
					d.Min = v
				}
				d.Max = max(d.Max, v)
				d.Sum += v
				if count == 0 || v < lowest {
					lowest = v
				}
				count, sum, highest = count+1, sum+v, max(highest, v)
			}
			h.add(d)
		}
		p := h.point(*attribute.EmptySet())
		total := p.ZeroCount
		for _, n := range p.PositiveBucket.Counts {
			total += n
		}
		if p.Count != count || total != count {
			t.Fatalf("%d values: count %d, in buckets %d", count, p.Count, total)
		}
		if math.Abs(p.Sum-sum.Seconds()) > 1e-9*sum.Seconds() {
			t.Fatalf("sum %g, want %g", p.Sum, sum.Seconds())
		}
		low, ok := p.Min.Value()
		high, _ := p.Max.Value()
		if ok != (count > 0) || low != lowest.Seconds() || high != highest.Seconds() {
			t.Fatalf("min %g, max %g, want %g, %g", low, high, lowest.Seconds(), highest.Seconds())
		}
		if b := p.PositiveBucket.Counts; len(b) > 0 && (b[0] == 0 || b[len(b)-1] == 0) {
			t.Fatalf("buckets are not trimmed: %v", b)
		}
	})
}

// A reservoir keeps the slowest of any stream, and one of each octave.
func TestReservoir(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Int64Range(1, int64(time.Hour)), 1, 200).Draw(t, "ns")
		var r reservoir
		octaves := map[int]bool{}
		for i, v := range values {
			x := loadgen.Exchange{Done: time.Duration(i)}
			x.SpanID[0], x.SpanID[1] = byte(i), byte(i>>8)
			r.offer(&x, time.Duration(v))
			_, exp := math.Frexp(time.Duration(v).Seconds())
			octaves[exp] = true
		}
		got := r.take(time.Unix(0, 0))
		seen := map[int]bool{}
		held := map[string]bool{}
		for i, e := range got {
			if i > 0 && e.Time.Before(got[i-1].Time) {
				t.Fatal("exemplars are not in order of time")
			}
			if held[string(e.SpanID)] {
				t.Fatal("an exchange is an exemplar twice")
			}
			held[string(e.SpanID)] = true
			_, exp := math.Frexp(e.Value)
			seen[exp] = true
		}
		for exp := range octaves {
			if !seen[exp] {
				t.Fatalf("octave 2^%d has no exemplar", exp)
			}
		}
		if len(got) > len(octaves)+slowest {
			t.Fatalf("%d exemplars of %d octaves", len(got), len(octaves))
		}
		for i := range values {
			slower := 0
			for k := range values {
				if values[k] > values[i] {
					slower++
				}
			}
			ties := 0
			for k := range values {
				if values[k] == values[i] {
					ties++
				}
			}
			if slower+ties <= slowest && !held[string([]byte{byte(i), byte(i >> 8), 0, 0, 0, 0, 0, 0})] {
				t.Fatalf("%d ns has %d slower ones and is no exemplar", values[i], slower)
			}
		}
		if again := r.take(time.Unix(0, 0)); len(again) != 0 {
			t.Fatal("take does not empty the reservoir")
		}
	})
}

func TestChoose(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 300).Draw(t, "exchanges")
		limit := 2 * rapid.IntRange(1, 50).Draw(t, "half limit")
		kept := make([]loadgen.Exchange, n)
		want, failed := 0, 0
		for i := range kept {
			kept[i] = loadgen.Exchange{N: uint64(i), Sampled: rapid.Bool().Draw(t, "sampled"), Done: time.Duration(rapid.IntRange(0, 1000).Draw(t, "done"))}
			if rapid.IntRange(0, 20).Draw(t, "failed") == 0 {
				kept[i].Error = loadgen.ErrReset
			}
			if kept[i].Sampled {
				want++
				if !kept[i].OK() {
					failed++
				}
			}
		}
		chosen, sampled := choose(kept, limit)
		if sampled != want || len(chosen) != min(want, limit) {
			t.Fatalf("chose %d of %d, want %d of %d", len(chosen), sampled, min(want, limit), want)
		}
		seen := map[uint64]bool{}
		gotFailed := 0
		for _, x := range chosen {
			if !x.Sampled || seen[x.N] {
				t.Fatalf("exchange %d is unsampled or chosen twice", x.N)
			}
			seen[x.N] = true
			if !x.OK() {
				gotFailed++
			}
		}
		if gotFailed < min(failed, limit/2) {
			t.Fatalf("%d of %d failures chosen", gotFailed, failed)
		}
	})
}

// What a second's merge costs: one series at 2,000 requests/s, all kept.
func BenchmarkSecond(b *testing.B) {
	s := newState(Options{Phases: []string{"steady"}, Steps: []Step{{Name: "GET /", Method: "GET"}}}, newLosses())
	d := loadgen.Distribution{Hist: hdrhistogram.New(loadgen.HistogramMin, loadgen.HistogramMax, loadgen.HistogramDigits)}
	sec := loadgen.Second{}
	for i := range int64(2000) {
		_ = d.Hist.RecordValue(10_000 + i*5)
		sec.Kept = append(sec.Kept, loadgen.Exchange{Sampled: true, Status: 200, Done: time.Duration(i)})
	}
	sec.Series = []loadgen.Series{{Response: d, Service: d, Lag: d}}
	b.ReportAllocs()
	for b.Loop() {
		s.add(&sec)
		if _, err := s.Produce(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
