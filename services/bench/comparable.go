package bench

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/telemetry/archive"
	"github.com/taillight-load/taillight/telemetry/compare"
	"github.com/taillight-load/taillight/telemetry/flame"
	"github.com/taillight-load/taillight/telemetry/names"
	"github.com/taillight-load/taillight/telemetry/signal"
)

// WarmUp is the phase that comparisons leave out.
const WarmUp = "warm-up"

// cpuClock tells how much CPU a service had used at a moment (Unix ns), in
// seconds from any origin, and whether that is known.
type cpuClock func(at int64) (float64, bool)

// Comparable returns what is compared of a stored run: all phases but WarmUp.
func Comparable(run *archive.Run) (*compare.Run, error) {
	return comparableBy(run, toldCPU(run))
}

func comparableBy(run *archive.Run, clock cpuClock) (*compare.Run, error) {
	out := &compare.Run{
		ID: run.ID, Name: run.Name, Started: run.Started, Fingerprint: fingerprint(&run.Document),
		Timeout: run.Plan.WithDefaults().Timeout.Seconds(), Open: true, Grade: loadgen.Valid, Lost: run.Lost,
	}
	describe(&out.Fingerprint, run)
	var phases []archive.Phase
	for i := range run.Phases {
		if run.Phases[i].Name != WarmUp {
			phases = append(phases, run.Phases[i])
		}
	}
	for i := range run.Plan.Phases {
		out.Open = out.Open && run.Plan.Phases[i].Users == nil
	}
	explained := false // the verdict, by a phase
	for i := range run.Validity {
		v := &run.Validity[i]
		explained = explained || v.Grade == loadgen.Invalid
		if v.Phase == WarmUp {
			continue
		}
		out.Reasons = append(out.Reasons, v.Reasons...)
		if v.Grade == loadgen.Invalid || out.Grade == loadgen.Valid {
			out.Grade = v.Grade
		}
	}
	if run.Verdict == signal.Invalid && !explained {
		out.Grade, out.Reasons = loadgen.Invalid, append([]string{run.Reason}, out.Reasons...)
	}
	b := blocks{run: run, phases: phases, clock: clock}
	if err := b.fill(); err != nil {
		return nil, err
	}
	out.Blocks = b.out
	out.Segments = segments(run, phases, &b)
	return out, nil
}

// fingerprint says where and how a run was made.
func fingerprint(d *archive.Document) compare.Fingerprint {
	e := &d.Environment
	return compare.Fingerprint{
		CPU: e.CPU, Cores: e.Cores, Memory: e.Memory, OS: e.OS + "/" + e.Arch, Kernel: e.Kernel,
		GoVersion: e.GoVersion, Build: e.Version, Procs: e.Procs, TargetProcs: e.TargetProcs, Bundled: e.Bundled,
		Plan: planOf(d), Target: e.Target,
	}
}

// planOf tells loads apart that were changed while they ran: what was asked
// for is not what was brought.
func planOf(d *archive.Document) string {
	hash := compare.PlanHash(&d.Plan)
	for _, ch := range d.Changes {
		hash += fmt.Sprintf(", changed at %.1f s to ", ch.At)
		if ch.Rate != nil {
			hash += fmt.Sprintf("%g/s", *ch.Rate)
		} else if ch.Users != nil {
			hash += fmt.Sprintf("%d users", *ch.Users)
		}
	}
	return hash
}

// blocks turns a run's seconds into what is compared.
type blocks struct {
	run    *archive.Run
	phases []archive.Phase
	clock  cpuClock
	out    []compare.Block
	of     []int // the block of each second, -1 of none
}

func (b *blocks) fill() error {
	for i := range b.run.Seconds {
		b.add(&b.run.Seconds[i])
	}
	// The log has milliseconds, the seconds their exact ends.
	starts := map[time.Duration]int{}
	for i := range b.run.Seconds {
		starts[time.Duration(b.run.Seconds[i].Start).Truncate(time.Millisecond)] = b.of[i]
	}
	bins := make([]map[float64]int64, len(b.out))
	err := b.run.EachInterval(func(iv archive.Interval) error {
		at, ok := starts[iv.Start]
		if !ok || at < 0 || iv.Kind != archive.KindOK || !b.measured(iv.Phase) {
			return nil
		}
		if bins[at] == nil {
			bins[at] = map[float64]int64{}
		}
		for _, bar := range iv.Hist.Distribution() {
			if bar.Count > 0 {
				bins[at][float64(bar.To)/1e6] += bar.Count
			}
		}
		return nil
	})
	for i, of := range bins {
		for value, n := range of {
			b.out[i].OK = append(b.out[i].OK, compare.Bin{Value: value, Count: n})
		}
		slices.SortFunc(b.out[i].OK, func(x, y compare.Bin) int { return cmp.Compare(x.Value, y.Value) })
	}
	return err
}

func (b *blocks) measured(phase string) bool {
	return slices.ContainsFunc(b.phases, func(p archive.Phase) bool { return p.Name == phase })
}

// add makes a block of a second. One that lies after the phases holds only their
// last answers, which belong to the block before.
func (b *blocks) add(s *archive.Second) {
	var c loadgen.Counts
	for i := range s.Steps {
		if b.measured(s.Steps[i].Phase) {
			c.Add(s.Steps[i].Counts)
		}
	}
	within, cpu, known := b.overlap(s)
	answers := float64(c.Completed + c.Failed)
	// A sliver is no second of its own: drawn as one it would weigh as much.
	const whole = 0.5
	if within < whole && len(b.out) > 0 {
		last := &b.out[len(b.out)-1]
		last.Seconds += within
		count(last, c)
		if last.CPUFor > 0 {
			last.CPU += cpu
			last.CPUFor += answers
		}
		b.of = append(b.of, len(b.out)-1)
		return
	}
	if within == 0 {
		b.of = append(b.of, -1)
		return
	}
	block := compare.Block{Seconds: within}
	count(&block, c)
	// What the warm-up leaves to be done is in the first second's CPU, and what
	// is left to be done at the end is not in the last one's: they are alike.
	if known {
		block.CPU, block.CPUFor = cpu, answers
	}
	b.out = append(b.out, block)
	b.of = append(b.of, len(b.out)-1)
}

// overlap returns how much of a second lies in the phases, in seconds, and the
// CPU that the service used meanwhile, if known.
func (b *blocks) overlap(s *archive.Second) (within, cpu float64, known bool) {
	known = true
	for _, p := range b.phases {
		from, to := max(s.Start, int64(p.Start*1e9)), min(s.End, int64(p.End*1e9))
		if to <= from {
			continue
		}
		within += float64(to-from) / 1e9
		start := b.run.Started.UnixNano()
		before, ok := b.clock(start + from)
		after, okToo := b.clock(start + to)
		if !ok || !okToo {
			known = false
			continue
		}
		cpu += after - before
	}
	return within, cpu, known
}

func count(b *compare.Block, c loadgen.Counts) {
	b.Planned += c.Planned
	b.Completed += c.Completed
	b.Failed += c.Failed
	b.Unsent += c.Unsent
}

// answered returns the answers that came between two offsets (ns), those of a
// second spread evenly over it.
func (b *blocks) answered(from, to int64) float64 {
	var n float64
	for i := range b.run.Seconds {
		s := &b.run.Seconds[i]
		overlap := min(to, s.End) - max(from, s.Start)
		if overlap <= 0 {
			continue
		}
		var c loadgen.Counts
		for k := range s.Steps {
			c.Add(s.Steps[k].Counts)
		}
		n += float64(c.Completed+c.Failed) * float64(overlap) / float64(s.End-s.Start)
	}
	return n
}

// segments returns the CPU profiles that lie within the phases, of the service
// that sent most. Where several instances were profiled at once, each has its
// part of the requests.
func segments(run *archive.Run, phases []archive.Phase, b *blocks) []flame.Segment {
	of := map[string][]*signal.Profile{}
	most := ""
	start := run.Started.UnixNano()
	for i := range run.Profiles {
		p := &run.Profiles[i]
		within := slices.ContainsFunc(phases, func(ph archive.Phase) bool {
			return float64(p.Start-start)/1e9 >= ph.Start && float64(p.End-start)/1e9 <= ph.End
		})
		if p.Type != "cpu" || p.End <= p.Start || !within {
			continue
		}
		of[p.Service] = append(of[p.Service], p)
		if n, m := len(of[p.Service]), len(of[most]); n > m || n == m && p.Service < most {
			most = p.Service
		}
	}
	var out []flame.Segment
	for _, p := range of[most] {
		var at int64 // profiles taken at the same time, times that time
		for _, q := range of[most] {
			at += max(0, min(p.End, q.End)-max(p.Start, q.Start))
		}
		requests := b.answered(p.Start-start, p.End-start) * float64(p.End-p.Start) / float64(at)
		out = append(out, flame.Segment{Profile: p, Requests: requests})
	}
	return out
}

// toldCPU is the CPU time that the service's busiest process told of itself.
func toldCPU(run *archive.Run) cpuClock {
	byInstance := map[string]map[int64]float64{}
	for i := range run.Series {
		s := &run.Series[i]
		if s.Name != names.ProcessCPUTime.Name && s.Name != names.JVMCPUTime {
			continue
		}
		id := s.Name + " " + s.Resource.Instance()
		if byInstance[id] == nil {
			byInstance[id] = map[int64]float64{}
		}
		for _, p := range s.Points {
			byInstance[id][p.Time] += p.Value
		}
	}
	var best []cpuPoint
	for _, points := range byInstance {
		var row []cpuPoint
		for at, v := range points {
			row = append(row, cpuPoint{at, v})
		}
		slices.SortFunc(row, func(a, b cpuPoint) int { return cmp.Compare(a.at, b.at) })
		if used(row) > used(best) {
			best = row
		}
	}
	return interpolate(best)
}

// cpuPoint is how much CPU had been used at a moment.
type cpuPoint struct {
	at      int64   // Unix ns
	seconds float64 // cumulative
}

func used(row []cpuPoint) float64 {
	if len(row) < 2 {
		return 0
	}
	return row[len(row)-1].seconds - row[0].seconds
}

// interpolate knows the CPU between the first and the last point.
func interpolate(row []cpuPoint) cpuClock {
	return func(at int64) (float64, bool) {
		i, exact := slices.BinarySearchFunc(row, at, func(p cpuPoint, at int64) int { return cmp.Compare(p.at, at) })
		switch {
		case exact:
			return row[i].seconds, true
		case i == 0 || i == len(row):
			return math.NaN(), false
		}
		a, b := row[i-1], row[i]
		return a.seconds + (b.seconds-a.seconds)*float64(at-a.at)/float64(b.at-a.at), true
	}
}

// describe notes in the fingerprint what the service says of itself.
func describe(f *compare.Fingerprint, run *archive.Run) {
	note := func(r *signal.Resource) {
		if f.Service != "" || r == nil || r.Service() == names.ServiceDownstream {
			return
		}
		f.Service = r.Service()
		if v := r.Attributes.Text(names.AttrBuild); v != "" {
			f.Service += " " + v
		}
		f.Runtime = r.Attributes.Text(names.AttrRuntime)
	}
	for i := range run.Series {
		note(run.Series[i].Resource)
	}
	for i := range run.Spans {
		note(run.Spans[i].Resource)
	}
}

// Store returns what a trend looks at of a run, from its run.json alone.
func Store(d *archive.Document) compare.Stored {
	s := compare.Stored{ID: d.ID, Name: d.Name, Started: d.Started, Fingerprint: fingerprint(d), Values: compare.Values{}}
	if r := d.Latency.Response; r.N > 0 {
		s.Values[compare.P50], s.Values[compare.P95], s.Values[compare.P99] = r.P50, r.P95, r.P99
	}
	length := 0.0
	for i := range d.Phases {
		length = max(length, d.Phases[i].End)
	}
	if answered := d.Totals.Completed + d.Totals.Failed; answered > 0 && d.Totals.TargetCPU != nil {
		s.Values[compare.CPU] = d.Totals.TargetCPU.Mean * length / float64(answered)
	}
	return s
}
