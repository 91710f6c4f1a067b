package dashboards

import "github.com/taillight-load/taillight/telemetry/names"

// Trace is the board behind the links: one trace, under its server span the
// flame graph of that span, and the metrics of that time. It never refreshes by
// itself, since a refresh closes the span that the reader has opened.
func Trace() Board {
	p := panel("traces", "Trace $traceId",
		"One request. Open the server's span and its flame graph to see the CPU samples of that request; a short request has one sample or none, so judge by many. Empty: the trace is no longer stored or was not sampled.",
		Target{DataSource: tempo(), QueryType: "traceql", Query: "$traceId", Filters: &[]any{}})
	b := board(names.BoardTrace, "Trace",
		"One trace with its CPU profile, and what client and target measured around it. Reached by the dots, squares and trace ids of the other boards.",
		[]Variable{
			textVariable(names.BoardTraceID, "Trace id", "Set by the link; 32 hexadecimal digits, leading zeros may be missing.", ""),
			runVariable(), phaseVariable("Phases whose requests the charts below the trace show."),
			serviceVariable(), windowVariable(), reportVariable(),
		},
		layout(
			line(24, wide(columns, p)),
			heading("Around it"),
			line(8, wide(8, around()), wide(8, utilization()), wide(8, scheduling())),
		),
	)
	b.Refresh, b.TimePicker.RefreshIntervals = "", []string{}
	b.Time = TimeRange{From: "now-48h", To: "now"} // as long as Tempo keeps its blocks
	return b
}

func around() Panel {
	return percentiles("Response time around it",
		"The response times of the run in the time range that the link brought: was this request alone slow, or was everything slow then? Zoom in on its second; the trace above stays.",
		ofRun(names.ResponseDuration), always)
}
