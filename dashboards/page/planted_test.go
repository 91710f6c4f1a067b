package page_test

import (
	"bytes"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/pprof/profile"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/telemetry/explain"
	"github.com/taillight-load/taillight/telemetry/signal"
)

// heldAt is the line that planted requests wait at.
const heldAt = "code:/src/shop/stock/shelf.go:42"

// hold makes one request in fifty of the first step wait for a lock.
func (m *maker) hold(x *loadgen.Exchange) {
	if x.Step == 0 && x.OK() && m.r.IntN(50) == 0 {
		d := time.Duration(36+m.r.IntN(9)) * time.Millisecond
		x.Timings.Wait += d
		m.held[x.N] = d
	}
}

// recorded makes the timeline of an exchange whose server span was made.
func (m *maker) recorded(x *loadgen.Exchange, server *signal.Span) {
	if x.Step != 0 {
		return
	}
	held, total := m.held[x.N], server.Duration()
	tl := signal.Timeline{
		TraceID: x.TraceID, SpanID: server.SpanID, Start: int64(x.Sent), Total: total, Running: 3_100_000, Runnable: 140_000, Syscall: 60_000, GCAssist: 22_000, STW: 4_000,
		Samples: []signal.StackCount{{Count: 1, Stack: []signal.Call{
			{Func: "crypto/internal/fips140/sha256.blockSHANI", File: "/go/src/crypto/internal/fips140/sha256/sha256block_amd64.s", Line: 210},
			{Func: "example.com/shop/stock.hash", File: "/src/shop/stock/hash.go", Line: 31},
			{Func: "example.com/shop/web.Serve", File: "/src/shop/web/web.go", Line: 18},
		}}},
	}
	if held > 0 {
		tl.Blocked.Sync = int64(held)
		tl.Blocks = append(tl.Blocks, signal.Block{Reason: signal.BlockSync, Time: int64(held), Count: 1, Stack: []signal.Call{
			{Func: "sync.(*Mutex).Lock", File: "/go/src/sync/mutex.go", Line: 46},
			{Func: "example.com/shop/stock.(*Shelf).Reserve", File: "/src/shop/stock/shelf.go", Line: 42},
			{Func: "example.com/shop/web.Serve", File: "/src/shop/web/web.go", Line: 21},
		}})
	}
	tl.Blocked.Select = total - tl.States()
	tl.Blocks = append(tl.Blocks, signal.Block{Reason: signal.BlockSelect, Time: tl.Blocked.Select, Count: 1, Stack: []signal.Call{
		{Func: "example.com/shop/stock.wait", File: "/src/shop/stock/wait.go", Line: 12}, {Func: "example.com/shop/web.Serve", File: "/src/shop/web/web.go", Line: 25},
	}})
	m.run.Timelines = append(m.run.Timelines, tl)
}

// plant explains the run, with a profile of every second in which hash costs
// dearer times as much after the first phase.
func (m *maker) plant() explain.Output {
	d := &m.run.Document
	d.Signals.Tier, d.Signals.Capabilities.Timelines, d.Signals.Timelines = signal.T3, true, len(m.run.Timelines)
	m.run.Profiles = nil
	for sec := range m.seconds {
		answered := float64(0)
		for step := range d.Plan.Steps() {
			if c := m.counts[[2]int{sec, step}]; c != nil {
				answered += float64(c.Completed + c.Failed)
			}
		}
		hash := 0.2
		if m.phase(sec) == 1 {
			hash *= max(m.dearer, 1)
		}
		start := began().Add(time.Duration(sec) * time.Second).UnixNano()
		m.run.Profiles = append(m.run.Profiles, signal.Profile{Service: "taillight-target", Type: "cpu", Start: start, End: start + 1e9, Data: secondProfile(map[string]float64{
			"example.com/shop/web.Serve example.com/shop/stock.hash": answered * hash * (1 + .05*m.r.NormFloat64()), "example.com/shop/web.Serve example.com/shop/stock.encode encoding/json.Marshal": answered * .1 * (1 + .05*m.r.NormFloat64()),
			"example.com/shop/web.Serve example.com/shop/stock.sort": answered * .08 * (1 + .05*m.r.NormFloat64()), "runtime.gcBgMarkWorker runtime.gcDrain": answered * .02,
		})})
	}
	in := explain.Input{
		Result: m.result(), Validity: d.Validity, Seconds: m.loadSeconds(), Exchanges: m.run.Exchanges, Spans: m.run.Spans, Profiles: m.run.Profiles,
		Timelines: m.run.Timelines, Series: m.run.Series, Machine: explain.Machine{Cores: 2, GeneratorProcs: 1, TargetProcs: 1, Bundled: true},
	}
	out := explain.Explain(in)
	d.Findings, d.Silent = out.Findings, out.Silent
	return out
}

// result is the run as the generator would return it.
func (m *maker) result() *loadgen.Result {
	r := &loadgen.Result{Plan: m.run.Plan, Began: began(), Elapsed: time.Duration(m.seconds) * time.Second}
	for i := range m.run.Phases {
		p := &m.run.Phases[i]
		r.Phases = append(r.Phases, loadgen.PhaseResult{Start: time.Duration(p.Start * 1e9), End: time.Duration(p.End * 1e9), UsersMax: p.UsersMax, InFlightMax: p.InFlightMax})
		for step, name := range m.run.Plan.Steps() {
			s := loadgen.Series{Phase: i, Step: step}
			for k, c := range m.counts {
				if m.phase(k[0]) == i && k[1] == step {
					s.Counts.Add(*c)
				}
			}
			if t := m.totals[cellKey{-1, p.Name, name, "response"}]; t != nil {
				s.Response, s.OK, s.Service = *t, *t, *t
			}
			r.Series = append(r.Series, s)
		}
	}
	return r
}

func (m *maker) loadSeconds() []loadgen.Second {
	var out []loadgen.Second
	for sec := range m.seconds {
		s := loadgen.Second{Index: sec, Start: time.Duration(sec) * time.Second, End: time.Duration(sec+1) * time.Second, Phase: m.phase(sec), Users: m.run.Seconds[sec].Users}
		for step := range m.run.Plan.Steps() {
			if c := m.counts[[2]int{sec, step}]; c != nil {
				s.Series = append(s.Series, loadgen.Series{Phase: s.Phase, Step: step, Counts: *c})
			}
		}
		out = append(out, s)
	}
	return out
}

// secondProfile is the CPU profile of a second: samples by call path.
func secondProfile(stacks map[string]float64) []byte {
	p := &profile.Profile{SampleType: []*profile.ValueType{{Type: "samples", Unit: "count"}, {Type: "cpu", Unit: "nanoseconds"}}, PeriodType: &profile.ValueType{Type: "cpu", Unit: "nanoseconds"}, Period: 1e7, DurationNanos: 1e9}
	known := map[string]*profile.Location{}
	for _, path := range slices.Sorted(maps.Keys(stacks)) {
		n := stacks[path]
		s := &profile.Sample{Value: []int64{int64(n), int64(n) * 1e7}}
		for name := range strings.FieldsSeq(path) {
			if known[name] == nil {
				id := uint64(len(known) + 1)
				f := &profile.Function{ID: id, Name: name, Filename: "/src/shop/" + "work/work.go", StartLine: int64(len(name))}
				known[name] = &profile.Location{ID: id, Line: []profile.Line{{Function: f, Line: f.StartLine}}}
				p.Function, p.Location = append(p.Function, f), append(p.Location, known[name])
			}
			s.Location = append([]*profile.Location{known[name]}, s.Location...)
		}
		p.Sample = append(p.Sample, s)
	}
	var b bytes.Buffer
	if err := p.Write(&b); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// cpuProfile makes a gzipped CPU profile like the bundled target's.
func cpuProfile(seconds int) []byte {
	const target = "github.com/taillight-load/taillight/services/target"
	serve := []string{
		"net/http.(*conn).serve", "net/http.serverHandler.ServeHTTP", "github.com/gin-gonic/gin.(*Engine).ServeHTTP", "github.com/gin-gonic/gin.(*Engine).handleHTTPRequest", "github.com/gin-gonic/gin.(*Context).Next",
		"go.opentelemetry.io/contrib/instrumentation/github.com/gin-gonic/gin/otelgin.Middleware.func1", "github.com/gin-gonic/gin.(*Context).Next", target + ".(*service).profile", target + ".heavyProfile",
	}
	with := func(more ...string) []string { return append(slices.Clone(serve), more...) }
	stacks := []struct {
		frames []string
		weight int64
	}{
		{with(target+".hashBlocks", "crypto/sha256.Sum256", "crypto/internal/fips140/sha256.(*Digest).Write", "crypto/internal/fips140/sha256.blockSHANI"), 330},
		{with(target + ".hashBlocks"), 31},
		{with(target+".sortNumbers", "slices.SortFunc[...]", "slices.pdqsortCmpFunc[...]"), 150},
		{with(target+".sortNumbers", "slices.SortFunc[...]", "slices.pdqsortCmpFunc[...]", "slices.insertionSortCmpFunc[...]"), 79},
		{with(target+".encodeDocument", "encoding/json.Marshal", "encoding/json.(*encodeState).marshal", "encoding/json.structEncoder.encode"), 90},
		{with(target+".encodeDocument", "encoding/json.Marshal", "encoding/json.(*encodeState).marshal", "encoding/json.stringEncoder"), 48},
		{with(target+".encodeDocument", "encoding/json.Marshal", "runtime.makeslice", "runtime.mallocgc"), 20},
		{with(target+".allocateBuffers", "runtime.makeslice", "runtime.mallocgc", "runtime.memclrNoHeapPointersChunked"), 66},
		{with(target+".allocateBuffers", "runtime.makeslice", "runtime.mallocgc", "runtime.gcAssistAlloc"), 22},
		{[]string{"net/http.(*conn).serve", "net/http.(*conn).readRequest", "net/http.readRequest", "net/textproto.(*Reader).ReadMIMEHeader"}, 14},
		{[]string{"net/http.(*conn).serve", "net/http.(*response).finishRequest", "bufio.(*Writer).Flush", "net.(*conn).Write", "internal/poll.(*FD).Write", "syscall.write", "internal/runtime/syscall.Syscall6"}, 41},
		{[]string{"runtime.gcBgMarkWorker", "runtime.systemstack", "runtime.gcBgMarkWorker.func2", "runtime.gcDrain", "runtime.scanObject"}, 52},
		{[]string{"runtime.mcall", "runtime.park_m", "runtime.schedule", "runtime.findRunnable", "runtime.netpoll", "internal/runtime/syscall.EpollWait"}, 36},
		{[]string{"go.opentelemetry.io/otel/sdk/trace.(*batchSpanProcessor).processQueue", "go.opentelemetry.io/otel/sdk/trace.(*batchSpanProcessor).exportSpans", "google.golang.org/protobuf/proto.Marshal"}, 21},
	}
	p := &profile.Profile{SampleType: []*profile.ValueType{{Type: "samples", Unit: "count"}, {Type: "cpu", Unit: "nanoseconds"}}, PeriodType: &profile.ValueType{Type: "cpu", Unit: "nanoseconds"}, Period: 1e7, DurationNanos: int64(seconds) * 1e9}
	functions := map[string]*profile.Location{}
	for _, s := range stacks {
		n := s.weight * int64(seconds) / 14
		sample := &profile.Sample{Value: []int64{n, n * 1e7}}
		for _, name := range s.frames {
			if functions[name] == nil {
				id := uint64(len(functions) + 1)
				f := &profile.Function{ID: id, Name: name, Filename: "/build/go/src/" + "pkg/file.go", StartLine: int64(10 * id)}
				functions[name] = &profile.Location{ID: id, Line: []profile.Line{{Function: f, Line: f.StartLine}}}
				p.Function, p.Location = append(p.Function, f), append(p.Location, functions[name])
			}
			sample.Location = append([]*profile.Location{functions[name]}, sample.Location...)
		}
		p.Sample = append(p.Sample, sample)
	}
	var b bytes.Buffer
	if err := p.Write(&b); err != nil {
		panic(err)
	}
	return b.Bytes()
}
