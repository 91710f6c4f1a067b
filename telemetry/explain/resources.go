package explain

import (
	"fmt"
	"slices"
	"time"

	"github.com/taillight-load/taillight/loadgen/stats"
	"github.com/taillight-load/taillight/telemetry/names"
	"github.com/taillight-load/taillight/telemetry/signal"
)

// Limits of F10, F11 and F19.
const (
	throttledShare   = 0.01 // of the run's time
	saturatedShare   = 0.9  // of the cores that the target may use
	saturatedMachine = 0.95 // of the cores that generator and target share
	longEnough       = 30 * time.Minute
	growthPerHour    = 0.05 // of the middle: slower growth is told by no soak of half an hour
	mostGrowthPoints = 600
)

// throttled is F10: the target's CPU quota kept it from running.
func throttled(f *facts) ([]signal.Finding, string) {
	points := f.counted(names.ContainerThrottled.Name)
	if len(points) == 0 {
		return nil, "the target told no throttled time: it has no CPU quota, or no file that says so"
	}
	length := f.result.Elapsed
	from, known := valueAt(points, f.result.Began.UnixNano())
	to, knownToo := valueAt(points, f.result.Began.Add(length).UnixNano())
	if !known || !knownToo || length <= 0 {
		return nil, "the throttled time does not cover the run"
	}
	share := max(0, to-from) / length.Seconds()
	if share <= throttledShare {
		return nil, fmt.Sprintf("the target's CPU quota held it back for %s of the run's %s", seconds(max(0, to-from)), duration(length))
	}
	finding := signal.Finding{
		Title: "The CPU quota held the target back", Severity: signal.Notice, Confidence: signal.Certain, Component: "throttled",
		Claim: fmt.Sprintf("The target's CPU quota kept it from running for %s of the run's %s.", seconds(to-from), duration(length)),
		Evidence: []signal.Evidence{
			{Label: "throttled time", Value: to - from, Unit: "s", Ref: "counter:" + names.ContainerThrottled.Name},
			number("run", length.Seconds(), "s"),
		},
		Hint: "raise the container's CPU limit, or set GOMAXPROCS to it",
	}
	text, evidence := f.slowWhen(func(from, to int64) bool {
		a, okA := valueAt(points, from)
		b, okB := valueAt(points, to)
		return okA && okB && b-a > 0
	})
	finding.Claim += text
	finding.Evidence = append(finding.Evidence, evidence...)
	return []signal.Finding{finding}, ""
}

// counted adds up the series of a name that the target sent, point by point.
func (f *facts) counted(name string) []signal.Point {
	at := map[int64]float64{}
	for i := range f.Series {
		s := &f.Series[i]
		if s.Name != name || !f.targets(s) {
			continue
		}
		for _, p := range s.Points {
			at[p.Time] += p.Value
		}
	}
	points := make([]signal.Point, 0, len(at))
	for t, v := range at {
		points = append(points, signal.Point{Time: t, Value: v})
	}
	slices.SortFunc(points, func(a, b signal.Point) int { return int(a.Time - b.Time) })
	return points
}

// slowWhen compares how often requests that began in the seconds (Unix ns) that
// in accepts were among the slowest 1 in 100 with how often the others were.
func (f *facts) slowWhen(in func(from, to int64) bool) (string, []signal.Evidence) {
	if !f.all || f.response.N() < fewestForTail {
		return "", nil
	}
	limit := f.response.Quantile(1 - slowShare)
	marked := map[time.Duration]bool{}
	for i := range f.Seconds {
		at := f.Seconds[i].Start
		wall := f.result.Began.Add(at).UnixNano()
		marked[at/time.Second] = in(wall, wall+int64(time.Second))
	}
	var slow, all [2]float64
	for _, j := range f.joined {
		if x := j.Exchange; answered(x) {
			k := 0
			if marked[x.Intended/time.Second] {
				k = 1
			}
			all[k]++
			if x.Response() > limit {
				slow[k]++
			}
		}
	}
	if all[0] == 0 || all[1] == 0 {
		return "", nil
	}
	with, without := stats.Wilson(slow[1], all[1], confidence), stats.Wilson(slow[0], all[0], confidence)
	if with.Lo <= without.Hi {
		return " Requests that began in those seconds were not clearly slower than others.", nil
	}
	return fmt.Sprintf(" Of the requests that began in those seconds %s took over %s (%s, n=%s), of the others %s (%s, n=%s).",
			percent(slow[1]/all[1]), duration(limit), percentInterval(with), count(int64(all[1])),
			percent(slow[0]/all[0]), percentInterval(without), count(int64(all[0]))),
		[]signal.Evidence{
			number("share of slow requests then", slow[1]/all[1], "1"), number("share of slow requests else", slow[0]/all[0], "1"),
		}
}

// saturated is F11: the target used nearly all of the CPU it may use.
func saturated(f *facts) ([]signal.Finding, string) {
	cpu := f.Machine.TargetCPU
	if cpu == nil || !cpu.Process || !(cpu.Mean > 0) || !finite(cpu.Mean) {
		return nil, "the target's CPU use is unknown"
	}
	cores, limit := f.usableCores()
	if cores <= 0 {
		return nil, "the number of cores the target may use is unknown"
	}
	stretches := f.cpuByPhase()
	if len(stretches) == 0 {
		stretches = f.wholeRun()
	}
	if len(stretches) == 0 {
		return nil, "the target's CPU use is not known over a whole phase"
	}
	most := stretches[0]
	for _, s := range stretches {
		if s.cores > most.cores {
			most = s
		}
	}
	used := fmt.Sprintf("over %s the target used %s of %s (%s)", most.name, digits(most.cores, 3), digits(cores, 3)+" cores", cpu.Source)
	if most.cores < limit*cores {
		return nil, fmt.Sprintf("%s: %s, below %s", used, percent(most.cores/cores), percent(limit))
	}
	return []signal.Finding{{
		Title: "CPU is used up", Severity: signal.Notice, Confidence: signal.Strong, Component: "cpu_saturated", Warnings: f.shared(),
		Claim: fmt.Sprintf("Most was used in one phase: %s, %s, at %s. More load than that waits for a core.", used, percent(most.cores/cores), perSecond(most.rate)),
		Evidence: []signal.Evidence{
			{Label: "CPU use", Value: most.cores, Unit: "cores", Ref: "counter:" + cpu.metric()},
			number("cores it may use", cores, "cores"), number("throughput then", most.rate, "/s"),
			number("CPU per request", most.cores/most.rate, "s"),
		},
	}}, ""
}

// usableCores returns the cores that the target may use, and the share of them
// from which they count as used up. On one machine the generator's part is
// not there to be used.
func (f *facts) usableCores() (cores, limit float64) {
	m := f.Machine
	cores = float64(m.TargetProcs)
	if cores <= 0 {
		if points := f.counted(names.ProcessorLimit.Name); len(points) > 0 {
			cores = points[len(points)-1].Value
		}
	}
	if m.Bundled && m.Cores > 0 && f.result.Elapsed > 0 {
		left := float64(m.Cores) - f.result.Self.CPU.Seconds()/f.result.Elapsed.Seconds()
		if left < cores || cores <= 0 {
			return max(0, left), saturatedMachine
		}
	}
	return cores, saturatedShare
}

// growth is F19: what the target holds grew over a long constant load.
func growth(f *facts) ([]signal.Finding, string) {
	phase := -1
	for i := range f.result.Phases {
		p := f.result.Phases[i]
		if f.unsteady(i) == "" && p.End-p.Start >= longEnough-time.Minute {
			phase = i
		}
	}
	if phase < 0 {
		return nil, fmt.Sprintf("no constant load lasted %s", duration(longEnough))
	}
	var found []signal.Finding
	var told []string
	for _, g := range []struct{ metric, what, unit string }{
		{names.MemoryGoal.Name, "live memory (the heap's goal)", "By"},
		{names.Goroutines.Name, "goroutines", ""},
	} {
		line, middle, n, ok := f.trend(g.metric, phase)
		if !ok {
			told = append(told, g.what+": not told")
			continue
		}
		hourly := stats.Interval{Lo: line.Interval.Lo * 3600 / middle, Hi: line.Interval.Hi * 3600 / middle}
		text := fmt.Sprintf("%s grew by %s to %s of the middle per hour (95 %% interval, n=%d points)", g.what, signed(100*hourly.Lo)+" %", signed(100*hourly.Hi)+" %", n)
		if hourly.Lo <= growthPerHour {
			told = append(told, text)
			continue
		}
		found = append(found, signal.Finding{
			Title: "Growth under constant load: " + g.what, Severity: signal.Notice, Confidence: signal.Strong, Component: "growth",
			Claim: fmt.Sprintf("Under the constant load of phase %s: %s.", f.phase(phase), text),
			Evidence: []signal.Evidence{
				{Label: "growth per hour at least", Value: 100 * hourly.Lo, Unit: "%", Ref: "counter:" + g.metric},
				number("growth per hour at most", hourly.Hi, "1"), number("middle", middle, g.unit),
			},
		})
	}
	if len(found) > 0 {
		return found, ""
	}
	return nil, list(told)
}

// trend fits a line to a metric of the target over a phase, less its first
// tenth, in which caches fill. x is seconds.
func (f *facts) trend(metric string, phase int) (line stats.Slope, middle float64, n int, ok bool) {
	p := f.result.Phases[phase]
	from := f.result.Began.Add(p.Start + (p.End-p.Start)/10).UnixNano()
	to := f.result.Began.Add(p.End).UnixNano()
	var x, y []float64
	points := f.counted(metric)
	step := max(1, len(points)/mostGrowthPoints)
	for i := 0; i < len(points); i += step {
		if q := points[i]; q.Time >= from && q.Time <= to {
			x, y = append(x, float64(q.Time-from)/1e9), append(y, q.Value)
		}
	}
	line, ok = stats.TheilSen(x, y, confidence)
	middle = stats.Median(slices.Sorted(slices.Values(y)))
	return line, middle, len(x), ok && middle > 0
}

// rateLimited is F24: the target turned requests away with 429.
func rateLimited(f *facts) ([]signal.Finding, string) {
	n := f.answered()
	if n == 0 {
		return nil, noResult
	}
	var refused int64
	for _, c := range f.classes() {
		if c.name == "status 429" {
			refused += c.n
		}
	}
	if refused == 0 {
		return nil, fmt.Sprintf("none of %s was answered 429 Too Many Requests", plural(n, "request", "requests"))
	}
	share := float64(refused) / float64(n)
	spread := f.failureSpread(share)
	interval := stats.Wilson(share*float64(n)/spread, float64(n)/spread, confidence)
	return []signal.Finding{{
		Title: "The target limits the rate", Severity: signal.Notice, Confidence: signal.Certain, Component: "rate_limit",
		Claim: fmt.Sprintf("%s of %s were answered 429 Too Many Requests, %s (%s): what was measured is the limiter, not the service's own limit.",
			count(refused), plural(n, "request", "requests"), percent(share), percentInterval(interval)),
		Evidence: append([]signal.Evidence{number("answered 429", float64(refused), ""), number("requests", float64(n), "")}, bounds("share", interval, "1")...),
		Hint:     "lift the limit for the test's client, or test below it",
	}}, ""
}
