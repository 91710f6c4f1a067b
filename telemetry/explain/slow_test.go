package explain_test

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/telemetry/explain"
	"github.com/taillight-load/taillight/telemetry/names"
	"github.com/taillight-load/taillight/telemetry/signal"
)

// planted is what some requests of a run are held by: a share of them, each
// for about an amount, in a component.
type planted struct {
	share  float64
	amount time.Duration
	into   func(tl *signal.Timeline, x *loadgen.Exchange, d time.Duration) (called time.Duration)
}

func blockedIn(reason signal.BlockReason, function string, line int) func(*signal.Timeline, *loadgen.Exchange, time.Duration) time.Duration {
	return func(tl *signal.Timeline, _ *loadgen.Exchange, d time.Duration) time.Duration {
		tl.Blocked.Add(reason, int64(d))
		tl.Blocks = append(tl.Blocks, signal.Block{Reason: reason, Time: int64(d), Count: 1, Stack: []signal.Call{
			{Func: "sync.(*Mutex).Lock", File: "/go/src/sync/mutex.go", Line: 46},
			{Func: function, File: "/src/shop/stock.go", Line: line},
		}})
		return 0
	}
}

func ran(tl *signal.Timeline, _ *loadgen.Exchange, d time.Duration) time.Duration {
	tl.Running += int64(d)
	return 0
}

func assisted(tl *signal.Timeline, _ *loadgen.Exchange, d time.Duration) time.Duration {
	tl.Running += int64(d)
	tl.GCAssist += int64(d)
	return 0
}

func called(tl *signal.Timeline, _ *loadgen.Exchange, d time.Duration) time.Duration {
	tl.Blocked.Network += int64(d)
	return d
}

// onTheWire is outside the handler.
func onTheWire(*signal.Timeline, *loadgen.Exchange, time.Duration) time.Duration { return -1 }

// run makes a stress test with spans for every request and timelines for
// those in four windows of eight seconds, in which some requests are held. It
// returns how long the held ones were held in all.
func (p planted) run(seed uint64, alter ...func(*explain.Input)) explain.Input {
	random := rand.New(rand.NewPCG(seed, 41))
	var timelines []signal.Timeline
	var spans []signal.Span
	slowRun := stressTest
	slowRun.seed = seed
	in := slowRun.run(func(xs []loadgen.Exchange) {
		for i := range xs {
			x := &xs[i]
			server := x.Service() - 300*time.Microsecond
			tl := signal.Timeline{TraceID: x.TraceID, SpanID: x.SpanID, Running: int64(3 * ms), Runnable: int64(server) - int64(13*ms)}
			tl.SpanID[0] = 0xff
			tl.Blocked.Select = int64(10 * ms)
			var call time.Duration
			if random.Float64() < p.share {
				d := time.Duration(float64(p.amount) * (0.8 + 0.4*random.Float64()))
				if call = p.into(&tl, x, d); call >= 0 {
					server += d
				}
				x.Done += d
				x.Timings.Wait += d
			}
			tl.Total = int64(server)
			tl.Runnable += tl.Total - tl.States()
			started := x.Intended + 200*time.Microsecond
			server1 := signal.Span{
				TraceID: x.TraceID, SpanID: tl.SpanID, ParentID: x.SpanID, Kind: signal.KindServer, Name: "GET /profile", Resource: resource("shop", "1"),
				Start: int64(1_796_000_000e9) + int64(started), End: int64(1_796_000_000e9) + int64(started+server),
			}
			spans = append(spans, server1)
			if call > 0 {
				client := server1
				client.SpanID[1], client.ParentID, client.Kind, client.Name = 0xee, server1.SpanID, signal.KindClient, "GET /stock"
				client.End, client.Attributes = client.Start+int64(call), signal.Attributes{"server.address": "stock.internal", "server.port": int64(8080)}
				other := client
				other.SpanID[1], other.ParentID, other.Kind, other.Resource = 0xdd, client.SpanID, signal.KindServer, resource("stock", "1")
				spans = append(spans, client, other)
			}
			if at := x.Intended % (15 * time.Second); at > 5*time.Second && at < 13*time.Second {
				timelines = append(timelines, tl)
			}
		}
	})
	in.Spans, in.Timelines = spans, timelines
	for _, a := range alter {
		a(&in)
	}
	return in
}

func to(tier signal.Tier) func(*explain.Input) {
	return func(in *explain.Input) { in.Most = tier }
}

// labelled profiles the run: one sample in ten of the CPU that the timelines
// of its requests tell, on a function that only the held ones run long in.
func labelled(in *explain.Input) {
	stacks := map[string]map[string]int64{}
	for i := range in.Timelines {
		tl := &in.Timelines[i]
		id := tl.SpanID.String()
		stacks[id] = map[string]int64{"example.com/shop/web.Serve example.com/shop/work.hash": 1}
		if extra := (tl.Running - int64(3*ms)) / 1e7; extra > 0 {
			stacks[id]["example.com/shop/web.Serve example.com/shop/price.quote example.com/shop/price.walk"] = extra
		}
	}
	in.Profiles = append(in.Profiles, labelledProfile(in.Result.Began, stacks))
}

// starved makes the generator too late for the run to be valid.
func starved(in *explain.Input) {
	for i := range in.Validity {
		in.Validity[i].Grade = loadgen.Invalid
	}
}

func slowCases() []ruleCase {
	lock := planted{0.02, 40 * ms, blockedIn(signal.BlockSync, "example.com/shop/stock.(*Shelf).Reserve", 42)}
	pool := planted{0.02, 40 * ms, blockedIn(signal.BlockChan, "example.com/shop/stock.(*Pool).Take", 17)}
	cpu, gc := planted{0.02, 40 * ms, ran}, planted{0.02, 40 * ms, assisted}
	downstream, wire := planted{0.02, 40 * ms, called}, planted{0.02, 40 * ms, onTheWire}
	of := func(p planted, alter ...func(*explain.Input)) func() explain.Input {
		return func() explain.Input { return p.run(5, alter...) }
	}
	return []ruleCase{
		{"F8", "lock", true, of(lock)},
		{"F8", "lock at T2", true, of(lock, to(signal.T2))},
		{"F8", "lock at T1", true, of(lock, to(signal.T1))},
		{"F8", "lock at T0", true, of(lock, to(signal.T0))},
		{"F8", "pool", true, of(pool)},
		{"F8", "downstream", true, of(downstream)},
		{"F8", "downstream at T1", true, of(downstream, to(signal.T1))},
		{"F8", "cpu without profiles", true, of(cpu)},
		{"F8", "cpu", true, of(cpu, labelled)},
		{"F8", "cpu at T2", true, of(cpu, labelled, to(signal.T2))},
		{"F8", "wire", false, of(wire)},
		{"F8", "nothing planted", false, of(planted{})},
		{"F8", "few requests", false, func() explain.Input {
			return closedRun{users: 5, length: 5 * time.Second, cores: 1, cpu: ms, thinkMin: ms, thinkMax: ms}.run()
		}},
		{"F8", "one event", false, later(stressTest, func(at time.Duration) time.Duration {
			if at/ms%2 == 0 && at > 30*time.Second && at < 32*time.Second {
				return 200 * ms
			}
			return 0
		})},
		{"F7", "wire", true, of(wire)},
		{"F7", "wire at T0", false, of(wire, to(signal.T0))},
		{"F7", "wire and a starved generator", false, of(wire, starved)},
		{"F8", "wire at T0 and a starved generator", false, of(wire, starved, to(signal.T0))},
		{"F8", "lock and a starved generator", true, of(lock, starved)},
		{"F7", "lock", false, of(lock)},
		{"F9", "assist", true, of(gc)},
		{"F9", "lock", false, of(lock)},
		{"F9", "assist at T1", false, of(gc, to(signal.T1))},
		{"F12", "every request in a pool", true, of(planted{1, 40 * ms, blockedIn(signal.BlockChan, "example.com/shop/stock.(*Pool).Take", 17)})},
		{"F12", "every request in a pool, and ready for long", false, of(planted{1, 40 * ms, func(tl *signal.Timeline, x *loadgen.Exchange, d time.Duration) time.Duration {
			tl.Runnable += int64(d / 4)
			return blockedIn(signal.BlockChan, "example.com/shop/stock.(*Pool).Take", 17)(tl, x, d*3/4)
		}})},
		{"F12", "few requests in a lock", false, of(lock)},
		{"F12", "no timelines", false, of(lock, to(signal.T1))},
		{"F25", "stop of a second", true, later(stressTest, func(at time.Duration) time.Duration {
			if from := 30 * time.Second; at > from-20*ms && at < from+time.Second {
				return from + time.Second - at
			}
			return 0
		})},
		{"F25", "stops that befall one request in four", true, later(stressTest, func(at time.Duration) time.Duration {
			const every, stop = 3 * time.Second, 800 * ms
			if since := at % every; at > 20*time.Second && since < stop {
				return stop - since
			}
			return 0
		})},
		{"F25", "late answers after the load's end", false, later(stressTest, func(at time.Duration) time.Duration {
			if end := 60 * time.Second; at > end-50*ms {
				return 500 * ms
			}
			return 0
		})},
		{"F25", "none", false, of(lock)},
	}
}

func labelledProfile(start time.Time, bySpan map[string]map[string]int64) signal.Profile {
	return profileOf(start, 20*time.Second, func(add func(stack string, n int64, labels map[string][]string)) {
		for id, stacks := range bySpan {
			for stack, n := range stacks {
				add(stack, n, map[string][]string{names.LabelSpanID: {id}})
			}
		}
	})
}

// Whatever is planted, the component named holds at least four fifths of what
// was planted per slow request, and no other more than a tenth.
func TestPlantedTimeIsFoundWhereItIs(t *testing.T) {
	for name, c := range map[string]struct {
		into func(*signal.Timeline, *loadgen.Exchange, time.Duration) time.Duration
		want explain.Component
	}{
		"lock":       {blockedIn(signal.BlockSync, "shop.reserve", 1), explain.SelfSync},
		"pool":       {blockedIn(signal.BlockChan, "shop.take", 1), explain.SelfChan},
		"sleep":      {blockedIn(signal.BlockSleep, "shop.pause", 1), explain.SelfSleep},
		"cpu":        {ran, explain.SelfRunning},
		"downstream": {called, explain.Downstream},
		"wire":       {onTheWire, explain.Gap},
	} {
		for seed := range uint64(3) {
			amount := time.Duration(30+10*seed) * ms
			out := explain.Explain(planted{0.02, amount, c.into}.run(seed)) // 2 in 100 are held, so all of the slowest 1 in 100
			if len(out.Cohorts) != 1 || out.Cohorts[0].Tier != signal.T3 {
				t.Fatalf("%s: %d cohorts, %+v", name, len(out.Cohorts), out.Cohorts[0])
			}
			for _, p := range out.Cohorts[0].Parts {
				share := p.Delta() / amount.Seconds()
				switch {
				case p.Component == c.want && (share < 0.8 || !p.Named):
					t.Errorf("%s, seed %d: %s holds %.0f %% of what was planted, named %v", name, seed, p.Component, 100*share, p.Named)
				case p.Component != c.want && (math.Abs(share) > 0.1 || p.Named):
					t.Errorf("%s, seed %d: %s holds %.0f %%, named %v", name, seed, p.Component, 100*share, p.Named)
				}
			}
		}
	}
}

// Two causes at once, each of half of the slow requests: both are named, their
// shares near what was planted.
func TestTwoCausesAreBothNamed(t *testing.T) {
	lock, pool := blockedIn(signal.BlockSync, "shop.reserve", 1), blockedIn(signal.BlockChan, "shop.take", 2)
	random := rand.New(rand.NewPCG(2, 2))
	both := func(tl *signal.Timeline, x *loadgen.Exchange, d time.Duration) time.Duration {
		if random.IntN(2) == 0 {
			return lock(tl, x, d)
		}
		return pool(tl, x, d)
	}
	out := explain.Explain(planted{0.04, 40 * ms, both}.run(3))
	named := map[explain.Component]float64{}
	for _, p := range out.Cohorts[0].Parts {
		if p.Named {
			named[p.Component] = p.Share
		}
	}
	for _, c := range []explain.Component{explain.SelfSync, explain.SelfChan} {
		if s, ok := named[c]; !ok || s < 0.3 || s > 0.7 {
			t.Errorf("%s: share %v, named %v", c, s, ok)
		}
	}
	if len(named) != 2 {
		t.Errorf("named: %v", named)
	}
}

// The table names what the findings name: not what the generator's own lateness
// may have made, which it tells apart.
func TestTheTableNamesWhatTheFindingsDo(t *testing.T) {
	lock := planted{0.02, 40 * ms, blockedIn(signal.BlockSync, "shop.reserve", 1)}
	wire := planted{0.02, 40 * ms, onTheWire}
	for name, c := range map[string]struct {
		in             explain.Input
		named, blurred string
	}{
		"lock":                  {lock.run(5), "self.sync", ""},
		"lock, starved":         {lock.run(5, starved), "self.sync", ""},
		"wire":                  {wire.run(5), "gap", ""},
		"wire, starved":         {wire.run(5, starved), "", "gap"},
		"wire, starved, client": {wire.run(5, starved, to(signal.T0)), "", "wait"},
	} {
		out := explain.Explain(c.in)
		var named, blurred, found []string
		for _, p := range out.Cohorts[0].Parts {
			if p.Named {
				named = append(named, p.Component.String())
			}
			if p.Blurred {
				blurred = append(blurred, p.Component.String())
			}
		}
		for i := range out.Findings {
			if f := &out.Findings[i]; f.ID == "F7" || f.ID == "F8" {
				found = append(found, f.Component)
			}
		}
		if n := strings.Join(named, " "); n != c.named || strings.Join(blurred, " ") != c.blurred || strings.Join(found, " ") != n {
			t.Errorf("%s: the table names %q and blurs %q, the findings name %q", name, named, blurred, found)
		}
	}
}

// Nothing planted, nothing blamed: not once in forty runs.
func TestCleanRunsBlameNothing(t *testing.T) {
	for seed := range uint64(40) {
		for _, f := range explain.Explain(planted{}.run(seed)).Findings {
			switch f.ID {
			case "F7", "F8", "F9", "F12", "F25":
				t.Errorf("seed %d: %s blames %s", seed, f.ID, f.Component)
			}
		}
	}
}

// What else a run says bears on where its slow requests were: a late generator
// on what the client alone sees, used up CPU on waits for the collector.
func TestDoubtsStandBesideTheShare(t *testing.T) {
	late := func(in *explain.Input) {
		for i := range in.Validity {
			in.Validity[i].Grade = loadgen.Warned
		}
	}
	busy := func(in *explain.Input) {
		in.Machine.TargetProcs, in.Machine.Bundled = 1, false
		in.Machine.TargetCPU = &explain.CPU{Mean: 0.95, Max: 1, Source: "process.cpu.time of shop", Process: true}
	}
	for _, tc := range []struct {
		name    string
		planted planted
		alter   func(*explain.Input)
		rule    string
		doubts  string
	}{
		{"late", planted{0.03, 40 * ms, onTheWire}, late, "F7", "(F1)"},
		{"collector", planted{0.03, 40 * ms, blockedIn(signal.BlockGC, "shop.refresh", 7)}, busy, "F8", "(F11)"},
		{"lock", planted{0.03, 40 * ms, blockedIn(signal.BlockSync, "shop.reserve", 7)}, busy, "F8", ""},
	} {
		for _, altered := range []bool{true, false} {
			run, want := tc.planted.run(3), ""
			if altered {
				run, want = tc.planted.run(3, tc.alter), tc.doubts
			}
			found, why := rule(explain.Explain(run), tc.rule)
			if len(found) != 1 {
				t.Fatalf("%s: %s says %+v (%s)", tc.name, tc.rule, found, why)
			}
			var warned string
			for _, w := range found[0].Warnings {
				for _, id := range []string{"(F1)", "(F11)"} {
					if strings.Contains(string(w), id) {
						warned += id
					}
				}
			}
			if warned != want {
				t.Errorf("%s, altered %t: warns of %q, want %q", tc.name, altered, warned, want)
			}
		}
	}
}
