package page

import (
	"math"

	"github.com/taillight-load/taillight/telemetry/archive"
)

// curve is a distribution by its "nines": point i is the quantile
// 1 - 10^-(i*Step), so that 0 is the least value, 1 is p90, 2 is p99. It ends
// where less than one observation lies beyond; Max stands at log10(N).
type curve struct {
	Scope  string    `json:"scope"` // all, phase, step
	Name   string    `json:"name,omitempty"`
	Kind   string    `json:"kind"` // response, service, lag
	N      int64     `json:"n"`
	Step   float64   `json:"step"`
	Values []float64 `json:"values"` // seconds
	Max    float64   `json:"max"`    // seconds, exact where the archive holds it
	P75    float64   `json:"p75"`    // seconds
	StdDev float64   `json:"stddev"` // seconds
}

const nineStep = 0.05

// curves returns one curve per kind for the whole run, each phase and each step.
func (t *timeline) curves(run *archive.Run) []curve {
	out := []curve{}
	add := func(what, name, kind string, exact float64, keep func(scope) bool) {
		d := t.where(func(s scope) bool { return s.kind == kind && keep(s) })
		if d.n > 0 {
			out = append(out, curveOf(d, what, name, kind, exact))
		}
	}
	for _, kind := range []string{"response", "service", "lag"} {
		add("all", "", kind, exactMax(&run.Latency, kind), func(scope) bool { return true })
		for i := range run.Phases {
			p := &run.Phases[i]
			add("phase", p.Name, kind, exactMax(&p.Latency, kind), func(s scope) bool { return s.phase == p.Name })
		}
		for i := range run.Steps[:min(len(run.Steps), MaxRows)] {
			p := &run.Steps[i]
			add("step", p.Name, kind, exactMax(&p.Latency, kind), func(s scope) bool { return s.step == p.Name })
		}
	}
	return out
}

func exactMax(l *archive.Latency, kind string) float64 {
	switch kind {
	case "service":
		return l.Service.Max
	case "lag":
		return l.Lag.Max
	}
	return l.Response.Max
}

func curveOf(d *distribution, what, name, kind string, exact float64) curve {
	nines := math.Log10(float64(d.n))
	qs := []float64{0}
	for i := 1; float64(i)*nineStep <= nines; i++ {
		qs = append(qs, 1-math.Pow(10, -float64(i)*nineStep))
	}
	values := d.quantiles(append(qs, 1)...)
	c := curve{Scope: what, Name: name, Kind: kind, N: d.n, Step: nineStep, Max: values[len(values)-1]}
	if exact > 0 {
		c.Max = exact
	}
	c.P75, c.StdDev = compact(min(d.quantiles(.75)[0], c.Max)), compact(d.stdDev())
	for _, v := range values[:len(values)-1] {
		c.Values = append(c.Values, compact(min(v, c.Max)))
	}
	return c
}
