package explain

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/telemetry/signal"
)

// mostSteps is how many steps the slow requests are told of, those with most
// extra time.
const mostSteps = 3

// waitedComponents are those in which a request waits for its turn: ready, and
// not served. In all others it is held by something, or works.
func waitedComponents() []Component {
	return []Component{Lag, Gap, SelfRunnable, SelfDescheduled}
}

// waited is F7: slow requests waited for their turn.
func waited(f *facts) ([]signal.Finding, string) {
	return f.extraTime(func(c Component) bool { return slices.Contains(waitedComponents(), c) })
}

// held is F8: slow requests were held by something, or worked.
func held(f *facts) ([]signal.Finding, string) {
	return f.extraTime(func(c Component) bool { return !slices.Contains(waitedComponents(), c) })
}

// extraTime tells of the components that hold a named share of the extra time
// of slow requests, among those that mine accepts.
func (f *facts) extraTime(mine func(Component) bool) ([]signal.Finding, string) {
	var found []signal.Finding
	why := "no step has kept requests"
	told := 0
	for _, c := range f.cohorts() {
		switch {
		case c.Why != "":
			if told == 0 {
				why = c.Why
			}
			continue
		case len(found) >= mostSteps:
			continue
		}
		if told++; told == 1 {
			why = c.spread(mine)
			if slices.ContainsFunc(c.Parts, func(p Part) bool { return p.Blurred && mine(p.Component) }) {
				why = blurredWhy
			}
		}
		for i := range c.Parts {
			if p := &c.Parts[i]; p.Named && mine(p.Component) {
				found = append(found, f.partFinding(c, p))
			}
		}
	}
	if len(found) > 0 {
		return found, ""
	}
	return nil, why
}

// blurredWhy is why a component that others' lateness may have made is not
// named.
const blurredWhy = "the generator was too late itself (F1): it may have come to read answers as late as it sent requests, so the time until the first byte says nothing of the target"

// blurred reports whether the time in a component cannot be told from the
// generator's own lateness: a process without CPU reads answers late too.
func (f *facts) blurred(c Component) bool {
	return readByGenerator(c) && len(graded(f.Validity, loadgen.Invalid)) > 0
}

// readByGenerator are the components that end when the generator has read, not
// when somebody else says so.
func readByGenerator(c Component) bool {
	return c == Send || c == Wait || c == Receive || c == Gap
}

// spread says why none of the components is named.
func (c *Cohort) spread(mine func(Component) bool) string {
	var largest []string
	other := false
	for i := range c.Parts {
		p := &c.Parts[i]
		other = other || (p.Named || p.Blurred) && !mine(p.Component)
		if mine(p.Component) && p.Share > 0 && len(largest) < 3 {
			largest = append(largest, fmt.Sprintf("%s %s", p.Component, p.shareText()))
		}
	}
	text := fmt.Sprintf("%s of %s took %s longer than typical ones", plural(int64(c.Slow), "slow request", "slow requests"), c.Step, seconds(c.Extra))
	switch {
	case other:
		text += ", elsewhere"
	case len(largest) == 0:
		text += ", none of it here"
	case c.stretches < fewestStretches:
		text += fmt.Sprintf(", all begun within %s of a second or more, which may be one event", plural(int64(c.stretches), "stretch", "stretches"))
	default:
		text += ": spread over components"
	}
	if len(largest) > 0 {
		text += fmt.Sprintf(" (%s); one is named when its interval lies above %s", list(largest), percent(namedShare))
	}
	return text
}

func (p *Part) shareText() string {
	if p.Lo == 0 && p.Hi == 0 {
		return percent(p.Share) + ", without an interval"
	}
	return fmt.Sprintf("%s, 95 %% interval %s to %s", percent(p.Share), digits(100*p.Lo, 3), percent(p.Hi))
}

func (f *facts) partFinding(c *Cohort, p *Part) signal.Finding {
	finding := signal.Finding{
		Title:    "Slow requests were " + short(p.Component.phrase()),
		Severity: signal.Notice, Confidence: signal.Strong, Component: p.Component.String(), Warnings: f.shared(),
		Claim: fmt.Sprintf("%s of %s (over %s) took %s longer than %s (p40 to p60); %s of that (%s) they were %s: %s instead of %s in the mean.",
			plural(int64(c.Slow), "slow request", "slow requests"), c.Step, seconds(c.Over), seconds(c.Extra),
			plural(int64(c.Typical), "typical one", "typical ones"), percent(p.Share), p.intervalText(), p.Component.phrase(), seconds(p.Slow), seconds(p.Typical)),
		Evidence: []signal.Evidence{
			number("extra time of slow requests", c.Extra, "s"),
			number("of it "+p.Component.String(), p.Delta(), "s"),
			number("share", p.Share, "1"), number("share at least", p.Lo, "1"), number("share at most", p.Hi, "1"),
		},
	}
	for _, n := range c.Slowest {
		finding.Evidence = append(finding.Evidence, signal.Evidence{Label: "slow", Text: "one of the slowest", Ref: fmt.Sprintf("exchange:%d", n)})
	}
	finding.Evidence = append(finding.Evidence, signal.Evidence{Label: "typical", Text: "for comparison", Ref: fmt.Sprintf("exchange:%d", c.Example)})
	finding.Warnings = append(finding.Warnings, f.doubts(p.Component)...)
	f.where(c, p.Component, &finding)
	return finding
}

// doubts are what else of the run bears on a component.
func (f *facts) doubts(c Component) []signal.Warning {
	switch {
	case readByGenerator(c):
		if slices.ContainsFunc(f.Validity, func(v loadgen.Validity) bool { return v.Grade != loadgen.Valid }) {
			return []signal.Warning{"the generator was late itself (F1), and may have come to read answers late: how much of this time that is, is not known"}
		}
	case c == SelfGC, c == SelfRunnable:
		if found, _ := saturated(f); len(found) > 0 {
			return []signal.Warning{"the target's CPU was used up (F11): what waits for the collector or for a thread then waits for CPU too"}
		}
	}
	return nil
}

// short leaves out what a phrase adds after a colon.
func short(phrase string) string {
	phrase, _, _ = strings.Cut(phrase, ":")
	return phrase
}

func (p *Part) intervalText() string {
	return fmt.Sprintf("95 %% interval %s to %s", digits(100*p.Lo, 3), percent(p.Hi))
}

// where adds the place: the line that waited, the service that was called, the
// function that worked.
func (f *facts) where(c *Cohort, component Component, finding *signal.Finding) {
	switch {
	case component >= SelfSync && component <= SelfOther:
		if s := blockedAt(c.slow, component); s.known() {
			finding.Claim += fmt.Sprintf(" Of this time %s%s.", percent(s.share()), s.text())
			finding.Evidence = append(finding.Evidence, s.evidence()...)
		}
	case component == Downstream:
		f.whereDownstream(c, finding)
	case component == SelfRunning:
		f.whereRunning(c, finding)
	case component == SelfUnknown:
		finding.Claim += " What the handler did meanwhile is not known: no timelines of these requests were recorded."
		f.whereRunning(c, finding)
	case component == Wait:
		finding.Claim += " What the target did meanwhile is not known: it sent no spans."
	}
}

// phrase says what a request did in a component, to follow "they were".
func (c Component) phrase() string {
	phrases := [componentCount]string{
		"not sent yet, because the generator was late", "waiting for a connection", "looking up the host", "connecting", "in the TLS handshake",
		"being sent", "waiting for the first byte", "receiving the answer", "outside the handler: on the wire, in the accept queue, or ready and not picked up",
		"waiting for another service",
		"running", "on a thread that had no CPU", "ready to run and not let", "in system calls",
		"waiting for a lock", "waiting for a condition variable", "waiting for a channel", "waiting in a select", "waiting for the network",
		"sleeping", "waiting for the garbage collector", "blocked", "in the handler",
	}
	if int(c) >= len(phrases) {
		return c.String()
	}
	return phrases[c]
}

// site is the code in which requests waited most, of one component.
type site struct {
	at              signal.Call
	held, all       int64 // ns
	requests, waits int
}

func (s site) known() bool    { return s.at.Func != "" && s.all > 0 }
func (s site) share() float64 { return float64(s.held) / float64(s.all) }

func (s site) text() string {
	if !s.known() {
		return ""
	}
	return fmt.Sprintf(" at %s (%s)", s.at, plural(int64(s.requests), "request", "requests"))
}

func (s site) evidence() []signal.Evidence {
	if !s.known() {
		return nil
	}
	return []signal.Evidence{{
		Label: "waited at", Text: s.at.String(), Value: float64(s.held) / 1e9, Unit: "s", Ref: fmt.Sprintf("code:%s:%d", s.at.File, s.at.Line),
	}}
}

// blockedAt returns the place where the requests waited longest for the reason
// that a component stands for.
func blockedAt(of []*Breakdown, component Component) site {
	at := map[signal.Call]*site{}
	var all int64
	for _, b := range of {
		if b.Timeline == nil {
			continue
		}
		seen := map[signal.Call]bool{}
		for i := range b.Timeline.Blocks {
			block := &b.Timeline.Blocks[i]
			if blocking(block.Reason) != component {
				continue
			}
			call := block.Site()
			s := at[call]
			if s == nil {
				s = &site{at: call}
				at[call] = s
			}
			s.held += block.Time
			s.waits += block.Count
			if !seen[call] {
				seen[call] = true
				s.requests++
			}
			all += block.Time
		}
	}
	var most site
	for _, s := range at {
		if s.held > most.held || s.held == most.held && s.at.String() < most.at.String() {
			most = *s
		}
	}
	most.all = all
	return most
}

// whereDownstream names the call that took most of the time of slow requests.
func (f *facts) whereDownstream(c *Cohort, finding *signal.Finding) {
	type call struct{ name, service, address string }
	took := map[call]float64{}
	example := map[call]*signal.Span{}
	var all float64
	for _, b := range c.slow {
		for _, k := range b.Calls {
			to := call{name: k.Span.Name, service: f.calledService(k.Span), address: peer(k.Span)}
			took[to] += k.Time.Seconds()
			all += k.Time.Seconds()
			if s := example[to]; s == nil || k.Span.Duration() > s.Duration() {
				example[to] = k.Span
			}
		}
	}
	var most call
	for k, s := range took {
		if s > took[most] || s == took[most] && k.name < most.name {
			most = k
		}
	}
	if all <= 0 {
		return
	}
	name := most.name
	if to := cmp.Or(most.service, most.address); to != "" {
		name += " of " + to
	}
	finding.Claim += fmt.Sprintf(" Of this time %s was the call %s.", percent(took[most]/all), name)
	finding.Evidence = append(finding.Evidence, signal.Evidence{
		Label: "slowest call", Text: name, Value: float64(example[most].Duration()) / 1e9, Unit: "s", Ref: "span:" + example[most].SpanID.String(),
	})
}

// calledService returns the service that a call went to, when its own span
// came too.
func (f *facts) calledService(s *signal.Span) string {
	if s.Kind == signal.KindServer {
		return s.Resource.Service()
	}
	if f.servers == nil {
		f.servers, _ = indexServers(f.Spans)
	}
	if server := f.servers[parentage{s.TraceID, s.SpanID}]; server != nil {
		return server.Resource.Service()
	}
	return ""
}

// peer returns the address that a client span names.
func peer(s *signal.Span) string {
	for _, key := range []string{"server.address", "db.system.name", "db.system", "messaging.system", "net.peer.name"} {
		if v := s.Attributes.Text(key); v != "" {
			if port := s.Attributes.Text("server.port"); port != "" && strings.HasSuffix(key, "address") {
				v += ":" + port
			}
			return v
		}
	}
	return ""
}
