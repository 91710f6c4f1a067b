package selftest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"runtime"
	"sync"
	"time"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/loadgen/search"
)

// The capacity test: searches for limits that are known. A server that holds
// each request for S, at most c at once, can do c/S and needs no CPU for it. A
// generator that computes for each request has a limit of its own, which must
// not be called the target's.
const (
	capacityServers = 4
	capacityHold    = 20 * time.Millisecond
	capacityWithin  = 0.05 // how far the bracket may lie off the limit
	capacityGoal    = "p90 < 200ms"
)

func capacity(ctx context.Context, o Options) ([]Row, error) {
	searches := 1
	if o.Full {
		searches = 3
	}
	var rows []Row
	for n := range searches {
		name := fmt.Sprintf("%d at once, %s each, search %d of %d", capacityServers, capacityHold, n+1, searches)
		o.OnStage("capacity: " + name)
		r, err := settled(ctx, o, func() ([]Row, error) { return findLimit(ctx, o, name, uint64(n)) })
		rows = append(rows, r...)
		if err != nil {
			return rows, err
		}
	}
	name := "a generator that computes 5 ms for each request, on one core"
	o.OnStage("capacity: " + name)
	r, err := settled(ctx, o, func() ([]Row, error) { return generatorsLimit(ctx, o, name) })
	rows = append(rows, r...)
	if err != nil || !o.Full {
		return rows, err
	}
	name = "half of the servers go during the search"
	o.OnStage("capacity: " + name)
	r, err = settled(ctx, o, func() ([]Row, error) { return movingLimit(ctx, o, name) })
	rows = append(rows, r...)
	if err != nil {
		return rows, err
	}
	simulated, err := simulatedLimits(ctx, o)
	return append(rows, simulated...), err
}

// shortSearch has short trials: its objective leaves one in ten to chance, so
// few requests tell.
func shortSearch() search.Options {
	return search.Options{
		Start: 100, Precision: 1.15, Coarse: 2 * time.Second, Fine: 4 * time.Second, Confirm: 4 * time.Second,
		WarmUp: time.Second, MaxTime: 10 * time.Minute, MaxRate: 5000,
	}
}

func longSearch() search.Options {
	o := shortSearch()
	o.Precision, o.Coarse, o.Fine, o.Confirm = 1.05, 3*time.Second, 8*time.Second, 15*time.Second
	return o
}

func findLimit(ctx context.Context, o Options, name string, seed uint64) ([]Row, error) {
	s, err := startBusy(capacityServers)
	if err != nil {
		return nil, err
	}
	defer s.close()
	options := shortSearch()
	if o.Full {
		options = longSearch()
	}
	r, late, err := realSearch(ctx, o, s.url, seed, options, loadgen.Options{}, nil)
	if err != nil {
		return nil, err
	}
	truth := float64(capacityServers) / s.mean().Seconds()
	return []Row{{
		Test: "capacity", Case: name, What: "limit", Want: fmt.Sprintf("%.1f/s ± 5 %%", truth),
		Got:  fmt.Sprintf("%.1f to %.1f/s", r.Pass, r.Fail),
		Note: fmt.Sprintf("c/S of the measured S, %s; %s after %d trials", inMS(s.mean()), r.End, len(r.Trials)),
		OK:   r.End == search.Found && r.Pass <= (1+capacityWithin)*truth && r.Fail >= (1-capacityWithin)*truth,
		Busy: late > busyLag,
	}}, nil
}

// realSearch searches the limit of a server on a real clock. It also returns
// how late the generator was, at worst, in the trials that passed.
func realSearch(ctx context.Context, o Options, url string, seed uint64, options search.Options, load loadgen.Options, after func(search.Ran)) (search.Result, time.Duration, error) {
	objective, err := search.ParseObjective(capacityGoal)
	if err != nil {
		return search.Result{}, 0, err
	}
	options.Share = objective.Share
	machine, err := search.New(options)
	if err != nil {
		return search.Result{}, 0, err
	}
	var late time.Duration
	base := loadgen.Plan{Name: "capacity", Target: url, Seed: seed, Journeys: []loadgen.Journey{{Steps: []loadgen.Step{{Path: "/"}}}}}
	for n := 1; ; n++ {
		trial, ok := machine.Next()
		if !ok {
			return machine.Result(), late, nil
		}
		o.OnStage(fmt.Sprintf("capacity: trial %d, %s at %.0f/s for %s; %s", n, trial.Purpose, trial.Rate, trial.WarmUp+trial.Length, bracketSoFar(machine.Result())))
		var seconds []loadgen.Second
		load.OnSecond = func(s loadgen.Second) { seconds = append(seconds, s) }
		res, err := loadgen.Attack(ctx, search.PlanOf(base, trial, n, "trial"), load)
		if err != nil {
			return search.Result{}, 0, err
		}
		if ctx.Err() != nil {
			return search.Result{}, 0, ctx.Err()
		}
		j := machine.Record(objective.Measure(trial, res, seconds))
		if j.Verdict == search.Pass {
			late = max(late, worstLag(res))
		}
		if ran := machine.Result().Trials; after != nil {
			after(ran[len(ran)-1])
		}
	}
}

// bracketSoFar says what a search knows of the limit.
func bracketSoFar(r search.Result) string {
	switch {
	case r.Pass > 0 && r.Fail > 0:
		return fmt.Sprintf("limit %.0f to %.0f/s", r.Pass, r.Fail)
	case r.Pass > 0:
		return fmt.Sprintf("limit above %.0f/s", r.Pass)
	case r.Fail > 0:
		return fmt.Sprintf("limit below %.0f/s", r.Fail)
	}
	return "limit unknown"
}

// busyServer holds requests for a while, so many at once, and computes nothing.
type busyServer struct {
	url     string
	server  *http.Server
	places  chan struct{}
	serving sync.WaitGroup

	mu   sync.Mutex
	n    int64
	held time.Duration // altogether: a sleep takes longer than it was asked for
}

func startBusy(servers int) (*busyServer, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &busyServer{url: "http://" + l.Addr().String(), places: make(chan struct{}, servers)}
	s.server = &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second}
	s.serving.Go(func() {
		// It ends by close, which nobody else calls.
		_ = s.server.Serve(l)
	})
	return s, nil
}

// ServeHTTP waits for a place, first come first served, and keeps it for S.
func (s *busyServer) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	s.places <- struct{}{}
	began := time.Now()
	time.Sleep(capacityHold)
	took := time.Since(began)
	<-s.places
	s.mu.Lock()
	s.n++
	s.held += took
	s.mu.Unlock()
	w.WriteHeader(http.StatusNoContent)
}

// mean is the measured S.
func (s *busyServer) mean() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.n == 0 {
		return capacityHold
	}
	return s.held / time.Duration(s.n)
}

// halve takes half of the places for good.
func (s *busyServer) halve() {
	for range cap(s.places) / 2 {
		s.places <- struct{}{}
	}
}

func (s *busyServer) close() {
	_ = s.server.Close()
	s.serving.Wait()
}

// burner is a client that asks nobody and computes for each request.
type burner struct{}

const burnTime = 5 * time.Millisecond

// Do implements loadgen.Client.
func (burner) Do(_ *loadgen.Request, x *loadgen.Exchange) {
	for began := time.Now(); time.Since(began) < burnTime; {
		continue
	}
	x.Status = http.StatusOK
}

// Close implements loadgen.Client.
func (burner) Close() {}

// generatorsLimit searches with a generator that can do 200/s at most.
func generatorsLimit(ctx context.Context, o Options, name string) ([]Row, error) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	most := float64(time.Second) / float64(burnTime)
	options := shortSearch()
	options.Start, options.Factor, options.Fine = 25, 4, 2*time.Second
	r, _, err := realSearch(ctx, o, "http://127.0.0.1:1", 1, options, loadgen.Options{NewClient: func() loadgen.Client { return burner{} }}, nil)
	if err != nil {
		return nil, err
	}
	return []Row{{
		Test: "capacity", Case: name, What: "whose limit", Want: "the generator's, at most 200/s",
		Got: fmt.Sprintf("%s, at least %.1f/s", r.End, r.Pass), Note: fmt.Sprintf("%d trials", len(r.Trials)),
		OK: r.End == search.Generator && r.Pass <= most && r.Fail == 0,
	}}, nil
}

// movingLimit takes half of a server away once a rate has passed that the
// other half cannot do.
func movingLimit(ctx context.Context, o Options, name string) ([]Row, error) {
	s, err := startBusy(capacityServers)
	if err != nil {
		return nil, err
	}
	defer s.close()
	half, halved := float64(capacityServers)/2/capacityHold.Seconds(), false
	r, late, err := realSearch(ctx, o, s.url, 1, shortSearch(), loadgen.Options{}, func(t search.Ran) {
		if t.Purpose == search.Bisect && t.Verdict == search.Pass && t.Rate > 1.2*half && !halved {
			halved = true
			s.halve()
		}
	})
	if err != nil {
		return nil, err
	}
	return []Row{{
		Test: "capacity", Case: name, What: "noted", Want: "the limit moved",
		Got: fmt.Sprintf("%s, moved %v", r.End, r.Moved), Note: fmt.Sprintf("%d trials", len(r.Trials)),
		OK: halved && r.Moved, Busy: late > busyLag,
	}}, nil
}

// simulatedLimits searches simulated servers, 40 times each.
func simulatedLimits(ctx context.Context, o Options) ([]Row, error) {
	const searches, enough = 40, 38
	var rows []Row
	for _, c := range []struct {
		name    string
		servers int
		service func(*rand.Rand) float64
		limit   float64 // seconds
		highest float64 // per second
	}{
		{"simulated M/M/4, 1 in 100 may take over 100 ms", 4, search.Exponential(0.010), 0.100, 400},
		{"simulated M/D/1, 1 in 100 may take over 50 ms", 1, search.Deterministic(0.005), 0.050, 200},
		{"simulated lock, 1 in 100 may take over 80 ms", 1, search.Exponential(0.004), 0.080, 250},
	} {
		o.OnStage(fmt.Sprintf("capacity: %s, %d searches", c.name, searches))
		held := 0
		truth := (&search.Simulated{Servers: c.servers, Service: c.service}).Limit(c.limit, 0.01, c.highest)
		for seed := range uint64(searches) {
			if ctx.Err() != nil {
				return rows, ctx.Err()
			}
			s := &search.Simulated{Servers: c.servers, Service: c.service, Random: rand.New(rand.NewPCG(seed, 1))}
			r, err := s.Find(c.limit, search.Options{})
			if err != nil {
				return rows, err
			}
			if r.Bracketed() && r.Pass <= (1+capacityWithin)*truth && r.Fail >= (1-capacityWithin)*truth {
				held++
			}
		}
		rows = append(rows, Row{
			Test: "capacity", Case: c.name, What: "brackets", Want: fmt.Sprintf("%.1f/s ± 5 %% in %d of %d", truth, enough, searches),
			Got: fmt.Sprintf("%d of %d", held, searches), Note: "seeded, no clock", OK: held >= enough,
		})
	}
	return rows, nil
}
