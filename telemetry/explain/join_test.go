package explain_test

import (
	"testing"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/telemetry/explain"
	"github.com/taillight-load/taillight/telemetry/signal"
)

func TestJoin(t *testing.T) {
	exchange := func(trace, span byte) loadgen.Exchange {
		x := loadgen.Exchange{Timings: loadgen.Timings{Connect: 5 * ms, Wait: 20 * ms, Receive: 1 * ms}}
		x.TraceID[0], x.SpanID[0] = trace, span
		return x
	}
	server := func(trace, span, parent byte, start, length int64) signal.Span {
		s := signal.Span{Kind: signal.KindServer, Start: start, End: start + length}
		s.TraceID[0], s.SpanID[0], s.ParentID[0] = trace, span, parent
		return s
	}
	of := func(s signal.Span, kind signal.SpanKind) signal.Span { s.Kind = kind; return s }
	timed := exchange(1, 1)
	timed.ServerDur = 18 * ms
	const none = 0

	for _, c := range []struct {
		name      string
		exchanges []loadgen.Exchange
		spans     []signal.Span
		span      byte // first byte of the joined span of the first exchange
		server    int64
		gap       int64
		hasGap    bool
	}{
		{"its child", []loadgen.Exchange{exchange(1, 1)}, []signal.Span{server(1, 7, 1, 0, int64(15*ms))}, 7, int64(15 * ms), int64(6 * ms), true}, // 20 + 1 - 15
		{
			"its child rather than an earlier one",
			[]loadgen.Exchange{exchange(1, 1)},
			[]signal.Span{server(1, 6, 9, 0, int64(19*ms)), server(1, 7, 1, 5, int64(15*ms))},
			7, int64(15 * ms), int64(6 * ms), true,
		},
		{
			"behind a proxy, the first",
			[]loadgen.Exchange{exchange(1, 1)},
			[]signal.Span{server(1, 8, 7, 50, int64(3*ms)), server(1, 6, 9, 10, int64(19*ms))},
			6, int64(19 * ms), int64(2 * ms), true,
		},
		{
			"a trace of two exchanges has no first",
			[]loadgen.Exchange{exchange(1, 1), exchange(1, 2)},
			[]signal.Span{server(1, 6, 9, 10, int64(19*ms))},
			none, 0, 0, false,
		},
		{
			"a client's span is none",
			[]loadgen.Exchange{exchange(1, 1)},
			[]signal.Span{of(server(1, 7, 1, 0, 5), signal.KindClient)},
			none, 0, 0, false,
		},
		{"another trace", []loadgen.Exchange{exchange(1, 1)}, []signal.Span{server(2, 7, 1, 0, 5)}, none, 0, 0, false},
		{"no trace at all", []loadgen.Exchange{exchange(0, 0)}, []signal.Span{server(0, 7, 0, 0, 5)}, none, 0, 0, false},
		{"Server-Timing", []loadgen.Exchange{timed}, nil, none, int64(18 * ms), int64(3 * ms), true},
		{"the span rather than Server-Timing", []loadgen.Exchange{timed}, []signal.Span{server(1, 7, 1, 0, int64(15*ms))}, 7, int64(15 * ms), int64(6 * ms), true},
		{
			"clocks differ by less than 1 ms",
			[]loadgen.Exchange{exchange(1, 1)},
			[]signal.Span{server(1, 7, 1, 0, int64(21*ms)+900_000)},
			7, int64(21*ms) + 900_000, -900_000, true,
		},
		{
			"goes on after its answer",
			[]loadgen.Exchange{exchange(1, 1)},
			[]signal.Span{server(1, 7, 1, 0, int64(50*ms))},
			7, int64(50 * ms), int64(-29 * ms), false,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			joined := explain.Join(c.exchanges, c.spans)
			if len(joined) != len(c.exchanges) {
				t.Fatalf("%d joined of %d exchanges", len(joined), len(c.exchanges))
			}
			j, span := joined[0], byte(none)
			if j.Span != nil {
				span = j.Span.SpanID[0]
			}
			if j.Exchange != &c.exchanges[0] || span != c.span || int64(j.Server) != c.server || int64(j.Gap) != c.gap || j.HasGap != c.hasGap {
				t.Errorf("got span %d server %v gap %v %v, want span %d server %d gap %d %v", span, j.Server, j.Gap, j.HasGap, c.span, c.server, c.gap, c.hasGap)
			}
		})
	}
}
