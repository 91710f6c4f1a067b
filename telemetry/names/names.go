// Package names declares, once, every name that crosses a process border:
// metrics, attributes, baggage keys, profile labels, environment variables and
// units. Instruments, the receiver, the boards and the report are all built
// from this table, so a renamed metric cannot leave a board empty.
//
// Names follow the OpenTelemetry semantic conventions where one exists.
// Everything about the load test itself has none, and lives under loadtest.*.
package names

import "strings"

// Kind says how a metric's points are to be read.
type Kind string

// The metric kinds in use.
const (
	Histogram Kind = "histogram" // exponential, cumulative; native in Prometheus
	Counter   Kind = "counter"   // monotonic, cumulative
	Gauge     Kind = "gauge"     // last value
)

// Metric is one metric as it is sent by OTLP.
type Metric struct {
	Name        string   // OTLP name, dots
	Kind        Kind     // histogram, counter or gauge
	Unit        string   // UCUM: s, By, 1, {request}
	Description string   // one sentence
	Attributes  []string // attribute keys its points may carry, bounded
	Source      string   // who emits it: client (Taillight) or target
}

// Prometheus returns the metric's name in Prometheus after the default
// translation (UnderscoreEscapingWithSuffixes): dots become underscores, the
// unit becomes a suffix, counters end in _total.
func (m Metric) Prometheus() string {
	n := PrometheusLabel(m.Name)
	switch m.Unit {
	case "s":
		n = suffixed(n, "_seconds")
	case "By":
		n = suffixed(n, "_bytes")
	case "1":
		if m.Kind == Gauge {
			n = suffixed(n, "_ratio")
		}
	}
	if m.Kind == Counter {
		n = suffixed(n, "_total")
	}
	return n
}

// PrometheusLabel returns an attribute key as Prometheus spells it, by the same
// translation.
func PrometheusLabel(attribute string) string { return strings.ReplaceAll(attribute, ".", "_") }

func suffixed(n, suffix string) string {
	if strings.HasSuffix(n, suffix) {
		return n
	}
	return n + suffix
}

// Metrics that Taillight emits about a run. Values are seconds or counts.
var (
	ClientDuration = Metric{
		Name: "http.client.request.duration", Kind: Histogram, Unit: "s", Source: "client",
		Description: "Service time: last byte received minus request sent.",
		Attributes:  []string{AttrPhase, AttrStep, AttrMethod},
	}
	ResponseDuration = Metric{
		Name: "loadtest.response.duration", Kind: Histogram, Unit: "s", Source: "client",
		Description: "Response time: last byte received minus the intended start, what a user feels.",
		Attributes:  []string{AttrPhase, AttrStep},
	}
	Lag = Metric{
		Name: "loadtest.lag", Kind: Histogram, Unit: "s", Source: "client",
		Description: "How late the generator itself was: request sent minus the intended start.",
		Attributes:  []string{AttrPhase, AttrStep},
	}
	RequestsPlanned = requests("planned", "Requests that fell due.")
	RequestsSent    = requests("sent", "Requests put on the wire.")
	RequestsOK      = requests("ok", "Requests answered as the plan expects.")
	RequestsFailed  = requests("failed", "Requests that failed, by error class.", AttrErrorType)
	RequestsUnsent  = requests("unsent", "Requests that fell due and were never sent.")
	Users           = Metric{
		Name: "loadtest.users", Kind: Gauge, Unit: "{user}", Source: "client",
		Description: "Active users of the closed model.",
	}
	InFlight = Metric{
		Name: "loadtest.in_flight", Kind: Gauge, Unit: "{request}", Source: "client",
		Description: "Requests sent and not yet answered.",
	}
	PhaseActive = Metric{
		Name: "loadtest.phase.active", Kind: Gauge, Unit: "{phase}", Source: "client",
		Description: "1 while the phase runs, 0 after it.", Attributes: []string{AttrPhase},
	}
	RunVerdict = Metric{
		Name: "loadtest.run.verdict", Kind: Gauge, Unit: "{verdict}", Source: "client",
		Description: "1 for the run's verdict once it is known, 0 for every other.",
		Attributes:  []string{AttrVerdict, AttrPlan, AttrReport},
	}
)

func requests(what, description string, more ...string) Metric {
	return Metric{
		Name: "loadtest.requests." + what, Kind: Counter, Unit: "{request}", Source: "client",
		Description: description, Attributes: append([]string{AttrPhase, AttrStep}, more...),
	}
}

// Metrics that an instrumented target emits.
var (
	ServerDuration = Metric{
		Name: "http.server.request.duration", Kind: Histogram, Unit: "s", Source: "target",
		Description: "Duration of HTTP server requests.",
		Attributes:  []string{AttrMethod, AttrRoute, AttrStatus, "url.scheme", AttrErrorType},
	}
	ProcessCPUTime = Metric{
		Name: "process.cpu.time", Kind: Counter, Unit: "s", Source: "target",
		Description: "CPU seconds of the process, by mode.", Attributes: []string{AttrCPUMode},
	}
	ProcessCPUUtilization = Metric{
		Name: "process.cpu.utilization", Kind: Gauge, Unit: "1", Source: "target",
		Description: "CPU time of the process since the last collection over wall time and GOMAXPROCS: 1 is all it may use.",
	}
	ContainerThrottled = Metric{
		Name: "container.cpu.throttled.time", Kind: Counter, Unit: "s", Source: "target",
		Description: "Time the container's CPU quota kept it from running.",
	}
	Goroutines = Metric{
		Name: "go.goroutine.count", Kind: Gauge, Unit: "{goroutine}", Source: "target",
		Description: "Live goroutines.",
	}
	MemoryUsed = Metric{
		Name: "go.memory.used", Kind: Gauge, Unit: "By", Source: "target",
		Description: "Memory used by the Go runtime, by type.", Attributes: []string{"go.memory.type"},
	}
	MemoryLimit = Metric{
		Name: "go.memory.limit", Kind: Gauge, Unit: "By", Source: "target",
		Description: "GOMEMLIMIT, where one is set.",
	}
	MemoryGoal = Metric{
		Name: "go.memory.gc.goal", Kind: Gauge, Unit: "By", Source: "target",
		Description: "Heap size at which the garbage collector means to be done.",
	}
	MemoryAllocated = Metric{
		Name: "go.memory.allocated", Kind: Counter, Unit: "By", Source: "target",
		Description: "Bytes allocated on the heap.",
	}
	ProcessorLimit = Metric{
		Name: "go.processor.limit", Kind: Gauge, Unit: "{thread}", Source: "target",
		Description: "GOMAXPROCS: threads that may run Go code at once.",
	}
	ScheduleDuration = Metric{
		Name: "go.schedule.duration", Kind: Histogram, Unit: "s", Source: "target",
		Description: "Time goroutines spent runnable before running; classic buckets, sampled 1 in 8.",
	}
	GCPause = Metric{
		Name: "go.memory.gc.pause.duration", Kind: Histogram, Unit: "s", Source: "target",
		Description: "Stop-the-world pauses of the garbage collector, from the decision to the restart; classic buckets.",
	}
)

// JVMCPUTime is a JVM's name for process.cpu.time: the same seconds, without
// modes.
const JVMCPUTime = "jvm.cpu.time"

// All lists every metric, client first: what the boards may ask for.
func All() []Metric {
	return []Metric{
		ClientDuration, ResponseDuration, Lag,
		RequestsPlanned, RequestsSent, RequestsOK, RequestsFailed, RequestsUnsent,
		Users, InFlight, PhaseActive, RunVerdict,
		ServerDuration, ProcessCPUTime, ProcessCPUUtilization, ContainerThrottled,
		Goroutines, MemoryUsed, MemoryLimit, MemoryGoal, MemoryAllocated, ProcessorLimit, ScheduleDuration, GCPause,
	}
}

// What a service says of itself, resource attributes both.
const (
	AttrBuild   = "service.version"
	AttrRuntime = "process.runtime.version" // the version of its language
)

// Attribute and resource keys.
const (
	AttrPhase     = "loadtest.phase"
	AttrStep      = "loadtest.step"
	AttrVerdict   = "loadtest.verdict"
	AttrPlan      = "loadtest.plan"       // name of the plan
	AttrReport    = "loadtest.report.url" // where a browser finds the run's report
	AttrRunID     = "loadtest.run.id"     // resource attribute on all three signals
	AttrIntended  = "loadtest.intended"   // of a client span: when it was due, seconds from the run's start
	AttrMethod    = "http.request.method"
	AttrRoute     = "http.route"
	AttrStatus    = "http.response.status_code"
	AttrErrorType = "error.type"
	AttrService   = "service.name" // resource attribute; a label in Prometheus too
	AttrCPUMode   = "cpu.mode"
	AttrProfileID = "pyroscope.profile.id" // of a span: the id that its CPU samples carry
)

// Baggage keys that every request carries. The k6 keys let a target that
// already turns k6's baggage into profile labels work unchanged.
const (
	BaggageRunID    = "loadtest.run.id"
	BaggagePhase    = "loadtest.phase"
	BaggageStep     = "loadtest.step"
	BaggageK6RunID  = "k6.test_run_id"
	BaggageK6Phase  = "k6.scenario"
	BaggageK6Step   = "k6.name"
	BaggageMaxValue = 64 // bytes of a value that a service copies into attributes and labels
)

// Profile labels. Any label but the span and trace id becomes a series in
// Pyroscope, so only these are set, those that a service asks for, and no more
// values of each than LabelMaxValues.
const (
	LabelTraceID   = "trace_id"
	LabelSpanID    = "span_id"
	LabelSpanName  = "span_name"
	LabelRunID     = "loadtest_run_id"
	LabelPhase     = "loadtest_phase"
	LabelK6RunID   = "k6_test_run_id"
	LabelK6Phase   = "k6_scenario"
	LabelRecording = "taillight_recording" // inside the process alone: taken off before an upload
	LabelOther     = "other"               // the value of all that are one too many
	LabelMaxValues = 64                    // of one label in the life of a process
)

// PyroscopeCPU is the profile type of Go CPU profiles in Pyroscope.
const PyroscopeCPU = "process_cpu:cpu:nanoseconds:cpu:nanoseconds"

// Marks of a request in the Go execution trace. The flight decoder knows them
// too; a recording from another version is read by them.
const (
	TraceTask    = "request"  // task around everything that is done for it
	TraceRegion  = "handler"  // region of the goroutine that handles it
	TraceTraceID = "trace_id" // log category, W3C trace id as hex
	TraceSpanID  = "span_id"  // log category, id of the server span as hex
	TraceOnCPU   = "on_cpu"   // log category, CPU time of the region's thread in it, decimal ns
)

// FlightPath is where the admin handler serves the flight recording.
const FlightPath = "/debug/flight"

// PathRuns is where serve lists its runs, newest first, as JSON, and where a
// run is started.
const PathRuns = "/api/runs"

// Service names of the bundled processes.
const (
	ServiceTarget     = "taillight-target"
	ServiceDownstream = "taillight-downstream" // second instance, which the target calls
	ServiceTaillight  = "taillight"
)

// Grafana's uids of the boards that others link to, and the variables that
// such a link sets. A board is at /d/ and its uid under Grafana's address.
const (
	BoardLoadTest = "taillight-load-test"
	BoardWhySlow  = "taillight-why-slow"
	BoardTrace    = "taillight-trace"
	BoardRun      = "run"     // run id
	BoardTraceID  = "traceId" // trace id as hex
)

// Environment variables that move the ports which the stack of docker compose
// publishes.
const (
	EnvPortTarget     = "TAILLIGHT_PORT_TARGET"
	EnvPortWeb        = "TAILLIGHT_PORT_WEB"
	EnvPortOTLP       = "TAILLIGHT_PORT_OTLP_HTTP"
	EnvPortPrometheus = "TAILLIGHT_PORT_PROMETHEUS"
	EnvPortTempo      = "TAILLIGHT_PORT_TEMPO"
	EnvPortPyroscope  = "TAILLIGHT_PORT_PYROSCOPE"
	EnvPortGrafana    = "TAILLIGHT_PORT_GRAFANA"
)

// Environment variables that Taillight itself reads or sets.
const (
	EnvPrefix         = "TAILLIGHT_"                // of all of them, and of the variable of every flag
	EnvAdminToken     = "TAILLIGHT_ADMIN_TOKEN"     // bearer token of the target's admin listener
	EnvProfileAddress = "TAILLIGHT_PROFILE_ADDRESS" // second address that receives profiles
	EnvServeToken     = "TAILLIGHT_SERVE_TOKEN"     // bearer token that may start and stop runs of serve from elsewhere
	EnvFlight         = "TAILLIGHT_FLIGHT"          // 1 keeps a flight recording, 0 keeps none
	EnvThreadClock    = "TAILLIGHT_THREAD_CLOCK"    // share of recorded requests, 0 to 1, whose thread's CPU time is read
	EnvFaults         = "TAILLIGHT_FAULTS"          // faults of the bundled target, as --fault has them, separated by commas
	EnvPyroscope      = "PYROSCOPE_SERVER_ADDRESS"  // first address that receives profiles
	EnvOTLP           = "OTEL_EXPORTER_OTLP_ENDPOINT"
	EnvOTLPProtocol   = "OTEL_EXPORTER_OTLP_PROTOCOL"
	EnvSpanDelay      = "OTEL_BSP_SCHEDULE_DELAY"     // ms between two batches of spans
	EnvMetricInterval = "OTEL_METRIC_EXPORT_INTERVAL" // ms between two collections
	EnvTemporality    = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"
	EnvOTLPHeaders    = "OTEL_EXPORTER_OTLP_HEADERS"
	EnvServiceName    = "OTEL_SERVICE_NAME"
	EnvResource       = "OTEL_RESOURCE_ATTRIBUTES"
)

// TokenHeader carries the token of a run from the target to the receiver.
const TokenHeader = "x-taillight-token"
