package flight_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/taillight-load/taillight/telemetry"
	"github.com/taillight-load/taillight/telemetry/flight"
)

// A handler that mostly sleeps, read from the service's own recorder.
func ExampleDecode() {
	ctx := context.Background()
	tel, err := telemetry.Start(ctx, telemetry.Options{Service: "shop", Flight: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = tel.Shutdown(ctx) }()
	h := tel.Middleware(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { time.Sleep(20 * time.Millisecond) }))
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, http.MethodGet, "/", http.NoBody))

	var snapshot bytes.Buffer // or the body of GET /debug/flight
	if err := tel.Flight(&snapshot); err != nil {
		fmt.Println(err)
		return
	}
	rec, err := flight.Decode(&snapshot)
	if err != nil {
		fmt.Println(err) // and rec has what could be read
	}
	for _, t := range rec.Timelines {
		fmt.Println("longest wait:", t.Blocks[0].Reason)
		fmt.Println("states add up:", t.States() == t.Total)
	}
	// Output:
	// longest wait: sleep
	// states add up: true
}
