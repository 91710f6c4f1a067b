package selftest

import (
	"context"
	"fmt"
	"math"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/taillight-load/taillight/loadgen"
)

// The omission test: a server freezes for a second in the middle of a run. A
// generator that waits for it, as most do, sends less than it planned and
// never measures the wait of what it left out. The right answer is known
// twice: from the server's own log, request by request, and from arithmetic.
const (
	omissionRate   = 200.0 // per second
	omissionFreeze = time.Second
	omissionBase   = 10 * time.Millisecond // service time
	omissionWithin = 2 * time.Millisecond  // how far a percentile may be off
	shortRun       = 10 * time.Second
	fullRun        = time.Minute
)

func omission(ctx context.Context, o Options) ([]Row, error) {
	d := shortRun
	if o.Full {
		d = fullRun
	}
	var rows []Row
	for _, rho := range []float64{0, 0.5} {
		name := fmt.Sprintf("1 s freeze in %s at %g/s, rho %g", d, omissionRate, rho)
		o.OnStage("omission: " + name)
		r, err := settled(ctx, o, func() ([]Row, error) { return freeze(ctx, name, d, rho) })
		if err != nil {
			return rows, err
		}
		rows = append(rows, r...)
	}
	return rows, nil
}

// freeze measures one run against a server that freezes, and returns a row a
// percentile and one for what was sent.
func freeze(ctx context.Context, name string, d time.Duration, rho float64) ([]Row, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &frozen{
		every: time.Duration(rho / omissionRate * float64(time.Second)), answered: map[string]time.Time{},
		from: time.Now().Add(d / 2),
	}
	srv := &http.Server{Handler: s, ReadHeaderTimeout: time.Minute}
	var serving sync.WaitGroup
	serving.Go(func() { _ = srv.Serve(l) })
	defer serving.Wait()
	defer srv.Close()

	var kept []loadgen.Exchange
	res, err := loadgen.Attack(ctx, loadgen.Plan{
		Name: "omission", Target: "http://" + l.Addr().String(),
		Phases:   []loadgen.Phase{{Name: "steady", For: d, Load: loadgen.Load{Rate: loadgen.Constant(omissionRate)}}},
		Journeys: []loadgen.Journey{{Steps: []loadgen.Step{{Path: "/"}}}},
	}, loadgen.Options{OnSecond: func(sec loadgen.Second) { kept = append(kept, sec.Kept...) }})
	if err != nil {
		return nil, err
	}
	return s.rows(name, d, rho, res, kept), nil
}

// frozen is a first-in first-out server that answers nothing for a while.
type frozen struct {
	every time.Duration // what a request keeps the server from the next one
	from  time.Time     // begin of the freeze

	mu       sync.Mutex
	free     time.Time            // when it can take the next request
	answered map[string]time.Time // by traceparent
}

// ServeHTTP implements http.Handler.
func (s *frozen) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	time.Sleep(time.Until(s.turn(time.Now()).Add(omissionBase)))
	w.WriteHeader(http.StatusNoContent)
	// The answer is given once it is written; a failed flush shows as a
	// request that the log lacks an answer to.
	if http.NewResponseController(w).Flush() != nil {
		return
	}
	answered := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answered[r.Header.Get("traceparent")] = answered
}

// turn returns when a request that comes at now is taken up.
func (s *frozen) turn(now time.Time) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := now
	if end := s.from.Add(omissionFreeze); !now.Before(s.from) && now.Before(end) {
		at = end
	}
	if at.Before(s.free) {
		at = s.free
	}
	s.free = at.Add(s.every)
	return at
}

func (s *frozen) rows(name string, d time.Duration, rho float64, res *loadgen.Result, kept []loadgen.Exchange) []Row {
	truth := make([]time.Duration, 0, len(kept))
	measured := make([]time.Duration, 0, len(kept))
	for i := range kept {
		x := &kept[i]
		if at, ok := s.answered[fmt.Sprintf("00-%x-%x-00", x.TraceID, x.SpanID)]; ok {
			truth = append(truth, at.Sub(res.Began)-x.Intended)
			measured = append(measured, x.Response())
		}
	}
	slices.Sort(truth)
	slices.Sort(measured)
	var n loadgen.Counts
	for i := range res.Series {
		n.Add(res.Series[i].Counts)
	}
	planned := int64(math.Round(omissionRate * d.Seconds()))
	rows := []Row{{
		Test: "omission", Case: name, What: "sent", Want: fmt.Sprint(planned), Got: fmt.Sprint(n.Sent),
		Note: fmt.Sprintf("%d answered, %d in the server's log", n.Completed, len(truth)),
		OK:   n.Sent == planned && n.Planned == planned && int64(len(truth)) == planned,
	}}
	for _, q := range []float64{0.50, 0.90, 0.95, 0.98, 0.99, 0.999} {
		want, got := rank(truth, q), rank(measured, q)
		off := got - want
		rows = append(rows, Row{
			Test: "omission", Case: name, What: fmt.Sprintf("p%g", 100*q),
			Want: inMS(want) + " ± 2", Got: inMS(got), Note: "formula " + inMS(formula(q, d, rho)),
			OK: len(truth) > 0 && off >= -omissionWithin && off <= omissionWithin,
		})
	}
	return rows
}

// formula is p_q = L + max(0, S - (1-q) T (1-rho)): during the freeze S every
// request waits for its rest, and the backlog then takes rho/(1-rho) as long
// again to work off.
func formula(q float64, d time.Duration, rho float64) time.Duration {
	return omissionBase + time.Duration(max(0, float64(omissionFreeze)-(1-q)*float64(d)*(1-rho)))
}

// rank returns the nearest-rank quantile of sorted values, 0 without any.
func rank(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, max(0, int(math.Ceil(q*float64(len(sorted))))-1))]
}
