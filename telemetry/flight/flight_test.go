package flight_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime/pprof"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/taillight-load/taillight/loadgen/busytest"
	"github.com/taillight-load/taillight/telemetry"
	"github.com/taillight-load/taillight/telemetry/flight"
	"github.com/taillight-load/taillight/telemetry/names"
	"github.com/taillight-load/taillight/telemetry/signal"
)

func TestMain(m *testing.M) { busytest.Main(m) }

// service serves h behind the middleware, with the flight recorder on.
type service struct {
	*httptest.Server
	tel *telemetry.Telemetry
	n   uint64
}

func serve(t testing.TB, h http.Handler, wrap ...func(*telemetry.Telemetry, http.Handler) http.Handler) *service {
	t.Helper()
	for _, name := range []string{names.EnvOTLP, names.EnvPyroscope, names.EnvProfileAddress} {
		t.Setenv(name, "")
	}
	t.Setenv(names.EnvFlight, "1")
	tel, err := telemetry.Start(context.Background(), telemetry.Options{Service: "shop"})
	if err != nil {
		t.Fatal(err)
	}
	handler := tel.Middleware(h)
	for _, w := range wrap {
		handler = w(tel, handler)
	}
	s := &service{Server: httptest.NewServer(handler), tel: tel}
	t.Cleanup(func() {
		s.Client().CloseIdleConnections()
		s.Close()
		if err := tel.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s
}

// ask sends a request and returns the trace id that it carried.
func (s *service) ask(t testing.TB, path string) signal.TraceID {
	t.Helper()
	s.n++
	id := signal.TraceID{0: 1}
	binary.BigEndian.PutUint64(id[8:], s.n)
	s.send(t, path, id)
	return id
}

func (s *service) send(t testing.TB, path string, id signal.TraceID) {
	t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, s.URL+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Traceparent", "00-"+id.String()+"-00f067aa0ba902b7-01")
	res, err := s.Client().Do(r)
	if err != nil {
		t.Error(err)
		return
	}
	_, _ = io.Copy(io.Discard, res.Body)
	_ = res.Body.Close()
}

func (s *service) snapshot(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := s.tel.Flight(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func decode(t testing.TB, data []byte) *flight.Recording {
	t.Helper()
	rec, err := flight.Decode(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	balanced(t, rec)
	return rec
}

// balanced holds what is true of every timeline: the states add up to the
// total, to the nanosecond, and the waits to the time blocked, by reason.
func balanced(t testing.TB, rec *flight.Recording) {
	t.Helper()
	for _, tl := range slices.Concat(rec.Timelines, rec.Unfinished) {
		if tl.States() != tl.Total {
			t.Errorf("states add up to %d of %d: %+v", tl.States(), tl.Total, tl)
		}
		var waits signal.Blocked
		for _, b := range tl.Blocks {
			waits.Add(b.Reason, b.Time)
			if b.Count < 1 || b.Time < 0 {
				t.Errorf("block %+v", b)
			}
		}
		if waits != tl.Blocked {
			t.Errorf("waits %+v, blocked %+v", waits, tl.Blocked)
		}
		if without, measured := tl.Descheduled(); measured != (tl.OnCPU != nil) || without < 0 || without > tl.Running {
			t.Errorf("descheduled for %d ns: %+v", without, tl)
		}
		if tl.Total < 0 || tl.Running < 0 || tl.Runnable < 0 || tl.Syscall < 0 || tl.GCAssist < 0 || tl.STW < 0 || tl.GCAssist > tl.Total || tl.STW > tl.Total {
			t.Errorf("out of bounds: %+v", tl)
		}
	}
}

const planted = 20 * time.Millisecond

// plantedWaits are handlers that wait for about as long as planted.
func plantedWaits(t testing.TB) map[string]struct {
	reason signal.BlockReason
	do     func()
	leaf   string // a part of the leaf's name
} {
	down := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { time.Sleep(planted) }))
	t.Cleanup(down.Close)
	t.Cleanup(down.Client().CloseIdleConnections)
	quiet, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = quiet.Close() })
	var mu sync.Mutex
	return map[string]struct {
		reason signal.BlockReason
		do     func()
		leaf   string
	}{
		"/sleep": {signal.BlockSleep, func() { time.Sleep(planted) }, "time.Sleep"},
		"/mutex": {signal.BlockSync, func() {
			mu.Lock()
			time.AfterFunc(planted, mu.Unlock)
			mu.Lock()
			defer mu.Unlock()
		}, "Mutex"},
		"/group": {signal.BlockSync, func() {
			var wg sync.WaitGroup
			wg.Go(func() { time.Sleep(planted) })
			wg.Wait()
		}, "WaitGroup"},
		"/cond": {signal.BlockCond, func() {
			c, done := sync.NewCond(&sync.Mutex{}), false
			time.AfterFunc(planted, func() { c.L.Lock(); done = true; c.L.Unlock(); c.Broadcast() })
			c.L.Lock()
			for !done {
				c.Wait()
			}
			c.L.Unlock()
		}, "sync."},
		"/chan": {signal.BlockChan, func() { <-time.After(planted) }, "chanrecv"},
		"/select": {signal.BlockSelect, func() {
			select {
			case <-time.After(planted):
			case <-make(chan int):
			}
		}, "selectgo"},
		"/client": {signal.BlockNetwork, func() {
			res, err := down.Client().Get(down.URL)
			if err == nil {
				_ = res.Body.Close()
			}
		}, "selectgo"},
		"/socket": {signal.BlockNetwork, func() {
			c, err := net.Dial("tcp", quiet.Addr().String())
			if err != nil {
				return
			}
			_ = c.SetReadDeadline(time.Now().Add(planted))
			_, _ = c.Read(make([]byte, 1))
			_ = c.Close()
		}, "poll"},
	}
}

// What a handler waits for is what its timeline names, with the code that
// waits.
func TestAWaitIsNamed(t *testing.T) {
	busytest.Retry(t, func(t, retry testing.TB) {
		waits := plantedWaits(t)
		s := serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { waits[r.URL.Path].do() }))
		asked := map[signal.TraceID]string{}
		const times = 3 // a busy machine may spoil one
		for path := range waits {
			for range times {
				asked[s.ask(t, path)] = path
			}
		}
		rec := decode(t, s.snapshot(t))
		if len(rec.Timelines) != times*len(waits) || rec.CutAtStart != 0 || len(rec.Unfinished) != 0 {
			retry.Fatalf("%d timelines of %d requests, %d and %d cut", len(rec.Timelines), times*len(waits), rec.CutAtStart, len(rec.Unfinished))
		}
		best := map[string]signal.Timeline{}
		for _, tl := range rec.Timelines {
			path := asked[tl.TraceID]
			if path == "" {
				t.Fatalf("trace id %s was never sent", tl.TraceID)
			}
			if b, ok := best[path]; !ok || tl.Blocked.Of(waits[path].reason) > b.Blocked.Of(waits[path].reason) {
				best[path] = tl
			}
		}
		for path, want := range waits {
			tl := best[path]
			if got := tl.Blocked.Of(want.reason); got < int64(planted*8/10) || got*2 < tl.States()-tl.Runnable {
				retry.Errorf("%s: %d ns of %d are %s: %+v", path, got, tl.Total, want.reason, tl)
			}
			if len(tl.Blocks) == 0 {
				continue
			}
			top := tl.Blocks[0]
			if len(top.Stack) == 0 || top.Reason != want.reason || !slices.ContainsFunc(top.Stack, func(f signal.Call) bool { return strings.Contains(f.Func, want.leaf) }) ||
				!strings.Contains(top.Site().Func, "flight_test") {
				retry.Errorf("%s: waits at %s, %+v", path, top.Site(), top)
			}
		}
		if began := time.Since(rec.Began); began < 0 || began > time.Minute || rec.Length <= 0 || rec.Events == 0 {
			t.Errorf("began %s ago, %s long, %d events", began, rec.Length, rec.Events)
		}
	})
}

// burnt keeps the compiler from finding that burn does nothing.
var burnt atomic.Int64

//go:noinline
func burn(d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); {
		burnt.Add(1)
	}
}

// CPU samples fall on the request that burns, on the goroutine that it starts
// as well, and say where.
func TestWorkIsRunningAndSampled(t *testing.T) {
	busytest.Retry(t, func(t, retry testing.TB) {
		s := serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/idle" {
				return
			}
			var wg sync.WaitGroup
			wg.Go(func() { burn(150 * time.Millisecond) })
			burn(150 * time.Millisecond)
			wg.Wait()
		}))
		if err := pprof.StartCPUProfile(io.Discard); err != nil {
			t.Fatal(err)
		}
		idle, busy := s.ask(t, "/idle"), s.ask(t, "/burn")
		pprof.StopCPUProfile()
		rec := decode(t, s.snapshot(t))
		if len(rec.Timelines) != 2 {
			retry.Fatalf("timelines %+v", rec.Timelines)
		}
		if rec.Timelines[0].TraceID != idle || rec.Timelines[1].TraceID != busy {
			t.Fatalf("timelines %+v", rec.Timelines)
		}
		tl := rec.Timelines[1]
		if work := tl.Running + tl.Runnable + tl.Blocked.Sync; work*10 < tl.Total*8 || tl.Running == 0 {
			retry.Errorf("work is %d of %d: %+v", work, tl.Total, tl)
		}
		burning := 0
		for _, c := range tl.Samples {
			if slices.ContainsFunc(c.Stack, func(f signal.Call) bool { return strings.HasSuffix(f.Func, "flight_test.burn") }) {
				burning += c.Count
			}
		}
		if burning == 0 {
			retry.Errorf("none of %d samples burn", rec.Samples)
		}
		if tl.CPUSamples() != rec.Attached-rec.Timelines[0].CPUSamples() || rec.Attached > rec.Samples {
			t.Errorf("%d samples burn, %d of %d attached, on the request %d", burning, rec.Attached, rec.Samples, tl.CPUSamples())
		}
	})
}

// Two middlewares on one request, as on a mux and on one of its handlers, make
// one timeline.
func TestMiddlewareTwice(t *testing.T) {
	s := serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}),
		func(tel *telemetry.Telemetry, h http.Handler) http.Handler { return tel.Middleware(h) })
	id := s.ask(t, "/")
	if rec := decode(t, s.snapshot(t)); len(rec.Timelines) != 1 || rec.Timelines[0].TraceID != id || rec.CutAtStart != 0 {
		t.Errorf("%+v", rec)
	}
}

// A request that has not ended is not among the others, and is not lost.
func TestARequestUnderWayIsCut(t *testing.T) {
	busytest.Retry(t, func(t, retry testing.TB) {
		entered, leave := make(chan struct{}), make(chan struct{})
		s := serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { close(entered); <-leave }))
		id := signal.TraceID{7}
		var wg sync.WaitGroup
		wg.Go(func() { s.send(t, "/", id) })
		<-entered
		rec := decode(t, s.snapshot(t))
		for range 1000 { // until it waits
			if len(rec.Unfinished) == 1 && rec.Unfinished[0].Blocked.Chan > 0 {
				break
			}
			time.Sleep(5 * time.Millisecond)
			rec = decode(t, s.snapshot(t))
		}
		close(leave)
		wg.Wait()
		if len(rec.Timelines) != 0 || len(rec.Unfinished) != 1 {
			retry.Fatalf("%d timelines, %d unfinished", len(rec.Timelines), len(rec.Unfinished))
		}
		tl := rec.Unfinished[0]
		if !tl.Cut || tl.TraceID != id {
			t.Errorf("%+v", tl)
		}
		if tl.Blocked.Chan == 0 {
			retry.Errorf("it does not wait: %+v", tl)
		}
		if rec := decode(t, s.snapshot(t)); len(rec.Timelines) != 1 || rec.Timelines[0].Cut {
			retry.Errorf("after its end: %+v", rec) // its begin may have left the window
		}
	})
}

// Of a request that was under way when the window begins only its end shows:
// it is counted.
func TestARequestOlderThanTheWindowIsCounted(t *testing.T) {
	if testing.Short() {
		t.Skip("takes as long as the window")
	}
	busytest.Retry(t, func(t, retry testing.TB) {
		s := serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { time.Sleep(5500 * time.Millisecond) }))
		s.ask(t, "/")
		if rec := decode(t, s.snapshot(t)); len(rec.Timelines) != 0 || rec.CutAtStart != 1 {
			retry.Errorf("%d timelines, %d cut at the start of %s", len(rec.Timelines), rec.CutAtStart, rec.Length)
		}
	})
}

// Many requests at once, of every kind, keep their accounts apart.
func TestRequestsAtOnce(t *testing.T) {
	waits := plantedWaits(t)
	paths := make([]string, 0, len(waits))
	for path := range waits {
		if path != "/mutex" { // its lock is one for all
			paths = append(paths, path)
		}
	}
	s := serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		burn(200 * time.Microsecond)
		waits[r.URL.Path].do()
		_ = make([]byte, 1<<20)
	}))
	const users, each = 16, 6
	var wg sync.WaitGroup
	for u := range users {
		wg.Go(func() {
			for i := range each {
				s.send(t, paths[(u+i)%len(paths)], signal.TraceID{0: byte(u), 1: byte((u + i) % len(paths)), 15: byte(i + 1)})
			}
		})
	}
	wg.Wait()
	rec := decode(t, s.snapshot(t))
	if len(rec.Timelines) != users*each {
		t.Fatalf("%d timelines, want %d", len(rec.Timelines), users*each)
	}
	ids := map[signal.TraceID]bool{}
	waited, asked := map[string]int64{}, map[string]int64{}
	for _, tl := range rec.Timelines {
		path := paths[tl.TraceID[1]]
		if ids[tl.TraceID] {
			t.Errorf("%s twice", tl.TraceID)
		}
		ids[tl.TraceID] = true
		asked[path]++
		waited[path] += tl.Blocked.Of(waits[path].reason)
	}
	for path, n := range asked {
		if waited[path] < n*int64(planted)*7/10 {
			t.Errorf("%s: %d requests waited %d ns", path, n, waited[path])
		}
	}
}

// DecodeRegion knows only regions of its name.
func TestOtherRegions(t *testing.T) {
	s := serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	s.ask(t, "/")
	rec, err := flight.DecodeRegion(bytes.NewReader(s.snapshot(t)), "elsewhere")
	if err != nil || len(rec.Timelines) != 0 || rec.Events == 0 || rec.CutAtStart != 0 {
		t.Errorf("%v: %+v", err, rec)
	}
}

// What cannot be read says so, and what came before it stands.
func TestDamage(t *testing.T) {
	s := serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	s.ask(t, "/")
	data := s.snapshot(t)
	for name, c := range map[string]struct{ data, says string }{
		"empty":     {"", "no execution trace"},
		"text":      {"<html>404 not found, and more of it</html>", "no execution trace"},
		"tomorrow":  {"go 1.99 trace\x00\x00\x00" + string(data[16:]), "1.99"},
		"truncated": {string(data[:len(data)*2/3]), "damaged or cut short"},
	} {
		rec, err := flight.Decode(strings.NewReader(c.data))
		if err == nil || !strings.Contains(err.Error(), c.says) || rec == nil {
			t.Errorf("%s: %v, want an error with %q", name, err, c.says)
		}
		if rec != nil {
			balanced(t, rec)
		}
	}
}

func FuzzDecode(f *testing.F) {
	s := serve(f, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { time.Sleep(time.Millisecond) }))
	s.ask(f, "/")
	data := s.snapshot(f)
	if err := s.tel.Shutdown(context.Background()); err != nil { // so that fuzzing itself is not recorded
		f.Fatal(err)
	}
	f.Add(data)
	f.Add(data[:len(data)/2])
	f.Add([]byte("go 1.26 trace\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 1<<20 {
			t.Skip("larger than what is asked about")
		}
		rec, err := flight.Decode(bytes.NewReader(data))
		if rec == nil {
			t.Fatalf("no recording, %v", err)
		}
		balanced(t, rec)
	})
}
