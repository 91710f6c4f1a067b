package explain_test

import (
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/telemetry/explain"
	"github.com/taillight-load/taillight/telemetry/signal"
)

// exchanged is an exchange of trace 1 that was sent 2 ms late and waited 20 ms
// and 1 ms more on a new connection: 29 ms in all.
func exchanged() *loadgen.Exchange {
	x := &loadgen.Exchange{
		Intended: 100 * ms, Sent: 102 * ms, Done: 129 * ms, Status: 200,
		Timings: loadgen.Timings{Blocked: 1 * ms, DNS: 500 * us, Connect: 2 * ms, SSL: 1500 * us, Send: 1 * ms, Wait: 20 * ms, Receive: 1 * ms},
	}
	x.TraceID[0], x.SpanID[0] = 1, 1
	return x
}

const us = time.Microsecond

// spanned is a span of trace 1 from one offset to another.
func spanned(kind signal.SpanKind, id, parent byte, from, to time.Duration) signal.Span {
	s := signal.Span{Kind: kind, Start: int64(from), End: int64(to)}
	s.TraceID[0], s.SpanID[0], s.ParentID[0] = 1, id, parent
	return s
}

func of(service string, s signal.Span) signal.Span {
	s.Resource = &signal.Resource{Attributes: signal.Attributes{"service.name": service}}
	return s
}

// timed is a timeline of 18 ms in span 2 of trace 1.
func timed(change func(*signal.Timeline)) *signal.Timeline {
	tl := &signal.Timeline{
		Total: int64(18 * ms), Running: int64(5 * ms), Runnable: int64(1 * ms), Syscall: int64(500 * us),
		Blocked:  signal.Blocked{Sync: int64(2 * ms), Network: int64(8 * ms), Sleep: int64(1 * ms), GC: int64(500 * us)},
		GCAssist: int64(1 * ms), STW: int64(1 * ms),
	}
	tl.TraceID[0], tl.SpanID[0] = 1, 2
	change(tl)
	return tl
}

func as(*signal.Timeline) {}

type parts map[explain.Component]time.Duration

// client is what the client alone sees of exchanged, but for wait and receive.
func client(more parts) parts {
	p := parts{
		explain.Lag: 2 * ms, explain.Blocked: 1 * ms, explain.DNS: 500 * us, explain.Connect: 2 * ms, explain.SSL: 1500 * us, explain.Send: 1 * ms,
	}
	maps.Copy(p, more)
	return p
}

func wanted(p parts) explain.Parts {
	var all explain.Parts
	for c, d := range p {
		all[c] = d
	}
	return all
}

// decomposed takes one exchange apart, with the timeline of its server's handler
// or none.
func decomposed(x *loadgen.Exchange, spans []signal.Span, timeline *signal.Timeline, most signal.Tier) explain.Breakdown {
	var timelines []signal.Timeline
	if timeline != nil {
		timelines = append(timelines, *timeline)
		timelines[0].TraceID = signal.TraceID(x.TraceID)
	}
	exchanges := []loadgen.Exchange{*x}
	b := explain.DecomposeAll(exchanges, spans, timelines, most)[0]
	if b.Exchange == &exchanges[0] {
		b.Exchange = x
	}
	return b
}

func TestDecompose(t *testing.T) {
	const server, calls, internal, consumer = signal.KindServer, signal.KindClient, signal.KindInternal, signal.KindConsumer
	unsplit := client(parts{explain.Wait: 20 * ms, explain.Receive: 1 * ms})
	handler := spanned(server, 2, 1, 0, 18*ms)
	for name, c := range map[string]struct {
		change   func(*loadgen.Exchange)
		spans    []signal.Span
		timeline *signal.Timeline
		most     signal.Tier // "" is T3
		want     parts
		tier     signal.Tier
		async    bool
	}{
		"nothing but the client": {want: unsplit, tier: signal.T0},
		"timings of a foreign file that leave 1 ms out": {
			change: func(x *loadgen.Exchange) { x.Timings.Wait -= ms }, tier: signal.T0,
			want: client(parts{explain.Blocked: 2 * ms, explain.Wait: 19 * ms, explain.Receive: 1 * ms}),
		},
		"a span without children": {
			spans: []signal.Span{handler}, tier: signal.T1,
			want: client(parts{explain.Gap: 3 * ms, explain.SelfUnknown: 18 * ms}),
		},
		"Server-Timing": {
			change: func(x *loadgen.Exchange) { x.ServerDur = 16 * ms }, tier: signal.T1,
			want: client(parts{explain.Gap: 5 * ms, explain.SelfUnknown: 16 * ms}),
		},
		"one call": {
			spans: []signal.Span{handler, spanned(calls, 3, 2, 4*ms, 14*ms)}, tier: signal.T1,
			want: client(parts{explain.Gap: 3 * ms, explain.Downstream: 10 * ms, explain.SelfUnknown: 8 * ms}),
		},
		"calls one by one, one within a span of its own, and the end of one noted late": {
			spans: []signal.Span{
				handler, spanned(calls, 3, 2, 1*ms, 3*ms+90*us), spanned(internal, 4, 2, 3*ms, 10*ms), spanned(calls, 5, 4, 4*ms, 9*ms), spanned(calls, 6, 2, 12*ms, 13*ms),
			},
			tier: signal.T1,
			want: client(parts{explain.Gap: 3 * ms, explain.Downstream: 8 * ms, explain.SelfUnknown: 10 * ms}), // 2 + 5 + 1
		},
		"calls at once: the last to finish": {
			spans: []signal.Span{handler, spanned(calls, 3, 2, 1*ms, 9*ms), spanned(calls, 4, 2, 1*ms, 12*ms), spanned(calls, 5, 2, 500*us, 11*ms)},
			tier:  signal.T1,
			want:  client(parts{explain.Gap: 3 * ms, explain.Downstream: 11 * ms, explain.SelfUnknown: 7 * ms}),
		},
		"children beyond their parent are clipped": {
			spans: []signal.Span{handler, spanned(calls, 3, 2, -2*ms, 2*ms), spanned(calls, 4, 2, 15*ms, 40*ms)}, tier: signal.T1,
			want: client(parts{explain.Gap: 3 * ms, explain.Downstream: 5 * ms, explain.SelfUnknown: 13 * ms}), // 2 + 3
		},
		"who takes from a queue is nobody's wait": {
			spans: []signal.Span{handler, spanned(consumer, 3, 2, 1*ms, 17*ms), spanned(calls, 4, 2, 2*ms, 5*ms)}, tier: signal.T1,
			want: client(parts{explain.Gap: 3 * ms, explain.Downstream: 3 * ms, explain.SelfUnknown: 15 * ms}),
		},
		"a second server span is the service's own, another service's is a call": {
			spans: []signal.Span{
				of("shop", handler), of("shop", spanned(server, 3, 2, 1*ms, 17*ms)), of("stock", spanned(server, 4, 3, 2*ms, 5*ms)),
			},
			tier: signal.T1,
			want: client(parts{explain.Gap: 3 * ms, explain.Downstream: 3 * ms, explain.SelfUnknown: 15 * ms}),
		},
		"parents in a circle": {
			spans: []signal.Span{handler, spanned(internal, 3, 2, 1*ms, 9*ms), spanned(internal, 2, 3, 5*ms, 9*ms), spanned(calls, 4, 3, 2*ms, 4*ms)}, tier: signal.T1,
			want: client(parts{explain.Gap: 3 * ms, explain.Downstream: 2 * ms, explain.SelfUnknown: 16 * ms}),
		},
		"the server begins before the client knows that all is sent": {
			spans: []signal.Span{spanned(server, 2, 1, 0, 21*ms+900*us)}, tier: signal.T1,
			want: client(parts{explain.Send: 100 * us, explain.SelfUnknown: 21*ms + 900*us}),
		},
		"the server goes on for less than 1 ms": {
			spans: []signal.Span{spanned(server, 2, 1, 0, 22*ms+900*us)}, tier: signal.T1,
			want: client(parts{explain.Send: 0, explain.Gap: -900 * us, explain.SelfUnknown: 22*ms + 900*us}),
		},
		"the server goes on for longer": {
			spans: []signal.Span{spanned(server, 2, 1, 0, 23*ms+us), spanned(calls, 3, 2, 1*ms, 9*ms)}, tier: signal.T0, async: true, want: unsplit,
		},
		"a timeline": {
			timeline: timed(as), spans: []signal.Span{spanned(server, 2, 1, 0, 18*ms-30*us)}, tier: signal.T3,
			want: client(parts{
				explain.Gap: 3 * ms, explain.SelfRunning: 5 * ms, explain.SelfRunnable: 1 * ms, explain.SelfSyscall: 500 * us,
				explain.SelfSync: 2 * ms, explain.SelfNetwork: 8 * ms, explain.SelfSleep: 1 * ms, explain.SelfGC: 500 * us,
			}),
		},
		"a timeline without a span": {
			timeline: timed(func(tl *signal.Timeline) { tl.Blocked.Other, tl.Blocked.Sync = tl.Blocked.Sync, 0 }), tier: signal.T3,
			want: client(parts{
				explain.Gap: 3 * ms, explain.SelfRunning: 5 * ms, explain.SelfRunnable: 1 * ms, explain.SelfSyscall: 500 * us,
				explain.SelfOther: 2 * ms, explain.SelfNetwork: 8 * ms, explain.SelfSleep: 1 * ms, explain.SelfGC: 500 * us,
			}),
		},
		"a timeline with the thread's clock": {
			timeline: timed(func(tl *signal.Timeline) { on := int64(2 * ms); tl.OnCPU = &on }), spans: []signal.Span{handler}, tier: signal.T3,
			want: client(parts{
				explain.Gap: 3 * ms, explain.SelfRunning: 2 * ms, explain.SelfDescheduled: 3 * ms, explain.SelfRunnable: 1 * ms, explain.SelfSyscall: 500 * us,
				explain.SelfSync: 2 * ms, explain.SelfNetwork: 8 * ms, explain.SelfSleep: 1 * ms, explain.SelfGC: 500 * us,
			}),
		},
		"a call is the wait at the network, and of it what the handler waited": {
			timeline: timed(func(tl *signal.Timeline) { tl.Blocked.Sync, tl.Running = 0, int64(7*ms) }),
			spans:    []signal.Span{handler, spanned(calls, 3, 2, 4*ms, 14*ms)}, tier: signal.T3,
			want: client(parts{
				explain.Gap: 3 * ms, explain.Downstream: 8 * ms, explain.SelfRunning: 7 * ms, explain.SelfRunnable: 1 * ms, explain.SelfSyscall: 500 * us,
				explain.SelfSleep: 1 * ms, explain.SelfGC: 500 * us,
			}),
		},
		"calls of goroutines that the handler waits for": {
			timeline: timed(func(tl *signal.Timeline) { tl.Blocked.Sync, tl.Blocked.Network = int64(8*ms), int64(2*ms) }),
			spans:    []signal.Span{handler, spanned(calls, 3, 2, 4*ms, 9*ms)}, tier: signal.T3,
			want: client(parts{
				explain.Gap: 3 * ms, explain.Downstream: 5 * ms, explain.SelfRunning: 5 * ms, explain.SelfRunnable: 1 * ms, explain.SelfSyscall: 500 * us,
				explain.SelfSync: 5 * ms, explain.SelfSleep: 1 * ms, explain.SelfGC: 500 * us,
			}),
		},
		"a timeline that is cut is none": {
			timeline: timed(func(tl *signal.Timeline) { tl.Cut = true }), spans: []signal.Span{handler}, tier: signal.T1,
			want: client(parts{explain.Gap: 3 * ms, explain.SelfUnknown: 18 * ms}),
		},
		"a handler that goes on": {
			timeline: timed(func(tl *signal.Timeline) { tl.Total, tl.Running = int64(30*ms), int64(17*ms) }), tier: signal.T0, async: true, want: unsplit,
		},
		"T2 looks at no timeline": {
			timeline: timed(as), spans: []signal.Span{handler}, most: signal.T2, tier: signal.T1,
			want: client(parts{explain.Gap: 3 * ms, explain.SelfUnknown: 18 * ms}),
		},
		"T0 looks at nothing": {
			change:   func(x *loadgen.Exchange) { x.ServerDur = 16 * ms },
			timeline: timed(as), spans: []signal.Span{handler}, most: signal.T0, tier: signal.T0, want: unsplit,
		},
	} {
		t.Run(name, func(t *testing.T) {
			x := exchanged()
			if c.change != nil {
				c.change(x)
			}
			if c.most == "" {
				c.most = signal.T3
			}
			b := decomposed(x, c.spans, c.timeline, c.most)
			if want := wanted(c.want); b.Parts != want {
				for _, k := range explain.Components() {
					if b.Parts[k] != want[k] {
						t.Errorf("%s is %s, want %s", k, b.Parts[k], want[k])
					}
				}
			}
			if b.Parts.Sum() != 29*ms || b.Exchange != x || b.Tier != c.tier || b.Async != c.async || (b.Timeline != nil) != (c.tier == signal.T3) {
				t.Errorf("adds up to %s of 29 ms, tier %s, async %v, timeline %v", b.Parts.Sum(), b.Tier, b.Async, b.Timeline)
			}
		})
	}
}

// A breakdown names the calls, in the order of time.
func TestCallsAreNamed(t *testing.T) {
	b := decomposed(exchanged(), []signal.Span{
		spanned(signal.KindClient, 5, 2, 12*ms, 13*ms), spanned(signal.KindServer, 2, 1, 0, 18*ms),
		spanned(signal.KindProducer, 3, 2, 1*ms, 3*ms), spanned(signal.KindClient, 4, 2, 5*ms, 11*ms),
	}, nil, signal.T1)
	var ids []byte
	var times []time.Duration
	for _, c := range b.Calls {
		ids, times = append(ids, c.Span.SpanID[0]), append(times, c.Time)
	}
	if !slices.Equal(ids, []byte{3, 4, 5}) || !slices.Equal(times, []time.Duration{2 * ms, 6 * ms, 1 * ms}) {
		t.Errorf("spans %v, %v", ids, times)
	}
}

// An exchange gets the timeline of its own server span.
func TestTimelinesAreTold(t *testing.T) {
	of := func(trace, span byte, total time.Duration) signal.Timeline {
		tl := signal.Timeline{Total: int64(total), Running: int64(total)}
		tl.TraceID[0], tl.SpanID[0] = trace, span
		return tl
	}
	cut := of(1, 0, 4*ms)
	cut.Cut = true
	again := *exchanged()
	again.SpanID[0] = 9
	server := spanned(signal.KindServer, 2, 1, 0, 18*ms)
	for name, c := range map[string]struct {
		exchanges []loadgen.Exchange
		spans     []signal.Span
		timelines []signal.Timeline
		running   time.Duration // of the first
	}{
		"by the span":                           {[]loadgen.Exchange{*exchanged()}, []signal.Span{server}, []signal.Timeline{of(1, 7, 3*ms), of(1, 2, 5*ms), of(2, 2, 4*ms)}, 5 * ms},
		"another span's":                        {[]loadgen.Exchange{*exchanged()}, []signal.Span{server}, []signal.Timeline{of(1, 7, 3*ms)}, 0},
		"without a span, the only one":          {[]loadgen.Exchange{*exchanged()}, nil, []signal.Timeline{of(1, 7, 3*ms), of(2, 7, 4*ms)}, 3 * ms},
		"without a span, one of two":            {[]loadgen.Exchange{*exchanged()}, nil, []signal.Timeline{of(1, 7, 3*ms), of(1, 8, 4*ms)}, 0},
		"without a span, of two exchanges":      {[]loadgen.Exchange{*exchanged(), again}, nil, []signal.Timeline{of(1, 7, 3*ms)}, 0},
		"of two exchanges, by the span":         {[]loadgen.Exchange{*exchanged(), again}, []signal.Span{server}, []signal.Timeline{of(1, 2, 3*ms)}, 3 * ms},
		"a timeline that knows no span":         {[]loadgen.Exchange{*exchanged()}, []signal.Span{server}, []signal.Timeline{of(1, 0, 3*ms)}, 3 * ms},
		"one that is cut beside it":             {[]loadgen.Exchange{*exchanged()}, nil, []signal.Timeline{cut, of(1, 7, 3*ms)}, 3 * ms},
		"an exchange without a trace gets none": {[]loadgen.Exchange{{Timings: loadgen.Timings{Wait: 9 * ms}, Done: 9 * ms}}, nil, []signal.Timeline{of(0, 0, 3*ms)}, 0},
	} {
		all := explain.DecomposeAll(c.exchanges, c.spans, c.timelines, signal.T3)
		if len(all) != len(c.exchanges) || all[0].Exchange != &c.exchanges[0] || all[0].Parts[explain.SelfRunning] != c.running {
			t.Errorf("%s: %+v", name, all[0])
		}
	}
}

// drawn makes an exchange as the generator makes them, with spans and a
// timeline that need not fit it.
func drawn(t *rapid.T) (*loadgen.Exchange, []signal.Span, *signal.Timeline) {
	length := rapid.OneOf(rapid.Int64Range(0, 100), rapid.Int64Range(0, int64(20*ms)), rapid.Int64Range(0, int64(time.Hour)))
	draw := func(label string) time.Duration { return time.Duration(length.Draw(t, label)) }
	x := exchanged()
	x.Timings = loadgen.Timings{
		Blocked: draw("blocked"), DNS: draw("dns"), Connect: draw("connect"), SSL: draw("ssl"), Send: draw("send"), Wait: draw("wait"), Receive: draw("receive"),
	}
	x.Sent = x.Intended + draw("lag")
	x.Done = x.Sent + x.Timings.Sum()
	x.ServerDur = rapid.SampledFrom([]time.Duration{0, x.Timings.Wait}).Draw(t, "server timing")

	around := rapid.Int64Range(int64(-5*ms), int64(x.Timings.Wait+2*ms))
	spans := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) signal.Span {
		from := around.Draw(t, "from")
		return spanned(signal.SpanKind(rapid.IntRange(0, 6).Draw(t, "kind")), byte(rapid.IntRange(2, 12).Draw(t, "id")), byte(rapid.IntRange(0, 12).Draw(t, "parent")),
			time.Duration(from), time.Duration(around.Draw(t, "to")))
	}), 0, 12).Draw(t, "spans")
	if rapid.Bool().Draw(t, "has server span") {
		spans = append(spans, spanned(signal.KindServer, 2, 1, 0, time.Duration(rapid.Int64Range(0, int64(x.Timings.Wait)).Draw(t, "server"))))
	}
	if rapid.Bool().Draw(t, "no timeline") {
		return x, spans, nil
	}
	share := rapid.Int64Range(0, int64(x.Timings.Wait)/8)
	tl := &signal.Timeline{
		Running: share.Draw(t, "running"), Runnable: share.Draw(t, "runnable"), Syscall: share.Draw(t, "syscall"), Cut: rapid.IntRange(0, 9).Draw(t, "cut") == 0,
	}
	for _, reason := range signal.BlockReasons()[:rapid.IntRange(0, 8).Draw(t, "reasons")] {
		tl.Blocked.Add(reason, share.Draw(t, string(reason)))
	}
	tl.Total = tl.States()
	if rapid.Bool().Draw(t, "clocked") {
		on := share.Draw(t, "on CPU")
		tl.OnCPU = &on
	}
	return x, spans, tl
}

// Whatever was recorded, the components of every exchange add up to its
// response: within 1 us is asked for, and to the nanosecond it is. None is
// negative but the gap, which is so by 1 ms at most; and whoever looks at less
// sees nothing that is beyond what he looks at.
func TestComponentsAddUpToTheResponse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x, spans, tl := drawn(t)
		before := signal.T0
		for _, most := range []signal.Tier{signal.T0, signal.T1, signal.T2, signal.T3} {
			b := decomposed(x, spans, tl, most)
			if sum := b.Parts.Sum(); sum != x.Response() {
				t.Fatalf("%s: adds up to %d of %d ns: %v", most, sum, x.Response(), b.Parts)
			}
			if b.Tier > most {
				t.Fatalf("%s rests on %s", most, b.Tier)
			}
			for _, c := range explain.Components() {
				d := b.Parts[c]
				if d < 0 && (c != explain.Gap || d < -ms) || d != 0 && c.Tier() > b.Tier {
					t.Fatalf("%s, %s: %s is %d: %v", most, b.Tier, c, d, b.Parts)
				}
			}
			var called time.Duration
			for _, c := range b.Calls {
				called += c.Time
				if c.Time <= 0 || int64(c.Time) > c.Span.Duration() {
					t.Fatalf("a call of %d took %d on the path", c.Span.Duration(), c.Time)
				}
			}
			if called < b.Parts[explain.Downstream] || b.Tier == signal.T1 && called != b.Parts[explain.Downstream] || b.Span != nil && int64(called) > b.Span.Duration() {
				t.Fatalf("calls add up to %d, downstream is %d", called, b.Parts[explain.Downstream])
			}
			split := b.Tier > signal.T0
			early := x.Timings.Send - b.Parts[explain.Send]
			if got, want := b.Parts[explain.Wait]+b.Parts[explain.Receive]+b.Parts[explain.Gap]+b.Parts.Server()-early, x.Timings.Wait+x.Timings.Receive; got != want ||
				split && b.Parts[explain.Wait]+b.Parts[explain.Receive] != 0 || split && b.Async {
				t.Fatalf("wait and receive are %d of %d", got, want)
			}
			if early < 0 || early > 0 && b.Parts[explain.Gap] > 0 {
				t.Fatalf("%d of the sending are the server's, and the gap is %d", early, b.Parts[explain.Gap])
			}
			if b.Tier < before && !b.Async {
				t.Fatalf("%s tells less than a lower one: %s after %s", most, b.Tier, before)
			}
			before = b.Tier
		}
	})
}

// Also what no generator makes, times that run backwards and parents in
// circles, is taken apart without a loss and without an end.
func TestAnythingAddsUpToItsResponse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := anything(t)
		timelines := make([]signal.Timeline, len(in.Exchanges))
		for i := range in.Exchanges {
			timelines[i] = signal.Timeline{
				TraceID: in.Exchanges[i].TraceID, Total: int64(moment(t, "total")), Running: int64(moment(t, "running")),
				Blocked: signal.Blocked{Network: int64(moment(t, "network")), Sleep: int64(moment(t, "sleep"))},
			}
		}
		for i, b := range explain.DecomposeAll(in.Exchanges, in.Spans, timelines, signal.T3) {
			if x := &in.Exchanges[i]; b.Exchange != x || b.Parts.Sum() != x.Response() {
				t.Fatalf("exchange %d: adds up to %d of %d", i, b.Parts.Sum(), x.Response())
			}
		}
	})
}

// Calls one after the other are all on the critical path, in whatever order
// their spans arrive, and whatever runs beside one of them is not.
func TestCriticalPathOfCallsInARow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at, want, id := int64(0), time.Duration(0), byte(3)
		spans := []signal.Span{}
		for range rapid.IntRange(0, 8).Draw(t, "calls") {
			from := at + rapid.Int64Range(1, int64(ms)).Draw(t, "pause")
			at = from + rapid.Int64Range(int64(ms), int64(5*ms)).Draw(t, "call")
			spans = append(spans, spanned(signal.KindClient, id, 2, time.Duration(from), time.Duration(at)))
			want += time.Duration(at - from)
			if rapid.Bool().Draw(t, "beside") {
				spans = append(spans, spanned(signal.KindClient, id+100, 2, time.Duration(from), time.Duration(at-int64(500*us))))
			}
			id++
		}
		spans = append(spans, spanned(signal.KindServer, 2, 1, 0, time.Duration(at)+ms))
		rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "order"), 1)).Shuffle(len(spans), func(i, j int) { spans[i], spans[j] = spans[j], spans[i] })
		x := exchanged()
		x.Timings.Wait = time.Duration(at) + 2*ms
		if b := decomposed(x, spans, nil, signal.T1); b.Parts[explain.Downstream] != want {
			t.Fatalf("%d downstream, want %d", b.Parts[explain.Downstream], want)
		}
	})
}

// Ids are stable: findings and those who read them carry them.
func TestComponentsHaveTheirIDs(t *testing.T) {
	want := []string{
		"lag", "blocked", "dns", "connect", "ssl", "send", "wait", "receive", "gap", "downstream", "self.running", "self.descheduled",
		"self.runnable", "self.syscall", "self.sync", "self.cond", "self.chan", "self.select", "self.network", "self.sleep", "self.gc", "self.other", "self.unknown",
	}
	got := []string{}
	for _, c := range explain.Components() {
		got = append(got, c.String())
	}
	if !slices.Equal(got, want) || explain.Component(200).String() != "unknown component" {
		t.Errorf("%v", got)
	}
}
