package dashboards

import (
	"fmt"

	"github.com/taillight-load/taillight/telemetry/names"
)

// Runs lists the runs that Prometheus remembers.
func Runs() Board {
	b := board(runsUID, "Runs",
		"The runs within the time range, each with its verdict, its numbers and its report.",
		[]Variable{runsVariable(), phaseVariable("Phases whose requests are counted; the verdict is of the whole run.")},
		layout(
			line(14, wide(columns, runsTable())),
			line(11, wide(12, runsLatency()), wide(12, runsRate())),
		),
	)
	b.Time = TimeRange{From: "now-24h", To: "now"}
	b.Refresh = "30s"
	return b
}

// ofRuns selects a client metric of all chosen runs.
func ofRuns(m names.Metric, more string) string {
	return fmt.Sprintf(`%s{%s=~"$run"%s}`, m.Prometheus(), label(names.AttrRunID), more)
}

// byRun is an expression for each run, from the last points of the metric in
// the chosen phases.
func byRun(m names.Metric) string {
	return fmt.Sprintf(`sum by (%s) (last_over_time(%s[$__range]))`, label(names.AttrRunID), ofRuns(m, inPhases()))
}

func inPhases() string { return fmt.Sprintf(`,%s=~"$phase"`, label(names.AttrPhase)) }

func quantileByRun(q float64) string {
	return fmt.Sprintf(`histogram_quantile(%v, %s)`, q, byRun(names.ResponseDuration))
}

// verdictByRun has one series a run. The verdict is a label, for a table shows
// labels as text; a run that goes on has 0 for each and shows "none yet".
func verdictByRun() string {
	about := fmt.Sprintf("%s, %s, %s", label(names.AttrRunID), label(names.AttrPlan), label(names.AttrReport))
	verdicts := fmt.Sprintf(`(last_over_time(%s[$__range]))`, ofRuns(names.RunVerdict, ""))
	return fmt.Sprintf(`max by (%s, %s) %s == 1 or label_replace(max by (%s) %s == 0, "%s", "none yet", "", "")`,
		about, label(names.AttrVerdict), verdicts, about, verdicts, label(names.AttrVerdict))
}

// edge is when the first or the last point of each run came, in milliseconds.
// Prometheus looks every ten seconds: the first is late by up to that, the last
// is exact, for a look after it still finds it.
func edge(which string) string {
	return fmt.Sprintf(`1000 * %s by (%s) (%s_over_time(timestamp(%s)[$__range:10s]))`,
		which, label(names.AttrRunID), which, ofRuns(names.RunVerdict, fmt.Sprintf(`,%s="pass"`, label(names.AttrVerdict))))
}

// loaded is for how many seconds the chosen phases of each run were active: the
// generator says so once a second.
func loaded() string {
	return fmt.Sprintf(`sum by (%s) (sum_over_time(%s[$__range]))`,
		label(names.AttrRunID), ofRuns(names.PhaseActive, inPhases()))
}

// column is one column of the table: a query's value or one of its labels.
type column struct {
	title      string
	expr       string // empty: the label called field
	field      string
	properties []map[string]any
}

func property(id string, value any) map[string]any { return map[string]any{"id": id, "value": value} }

func runColumns() []column {
	unit := func(u string) []map[string]any { return []map[string]any{property("unit", u)} }
	return []column{
		{title: "Run", field: label(names.AttrRunID), properties: []map[string]any{property("custom.width", 200)}},
		{title: "Plan", field: label(names.AttrPlan)},
		{title: "Verdict", field: label(names.AttrVerdict), properties: []map[string]any{
			property("custom.cellOptions", map[string]any{"type": "color-text"}), property("mappings", verdictMappings()),
		}},
		{title: "From", expr: edge("min") + " - 10000", properties: unit("dateTimeAsIso")},
		{title: "To", expr: edge("max"), properties: unit("dateTimeAsIso")},
		{title: "Planned", expr: byRun(names.RequestsPlanned), properties: unit(number)},
		{title: "OK", expr: byRun(names.RequestsOK) + " / " + byRun(names.RequestsPlanned), properties: unit(share)},
		{title: "OK a second", expr: byRun(names.RequestsOK) + " / " + loaded(), properties: unit(perSeconds)},
		{title: "p50", expr: quantileByRun(0.5), properties: unit(seconds)},
		{title: "p95", expr: quantileByRun(0.95), properties: unit(seconds)},
		{title: "p99", expr: quantileByRun(0.99), properties: unit(seconds)},
		{title: "Report", field: label(names.AttrReport)},
	}
}

func verdictMappings() []map[string]any {
	colors := map[string]any{}
	for i, v := range verdictColors() {
		colors[v.verdict] = map[string]any{"text": v.verdict, "color": v.color, "index": i}
	}
	return []map[string]any{{"type": "value", "options": colors}}
}

// runsTable joins one query for the labels and one for each number. The link on
// a run takes its time along.
func runsTable() Panel {
	targets := []Target{tableValue(verdictByRun(), "verdict")}
	order, titles, kept := map[string]any{}, map[string]any{}, []string{}
	overrides := []Override{}
	for i, c := range runColumns() {
		field := c.field
		if c.expr != "" {
			field = "Value #" + string(rune('A'+len(targets)))
			targets = append(targets, tableValue(c.expr, c.title))
		}
		order[field], titles[field] = i, c.title
		kept = append(kept, field)
		if len(c.properties) > 0 {
			overrides = append(overrides, Override{Matcher: map[string]any{"id": "byName", "options": c.title}, Properties: c.properties})
		}
	}
	p := panel("table", "Runs",
		"One line a run, the newest first. A run's id opens its board at its own time; the last column opens its report with the findings, at Taillight's address. \"none yet\": it goes on, or Taillight died under it. Numbers are of the chosen phases. From is up to ten seconds before the run began; its id says exactly when, in UTC.",
		targets...)
	p.FieldConfig = &FieldConfig{Defaults: FieldDefaults{Unit: number, NoValue: "no run in this time range"}, Overrides: append(overrides,
		linked("Run", "Open the run's board", "/d/"+names.BoardLoadTest+"/load-test?var-"+names.BoardRun+"=${__value.raw}&from=${__data.fields.From.numeric}&to=${__data.fields.To.numeric}"),
		linked("Report", "Open the run's report", "${__value.raw}"),
	)}
	p.Options = map[string]any{
		"showHeader": true, "cellHeight": "sm",
		"sortBy": []map[string]any{{"displayName": "Run", "desc": true}},
	}
	p.Transformations = []map[string]any{
		{"id": "joinByField", "options": map[string]any{"byField": label(names.AttrRunID), "mode": "outer"}},
		{"id": "filterFieldsByName", "options": map[string]any{"include": map[string]any{"names": kept}}},
		{"id": "organize", "options": map[string]any{"indexByName": order, "renameByName": titles}},
	}
	return p
}

func tableValue(expr, legend string) Target {
	t := value(expr, legend)
	t.Format = "table"
	return t
}

// bars compares runs side by side, each by what its queries say of it.
func bars(title, unit, description string, targets ...Target) Panel {
	p := panel("barchart", title, description, targets...)
	by, titles := label(names.AttrRunID), map[string]any{}
	kept := []string{by}
	for _, t := range p.Targets {
		field := "Value #" + t.RefID
		if len(p.Targets) == 1 {
			field = "Value"
		}
		titles[field] = t.LegendFormat
		kept = append(kept, field)
	}
	p.FieldConfig = &FieldConfig{
		Defaults: FieldDefaults{
			Unit: unit, Min: new(float64), NoValue: "no run in this time range", Color: map[string]any{"mode": "palette-classic"},
			Custom: map[string]any{"fillOpacity": 70, "lineWidth": 1},
		},
		Overrides: []Override{},
	}
	p.Options = map[string]any{
		"xField": by, "orientation": "auto", "stacking": "none", "showValue": "auto", "groupWidth": 0.7, "barWidth": 0.9,
		"xTickLabelRotation": -30, "xTickLabelMaxLength": 20,
		"legend":  map[string]any{"displayMode": "list", "placement": "bottom", "showLegend": true, "calcs": []string{}},
		"tooltip": map[string]any{"mode": "multi", "sort": "none"},
	}
	p.Transformations = []map[string]any{
		{"id": "joinByField", "options": map[string]any{"byField": by, "mode": "outer"}},
		{"id": "filterFieldsByName", "options": map[string]any{"include": map[string]any{"names": kept}}},
		{"id": "sortBy", "options": map[string]any{"sort": []map[string]any{{"field": by, "desc": false}}}},
		{"id": "organize", "options": map[string]any{"renameByName": titles}},
	}
	return p
}

func runsLatency() Panel {
	var targets []Target
	for _, q := range tail() {
		targets = append(targets, tableValue(quantileByRun(q), percentile(q)))
	}
	return tailColors(bars("Response time by run", seconds,
		"Percentiles of each run, the oldest at the left. Two bars that differ by a tenth may be the same: taillight compare tells what chance does not explain.",
		targets...))
}

func runsRate() Panel {
	return bars("Requests by run", number,
		"Requests of each run that fell due, were sent and were answered OK. Runs of unlike plans are not to be compared: see the plan in the table.",
		tableValue(byRun(names.RequestsPlanned), "planned"),
		tableValue(byRun(names.RequestsSent), "sent"),
		tableValue(byRun(names.RequestsOK), "ok"))
}
