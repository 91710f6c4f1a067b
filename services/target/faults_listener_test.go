package target_test

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/taillight-load/taillight/services/target"
	"github.com/taillight-load/taillight/services/target/faults"
	"github.com/taillight-load/taillight/telemetry/names"
)

// set arms a running target.
func (r *running) set(t testing.TB, text string) {
	t.Helper()
	list, err := faults.ParseList(text)
	if err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(faults.Set{Seed: 7, Faults: list})
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://"+r.Admin+"/faults", strings.NewReader(string(body)))
	if err != nil {
		t.Fatal(err)
	}
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", text, resp.Status)
	}
}

func (r *running) book(t testing.TB) (b faults.Book) {
	t.Helper()
	if err := json.Unmarshal([]byte(mustFetch(t, "http://"+r.Admin+"/faults/log")), &b); err != nil {
		t.Fatal(err)
	}
	return b
}

// A cold connection is closed after the answer, and the next one waits.
func TestColdConnections(t *testing.T) {
	r := run(t, target.Config{Faults: faults.Set{Seed: 7, Faults: []faults.Fault{{Knob: faults.Cold, Amount: int64(30 * time.Millisecond), Share: 0.4}}}}, strings.NewReader(""))
	defer func() { r.stop(); r.wait(t) }()
	var dialled int
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		dialled++
		return (&net.Dialer{}).DialContext(ctx, network, addr)
	}}}
	defer client.CloseIdleConnections()
	const n = 40
	took := map[string]time.Duration{}
	for i := range n {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+r.Addr+"/workloads/wait?ms=0", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("traceparent", "00-"+traceID(i)+"-0000000000000001-01")
		began := time.Now()
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		took[traceID(i)] = time.Since(began)
	}
	closed, waited := 0, 0
	for _, h := range r.book(t).Hits {
		switch {
		case h.Injected == 0:
			closed++
		case h.Injected < int64(30*time.Millisecond) || time.Duration(h.Injected) > took[h.TraceID]:
			t.Errorf("the request took %s: %+v", took[h.TraceID], h)
		default:
			waited++
		}
	}
	// The first connection is not one that another one's end asked for; the
	// last one that is closed may have no successor.
	if closed < 5 || dialled < closed || dialled > closed+1 || waited != dialled-1 {
		t.Errorf("%d connections closed, %d dialled, %d waited", closed, dialled, waited)
	}
}

// A door that is shut is no reason not to end.
func TestAShutDoorEnds(t *testing.T) {
	r := run(t, target.Config{}, strings.NewReader(""))
	r.set(t, "backlog=10s:every=1h")
	began := time.Now()
	r.stop()
	r.wait(t)
	if took := time.Since(began); took > 9*time.Second {
		t.Errorf("it took %s to end", took)
	}
}

func TestRunRefusesFaultsItCannotHave(t *testing.T) {
	for text, want := range map[string]string{
		"downstream=1ms": "--downstream", "throttle=50%": "taillight run",
	} {
		list, err := faults.ParseList(text)
		if err != nil {
			t.Fatal(err)
		}
		err = target.Run(t.Context(), target.Config{Addr: "127.0.0.1:0", Faults: faults.Set{Faults: list}}, strings.NewReader(""), io.Discard, io.Discard)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// The trace id of the log is that of the span, and the call of the other
// instance has a span of its own.
func TestTheDownstreamHasASpan(t *testing.T) {
	rc := &receiver{spans: map[string]string{}, paths: map[string]int{}}
	collector := httptest.NewServer(rc)
	defer collector.Close()
	t.Setenv(names.EnvOTLP, collector.URL)
	t.Setenv("OTEL_METRICS_EXPORTER", "none")
	other := httptest.NewServer(target.New(target.Options{}))
	defer other.Close()
	r := run(t, target.Config{Downstream: other.URL, Faults: faults.Set{Faults: []faults.Fault{{Knob: faults.Downstream, Amount: int64(5 * time.Millisecond), Share: 1}}}}, strings.NewReader(""))
	mustFetch(t, "http://"+r.Addr+"/profile", "traceparent", "00-"+traceID(0)+"-0000000000000001-01")
	book := r.book(t)
	r.stop()
	r.wait(t)
	if len(book.Hits) != 1 || book.Hits[0].TraceID != traceID(0) || book.Hits[0].Injected < 5e6 {
		t.Errorf("%+v", book)
	}
	for _, name := range []string{"GET /profile", "HTTP GET"} {
		if got := rc.spans[name]; !strings.HasPrefix(got, traceID(0)) {
			t.Errorf("span %s: %q of %v", name, got, rc.spans)
		}
	}
}
