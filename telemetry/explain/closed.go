package explain

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/telemetry/signal"
)

// Limits of F4.
const (
	nearBound    = 0.9  // of N/(R1+Z): from here on the users were the limit
	fewestCycles = 20   // of each user in the phase: below, its ends weigh over 5 %
	fewestSolo   = 10   // requests that make a mean service time
	mostFailed   = 0.01 // of the phase's requests: more, and the target did not keep up
	soloUsers    = 10   // seconds with at most N/10 users stand in for a solo reference
)

// cappedByUsers is F4: whether users and think time, not the target, held
// throughput where it was. X = N/(R+Z) holds in every closed system and proves
// nothing, for a slow target only makes R grow. What tells is whether X comes
// near N/(R1+Z), with R1 the service time of a target that does nothing else.
func cappedByUsers(f *facts) ([]signal.Finding, string) {
	phase, users := f.mostUsers()
	if phase < 0 {
		return nil, "no phase holds a constant number of users" + f.changes()
	}
	rate, why := f.closedRate(phase)
	if why != "" {
		return nil, why
	}
	solo, ok := f.soloService(users)
	if !ok {
		return nil, fmt.Sprintf("the service time of an idle target is unknown: no solo reference, and fewer than %d answers while at most %s of %s users were active",
			fewestSolo, digits(users/soloUsers, 3), digits(users, 6))
	}
	name := f.phase(phase)
	think, ok := f.think(phase, users, rate)
	if !ok {
		return nil, fmt.Sprintf("the think time in phase %s could not be measured", name)
	}
	ran := f.result.Phases[phase]
	length, cycle, lag := (ran.End - ran.Start).Seconds(), solo.mean+think.mean, f.meanLag(phase)
	bound := users / cycle
	switch {
	case length < fewestCycles*cycle:
		return nil, fmt.Sprintf("phase %s is too short: %s for turns of %s, %d turns needed",
			name, seconds(length), seconds(cycle), fewestCycles)
	// What the generator takes to go on is in every turn, too, and no limit of
	// the target's.
	case rate < nearBound*users/(cycle+lag):
		why := fmt.Sprintf("in phase %s %s came where %s users with a think time of %s and a solo service time of %s would allow %s: users and think time were not the limit",
			name, perSecond(rate), digits(users, 6), seconds(think.mean), seconds(solo.mean), perSecond(bound))
		if slices.ContainsFunc(graded(f.Validity, loadgen.Invalid), func(v loadgen.Validity) bool { return v.Phase == name }) {
			why += "; the phase is invalid, so the generator may have been"
		}
		return nil, why
	}
	found := f.capped(name, users, rate, bound, solo, think)
	if lag > cycle/100 {
		found.Evidence = append(found.Evidence, number("lag of the generator, in each turn", lag, "s"))
	}
	return []signal.Finding{found}, ""
}

// closedRate returns the answers per second of a phase of users, or why they
// do not tell what the users asked for.
func (f *facts) closedRate(phase int) (rate float64, why string) {
	for _, j := range f.result.Plan.Journeys {
		if j.Load != nil {
			return 0, fmt.Sprintf("journey %q has a load of its own, so the phase's users are not all there is", j.Name)
		}
	}
	c, ran := f.phaseCounts(phase), f.result.Phases[phase]
	ended := c.Completed + c.Failed
	switch {
	case ended == 0:
		return 0, fmt.Sprintf("no answer in phase %s", f.phase(phase))
	case float64(c.Failed) > mostFailed*float64(ended):
		return 0, fmt.Sprintf("%s of %s requests in phase %s failed, over 1 in 100: the target did not keep up",
			count(c.Failed), count(ended), f.phase(phase))
	}
	return float64(ended) / (ran.End - ran.Start).Seconds(), ""
}

func (f *facts) capped(phase string, users, rate, bound float64, solo, think measured) signal.Finding {
	warnings := append(f.shared(), solo.warnings...)
	return signal.Finding{
		Title: "Users and think time capped throughput; the target's limit was not reached", Severity: signal.Notice,
		Component: "users_and_think_time", Confidence: signal.Strong, Warnings: append(warnings, think.warnings...),
		Claim: fmt.Sprintf("Users and think time capped throughput near %s in phase %s; the target's limit was not reached. "+
			"%s users that pause %s (%s, n=%s) and are served in %s when the target does nothing else (%s, n=%s) ask for about %s at most, and %s came.",
			perSecond(rate), phase, digits(users, 6), seconds(think.mean), think.how, count(think.n),
			seconds(solo.mean), solo.how, count(solo.n), perSecond(bound), perSecond(rate)),
		Evidence: []signal.Evidence{
			number("users N", users, ""),
			number("throughput X", rate, "/s"),
			number("think time Z", think.mean, "s"),
			number("solo service time R1", solo.mean, "s"),
			number("bound N/(R1+Z)", bound, "/s"),
		},
		Hint: "to look for the limit, raise the users, shorten the think time, or drive a rate instead of users",
	}
}

// mostUsers returns the constant phase with the most users that was reached
// (of equals, the last): if those did not reach the limit, fewer did not.
func (f *facts) mostUsers() (phase int, users float64) {
	phase = -1
	for i := range f.result.Plan.Phases {
		p, changed := f.result.LoadOf(i)
		if changed || p.Users == nil || p.Users.From != p.Users.To || !(p.Users.To > 0) || i >= len(f.result.Phases) {
			continue
		}
		r := f.result.Phases[i]
		if p.Users.To >= users && r.End > r.Start {
			phase, users = i, p.Users.To
		}
	}
	return phase, users
}

// measured is a mean duration in seconds with where it comes from.
type measured struct {
	mean     float64
	n        int64
	how      string
	warnings []signal.Warning
}

// soloService returns the mean service time of a target with next to nothing
// to do: of the reference, else of the seconds with few users.
func (f *facts) soloService(users float64) (measured, bool) {
	if r := f.Reference; r != nil && r.N >= fewestSolo && r.Mean > 0 && finite(r.Mean) {
		return measured{mean: r.Mean, n: int64(r.N), how: "one by one before the run"}, true
	}
	var sum, weight float64
	var n int64
	for _, j := range f.joined {
		x := j.Exchange
		if active := f.usersAt(x.Sent); !x.OK() || active < 1 || float64(active) > users/soloUsers {
			continue
		}
		w := max(x.Weight, 1)
		sum += w * x.Service().Seconds()
		weight += w
		n++
	}
	if n < fewestSolo || !(sum > 0) {
		return measured{}, false
	}
	return measured{
		mean: sum / weight, n: n, how: fmt.Sprintf("while at most %s users were active", digits(users/soloUsers, 3)),
		warnings: []signal.Warning{"the solo service time comes from the ramp's first seconds, where connections are new"},
	}, true
}

// usersAt returns the users active at the end of the second that holds at, 0
// when no second does.
func (f *facts) usersAt(at time.Duration) int {
	i, _ := slices.BinarySearchFunc(f.Seconds, at, func(s loadgen.Second, at time.Duration) int {
		return cmp.Compare(s.End, at+1)
	})
	if i < len(f.Seconds) && f.Seconds[i].Start <= at {
		return f.Seconds[i].Users
	}
	return 0
}

// think returns the mean pause of a user before a request: from the end of
// one exchange to when the next was due, both in the phase. Of long runs only
// the first exchanges are kept without gaps; a phase that has none of those is
// measured by what users, rate and response time leave of a turn.
func (f *facts) think(phase int, users, rate float64) (measured, bool) {
	last := map[int]*loadgen.Exchange{}
	var sum float64
	var n int64
	for _, j := range f.joined {
		x := j.Exchange
		if x.Phase != phase || x.User < 0 || x.Kept != loadgen.KeptAll {
			continue
		}
		if before := last[x.User]; before != nil {
			sum += max(0, x.Intended-before.Done).Seconds()
			n++
		}
		last[x.User] = x
	}
	if n < fewestSolo {
		return f.thinkByLaw(phase, users, rate)
	}
	return measured{mean: sum / float64(n), n: n, how: "measured"}, true
}

// thinkByLaw solves N = X (R + Z) for Z. It needs every user active throughout.
func (f *facts) thinkByLaw(phase int, users, rate float64) (measured, bool) {
	var response loadgen.Distribution
	for i := range f.result.Series {
		if s := &f.result.Series[i]; s.Phase == phase {
			response.Merge(s.Response)
		}
	}
	if response.N() == 0 || !(rate > 0) {
		return measured{}, false
	}
	return measured{
		mean: max(0, users/rate-response.Mean().Seconds()), n: response.N(), how: "by N/X - R",
		warnings: []signal.Warning{"the think time is what users, throughput and response time leave of a turn (N/X - R): the phase's exchanges were kept in part only"},
	}, true
}
