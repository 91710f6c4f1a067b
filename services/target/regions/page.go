package regions

import (
	_ "embed" // the page is one file
	"fmt"
	"html/template"
	"io"
	"time"
)

//go:embed page.html
var pageSource string

//go:embed style.css
var styleSource string

// Style returns the style sheet of the profile page, so that pages beside it
// look alike: light or dark as the reader's system is.
func Style() template.CSS { return template.CSS(styleSource) }

// rowHeight is the height of one level of the timeline, in CSS pixels.
const rowHeight = 29

type page struct {
	*Profile
	Style    template.CSS
	Total    time.Duration
	Shares   []share
	Blocks   []block
	Rows     []row
	Height   int // of the timeline, px
	Links    []string
	Again    string // the engine to ask for again, "" for the usual one
	Recorded string
}

type share struct {
	Kind    Kind
	Label   string
	Time    time.Duration
	Percent float64
}

// block is a region on the timeline; all positions are per cent of the whole.
type block struct {
	Name          string
	Kind          Kind
	Top           int // px
	Left, Width   float64
	Start, Length time.Duration
}

// row is a region in the tree, drawn longest first.
type row struct {
	Name        string
	Kind        Kind
	Depth       int
	Wall, Self  time.Duration
	Percent     float64 // of the whole
	Interval    string  // of a sampled one
	Unaccounted bool    // the time of the parent that no region within it holds
}

// newPage parses the page once and returns its writer.
func newPage() func(io.Writer, *Profile) error {
	t := template.Must(template.New("profile").Funcs(template.FuncMap{
		"ms":    func(d time.Duration) string { return fmt.Sprintf("%.2f", milliseconds(d)) },
		"pct":   func(f float64) string { return fmt.Sprintf("%.1f", f) },
		"exact": func(d time.Duration) string { return fmt.Sprintf("%.3f ms", milliseconds(d)) },
	}).Parse(pageSource))
	return func(w io.Writer, p *Profile) error {
		if err := t.Execute(w, newPageData(p)); err != nil {
			return fmt.Errorf("write profile page: %w", err)
		}
		return nil
	}
}

func newPageData(p *Profile) page {
	d := page{
		Profile: p, Style: Style(), Total: p.Root.Duration(), Recorded: p.Started.UTC().Format("2006-01-02 15:04:05.000 UTC"),
		Again: p.Engine, Links: []string{"text", "json", "speedscope", "folded", "pprof"},
	}
	sums := p.ByKind()
	for _, s := range []share{{Kind: CPU, Label: "computing"}, {Kind: Wait, Label: "waiting"}, {Kind: Other, Label: "other"}} {
		s.Time, s.Percent = sums[s.Kind], d.percent(sums[s.Kind])
		d.Shares = append(d.Shares, s)
	}
	p.Root.Walk(func(path []*Region) {
		r, depth := path[len(path)-1], len(path)-1
		d.Height = max(d.Height, (depth+1)*rowHeight)
		d.Blocks = append(d.Blocks, block{
			Name: r.Name, Kind: r.Kind, Top: depth * rowHeight, Start: r.Start, Length: r.Duration(),
			Left: d.percent(r.Start), Width: d.percent(r.Duration()),
		})
	})
	d.addRows(p.Root, 0)
	return d
}

// selfName names what is left of a region.
func (d *page) selfName() string {
	if d.Sampling != nil {
		return "itself"
	}
	return "outside of any region"
}

func (d *page) percent(t time.Duration) float64 {
	if d.Total <= 0 {
		return 0
	}
	return 100 * float64(t) / float64(d.Total)
}

func (d *page) addRows(r *Region, depth int) {
	d.Rows = append(d.Rows, row{
		Name: r.Name, Kind: r.Kind, Depth: depth, Wall: r.Duration(), Self: r.Self(), Percent: d.percent(r.Duration()),
		Interval: r.interval(),
	})
	for _, c := range longestFirst(r.Children) {
		d.addRows(c, depth+1)
	}
	if showsSelf(r) {
		d.Rows = append(d.Rows, row{
			Name: d.selfName(), Kind: Other, Depth: depth + 1, Wall: r.Self(), Self: r.Self(),
			Percent: d.percent(r.Self()), Unaccounted: true,
		})
	}
}
