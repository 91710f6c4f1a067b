package dashboards

import "github.com/taillight-load/taillight/telemetry/names"

const schema = 42

// board makes a board that follows a run, with the links to the others.
func board(uid, title, description string, variables []Variable, panels []Panel) Board {
	return Board{
		UID: uid, Title: title, Description: description,
		Tags: []string{"taillight"}, SchemaVersion: schema, Version: 1,
		Timezone: "browser", GraphTooltip: 1, Refresh: "5s",
		Time:       TimeRange{From: "now-15m", To: "now"},
		TimePicker: TimePicker{RefreshIntervals: []string{"1s", "5s", "10s", "30s", "1m"}},
		Templating: Variables{List: variables},
		Links:      links(uid),
		Panels:     panels,
	}
}

// LoadTest is the board of one run: its verdict, what clients and target
// measured, the load that was meant and the load that was sent.
func LoadTest() Board {
	return board(names.BoardLoadTest, "Load test",
		"One run, seen from the client and from the target. Choose the run and its phases at the top.",
		[]Variable{
			runVariable(), phaseVariable("Phases of the run. Users and requests in flight know no phases: choose a time range for them."),
			serviceVariable(), windowVariable(), reportVariable(),
		},
		layout(
			heading("Verdict, over the whole run"),
			line(5,
				wide(3, verdict()), wide(6, requests()), wide(3, answeredOK()),
				wide(7, wholeRun("Response time of the run", names.ResponseDuration, tail(),
					"From the intended start of each request to its last byte: what a user feels. Over all its requests, exact to the bucket (2.2 %).")),
				wide(5, wholeRun("Generator's lag", names.Lag, []float64{0.5, 0.99},
					"How late the generator itself sent. A p99 above a tenth of the response p50 makes the run doubtful, above a half invalid: then read no percentile below.")),
			),
			line(5, wide(columns, phases())),
			heading("Latency"),
			line(10, wide(12, clientLatency()), wide(12, serverLatency())),
			line(12, wide(12, responseHeatMap()), wide(12, exemplarHeatMap())),
			heading("Load"),
			line(8, wide(12, rates()), wide(12, failures())),
			line(8, wide(12, users()), wide(12, lag())),
		),
	)
}

func verdict() Panel {
	run := ofRun(names.RunVerdict)
	legend := "{{" + label(names.AttrVerdict) + "}}"
	p := numbers("Verdict", number,
		"pass, fail, invalid or aborted; \"none yet\" while the run goes on, or when Taillight died under it. Invalid means that the measurement cannot be trusted, whatever it says.",
		value("max by ("+label(names.AttrVerdict)+") (last_over_time("+run+"[$__range])) > 0", legend))
	p.Options = statOptions("name", "background")
	p.FieldConfig.Defaults.NoValue = "none yet"
	for _, v := range verdictColors() {
		p.FieldConfig.Overrides = append(p.FieldConfig.Overrides, colored(v.verdict, v.color))
	}
	return p
}

type verdictColor struct{ verdict, color string }

func verdictColors() []verdictColor {
	return []verdictColor{{"pass", "green"}, {"fail", "red"}, {"invalid", "purple"}, {"aborted", "orange"}}
}

func requests() Panel {
	count := func(m names.Metric, legend string) Target { return value(orZero(ofWholeRun(m)), legend) }
	return numbers("Requests", number,
		"Planned: fell due. Sent: put on the wire. OK: answered as the plan expects. Planned minus sent were never sent; sent minus OK and failed had no answer at the end. Counts of the whole run inside the time range; choose a range that holds all of it.",
		count(names.RequestsPlanned, "planned"), count(names.RequestsSent, "sent"),
		count(names.RequestsOK, "ok"), count(names.RequestsFailed, "failed"))
}

func answeredOK() Panel {
	return numbers("Answered OK", share,
		"Requests answered as the plan expects, of all planned. Failed and unsent ones lower it.",
		value(orZero(ofWholeRun(names.RequestsOK))+" / "+ofWholeRun(names.RequestsPlanned), "ok"))
}

func wholeRun(title string, m names.Metric, quantiles []float64, description string) Panel {
	var targets []Target
	for _, q := range quantiles {
		targets = append(targets, value(over(q, ofRun(m)), percentile(q)))
	}
	return numbers(title, seconds, description, targets...)
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

// percentiles draws the tail of a histogram; as is how its expressions are
// shown.
func percentiles(title, description, selector string, as func(string) string) Panel {
	var targets []Target
	for _, q := range tail() {
		targets = append(targets, series(as(quantile(q, selector)), percentile(q)))
	}
	return tailColors(chart(title, seconds, description, targets...))
}

func always(expr string) string { return expr }

func clientLatency() Panel {
	p := percentiles("Response time (client)",
		"What a user feels: last byte minus the intended start, each point over $window of requests. A dot is one slow request; its link opens that request's trace, profile and metrics. A p99.9 needs some thousand requests in $window to mean anything.",
		ofRun(names.ResponseDuration), always)
	return withExemplars(p)
}

// withExemplars asks for them on the p99: each target that did would draw all
// of them again.
func withExemplars(p Panel) Panel {
	for i := range p.Targets {
		p.Targets[i].Exemplar = p.Targets[i].LegendFormat == percentile(0.99)
	}
	return p
}

func serverLatency() Panel {
	return percentiles("Duration inside the target (server)",
		"The same requests as the target's own instrument sees them, only while a chosen phase ran. Compare with the left: what the client sees and the target does not was spent before its handler or on the way.",
		ofTarget(names.ServerDuration), inPhase)
}

func responseHeatMap() Panel {
	t := series(heatRows(ofRun(names.ResponseDuration)), "{{le}}")
	t.Format = "heatmap"
	return heat(panel("heatmap", "Response time over time",
		"Each column is five seconds, each row a range of response times, a third of an octave high; the colour is the share of that column's requests. One band is healthy, two bands are two kinds of requests, a band that climbs is a queue.", t), share)
}

// heat draws a heat map whose cells have the unit. Exemplars are for cells that
// Prometheus counted itself: among rows with names Grafana looks for the row's
// name on each exemplar, and fails on one without.
func heat(p Panel, unit string) Panel {
	p.FieldConfig = &FieldConfig{
		Defaults:  FieldDefaults{Unit: seconds, Custom: map[string]any{"scaleDistribution": map[string]any{"type": "linear"}}},
		Overrides: []Override{},
	}
	p.Options = map[string]any{
		"calculate": false, "cellGap": 1, "showValue": "never",
		"cellValues":   map[string]any{"unit": unit, "decimals": 1},
		"color":        map[string]any{"mode": "scheme", "scheme": "Turbo", "steps": 64, "exponent": 0.5, "fill": "dark-orange", "scale": "exponential", "reverse": false},
		"filterValues": map[string]any{"le": 1e-9},
		"rowsFrame":    map[string]any{"layout": "auto"},
		"legend":       map[string]any{"show": true},
		"tooltip":      map[string]any{"mode": "single", "showColorScale": true, "yHistogram": false},
		"yAxis":        map[string]any{"unit": seconds, "axisPlacement": "left", "reverse": false},
		"exemplars":    map[string]any{"color": "rgba(255,0,255,0.7)"},
	}
	return steady("5s", p)
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
		inFlight())
}

func inFlight() Target { return series("sum("+ofRun(names.InFlight)+")", "in flight") }

func lag() Panel {
	lagged := ofRun(names.Lag)
	return tailColors(chart("Generator's lag over time", seconds,
		"Sent minus intended: the generator's own lateness, part of every response time above. It should stay far below the response p50; where it rises with the latency, suspect the generator or the shared cores first.",
		series(quantile(0.5, lagged), "p50"), series(quantile(0.99, lagged), "p99")))
}
