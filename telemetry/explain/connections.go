package explain

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/loadgen/stats"
	"github.com/taillight-load/taillight/telemetry/signal"
)

// leastReopened is the share of requests on connections opened beyond need
// from which F23 speaks: from there on p99 feels it.
const leastReopened = 0.01

// reopened is F23: connections that were opened again although neither users
// nor arrivals in progress grew.
func reopened(f *facts) ([]signal.Finding, string) {
	n := f.total.Sent
	if n == 0 {
		return nil, noResult
	}
	needed := f.connectionsNeeded()
	broken := f.brokenConnections()
	extra := min(max(0, f.total.Reopened-needed-broken), n)
	interval := stats.Wilson(float64(extra), float64(n), confidence)
	opened := fmt.Sprintf("%s over %s", plural(f.total.Reopened, "connection was opened", "connections were opened"), plural(n, "request", "requests"))
	account := fmt.Sprintf("%s for users and for arrivals in progress", count(needed))
	if broken > 0 {
		account += fmt.Sprintf(", %s after failures that end a connection", count(broken))
	}
	if interval.Lo < leastReopened {
		return nil, fmt.Sprintf("%s: %s, %s beyond", opened, account, count(extra))
	}
	finding := signal.Finding{
		Title: "Connections were re-opened", Severity: signal.Notice, Component: "connections", Confidence: signal.Strong,
		Claim: fmt.Sprintf("%s, where %s were to be expected: %s of requests (%s, n=%s) opened a connection again.",
			opened, account, percent(float64(extra)/float64(n)), percentInterval(interval), count(n)),
		Evidence: append([]signal.Evidence{
			number("connections opened", float64(f.total.Reopened), ""),
			number("connections expected", float64(needed+broken), ""),
			number("requests", float64(n), ""),
		}, bounds("share opened again", interval, "1")...),
		Hint: "look for a server or proxy that closes idle or long-used connections",
	}
	if cost, kept := f.openingCost(); kept > 0 {
		finding.Claim += fmt.Sprintf(" Opening one took %s in the mean (dns, connect and ssl; n=%s kept).", seconds(cost), count(kept))
		finding.Evidence = append(finding.Evidence, number("mean opening", cost, "s"))
	}
	return []signal.Finding{finding}, ""
}

// connectionsNeeded returns how many connections the load itself asks for:
// one for each growth of the users from phase to phase, and one for each
// arrival in progress at the peak. An arrival holds its connection while it
// thinks between two steps, so requests in flight would be too few.
func (f *facts) connectionsNeeded() int64 {
	var users, had, arrivals int
	for i, p := range f.result.Phases {
		most := max(p.UsersMax, f.plannedUsers(i))
		users += max(0, most-had)
		had = most
		if f.arrives(i) {
			arrivals = max(arrivals, p.IterationsMax, p.InFlightMax)
		}
	}
	return int64(users + arrivals)
}

// plannedUsers returns the most users that phase i asks for. Users are counted
// once a second, which misses a crowd that comes and goes within one.
func (f *facts) plannedUsers(i int) int {
	if i >= len(f.result.Plan.Phases) {
		return 0
	}
	load, changed := f.result.LoadOf(i)
	if changed || load.Users == nil {
		return 0 // of a load that was changed, what was counted has to do
	}
	return int(math.Ceil(load.Users.Max()))
}

// arrives reports whether phase i, or a journey with a load of its own, is
// driven by a rate.
func (f *facts) arrives(i int) bool {
	p := &f.result.Plan
	return i < len(p.Phases) && p.Phases[i].Rate != nil ||
		slices.ContainsFunc(p.Journeys, func(j loadgen.Journey) bool { return j.Load != nil && j.Load.Rate != nil })
}

// brokenConnections returns the failures after which a connection is no more:
// all but an answer with an unexpected status or body.
func (f *facts) brokenConnections() int64 {
	var broken int64
	for _, c := range f.classes() {
		if name := string(c.name); !strings.HasPrefix(name, "status ") && name != "body" {
			broken += c.n
		}
	}
	return broken
}

// openingCost returns the mean time of opening a connection, in seconds, and
// over how many kept exchanges.
func (f *facts) openingCost() (mean float64, n int64) {
	var sum, weight float64
	for _, j := range f.joined {
		x := j.Exchange
		if x.Reused || !answered(x) {
			continue
		}
		w := max(x.Weight, 1)
		sum += w * (x.Timings.DNS + x.Timings.Connect + x.Timings.SSL).Seconds()
		weight += w
		n++
	}
	if !(weight > 0) {
		return 0, 0
	}
	return sum / weight, n
}
