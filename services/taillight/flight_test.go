package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/taillight-load/taillight/telemetry"
	"github.com/taillight-load/taillight/telemetry/flight"
	"github.com/taillight-load/taillight/telemetry/names"
	"github.com/taillight-load/taillight/telemetry/signal"
)

func fixedRecording() *flight.Recording {
	query := []signal.Call{
		{Func: "internal/sync.(*Mutex).lockSlow", File: "/go/src/internal/sync/mutex.go", Line: 149},
		{Func: "sync.(*Mutex).Lock", File: "/go/src/sync/mutex.go", Line: 46},
		{Func: "example.com/shop/orders.(*Store).Find", File: "/src/shop/orders/store.go", Line: 88},
		{Func: "main.handler", File: "/src/shop/main.go", Line: 20},
	}
	answer := []signal.Call{
		{Func: "runtime.selectgo", File: "/go/src/runtime/select.go", Line: 351},
		{Func: "net/http.(*persistConn).roundTrip", File: "/go/src/net/http/transport.go", Line: 2765},
	}
	onCPU := int64(9_000_000)
	return &flight.Recording{
		Began: time.Date(2026, 11, 24, 7, 0, 0, 123e6, time.UTC), Length: 3200 * time.Millisecond, Events: 201_034,
		CutAtStart: 12, Samples: 150, Attached: 131,
		Unfinished: []signal.Timeline{{Cut: true, Total: 5}},
		Timelines: []signal.Timeline{
			{
				TraceID: signal.TraceID{1, 15: 1}, Start: 5, Total: 15_000_000, Running: 700_000, Runnable: 2_300_000,
				Blocked:  signal.Blocked{Sync: 12_000_000},
				Blocks:   []signal.Block{{Reason: signal.BlockSync, Time: 12_000_000, Count: 2, Stack: query}},
				GCAssist: 120_000,
			},
			{
				TraceID: signal.TraceID{2, 15: 2}, Start: 9, Total: 40_000_000, Running: 9_990_000, OnCPU: &onCPU, Runnable: 10_000, Blocked: signal.Blocked{Network: 30_000_000},
				Blocks: []signal.Block{{Reason: signal.BlockNetwork, Time: 30_000_000, Count: 1, Stack: answer}}, STW: 30_000,
				Samples: []signal.StackCount{{Count: 2}, {Count: 1}},
			},
			{Start: 11, Total: 200_000, Running: 200_000},
		},
	}
}

func TestFlightTable(t *testing.T) {
	for name, c := range map[string]struct {
		rec *flight.Recording
		top int
	}{
		"flight":       {fixedRecording(), 0},
		"flight_top":   {fixedRecording(), 1},
		"flight_empty": {&flight.Recording{Events: 7, Length: time.Second}, 0},
	} {
		var b bytes.Buffer
		printFlight(&b, c.rec, c.top, style{})
		golden := filepath.Join("testdata", name+".txt")
		if *update {
			if err := os.WriteFile(golden, b.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil || b.String() != string(want) {
			t.Errorf("%v: %s is not as in its golden file (-update writes it anew):\n%s", err, golden, b.String())
		}
	}
}

func TestFlightAsJSON(t *testing.T) {
	var b bytes.Buffer
	if err := writeFlight(&b, fixedRecording()); err != nil {
		t.Fatal(err)
	}
	var d flightDocument
	if err := json.Unmarshal(b.Bytes(), &d); err != nil {
		t.Fatal(err)
	}
	if len(d.Timelines) != 3 || len(d.Unfinished) != 1 || d.Timelines[0].States() != d.Timelines[0].Total || d.CutAtStart != 12 || d.Attached != 131 {
		t.Errorf("%s", b.String())
	}
}

// A recording of a service with the middleware prints as a table, and twice
// when it is named twice.
func TestFlightOfAService(t *testing.T) {
	t.Setenv(names.EnvFlight, "1")
	tel, err := telemetry.Start(t.Context(), telemetry.Options{})
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody)
	r.Header.Set("Traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	tel.Middleware(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { time.Sleep(2 * time.Millisecond) })).ServeHTTP(httptest.NewRecorder(), r)
	var b bytes.Buffer
	if err := errors.Join(tel.Flight(&b), tel.Shutdown(t.Context())); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "a.trace")
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	w := &world{args: []string{"flight", path, "-"}, getenv: func(string) (string, bool) { return "", false }, stdin: &b, stdout: &stdout, stderr: &stderr}
	if code := execute(w); code != 0 {
		t.Errorf("exit %d: %s", code, stderr.String())
	}
	row := regexp.MustCompile(`(?m)^4bf92f3577b34da6a3ce929d0e0e4736 .* sleep in taillight\.TestFlightOfAService\.func\d+ flight_test\.go:\d+$`)
	if n := len(row.FindAllString(stdout.String(), -1)); n != 2 || !strings.Contains(stdout.String(), "1 request in") {
		t.Errorf("%d rows of 2:\n%s", n, stdout.String())
	}
}

// What is no recording is said to be none, with its name.
func TestFlightOfSomethingElse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "page.html")
	if err := os.WriteFile(path, []byte("<html>not found, and so on</html>"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"flight", path}, {"flight", "--json", path}, {"flight", path + ".gone"}} {
		var stdout, stderr bytes.Buffer
		code := execute(&world{args: args, getenv: func(string) (string, bool) { return "", false }, stdin: strings.NewReader(""), stdout: &stdout, stderr: &stderr})
		if code == 0 || !strings.Contains(stderr.String(), "page.html") {
			t.Errorf("%v: exit %d, %s", args, code, stderr.String())
		}
	}
}
