// Package regions profiles one request exactly: it notes when each named
// region of it began and ended, on the wall clock, and writes that as a tree,
// a page, JSON, speedscope, folded stacks or pprof.
//
// Nothing is sampled, so a request of 13 ms is as exact as one of 13 s, and
// fifty requests at once do not disturb each other. The price is that only
// regions somebody named are seen, and that wall time includes the time in
// which the goroutine could have run and was not let.
package regions

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/pprof/profile"
)

// Kind says what a region does with its time.
type Kind string

// The kinds.
const (
	CPU   Kind = "cpu"   // computes
	Wait  Kind = "wait"  // waits for something
	Other Kind = "other" // neither named nor known: what is left between regions
)

// Region is one named stretch of a request. Start and End are offsets from the
// start of the request; the regions inside it lie within it, one after the
// other, in the order of their start.
type Region struct {
	Name     string
	Kind     Kind
	Start    time.Duration
	End      time.Duration
	Children []*Region
	// Samples is how many samples a sampled profile has of the region, and Low
	// and High are the interval in which its duration lies.
	Samples   int64
	Low, High time.Duration
}

// Duration is the region's wall time.
func (r *Region) Duration() time.Duration { return r.End - r.Start }

// Self is the region's wall time outside of the regions within it.
func (r *Region) Self() time.Duration {
	d := r.Duration()
	for _, c := range r.Children {
		d -= c.Duration()
	}
	return d
}

// Walk calls visit for the region and everything in it, parents first, with
// the path of regions from the root down to and including the visited one.
// The path is reused between calls.
func (r *Region) Walk(visit func(path []*Region)) { r.walk(nil, visit) }

func (r *Region) walk(path []*Region, visit func([]*Region)) {
	path = append(path, r)
	visit(path)
	for _, c := range r.Children {
		c.walk(path, visit)
	}
}

// Profile is what one request did with its time.
type Profile struct {
	Root    *Region   // the whole request, named METHOD /route
	URL     string    // path and query as asked
	Started time.Time // wall clock
	TraceID string    // W3C trace id as hex, "" without tracing
	Program string    // what served it: name, version, Go version
	// Engine made the profile; "" is regions. The regions of another one are not
	// in the order in which they came: of trace they are the states of the
	// request, of cpu the functions that a repeated workload computed in, and
	// their durations CPU time per iteration.
	Engine string
	// Sampling is set when the profile was sampled.
	Sampling *Sampling
	// Pprof, if any, is the profile in that format, as it was taken.
	Pprof *profile.Profile
	// Timeline, if any, is written into the JSON format as it is.
	Timeline any
}

// Sampling says how much a sampled profile rests on.
type Sampling struct {
	Samples      int64         // taken in all
	Wanted       int64         // as many are needed for the intervals to be of use
	Insufficient bool          // there are fewer
	Iterations   int           // of the workload
	Took         time.Duration // wall time of them all
	Confidence   float64       // of the intervals, 0 to 1
}

// engine returns the engine's name.
func (p *Profile) engine() string {
	if p.Engine == "" {
		return "regions"
	}
	return p.Engine
}

// About says how the profile was made.
func (p *Profile) About() string {
	if s := p.Sampling; s != nil {
		return fmt.Sprintf("%s: CPU time per iteration, from %d samples of %d iterations in %.1f s; in brackets the %g %% interval",
			p.engine(), s.Samples, s.Iterations, s.Took.Seconds(), 100*s.Confidence)
	}
	if p.engine() == "trace" {
		return "trace: exact states of this request from the execution trace, added up by kind"
	}
	return p.engine() + ": exact wall time of this request, nothing sampled"
}

// ByKind adds up self times. The sum over all kinds is the whole request.
func (p *Profile) ByKind() map[Kind]time.Duration {
	sums := map[Kind]time.Duration{}
	p.Root.Walk(func(path []*Region) {
		r := path[len(path)-1]
		sums[r.Kind] += r.Self()
	})
	return sums
}

// ServerTiming returns the value of a Server-Timing header: app first, the
// whole request until now, then every region, in milliseconds.
func (p *Profile) ServerTiming() string {
	var b strings.Builder
	p.Root.Walk(func(path []*Region) {
		r, name := path[len(path)-1], "app"
		if len(path) > 1 {
			b.WriteString(", ")
			name = r.Name
		}
		b.WriteString(name + ";dur=" + strconv.FormatFloat(milliseconds(r.Duration()), 'f', 3, 64))
	})
	return b.String()
}

// Shortage says that there are too few samples; "" when there are enough, or
// when nothing was sampled.
func (p *Profile) Shortage() string {
	if s := p.Sampling; s != nil && s.Insufficient {
		return fmt.Sprintf("%d samples of %d: too few to tell the functions apart; ask for more with max_seconds=, or when less is going on", s.Samples, s.Wanted)
	}
	return ""
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// Recorder notes the regions of one request. It belongs to the goroutine that
// serves the request; two clock readings per region are all it costs.
type Recorder struct {
	started time.Time
	root    *Region
	open    []*Region // from the root to the innermost open region
}

// Record begins to record a request named name; now is its start.
func Record(name string) *Recorder {
	root := &Region{Name: name, Kind: Other}
	return &Recorder{started: time.Now(), root: root, open: []*Region{root}}
}

// Do runs fn as a region within the innermost open one. The name must be an
// HTTP token (letters, digits, _ . -), for it appears in Server-Timing. The
// region ends even when fn panics.
func (r *Recorder) Do(name string, kind Kind, fn func()) {
	region := &Region{Name: name, Kind: kind, Start: time.Since(r.started)}
	parent := r.open[len(r.open)-1]
	parent.Children = append(parent.Children, region)
	r.open = append(r.open, region)
	defer func() {
		region.End = time.Since(r.started)
		r.open = r.open[:len(r.open)-1]
	}()
	fn()
}

// Profile ends the request now and returns its profile. It is called once,
// outside of every region; facts fills in what the recorder cannot know.
func (r *Recorder) Profile(facts Profile) *Profile {
	r.root.End = time.Since(r.started)
	facts.Root, facts.Started = r.root, r.started
	return &facts
}

// longestFirst returns regions ordered by duration, longest first; equals keep
// the order in which they ran.
func longestFirst(regions []*Region) []*Region {
	sorted := slices.Clone(regions)
	slices.SortStableFunc(sorted, func(a, b *Region) int { return int(b.Duration() - a.Duration()) })
	return sorted
}
