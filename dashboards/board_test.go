package dashboards_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/taillight-load/taillight/dashboards"
)

func TestCommittedJSONIsCurrent(t *testing.T) {
	var want []string
	for _, b := range dashboards.All() {
		want = append(want, filepath.Join("grafana", b.File()))
		made, err := b.JSON()
		if err != nil {
			t.Fatal(err)
		}
		committed, err := os.ReadFile(filepath.Join("grafana", b.File()))
		if err != nil {
			t.Fatalf("%v; run go generate ./dashboards", err)
		}
		if !bytes.Equal(made, committed) {
			t.Errorf("grafana/%s is out of date; run go generate ./dashboards", b.File())
		}
	}
	have, err := filepath.Glob("grafana/*")
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(want)
	if !slices.Equal(have, want) {
		t.Errorf("grafana/ holds %v, the boards make %v", have, want)
	}
}

func TestWriteMakesWhatJSONReturns(t *testing.T) {
	dir := t.TempDir()
	if err := dashboards.Write(dir); err != nil {
		t.Fatal(err)
	}
	for _, b := range dashboards.All() {
		want, err := b.JSON()
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(filepath.Join(dir, b.File()))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %v, %d bytes, want %d", b.File(), err, len(got), len(want))
		}
	}
	if err := dashboards.Write(filepath.Join(dir, "absent")); err == nil {
		t.Error("a missing directory was no error")
	}
}

// eachPanel visits the panels of all boards that are no headings.
func eachPanel(t *testing.T, visit func(t *testing.T, b dashboards.Board, p dashboards.Panel)) {
	t.Helper()
	for _, b := range dashboards.All() {
		for _, p := range b.Panels {
			if p.Type == "row" {
				continue
			}
			t.Run(fmt.Sprintf("%s/%d", b.UID, p.ID), func(t *testing.T) { visit(t, b, p) })
		}
	}
}

func TestEveryPanelSaysHowToReadIt(t *testing.T) {
	eachPanel(t, func(t *testing.T, _ dashboards.Board, p dashboards.Panel) {
		if p.Title == "" || len(p.Description) < 60 {
			t.Errorf("title %q, description %q: say how to read it", p.Title, p.Description)
		}
		if p.DataSource == nil || len(p.Targets) == 0 {
			t.Fatal("no data source or no target")
		}
		if p.DataSource.Type == "prometheus" && (p.FieldConfig == nil || p.FieldConfig.Defaults.Unit == "") {
			t.Error("no unit")
		}
	})
}

func TestEveryTargetNamesItsSource(t *testing.T) {
	sources := map[string]string{"prometheus": "prometheus", "tempo": "tempo", "pyroscope": "grafana-pyroscope-datasource"}
	eachPanel(t, func(t *testing.T, _ dashboards.Board, p dashboards.Panel) {
		ids := map[string]bool{}
		for _, target := range p.Targets {
			if kind, known := sources[target.DataSource.UID]; !known || kind != target.DataSource.Type {
				t.Errorf("target %s asks %+v, which is not provisioned", target.RefID, target.DataSource)
			}
			if target.DataSource != *p.DataSource {
				t.Errorf("target %s asks another source than its panel", target.RefID)
			}
			if target.RefID == "" || ids[target.RefID] {
				t.Errorf("refId %q is empty or used twice", target.RefID)
			}
			ids[target.RefID] = true
		}
	})
}

// Grafana needs these fields to draw each kind of query, and drops the panel
// without a word where one is missing.
func TestTargetsCarryWhatTheirSourceNeeds(t *testing.T) {
	eachPanel(t, func(t *testing.T, _ dashboards.Board, p dashboards.Panel) {
		for _, q := range p.Targets {
			switch q.DataSource.UID {
			case "prometheus":
				if q.Expr == "" || q.LegendFormat == "" || q.Range == q.Instant {
					t.Errorf("%s: expr %q, legend %q, range %v, instant %v", q.RefID, q.Expr, q.LegendFormat, q.Range, q.Instant)
				}
			case "tempo":
				if q.QueryType != "traceql" || q.Query == "" || q.Filters == nil {
					t.Errorf("%s: %+v", q.RefID, q)
				}
			case "pyroscope":
				if q.QueryType != "profile" || q.ProfileTypeID == "" || q.LabelSelector == "" || q.GroupBy == nil || q.SpanSelector == nil {
					t.Errorf("%s: %+v", q.RefID, q)
				}
				if len(*q.SpanSelector) != 0 {
					t.Error("variables are not replaced in a span selector; leave it empty")
				}
			}
		}
	})
}

func TestExemplarsAreAskedForOnceAPanelAndBoard(t *testing.T) {
	for _, b := range dashboards.All() {
		var asking []string
		for _, p := range b.Panels {
			for _, q := range p.Targets {
				if q.Exemplar {
					asking = append(asking, fmt.Sprintf("%s/%s %s", p.Title, q.RefID, p.Type))
				}
			}
		}
		if len(asking) > 1 {
			t.Errorf("%s: %v ask for exemplars; one shows them all", b.UID, asking)
		}
	}
	load := dashboards.LoadTest()
	i := slices.IndexFunc(load.Panels, func(p dashboards.Panel) bool {
		return slices.ContainsFunc(p.Targets, func(q dashboards.Target) bool { return q.Exemplar && q.LegendFormat == "p99" })
	})
	if i < 0 || load.Panels[i].Type != "timeseries" {
		t.Error("no p99 line shows exemplars")
	}
}

// Only the first native frame of a heat map is drawn, so a heat map is one
// query, of rows that it names itself by le and by nothing else.
func TestHeatMapIsOneQueryOfOneHistogram(t *testing.T) {
	seen := 0
	eachPanel(t, func(t *testing.T, _ dashboards.Board, p dashboards.Panel) {
		if p.Type != "heatmap" {
			return
		}
		seen++
		if len(p.Targets) != 1 {
			t.Fatalf("%d targets", len(p.Targets))
		}
		q := p.Targets[0]
		if q.Format != "heatmap" || q.Exemplar || q.LegendFormat != "{{le}}" {
			t.Errorf("format %q, exemplar %v, legend %q", q.Format, q.Exemplar, q.LegendFormat)
		}
		if strings.Contains(q.Expr, " by ") || strings.Contains(q.Expr, " by(") {
			t.Error("the query keeps labels besides le")
		}
		if p.Options["calculate"] != false {
			t.Error("the panel would count rows again: calculate must be false")
		}
		if p.Interval == "" {
			t.Error("no smallest step: at one second a column is two pixels wide")
		}
	})
	if seen != 1 {
		t.Errorf("%d heat maps, want 1", seen)
	}
}

func TestPanelsStandApart(t *testing.T) {
	for _, b := range dashboards.All() {
		ids := map[int]bool{}
		taken := map[[2]int]int{}
		for _, p := range b.Panels {
			if p.ID <= 0 || ids[p.ID] {
				t.Errorf("%s: id %d is used twice or not positive", b.UID, p.ID)
			}
			ids[p.ID] = true
			g := p.GridPos
			if g.W <= 0 || g.H <= 0 || g.X < 0 || g.X+g.W > 24 {
				t.Errorf("%s: panel %d lies outside the grid: %+v", b.UID, p.ID, g)
			}
			for x := g.X; x < g.X+g.W; x++ {
				for y := g.Y; y < g.Y+g.H; y++ {
					if other := taken[[2]int{x, y}]; other != 0 {
						t.Fatalf("%s: panels %d and %d overlap at %d,%d", b.UID, other, p.ID, x, y)
					}
					taken[[2]int{x, y}] = p.ID
				}
			}
		}
	}
}

func TestBoardsAreOfTheSeenSchema(t *testing.T) {
	uids := map[string]bool{}
	for _, b := range dashboards.All() {
		if b.SchemaVersion != 42 || b.UID == "" || uids[b.UID] || b.Title == "" {
			t.Errorf("%q: schema %d, title %q", b.UID, b.SchemaVersion, b.Title)
		}
		uids[b.UID] = true
		data, err := b.JSON()
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(data, []byte("${DS_")) {
			t.Errorf("%s asks for a data source at import", b.UID)
		}
	}
}

// A refresh queries again and closes the span that the reader opened, so the
// panel of one trace must not share a board that refreshes itself.
func TestTracesPanelDoesNotRefresh(t *testing.T) {
	found := false
	eachPanel(t, func(t *testing.T, b dashboards.Board, p dashboards.Panel) {
		if p.Type != "traces" {
			return
		}
		found = true
		if b.Refresh != "" {
			t.Errorf("the board refreshes every %s", b.Refresh)
		}
		if p.GridPos.H < 20 {
			t.Errorf("height %d: too low for a span's flame graph", p.GridPos.H)
		}
	})
	if !found {
		t.Error("no panel shows one trace")
	}
	if dashboards.LoadTest().Refresh == "" {
		t.Error("the load test board does not follow a run")
	}
}

func TestVariablesAreDeclaredAndUsed(t *testing.T) {
	for _, b := range dashboards.All() {
		data, err := b.JSON()
		if err != nil {
			t.Fatal(err)
		}
		text := string(data)
		for _, v := range b.Templating.List {
			without := strings.NewReplacer("$"+v.Name, "", "${"+v.Name+":regex}", "").Replace(text)
			if without == text {
				t.Errorf("%s: $%s is declared and never used", b.UID, v.Name)
			}
			text = without
		}
		for _, builtIn := range []string{"$__rate_interval", "$__range", "${__value.raw}", "${__url_time_range}", "$__all"} {
			text = strings.ReplaceAll(text, builtIn, "")
		}
		if i := strings.Index(text, "$"); i >= 0 {
			t.Errorf("%s: unknown variable near %q", b.UID, text[i:min(i+40, len(text))])
		}
	}
}

func TestNewestRunComesFirst(t *testing.T) {
	run := dashboards.LoadTest().Templating.List[0]
	if run.Name != "run" || run.Sort != 2 || run.IncludeAll {
		t.Errorf("the run variable is %+v; without All and in descending order the newest run is the default", run)
	}
}
