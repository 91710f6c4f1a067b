package dashboards

import (
	"fmt"

	"github.com/taillight-load/taillight/telemetry/names"
)

// slowTable lists spans; Tempo finds the first that match, not the slowest, so
// a threshold near the p99 shows more of the tail than a high limit does.
func slowTable() Panel {
	p := panel("table", "Slow spans",
		"Spans of the run and phase longer than $slow, of client and target, longest first. Tempo returns the first 200 that it finds: raise \"slower than\" until fewer are left. A trace id opens that trace with its profile.",
		Target{
			DataSource: tempo(), QueryType: "traceql", Query: slowSpans(), TableType: "spans",
			Limit: 200, SPSS: 10, Filters: &[]any{},
		})
	p.FieldConfig = &FieldConfig{Overrides: []Override{{
		Matcher: map[string]any{"id": "byName", "options": "Trace"},
		Properties: []map[string]any{{"id": "links", "value": []map[string]any{{
			"title": "Open this trace and its profile",
			"url":   "/d/" + traceUID + "/trace?var-traceId=${__value.raw}&${__url_time_range}",
		}}}},
	}}}
	p.Options = map[string]any{
		"showHeader": true, "cellHeight": "sm",
		"sortBy": []map[string]any{{"displayName": "Duration", "desc": true}},
	}
	// The column with the trace id is meant to be hidden and is not, in a panel:
	// rename it. The span id would link to Explore, which a Viewer cannot open.
	p.Transformations = []map[string]any{{"id": "organize", "options": map[string]any{
		"excludeByName": map[string]any{"Span ID": true, "spanID": true},
		"renameByName":  map[string]any{"traceIdHidden": "Trace"},
	}}}
	return p
}

// flameGraph shows the service. Grafana replaces variables in the label
// selector only, so a cohort of slow spans is left to the run's own report. A
// target without load test labels still shows while all phases are chosen: an
// absent label matches "$run|" and ".*".
func flameGraph() Panel {
	selector := fmt.Sprintf(`{%s="$service",%s=~"$run|",%s=~"${phase:regex}"}`, labelService, names.LabelRunID, names.LabelPhase)
	return panel("flamegraph", "Where the target's CPU time goes",
		"CPU samples of the service within the time range, 100 a second and core; of one phase only its requests, of all phases the whole process. Width is CPU time, not waiting: what a request waited for is in the run's report. Samples are nanoseconds: 24 Bil are 24 s.",
		Target{
			DataSource: pyroscope(), QueryType: "profile", ProfileTypeID: names.PyroscopeCPU,
			LabelSelector: selector, GroupBy: &[]string{}, SpanSelector: &[]string{}, MaxNodes: 4096,
		})
}

// Trace is the board behind the links: one trace, and under its server span
// the flame graph of that span. It stands alone and never refreshes by itself,
// since a refresh closes the span that the reader has opened.
func Trace() Board {
	p := panel("traces", "Trace $traceId",
		"One request. Open the server's span and its flame graph to see the CPU samples of that request; a short request has one sample or none, so judge by many. Empty: the trace is no longer stored or was not sampled.",
		Target{DataSource: tempo(), QueryType: "traceql", Query: "$traceId", Filters: &[]any{}})
	return Board{
		UID: traceUID, Title: "Trace",
		Description: "One trace with its CPU profile. Reached by the dots and the trace ids of the load test board.",
		Tags:        []string{"taillight"}, SchemaVersion: schema, Version: 1,
		Timezone: "browser", GraphTooltip: 0, Refresh: "",
		Time:       TimeRange{From: "now-48h", To: "now"}, // as long as Tempo keeps its blocks
		TimePicker: TimePicker{RefreshIntervals: []string{}},
		Templating: Variables{List: []Variable{textVariable("traceId", "Trace id", "Set by the link; 32 hexadecimal digits, leading zeros may be missing.", "")}},
		Panels:     layout(line(26, wide(columns, p))),
	}
}
