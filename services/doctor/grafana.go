package doctor

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/taillight-load/taillight/dashboards"
	"github.com/taillight-load/taillight/telemetry/names"
)

// The types of the data sources.
const (
	typePrometheus = "prometheus"
	typeTempo      = "tempo"
	typePyroscope  = "grafana-pyroscope-datasource"
)

// probed is a path of each kind of store that answers through Grafana.
func probed(kind string) string {
	return map[string]string{
		typePrometheus: "/api/v1/query?query=1", typeTempo: "/ready", typePyroscope: "/ready",
	}[kind]
}

// sources are the data sources that the boards name, each once.
func sources() []dashboards.DataSource {
	var out []dashboards.DataSource
	seen := map[string]bool{}
	for _, q := range targets(dashboards.All()...) {
		if !seen[q.DataSource.UID] {
			seen[q.DataSource.UID] = true
			out = append(out, q.DataSource)
		}
	}
	return out
}

// lookAtSources asks every store through Grafana, as an anonymous reader's
// browser does.
func (x *examination) lookAtSources(ctx context.Context) (Check, error) {
	var lost, fine []string
	unprovisioned := false
	for _, s := range sources() {
		_, err := x.get(ctx, x.Addresses.Grafana, "/api/datasources/proxy/uid/"+s.UID+probed(s.Type), nil)
		switch status := statusOf(err); {
		case err == nil:
			fine = append(fine, s.UID)
		case status == http.StatusNotFound:
			unprovisioned = true
			lost = append(lost, s.UID+" is not provisioned")
		default:
			lost = append(lost, s.UID+": "+err.Error())
		}
	}
	switch {
	case unprovisioned:
		return broken(bootProvision, "%s", strings.Join(lost, "; ")), nil
	case len(lost) > 0:
		return broken("see why: docker compose logs grafana; the address is in deploy/grafana/datasources", "%s", strings.Join(lost, "; ")), nil
	}
	if x.report.Run == "" {
		return good("it reaches %s", strings.Join(fine, ", ")), nil
	}
	return x.lookAtPanel(ctx, fine)
}

// lookAtPanel asks one panel's question through Grafana.
func (x *examination) lookAtPanel(ctx context.Context, fine []string) (Check, error) {
	expr := fmt.Sprintf("histogram_quantile(0.99, sum(last_over_time(%s[%ds])))", x.ofRun(names.ResponseDuration), int(x.Since.Seconds()))
	data, err := x.post(ctx, x.Addresses.Grafana, "/api/ds/query", map[string]any{
		"from": fmt.Sprint(x.from.UnixMilli()), "to": fmt.Sprint(x.now.UnixMilli()),
		"queries": []map[string]any{{
			"refId": "A", "datasource": map[string]string{"type": typePrometheus, "uid": "prometheus"}, "expr": expr, "instant": true,
		}},
	})
	var answer struct {
		Results map[string]struct {
			Error  string
			Frames []struct {
				Data struct{ Values [][]json.Number }
			}
		}
	}
	switch {
	case err != nil:
		return Check{}, err
	case json.Unmarshal(data, &answer) != nil:
		return Check{}, &fault{why: "the answer to a panel's query is not what Grafana says: " + oneLine(data), wrong: true}
	}
	result := answer.Results["A"]
	if result.Error != "" {
		return Check{}, &fault{why: "a panel's query: " + oneLine([]byte(result.Error))}
	}
	if len(result.Frames) == 0 || len(result.Frames[0].Data.Values) < 2 || len(result.Frames[0].Data.Values[1]) == 0 {
		return broken("reload the board; "+bootProvision, "a panel's query returns no row through Grafana"), nil
	}
	v, err := result.Frames[0].Data.Values[1][0].Float64()
	if err != nil || math.IsNaN(v) {
		return broken(seeCollector, "a panel's query returns %q through Grafana", result.Frames[0].Data.Values[1][0]), nil
	}
	return good("it reaches %s; the run's p99 is %.1f ms", strings.Join(fine, ", "), v*1e3), nil
}

func (x *examination) lookForBoards(ctx context.Context) (Check, error) {
	data, err := x.get(ctx, x.Addresses.Grafana, "/api/search", url.Values{"type": {"dash-db"}})
	if err != nil {
		return Check{}, err
	}
	var found []struct{ UID string }
	if err := decode(data, &found); err != nil {
		return Check{}, err
	}
	have := map[string]bool{}
	for _, f := range found {
		have[f.UID] = true
	}
	var missing, titles []string
	for _, b := range dashboards.All() {
		titles = append(titles, b.Title)
		if !have[b.UID] {
			missing = append(missing, b.Title)
		}
	}
	if len(missing) > 0 {
		return broken(bootProvision, "Grafana has no board %s", strings.Join(missing, ", ")), nil
	}
	return good("%s", strings.Join(titles, ", ")), nil
}

// targets are all queries of boards.
func targets(boards ...dashboards.Board) []dashboards.Target {
	var out []dashboards.Target
	for _, b := range boards {
		for _, p := range b.Panels {
			out = append(out, p.Targets...)
		}
	}
	return out
}

// boards asks the stores every query of every board.
func (x *examination) boards(ctx context.Context) {
	for _, b := range dashboards.All() {
		name := "board " + b.Title
		var needs []string
		for _, s := range sourcesOf(&b) {
			needs = append(needs, map[string]string{typePrometheus: partPrometheus, typeTempo: partTempo, typePyroscope: partPyroscope}[s])
		}
		switch down := x.ready(needs...); {
		case len(down) > 0:
			x.add(skipped(KindBoard, name, down))
		case x.report.Run == "":
			c := noRun()
			c.Name, c.Kind = name, KindBoard
			x.add(c)
		case x.traceID == "" && showsTrace(&b):
			x.add(Check{
				Name: name, Kind: KindBoard, Status: Unknown,
				Detail: "not looked at: it shows one trace, and there is none", Remedy: "mend " + linkTrace + " first",
			})
		default:
			c := x.board(ctx, &b)
			c.Name, c.Kind = name, KindBoard
			x.add(c)
		}
	}
}

func showsTrace(b *dashboards.Board) bool {
	return slices.ContainsFunc(b.Templating.List, func(v dashboards.Variable) bool { return v.Name == variableTrace })
}

func sourcesOf(b *dashboards.Board) []string {
	var out []string
	seen := map[string]bool{}
	for _, q := range targets(*b) {
		if !seen[q.DataSource.Type] {
			seen[q.DataSource.Type] = true
			out = append(out, q.DataSource.Type)
		}
	}
	return out
}

// board asks one board's queries. One without an answer is broken when what it
// draws never arrived; when it did, the panel has nothing to show of this run.
func (x *examination) board(ctx context.Context, b *dashboards.Board) Check {
	values, err := x.variables(ctx, b)
	if err != nil {
		return broken("see docker compose logs prometheus", "its variables: %v", err)
	}
	var sum panelRows
	var refused, missing, empty []string
	for i := range b.Panels {
		p := &b.Panels[i]
		rows := x.panel(ctx, p, values)
		sum.asked += rows.asked
		sum.answered += rows.answered
		switch {
		case rows.refused != nil:
			refused = append(refused, fmt.Sprintf("%q: %v", p.Title, rows.refused))
		case rows.asked == 0 || rows.answered > 0:
		case len(rows.absent) > 0:
			missing = append(missing, fmt.Sprintf("%q: no %s arrived", p.Title, strings.Join(rows.absent, ", ")))
		default:
			empty = append(empty, p.Title)
		}
	}
	switch {
	case len(refused) > 0:
		return broken("the board's queries do not suit this store: take boards and stack of one version", "refused: %s", refused[0])
	case len(missing) > 0:
		return broken("the links above say which sender is silent; "+seeCollector, "%d of %d queries return rows; empty: %s", sum.answered, sum.asked, strings.Join(missing, "; "))
	case sum.answered == 0:
		return broken(startRun, "none of %d queries returns a row", sum.asked)
	}
	c := good("%d of %d queries return rows", sum.answered, sum.asked)
	if len(empty) > 0 {
		c.Detail += "; nothing to show of this run in " + strings.Join(empty, ", ")
	}
	return c
}

// panelRows is what came of a panel's queries.
type panelRows struct {
	asked, answered int
	refused         error    // the first
	absent          []string // metrics of empty queries that never arrived
}

func (x *examination) panel(ctx context.Context, p *dashboards.Panel, values *strings.Replacer) panelRows {
	var rows panelRows
	for i := range p.Targets {
		rows.asked++
		n, err := x.ask(ctx, &p.Targets[i], values)
		switch {
		case err != nil:
			rows.refused = cmp.Or(rows.refused, err)
		case n > 0:
			rows.answered++
		default:
			rows.absent = append(rows.absent, x.absent(ctx, p.Targets[i].Expr)...)
		}
	}
	slices.Sort(rows.absent)
	rows.absent = slices.Compact(rows.absent)
	return rows
}

// ask returns how many rows a query has.
func (x *examination) ask(ctx context.Context, q *dashboards.Target, values *strings.Replacer) (int, error) {
	switch q.DataSource.Type {
	case typePrometheus:
		var series []labelled
		var err error
		if expr := values.Replace(q.Expr); q.Range {
			series, err = x.ranged(ctx, expr, x.from, max(time.Second, x.now.Sub(x.from)/boardPoints).Round(time.Second))
		} else {
			series, err = x.instant(ctx, expr)
		}
		rows := 0
		for i := range series {
			rows += series[i].rows()
		}
		return rows, err
	case typeTempo:
		query := values.Replace(q.Query)
		if !strings.Contains(query, "{") { // a trace's id
			t, _, err := x.trace(ctx, query)
			return t.spans, err
		}
		found, err := x.search(ctx, query, max(1, q.Limit))
		return len(found), err
	}
	cpu, err := x.flame(ctx, "SelectMergeStacktraces", map[string]any{
		"profileTypeID": q.ProfileTypeID, "labelSelector": values.Replace(q.LabelSelector), "maxNodes": 16,
	})
	return int(math.Ceil(cpu * 100)), err // samples
}

// boardPoints is about as many points as a chart is wide.
const boardPoints = 600

// absent lists the metrics of a query that must have arrived during a run and
// did not. What only happens in some runs is not among them.
func (x *examination) absent(ctx context.Context, expr string) []string {
	var out []string
	for _, m := range names.All() {
		switch m.Name {
		case names.RequestsFailed.Name, names.RequestsUnsent.Name, names.ContainerThrottled.Name, names.RunVerdict.Name:
			continue
		}
		name := m.Prometheus()
		if !strings.Contains(expr, name+"{") {
			continue
		}
		found, err := x.instant(ctx, fmt.Sprintf("count(last_over_time(%s[%ds]))", name, int(x.now.Sub(x.from).Seconds())+1))
		if err == nil && len(found) == 0 {
			out = append(out, name)
		}
	}
	return out
}
