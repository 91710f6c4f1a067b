package telemetry_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime/pprof"
	"strings"
	"time"

	"github.com/taillight-load/taillight/telemetry"
	"github.com/taillight-load/taillight/telemetry/flight"
)

func ExampleTelemetry_Middleware() {
	ctx := context.Background()
	tel, err := telemetry.Start(ctx, telemetry.Options{Service: "shop"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = tel.Shutdown(ctx) }()

	mux := http.NewServeMux()
	mux.HandleFunc("GET /orders/{id}", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "order ", r.PathValue("id"))
	})
	handler := tel.Middleware(mux) // the span is named GET /orders/{id}

	w := httptest.NewRecorder()
	handler.ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodGet, "/orders/7", http.NoBody))
	fmt.Println(w.Code, w.Body)
	// Output: 200 order 7
}

func ExampleTelemetry_Transport() {
	ctx := context.Background()
	tel, err := telemetry.Start(ctx, telemetry.Options{Service: "shop"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = tel.Shutdown(ctx) }()

	client := &http.Client{Transport: tel.Transport(http.DefaultTransport), Timeout: 30 * time.Second}
	stock := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "12 left") }))
	defer stock.Close()

	// The context of the request at hand makes the call part of its trace.
	r, _ := http.NewRequestWithContext(ctx, http.MethodGet, stock.URL, http.NoBody)
	resp, err := client.Do(r)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = resp.Body.Close() }()
	fmt.Println(resp.Status)
	// Output: 200 OK
}

// A worker that gets its jobs from a queue labels them itself: the headers of
// the message say which load test it is for.
func ExampleTelemetry_Label() {
	ctx := context.Background()
	tel, err := telemetry.Start(ctx, telemetry.Options{Service: "worker", CPU: true, Baggage: []string{"tenant.tier"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = tel.Shutdown(ctx) }()

	message := http.Header{"Baggage": {"loadtest.phase=peak,tenant.tier=gold,user.id=42"}}
	ctx, done := tel.Label(ctx, message) // for the work
	defer done()
	for _, label := range []string{"loadtest_phase", "tenant_tier", "user_id"} {
		value, ok := pprof.Label(ctx, label)
		fmt.Println(label, value, ok)
	}
	// Output:
	// loadtest_phase peak true
	// tenant_tier gold true
	// user_id  false
}

func ExampleTelemetry_Task() {
	ctx := context.Background()
	tel, err := telemetry.Start(ctx, telemetry.Options{Service: "worker", Flight: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = tel.Shutdown(ctx) }()

	message := http.Header{"Traceparent": {"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}}
	_, done := tel.Task(ctx, message)
	time.Sleep(time.Millisecond) // the work
	done()

	var recording bytes.Buffer
	if err := tel.Flight(&recording); err != nil {
		fmt.Println(err)
		return
	}
	got, err := flight.Decode(&recording)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, t := range got.Timelines {
		fmt.Println(t.TraceID, "slept for a millisecond:", t.Blocked.Sleep >= int64(900*time.Microsecond))
	}
	// Output: 4bf92f3577b34da6a3ce929d0e0e4736 slept for a millisecond: true
}

// The recording of the last seconds, for `go tool trace` and `taillight flight`.
func ExampleTelemetry_Flight() {
	ctx := context.Background()
	tel, err := telemetry.Start(ctx, telemetry.Options{Service: "shop", Flight: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = tel.Shutdown(ctx) }()

	var recording bytes.Buffer
	if err := tel.Flight(&recording); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(strings.HasPrefix(recording.String(), "go 1."))
	// Output: true
}

// Where a function computes. A sample stands for 10 ms of CPU time, so the
// function is called until there is something to see.
func ExampleTelemetry_Profile() {
	ctx := context.Background()
	tel, err := telemetry.Start(ctx, telemetry.Options{Service: "shop"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = tel.Shutdown(ctx) }()

	p, err := tel.Profile(ctx, func(context.Context) {
		for range 100 {
			leafA(1)
		}
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("seen:", on(p.Profile, "leafA") > 0, "of something else:", on(p.Profile, "leafB") > 0)
	// p.Profile.Write(file) is a file for `go tool pprof`.

	// Output: seen: true of something else: false
}

// A recording can go on until there are samples enough.
func ExampleTelemetry_Record() {
	ctx := context.Background()
	tel, err := telemetry.Start(ctx, telemetry.Options{Service: "shop"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = tel.Shutdown(ctx) }()

	r, err := tel.Record()
	if err != nil {
		fmt.Println(err)
		return
	}
	for samples := int64(0); samples < 5 && err == nil; samples, err = r.Samples(ctx) {
		r.Do(ctx, func(context.Context) { leafA(50) })
	}
	p, err := r.Stop(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("enough:", p.Samples >= 5, "CPU time:", p.CPU() >= 50*time.Millisecond)
	// Output: enough: true CPU time: true
}

// Which functions one request has computed in, asked for after it.
func ExampleTelemetry_CPUSamples() {
	ctx := context.Background()
	tel, err := telemetry.Start(ctx, telemetry.Options{Service: "shop", CPU: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = tel.Shutdown(ctx) }()

	handler := tel.Middleware(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { leafA(100) }))
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/", http.NoBody)
	r.Header.Set("Traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	handler.ServeHTTP(httptest.NewRecorder(), r)

	p, err := tel.CPUSamples(ctx, telemetry.Selection{TraceID: "4bf92f3577b34da6a3ce929d0e0e4736"})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("seen:", on(p.Profile, "leafA") > 0)
	// Output: seen: true
}

func ExampleTelemetry_AdminHandler() {
	ctx := context.Background()
	tel, err := telemetry.Start(ctx, telemetry.Options{Service: "shop"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = tel.Shutdown(ctx) }()

	admin := tel.AdminHandler() // a service gives it to http.ListenAndServe on 127.0.0.1

	w := httptest.NewRecorder()
	admin.ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodGet, "/debug/pprof/goroutine?debug=1", http.NoBody))
	fmt.Println(w.Code, strings.HasPrefix(w.Body.String(), "goroutine profile:"))
	// Output: 200 true
}

// Shutdown delivers what is still here. What could not be delivered is counted.
func ExampleTelemetry_Shutdown() {
	tel, err := telemetry.Start(context.Background(), telemetry.Options{Service: "shop"})
	if err != nil {
		fmt.Println(err)
		return
	}
	// ... serve, then stop serving: requests first, then their telemetry.
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := tel.Shutdown(ctx); err != nil {
		fmt.Println(err)
	}
	if lost := tel.Lost(); lost == (telemetry.Losses{}) {
		fmt.Println("nothing lost")
	}
	// Output: nothing lost
}
