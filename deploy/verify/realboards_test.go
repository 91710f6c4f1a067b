package verify_test

import (
	"encoding/json"
	"fmt"
	"math"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/taillight-load/taillight/telemetry/archive"
	"github.com/taillight-load/taillight/telemetry/names"
)

// boardsFolder is what docker-compose.yml mounts into Grafana.
const boardsFolder = "../../dashboards/grafana"

// boardFile is what this test needs of a board as Grafana loads it.
type boardFile struct {
	Title      string      `json:"title"`
	Panels     []panelFile `json:"panels"`
	Templating struct {
		List []variableFile `json:"list"`
	} `json:"templating"`
}

type panelFile struct {
	Title   string      `json:"title"`
	Panels  []panelFile `json:"panels"` // of a collapsed row
	Targets []struct {
		DataSource struct {
			Type string `json:"type"`
		} `json:"datasource"`
		RefID string `json:"refId"`
		Expr  string `json:"expr"`
		Range bool   `json:"range"`
	} `json:"targets"`
}

type variableFile struct {
	Name       string `json:"name"`
	Type       string `json:"type"`
	Definition string `json:"definition"`
	Regex      string `json:"regex"`
	Sort       int    `json:"sort"` // 2 is descending
	IncludeAll bool   `json:"includeAll"`
	AllValue   string `json:"allValue"`
	Current    struct {
		Value any `json:"value"`
	} `json:"current"`
}

// An absence is a query that has nothing to show, and rightly so.
type absence struct {
	query string // a part of it
	why   string
	mixed bool // but the run with failures must have rows
}

func absences() []absence {
	return []absence{
		{query: names.ContainerThrottled.Prometheus(), why: "there is a value only where a CPU quota is"},
		{query: names.MemoryLimit.Prometheus(), why: "GOMEMLIMIT is not set"},
		{query: "traces_spanmetrics_", why: "Tempo makes it, and is not part of this test"},
		{query: "traces_service_graph_", why: "Tempo makes it, and is not part of this test"},
		{query: `http_response_status_code=~"5`, why: "nothing failed inside the target"},
	}
}

// checkBoards asks every query of every board as Grafana would for a run.
func (s *stack) checkBoards(t *testing.T, clean, mixed *archive.Run) {
	files, err := filepath.Glob(boardsFolder + "/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no boards in %s: %v", boardsFolder, err)
	}
	asked := 0
	for _, file := range files {
		var b boardFile
		if err := json.Unmarshal([]byte(read(t, file)), &b); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		asked += s.checkBoard(t, b, clean, mixed)
	}
	t.Logf("%d queries of %d boards", asked, len(files))
	if asked < 20 {
		t.Errorf("only %d queries: the walk over the boards is broken", asked)
	}
}

func (s *stack) checkBoard(t *testing.T, b boardFile, clean, mixed *archive.Run) (asked int) {
	forClean, forMixed := s.variables(t, b, clean), s.variables(t, b, mixed)
	panels := b.Panels
	for len(panels) > 0 {
		p := panels[0]
		panels = slices.Concat(p.Panels, panels[1:])
		for _, target := range p.Targets {
			if target.DataSource.Type != "prometheus" {
				continue
			}
			asked++
			if s.rows(t, fill(t, target.Expr, forClean), target.Range, clean) > 0 {
				continue
			}
			where := fmt.Sprintf("board %q, panel %q, query %s", b.Title, p.Title, target.RefID)
			at := slices.IndexFunc(absences(), func(a absence) bool { return strings.Contains(target.Expr, a.query) })
			if at < 0 {
				t.Errorf("%s returns nothing:\n%s", where, fill(t, target.Expr, forClean))
				continue
			}
			t.Logf("%s returns nothing: %s", where, absences()[at].why)
			if absences()[at].mixed && s.rows(t, fill(t, target.Expr, forMixed), target.Range, mixed) == 0 {
				t.Errorf("%s returns nothing, not even for a run with failures", where)
			}
		}
	}
	return asked
}

// rows counts the series of an answer that hold at least one number or
// histogram.
func (s *stack) rows(t *testing.T, expr string, overTime bool, r *archive.Run) int {
	t.Helper()
	end := r.Ended.Add(3 * time.Second)
	parameters := url.Values{"query": {expr}}
	path := "query"
	if overTime {
		path = "query_range"
		parameters.Set("start", r.Started.Format(time.RFC3339))
		parameters.Set("end", end.Format(time.RFC3339))
		parameters.Set("step", "1")
	} else {
		parameters.Set("time", end.Format(time.RFC3339))
	}
	var data struct {
		Result []struct {
			Value      []any   `json:"value"`
			Values     [][]any `json:"values"`
			Histogram  []any   `json:"histogram"`
			Histograms []any   `json:"histograms"`
		} `json:"result"`
	}
	s.get(t, path, parameters, &data)
	n := 0
	for _, series := range data.Result {
		shown := len(series.Histogram)+len(series.Histograms) > 0
		for _, v := range append(series.Values, series.Value) {
			shown = shown || isNumber(v)
		}
		if shown {
			n++
		}
	}
	return n
}

// isNumber reports whether a point, [time, value as text], can be drawn.
func isNumber(point []any) bool {
	if len(point) != 2 {
		return false
	}
	text, _ := point[1].(string)
	v, err := strconv.ParseFloat(text, 64)
	return err == nil && !math.IsNaN(v)
}

// variables are the values that a reader of the board sees first, once the run
// is chosen.
func (s *stack) variables(t *testing.T, b boardFile, r *archive.Run) map[string]string {
	t.Helper()
	// Grafana's own, for a data source with an interval of a second.
	values := map[string]string{"__rate_interval": "5s", "__range": "15m", "__interval": "1s"}
	for _, v := range b.Templating.List {
		switch {
		case v.Name == "run":
			values[v.Name] = r.ID
		case v.Name == "report":
			values[v.Name] = "" // where the report is served: these runs are not
		case v.IncludeAll:
			values[v.Name] = v.AllValue
		case v.Type == "query":
			values[v.Name] = s.firstChoice(t, b, v, values)
		case v.Type == "custom" || v.Type == "textbox" || v.Type == "constant":
			values[v.Name], _ = v.Current.Value.(string)
		default:
			t.Fatalf("board %q: $%s is of type %q, which this test does not know", b.Title, v.Name, v.Type)
		}
	}
	return values
}

var definition = regexp.MustCompile(`^(label_values|query_result)\((.+?)(?:,\s*(\w+))?\)$`)

// firstChoice is the first value that the query of a variable offers.
func (s *stack) firstChoice(t *testing.T, b boardFile, v variableFile, values map[string]string) string {
	t.Helper()
	parts := definition.FindStringSubmatch(v.Definition)
	if parts == nil || (parts[1] == "label_values") != (parts[3] != "") {
		t.Fatalf("board %q: $%s asks %q, which this test does not know", b.Title, v.Name, v.Definition)
	}
	expr := fill(t, parts[2], values)
	var choices []string
	if parts[1] == "query_result" {
		filter := regexp.MustCompile(strings.Trim(v.Regex, "/"))
		for _, row := range s.ask(t, expr) {
			var labels []string
			for name, value := range row.Metric {
				labels = append(labels, fmt.Sprintf("%s=%q", name, value))
			}
			if found := filter.FindStringSubmatch("{" + strings.Join(labels, ",") + "}"); found != nil {
				choices = append(choices, found[len(found)-1])
			}
		}
	} else {
		for _, row := range s.ask(t, fmt.Sprintf("count by (%s) (last_over_time(%s[15m]))", parts[3], expr)) {
			choices = append(choices, row.Metric[parts[3]])
		}
		slices.Sort(choices)
		if v.Sort == 2 {
			slices.Reverse(choices)
		}
	}
	if len(choices) == 0 {
		t.Errorf("board %q: $%s offers nothing: %s", b.Title, v.Name, v.Definition)
		return ""
	}
	return choices[0]
}

var variable = regexp.MustCompile(`\$\{([A-Za-z_]\w*)(?::\w+)?\}|\$([A-Za-z_]\w*)`)

// fill replaces the variables of a query.
func fill(t *testing.T, expr string, values map[string]string) string {
	t.Helper()
	return variable.ReplaceAllStringFunc(expr, func(match string) string {
		parts := variable.FindStringSubmatch(match)
		value, ok := values[parts[1]+parts[2]]
		if !ok {
			t.Errorf("%s is no variable of the board: %s", match, expr)
		}
		return value
	})
}
