package bench

import (
	"bytes"
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	coltrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	otlptrace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/telemetry/signal"
)

// What a received span costs in CPU, from the wire through the store to the
// archive: batches of 512 spans of 12 attributes over HTTP, as SDKs send them,
// of exchanges that are kept. At 10,000 spans/s, 10 us are a tenth of a core.
func BenchmarkReceivedSpans(b *testing.B) {
	s, err := Listen(ListenOptions{Private: true})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close(context.Background())
	defer http.DefaultClient.CloseIdleConnections()
	const batch = 512
	var used time.Duration
	var trace signal.TraceID
	spans := uint64(0)
	for n := 0; b.Loop(); n++ {
		if n%200 == 0 { // before the store is full
			ids, _, _ := attached(b, s, time.Second)
			trace = made(b, ids, 1)[0]
			s.keep([]loadgen.Exchange{{TraceID: trace}})
		}
		body := spanBatch(b, trace, &spans, batch)
		before := cpuTime(b)
		res, err := http.Post(s.OTLP+"/v1/traces", "application/x-protobuf", bytes.NewReader(body))
		if err != nil {
			b.Fatal(err)
		}
		_ = res.Body.Close()
		used += cpuTime(b) - before
	}
	if dropped := here(s).dropped(); len(dropped) != 0 {
		b.Errorf("dropped %v", dropped)
	}
	b.ReportMetric(float64(used.Microseconds())/float64(spans), "cpu-us/span")
}

var minute = flag.Bool("minute", false, "receive 10,000 spans/s for a minute, and hold what that costs to its bounds")

// 10,000 spans a second are received, kept and archived: none is lost. What it
// costs is held to its bounds only over a whole minute, on a machine that has
// nothing else to do.
func TestTenThousandSpansASecond(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	const (
		maxCPU    = 0.4       // cores, the posting client's part included
		maxMemory = 150 << 10 // KiB, the whole process
		batch     = 500
	)
	ticks := 2 * 20
	if *minute {
		ticks = 60 * 20
	}
	s, err := Listen(ListenOptions{Private: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(context.Background())
	defer http.DefaultClient.CloseIdleConnections()
	ids, _, _ := attached(t, s, 30*time.Second)
	trace := made(t, ids, 1)[0]
	s.keep([]loadgen.Exchange{{TraceID: trace}})
	spans, making := uint64(0), time.Duration(0)
	began, before := time.Now(), cpuTime(t)
	for i := range ticks {
		time.Sleep(time.Until(began.Add(time.Duration(i) * time.Second / 20)))
		start := cpuTime(t)
		body := spanBatch(t, trace, &spans, batch)
		making += cpuTime(t) - start
		res, err := http.Post(s.OTLP+"/v1/traces", "application/x-protobuf", bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
	}
	cpu := (cpuTime(t) - before - making).Seconds() / time.Since(began).Seconds()
	if c := here(s).store.Counts(); c.Spans != int64(spans) || len(here(s).dropped()) != 0 {
		t.Errorf("%d spans sent, %d kept, dropped %v", spans, c.Spans, here(s).dropped())
	}
	memory := peakMemory(t)
	t.Logf("%d spans, %.0f %% of a core, at most %d MiB", spans, 100*cpu, memory>>10)
	if *minute && (cpu > maxCPU || memory > maxMemory) {
		t.Errorf("bounds are %g cores and %d MiB", maxCPU, maxMemory>>10)
	}
}

// peakMemory is the most memory that this process has had, in KiB.
func peakMemory(t *testing.T) int {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	kib, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		t.Fatal(err)
	}
	return kib
}

func spanBatch(b testing.TB, trace signal.TraceID, id *uint64, n int) []byte {
	b.Helper()
	spans := make([]*otlptrace.Span, n)
	for i := range spans {
		*id++
		spans[i] = &otlptrace.Span{
			TraceId: trace[:], SpanId: binary.BigEndian.AppendUint64(nil, *id), Name: "GET /profile", Kind: 2,
			StartTimeUnixNano: 1, EndTimeUnixNano: 2, Attributes: dozen(),
		}
	}
	body, err := proto.Marshal(&coltrace.ExportTraceServiceRequest{ResourceSpans: []*otlptrace.ResourceSpans{
		{ScopeSpans: []*otlptrace.ScopeSpans{{Spans: spans}}},
	}})
	if err != nil {
		b.Fatal(err)
	}
	return body
}

// cpuTime is what this process has used.
func cpuTime(b testing.TB) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// A receiver apart gives way to what is measured, with every thread.
func TestAReceiverApartGivesWay(t *testing.T) {
	s, err := Listen(ListenOptions{Executable: os.Args[0], Private: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(context.Background())
	own, err := syscall.Getpriority(syscall.PRIO_PROCESS, 0)
	if err != nil {
		t.Fatal(err)
	}
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", officeOf(s).cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, thread := range threads {
		id, err := strconv.Atoi(thread.Name())
		if err != nil {
			t.Fatal(err)
		}
		// The system call counts from 20 down.
		if got, err := syscall.Getpriority(syscall.PRIO_PROCESS, id); err == nil && got != 20-receiverNice {
			t.Errorf("thread %d of %d has niceness %d; ours %d", id, len(threads), 20-got, 20-own)
		}
	}
	if len(threads) < 2 {
		t.Errorf("%d threads", len(threads))
	}
}
