package selftest

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/services/target/faults"
	"github.com/taillight-load/taillight/telemetry/archive"
	"github.com/taillight-load/taillight/telemetry/explain"
	"github.com/taillight-load/taillight/telemetry/signal"
)

// The cause test: something is planted in the bundled target, in the generator
// or between the two, for a share of the requests that a seed draws. A run like
// any other is recorded and explained, by all that was recorded and then by
// what each lower tier would have told. What the findings name is compared by
// the id of the component, and its time with what the planted code itself
// measured, request by request.

// Bench is what carries out a run of the bundled target. Services do not import
// each other: whoever runs the test hands it in.
type Bench struct {
	// Run records a run and explains it.
	Run func(context.Context, Recording) (Recorded, error)
	// Explain explains the run in a directory by no more than a tier tells.
	Explain func(dir string, most signal.Tier) (Recorded, error)
}

// Recording is a run to be recorded.
type Recording struct {
	Plan    loadgen.Plan // without a target: that is the bundled one
	ID, Dir string
	Faults  faults.Set
	// Via, when set, is given the target's base URL and returns the one that the
	// load goes to.
	Via func(target string) (string, error)
	// OnStart, when set, is called when the load is about to begin.
	OnStart func()
}

// Recorded is a run that was recorded, and what is said of it.
type Recorded struct {
	Run       *archive.Run
	Explained explain.Output
	Injected  faults.Book // whom the faults befell; only when it has just been recorded
}

// cause is one thing that can be planted.
type cause struct {
	name string
	// short says that the short form plants it too.
	short bool
	plant func(draw) planting
}

// draw draws the amounts and shares of one planting.
type draw struct {
	*rand.Rand
	requests float64 // that the run will send
}

// amount draws a time, in whole milliseconds.
func (d draw) amount(from, to time.Duration) time.Duration {
	return (from + time.Duration(d.Int64N(int64(to-from)+1))).Truncate(time.Millisecond)
}

// share draws the share of requests that makes it about all of the slow ones:
// a little more than are compared. With far more, those of them would be
// compared that the machine made slower still.
func (d draw) share() float64 {
	const least, most = 1.4, 2.0 // times the slow ones that are compared
	compared := max(30, d.requests/100)
	return float64(int((least+(most-least)*d.Float64())*compared/d.requests*1e4)) / 1e4
}

// planting is a cause with its amounts, and what may be said of it.
type planting struct {
	what   string // the amounts, for people
	faults []faults.Fault
	plan   func(*loadgen.Plan) // changes the usual plan; nil leaves it
	delay  *slowLink           // stands between generator and target; nil is nothing
	starve bool                // the generator's processors are taken away now and then

	right answer
	// must be named at the highest tier, whatever else is right; "" is nothing.
	must string
	// additive says that the extra time of slow requests is what was planted,
	// as the log of those who did it tells.
	additive bool
	// place is what the evidence at the highest tier has to show: the code, the
	// function or the service.
	place func(signal.Finding) bool
	// each is, of several causes, the component of each; with additive alone.
	each map[faults.Knob]string
}

// answer is which components are right, by what the comparison rests on: the
// client alone, the server's time, timelines. Another component is wrong unless
// it is one of those in which requests wait for a busy machine.
type answer struct{ client, server, states []string }

// at returns the right components at a tier.
func (a answer) at(t signal.Tier) []string {
	switch {
	case t >= signal.T3:
		return a.states
	case t >= signal.T1:
		return a.server
	}
	return a.client
}

// inHandler is the answer of a cause that lies in the handler.
func inHandler(states ...string) answer {
	return answer{client: []string{"wait"}, server: []string{"self.unknown"}, states: states}
}

// everywhere is the answer of a cause that no tier tells differently.
func everywhere(ids ...string) answer { return answer{client: ids, server: ids, states: ids} }

// How the usual run of a cause loads the target.
const (
	causeRate  = 120.0 // per second
	causeShort = 10 * time.Second
	causeFull  = 20 * time.Second
	causeSeeds = 3
	cleanRuns  = 40
	cleanFor   = 10 * time.Second
	cleanName  = "clean window"
)

// causePlan is the usual plan: the target waits, which costs no CPU and varies
// little.
func causePlan(seed uint64, d time.Duration) loadgen.Plan {
	return loadgen.Plan{
		Name: "cause", Seed: seed, TraceShare: 1,
		Phases: []loadgen.Phase{{Name: "steady", For: d, Load: loadgen.Load{
			Rate: loadgen.Constant(causeRate), Arrivals: loadgen.Poisson,
		}}},
		Journeys: []loadgen.Journey{{Steps: []loadgen.Step{{Path: "/workloads/wait?ms=10"}}}},
	}
}
