package compare

import (
	"fmt"
	"math"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/loadgen/stats"
	"github.com/taillight-load/taillight/telemetry/flame"
)

// Comparison is two runs side by side. It holds no verdict: one run a side
// tells nothing of how much runs differ by themselves.
type Comparison struct {
	A          Side       `json:"a"`
	B          Side       `json:"b"`
	Mismatches []Mismatch `json:"mismatches"` // unlike ones first
	Rows       []Row      `json:"rows"`
	Shift      []Shift    `json:"shift"` // the deciles
	Curve      []Point    `json:"curve"` // percentiles of both, the median first
	// CPU is the difference call path by call path; nil with CPUSilent's reason.
	CPU       *flame.Difference `json:"-"`
	Frames    []Frame           `json:"frames"` // what differs most of it
	CPUSilent string            `json:"cpu_silent,omitempty"`
	Warnings  []string          `json:"warnings"`
}

// Side tells which run is on a side.
type Side struct {
	ID          string        `json:"id"`
	Name        string        `json:"name"`
	Seconds     int           `json:"seconds"` // measured
	Planned     int64         `json:"planned"`
	Grade       loadgen.Grade `json:"grade"`
	Fingerprint Fingerprint   `json:"fingerprint"`
}

// Row is one measure of both runs. A side without it has nil.
type Row struct {
	Measure Measure `json:"measure"`
	A       *Figure `json:"a"`
	B       *Figure `json:"b"`
	Ratio   float64 `json:"ratio"` // 0 when there is none
}

// Shift is how much later B's answers came at one share of them: equal shifts
// at all deciles are a slower body, growing ones a longer tail.
type Shift struct {
	Share    float64         `json:"share"`
	A        float64         `json:"a"`        // seconds
	B        float64         `json:"b"`        // seconds
	Shift    float64         `json:"shift"`    // B - A, seconds
	Interval *stats.Interval `json:"interval"` // within these two runs; nil when one is too short
}

// Point is a percentile of both runs.
type Point struct {
	Share float64 `json:"share"`
	A     float64 `json:"a"` // seconds
	B     float64 `json:"b"`
}

// Frame is a function whose CPU per request differs by more than chance.
type Frame struct {
	Function string  `json:"function"`
	File     string  `json:"file"`
	Line     int64   `json:"line"`
	A        float64 `json:"a"` // CPU seconds per request, with callees
	B        float64 `json:"b"`
	Ratio    float64 `json:"ratio"`
	Lo       float64 `json:"lo"`
	Hi       float64 `json:"hi"`
}

// mostFrames is how many functions are named.
const mostFrames = 5

func deciles() []float64 { return []float64{0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9} }

func curveShares() []float64 {
	return []float64{0.5, 0.75, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999, 0.9999}
}

// Runs sets run b beside run a.
func Runs(a, b *Run) *Comparison {
	c := &Comparison{A: side(a), B: side(b), Mismatches: Mismatches(a.Fingerprint, b.Fingerprint), Warnings: []string{}}
	shares := append(deciles(), curveShares()...)
	// With the same seed for both, the order of the sides does not matter.
	da, db := bootstrap(a, shares, 1), bootstrap(b, shares, 1)
	for _, m := range Measures() {
		row := Row{Measure: m}
		fa, okA := da.figure(a, m)
		fb, okB := db.figure(b, m)
		if okA {
			row.A = &fa
		}
		if okB {
			row.B = &fb
		}
		if okA && okB && fa.Value > 0 && !m.share() {
			row.Ratio = fb.Value / fa.Value
		}
		if okA || okB {
			c.Rows = append(c.Rows, row)
		}
	}
	c.shapes(da, db)
	c.cpu(a, b)
	c.warn(a, b)
	return c
}

func side(r *Run) Side {
	s := Side{ID: r.ID, Name: r.Name, Seconds: len(r.Blocks), Grade: r.Grade, Fingerprint: r.Fingerprint}
	for i := range r.Blocks {
		s.Planned += r.Blocks[i].Planned
	}
	return s
}

func (c *Comparison) shapes(a, b *drawn) {
	for i, q := range deciles() {
		s := Shift{Share: q, A: a.quantiles[i], B: b.quantiles[i], Shift: b.quantiles[i] - a.quantiles[i]}
		s.Interval = apart(a.curves[i], b.curves[i])
		c.Shift = append(c.Shift, s)
	}
	from := len(deciles())
	for i, q := range curveShares() {
		if !reached(q, min(c.A.Planned, c.B.Planned)) {
			break
		}
		c.Curve = append(c.Curve, Point{Share: q, A: a.quantiles[from+i], B: b.quantiles[from+i]})
	}
}

// apart returns the interval of b - a, whose drawings know nothing of each
// other: each of a's meets one of b's half of all drawings away.
func apart(a, b []float64) *stats.Interval {
	n := min(len(a), len(b))
	differences := make([]float64, n)
	for i := range differences {
		differences[i] = b[(i+n/2)%n] - a[i]
	}
	return spread(differences)
}

func (c *Comparison) cpu(a, b *Run) {
	c.Frames = []Frame{}
	switch {
	case len(a.Segments) == 0 && len(b.Segments) == 0:
		c.CPUSilent = "no CPU profiles of the service came"
		return
	case a.Fingerprint.GoVersion != b.Fingerprint.GoVersion || a.Fingerprint.Runtime != b.Fingerprint.Runtime:
		c.CPUSilent = "the versions of Go differ, and with them the names of functions"
		return
	}
	c.CPU, c.Frames, c.CPUSilent = Profiles(a.Segments, b.Segments)
}

// Profiles compares CPU profiles call path by call path and returns what
// differs most, or why nothing can be said.
func Profiles(a, b []flame.Segment) (d *flame.Difference, frames []Frame, silent string) {
	frames = []Frame{}
	d, err := flame.Compare(a, b)
	if err != nil {
		return nil, frames, err.Error()
	}
	deepest := d.Deepest()
	for _, k := range deepest[:min(len(deepest), mostFrames)] {
		n := &d.Nodes[k]
		frames = append(frames, Frame{
			Function: n.Frame.Function, File: n.Frame.File, Line: n.Frame.Line,
			A: n.A, B: n.B, Ratio: n.Ratio, Lo: n.RatioLo, Hi: n.RatioHi,
		})
	}
	return d, frames, ""
}

func (c *Comparison) warn(a, b *Run) {
	for _, s := range []struct {
		name string
		run  *Run
	}{{"A", a}, {"B", b}} {
		if s.run.Grade == loadgen.Invalid {
			c.Warnings = append(c.Warnings, fmt.Sprintf("%s is invalid: %s", s.name, first(s.run.Reasons)))
		}
		for _, lost := range s.run.Lost {
			c.Warnings = append(c.Warnings, fmt.Sprintf("%s is not whole: %s", s.name, lost))
		}
		if len(s.run.Blocks) < fewestBlock {
			c.Warnings = append(c.Warnings, fmt.Sprintf("%s has %d measured seconds: %d are needed for intervals", s.name, len(s.run.Blocks), fewestBlock))
		}
	}
	if !a.Open || !b.Open {
		c.Warnings = append(c.Warnings, "users wait for their answers, so that a slower service is asked less: its times look better than at a fixed rate")
	}
}

func first(reasons []string) string {
	if len(reasons) == 0 {
		return "the run says so"
	}
	return reasons[0]
}

// Claim says what two single runs tell.
func (c *Comparison) Claim() string {
	const n = "n = 1 run a side: nothing is claimed"
	for _, r := range c.Rows {
		if r.Measure != P95 || r.Ratio == 0 {
			continue
		}
		if unchanged(r.Ratio) {
			return n + ". p95 is the same in both within 0.05 %, but nobody knows how much two runs differ by themselves; taillight ab measures it"
		}
		return fmt.Sprintf("%s. p95 is %s in B, but nobody knows how much of that two runs differ by themselves; taillight ab measures it", n, Change(r.Ratio))
	}
	return n
}

// Change writes a ratio as a change: +5.0 %, -4.8 %, and without a sign what
// is none to so many digits, 0.0 %.
func Change(ratio float64) string {
	v := 100 * (ratio - 1)
	switch {
	case unchanged(ratio):
		return "0.0 %"
	case math.Abs(v) >= 999.5:
		return fmt.Sprintf("x%.3g", ratio)
	case math.Abs(v) >= 99.5:
		return fmt.Sprintf("%+.0f %%", v)
	}
	return fmt.Sprintf("%+.1f %%", tenths(ratio)/10)
}

// tenths is a ratio's change in tenths of a percent, rounded.
func tenths(ratio float64) float64 { return math.Round(1000 * (ratio - 1)) }

// unchanged reports whether no digit that Change writes tells a ratio from 1.
func unchanged(ratio float64) bool { return tenths(ratio) == 0 }
