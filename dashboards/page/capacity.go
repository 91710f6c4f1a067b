package page

import (
	"maps"
	"math"
	"slices"

	"github.com/taillight-load/taillight/loadgen/stats"
	"github.com/taillight-load/taillight/telemetry/archive"
)

const (
	probeResamples  = 400
	probeConfidence = 0.95
)

// probe is what the histograms tell of one trial of a search, without its
// warm-up. Quantiles are of the requests that fell due and were not merely
// cut: one that failed or was never sent has no time, and stands above all.
type probe struct {
	Trial  int      `json:"trial"` // index into capacity.trials
	N      int64    `json:"n"`
	Median quantile `json:"median"`
	Judged quantile `json:"judged"` // the one that the objective looks at
	// Grade is the generator's in the trial's phase: valid, warning, invalid.
	Grade   string   `json:"grade,omitempty"`
	Reasons []string `json:"reasons,omitempty"`
}

// quantile is a quantile in seconds with its 95 % interval, by resampling
// seconds. A value of 0 lies beyond what was answered OK.
type quantile struct {
	Q     float64 `json:"q"`
	Value float64 `json:"value"`
	Lo    float64 `json:"lo,omitempty"` // 0 and 0 when the trial is too short
	Hi    float64 `json:"hi,omitempty"`
}

// prober gathers the histograms of a search's trials; it does nothing for a run
// that searched nothing.
type prober struct {
	run    *archive.Run
	trials []probed
}

// probed is a trial with its seconds.
type probed struct {
	phase   string
	from    float64 // seconds since the run's start: the end of its warm-up
	seconds map[int]*probedSecond
}

// probedSecond holds the OK answers of a second by microseconds, and what was
// due and not answered OK.
type probedSecond struct {
	ok   map[int64]int64
	lost int64
}

func newProber(run *archive.Run) *prober {
	p := &prober{run: run}
	if run.Capacity == nil {
		return p
	}
	starts := map[string]float64{}
	for i := range run.Phases {
		starts[run.Phases[i].Name] = run.Phases[i].Start
	}
	for i := range run.Capacity.Trials {
		t := &run.Capacity.Trials[i]
		p.trials = append(p.trials, probed{phase: t.Phase, from: starts[t.Phase] + t.WarmUp, seconds: map[int]*probedSecond{}})
	}
	for i := range run.Seconds {
		s := &run.Seconds[i]
		for k := range s.Steps {
			if st := &s.Steps[k]; p.wants(st.Step) {
				if in := p.second(st.Phase, seconds(s.Start), seconds(s.End)); in != nil {
					in.lost += st.Failed + st.Unsent
				}
			}
		}
	}
	return p
}

func (p *prober) wants(step string) bool {
	return p.run.Capacity.Step == "" || p.run.Capacity.Step == step
}

// second returns where a stretch of a trial is counted; nil when it is none.
func (p *prober) second(phase string, start, end float64) *probedSecond {
	i := slices.IndexFunc(p.trials, func(t probed) bool { return t.phase == phase })
	middle := (start + end) / 2
	if i < 0 || middle < p.trials[i].from {
		return nil
	}
	t := &p.trials[i]
	at := int(middle - t.from)
	if t.seconds[at] == nil {
		t.seconds[at] = &probedSecond{ok: map[int64]int64{}}
	}
	return t.seconds[at]
}

// add takes one histogram of the archive.
func (p *prober) add(iv archive.Interval) {
	if len(p.trials) == 0 || iv.Hist == nil || iv.Kind != archive.KindOK || !p.wants(iv.Step) {
		return
	}
	in := p.second(iv.Phase, iv.Start.Seconds(), iv.End.Seconds())
	if in == nil {
		return
	}
	for _, b := range iv.Hist.Distribution() {
		if b.Count > 0 {
			in.ok[b.To] += b.Count
		}
	}
}

// probes returns what was gathered, in the order of the trials.
func (p *prober) probes() []probe {
	out := []probe{}
	for i := range p.trials {
		q := 1 - p.run.Capacity.Share
		if p.run.Capacity.Limit <= 0 {
			q = 0.99 // an objective of errors looks at no time
		}
		pr := p.trials[i].measure(q)
		pr.Trial = i
		for k := range p.run.Validity {
			if v := &p.run.Validity[k]; v.Phase == p.trials[i].phase {
				pr.Grade = string(v.Grade)
				for _, r := range v.Reasons[:min(len(v.Reasons), MaxRows)] {
					pr.Reasons = append(pr.Reasons, clip(r, 300))
				}
			}
		}
		out = append(out, pr)
	}
	return out
}

// bars is a second's OK answers in the order of all distinct times.
type bars struct {
	at    []int
	count []int64
	n     int64 // with what was lost
}

func (t *probed) measure(q float64) probe {
	distinct := map[int64]bool{}
	for _, s := range t.seconds {
		for us := range s.ok {
			distinct[us] = true
		}
	}
	times := slices.Sorted(maps.Keys(distinct))
	blocks := t.blocks(times)
	pr := probe{Median: quantile{Q: 0.5}, Judged: quantile{Q: q}}
	for _, b := range blocks {
		pr.N += b.n
	}
	counts := make([]int64, len(times))
	for _, of := range []*quantile{&pr.Median, &pr.Judged} {
		at := func(drawn []bars) float64 { return quantileOf(drawn, times, counts, of.Q) }
		of.Value = finite(at(blocks))
		if interval, ok := stats.BlockBootstrap(blocks, probeResamples, probeConfidence, at); ok {
			of.Lo, of.Hi = finite(interval.Lo), finite(interval.Hi)
		}
	}
	return pr
}

func (t *probed) blocks(times []int64) []bars {
	out := make([]bars, 0, len(t.seconds))
	for _, at := range slices.Sorted(maps.Keys(t.seconds)) {
		s := t.seconds[at]
		b := bars{n: s.lost}
		for us, n := range s.ok {
			i, _ := slices.BinarySearch(times, us)
			b.at, b.count = append(b.at, i), append(b.count, n)
			b.n += n
		}
		out = append(out, b)
	}
	return out
}

// quantileOf returns seconds, +Inf when the quantile was not answered OK.
func quantileOf(blocks []bars, times, counts []int64, q float64) float64 {
	clear(counts)
	var all int64
	for _, b := range blocks {
		all += b.n
		for i, at := range b.at {
			counts[at] += b.count[i]
		}
	}
	rank := max(1, int64(math.Ceil(q*float64(all)*(1-1e-12))))
	var below int64
	for i, n := range counts {
		if below += n; below >= rank {
			return float64(times[i]) / 1e6
		}
	}
	return math.Inf(1)
}

// finite writes "never" as 0, which no time is.
func finite(v float64) float64 {
	if math.IsInf(v, 0) {
		return 0
	}
	return compact(v)
}
