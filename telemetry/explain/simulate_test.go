package explain_test

import (
	"container/heap"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/telemetry/explain"
	"github.com/taillight-load/taillight/telemetry/signal"
)

const ms = time.Millisecond

// closedRun is a closed queueing network: users who think and ask, cores that
// serve in order of arrival, and a wait that occupies nobody.
type closedRun struct {
	name         string
	users        int
	perSecond    int // users started per second; 0 is all at once
	length       time.Duration
	thinkMin     time.Duration
	thinkMax     time.Duration
	cores        int
	cpu          time.Duration // of each request, mean of an exponential over half of it
	wait         time.Duration
	seed         uint64
	reference    time.Duration // solo service time; 0 is none
	bundledCores int
}

// The seed's three tests, and the example in which the target is the limit:
// one core, 3 ms of CPU, 100 ms of thinking, 50 users: 333 of 485 per second.
var (
	loadTest = closedRun{
		name: "load", users: 10, perSecond: 2, length: 30 * time.Second, thinkMin: 120 * ms, thinkMax: 320 * ms,
		cores: 1, cpu: 3 * ms, wait: 10 * ms, seed: 1, reference: 13 * ms, bundledCores: 2,
	}
	stressTest = closedRun{
		name: "stress", users: 50, perSecond: 5, length: 60 * time.Second, thinkMin: 100 * ms, thinkMax: 300 * ms,
		cores: 2, cpu: 3 * ms, wait: 10 * ms, seed: 2, reference: 13 * ms, bundledCores: 2,
	}
	spikeTest = closedRun{
		name: "spike", users: 30, length: 17 * time.Second, thinkMin: 100 * ms, thinkMax: 140 * ms,
		cores: 2, cpu: 3 * ms, wait: 10 * ms, seed: 3, reference: 13 * ms, bundledCores: 2,
	}
	saturated = closedRun{
		name: "saturated", users: 50, length: 60 * time.Second, thinkMin: 100 * ms, thinkMax: 100 * ms,
		cores: 1, cpu: 3 * ms, seed: 4, reference: 3 * ms,
	}
)

type turn struct {
	at   time.Duration
	user int
}

type turns []turn

func (t turns) Len() int { return len(t) }
func (t turns) Less(i, j int) bool {
	return t[i].at < t[j].at || t[i].at == t[j].at && t[i].user < t[j].user
}
func (t turns) Swap(i, j int) { t[i], t[j] = t[j], t[i] }
func (t *turns) Push(v any)   { *t = append(*t, v.(turn)) }
func (t *turns) Pop() any {
	last := (*t)[len(*t)-1]
	*t = (*t)[:len(*t)-1]
	return last
}

// run simulates, lets alter change exchanges, and adds up what a recorder would.
func (c closedRun) run(alter ...func([]loadgen.Exchange)) explain.Input {
	random := rand.New(rand.NewPCG(c.seed, 0))
	plan := c.plan()
	var queue turns
	for u := range c.users {
		at := time.Duration(0)
		if c.perSecond > 0 {
			at = time.Duration(u) * time.Second / time.Duration(c.perSecond)
		}
		heap.Push(&queue, turn{at: at, user: u})
	}
	free := make([]time.Duration, c.cores)
	var xs []loadgen.Exchange
	opened := map[int]bool{}
	for queue.Len() > 0 && queue[0].at < c.length {
		t := heap.Pop(&queue).(turn)
		lag := time.Duration(random.IntN(60)) * time.Microsecond
		core := slices.Index(free, slices.Min(free))
		begin := max(t.at+lag, free[core])
		work := c.cpu/2 + time.Duration(random.ExpFloat64()*float64(c.cpu/2))
		if c.name == "saturated" {
			work = c.cpu
		}
		free[core] = begin + work
		x := loadgen.Exchange{
			Iteration: uint64(len(xs) + 1), User: t.user, Intended: t.at, Sent: t.at + lag, Done: begin + work + c.wait,
			Status: 200, Reused: opened[t.user], Sampled: true, Kept: loadgen.KeptAll, Weight: 1,
			Phase: phaseAt(plan, t.at), BytesIn: 500, BytesOut: 120,
		}
		x.Timings.Wait = x.Service()
		opened[t.user] = true
		binary.BigEndian.PutUint64(x.TraceID[:], x.Iteration)
		binary.BigEndian.PutUint64(x.SpanID[:], x.Iteration)
		xs = append(xs, x)
		think := c.thinkMin + time.Duration(random.Float64()*float64(c.thinkMax-c.thinkMin))
		heap.Push(&queue, turn{at: x.Done + think, user: t.user})
	}
	slices.SortStableFunc(xs, func(a, b loadgen.Exchange) int { return int(a.Done - b.Done) })
	for i := range xs {
		xs[i].N = uint64(i + 1)
	}
	for _, a := range alter {
		a(xs)
	}
	in := record(plan, xs)
	for i := range in.Seconds {
		in.Seconds[i].Users = c.usersAt(in.Seconds[i].End)
	}
	for i := range in.Result.Phases {
		in.Result.Phases[i].UsersMax = c.usersAt(in.Result.Phases[i].End - 1)
	}
	if c.reference > 0 {
		in.Reference = &explain.Reference{N: 20, Mean: c.reference.Seconds()}
	}
	if c.bundledCores > 0 {
		in.Machine = explain.Machine{Cores: c.bundledCores, GeneratorProcs: 1, TargetProcs: 1, Bundled: true}
	}
	return in
}

func (c closedRun) usersAt(at time.Duration) int {
	if c.perSecond == 0 {
		return c.users
	}
	return min(c.users, int(at*time.Duration(c.perSecond)/time.Second))
}

func (c closedRun) plan() loadgen.Plan {
	p := loadgen.Plan{
		Name: c.name, Target: "http://127.0.0.1:8000",
		Think:    loadgen.Think{Kind: loadgen.ThinkUniform, Min: c.thinkMin, Max: c.thinkMax},
		Journeys: []loadgen.Journey{{Steps: []loadgen.Step{{Method: "GET", Path: "/profile"}}}},
	}
	ramp := time.Duration(0)
	if c.perSecond > 0 {
		ramp = time.Duration(c.users) * time.Second / time.Duration(c.perSecond)
		p.Phases = append(p.Phases, loadgen.Phase{Name: "ramp", For: ramp, Load: loadgen.Load{Users: &loadgen.Ramp{To: float64(c.users)}}})
	}
	p.Phases = append(p.Phases, loadgen.Phase{
		Name: "steady", For: c.length - ramp, Load: loadgen.Load{Users: loadgen.Constant(float64(c.users))},
	})
	return p.WithDefaults()
}

func phaseAt(p loadgen.Plan, at time.Duration) int {
	var end time.Duration
	for i, ph := range p.Phases {
		if end += ph.For; at < end {
			return i
		}
	}
	return len(p.Phases) - 1
}

// record adds up exchanges as the recorder does: all of them were planned and
// sent, and all have ended.
func record(plan loadgen.Plan, xs []loadgen.Exchange) explain.Input {
	result := &loadgen.Result{Plan: plan, Began: time.Unix(1_796_000_000, 0), Elapsed: plan.Duration()}
	var start time.Duration
	for i, ph := range plan.Phases {
		result.Phases = append(result.Phases, loadgen.PhaseResult{Start: start, End: start + ph.For})
		start += ph.For
		for s := range plan.Steps() {
			result.Series = append(result.Series, loadgen.Series{
				Phase: i, Step: s, Errors: map[loadgen.ErrorClass]int64{},
				First: map[loadgen.ErrorClass]time.Duration{}, Last: map[loadgen.ErrorClass]time.Duration{},
			})
		}
	}
	seconds := make([]loadgen.Second, int(plan.Duration()/time.Second))
	for i := range seconds {
		at := time.Duration(i) * time.Second
		seconds[i] = loadgen.Second{Index: i, Start: at, End: at + time.Second, Phase: phaseAt(plan, at+time.Second-1), Series: make([]loadgen.Series, 1)}
	}
	for i := range xs {
		x := &xs[i]
		s := &result.Series[x.Phase*len(plan.Steps())+x.Step]
		counts := loadgen.Counts{Planned: 1, Sent: 1, BytesIn: x.BytesIn, BytesOut: x.BytesOut}
		if x.OK() {
			counts.Completed = 1
			s.OK.Record(x.Response())
		} else {
			counts.Failed = 1
			if s.Errors[x.Error] == 0 {
				s.First[x.Error] = x.Done
			}
			s.Errors[x.Error]++
			s.Last[x.Error] = x.Done
		}
		if !x.Reused {
			counts.Reopened = 1
		}
		s.Add(counts)
		s.Lag.Record(x.Lag())
		if x.Status != 0 {
			s.Response.Record(x.Response())
			s.Service.Record(x.Service())
		}
		if n := len(seconds); n > 0 {
			seconds[min(int(x.Done/time.Second), n-1)].Series[0].Add(counts)
		}
	}
	return explain.Input{Result: result, Seconds: seconds, Exchanges: xs, Validity: validity(plan)}
}

func validity(plan loadgen.Plan) []loadgen.Validity {
	var v []loadgen.Validity
	for _, ph := range plan.Phases {
		v = append(v, loadgen.Validity{Phase: ph.Name, Grade: loadgen.Valid, LagP99: 60 * time.Microsecond, P50: 13 * ms, Sent: 1})
	}
	return v
}

// serverSpans makes the span that an instrumented target sends for each exchange.
func serverSpans(xs []loadgen.Exchange, began time.Time) []signal.Span {
	spans := make([]signal.Span, len(xs))
	for i, x := range xs {
		start := began.Add(x.Sent + 200*time.Microsecond).UnixNano()
		id := x.SpanID
		id[0] = 0xff
		spans[i] = signal.Span{
			TraceID: x.TraceID, SpanID: id, ParentID: x.SpanID, Kind: signal.KindServer, Name: "GET /profile",
			Start: start, End: start + int64(12*ms),
		}
	}
	return spans
}
