package explain

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/loadgen/stats"
	"github.com/taillight-load/taillight/telemetry/signal"
)

// Search is a search for the highest rate that keeps an objective, each of its
// trials a phase of the run. Rates are arrivals per second.
type Search struct {
	Objective string
	End       string // why it ended, in words
	Pass      float64
	Fail      float64 // lowest rate that did not pass; 0 for none
	Unclear   bool    // Fail did not clearly fail
	Confirmed bool    // Pass passed at length, too
	Spoiled   bool    // it ended because the generator could not keep up
	Recovered *bool
	Trials    []SearchTrial
}

// SearchTrial is one phase of a search.
type SearchTrial struct {
	Phase  int // index
	Rate   float64
	Passed bool
	Why    string // it did not, in words
}

// Laws are bounds that follow from the figures of a search by arithmetic.
// What is unknown is 0, or nil; Silent says why, line by line.
type Laws struct {
	CPUPhase      string
	CPUPerRequest float64 // of the target, s
	GeneratorCPU  float64 // per request, s
	Cores         float64 // that the target may use
	CPULimit      float64 // requests per second that those are enough for
	InFlightLimit float64 // requests per second by the cap on those in flight
	USL           *stats.USL
	USLPeak       float64 // requests in flight of the highest throughput; 0 when the trials show none
	USLLevels     int
	Silent        []string
}

// Limits of F3's laws.
const (
	fewestLevels = 6
	leastFit     = 0.95 // R2
	farthestPeak = 1.5  // times the most in flight that was tried
	sameLimit    = 0.1  // of the limit: closer to a bound, that may be what binds
)

// limitFound is F3: the bracket of a search.
func limitFound(f *facts) ([]signal.Finding, string) {
	s := f.Search
	switch {
	case s == nil:
		return nil, "the run searched for no limit: taillight breakpoint does"
	case s.Spoiled:
		return nil, "the generator could not keep the rate up: that limit is its own, not the target's"
	case !(s.Pass > 0 && s.Fail > 0):
		return nil, "no pass and fail pair: " + s.End
	}
	finding := signal.Finding{
		Title:    fmt.Sprintf("Limit between %s and %s", perSecond(s.Pass), perSecond(s.Fail)),
		Severity: signal.Notice, Confidence: signal.Suggested, Component: "limit", Warnings: f.shared(),
		Claim: fmt.Sprintf("%s was kept at %s", s.Objective, perSecond(s.Pass)),
		Evidence: []signal.Evidence{
			number("highest rate that passed", s.Pass, "/s"), number("lowest rate that did not pass", s.Fail, "/s"),
		},
		Hint: fmt.Sprintf("plan for 70 to 80 %% of the lower end: %s to %s", perSecond(0.7*s.Pass), perSecond(0.8*s.Pass)),
	}
	if s.Confirmed {
		finding.Confidence = signal.Strong
		finding.Claim += ", confirmed at length,"
	}
	if s.Unclear {
		finding.Claim += fmt.Sprintf(" and neither clearly kept nor missed at %s.", perSecond(s.Fail))
	} else {
		finding.Claim += fmt.Sprintf(" and not at %s.", perSecond(s.Fail))
	}
	if !s.Confirmed {
		finding.Claim += " The search ended before it could confirm that: " + s.End + "."
	}
	if r := s.Recovered; r != nil {
		after := "it was kept again"
		if !*r {
			after = "it was not kept again at once"
		}
		finding.Claim += fmt.Sprintf(" Right after an overload, at four fifths of the lower end, %s.", after)
	}
	if text, evidence := f.laws().against(s); text != "" {
		finding.Claim += text
		finding.Evidence = append(finding.Evidence, evidence...)
	}
	return []signal.Finding{finding}, ""
}

// against compares the limit with the CPU's bound.
func (l *Laws) against(s *Search) (string, []signal.Evidence) {
	if l == nil || !(l.CPULimit > 0) {
		return "", nil
	}
	text := fmt.Sprintf(" By the %s of CPU per request in phase %s, %s cores are enough for %s",
		seconds(l.CPUPerRequest), l.CPUPhase, digits(l.Cores, 3), perSecond(l.CPULimit))
	if s.Fail < (1-sameLimit)*l.CPULimit {
		text += ": the limit lies below that, so CPU alone does not set it, unless a request costs more of it under load."
	} else {
		text += ": the limit is near that, as it is when CPU sets it."
	}
	return text, []signal.Evidence{number("CPU per request", l.CPUPerRequest, "s"), number("bound by CPU", l.CPULimit, "/s")}
}

// laws works out what the trials of a search bound, nil without a search.
func (f *facts) laws() *Laws {
	if f.Search == nil {
		return nil
	}
	l := &Laws{}
	f.cpuLaw(l)
	f.inFlightLaw(l)
	f.scalability(l)
	return l
}

func (l *Laws) silent(format string, args ...any) {
	l.Silent = append(l.Silent, fmt.Sprintf(format, args...))
}

// cpuLaw is the utilisation law: with D of CPU per request C cores do at most
// C/D. D is of the highest trial that passed at up to half of the limit.
func (f *facts) cpuLaw(l *Laws) {
	if f.Machine.TargetCPU == nil {
		l.silent("bound by CPU: the target's CPU use is unknown")
		return
	}
	l.Cores = float64(f.Machine.TargetProcs)
	if l.Cores <= 0 {
		l.Cores, _ = f.usableCores()
	}
	byName := map[string]stretch{}
	for _, s := range f.cpuByPhase() {
		byName[s.name] = s
	}
	at := -1.0
	for _, t := range f.Search.Trials {
		s, known := byName["phase "+f.phase(t.Phase)]
		low := t.Rate <= f.Search.Pass/2
		if known && t.Passed && s.rate > 0 && (at < 0 || low && t.Rate > at) {
			at = t.Rate
			l.CPUPhase, l.CPUPerRequest = f.phase(t.Phase), s.cores/s.rate
			c := f.phaseCounts(t.Phase)
			l.GeneratorCPU = f.result.Phases[t.Phase].CPU.Seconds() / float64(max(1, c.Sent))
		}
	}
	switch {
	case l.CPUPerRequest <= 0:
		l.silent("bound by CPU: no trial that passed has the target's CPU time from its begin to its end")
		return
	case l.Cores <= 0:
		l.silent("bound by CPU: the number of cores the target may use is unknown")
		return
	}
	l.CPULimit = l.Cores / l.CPUPerRequest
	if m := f.Machine; m.Bundled && m.Cores > 0 {
		// Both work on the machine's cores: together they need no more than all.
		l.CPULimit = min(l.CPULimit, float64(m.Cores)/(l.CPUPerRequest+l.GeneratorCPU))
	}
}

// inFlightLaw is N/(R+Z) of arrivals: no pause, and N the cap on iterations at
// once, each with all its steps.
func (f *facts) inFlightLaw(l *Laws) {
	least := math.Inf(1)
	for _, t := range f.Search.Trials {
		if r := f.responseOf(t.Phase); r > 0 {
			least = min(least, r)
		}
	}
	if most := float64(f.result.Plan.MaxInFlight); most > 0 && finite(least) && len(f.steps) == 1 {
		l.InFlightLimit = most / least
	}
}

// responseOf returns the mean response of a phase, seconds.
func (f *facts) responseOf(phase int) float64 {
	var sum time.Duration
	var n int64
	for i := range f.result.Series {
		if s := &f.result.Series[i]; s.Phase == phase {
			sum += s.Response.Sum
			n += s.Response.N()
		}
	}
	return sum.Seconds() / float64(max(1, n))
}

// scalability fits the USL to the trials, N by Little's law, and keeps it only
// where it says something.
func (f *facts) scalability(l *Laws) {
	var points []stats.Load
	rates := map[float64]bool{}
	beyond, most := false, 0.0
	for _, t := range f.Search.Trials {
		x, r := f.rateOf(t.Phase), f.responseOf(t.Phase)
		if x <= 0 || r <= 0 {
			continue
		}
		points = append(points, stats.Load{N: x * r, X: x})
		most = max(most, x*r)
		rates[t.Rate] = true
		beyond = beyond || !t.Passed && t.Rate > f.Search.Pass
	}
	l.USLLevels = len(rates)
	if len(rates) < fewestLevels || !beyond {
		l.silent("USL: %d rates were tried, %d needed, one of them beyond the limit", len(rates), fewestLevels)
		return
	}
	slices.SortFunc(points, func(a, b stats.Load) int { return cmp.Compare(a.N, b.N) })
	u, ok := stats.FitUSL(points, confidence)
	if !ok || !(u.R2 >= leastFit) {
		l.silent("USL: it explains %s of the throughput's variance, %s needed", percent(max(0, u.R2)), percent(leastFit))
		return
	}
	l.USL = &u
	switch peak := u.Peak(); {
	case !(u.BetaInterval.Lo > 0):
		l.silent("USL: the interval of beta touches 0, so no peak shows")
	case !(peak <= farthestPeak*most):
		l.silent("USL: its peak, %s in flight, lies beyond %s times the %s that were tried", digits(peak, 3), digits(farthestPeak, 2), digits(most, 3))
	default:
		l.USLPeak = peak
	}
}

// Upper returns the parts of a run that belong to some of its phases: what the
// rules then say is said of those alone. cpu is the target's use in them.
func Upper(in Input, phases []int, cpu *CPU) Input {
	within := func(phase int) bool { return slices.Contains(phases, phase) }
	began := in.Result.Began.UnixNano()
	covered := func(from, to time.Duration) bool {
		return slices.ContainsFunc(phases, func(p int) bool {
			ran := in.Result.Phases[p]
			return from < ran.End && to > ran.Start
		})
	}
	r := *in.Result
	r.InFlight, r.Phases = nil, slices.Clone(r.Phases)
	r.Series = kept(r.Series, func(s *loadgen.Series) bool { return within(s.Phase) })
	for i := range r.Phases {
		if !within(i) {
			r.Phases[i].End = r.Phases[i].Start
		}
	}
	out := in
	out.Result, out.Machine.TargetCPU, out.Search = &r, cpu, nil
	out.Seconds = kept(in.Seconds, func(s *loadgen.Second) bool { return covered(s.Start, s.End) })
	out.Exchanges = kept(in.Exchanges, func(x *loadgen.Exchange) bool { return within(x.Phase) })
	out.Profiles = kept(in.Profiles, func(p *signal.Profile) bool {
		return covered(time.Duration(p.Start-began), time.Duration(p.End-began))
	})
	out.Validity = kept(in.Validity, func(v *loadgen.Validity) bool {
		return slices.ContainsFunc(phases, func(p int) bool { return r.Plan.Phases[p].Name == v.Phase })
	})
	return out
}

// kept returns the elements that keep lets through.
func kept[T any](all []T, keep func(*T) bool) []T {
	var out []T
	for i := range all {
		if keep(&all[i]) {
			out = append(out, all[i])
		}
	}
	return out
}

// Saturation keeps what tells a resource that is used up from all that the
// rules said: the generator, where slow requests were held, the collector, a
// quota, CPU, locks and pools, a rate limit.
func Saturation(out Output) (found []signal.Finding, silent []signal.Silent) {
	told := strings.Fields("F1 F8 F9 F10 F11 F12 F24 F25")
	for _, f := range out.Findings {
		spoken := f.Severity != signal.Info && (f.ID != "F1" || f.Severity == signal.Grave)
		if slices.Contains(told, f.ID) && spoken {
			found = append(found, f)
		}
	}
	for _, s := range out.Silent {
		if slices.Contains(told, s.ID) {
			silent = append(silent, s)
		}
	}
	return found, silent
}
