package search_test

import (
	"container/heap"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/taillight-load/taillight/loadgen/search"
)

// server is a queue with some servers, first come first served, whose limit is
// known. It is asked by arrivals that wait for nobody.
type server struct {
	servers int
	service func(*rand.Rand) float64 // seconds
	slowAt  float64                  // seconds of load after which half of the servers are gone; 0 is never
	cap     float64                  // requests per second that the generator can send; 0 is any

	random *rand.Rand
	clock  float64 // seconds of load so far
}

func exponential(mean float64) func(*rand.Rand) float64 {
	return func(r *rand.Rand) float64 { return mean * r.ExpFloat64() }
}

func constant(mean float64) func(*rand.Rand) float64 {
	return func(*rand.Rand) float64 { return mean }
}

// free is a heap of the moments at which servers are free.
type free []float64

func (f free) Len() int           { return len(f) }
func (f free) Less(i, j int) bool { return f[i] < f[j] }
func (f free) Swap(i, j int)      { f[i], f[j] = f[j], f[i] }
func (f *free) Push(v any)        { *f = append(*f, v.(float64)) }
func (f *free) Pop() any {
	last := (*f)[len(*f)-1]
	*f = (*f)[:len(*f)-1]
	return last
}

// responses runs arrivals at a rate for so many seconds and returns when each
// came and how long it took.
func (s *server) responses(rate, seconds float64) (arrived, took []float64) {
	n := s.servers
	if s.slowAt > 0 && s.clock > s.slowAt {
		n = s.servers / 2
	}
	s.clock += seconds
	idle := make(free, n)
	for at := s.random.ExpFloat64() / rate; at < seconds; at += s.random.ExpFloat64() / rate {
		start := max(at, idle[0])
		idle[0] = start + s.service(s.random)
		arrived, took = append(arrived, at), append(took, idle[0]-at)
		heap.Fix(&idle, 0)
	}
	return arrived, took
}

// run runs one trial against an objective.
func (s *server) run(trial search.Trial, limit float64) search.Outcome {
	if s.cap > 0 && trial.Rate > s.cap {
		return search.Outcome{Broken: "sent 70 % of what was planned"}
	}
	warm, length := trial.WarmUp.Seconds(), trial.Length.Seconds()
	arrived, took := s.responses(trial.Rate, warm+length)
	width := search.BlockLength(trial.Length).Seconds()
	o := search.Outcome{Blocks: make([]search.Block, int(math.Ceil(length/width))), InFlight: make([]float64, int(length))}
	answered := 0.0
	for i, at := range arrived {
		done := at + took[i]
		if done >= warm && done < warm+length {
			answered++
		}
		for second := range o.InFlight {
			if at := warm + float64(second); at >= arrived[i] && at < done {
				o.InFlight[second]++
			}
		}
		if at < warm {
			continue
		}
		b := &o.Blocks[int((at-warm)/width)]
		b.Planned++
		if took[i] > limit || done > warm+length+limit {
			b.Missed++
		}
	}
	o.Achieved = answered / length
	return o
}

// find searches for the rate at which 99 in 100 take at most limit seconds.
func find(t *testing.T, s *server, limit float64, o search.Options) search.Result {
	t.Helper()
	search, err := search.New(o)
	if err != nil {
		t.Fatal(err)
	}
	for trials := 0; ; trials++ {
		trial, ok := search.Next()
		if !ok {
			return search.Result()
		}
		if trials > 200 {
			t.Fatalf("no end after 200 trials: %+v", search.Result())
		}
		search.Record(s.run(trial, limit))
	}
}

// truth is the rate at which 1 in 100 takes over limit, by simulating each
// candidate for a long time.
func truth(servers int, service func(*rand.Rand) float64, limit, highest float64) float64 {
	lo, hi := 0.0, highest
	for range 12 {
		mid := (lo + hi) / 2
		s := &server{servers: servers, service: service, random: rand.New(rand.NewPCG(99, 99))}
		_, took := s.responses(mid, 400_000/mid)
		slices.Sort(took)
		if took[int(0.99*float64(len(took)))] <= limit {
			lo = mid
		} else {
			hi = mid
		}
	}
	return lo
}

// The limit of M/M/4 at 100/s each is known: 1 in 100 takes over 100 ms from
// 350.1/s on. M/D/1 and a lock (one server) have theirs by long simulation.
func TestTheBracketHoldsTheLimit(t *testing.T) {
	if testing.Short() {
		t.Skip("simulates 120 searches")
	}
	for _, c := range []struct {
		name    string
		servers int
		service func(*rand.Rand) float64
		limit   float64
		truth   float64
	}{
		{"M/M/4", 4, exponential(0.010), 0.100, 350.1},
		{"M/D/1", 1, constant(0.005), 0.050, truth(1, constant(0.005), 0.050, 200)},
		{"lock", 1, exponential(0.004), 0.080, truth(1, exponential(0.004), 0.080, 250)},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			held := 0
			for seed := range uint64(40) {
				s := &server{servers: c.servers, service: c.service, random: rand.New(rand.NewPCG(seed, 1))}
				r := find(t, s, c.limit, search.Options{Start: 20})
				if r.Bracketed() && r.Pass <= 1.05*c.truth && r.Fail >= 0.95*c.truth {
					held++
				} else {
					t.Logf("seed %d: %s, %.1f to %.1f, the limit is %.1f", seed, r.End, r.Pass, r.Fail, c.truth)
				}
			}
			t.Logf("limit %.1f/s: %d of 40 brackets meet it within 5 %%", c.truth, held)
			if held < 38 {
				t.Errorf("%d of 40 brackets hold the limit", held)
			}
		})
	}
}

func TestTheGeneratorsLimitIsNotTheTargets(t *testing.T) {
	s := &server{servers: 4, service: exponential(0.010), cap: 200, random: rand.New(rand.NewPCG(1, 2))}
	r := find(t, s, 0.1, search.Options{Start: 20})
	if r.End != search.Generator || r.Fail != 0 || r.Pass > 200 {
		t.Errorf("%s, %.1f to %.1f; the generator sends 200/s at most", r.End, r.Pass, r.Fail)
	}
}

// Half of the servers go while the search is at it: what passed passes no more.
func TestALimitThatDropsIsNotedAsUnsteady(t *testing.T) {
	unsteady := 0
	for seed := range uint64(10) {
		s := &server{servers: 4, service: exponential(0.010), slowAt: 130, random: rand.New(rand.NewPCG(seed, 3))}
		r := find(t, s, 0.1, search.Options{Start: 20})
		if r.End == search.Unsteady || r.Bracketed() && r.Fail < 190 {
			unsteady++
			continue
		}
		t.Logf("seed %d: %s, %.1f to %.1f", seed, r.End, r.Pass, r.Fail)
	}
	if unsteady < 9 {
		t.Errorf("%d of 10 saw that the limit dropped", unsteady)
	}
}

func TestEnds(t *testing.T) {
	fast := &server{servers: 1000, service: constant(0.001), random: rand.New(rand.NewPCG(1, 4))}
	if r := find(t, fast, 0.1, search.Options{Start: 100, MaxRate: 1000}); r.End != search.Unlimited || r.Pass != 1000 {
		t.Errorf("a service without a limit: %s at %.1f", r.End, r.Pass)
	}
	never := &server{servers: 1, service: constant(0.2), random: rand.New(rand.NewPCG(1, 5))}
	if r := find(t, never, 0.1, search.Options{Start: 10}); r.End != search.Unreachable || r.Pass != 0 {
		t.Errorf("a service that never keeps the limit: %s at %.1f", r.End, r.Pass)
	}
	short := &server{servers: 4, service: exponential(0.010), random: rand.New(rand.NewPCG(1, 6))}
	if r := find(t, short, 0.1, search.Options{Start: 20, MaxTime: time.Minute}); r.End != search.OutOfTime || r.Spent > time.Minute {
		t.Errorf("one minute: %s after %s", r.End, r.Spent)
	}
}

func TestRecoveryIsTried(t *testing.T) {
	s := &server{servers: 4, service: exponential(0.010), random: rand.New(rand.NewPCG(5, 7))}
	r := find(t, s, 0.1, search.Options{Start: 20})
	if r.End != search.Found || r.Recovered == nil || !*r.Recovered {
		t.Errorf("%s, recovered %v", r.End, r.Recovered)
	}
}
