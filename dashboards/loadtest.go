package dashboards

import "github.com/taillight-load/taillight/telemetry/names"

const (
	loadTestUID = "taillight-load-test"
	traceUID    = "taillight-trace"
	schema      = 42
)

// LoadTest is the board of one run: its verdict, what clients and target
// measured, the load that was meant and the load that was sent, and the spans
// and stacks behind the tail.
func LoadTest() Board {
	return Board{
		UID: loadTestUID, Title: "Load test",
		Description: "One run, seen from the client and from the target. Choose the run and its phases at the top.",
		Tags:        []string{"taillight"}, SchemaVersion: schema, Version: 1,
		Timezone: "browser", GraphTooltip: 1, Refresh: "5s",
		Time:       TimeRange{From: "now-15m", To: "now"},
		TimePicker: TimePicker{RefreshIntervals: []string{"1s", "5s", "10s", "30s", "1m"}},
		Templating: Variables{List: []Variable{runVariable(), phaseVariable(), serviceVariable(), windowVariable(), slowVariable()}},
		Panels: layout(
			heading("Verdict, over the whole run"),
			line(4,
				wide(3, verdict()), wide(4, requests()), wide(3, answeredOK()),
				wide(7, wholeRun("Response time of the run", names.ResponseDuration,
					"From the intended start of each request to its last byte: what a user feels. Over all its requests, exact to the bucket (2.2 %).")),
				wide(7, wholeRun("Generator's lag", names.Lag,
					"How late the generator itself sent. A p99 above a tenth of the response p50 makes the run doubtful, above a half invalid: then read no percentile below.")),
			),
			line(5, wide(columns, phases())),
			heading("Latency"),
			line(9, wide(12, clientLatency()), wide(12, serverLatency())),
			line(9, wide(24, threeTails())),
			line(12, wide(columns, responseHeatMap())),
			heading("Load"),
			line(8, wide(12, rates()), wide(12, failures())),
			line(8, wide(12, users()), wide(12, lag())),
			heading("Target"),
			line(8, wide(12, utilization()), wide(12, cpuTime())),
			heading("Why"),
			line(11, wide(columns, slowTable())),
			line(18, wide(columns, flameGraph())),
		),
	}
}

func verdict() Panel {
	run := ofRun(names.RunVerdict)
	legend := "{{" + label(names.AttrVerdict) + "}}"
	p := numbers("Verdict", number,
		"pass, fail, invalid or aborted; \"none yet\" while the run goes on. Invalid means that the measurement cannot be trusted, whatever it says.",
		value("max by ("+label(names.AttrVerdict)+") (max_over_time("+run+"[$__range])) > 0", legend))
	p.Options = statOptions("name", "background")
	p.FieldConfig.Defaults.NoValue = "none yet"
	p.FieldConfig.Overrides = []Override{
		colored("pass", "green"), colored("fail", "red"), colored("invalid", "purple"), colored("aborted", "orange"),
	}
	return p
}

func requests() Panel {
	return numbers("Requests", number,
		"Planned: fell due. Sent: put on the wire. Planned minus sent were never sent. Counts of the whole run inside the time range; choose a range that holds all of it.",
		value(orZero(ofWholeRun(names.RequestsPlanned)), "planned"),
		value(orZero(ofWholeRun(names.RequestsSent)), "sent"))
}

func answeredOK() Panel {
	return numbers("Answered OK", share,
		"Requests answered as the plan expects, of all planned. Failed and unsent ones lower it.",
		value(orZero(ofWholeRun(names.RequestsOK))+" / "+ofWholeRun(names.RequestsPlanned), "ok"))
}

func wholeRun(title string, m names.Metric, description string) Panel {
	q := func(at string) string { return "histogram_quantile(" + at + ", " + ofWholeRun(m) + ")" }
	return numbers(title, seconds, description, value(q("0.5"), "p50"), value(q("0.95"), "p95"), value(q("0.99"), "p99"))
}

func phases() Panel {
	by := label(names.AttrPhase)
	p := panel("state-timeline", "Phases",
		"When each phase of the plan ran. Read the charts below against it; the crosshair is shared.",
		series("max by ("+by+") ("+ofRun(names.PhaseActive)+")", "{{"+by+"}}"))
	p.Interval = "1s"
	p.FieldConfig = &FieldConfig{
		Defaults: FieldDefaults{
			Unit: number, Custom: map[string]any{"fillOpacity": 80, "lineWidth": 0},
			Mappings: []map[string]any{{"type": "value", "options": map[string]any{
				"0": map[string]any{"text": " ", "color": "transparent", "index": 0},
				"1": map[string]any{"text": "running", "color": "blue", "index": 1},
			}}},
		},
		Overrides: []Override{},
	}
	p.Options = map[string]any{
		"showValue": "never", "rowHeight": 0.8, "mergeValues": true, "alignValue": "center",
		"legend":  map[string]any{"showLegend": false, "displayMode": "list", "placement": "bottom"},
		"tooltip": map[string]any{"mode": "single", "sort": "none"},
	}
	return p
}

func clientLatency() Panel {
	response := ofRun(names.ResponseDuration)
	// Only the p99 asks for exemplars: each target that did would draw all of them again.
	p99 := series(quantile(0.99, response), "p99")
	p99.Exemplar = true
	return tailColors(chart("Response time (client)", seconds,
		"What a user feels: last byte minus the intended start, each point over $window of requests. A dot is one slow request; its link opens that request's trace and profile.",
		series(quantile(0.5, response), "p50"), series(quantile(0.95, response), "p95"), p99))
}

func serverLatency() Panel {
	server := ofTarget(names.ServerDuration)
	return tailColors(chart("Duration inside the target (server)", seconds,
		"The same requests as the target's own instrument sees them, only while a chosen phase ran. Compare with the left: what the client sees and the target does not was spent before its handler or on the way.",
		series(inPhase(quantile(0.5, server)), "p50"),
		series(inPhase(quantile(0.95, server)), "p95"),
		series(inPhase(quantile(0.99, server)), "p99")))
}

func threeTails() Panel {
	return chart("Where the p99 is made", seconds,
		"Three clocks for the same p99. Response above service: requests waited in the generator, or behind slow ones for a free connection. Service above server: time on the way, in the accept queue or before the handler. Server as high as service: it is in the target.",
		series(quantile(0.99, ofRun(names.ResponseDuration)), "response (client, from the intended start)"),
		series(quantile(0.99, ofRun(names.ClientDuration)), "service (client, from the send)"),
		series(inPhase(quantile(0.99, ofTarget(names.ServerDuration))), "server (target)"))
}

func responseHeatMap() Panel {
	t := series(heatMap(ofRun(names.ResponseDuration)), "{{le}}")
	t.Format = "heatmap"
	p := steady("5s", panel("heatmap", "Response time over time",
		"Each column is five seconds, each row a range of response times, a third of an octave high; the colour is the share of that column's requests. One band is healthy, two bands are two kinds of requests, a band that climbs is a queue.", t))
	p.FieldConfig = &FieldConfig{
		Defaults:  FieldDefaults{Unit: seconds, Custom: map[string]any{"scaleDistribution": map[string]any{"type": "linear"}}},
		Overrides: []Override{},
	}
	p.Options = map[string]any{
		"calculate": false, "cellGap": 1, "showValue": "never",
		"cellValues":   map[string]any{"unit": share, "decimals": 1},
		"color":        map[string]any{"mode": "scheme", "scheme": "Turbo", "steps": 64, "exponent": 0.5, "fill": "dark-orange", "scale": "exponential", "reverse": false},
		"filterValues": map[string]any{"le": 1e-9},
		"rowsFrame":    map[string]any{"layout": "auto"},
		"legend":       map[string]any{"show": true},
		"tooltip":      map[string]any{"mode": "single", "showColorScale": true, "yHistogram": false},
		"yAxis":        map[string]any{"unit": seconds, "axisPlacement": "left", "reverse": false},
		"exemplars":    map[string]any{"color": "rgba(255,0,255,0.7)"},
	}
	return p
}

func rates() Panel {
	sum := func(m names.Metric) string { return "sum(" + perSecond(ofRun(m)) + ")" }
	return chart("Rate", perSeconds,
		"Planned is what the plan asked for. Sent below planned: the generator or its in-flight cap held back. OK below sent: failures, or answers still to come. Seen by the target below sent: lost or queued before its handler.",
		series(sum(names.RequestsPlanned), "planned"),
		series(sum(names.RequestsSent), "sent"),
		series(sum(names.RequestsOK), "ok"),
		series(inPhase("histogram_count(sum("+perSecond(ofTarget(names.ServerDuration))+"))"), "seen by the target"))
}

func failures() Panel {
	by := label(names.AttrErrorType)
	return chart("Errors by class", perSeconds,
		"Failed requests per second by class (timeout, refused, status, expectation), and those that fell due and were never sent. Flat at zero is good; a class that starts with a phase belongs to its load.",
		series("sum by ("+by+") ("+perSecond(ofRun(names.RequestsFailed))+")", "{{"+by+"}}"),
		series("sum("+perSecond(ofRun(names.RequestsUnsent))+")", "never sent"))
}

func users() Panel {
	return chart("Users and requests in flight", number,
		"Users are those of the closed model; with a rate there are none. In flight are requests sent and not yet answered. In flight as high as users: the target is the limit, no longer the think time.",
		series("sum("+ofRun(names.Users)+")", "users"),
		series("sum("+ofRun(names.InFlight)+")", "in flight"))
}

func lag() Panel {
	lagged := ofRun(names.Lag)
	return tailColors(chart("Generator's lag over time", seconds,
		"Sent minus intended: the generator's own lateness, part of every response time above. It should stay far below the response p50; where it rises with the latency, suspect the generator or the shared cores first.",
		series(quantile(0.5, lagged), "p50"), series(quantile(0.99, lagged), "p99")))
}

func utilization() Panel {
	return chart("Target's CPU utilization", share,
		"CPU time over wall time and GOMAXPROCS: 1 is all the process may use. Near 1 while latency climbs: the CPU is the limit. Far below 1: requests wait for something else. The busiest process of the service, whatever the phase.",
		series("max("+ofTarget(names.ProcessCPUUtilization)+")", "busiest process"))
}

func cpuTime() Panel {
	mode := label(names.ProcessCPUTime.Attributes[0])
	return chart("Target's CPU time", "none",
		"CPU seconds per second, so in cores, by mode. Much system time: kernel work such as sockets. Throttled: the container's quota kept it from running, which no profile shows.",
		series("sum by ("+mode+") ("+perSecond(ofTarget(names.ProcessCPUTime))+")", "{{"+mode+"}}"),
		series("sum("+perSecond(ofTarget(names.ContainerThrottled))+")", "throttled"))
}
