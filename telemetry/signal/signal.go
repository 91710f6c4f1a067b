// Package signal holds the plain data that a run's telemetry becomes once it
// has been received: spans, profiles, metric series, and what is concluded
// from them: findings, warnings, a verdict. It is a leaf; every floor above
// speaks in these types.
//
// Times are Unix nanoseconds (int64) on the clock of whoever made the datum;
// durations are compared, instants of two hosts never are. Sizes are bytes.
package signal

import (
	"encoding/hex"
	"fmt"
)

// TraceID is a W3C trace id. As text it is 32 lower-case hex digits.
type TraceID [16]byte

// SpanID is a W3C span id. As text it is 16 lower-case hex digits.
type SpanID [8]byte

// String returns the id as hex.
func (t TraceID) String() string { return hex.EncodeToString(t[:]) }

// String returns the id as hex.
func (s SpanID) String() string { return hex.EncodeToString(s[:]) }

// IsZero reports whether the id is unset.
func (t TraceID) IsZero() bool { return t == TraceID{} }

// IsZero reports whether the id is unset.
func (s SpanID) IsZero() bool { return s == SpanID{} }

// MarshalText writes the id as hex.
func (t TraceID) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// MarshalText writes the id as hex.
func (s SpanID) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads hex of exactly 32 digits.
func (t *TraceID) UnmarshalText(b []byte) error { return unhex("trace id", t[:], b) }

// UnmarshalText reads hex of exactly 16 digits.
func (s *SpanID) UnmarshalText(b []byte) error { return unhex("span id", s[:], b) }

func unhex(what string, dst, src []byte) error {
	if len(src) != 2*len(dst) {
		return fmt.Errorf("%s %q: %d hex digits, want %d", what, src, len(src), 2*len(dst))
	}
	if _, err := hex.Decode(dst, src); err != nil {
		return fmt.Errorf("%s %q: %w", what, src, err)
	}
	return nil
}

// SpanKind is the role of a span in its trace.
type SpanKind uint8

// The span kinds, numbered as in OTLP.
const (
	KindUnspecified SpanKind = iota
	KindInternal
	KindServer
	KindClient
	KindProducer
	KindConsumer
)

// Resource is who sent a signal: an OpenTelemetry resource. One value is
// shared by everything that came with it and is not changed afterwards.
type Resource struct {
	Attributes Attributes
}

// Service returns service.name, or unknown_service.
func (r *Resource) Service() string {
	if r == nil || r.Attributes.Text("service.name") == "" {
		return "unknown_service"
	}
	return r.Attributes.Text("service.name")
}

// Instance returns service.instance.id; it may be empty.
func (r *Resource) Instance() string {
	if r == nil {
		return ""
	}
	return r.Attributes.Text("service.instance.id")
}

// Attributes maps keys to string, int64, float64, bool, []byte, []any or
// map[string]any.
type Attributes map[string]any

// Text returns a value as text, "" when absent.
func (a Attributes) Text(key string) string {
	switch v := a[key].(type) {
	case nil:
		return ""
	case string:
		return v
	default:
		return fmt.Sprint(v)
	}
}

// Span is one finished span of any service.
type Span struct {
	TraceID    TraceID
	SpanID     SpanID
	ParentID   SpanID // zero for a root
	Resource   *Resource
	Scope      string // instrumentation scope
	Name       string
	Kind       SpanKind
	Start      int64  // Unix ns, the service's clock
	End        int64  // Unix ns, the service's clock
	Failed     bool   // status error
	Status     string // status message
	Attributes Attributes
	Events     []Event
}

// Event is something that happened within a span.
type Event struct {
	Name       string
	Time       int64 // Unix ns
	Attributes Attributes
}

// Duration returns End - Start in nanoseconds, never negative.
func (s *Span) Duration() int64 { return max(0, s.End-s.Start) }

// Profile is one uploaded pprof profile.
type Profile struct {
	Service string            // application name
	Type    string            // cpu, wall, memory, mutex, block, goroutines
	Start   int64             // Unix ns
	End     int64             // Unix ns
	Labels  map[string]string // labels of the upload, e.g. loadtest_run_id
	Data    []byte            // gzipped pprof
}

// Point is one value of a metric series.
type Point struct {
	Start     int64             // Unix ns, of a cumulative value; 0 for a gauge
	Time      int64             // Unix ns
	Value     float64           // value, or sum of a histogram, in the metric's unit
	Histogram *HistogramBuckets // nil for a number
}

// HistogramBuckets are the buckets of one histogram point. Either Bounds is
// set (explicit buckets: len(Counts) == len(Bounds)+1) or the buckets are
// exponential: bucket i of Counts holds (base^(Offset+i), base^(Offset+i+1)]
// with base 2^(2^-Scale).
type HistogramBuckets struct {
	Count     uint64
	Min, Max  float64 // NaN when not sent
	Bounds    []float64
	Scale     int32
	ZeroCount uint64
	Offset    int32
	Counts    []uint64
}

// Series is one metric of one attribute set.
type Series struct {
	Resource   *Resource
	Scope      string
	Name       string // OTLP name
	Unit       string
	Kind       MetricKind
	Attributes Attributes
	Points     []Point // ascending in time
}

// MetricKind says how a series' points are to be read.
type MetricKind string

// The metric kinds.
const (
	Gauge       MetricKind = "gauge"
	Sum         MetricKind = "sum"     // cumulative, monotonic
	UpDown      MetricKind = "up_down" // cumulative, not monotonic
	Explicit    MetricKind = "histogram"
	Exponential MetricKind = "exponential_histogram"
)

// Warning says what limits a number. It is shown beside it, never logged.
type Warning string

// Confidence grades how firmly a finding is held.
type Confidence string

// Confidences, firmest first.
const (
	Certain   Confidence = "certain"   // arithmetic on complete counts
	Strong    Confidence = "strong"    // an interval excludes the alternative
	Suggested Confidence = "suggested" // compatible, not proven
)

// Evidence is one figure behind a claim, or one thing it points to.
type Evidence struct {
	Label string  `json:"label"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`           // s, 1, %, /s, "" for a count
	Ref   string  `json:"ref,omitempty"`  // exchange:123, span:<id>, profile:cpu, counter:<name>
	Text  string  `json:"text,omitempty"` // when the evidence is no number
}

// Severity orders findings for a reader.
type Severity string

// Severities, gravest first.
const (
	Grave  Severity = "grave"  // the run cannot be trusted, or failed
	Notice Severity = "notice" // explains the result
	Info   Severity = "info"
)

// Finding is one thing the run shows, in words and numbers.
type Finding struct {
	ID         string     `json:"id"`    // F1 .. F24
	Title      string     `json:"title"` // a few words
	Claim      string     `json:"claim"` // one or two sentences with their numbers
	Severity   Severity   `json:"severity"`
	Component  string     `json:"component,omitempty"` // machine-readable cause, compared by tests
	Evidence   []Evidence `json:"evidence"`
	Confidence Confidence `json:"confidence"`
	Warnings   []Warning  `json:"warnings,omitempty"`
	Hint       string     `json:"hint,omitempty"` // what to do, marked as a hint
}

// Silent is a rule that had nothing to say, and why.
type Silent struct {
	ID    string `json:"id"`
	Title string `json:"title"`
	Why   string `json:"why"`
}

// Verdict is the run's answer.
type Verdict string

// The verdicts.
const (
	Pass    Verdict = "pass"
	Fail    Verdict = "fail"
	Invalid Verdict = "invalid"
	Aborted Verdict = "aborted"
)

// Exit codes of a run; interrupted beats broken beats fail beats pass.
const (
	ExitPass        = 0
	ExitFail        = 1
	ExitUsage       = 2
	ExitBroken      = 3 // invalid, or the run itself broke
	ExitInterrupted = 130
)

// Tier says how much of the target the run could see.
type Tier string

// Tiers, least first.
const (
	T0 Tier = "T0" // nothing but the client's own view
	T1 Tier = "T1" // spans or Server-Timing
	T2 Tier = "T2" // CPU profiles with span labels
	T3 Tier = "T3" // scheduler timelines
)

// Capabilities says which signals of the target reached the run.
type Capabilities struct {
	Spans        bool `json:"spans"`
	ServerTiming bool `json:"server_timing"`
	Profiles     bool `json:"profiles"`
	SpanLabels   bool `json:"span_labels"`
	Timelines    bool `json:"timelines"`
}

// Tier derives the tier from what was seen.
func (c Capabilities) Tier() Tier {
	switch {
	case c.Timelines:
		return T3
	case c.Profiles && c.SpanLabels:
		return T2
	case c.Spans || c.ServerTiming:
		return T1
	}
	return T0
}
