package selftest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/services/target/faults"
	"github.com/taillight-load/taillight/telemetry/names"
	"github.com/taillight-load/taillight/telemetry/signal"
)

// Bounds of the amounts that are drawn. What is waited for costs the machine
// nothing and may be long; what computes must leave the others their CPU.
const (
	shortWait, longWait = 150 * time.Millisecond, 300 * time.Millisecond
	shortWork, longWork = 40 * time.Millisecond, 60 * time.Millisecond
)

// causes lists what is planted.
func causes() []cause {
	return []cause{
		{"cpu-bound handler", true, cpuBound},
		{"saturation", false, saturation},
		{"mutex", true, waitFor(faults.Lock, "self.sync", inShop)},
		{"channel pool", false, waitFor(faults.Channel, "self.chan", inShop)},
		{"garbage collection", false, collection},
		{"downstream service", true, downstream},
		{"database", false, waitFor(faults.Sleep, "self.sleep", inShop)},
		{"cold connections", false, coldConnections},
		{"full accept queue", false, fullQueue},
		{"CPU quota", false, quota},
		{"stopped process", false, stopped},
		{"starved generator", false, starved},
		{"users and think time", false, cappedUsers},
		{"error burst", true, errorBurst},
		{"network delay", true, networkDelay},
	}
}

// pairs lists the causes of two at once.
func pairs() []cause {
	return []cause{{"mutex and database", false, lockAndSleep}}
}

// nothing is what a clean window has planted.
func nothing(draw) planting { return planting{what: "nothing"} }

// The files and functions of what is planted. The names do not tell what it
// does.
const (
	shopDir     = "/services/target/shop/"
	shopPackage = "/services/target/shop."
)

// inShop asks for the line of the planted call.
func inShop(f signal.Finding) bool {
	return evidence(f, func(e signal.Evidence) bool {
		return strings.HasPrefix(e.Ref, "code:") && strings.Contains(e.Ref, shopDir)
	})
}

func evidence(f signal.Finding, accept func(signal.Evidence) bool) bool {
	return slices.ContainsFunc(f.Evidence, accept)
}

func fault(k faults.Knob, amount int64, share float64) faults.Fault {
	return faults.Fault{Knob: k, Amount: amount, Share: share}
}

// of says what is planted as flags do.
func of(f ...faults.Fault) planting {
	return planting{what: faults.Set{Faults: f}.String(), faults: f, additive: true}
}

// waitFor plants a wait in the handler.
func waitFor(k faults.Knob, id string, place func(signal.Finding) bool) func(draw) planting {
	return func(d draw) planting {
		p := of(fault(k, int64(d.amount(shortWait, longWait)), d.share()))
		p.right, p.place = inHandler(id), place
		return p
	}
}

func cpuBound(d draw) planting {
	p := of(fault(faults.CPU, int64(d.amount(shortWork, longWork)), d.share()))
	p.right = inHandler("self.running")
	p.place = func(f signal.Finding) bool {
		return evidence(f, func(e signal.Evidence) bool {
			return strings.HasPrefix(e.Ref, "profile:cpu") && strings.Contains(e.Text, shopPackage)
		})
	}
	return p
}

// saturation has users come for a moment, again and again, who ask for more
// than the target can do. Their requests compute and allocate nothing: the
// collector would want its part of the CPU.
func saturation(d draw) planting {
	const (
		work   = 6 * time.Millisecond
		think  = 30 * time.Millisecond
		few    = 3
		crowds = 10
		crowd  = 8 // times shorter than from one to the next
	)
	many := 30 + d.IntN(20)
	p := of(fault(faults.CPU, int64(work), 1))
	p.additive = false
	p.what = fmt.Sprintf("%s of CPU a request, %d times %d users", work, crowds, many)
	p.plan = func(p *loadgen.Plan) {
		each := p.Duration() / crowds
		p.Think = loadgen.Think{Kind: loadgen.ThinkConstant, Min: think, Max: think}
		p.Phases = nil
		for i := range crowds {
			p.Phases = append(p.Phases,
				loadgen.Phase{Name: fmt.Sprintf("calm %d", i+1), For: each - each/crowd, Load: loadgen.Load{Users: loadgen.Constant(few)}},
				loadgen.Phase{Name: fmt.Sprintf("crowd %d", i+1), For: each / crowd, Load: loadgen.Load{Users: loadgen.Constant(float64(many))}})
		}
		p.Journeys[0].Steps[0].Path = "/workloads/wait?ms=0"
	}
	p.right = answer{
		client: []string{"wait"}, server: []string{"gap", "self.unknown", "cpu_saturated"},
		states: []string{"gap", "self.runnable", "self.descheduled", "cpu_saturated"},
	}
	return p
}

func collection(d draw) planting {
	p := of(fault(faults.GC, (64+d.Int64N(64))<<20, d.share()))
	p.right = inHandler("self.gc", "gc")
	p.place = inShop
	return p
}

func downstream(d draw) planting {
	p := of(fault(faults.Downstream, int64(d.amount(shortWait, longWait)), d.share()))
	p.right = answer{client: []string{"wait"}, server: []string{"downstream"}, states: []string{"downstream"}}
	p.place = func(f signal.Finding) bool {
		return evidence(f, func(e signal.Evidence) bool {
			return strings.HasPrefix(e.Ref, "span:") && strings.HasSuffix(e.Text, " of "+names.ServiceDownstream)
		})
	}
	return p
}

// coldConnections closes connections after the answer; the next one waits
// before it is served.
func coldConnections(d draw) planting {
	p := of(fault(faults.Cold, int64(d.amount(shortWait, longWait)), d.share()))
	p.must = "connections"
	p.right = answer{
		client: []string{"wait", "connections"}, server: []string{"gap", "connections"}, states: []string{"gap", "connections"},
	}
	return p
}

// fullQueue has the target accept nothing for a while, with new connections
// wanted all the time.
func fullQueue(d draw) planting {
	p := of(
		faults.Fault{Knob: faults.Backlog, Amount: int64(d.amount(1200*time.Millisecond, 1500*time.Millisecond)), Share: 1, Every: 4 * time.Second, After: 2 * time.Second},
		fault(faults.Cold, 0, 0.15),
	)
	p.additive = false
	p.must = "connect"
	p.right = answer{
		client: []string{"connect", "wait", "connections", "stall"}, server: []string{"connect", "gap", "connections", "stall"},
		states: []string{"connect", "gap", "connections", "stall"},
	}
	return p
}

// quota leaves the target a part of a core for two seconds.
func quota(d draw) planting {
	p := of(faults.Fault{Knob: faults.Throttle, Amount: 20 + d.Int64N(30), Share: 1, Every: 100 * time.Millisecond, After: 3 * time.Second, For: 2 * time.Second})
	p.additive = false
	p.plan = func(p *loadgen.Plan) { p.Journeys[0].Steps[0].Path = "/workloads/cpu?ms=2" }
	p.must = "throttled"
	p.right = answer{
		client: []string{"wait", "stall"}, server: []string{"throttled", "gap", "self.unknown", "stall"},
		states: []string{"throttled", "self.descheduled", "gap", "self.runnable", "stall"},
	}
	return p
}

// stopped stops the whole target.
func stopped(d draw) planting {
	p := of(faults.Fault{Knob: faults.Stall, Amount: int64(d.amount(500*time.Millisecond, 900*time.Millisecond)), Share: 1, Every: 3 * time.Second, After: 2500 * time.Millisecond})
	p.additive = false
	p.must = "stall"
	// The client alone, and the span of a handler that was stopped too, tell
	// truly where the time was; what the handler waited for did not hold it.
	p.right = answer{client: []string{"stall", "wait"}, server: []string{"stall", "gap", "self.unknown"}, states: []string{"stall", "gap"}}
	return p
}

// starved takes the generator's processors away.
func starved(draw) planting {
	return planting{what: "the generator's processors taken for 80 ms of each 200 ms", starve: true, right: everywhere("generator", "lag")}
}

// cappedUsers has users who think for most of their time.
func cappedUsers(d draw) planting {
	users, think := 15+d.IntN(10), d.amount(100*time.Millisecond, 200*time.Millisecond)
	return planting{
		what: fmt.Sprintf("%d users who think for %s", users, think),
		plan: func(p *loadgen.Plan) {
			p.Think = loadgen.Think{Kind: loadgen.ThinkConstant, Min: think, Max: think}
			p.Phases[0].Load = loadgen.Load{Users: loadgen.Constant(float64(users))}
		},
		right: everywhere("users_and_think_time"),
	}
}

// errorBurst answers everything with an error for two seconds.
func errorBurst(d draw) planting {
	status := []int64{500, 502, 504}[d.IntN(3)]
	p := of(faults.Fault{Knob: faults.Errors, Amount: status, Share: 1, After: 4 * time.Second, For: 2 * time.Second})
	p.additive = false
	p.right = everywhere(fmt.Sprintf("status %d", status))
	return p
}

// networkDelay holds requests up on their way to the target.
func networkDelay(d draw) planting {
	link := &slowLink{wait: d.amount(shortWait, longWait), share: d.share(), draw: d.Rand}
	return planting{
		what: fmt.Sprintf("%s on the way for %.3g %%", link.wait, 100*link.share), delay: link, additive: true,
		right: answer{client: []string{"wait"}, server: []string{"gap"}, states: []string{"gap"}},
	}
}

// lockAndSleep plants two causes, each for half of the slow requests. It sends
// more than the other causes do: with 30 slow requests, chance alone would give
// one of the two a third of them.
func lockAndSleep(d draw) planting {
	const rate = 400.0
	d.requests *= rate / causeRate
	amount, share := int64(d.amount(shortWait, longWait)), float64(int(d.share()/2*1e4))/1e4
	p := of(fault(faults.Lock, amount, share), fault(faults.Sleep, amount, share))
	p.plan = func(p *loadgen.Plan) { p.Phases[0].Rate = loadgen.Constant(rate) }
	p.right = inHandler("self.sync", "self.sleep")
	p.each = map[faults.Knob]string{faults.Lock: "self.sync", faults.Sleep: "self.sleep"}
	return p
}
