package dashboards_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
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
				if want := map[string]string{"flamegraph": "profile", "timeseries": "metrics"}[p.Type]; q.QueryType != want || q.ProfileTypeID == "" || q.LabelSelector == "" || q.GroupBy == nil || q.SpanSelector == nil {
					t.Errorf("%s: %+v", q.RefID, q)
				}
				if len(*q.SpanSelector) != 0 {
					t.Error("variables are not replaced in a span selector; leave it empty")
				}
			}
		}
	})
}

// Each target that asks for exemplars draws all of them.
func TestExemplarsAreAskedForOnceAPanel(t *testing.T) {
	asking := map[string]int{}
	eachPanel(t, func(t *testing.T, b dashboards.Board, p dashboards.Panel) {
		here := 0
		for _, q := range p.Targets {
			if !q.Exemplar {
				continue
			}
			here++
			if p.Type != "heatmap" && (p.Type != "timeseries" || q.LegendFormat != "p99") {
				t.Errorf("target %s of a %s asks for exemplars", q.RefID, p.Type)
			}
		}
		if here > 1 {
			t.Errorf("%d targets ask for exemplars; one shows them all", here)
		}
		asking[b.Title] += here
	})
	if asking["Load test"] != 2 || asking["Why slow"] != 1 || len(asking) != len(dashboards.All()) {
		t.Errorf("panels with exemplars: %v", asking)
	}
}

// A heat map is one query: of rows that it names itself by le and by nothing
// else, or of one native histogram, of which Grafana draws the first series
// only. Among named rows an exemplar without le breaks the panel.
func TestHeatMapsAreOneQueryOfOneHistogram(t *testing.T) {
	rows, native := 0, 0
	eachPanel(t, func(t *testing.T, _ dashboards.Board, p dashboards.Panel) {
		if p.Type != "heatmap" {
			return
		}
		if len(p.Targets) != 1 {
			t.Fatalf("%d targets", len(p.Targets))
		}
		q := p.Targets[0]
		if strings.Contains(q.Expr, "histogram_fraction") {
			rows++
			if q.Exemplar || q.LegendFormat != "{{le}}" {
				t.Errorf("rows with exemplar %v and legend %q", q.Exemplar, q.LegendFormat)
			}
		} else {
			native++
			if !q.Exemplar || !strings.HasPrefix(q.Expr, "sum(rate(") || p.Options["cellGap"] != 0 {
				t.Errorf("%s, exemplar %v, gap %v: cells of one series, without gaps, under exemplars", q.Expr, q.Exemplar, p.Options["cellGap"])
			}
		}
		if q.Format != "heatmap" || strings.Contains(q.Expr, " by ") || strings.Contains(q.Expr, " by(") {
			t.Errorf("format %q, or labels besides le are kept: %.80s", q.Format, q.Expr)
		}
		if p.Options["calculate"] != false || p.Interval == "" {
			t.Errorf("calculate %v would count rows again; smallest step %q: at one second a column is two pixels wide", p.Options["calculate"], p.Interval)
		}
	})
	if rows != 1 || native != 2 {
		t.Errorf("%d heat maps of rows and %d native ones, want 1 and 2", rows, native)
	}
}

// Lines need a range, single values an instant; a table needs its format.
func TestQueriesAreOfTheKindThatThePanelDraws(t *testing.T) {
	instant := map[string]bool{"stat": true, "table": true, "barchart": true}
	eachPanel(t, func(t *testing.T, _ dashboards.Board, p dashboards.Panel) {
		for _, q := range p.Targets {
			if q.DataSource.UID != "prometheus" {
				continue
			}
			if q.Instant != instant[p.Type] {
				t.Errorf("%s of a %s: instant %v", q.RefID, p.Type, q.Instant)
			}
			if asTable := p.Type == "table" || p.Type == "barchart"; asTable != (q.Format == "table") {
				t.Errorf("%s of a %s: format %q", q.RefID, p.Type, q.Format)
			}
		}
	})
}

func TestPanelsStandApart(t *testing.T) {
	for _, b := range dashboards.All() {
		ids := map[int]bool{}
		titles := map[string]bool{}
		taken := map[[2]int]int{}
		bottom := 0
		for _, p := range b.Panels {
			if p.ID <= 0 || ids[p.ID] {
				t.Errorf("%s: id %d is used twice or not positive", b.UID, p.ID)
			}
			ids[p.ID] = true
			if titles[p.Title] {
				t.Errorf("%s: two panels are called %q", b.UID, p.Title)
			}
			titles[p.Title] = true
			g := p.GridPos
			bottom = max(bottom, g.Y+g.H)
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
		if len(taken) != 24*bottom {
			t.Errorf("%s: %d of %d units of the grid are empty", b.UID, 24*bottom-len(taken), 24*bottom)
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
		if b.Editable || b.Description == "" {
			t.Errorf("%s: editable %v, description %q", b.UID, b.Editable, b.Description)
		}
		if strings.Contains(boardText(t, b), "${DS_") {
			t.Errorf("%s asks for a data source at import", b.UID)
		}
	}
}

// A refresh queries again and closes the span or the frame that the reader
// opened, so such panels must not share a board that refreshes itself.
func TestWhatAReaderOpensIsNotRefreshed(t *testing.T) {
	found := false
	eachPanel(t, func(t *testing.T, b dashboards.Board, p dashboards.Panel) {
		if (p.Type == "traces" || p.Type == "flamegraph") && b.Refresh != "" {
			t.Errorf("the board refreshes every %s", b.Refresh)
		}
		if p.Type != "traces" {
			return
		}
		found = true
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
		declared := map[string]bool{}
		text := boardText(t, b)
		for _, v := range b.Templating.List {
			declared[v.Name] = true
			if v.Description == "" || (v.Type == "query" && v.Refresh != 2) {
				t.Errorf("%s: $%s has the description %q and refresh %d", b.UID, v.Name, v.Description, v.Refresh)
			}
			without := strings.NewReplacer("$"+v.Name, "", "${"+v.Name+":regex}", "", "${"+v.Name+"}", "").Replace(text)
			if without == text {
				t.Errorf("%s: $%s is declared and never used", b.UID, v.Name)
			}
			text = without
		}
		if !declared["run"] || !declared["phase"] {
			t.Errorf("%s: no run or no phase to choose", b.UID)
		}
		builtIn := []string{"$__rate_interval", "$__range", "${__value.raw}", "${__url_time_range}", "$__all", "${__data.fields.From.numeric}", "${__data.fields.To.numeric}"}
		for _, name := range builtIn {
			text = strings.ReplaceAll(text, name, "")
		}
		if i := strings.Index(text, "$"); i >= 0 {
			t.Errorf("%s: unknown variable near %q", b.UID, text[i:min(i+40, len(text))])
		}
	}
}

func boardText(t *testing.T, b dashboards.Board) string {
	t.Helper()
	data, err := b.JSON()
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestNewestRunComesFirst(t *testing.T) {
	run := dashboards.LoadTest().Templating.List[0]
	if run.Name != "run" || run.Sort != 2 || run.IncludeAll {
		t.Errorf("the run variable is %+v; without All and in descending order the newest run is the default", run)
	}
}

// The board of a run and all that leads away from it must know its phases in
// the order of their latency: what a reader sees first is the comparison.
func TestBaselineAndPeakAreRanked(t *testing.T) {
	order := map[string]string{}
	for _, v := range dashboards.WhySlow().Templating.List {
		if query, ok := v.Query.(map[string]any); ok && query["qryType"] == 3 {
			order[v.Name], _, _ = strings.Cut(v.Definition, "(histogram")
			text := `{loadtest_phase="steady"} 0.0214 1795474087164` // as Grafana writes a result
			if m := regexp.MustCompile(strings.Trim(v.Regex, "/")).FindStringSubmatch(text); len(m) != 2 || m[1] != "steady" {
				t.Errorf("$%s takes %q from %s", v.Name, m, text)
			}
			if v.Sort != 0 || v.IncludeAll {
				t.Errorf("$%s: sort %d would undo the order", v.Name, v.Sort)
			}
		}
	}
	if order["baseline"] != "query_result(sort" || order["peak"] != "query_result(sort_desc" {
		t.Errorf("%v", order)
	}
}

var boardLink = regexp.MustCompile(`"/d/([a-z-]+)(?:/[a-z-]+)?(?:\?([^"]*))?"`)

// A link to a board must find it, and set only variables that it has.
func TestLinksReachBoards(t *testing.T) {
	boards := map[string]dashboards.Board{}
	for _, b := range dashboards.All() {
		boards[b.UID] = b
	}
	for _, b := range dashboards.All() {
		reached := map[string]bool{}
		for _, m := range boardLink.FindAllStringSubmatch(boardText(t, b), -1) {
			other, ok := boards[m[1]]
			if !ok {
				t.Errorf("%s links to %s, which is no board", b.UID, m[1])
			}
			reached[other.UID] = true
			for setting := range strings.SplitSeq(m[2], "&") {
				name, isVariable := strings.CutPrefix(setting, "var-")
				name, _, _ = strings.Cut(name, "=")
				has := func(v dashboards.Variable) bool { return v.Name == name }
				if isVariable && !slices.ContainsFunc(other.Templating.List, has) {
					t.Errorf("%s sets $%s of %s, which has none", b.UID, name, other.UID)
				}
			}
		}
		for _, other := range dashboards.All() {
			if other.UID != b.UID && other.UID != dashboards.Trace().UID && !reached[other.UID] {
				t.Errorf("%s has no link to %s", b.UID, other.UID)
			}
		}
		checkBar(t, b)
	}
}

// checkBar looks at the links at the top. All runs at once are no run: where
// several may be chosen, the choice stays.
func checkBar(t *testing.T, b dashboards.Board) {
	t.Helper()
	several := slices.ContainsFunc(b.Templating.List, func(v dashboards.Variable) bool { return v.Name == "run" && v.Multi })
	report := false
	for _, l := range b.Links {
		if l.Title == "" || l.Tooltip == "" || l.Type != "link" || l.Tags == nil {
			t.Errorf("%s: %+v", b.UID, l)
		}
		if several && l.IncludeVars {
			t.Errorf("%s: all runs would be taken to %s", b.UID, l.URL)
		}
		report = report || l.URL == "${report}"
	}
	if report == several {
		t.Errorf("%s: link to the report %v, several runs %v", b.UID, report, several)
	}
}

// The table's columns are found by the names that Grafana gives to the fields
// of its queries: Value #A and on.
func TestRunsTableKnowsItsColumns(t *testing.T) {
	p := dashboards.Runs().Panels[0]
	if len(p.Transformations) != 3 {
		t.Fatalf("%d transformations", len(p.Transformations))
	}
	options := p.Transformations[2]["options"].(map[string]any)
	titles, order := options["renameByName"].(map[string]any), options["indexByName"].(map[string]any)
	kept := p.Transformations[1]["options"].(map[string]any)["include"].(map[string]any)["names"].([]string)
	for _, q := range p.Targets[1:] {
		if title := titles["Value #"+q.RefID]; title != q.LegendFormat {
			t.Errorf("%s is shown as %v, want %s", q.RefID, title, q.LegendFormat)
		}
	}
	for i, field := range kept {
		if order[field] != i || titles[field] == nil {
			t.Errorf("%s stands at %v under %v", field, order[field], titles[field])
		}
	}
	shown := map[any]bool{}
	for _, title := range titles {
		shown[title] = true
	}
	for _, o := range p.FieldConfig.Overrides {
		if !shown[o.Matcher["options"]] {
			t.Errorf("an override is for %v, which is no column", o.Matcher["options"])
		}
	}
}
