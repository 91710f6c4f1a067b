package page

import (
	"math"
	"slices"

	"github.com/taillight-load/taillight/telemetry/archive"
)

// Latencies are binned from 1 us, 40 bins to a decade: a bin is 5.9 % wide,
// which is finer than a row of the heat map on any screen.
const (
	lowestBin     = 1 // us
	binsPerDecade = 40
)

// A second is late when the generator's lag in it would earn its phase a
// warning: above 1 ms and above a tenth of the phase's response p50. It is
// the rule of loadgen.Validity, applied to a second.
const (
	lateLag      = 1e-3
	lateLagShare = 0.10
)

// distribution counts latencies by the upper end of their histogram bucket.
type distribution struct {
	n      int64
	counts map[int64]int64 // us -> count
}

func (d *distribution) add(us, count int64) {
	if d.counts == nil {
		d.counts = map[int64]int64{}
	}
	d.counts[us] += count
	d.n += count
}

func (d *distribution) merge(o *distribution) {
	for us, n := range o.counts {
		d.add(us, n)
	}
}

// quantiles returns the nearest-rank quantiles in seconds; qs ascend.
func (d *distribution) quantiles(qs ...float64) []float64 {
	if d == nil || d.n == 0 {
		return nil
	}
	values := make([]int64, 0, len(d.counts))
	for us := range d.counts {
		values = append(values, us)
	}
	slices.Sort(values)
	out := make([]float64, 0, len(qs))
	var below int64
	i := 0
	for _, q := range qs {
		rank := min(max(1, int64(math.Ceil(q*float64(d.n)))), d.n)
		for below+d.counts[values[i]] < rank {
			below += d.counts[values[i]]
			i++
		}
		out = append(out, float64(values[i])/1e6)
	}
	return out
}

// summary returns d as an archive does, with the histogram's precision.
func (d *distribution) summary() archive.Summary {
	q := d.quantiles(0, .5, .9, .95, .99, .999, 1)
	if q == nil {
		return archive.Summary{}
	}
	return archive.Summary{
		N: d.n, Min: q[0], P50: q[1], P90: q[2], P95: q[3], P99: q[4], P999: q[5], Max: q[6],
		Mean: d.mean(),
	}
}

// mean is in seconds, and NaN of nothing.
func (d *distribution) mean() float64 {
	var sum float64
	for us, n := range d.counts {
		sum += float64(us) / 1e6 * float64(n)
	}
	return sum / float64(d.n)
}

// stdDev is the standard deviation of what was counted, in seconds, NaN of nothing.
func (d *distribution) stdDev() float64 {
	mean, sum := d.mean(), 0.0
	for us, n := range d.counts {
		off := float64(us)/1e6 - mean
		sum += off * off * float64(n)
	}
	return math.Sqrt(sum / float64(d.n))
}

// scope is what a distribution is of.
type scope struct{ phase, step, kind string }

// column is one stretch of time.
type column struct {
	response, service, lag distribution
	steps                  []distribution // response, of each step that is drawn
	heat                   map[int]int64
}

// timeline gathers histograms by time, and by phase, step and kind.
type timeline struct {
	run     *archive.Run
	width   float64
	drawn   []string // steps
	columns map[int]*column
	scopes  map[scope]*distribution
}

func newTimeline(run *archive.Run, width float64, drawn []string) *timeline {
	return &timeline{run: run, width: width, drawn: drawn, columns: map[int]*column{}, scopes: map[scope]*distribution{}}
}

// add takes one histogram of the archive.
func (t *timeline) add(iv archive.Interval) error {
	if iv.Hist == nil || iv.Kind == "ok" {
		return nil // response time of OK answers judges thresholds, and is not drawn
	}
	i := columnIndex(iv.Start.Seconds(), iv.End.Seconds(), t.width)
	c := t.columns[i]
	if c == nil {
		c = &column{heat: map[int]int64{}, steps: make([]distribution, len(t.drawn))}
		t.columns[i] = c
	}
	key := scope{iv.Phase, iv.Step, iv.Kind}
	d := t.scopes[key]
	if d == nil {
		d = &distribution{}
		t.scopes[key] = d
	}
	into := []*distribution{d, c.of(iv.Kind)}
	if k := slices.Index(t.drawn, iv.Step); k >= 0 && iv.Kind == "response" {
		into = append(into, &c.steps[k])
	}
	for _, b := range iv.Hist.Distribution() {
		if b.Count == 0 {
			continue
		}
		for _, d := range into {
			d.add(b.To, b.Count)
		}
		if iv.Kind == "response" {
			c.heat[bin(float64(b.From+b.To)/2)] += b.Count
		}
	}
	return nil
}

// columnIndex returns the column of a stretch of time: that of its middle, because
// ticks jitter. The rest of a second at the end of a run goes to the column
// before it; a rate over 13 ms would be an accident, not a rate.
func columnIndex(start, end, width float64) int {
	at := (start + end) / 2
	if end-start < 0.5 {
		at = start - 0.25
	}
	return int(max(0, at) / width)
}

func (c *column) of(kind string) *distribution {
	switch kind {
	case "service":
		return &c.service
	case "lag":
		return &c.lag
	}
	return &c.response
}

func bin(us float64) int {
	return max(0, int(math.Floor(binsPerDecade*math.Log10(max(us, lowestBin)/lowestBin))))
}

// total merges everything of one kind.
func (t *timeline) total(kind string) *distribution {
	return t.where(func(s scope) bool { return s.kind == kind })
}

func (t *timeline) where(keep func(scope) bool) *distribution {
	d := &distribution{}
	for s, o := range t.scopes {
		if keep(s) {
			d.merge(o)
		}
	}
	return d
}

// seconds returns the second events.
func (t *timeline) seconds(phases []phase) []second {
	limits := t.lateLimits(phases)
	out := []second{}
	var cpu, throttled int64
	for i := range t.run.Seconds {
		s := &t.run.Seconds[i]
		at := columnIndex(seconds(s.Start), seconds(s.End), t.width)
		if n := len(out); n == 0 || out[n-1].index(t.width) != at {
			out = append(out, second{
				Type: "second", At: compactTime(float64(at) * t.width), Phase: phaseIndex(phases, s.Phase),
				Users: s.Users, InFlight: s.InFlight,
			})
		}
		e := &out[len(out)-1]
		e.Width += seconds(s.End - s.Start)
		e.CPU += seconds(s.CPU - cpu)
		e.Throttled += seconds(s.Throttled - throttled)
		cpu, throttled = s.CPU, s.Throttled
		e.count(s)
	}
	for i := range out {
		e := &out[i]
		e.Width = max(compactTime(e.Width), 1e-3)
		e.CPU = compact(e.CPU / e.Width)
		e.Throttled = compact(e.Throttled / e.Width)
		t.latencies(e, limits)
	}
	return out
}

func (e *second) index(width float64) int { return int(math.Round(e.At / width)) }

// count adds what was counted in s.
func (e *second) count(s *archive.Second) {
	e.spent.merge(spentIn(s))
	e.Spent = e.spent.means()
	for i := range s.Steps {
		c := &s.Steps[i].Counts
		e.Planned += c.Planned
		e.Sent += c.Sent
		e.OK += c.Completed
		e.Failed += c.Failed
		e.Unsent += c.Unsent
		e.BytesIn += c.BytesIn
		e.BytesOut += c.BytesOut
		for class, n := range s.Steps[i].Errors {
			if e.Errors == nil {
				e.Errors = map[string]int64{}
			}
			e.Errors[clip(string(class), 60)] += n
		}
	}
}

func (t *timeline) latencies(e *second, limits map[int]float64) {
	c := t.columns[e.index(t.width)]
	if c == nil {
		return
	}
	e.N = c.response.n
	e.Response = compacted(c.response.quantiles(.5, .95, .99, 1))
	e.Service = compacted(c.service.quantiles(.5, .95, .99, 1))
	e.Lag = compacted(c.lag.quantiles(.5, .95, .99, 1))
	e.Steps = stepsOf(c.steps)
	if len(e.Lag) > 2 {
		limit, ok := limits[e.Phase]
		e.Late = e.Lag[2] > max(lateLag, limit) && ok
	}
	rows := make([]int, 0, len(c.heat))
	for b := range c.heat {
		rows = append(rows, b)
	}
	slices.Sort(rows)
	for _, b := range rows {
		e.Heat = append(e.Heat, int64(b), c.heat[b])
	}
}

func (t *timeline) lateLimits(phases []phase) map[int]float64 {
	limits := map[int]float64{}
	for i, p := range phases {
		d := t.where(func(s scope) bool { return s.phase == p.Name && s.kind == "response" })
		if q := d.quantiles(.5); q != nil {
			limits[i] = lateLagShare * q[0]
		}
	}
	return limits
}

func phaseIndex(phases []phase, name string) int {
	return slices.IndexFunc(phases, func(p phase) bool { return p.Name == name })
}

func compacted(v []float64) []float64 {
	for i := range v {
		v[i] = compact(v[i])
	}
	return v
}

func compactTime(v float64) float64 { return math.Round(v*1000) / 1000 }
