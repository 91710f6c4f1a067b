package explain_test

import (
	"encoding/binary"
	"math/rand/v2"
	"runtime/metrics"
	"sync"
	"testing"
	"time"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/telemetry/explain"
	"github.com/taillight-load/taillight/telemetry/signal"
)

// Of a run of a million requests, 2 % waited 40 ms for a lock. A recorder keeps
// the slowest 20,000 of its exchanges and 10,000 of the others.
const (
	millionRequests = 1_000_000
	millionRate     = 1000
	millionSlow     = 20_000
	millionUniform  = 10_000
)

func million() explain.Input {
	random := rand.New(rand.NewPCG(5, 0))
	plan := loadgen.Plan{
		Name:     "million",
		Phases:   []loadgen.Phase{{Name: "steady", For: millionRequests / millionRate * time.Second, Load: loadgen.Load{Rate: loadgen.Constant(millionRate)}}},
		Journeys: []loadgen.Journey{{Steps: []loadgen.Step{{Name: "GET /", Method: "GET", Path: "/"}}}},
	}.WithDefaults()
	in := record(plan, nil)
	in.Result.Began = time.Unix(1_796_000_000, 0)
	series := &in.Result.Series[0]
	const every = millionRequests / millionUniform
	for n := range millionRequests {
		at := time.Duration(n) * time.Second / millionRate
		lag := time.Duration(random.IntN(50)) * time.Microsecond
		waited := time.Duration(0)
		if n%(millionRequests/millionSlow) == 7 {
			waited = 40 * ms
		}
		running := 5*ms + time.Duration(random.ExpFloat64()*float64(ms))
		x := loadgen.Exchange{
			N: uint64(n + 1), Iteration: uint64(n + 1), User: -1, Intended: at, Sent: at + lag, Done: at + lag + running + waited + 200*time.Microsecond,
			Status: 200, Reused: n > 100, Sampled: true, BytesIn: 500, BytesOut: 120,
		}
		x.Timings.Wait = x.Service()
		binary.BigEndian.PutUint64(x.TraceID[:], x.N)
		binary.BigEndian.PutUint64(x.SpanID[:], x.N)
		counts := loadgen.Counts{Planned: 1, Sent: 1, Completed: 1, BytesIn: x.BytesIn, BytesOut: x.BytesOut}
		series.Add(counts)
		series.OK.Record(x.Response())
		series.Response.Record(x.Response())
		series.Service.Record(x.Service())
		series.Lag.Record(x.Lag())
		in.Seconds[min(int(x.Done/time.Second), len(in.Seconds)-1)].Series[0].Add(counts)
		switch {
		case waited > 0:
			x.Kept, x.Weight = loadgen.KeptSlow, 1
		case n%every == 3:
			x.Kept, x.Weight = loadgen.KeptUniform, every
		default:
			continue
		}
		in.Exchanges = append(in.Exchanges, x)
		in.Timelines = append(in.Timelines, signal.Timeline{
			TraceID: x.TraceID, Total: int64(running + waited), Running: int64(running),
			Blocked: signal.Blocked{Sync: int64(waited)},
			Blocks:  []signal.Block{{Reason: signal.BlockSync, Time: int64(waited), Count: 1, Stack: []signal.Call{{Func: "app.reserve", File: "/app/stock.go", Line: 12}}}},
		})
	}
	in.Spans = serverSpans(in.Exchanges, in.Result.Began)
	for i := range in.Timelines {
		in.Timelines[i].SpanID = in.Spans[i].SpanID
	}
	return in
}

// A run of a million requests is explained in seconds, within a GiB.
func TestAMillionRequests(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	const (
		mostMemory = 1 << 30
		mostTime   = 2 * time.Minute // only a hang is a fault on a slow machine
	)
	in := million()
	var out explain.Output
	began := time.Now()
	peak := peakMemory(func() { out = explain.Explain(in) })
	took := time.Since(began)
	t.Logf("%s, at most %d MiB, with %d exchanges kept", took, peak>>20, len(in.Exchanges))
	if peak > mostMemory || took > mostTime {
		t.Errorf("%s and %d MiB, want at most %s and %d MiB", took, peak>>20, mostTime, mostMemory>>20)
	}
	found, why := rule(out, "F8")
	if len(found) != 1 || found[0].Component != explain.SelfSync.String() {
		t.Errorf("F8 says %+v (%s), want the lock", found, why)
	}
	// Two thirds of the kept exchanges waited for the lock, of all one in fifty.
	if found, _ := rule(out, "F12"); len(found) > 0 {
		t.Errorf("F12 says %s", found[0].Claim)
	}
}

// peakMemory returns the most memory that the process held while f ran.
func peakMemory(f func()) uint64 {
	sample := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	var peak uint64
	var watching sync.WaitGroup
	done := make(chan struct{})
	watching.Go(func() {
		for {
			metrics.Read(sample)
			peak = max(peak, sample[0].Value.Uint64()-sample[1].Value.Uint64())
			select {
			case <-done:
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	})
	f()
	close(done)
	watching.Wait()
	return peak
}
