package loadgen_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/taillight-load/taillight/loadgen"
)

// scenario is a run drawn at random: models, journeys, failures, ends.
type scenario struct {
	plan      loadgen.Plan
	service   time.Duration // of one exchange; some take 50 times as long
	failEvery int
	interrupt time.Duration    // 0 is never
	cut       time.Duration    // 0 is never
	changes   []loadgen.Change // At is when they are asked for
}

func drawScenario(t *rapid.T) scenario {
	ms := func(name string, most int) time.Duration {
		return time.Duration(rapid.IntRange(0, most).Draw(t, name)) * time.Millisecond
	}
	s := scenario{
		service:   ms("service", 300),
		failEvery: rapid.IntRange(1, 20).Draw(t, "failEvery"),
		plan: loadgen.Plan{
			Name: "random", Target: "http://127.0.0.1:1",
			Think:       loadgen.Think{Kind: loadgen.ThinkUniform, Min: ms("thinkMin", 100), Max: 150 * time.Millisecond},
			MaxInFlight: rapid.IntRange(1, 30).Draw(t, "maxInFlight"),
			Drain:       time.Millisecond + ms("drain", 2000),
		},
	}
	if rapid.Bool().Draw(t, "interrupts") {
		s.interrupt = 1 + ms("interrupt", 4000)
	}
	if rapid.Bool().Draw(t, "cuts") {
		s.cut = 1 + ms("cut", 5000)
	}
	for range rapid.IntRange(0, 4).Draw(t, "changes") {
		ch := loadgen.Change{At: 1 + ms("changeAt", 5000)}
		if rapid.Bool().Draw(t, "changesUsers") {
			ch.Users, ch.SpawnRate = new(rapid.IntRange(0, 30).Draw(t, "toUsers")), float64(rapid.IntRange(0, 20).Draw(t, "spawn"))
		} else {
			ch.Rate = new(float64(rapid.IntRange(0, 100).Draw(t, "toRate")))
		}
		s.changes = append(s.changes, ch)
	}
	for i := range rapid.IntRange(1, 3).Draw(t, "phases") {
		ph := loadgen.Phase{Name: fmt.Sprint("phase", i), For: 100*time.Millisecond + ms("for", 2000)}
		ramp := &loadgen.Ramp{From: float64(rapid.IntRange(0, 20).Draw(t, "from")), To: float64(rapid.IntRange(0, 20).Draw(t, "to"))}
		switch rapid.IntRange(0, 2).Draw(t, "model") {
		case 0:
			ph.Users = ramp
		case 1:
			ph.Rate = ramp
			ph.Arrivals = rapid.SampledFrom([]loadgen.Arrivals{loadgen.Uniform, loadgen.Poisson}).Draw(t, "arrivals")
		}
		s.plan.Phases = append(s.plan.Phases, ph)
	}
	for i := range rapid.IntRange(1, 3).Draw(t, "journeys") {
		j := loadgen.Journey{Name: fmt.Sprint("journey", i), Weight: 1 + float64(i)}
		for k := range rapid.IntRange(1, 3).Draw(t, "steps") {
			j.Steps = append(j.Steps, loadgen.Step{Path: fmt.Sprintf("/%d/%d", i, k), Think: &loadgen.Think{Kind: loadgen.ThinkConstant, Max: ms("pause", 50)}})
		}
		if i > 0 && rapid.Bool().Draw(t, "ownLoad") {
			j.Load = &loadgen.Load{Users: loadgen.Constant(2)}
		}
		s.plan.Journeys = append(s.plan.Journeys, j)
	}
	return s
}

// run carries the scenario out on a fake clock and returns what does not add
// up.
func (s scenario) run(t *testing.T) (wrong []string) {
	synctest.Test(t, func(*testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		cut := make(chan struct{})
		if s.interrupt > 0 {
			time.AfterFunc(s.interrupt, cancel)
		}
		if s.cut > 0 {
			time.AfterFunc(s.cut, func() { close(cut) })
		}
		var control loadgen.Control
		for _, ch := range s.changes {
			// Most are refused: the phase has the other model, or the run is over.
			time.AfterFunc(ch.At, func() { _, _ = control.Change(ch) })
		}
		var counts loadgen.Counts
		var iterations loadgen.Iterations
		var weight float64
		res, err := loadgen.Attack(ctx, s.plan, loadgen.Options{
			Timer: loadgen.RuntimeTimer,
			Cut:   cut, Control: &control,
			NewClient: func() loadgen.Client {
				return interruptible{
					closed: make(chan struct{}),
					serve: func(x *loadgen.Exchange) time.Duration {
						part := s.service / 8 // of what is left, blocked is told
						x.Timings = loadgen.Timings{DNS: part, Connect: part, SSL: part, Send: part, Wait: part, Receive: part}
						if int(x.Iteration)%s.failEvery == 0 {
							x.Error, x.Status = loadgen.ErrReset, 0
						}
						if x.Iteration%7 == 0 {
							return 50 * s.service
						}
						return s.service
					},
				}
			},
			OnSecond: func(sec loadgen.Second) {
				for i := range sec.Series {
					counts.Add(sec.Series[i].Counts)
				}
				it := sec.Iterations
				iterations.Planned += it.Planned
				iterations.Started += it.Started
				iterations.Unsent += it.Unsent
				iterations.Completed += it.Completed
				iterations.Broken += it.Broken
				iterations.InFlightAtEnd = it.InFlightAtEnd
				if why := spentRight(&sec); why != "" {
					wrong = append(wrong, why)
				}
				for i := range sec.Kept {
					weight += sec.Kept[i].Weight
				}
				if f := counts.InFlight(); f < 0 || counts.Planned != counts.Sent+counts.Unsent {
					wrong = append(wrong, fmt.Sprintf("second %d: %+v", sec.Index, counts))
				}
			},
		})
		if err != nil {
			wrong = append(wrong, err.Error())
			return
		}
		wrong = append(wrong, accounts(res, counts, iterations, weight)...)
	})
	return wrong
}

// spentRight holds where the time of a second's answers went to their response
// and service times, of which it is made.
func spentRight(sec *loadgen.Second) string {
	var n int64
	var response, service time.Duration
	for i := range sec.Series {
		n += sec.Series[i].Response.N()
		response += sec.Series[i].Response.Sum
		service += sec.Series[i].Service.Sum
	}
	if s := &sec.Spent; s.N != n || s.Timings.Sum() != service || s.Lag+s.Timings.Sum() != response {
		return fmt.Sprintf("second %d: spent %+v by %d answers of %v, %v of it service", sec.Index, *s, n, response, service)
	}
	return ""
}

// accounts checks every sum that a result promises.
func accounts(res *loadgen.Result, seconds loadgen.Counts, iterations loadgen.Iterations, weight float64) (wrong []string) {
	var total loadgen.Counts
	for i := range res.Series {
		se := &res.Series[i]
		total.Add(se.Counts)
		if se.OK.N() != se.Completed || se.Lag.N() != se.Sent || se.Response.N() > se.Completed+se.Failed {
			wrong = append(wrong, fmt.Sprintf("series %d/%d: %d ok, %d lags, %d responses of %+v", se.Phase, se.Step, se.OK.N(), se.Lag.N(), se.Response.N(), se.Counts))
		}
	}
	if err := res.Audit(); err != nil {
		wrong = append(wrong, err.Error())
	}
	if total != seconds {
		wrong = append(wrong, fmt.Sprintf("the seconds add up to %+v, the result has %+v", seconds, total))
	}
	if total.Planned != total.Sent+total.Unsent {
		wrong = append(wrong, fmt.Sprintf("planned %d != sent %d + unsent %d", total.Planned, total.Sent, total.Unsent))
	}
	if n := int64(len(res.InFlight)); total.InFlight() != n {
		wrong = append(wrong, fmt.Sprintf("%d in flight by the counts %+v, %d listed", total.InFlight(), total, n))
	}
	if int64(weight) != total.Completed+total.Failed {
		wrong = append(wrong, fmt.Sprintf("weights add up to %g of %d answered and failed", weight, total.Completed+total.Failed))
	}
	if it := res.Iterations; it != iterations || it.Planned != it.Started+it.Unsent || it.Started != it.Completed+it.Broken+it.InFlightAtEnd {
		wrong = append(wrong, fmt.Sprintf("iterations %+v, by the seconds %+v", it, iterations))
	}
	return wrong
}

// interruptible serves until its time is over or it is closed.
type interruptible struct {
	closed chan struct{}
	serve  func(*loadgen.Exchange) time.Duration
}

func (c interruptible) Do(_ *loadgen.Request, x *loadgen.Exchange) {
	x.Status = 200
	select {
	case <-time.After(c.serve(x)):
	case <-c.closed:
		x.Error, x.Status = loadgen.ErrInterrupted, 0
	}
}

func (c interruptible) Close() { close(c.closed) }

// planned = sent + unsent and sent = completed + failed + in flight, whatever
// the plan, the failures and the end.
func TestConservation(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		if wrong := drawScenario(rt).run(t); len(wrong) > 0 {
			rt.Fatalf("%q", wrong)
		}
	})
}

// The product's own check sees what the property would.
func TestAuditSeesWhatDoesNotAddUp(t *testing.T) {
	sound := func() *loadgen.Result {
		se := loadgen.Series{Counts: loadgen.Counts{Planned: 3, Sent: 2, Unsent: 1, Completed: 1}}
		se.OK.Record(1)
		se.Response.Record(1)
		se.Service.Record(1)
		se.Lag.Record(1)
		se.Lag.Record(1)
		return &loadgen.Result{
			Series: []loadgen.Series{se}, InFlight: []loadgen.InFlightRequest{{}},
			Iterations: loadgen.Iterations{Planned: 3, Started: 2, Unsent: 1, Completed: 1, InFlightAtEnd: 1},
		}
	}
	if err := sound().Audit(); err != nil {
		t.Errorf("a sound result: %v", err)
	}
	for name, spoil := range map[string]func(*loadgen.Result){
		"planned":    func(r *loadgen.Result) { r.Series[0].Planned++ },
		"sent":       func(r *loadgen.Result) { r.Series[0].Sent++; r.Series[0].Planned++ },
		"in flight":  func(r *loadgen.Result) { r.InFlight = nil },
		"elsewhere":  func(r *loadgen.Result) { r.InFlight[0].Step = 1 },
		"failed":     func(r *loadgen.Result) { r.Series[0].Completed--; r.Series[0].Failed++ },
		"latencies":  func(r *loadgen.Result) { r.Series[0].OK.Record(1) },
		"lags":       func(r *loadgen.Result) { r.Series[0].Lag.Record(1) },
		"iterations": func(r *loadgen.Result) { r.Iterations.Broken++ },
	} {
		r := sound()
		spoil(r)
		if r.Audit() == nil {
			t.Errorf("%s: the books do not balance, and Audit says nothing", name)
		}
	}
}
