package dashboards

import "github.com/taillight-load/taillight/telemetry/names"

// TargetBoard is the service under test while a run loads it: what it used, what
// its runtime was busy with, and what it answered.
func TargetBoard() Board {
	return board(targetUID, "Target",
		"The service under test while the chosen phases ran. Read it beside the load test: which of these rises first with the load is where to look.",
		[]Variable{
			runVariable(), phaseVariable("Charts show the target only while a chosen phase of the run was active."),
			serviceVariable(), windowVariable(), reportVariable(),
		},
		layout(
			heading("CPU"),
			line(9, wide(8, utilization()), wide(8, cpuTime()), wide(8, throttling())),
			heading("Scheduler"),
			line(9, wide(12, scheduling()), wide(12, goroutines())),
			heading("Memory and garbage collector"),
			line(9, wide(12, memory()), wide(12, pauses())),
			line(9, wide(12, allocation()), wide(12, allocatedPerRequest())),
			heading("Requests"),
			line(9, wide(8, served()), wide(8, servedSlow()), wide(8, servedErrors())),
		),
	)
}

func utilization() Panel {
	return chart("CPU utilization", share,
		"CPU time over wall time and GOMAXPROCS: 1 is all the process may use. Near 1 while latency climbs: the CPU is the limit. Far below 1: requests wait for something else. The busiest process of the service.",
		series(inPhase("max("+ofTarget(names.ProcessCPUUtilization)+")"), "busiest process"))
}

func cpuTime() Panel {
	mode := label(names.ProcessCPUTime.Attributes[0])
	return stacked(chart("CPU time", "none",
		"CPU seconds per second, so in cores, by mode. Much system time: kernel work such as sockets. The dashed line is what all processes together may use (GOMAXPROCS).",
		series(inPhase("sum by ("+mode+") ("+perSecond(ofTarget(names.ProcessCPUTime))+")"), "{{"+mode+"}}"),
		series(inPhase("sum("+ofTarget(names.ProcessorLimit)+")"), "may use")),
		"may use")
}

func throttling() Panel {
	return absent("no CPU quota", chart("CPU throttling", "none",
		"Seconds a second for which the container's CPU quota kept the service from running. Any is latency that no profile shows: raise the quota, or lower GOMAXPROCS to it. Nothing here: there is no quota.",
		series(inPhase("sum("+perSecond(ofTarget(names.ContainerThrottled))+")"), "throttled")))
}

func scheduling() Panel {
	waited := ofTarget(names.ScheduleDuration)
	return tailColors(chart("Scheduler latency", seconds,
		"How long goroutines were ready to run before a thread took them. It climbs when the CPU is short, before utilization says so; latency that climbs without it waits for something else: a lock, a connection, another service.",
		series(inPhase(quantile(0.5, waited)), "p50"),
		series(inPhase(quantile(0.95, waited)), "p95"),
		series(inPhase(quantile(0.99, waited)), "p99")))
}

func goroutines() Panel {
	return chart("Goroutines and requests in flight", number,
		"Live goroutines of the service, beside the requests that clients wait for. They rise together while requests queue inside. Goroutines that stay when the load is gone are a leak.",
		series(inPhase("sum("+ofTarget(names.Goroutines)+")"), "goroutines"),
		inFlight())
}

func memory() Panel {
	kind := label(names.MemoryUsed.Attributes[0])
	return stacked(chart("Memory", byteSize,
		"Memory of the Go runtime by type. The collector works towards its goal; a limit (GOMEMLIMIT) below the goal makes it run without pause. Steps that never come down are kept alive by something.",
		series(inPhase("sum by ("+kind+") ("+ofTarget(names.MemoryUsed)+")"), "{{"+kind+"}}"),
		series(inPhase("sum("+ofTarget(names.MemoryGoal)+")"), "collector's goal"),
		series(inPhase("sum("+ofTarget(names.MemoryLimit)+")"), "limit")),
		"collector's goal", "limit")
}

func pauses() Panel {
	paused := ofTarget(names.GCPause)
	return absent("no pause in this time", tailColors(chart("Garbage collector's pauses", seconds,
		"How long the collector stopped all goroutines at once, over $window. Far below the response p50 they explain no tail; the collector's larger price is the CPU that it takes from requests, which the flame graph shows.",
		series(inPhase(quantile(0.5, paused)), "p50"),
		series(inPhase(quantile(0.99, paused)), "p99"))))
}

func allocation() Panel {
	return chart("Allocation", bytesPerSecond,
		"Bytes allocated a second. It is what the garbage collector is paid for: divided by the room between live heap and goal it gives the collections a second.",
		series(inPhase("sum("+perSecond(ofTarget(names.MemoryAllocated))+")"), "allocated"))
}

func allocatedPerRequest() Panel {
	return chart("Allocated per request", byteSize,
		"Bytes allocated over requests served. Flat means that allocation follows the load; a climb means that each request costs more the busier the service is, such as buffers that no longer come from a pool.",
		series(inPhase("sum(rate("+ofTarget(names.MemoryAllocated)+"[$window])) / histogram_count(sum(rate("+ofTarget(names.ServerDuration)+"[$window])))"), "per request"))
}

func served() Panel {
	by := label(names.AttrRoute)
	return chart("Requests by route", perSeconds,
		"Requests that the target finished, a second, by route. Fewer than the load test sent: they wait before the handler, or were refused before it.",
		series(inPhase("sum by ("+by+") (histogram_count("+perSecond(ofTarget(names.ServerDuration))+"))"), "{{"+by+"}}"))
}

func servedSlow() Panel {
	by := label(names.AttrRoute)
	return chart("p99 by route", seconds,
		"The p99 of each route by the target's own clock, over $window. One route alone slow: its own work. All at once: what they share, such as the CPU, a lock or the collector.",
		series(inPhase("histogram_quantile(0.99, sum by ("+by+") (rate("+ofTarget(names.ServerDuration)+"[$window])))"), "{{"+by+"}}"))
}

func servedErrors() Panel {
	by := label(names.AttrStatus)
	return chart("Answers by status", perSeconds,
		"Answers a second by status code, as the target gave them. Compare with the errors of the load test: a failure there without a 5xx here happened on the way.",
		series(inPhase("sum by ("+by+") (histogram_count("+perSecond(ofTarget(names.ServerDuration))+"))"), "{{"+by+"}}"))
}
