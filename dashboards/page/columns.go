package page

import (
	"cmp"
	"maps"
	"math"
	"slices"

	"github.com/taillight-load/taillight/telemetry/archive"
)

// columns are the time columns of a run that goes on: at most MaxColumns. When
// there would be more, each two become one. The percentiles of the newest
// column are those of its histograms, as in a report; of merged ones they are
// those of a sketch, and so to 1.2 %.
type columns struct {
	config config
	list   []*liveColumn

	response, service, lag distribution             // of the newest column
	drawn                  []distribution           // response time in it, of each step that is drawn
	phases                 map[string]*distribution // response time so far
	steps                  map[string]*stepSoFar
	total                  distribution // response time so far, of the whole run
	cpu, throttled         int64        // generator, as of the last second
}

// liveColumn is one of them.
type liveColumn struct {
	event                  second
	cpu, throttled         float64 // seconds
	response, service, lag sketch  // once it is no more the newest
	drawn                  []sketch
}

// soFar is what was counted and measured until now.
type soFar struct {
	N        int64        `json:"n"`        // answers behind response
	Response []float64    `json:"response"` // p50, p95, p99, max
	Steps    []*stepSoFar `json:"steps"`    // in the order of the plan
}

// stepSoFar is the same of one step.
type stepSoFar struct {
	Name     string    `json:"name"`
	Planned  int64     `json:"planned"`
	OK       int64     `json:"ok"`
	Failed   int64     `json:"failed"`
	Unsent   int64     `json:"unsent"`
	N        int64     `json:"n"`
	Response []float64 `json:"response"`

	d distribution
}

// maxLiveSteps bounds the steps that are told of while a run goes on.
const maxLiveSteps = 50

func newColumns(c config) *columns {
	out := &columns{config: c, drawn: make([]distribution, len(c.Drawn)), phases: map[string]*distribution{}, steps: map[string]*stepSoFar{}}
	for _, s := range c.Steps[:min(len(c.Steps), maxLiveSteps)] {
		out.steps[s.Name] = &stepSoFar{Name: s.Name}
	}
	return out
}

// add takes a second, and reports whether all columns have changed for it.
func (c *columns) add(s archive.Second, histograms []archive.Interval) (widened bool) {
	at := columnIndex(seconds(s.Start), seconds(s.End), c.config.Width)
	for at >= MaxColumns {
		c.seal()
		c.widen()
		widened = true
		at = columnIndex(seconds(s.Start), seconds(s.End), c.config.Width)
	}
	if n := len(c.list); n == 0 || c.list[n-1].event.index(c.config.Width) != at {
		c.seal()
		c.list = append(c.list, &liveColumn{event: second{Type: "second", At: compactTime(float64(at) * c.config.Width)}})
	}
	now := c.list[len(c.list)-1]
	e := &now.event
	e.Width = compactTime(e.Width + seconds(s.End-s.Start))
	e.Phase = phaseIndex(c.config.Phases, s.Phase)
	e.Users, e.InFlight = s.Users, s.InFlight
	now.cpu += seconds(s.CPU - c.cpu)
	now.throttled += seconds(s.Throttled - c.throttled)
	c.cpu, c.throttled = s.CPU, s.Throttled
	e.count(&s)
	c.measure(e, histograms)
	now.rates()
	c.judge(e, s.Phase)
	e.SoFar = c.soFar(s.Steps)
	return widened
}

// soFar counts a second's steps, and returns all that is known by now.
func (c *columns) soFar(counts []archive.SecondStep) *soFar {
	for i := range counts {
		if s := c.steps[counts[i].Step]; s != nil {
			s.Planned += counts[i].Planned
			s.OK += counts[i].Completed
			s.Failed += counts[i].Failed
			s.Unsent += counts[i].Unsent
		}
	}
	out := &soFar{N: c.total.n, Response: compacted(c.total.quantiles(.5, .95, .99, 1)), Steps: []*stepSoFar{}}
	for i := range c.config.Steps {
		s := c.steps[c.config.Steps[i].Name]
		if s == nil || slices.Contains(out.Steps, s) { // two journeys may share a step
			continue
		}
		s.N, s.Response = s.d.n, compacted(s.d.quantiles(.5, .95, .99, 1))
		out.Steps = append(out.Steps, s)
	}
	return out
}

// measure adds a second's histograms to the newest column.
func (c *columns) measure(e *second, histograms []archive.Interval) {
	heat := map[int]int64{}
	for i := 0; i < len(e.Heat); i += 2 {
		heat[int(e.Heat[i])] = e.Heat[i+1]
	}
	for _, iv := range histograms {
		into := c.into(iv)
		if len(into) == 0 {
			continue
		}
		for _, b := range iv.Hist.Distribution() {
			if b.Count == 0 {
				continue
			}
			for _, d := range into {
				d.add(b.To, b.Count)
			}
			if iv.Kind == "response" {
				heat[bin(float64(b.From+b.To)/2)] += b.Count
			}
		}
	}
	e.N = c.response.n
	e.Response = compacted(c.response.quantiles(.5, .95, .99, 1))
	e.Service = compacted(c.service.quantiles(.5, .95, .99, 1))
	e.Lag = compacted(c.lag.quantiles(.5, .95, .99, 1))
	e.Steps = stepsOf(c.drawn)
	e.Heat = pairsOf(heat)
}

// into returns what a histogram is counted in; nothing for what is not drawn.
func (c *columns) into(iv archive.Interval) []*distribution {
	switch {
	case iv.Hist == nil:
		return nil
	case iv.Kind == "service":
		return []*distribution{&c.service}
	case iv.Kind == "lag":
		return []*distribution{&c.lag}
	case iv.Kind != "response":
		return nil
	}
	if c.phases[iv.Phase] == nil {
		c.phases[iv.Phase] = &distribution{}
	}
	out := []*distribution{&c.response, c.phases[iv.Phase], &c.total}
	if s := c.steps[iv.Step]; s != nil {
		out = append(out, &s.d)
	}
	if k := slices.Index(c.config.Drawn, iv.Step); k >= 0 {
		out = append(out, &c.drawn[k])
	}
	return out
}

// judge marks a column as late, by the response of its phase so far.
func (c *columns) judge(e *second, phase string) {
	d := c.phases[phase]
	if q := d.quantiles(.5); q != nil && len(e.Lag) > 2 {
		e.Late = e.Lag[2] > max(lateLag, lateLagShare*q[0])
	}
}

// rates turns what a column used into what it used a second.
func (l *liveColumn) rates() {
	w := max(l.event.Width, 1e-3)
	l.event.CPU, l.event.Throttled = compact(l.cpu/w), compact(l.throttled/w)
}

// seal ends the newest column: of its distributions sketches are left.
func (c *columns) seal() {
	if n := len(c.list); n > 0 {
		now := c.list[n-1]
		if now.response == nil {
			now.response, now.service, now.lag = sketchOf(&c.response), sketchOf(&c.service), sketchOf(&c.lag)
			for i := range c.drawn {
				now.drawn = append(now.drawn, sketchOf(&c.drawn[i]))
			}
		}
		now.event.SoFar = nil
	}
	c.response, c.service, c.lag = distribution{}, distribution{}, distribution{}
	clear(c.drawn)
}

// widen makes one column of each two.
func (c *columns) widen() {
	c.config.Width *= 2
	var out []*liveColumn
	for _, l := range c.list {
		at := math.Floor(l.event.At/c.config.Width) * c.config.Width
		if n := len(out); n > 0 && out[n-1].event.At == at {
			out[n-1].merge(l)
			continue
		}
		l.event.At = at
		out = append(out, l)
	}
	c.list = out
}

// merge adds the column after l to it.
func (l *liveColumn) merge(o *liveColumn) {
	e, n := &l.event, &o.event
	e.Width = compactTime(e.Width + n.Width)
	e.Phase, e.Users, e.InFlight = n.Phase, n.Users, n.InFlight
	e.Planned += n.Planned
	e.Sent += n.Sent
	e.OK += n.OK
	e.Failed += n.Failed
	e.Unsent += n.Unsent
	e.BytesIn += n.BytesIn
	e.BytesOut += n.BytesOut
	e.spent.merge(n.spent)
	e.Spent = e.spent.means()
	for class, count := range n.Errors {
		if e.Errors == nil {
			e.Errors = map[string]int64{}
		}
		e.Errors[class] += count
	}
	e.Late = e.Late || n.Late
	e.N += n.N
	heat := map[int]int64{}
	for _, cells := range [][]int64{e.Heat, n.Heat} {
		for i := 0; i < len(cells); i += 2 {
			heat[int(cells[i])] += cells[i+1]
		}
	}
	e.Heat = pairsOf(heat)
	l.cpu += o.cpu
	l.throttled += o.throttled
	l.rates()
	e.Response = l.response.merge(o.response).quantiles(&l.response, e.Response, n.Response)
	e.Service = l.service.merge(o.service).quantiles(&l.service, e.Service, n.Service)
	e.Lag = l.lag.merge(o.lag).quantiles(&l.lag, e.Lag, n.Lag)
	l.mergeSteps(o)
}

// mergeSteps adds the steps of the column after l. No quantile of both is above
// the larger of the two, so p99 bounds here what the largest bounds above.
func (l *liveColumn) mergeSteps(o *liveColumn) {
	mine, others := l.event.Steps, o.event.Steps
	if others == nil {
		return
	}
	if mine == nil {
		mine = make([]byStep, len(others))
	}
	out := make([]byStep, len(mine))
	for i := range mine {
		q := l.drawn[i].merge(o.drawn[i]).quantiles(&l.drawn[i], mine[i], others[i])
		out[i] = byStepOf(mine[i].n()+others[i].n(), q)
	}
	l.event.Steps = out
}

func (c *columns) last() *second { return &c.list[len(c.list)-1].event }

func (c *columns) events() []*second {
	out := make([]*second, 0, len(c.list))
	for _, l := range c.list {
		out = append(out, &l.event)
	}
	return out
}

// pairsOf writes a map as key, value, key, value, ..., keys ascending.
func pairsOf(m map[int]int64) []int64 {
	var out []int64
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out = append(out, int64(k), m[k])
	}
	return out
}

// sketchPerDecade makes a bin of a sketch 1.2 % wide.
const sketchPerDecade = 200

// sketch counts latencies in bins, ascending: some kilobytes where the
// distribution it is of takes hundreds.
type sketch []sketched

type sketched struct{ bin, n uint32 }

func sketchOf(d *distribution) sketch {
	bins := map[uint32]uint32{}
	for us, n := range d.counts {
		bins[uint32(max(0, math.Floor(sketchPerDecade*math.Log10(float64(max(us, lowestBin))))))] += uint32(n)
	}
	out := make(sketch, 0, len(bins))
	for _, b := range slices.Sorted(maps.Keys(bins)) {
		out = append(out, sketched{b, bins[b]})
	}
	return out
}

// merge returns both together.
func (s sketch) merge(o sketch) sketch {
	out := make(sketch, 0, max(len(s), len(o)))
	for len(s) > 0 && len(o) > 0 {
		switch cmp.Compare(s[0].bin, o[0].bin) {
		case -1:
			out, s = append(out, s[0]), s[1:]
		case 1:
			out, o = append(out, o[0]), o[1:]
		default:
			out = append(out, sketched{s[0].bin, s[0].n + o[0].n})
			s, o = s[1:], o[1:]
		}
	}
	return append(append(out, s...), o...)
}

// quantiles keeps s in its place and returns its p50, p95 and p99 with the
// largest of the two it was merged of; nil when it is empty.
func (s sketch) quantiles(place *sketch, a, b []float64) []float64 {
	*place = s
	var n, below int64
	for _, b := range s {
		n += int64(b.n)
	}
	if n == 0 {
		return nil
	}
	most := 0.0
	for _, q := range [][]float64{a, b} {
		if len(q) > 3 {
			most = max(most, q[3])
		}
	}
	out := make([]float64, 0, 4)
	i := 0
	for _, q := range []float64{.5, .95, .99} {
		rank := max(1, int64(math.Ceil(q*float64(n))))
		for below+int64(s[i].n) < rank {
			below += int64(s[i].n)
			i++
		}
		out = append(out, compact(min(most, math.Pow(10, float64(s[i].bin+1)/sketchPerDecade)/1e6)))
	}
	return append(out, most)
}
