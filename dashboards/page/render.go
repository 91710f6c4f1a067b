package page

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"regexp"
	"strings"

	"github.com/taillight-load/taillight/telemetry/archive"
	"github.com/taillight-load/taillight/telemetry/compare"
	"github.com/taillight-load/taillight/telemetry/signal"
)

//go:embed page.tmpl comparison.tmpl assets
var assets embed.FS

// scripts returns the page's scripts in the order in which they are joined:
// each may use what stands before it.
func scripts() []string {
	return []string{
		"vendor/uplot.js", "base.js", "feed.js", "picture.js", "charts.js", "components.js", "references.js", "findings.js", "verdict.js", "capacity.js", "validity.js", "overtime.js", "load.js",
		"latency.js", "errors.js", "slow.js", "exchanges.js", "waterfall.js", "timeline.js", "flame.js", "flameview.js", "difference.js", "cpu.js",
		"target.js", "rules.js", "main.js",
	}
}

func styles() []string {
	return []string{"vendor/uplot.css", "page.css", "parts.css", "slow.css", "print.css"}
}

// liveScripts and liveStyles are what a page that follows a run has besides,
// the scripts before the last of the others: a report holds nothing that could
// ask a network.
func liveScripts() []string { return []string{"follow.js", "live.js"} }

func liveStyles() []string { return []string{"live.css"} }

// comparisonScripts are those of a comparison.
func comparisonScripts() []string {
	return []string{"vendor/uplot.js", "base.js", "feed.js", "picture.js", "charts.js", "references.js", "validity.js", "flame.js", "flameview.js", "difference.js", "sides.js", "forest.js", "compared.js"}
}

// view is what the template sees.
type view struct {
	Title    string
	Policy   string
	Style    template.CSS
	Script   template.JS
	Events   string // base64
	Document *archive.Document
	Started  string
	Top      []signal.Finding
	Live     *LivePage   // nil unless it follows a run
	Compared *Comparison // nil unless it compares runs
}

func viewOf(m *model, events string) view {
	d := &m.end.Document
	return view{
		Title: fmt.Sprintf("%s: %s, %s", d.Name, d.Verdict, d.ID), Events: events,
		Document: d, Started: d.Started.UTC().Format("2006-01-02 15:04:05 UTC"), Top: d.Findings,
	}
}

// Packed is what the template writes as it is: base64 alone.
func (v view) Packed() template.HTML { return template.HTML(v.Events) }

// execute fills the template with a view. It adds styles and scripts, and the
// policy that allows them and what more says.
func execute(w io.Writer, v view, sheets, programs []string, more string) error {
	t, err := template.New("page.tmpl").Funcs(template.FuncMap{"duration": duration, "percent": percent, "change": change, "prose": prose}).
		ParseFS(assets, "page.tmpl", "comparison.tmpl")
	if err != nil {
		return err
	}
	style, err := styled(sheets)
	if err != nil {
		return err
	}
	script, err := join(programs)
	if err != nil {
		return err
	}
	v.Policy = policy(style, script) + more
	v.Style, v.Script = template.CSS(style), template.JS(script) // our own assets, whole
	var page bytes.Buffer
	if err := t.Execute(&page, v); err != nil {
		return err
	}
	_, err = w.Write(page.Bytes())
	return err
}

func join(names []string) (string, error) {
	var b strings.Builder
	for _, name := range names {
		text, err := assets.ReadFile("assets/" + name)
		if err != nil {
			return "", err
		}
		b.Write(text)
		b.WriteByte('\n')
	}
	return b.String(), nil
}

// policy allows exactly this style and this script, the embedded font, and
// nothing that leaves the file.
func policy(style, script string) string {
	return "default-src 'none'; style-src '" + hash(style) + "'; script-src '" + hash(script) +
		"'; font-src data:; img-src data:; base-uri 'none'; form-action 'none'"
}

func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

// breakless keeps a figure and its unit in one line.
const breakless = "\u00a0"

// change is compare.Change as print has it.
func change(ratio float64) string { return prose(compare.Change(ratio)) }

var (
	hyphens = regexp.MustCompile(`(^|[\s(\[])-(\d)`)
	loose   = regexp.MustCompile(`(\d) (%|(?:[nµm]?s|min|h|/s|[kMGT]?i?B|cores?)\b)`)
)

// prose sets a sentence of the program as print has it: with true minus signs,
// and no break between a figure and its unit. Text is anything that is a string.
func prose(text any) string {
	return loose.ReplaceAllString(hyphens.ReplaceAllString(fmt.Sprint(text), "$1−$2"), "$1"+breakless+"$2")
}

// duration writes seconds with 3 digits and a unit.
func duration(s float64) string {
	switch {
	case s == 0:
		return "0"
	case s < 1e-3:
		return fmt.Sprintf("%.3g"+breakless+"µs", s*1e6)
	case s < 1:
		return fmt.Sprintf("%.3g"+breakless+"ms", s*1e3)
	}
	return fmt.Sprintf("%.4g"+breakless+"s", s)
}

func percent(part, whole int64) string {
	if whole == 0 {
		return "–"
	}
	return fmt.Sprintf("%.3g"+breakless+"%%", 100*float64(part)/float64(whole))
}
