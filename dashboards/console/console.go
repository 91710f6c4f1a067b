// Package console is what a person sees of taillight serve: a page that starts
// a test, changes and stops it, and finds the runs of before. It holds no data:
// its scripts ask the API of the server that sent it, so that a program and a
// person see the same, and a page that is loaded again shows what goes on.
//
// Names of runs, error texts and URLs come from plans and targets. The scripts
// write them as text, never as markup, the template escapes them, and a content
// security policy that knows exactly the page's own style and script stands
// behind both.
package console

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io"
	"time"

	"github.com/taillight-load/taillight/dashboards/page"
)

//go:embed console.tmpl assets
var assets embed.FS

// scripts returns the page's own scripts in the order in which they are joined.
func scripts() []string {
	return []string{"api.js", "state.js", "parts.js", "form.js", "running.js", "runs.js", "compare.js", "main.js"}
}

// Run is a run in the list that readers without scripts get.
type Run struct {
	ID      string // the name of its directory
	Name    string // of its plan
	Verdict string
	Reason  string // of the verdict, in one sentence
	Started time.Time
	P99     float64 // of the response time, seconds; 0 is none
	Report  bool    // whether it has a report.html
}

// Page is the console, ready to be sent. The zero Page is none: see New.
type Page struct {
	shell    page.Shell
	template *template.Template
}

// New makes the page from what is embedded in this program. An error says what
// is missing or broken there.
func New() (*Page, error) {
	style, err := assets.ReadFile("assets/console.css")
	if err != nil {
		return nil, err
	}
	var script bytes.Buffer
	for _, name := range scripts() {
		text, err := assets.ReadFile("assets/" + name)
		if err != nil {
			return nil, err
		}
		script.Write(text)
	}
	shell, err := page.NewShell(string(style), script.String())
	if err != nil {
		return nil, err
	}
	t, err := template.New("console.tmpl").Funcs(template.FuncMap{"utc": utc, "milliseconds": milliseconds}).ParseFS(assets, "console.tmpl")
	if err != nil {
		return nil, err
	}
	return &Page{shell: shell, template: t}, nil
}

// Policy is the content security policy that the page must be sent with.
func (p *Page) Policy() string { return p.shell.Policy }

// Write writes the page. The runs are for readers without scripts alone, the
// newest first. An error is w's.
func (p *Page) Write(w io.Writer, runs []Run) error {
	var b bytes.Buffer
	if err := p.template.Execute(&b, struct {
		page.Shell
		Runs []Run
	}{p.shell, runs}); err != nil {
		return err
	}
	_, err := w.Write(b.Bytes())
	return err
}

func utc(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

func milliseconds(s float64) string {
	if s == 0 {
		return "–"
	}
	return fmt.Sprintf("%.1f ms", 1e3*s)
}
