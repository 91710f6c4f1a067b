package dashboards

import (
	"fmt"

	"github.com/taillight-load/taillight/telemetry/names"
)

// spansOfRun matches spans of the chosen run and phases. The run id stands on
// the resource of the client's spans and, from the baggage, on the spans of the
// target; without a scope TraceQL looks at both. The phase stands on all of
// them.
func spansOfRun() string {
	return fmt.Sprintf(`.%s = "$run" && .%s =~ "${phase:regex}"`, names.AttrRunID, names.AttrPhase)
}

// slowTable lists spans; Tempo finds the first that match, not the slowest, so
// a threshold near the p99 shows more of the tail than a high limit does.
func slowTable() Panel {
	p := panel("table", "Slow spans",
		"Spans of the run and phase longer than $slow, of client and target, longest first. Tempo returns the first 200 that it finds: raise \"slower than\" until fewer are left. A trace id opens that trace with its profile and metrics.",
		Target{
			DataSource: tempo(), QueryType: "traceql", TableType: "spans", Limit: 200, SPSS: 10, Filters: &[]any{},
			Query: fmt.Sprintf(`{ %s && duration > $slow } | select(name, resource.service.name, span.%s)`, spansOfRun(), names.AttrStatus),
		})
	p.FieldConfig = &FieldConfig{Overrides: []Override{linked("Trace", "Open this trace, its profile and metrics", toTrace)}}
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

// samplesOf selects CPU samples of the service in a phase, which is a regular
// expression. Grafana replaces variables in the label selector only, so a
// cohort of slow spans is left to the run's own report. A target without load
// test labels still shows while all phases are chosen: an absent label matches
// "$run|" and ".*".
func samplesOf(phase string) string {
	return fmt.Sprintf(`{%s="$service",%s=~"$run|",%s=~"%s"}`, labelService, names.LabelRunID, names.LabelPhase, phase)
}

func flame(title, description, phase string) Panel {
	return panel("flamegraph", title, description, Target{
		DataSource: pyroscope(), QueryType: "profile", ProfileTypeID: names.PyroscopeCPU,
		LabelSelector: samplesOf(phase), GroupBy: &[]string{}, SpanSelector: &[]string{}, MaxNodes: 4096,
	})
}

func flameGraph() Panel {
	return flame("Where the target's CPU time goes",
		"CPU samples of the service within the time range, 100 a second and core; of one phase only its requests, of all phases the whole process. Width is CPU time, not waiting: what a request waited for is in the run's report. Samples are nanoseconds: 24 Bil are 24 s.",
		"${phase:regex}")
}

// flameOf is the flame graph of one phase, without the table that would take
// half of its width.
func flameOf(title, phase string) Panel {
	p := flame(title,
		"CPU samples of the requests of this phase alone, within the time range. The phases last differently long, so compare shares, not lengths: a frame that is wider at the peak took more of every request's CPU. The difference in colours is in the run's report.",
		phase)
	p.Options = map[string]any{"showFlameGraphOnly": true}
	return p
}

func cpuBySpan() Panel {
	p := chart("CPU by span name", "",
		"Cores that the target used for each kind of request over time, by the name of its server span, stacked. Samples without a name are the runtime's own work, such as the garbage collector, and goroutines that no request started.",
		Target{
			DataSource: pyroscope(), QueryType: "metrics", ProfileTypeID: names.PyroscopeCPU,
			LabelSelector: samplesOf("${phase:regex}"), GroupBy: &[]string{names.LabelSpanName}, SpanSelector: &[]string{},
		})
	p.Interval = "5s" // a service sends its samples so often at best
	return stacked(p)
}
