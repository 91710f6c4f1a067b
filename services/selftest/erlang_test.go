package selftest_test

import (
	"context"
	"math"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/loadgen/stats"
)

// queue is a server with some places and exponential service times, first come
// first served: M/M/c under Poisson arrivals.
type queue struct {
	places chan struct{}
	mean   float64 // seconds

	mu     sync.Mutex
	random *rand.Rand
}

// Do implements loadgen.Client.
func (q *queue) Do(_ *loadgen.Request, x *loadgen.Exchange) {
	q.mu.Lock()
	took := q.mean * q.random.ExpFloat64()
	q.mu.Unlock()
	q.places <- struct{}{}
	time.Sleep(time.Duration(took * float64(time.Second)))
	<-q.places
	x.Status = http.StatusOK
}

// Close implements loadgen.Client.
func (q *queue) Close() {}

const (
	erlangServers = 4
	erlangRate    = 100.0 // of one server, per second
)

// longer returns the probability that a request of M/M/c takes over t seconds
// (Erlang C), at a utilisation rho.
func longer(t, rho float64) float64 {
	c, a := float64(erlangServers), erlangServers*rho
	blocked := 1.0 // Erlang B, by its recursion
	for n := 1.0; n <= c; n++ {
		blocked = a * blocked / (n + a*blocked)
	}
	waits := blocked / (1 - rho*(1-blocked))
	mt := erlangRate * t
	return math.Exp(-mt) * (1 + waits*(1-math.Exp(-mt*(c-1-a)))/(c-1-a))
}

// percentileOf inverts it.
func percentileOf(q, rho float64) float64 {
	lo, hi := 0.0, 10.0
	for range 60 {
		if mid := (lo + hi) / 2; longer(mid, rho) > 1-q {
			lo = mid
		} else {
			hi = mid
		}
	}
	return hi
}

func TestErlangsFormula(t *testing.T) {
	for rho, want := range map[float64]float64{0.5: 47.6, 0.7: 54.9, 0.8: 68.9, 0.9: 121.9, 0.95: 235.7, 0.98: 580} {
		if got := 1e3 * percentileOf(0.99, rho); math.Abs(got/want-1) > 0.002 {
			t.Errorf("rho %g: p99 %.1f ms, want %.1f", rho, got, want)
		}
	}
}

// measured runs a load on the fake clock and returns the intervals of its
// percentiles, by blocks that are long against the queue's memory.
func measured(t *testing.T, load loadgen.Load, think loadgen.Think, quantiles []float64) (intervals []stats.Interval, rate float64) {
	t.Helper()
	const length, block, warm = 210 * time.Second, 10 * time.Second, 10 * time.Second
	blocks := make([]loadgen.Distribution, int((length-warm)/block))
	var n int64
	synctest.Test(t, func(t *testing.T) {
		q := &queue{places: make(chan struct{}, erlangServers), mean: 1 / erlangRate, random: rand.New(rand.NewPCG(3, 4))}
		_, err := loadgen.Attack(context.Background(), loadgen.Plan{
			Target: "http://127.0.0.1:1", Think: think,
			Phases:   []loadgen.Phase{{Name: "steady", For: length, Load: load}},
			Journeys: []loadgen.Journey{{Steps: []loadgen.Step{{Path: "/"}}}},
		}, loadgen.Options{
			Timer: loadgen.RuntimeTimer, NewClient: func() loadgen.Client { return q },
			OnSecond: func(s loadgen.Second) {
				at := int((s.Start - warm) / block)
				if s.Start < warm || at >= len(blocks) {
					return
				}
				for i := range s.Series {
					blocks[at].Merge(s.Series[i].Response)
					n += s.Series[i].Completed
				}
			},
		})
		if err != nil {
			t.Fatal(err)
		}
	})
	for _, p := range quantiles {
		interval, ok := stats.BlockBootstrap(blocks, 500, 0.999, func(drawn []loadgen.Distribution) float64 {
			var all loadgen.Distribution
			for _, b := range drawn {
				all.Merge(b)
			}
			return all.Quantile(p).Seconds()
		})
		if !ok {
			t.Fatal("too few blocks")
		}
		intervals = append(intervals, interval)
	}
	return intervals, float64(n) / (length - warm).Seconds()
}

// Arrivals that wait for nobody measure what Erlang's formula says, to the
// 99th percentile. Ten users who wait for their answers, at the same rate, do
// not: they never queue more than six deep.
func TestOpenLoadMeasuresErlangsPercentiles(t *testing.T) {
	if testing.Short() {
		t.Skip("simulates some 300,000 requests")
	}
	quantiles := []float64{0.50, 0.95, 0.99}
	for _, rho := range []float64{0.5, 0.7, 0.8} {
		load := loadgen.Load{Rate: loadgen.Constant(rho * erlangServers * erlangRate), Arrivals: loadgen.Poisson}
		got, _ := measured(t, load, loadgen.Think{}, quantiles)
		for i, q := range quantiles {
			truth := percentileOf(q, rho)
			t.Logf("rho %g p%g: %.1f to %.1f ms, truth %.1f", rho, 100*q, 1e3*got[i].Lo, 1e3*got[i].Hi, 1e3*truth)
			if !got[i].Contains(truth) {
				t.Errorf("rho %g p%g: %.2f to %.2f ms, the formula says %.2f", rho, 100*q, 1e3*got[i].Lo, 1e3*got[i].Hi, 1e3*truth)
			}
		}
	}
	closed, rate := measured(t, loadgen.Load{Users: loadgen.Constant(10)}, loadgen.Think{Kind: loadgen.ThinkExponential, Max: 11 * time.Millisecond}, quantiles)
	rho := rate / (erlangServers * erlangRate)
	if rho < 0.8 || rho > 0.97 {
		t.Fatalf("ten users made %.1f/s: not the rate to compare", rate)
	}
	off := slices.IndexFunc(quantiles, func(q float64) bool { return !closed[slices.Index(quantiles, q)].Contains(percentileOf(q, rho)) })
	last := len(quantiles) - 1
	t.Logf("closed, rho %.3f: p99 %.1f to %.1f ms, truth %.1f", rho, 1e3*closed[last].Lo, 1e3*closed[last].Hi, 1e3*percentileOf(0.99, rho))
	if off < 0 || closed[last].Hi > 0.8*percentileOf(0.99, rho) {
		t.Errorf("ten users who wait passed the check that is to catch them: %v at rho %.3f", closed, rho)
	}
}
