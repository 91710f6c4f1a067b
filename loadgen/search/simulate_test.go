package search_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/taillight-load/taillight/loadgen/search"
)

// find searches for the rate at which 99 in 100 take at most limit seconds.
func find(t *testing.T, s *search.Simulated, limit float64, o search.Options) search.Result {
	t.Helper()
	r, err := s.Find(limit, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func truth(servers int, service func(*rand.Rand) float64, limit, highest float64) float64 {
	return (&search.Simulated{Servers: servers, Service: service}).Limit(limit, 0.01, highest)
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
		{"M/M/4", 4, search.Exponential(0.010), 0.100, 350.1},
		{"M/D/1", 1, search.Deterministic(0.005), 0.050, truth(1, search.Deterministic(0.005), 0.050, 200)},
		{"lock", 1, search.Exponential(0.004), 0.080, truth(1, search.Exponential(0.004), 0.080, 250)},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			held := 0
			for seed := range uint64(40) {
				s := &search.Simulated{Servers: c.servers, Service: c.service, Random: rand.New(rand.NewPCG(seed, 1))}
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
	s := &search.Simulated{Servers: 4, Service: search.Exponential(0.010), Cap: 200, Random: rand.New(rand.NewPCG(1, 2))}
	r := find(t, s, 0.1, search.Options{Start: 20})
	if r.End != search.Generator || r.Fail != 0 || r.Pass > 200 {
		t.Errorf("%s, %.1f to %.1f; the generator sends 200/s at most", r.End, r.Pass, r.Fail)
	}
}

// Half of the servers go while the search is at it: what passed passes no more.
func TestALimitThatDropsIsNotedAsUnsteady(t *testing.T) {
	unsteady := 0
	for seed := range uint64(10) {
		s := &search.Simulated{Servers: 4, Service: search.Exponential(0.010), SlowAt: 130, Random: rand.New(rand.NewPCG(seed, 3))}
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
	fast := &search.Simulated{Servers: 1000, Service: search.Deterministic(0.001), Random: rand.New(rand.NewPCG(1, 4))}
	if r := find(t, fast, 0.1, search.Options{Start: 100, MaxRate: 1000}); r.End != search.Unlimited || r.Pass != 1000 {
		t.Errorf("a service without a limit: %s at %.1f", r.End, r.Pass)
	}
	never := &search.Simulated{Servers: 1, Service: search.Deterministic(0.2), Random: rand.New(rand.NewPCG(1, 5))}
	if r := find(t, never, 0.1, search.Options{Start: 10}); r.End != search.Unreachable || r.Pass != 0 {
		t.Errorf("a service that never keeps the limit: %s at %.1f", r.End, r.Pass)
	}
	short := &search.Simulated{Servers: 4, Service: search.Exponential(0.010), Random: rand.New(rand.NewPCG(1, 6))}
	if r := find(t, short, 0.1, search.Options{Start: 20, MaxTime: time.Minute}); r.End != search.OutOfTime || r.Spent > time.Minute {
		t.Errorf("one minute: %s after %s", r.End, r.Spent)
	}
}

func TestRecoveryIsTried(t *testing.T) {
	s := &search.Simulated{Servers: 4, Service: search.Exponential(0.010), Random: rand.New(rand.NewPCG(5, 7))}
	r := find(t, s, 0.1, search.Options{Start: 20})
	if r.End != search.Found || r.Recovered == nil || !*r.Recovered {
		t.Errorf("%s, recovered %v", r.End, r.Recovered)
	}
}

// A late generator does not make a trial fail: it is run again.
func TestSpoiledTrials(t *testing.T) {
	s := &search.Simulated{Servers: 4, Service: search.Exponential(0.010), Random: rand.New(rand.NewPCG(5, 7))}
	machine, err := search.New(search.Options{})
	if err != nil {
		t.Fatal(err)
	}
	spoiled := map[search.Purpose]int{}
	for {
		trial, ok := machine.Next()
		if !ok {
			break
		}
		o := s.Run(trial, 0.1)
		spoiled[trial.Purpose]++
		alone := search.Judge(o, trial.Rate, 0.01)
		if spoiled[trial.Purpose] <= 2 {
			o.Broken = "late"
		}
		j := machine.Record(o)
		switch {
		case o.Broken == "":
		case alone.Verdict == search.Pass && j.Verdict != search.Pass:
			t.Errorf("%s passed in spite of a late generator, and was judged %s", trial.Purpose, j.Verdict)
		case alone.Verdict != search.Pass && j.Verdict != search.Invalid:
			t.Errorf("%s: %s with a late generator was judged %s", trial.Purpose, alone.Verdict, j.Verdict)
		}
	}
	r := machine.Result()
	if r.End != search.Found || !r.Held || r.Recovered == nil || !*r.Recovered || spoiled[search.Overload] != 1 {
		t.Errorf("%s, held %v, recovered %v, %d overloads", r.End, r.Held, r.Recovered, spoiled[search.Overload])
	}
}

// 300 requests of which none is slow do not show that 1 in 100 is at most: a
// trial at a low rate has to be longer.
func TestLowRatesGetLongTrials(t *testing.T) {
	machine, err := search.New(search.Options{Start: 2, Share: 0.01})
	if err != nil {
		t.Fatal(err)
	}
	trial, _ := machine.Next()
	if n := 2 * trial.Length.Seconds(); n < 368 {
		t.Errorf("%v requests, 368 at least can pass", n)
	}
	if j := machine.Record(search.Outcome{Blocks: []search.Block{{Planned: int64(2 * trial.Length.Seconds())}}, Achieved: 2}); j.Verdict != search.Pass {
		t.Errorf("not one was slow: %s %+v", j.Verdict, j.Missed)
	}
}

func TestOptionsThatCannotBeUsed(t *testing.T) {
	for _, o := range []search.Options{
		{Start: -1}, {Factor: 1}, {Precision: 0.9}, {Start: 10, MaxRate: 5}, {Share: 1}, {Coarse: time.Millisecond}, {Repeats: -1},
	} {
		if _, err := search.New(o); err == nil {
			t.Errorf("%+v was taken", o)
		}
	}
}
