package dashboards

import (
	"fmt"

	"github.com/taillight-load/taillight/telemetry/names"
)

// WhySlow goes from the slow requests to their time and their CPU. It refreshes
// when the reader says so.
func WhySlow() Board {
	b := board(names.BoardWhySlow, "Why slow",
		"From slow requests to what they waited for. First which ones, then where their time went, then what the CPU did.",
		[]Variable{
			runVariable(), phaseVariable("Phases whose requests, spans and CPU samples are shown."), calmest(), worst(),
			serviceVariable(), windowVariable(), slowVariable(), reportVariable(),
		},
		layout(
			heading("Which requests"),
			line(12, wide(columns, exemplarHeatMap())),
			line(11, wide(columns, slowTable())),
			heading("Where their time goes"),
			line(10, wide(12, threeTails()), wide(12, meanParts())),
			line(9, wide(columns, spanDurations())),
			heading("Baseline beside peak"),
			line(5, wide(12, phaseTail("Response time, baseline", "$baseline")), wide(12, phaseTail("Response time, peak", "$peak"))),
			line(16, wide(12, flameOf("CPU, baseline", "$baseline")), wide(12, flameOf("CPU, peak", "$peak"))),
			heading("CPU"),
			line(9, wide(columns, cpuBySpan())),
			line(18, wide(columns, flameGraph())),
		),
	)
	b.Refresh = "" // it would close the frame that the reader has opened
	return b
}

// exemplarHeatMap draws Prometheus' own cells, so that exemplars can lie on
// them; only the first series would be drawn, so there is one.
func exemplarHeatMap() Panel {
	t := series("sum("+perSecond(ofRun(names.ResponseDuration))+")", "response")
	t.Format, t.Exemplar = "heatmap", true
	p := heat(panel("heatmap", "Response time, with requests to open",
		"Each square is one request: its link opens that request's trace, profile and metrics. The colour behind is requests a second in each 2 % of response time. Start with squares above the band, then with one inside it, and compare the two traces.", t), perSeconds)
	p.FieldConfig.Defaults.Custom = map[string]any{"scaleDistribution": map[string]any{"type": "log", "log": 2}}
	p.Options["cellGap"] = 0
	return p
}

func threeTails() Panel {
	return chart("Where the p99 is made", seconds,
		"Three clocks for the same p99. Response above service: requests waited in the generator, or behind slow ones for a free connection. Service above server: time on the way, in the accept queue or before the handler. Server as high as service: it is in the target.",
		series(quantile(0.99, ofRun(names.ResponseDuration)), "response (client, from the intended start)"),
		series(quantile(0.99, ofRun(names.ClientDuration)), "service (client, from the send)"),
		series(inPhase(quantile(0.99, ofTarget(names.ServerDuration))), "server (target)"))
}

// meanParts is of means, since only means of parts add up to the whole.
func meanParts() Panel {
	response, service := mean(ofRun(names.ResponseDuration)), mean(ofRun(names.ClientDuration))
	server := mean(ofTarget(names.ServerDuration))
	return stacked(chart("Client minus server", seconds,
		"The mean response time in its three parts, stacked. In the target: its handler's duration. On the way: client minus server, that is network, accept queue and what stands before the handler. Before the send: the generator's lag. The part that grows with the load is the one to explain. It holds while the target serves this load alone.",
		series(inPhase(server), "in the target"),
		series(inPhase("clamp_min("+service+" - "+server+", 0)"), "on the way or before the handler"),
		series("clamp_min("+response+" - "+service+", 0)", "before the send")))
}

func phaseTail(title, phase string) Panel {
	selector := fmt.Sprintf(`%s{%s="$run",%s="%s"}`,
		names.ResponseDuration.Prometheus(), label(names.AttrRunID), label(names.AttrPhase), phase)
	var targets []Target
	for _, q := range tail() {
		targets = append(targets, value(over(q, selector), percentile(q)))
	}
	return numbers(title, seconds,
		"Response time of all requests of this phase alone, which the variables at the top choose. A p50 that grows with the p99 is a target that is busy; a p99 that grows alone is a queue or a few requests of another kind.",
		targets...)
}

func spanDurations() Panel {
	p := chart("p99 by span", seconds,
		"The p99 of each span of client and target over time, by its name, from Tempo's traces. A span inside the server's that grows alike is what the handler waited for; none that does: the time is in the handler's own code, in its queue or in the runtime.",
		Target{
			DataSource: tempo(), QueryType: "traceql", Metrics: "range", Step: "5s", Filters: &[]any{}, Limit: 20,
			Query: fmt.Sprintf(`{ %s } | quantile_over_time(duration, .99) by (resource.service.name, name)`, spansOfRun()),
		})
	p.Interval = "5s"
	return p
}
