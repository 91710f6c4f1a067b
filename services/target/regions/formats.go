package regions

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/google/pprof/profile"
)

// Format writes a profile in one way.
type Format struct {
	Name        string   // the value of ?format=
	ContentType string   // of the answer
	Accept      []string // media types that ask for it, best first; may be empty
	Download    string   // file name when a browser should save it, else ""
	Write       func(io.Writer, *Profile) error
}

// Formats returns every format, the default one first.
func Formats() []Format {
	return []Format{
		{"json", "application/json; charset=utf-8", []string{"application/json"}, "", writeJSON},
		{"text", "text/plain; charset=utf-8", []string{"text/plain"}, "", writeText},
		{"html", "text/html; charset=utf-8", []string{"text/html", "application/xhtml+xml"}, "", newPage()},
		{"speedscope", "application/json; charset=utf-8", nil, "profile.speedscope.json", writeSpeedscope},
		{"folded", "text/plain; charset=utf-8", nil, "", writeFolded},
		{
			"pprof", "application/octet-stream",
			[]string{"application/vnd.google.protobuf", "application/octet-stream"},
			"profile.pb.gz", writePprof,
		},
	}
}

type jsonProfile struct {
	Schema     int       `json:"schema"`
	Engine     string    `json:"engine"`
	URL        string    `json:"url"`
	Started    time.Time `json:"started"`
	TraceID    string    `json:"trace_id,omitempty"`
	Program    string    `json:"program"`
	DurationNS int64     `json:"duration_ns"`
	*jsonSampling
	Root     any `json:"root"`
	Timeline any `json:"timeline,omitempty"`
}

type jsonSampling struct {
	Samples      int64   `json:"samples"`
	MinSamples   int64   `json:"min_samples"`
	Insufficient bool    `json:"insufficient_samples"`
	Iterations   int     `json:"iterations"`
	Confidence   float64 `json:"confidence"`
}

// jsonFrame is a function of a sampled profile; times are per iteration.
type jsonFrame struct {
	Name     string       `json:"name"`
	CPUNS    int64        `json:"cpu_ns"`
	LowNS    int64        `json:"low_ns"`
	HighNS   int64        `json:"high_ns"`
	SelfNS   int64        `json:"self_ns"`
	Samples  int64        `json:"samples"`
	Children []*jsonFrame `json:"children"`
}

type jsonRegion struct {
	Name     string        `json:"name"`
	Kind     Kind          `json:"kind"`
	StartNS  int64         `json:"start_ns"`
	WallNS   int64         `json:"wall_ns"`
	SelfNS   int64         `json:"self_ns"`
	Children []*jsonRegion `json:"children"`
}

// writeJSON writes the tree with nanoseconds; every list is there, if empty.
func writeJSON(w io.Writer, p *Profile) error {
	j := jsonProfile{
		Schema: 1, Engine: p.engine(), URL: p.URL, Started: p.Started.UTC(), TraceID: p.TraceID,
		Program: p.Program, DurationNS: int64(p.Root.Duration()), Timeline: p.Timeline,
	}
	if s := p.Sampling; s == nil {
		j.Root = asJSON(p.Root)
	} else {
		j.Root, j.DurationNS = asFrame(p.Root), int64(s.Took)
		j.jsonSampling = &jsonSampling{s.Samples, s.Wanted, s.Insufficient, s.Iterations, s.Confidence}
	}
	return encode(w, j)
}

func asFrame(r *Region) *jsonFrame {
	j := &jsonFrame{
		Name: r.Name, CPUNS: int64(r.Duration()), LowNS: int64(r.Low), HighNS: int64(r.High), SelfNS: int64(r.Self()),
		Samples: r.Samples, Children: []*jsonFrame{},
	}
	for _, c := range r.Children {
		j.Children = append(j.Children, asFrame(c))
	}
	return j
}

func asJSON(r *Region) *jsonRegion {
	j := &jsonRegion{
		Name: r.Name, Kind: r.Kind, StartNS: int64(r.Start), WallNS: int64(r.Duration()),
		SelfNS: int64(r.Self()), Children: []*jsonRegion{},
	}
	for _, c := range r.Children {
		j.Children = append(j.Children, asJSON(c))
	}
	return j
}

// encode writes v as JSON. HTML escapes stay on: what a request names lands
// in the answer, and a browser may guess at its type.
func encode(w io.Writer, v any) error {
	if err := json.NewEncoder(w).Encode(v); err != nil {
		return fmt.Errorf("write profile as JSON: %w", err)
	}
	return nil
}

// writeText draws the tree, longest first, with what no region within accounts
// for as [self].
func writeText(w io.Writer, p *Profile) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", p.URL)
	fmt.Fprintf(&b, "engine    %s\n", p.About())
	fmt.Fprintf(&b, "recorded  %s\n", p.Started.UTC().Format("2006-01-02T15:04:05.000Z"))
	if p.Sampling == nil {
		fmt.Fprintf(&b, "duration  %.3f ms%s\n", milliseconds(p.Root.Duration()), shares(p))
	}
	if short := p.Shortage(); short != "" {
		fmt.Fprintf(&b, "samples   insufficient: %s\n", short)
	}
	if p.TraceID != "" {
		fmt.Fprintf(&b, "trace     %s\n", p.TraceID)
	}
	fmt.Fprintf(&b, "program   %s\n\n", p.Program)
	drawTree(&b, p.Root, "", "")
	return flush(w, b.String())
}

// shares says where the time went, in per cent of the whole.
func shares(p *Profile) string {
	total, sums := p.Root.Duration(), p.ByKind()
	if total <= 0 {
		return ""
	}
	percent := func(k Kind) float64 { return 100 * float64(sums[k]) / float64(total) }
	return fmt.Sprintf("  (%.1f %% cpu, %.1f %% wait, %.1f %% other)", percent(CPU), percent(Wait), percent(Other))
}

func drawTree(b *strings.Builder, r *Region, first, rest string) {
	fmt.Fprintf(b, "%s%.3f ms %s %s\n", first, milliseconds(r.Duration()), r.interval(), r.Name)
	children := longestFirst(r.Children)
	for i, c := range children {
		if i < len(children)-1 || showsSelf(r) {
			drawTree(b, c, rest+"├─ ", rest+"│  ")
		} else {
			drawTree(b, c, rest+"└─ ", rest+"   ")
		}
	}
	if showsSelf(r) {
		fmt.Fprintf(b, "%s└─ %.3f ms  [self]\n", rest, milliseconds(r.Self()))
	}
}

// interval says in which interval a sampled duration lies, and how many samples
// say so; "" of one that is exact.
func (r *Region) interval() string {
	if r.Samples == 0 {
		return ""
	}
	return fmt.Sprintf("[%.3f to %.3f, n=%d] ", milliseconds(r.Low), milliseconds(r.High), r.Samples)
}

// showsSelf tells whether a parent's own time is worth a line: one per cent of it.
func showsSelf(r *Region) bool { return len(r.Children) > 0 && r.Self()*100 >= r.Duration() }

// writeFolded writes one line per stack, root;child;leaf and its self time in
// nanoseconds, as flame graph scripts read it.
func writeFolded(w io.Writer, p *Profile) error {
	var b strings.Builder
	p.Root.Walk(func(path []*Region) {
		self := path[len(path)-1].Self()
		if self <= 0 {
			return
		}
		for i, r := range path {
			if i > 0 {
				b.WriteByte(';')
			}
			b.WriteString(strings.NewReplacer(";", ":", "\n", " ").Replace(r.Name))
		}
		fmt.Fprintf(&b, " %d\n", int64(self))
	})
	return flush(w, b.String())
}

func flush(w io.Writer, text string) error {
	if _, err := io.WriteString(w, text); err != nil {
		return fmt.Errorf("write profile: %w", err)
	}
	return nil
}

type speedscope struct {
	Schema   string             `json:"$schema"`
	Exporter string             `json:"exporter"`
	Name     string             `json:"name"`
	Active   int                `json:"activeProfileIndex"`
	Shared   speedscopeShared   `json:"shared"`
	Profiles []speedscopeEvents `json:"profiles"`
}

type speedscopeShared struct {
	Frames []speedscopeFrame `json:"frames"`
}

type speedscopeFrame struct {
	Name string `json:"name"`
}

type speedscopeEvents struct {
	Type   string            `json:"type"`
	Name   string            `json:"name"`
	Unit   string            `json:"unit"`
	Start  int64             `json:"startValue"`
	End    int64             `json:"endValue"`
	Events []speedscopeEvent `json:"events"`
}

type speedscopeEvent struct {
	Type  string `json:"type"` // O opens a frame, C closes it
	Frame int    `json:"frame"`
	At    int64  `json:"at"`
}

// writeSpeedscope writes an evented profile: a timeline, which speedscope also
// folds into a flame graph.
func writeSpeedscope(w io.Writer, p *Profile) error {
	events := speedscopeEvents{
		Type: "evented", Name: p.URL, Unit: "nanoseconds", End: int64(p.Root.End), Events: []speedscopeEvent{},
	}
	frames, index := []speedscopeFrame{}, map[string]int{}
	var open func(r *Region)
	open = func(r *Region) {
		i, ok := index[r.Name]
		if !ok {
			i = len(frames)
			index[r.Name] = i
			frames = append(frames, speedscopeFrame{r.Name})
		}
		events.Events = append(events.Events, speedscopeEvent{"O", i, int64(r.Start)})
		for _, c := range r.Children {
			open(c)
		}
		events.Events = append(events.Events, speedscopeEvent{"C", i, int64(r.End)})
	}
	open(p.Root)
	return encode(w, speedscope{
		Schema: "https://www.speedscope.app/file-format-schema.json", Exporter: p.Program, Name: p.URL,
		Shared: speedscopeShared{frames}, Profiles: []speedscopeEvents{events},
	})
}

// writePprof writes a gzipped profile.proto with one value, wall/nanoseconds:
// the self time of each region on its stack, leaf first as pprof wants it.
//
// A profile that was taken as pprof is written as it was.
func writePprof(w io.Writer, p *Profile) error {
	if p.Pprof != nil {
		if err := p.Pprof.Write(w); err != nil {
			return fmt.Errorf("write profile as pprof: %w", err)
		}
		return nil
	}
	wall := &profile.ValueType{Type: "wall", Unit: "nanoseconds"}
	out := &profile.Profile{
		SampleType: []*profile.ValueType{wall}, PeriodType: wall, Period: 1, DefaultSampleType: "wall",
		TimeNanos: p.Started.UnixNano(), DurationNanos: int64(p.Root.Duration()),
		Comments: []string{"exact wall time of one request: " + p.URL},
	}
	locations := map[string]*profile.Location{}
	locate := func(name string) *profile.Location {
		if l, ok := locations[name]; ok {
			return l
		}
		f := &profile.Function{ID: uint64(len(out.Function) + 1), Name: name}
		l := &profile.Location{ID: f.ID, Line: []profile.Line{{Function: f}}}
		out.Function, out.Location, locations[name] = append(out.Function, f), append(out.Location, l), l
		return l
	}
	p.Root.Walk(func(path []*Region) {
		sample := &profile.Sample{Value: []int64{int64(path[len(path)-1].Self())}}
		for _, r := range slices.Backward(path) {
			sample.Location = append(sample.Location, locate(r.Name))
		}
		out.Sample = append(out.Sample, sample)
	})
	if err := out.Write(w); err != nil {
		return fmt.Errorf("write profile as pprof: %w", err)
	}
	return nil
}
