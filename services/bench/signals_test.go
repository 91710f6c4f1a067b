package bench

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/loadgen/busytest"
	"github.com/taillight-load/taillight/telemetry/archive"
	"github.com/taillight-load/taillight/telemetry/signal"
)

// service is a service under test that sends a server span of every request,
// and as it is told more: spans twice, spans of other callers.
type service struct {
	t        testing.TB
	endpoint atomic.Pointer[string] // of OTLP; nil until the run says
	n        atomic.Uint64
	sending  sync.WaitGroup
	requests atomic.Int64
}

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	fmt.Fprintln(w, "ok")
	part := strings.Split(r.Header.Get("traceparent"), "-")
	endpoint := s.endpoint.Load()
	if len(part) != 4 || part[3] != "01" || endpoint == nil {
		return
	}
	n := s.requests.Add(1)
	own := s.span(part[1], part[2])
	bodies := []string{own}
	if n%2 == 0 {
		bodies = append(bodies, own) // a client that lost the answer sends again
	}
	if n%5 == 0 {
		bodies = append(bodies, s.span(fmt.Sprintf("%032x", n), "")) // somebody else's
	}
	s.sending.Go(func() {
		for _, body := range bodies {
			res, err := http.Post(*endpoint+"/v1/traces", "application/json", strings.NewReader(body))
			if err != nil {
				s.t.Error(err)
				return
			}
			_ = res.Body.Close()
		}
	})
}

func (s *service) span(trace, parent string) string {
	id := binary.BigEndian.AppendUint64(nil, s.n.Add(1))
	return fmt.Sprintf(`{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"shop"}}]},
	  "scopeSpans":[{"spans":[{"traceId":%q,"spanId":"%x","parentSpanId":%q,"name":"GET /","kind":2,
	  "startTimeUnixNano":"1","endTimeUnixNano":"1000001"}]}]}]}`, trace, id, parent)
}

// sentBefore holds a run back at a stage until all that the service sends has
// been taken, then tells next.
func (s *service) sentBefore(stage string, next func(string)) func(string) {
	return func(what string) {
		if strings.HasPrefix(what, stage) {
			s.sending.Wait()
		}
		if next != nil {
			next(what)
		}
	}
}

func newService(t testing.TB) (*service, string) {
	t.Helper()
	s := &service{t: t}
	server := httptest.NewServer(s)
	t.Cleanup(func() {
		server.Close()
		http.DefaultClient.CloseIdleConnections()
	})
	return s, server.URL
}

func freeAddr(t testing.TB) string {
	t.Helper()
	// Below the ports that the kernel gives to connections: one of those may be
	// somebody's before it is listened on.
	for range 1000 {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 20000+rand.IntN(10000)))
		if err != nil {
			continue
		}
		defer l.Close()
		return l.Addr().String()
	}
	t.Fatal("no port is free")
	return ""
}

// rate is arrivals per second.
func rate(r float64) loadgen.Load { return loadgen.Load{Rate: &loadgen.Ramp{From: r, To: r}} }

// A whole run against a service: the archive holds each span of the run once
// and nothing else, and what was dropped is counted by reason.
func TestARunKeepsItsOwnSpansOnce(t *testing.T) {
	for _, where := range inboxes() {
		t.Run(where.name, func(t *testing.T) { keepsItsOwnSpansOnce(t, where.executable) })
	}
}

// inboxes are where telemetry can be received: what is kept and counted must
// be the same.
func inboxes() []struct{ name, executable string } {
	return []struct{ name, executable string }{{"here", ""}, {"apart", os.Args[0]}}
}

func keepsItsOwnSpansOnce(t *testing.T, executable string) {
	svc, url := newService(t)
	var lines, points atomic.Int64
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		lines.Add(1)
		if lines.Load()%2 == 0 {
			points.Add(1)
			w.WriteHeader(http.StatusBadRequest)
		}
	}))
	defer collector.Close()
	out, err := Run(t.Context(), Config{
		Plan: loadgen.Plan{
			Name: "t", Target: url, TraceShare: 1,
			Phases:   []loadgen.Phase{{Name: "only", For: 2 * time.Second, Load: rate(50)}},
			Journeys: []loadgen.Journey{{Name: "j", Steps: []loadgen.Step{{Name: "s", Method: "GET", Path: "/"}}}},
		},
		Dir: filepath.Join(t.TempDir(), "run"), ID: "r",
		OTLP: freeAddr(t), GRPC: freeAddr(t), Profiles: freeAddr(t),
		ForwardOTLP: collector.URL, Receiver: executable, OnStage: svc.sentBefore("waiting for the spans", nil),
		OnStart: func(s Started) { svc.endpoint.Store(&s.OTLP) },
	})
	svc.sending.Wait()
	if err != nil {
		t.Fatal(err)
	}
	run := out.Run
	sent := svc.requests.Load()
	seen := map[string]int{}
	for i := range run.Spans {
		seen[run.Spans[i].TraceID.String()+run.Spans[i].SpanID.String()]++
	}
	if sent == 0 || int64(len(run.Spans)) != sent || len(seen) != len(run.Spans) {
		t.Errorf("%d requests, %d spans archived, %d of them different", sent, len(run.Spans), len(seen))
	}
	want := map[string]int64{"duplicate": sent / 2, "unknown_trace": sent / 5}
	if !maps.Equal(run.Signals.Spans.Dropped, want) {
		t.Errorf("dropped %v, want %v", run.Signals.Spans.Dropped, want)
	}
	if n := run.Signals.Spans; n.Received != sent+sent/2+sent/5 || n.Kept != sent || n.Joined != sent || run.Signals.Coverage != 1 {
		t.Errorf("signals %+v", run.Signals)
	}
	all, refused := lines.Load(), points.Load()
	x := run.Signals.Forwarded
	if x["forward_spans_sent"] != all-refused || x["forward_spans_lost_refused"] != refused || all != sent+sent/2+sent/5 {
		t.Errorf("%d requests of %d forwarded, %d refused, said %v", all, sent+sent/2+sent/5, refused, x)
	}
}

// The spans of requests that were cut at the end are counted as such: not as
// spans that the run chose not to keep.
func TestSpansOfCutRequestsAreCountedApart(t *testing.T) {
	for _, where := range inboxes() {
		t.Run(where.name, func(t *testing.T) { spansOfCutRequests(t, where.executable) })
	}
}

func spansOfCutRequests(t *testing.T, executable string) {
	svc, _ := newService(t)
	release := make(chan struct{})
	var asked atomic.Int64
	hanging := serviceOf(t, func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1) > 5 { // all may come at once
			svc.ServeHTTP(httptest.NewRecorder(), r) // its span goes out, its answer does not
			<-release
			return
		}
		svc.ServeHTTP(w, r)
	})
	defer close(release)
	cfg := brief(t, hanging, 10)
	cfg.Plan.Drain, cfg.Receiver = 3*time.Second, executable
	cfg.OnStage = svc.sentBefore("waiting for the spans", cfg.OnStage)
	cfg.OnStart = func(s Started) { svc.endpoint.Store(&s.OTLP) }
	out, err := Run(t.Context(), cfg)
	svc.sending.Wait()
	if err != nil {
		t.Fatal(err)
	}
	sent, cut := svc.requests.Load(), out.Run.Totals.InFlightAtEnd
	n := out.Run.Signals.Spans
	if want := map[string]int64{"duplicate": sent / 2, "unknown_trace": sent / 5, "cut": cut}; cut == 0 || !maps.Equal(n.Dropped, want) {
		t.Errorf("dropped %v, want %v", n.Dropped, want)
	}
	if n.Kept != sent-cut || n.Received != sent+sent/2+sent/5 {
		t.Errorf("%d requests, %d cut, spans %+v", sent, cut, n)
	}
}

// What the archive had no room for was received, and not kept.
func TestUnwrittenSpansAreCounted(t *testing.T) {
	store := signal.NewStore(signal.StoreOptions{})
	store.Admit([]signal.Span{{TraceID: signal.TraceID{1}, SpanID: signal.SpanID{1}}, {TraceID: signal.TraceID{1}, SpanID: signal.SpanID{2}}})
	run := &archive.Run{Spans: make([]signal.Span, 2)}
	run.Signals.Spans.Dropped = map[string]int64{"duplicate": 3}
	unwritten(run, store.Counts().Spans)
	if n := signalsOf(run).Spans; n.Received != 5 || n.Kept != 2 || len(n.Dropped) != 1 {
		t.Errorf("all written: %+v", n)
	}
	run.Spans = run.Spans[:1]
	unwritten(run, store.Counts().Spans)
	if n := signalsOf(run).Spans; n.Received != 5 || n.Kept != 1 || n.Dropped[dropUnwritten] != 1 {
		t.Errorf("one lost: %+v", n)
	}
}

// here is the inbox of receivers in this process.
func here(s *Signals) *local { return s.inbox.(*local) }

func attached(t testing.TB, s *Signals, hold time.Duration) (*loadgen.TraceIDs, *archive.Writer, string) {
	t.Helper()
	ids, err := loadgen.NewTraceIDs()
	if err != nil {
		t.Fatal(err)
	}
	plan := loadgen.Plan{
		Target:   "http://127.0.0.1:1",
		Phases:   []loadgen.Phase{{Name: "only", For: time.Second}},
		Journeys: []loadgen.Journey{{Name: "j", Steps: []loadgen.Step{{Name: "s", Method: "GET", Path: "/"}}}},
	}
	dir := filepath.Join(t.TempDir(), "run")
	w, err := archive.Create(dir, archive.Document{Schema: archive.Schema, ID: "r", Plan: plan, Started: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close() })
	if err := s.attach(w, ids, hold); err != nil {
		t.Fatal(err)
	}
	return ids, w, dir
}

// Spans that come after the load and before the receivers close are kept;
// those that come later are counted as late.
func TestLateSpansAreCounted(t *testing.T) {
	s, err := Listen(ListenOptions{Private: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(context.Background())
	ids, w, dir := attached(t, s, time.Second)
	traces := made(t, ids, 3)
	span := func(i int) []signal.Span {
		return []signal.Span{{TraceID: traces[i], SpanID: signal.SpanID{1}, Kind: signal.KindServer}}
	}
	here(s).spans(span(0))
	s.keep([]loadgen.Exchange{{TraceID: traces[0]}, {TraceID: traces[1]}})
	s.settle(nil)
	here(s).spans(span(1)) // in the drain window
	here(s).spans(span(2)) // of an exchange that is not kept
	s.inbox.detach(false)
	here(s).spans(span(1))
	here(s).spans(span(2))
	if want := map[string]int64{"not_kept": 1, dropLate: 2}; !maps.Equal(s.inbox.books().Dropped, want) {
		t.Errorf("dropped %v, want %v", s.inbox.books().Dropped, want)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	run, err := archive.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(run.Spans) != 2 {
		t.Errorf("%d spans archived, want 2", len(run.Spans))
	}

	// The next run begins with a clean sheet.
	attached(t, s, time.Second)
	if got := s.inbox.books().Dropped; len(got) != 0 {
		t.Errorf("the next run begins with %v", got)
	}
}

// made lets ids make n traces, by way of an attack whose requests go nowhere.
func made(t testing.TB, ids *loadgen.TraceIDs, n int) []signal.TraceID {
	t.Helper()
	var out []signal.TraceID
	_, err := loadgen.Attack(t.Context(), loadgen.Plan{
		Name: "t", Target: "http://127.0.0.1:1",
		Phases:   []loadgen.Phase{{Name: "only", For: time.Second, Load: rate(float64(n))}},
		Journeys: []loadgen.Journey{{Name: "j", Steps: []loadgen.Step{{Name: "s", Method: "GET", Path: "/"}}}},
	}, loadgen.Options{IDs: ids, OnSecond: func(s loadgen.Second) {
		for i := range s.Kept {
			out = append(out, s.Kept[i].TraceID)
		}
	}})
	if err != nil || len(out) != n {
		t.Fatalf("%d traces, %v", len(out), err)
	}
	return out
}

func TestForwardingToItselfIsRefused(t *testing.T) {
	for _, where := range inboxes() {
		t.Run(where.name, func(t *testing.T) { forwardingToItself(t, where.executable) })
	}
}

func forwardingToItself(t *testing.T, executable string) {
	addr := freeAddr(t)
	_, err := Listen(ListenOptions{Executable: executable, OTLP: addr, GRPC: freeAddr(t), Profiles: freeAddr(t), ForwardOTLP: "http://" + addr})
	if err == nil || !strings.Contains(err.Error(), "--forward-otlp") {
		t.Errorf("%v", err)
	}
	_, err = Listen(ListenOptions{Executable: executable, OTLP: addr, GRPC: freeAddr(t), Profiles: freeAddr(t), ForwardProfiles: "pyroscope"})
	if err == nil || !strings.Contains(err.Error(), "--forward-profiles") {
		t.Errorf("%v", err)
	}
	// Nothing is left listening.
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
}

// The three ports are open.
func TestReceiversSayWhereTheyAre(t *testing.T) {
	for _, where := range inboxes() {
		t.Run(where.name, func(t *testing.T) { sayWhereTheyAre(t, where.executable) })
	}
}

func sayWhereTheyAre(t *testing.T, executable string) {
	s, err := Listen(ListenOptions{Executable: executable, OTLP: freeAddr(t), Profiles: freeAddr(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(context.Background())
	for _, address := range []string{s.OTLP, s.GRPC, s.Profiles} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(address, "http://"))
		if err != nil {
			t.Errorf("%s: %v", address, err)
			continue
		}
		_ = conn.Close()
	}
	if got := s.inbox.books().Dropped; len(got) != 0 {
		t.Errorf("dropped %v before anything came", got)
	}
}

// Closing takes nothing new, finishes the request under way, and passes on
// what was received before it returns.
func TestCloseFinishesAndFlushes(t *testing.T) {
	got := make(chan string, 1)
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got <- string(body)
	}))
	defer collector.Close()
	s, err := Listen(ListenOptions{Private: true, ForwardOTLP: collector.URL})
	if err != nil {
		t.Fatal(err)
	}
	attached(t, s, time.Second)
	reading, feed := io.Pipe()
	var under sync.WaitGroup
	began := make(chan struct{})
	under.Go(func() {
		req, err := http.NewRequest(http.MethodPost, s.OTLP+"/v1/logs", reading)
		if err != nil {
			t.Error(err)
			return
		}
		req.Header.Set("Content-Type", "application/json")
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Error(err)
			return
		}
		_ = res.Body.Close()
		if res.StatusCode != http.StatusOK {
			t.Errorf("the request under way is answered %d", res.StatusCode)
		}
	})
	const body = `{"resourceLogs":[{"scopeLogs":[{"logRecords":[{}]}]}]}`
	under.Go(func() {
		_, _ = io.WriteString(feed, body[:10]) // returns once it is being read
		close(began)
	})
	<-began
	busytest.Await(t, "a request", func() bool { return here(s).receiver.Stats().Requests > 0 })
	under.Go(func() { s.Close(context.Background()) })
	for {
		conn, err := net.Dial("tcp", strings.TrimPrefix(s.OTLP, "http://"))
		if err != nil {
			break // nothing new is taken
		}
		_ = conn.Close()
	}
	_, _ = io.WriteString(feed, body[10:])
	_ = feed.Close()
	under.Wait()
	select {
	case forwarded := <-got:
		if forwarded != body {
			t.Errorf("forwarded %q", forwarded)
		}
	default:
		t.Error("closed before what was received was passed on")
	}
	if x := s.inbox.books().Forwarded; x["forward_logs_sent"] != 1 || len(x) != 1 {
		t.Errorf("books %v", x)
	}
	http.DefaultClient.CloseIdleConnections()
}

// A collector that hangs delays the end of a run no longer than its user
// likes, and what it did not take is counted.
func TestACutEndsForwarding(t *testing.T) {
	for _, where := range inboxes() {
		t.Run(where.name, func(t *testing.T) { cutEndsForwarding(t, where.executable) })
	}
}

func cutEndsForwarding(t *testing.T, executable string) {
	hung := make(chan struct{})
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-hung
	}))
	defer collector.Close()
	defer close(hung)
	s, err := Listen(ListenOptions{Executable: executable, Private: true, ForwardOTLP: collector.URL})
	if err != nil {
		t.Fatal(err)
	}
	attached(t, s, time.Second)
	res, err := http.Post(s.OTLP+"/v1/logs", "application/json", strings.NewReader(`{"resourceLogs":[{"scopeLogs":[{"logRecords":[{},{}]}]}]}`))
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	cut := make(chan struct{})
	close(cut)
	ctx, end := untilCut(time.Hour, cut)
	defer end()
	s.Close(ctx)
	if x := s.inbox.books().Forwarded; x["forward_logs_lost_shutdown"] != 2 || len(x) != 1 {
		t.Errorf("books %v", x)
	}
}
