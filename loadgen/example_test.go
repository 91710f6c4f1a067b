package loadgen_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/taillight-load/taillight/loadgen"
)

// Two users, 10 ms apart, for half a second, and a threshold on the answers.
func ExampleAttack() {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "hello")
	}))
	defer srv.Close()

	threshold, err := loadgen.ParseThreshold("errors < 1%")
	if err != nil {
		fmt.Println(err)
		return
	}
	result, err := loadgen.Attack(context.Background(), loadgen.Plan{
		Name:   "example",
		Target: srv.URL,
		Think:  loadgen.Think{Kind: loadgen.ThinkConstant, Max: 10 * time.Millisecond},
		Phases: []loadgen.Phase{
			{Name: "steady", For: 500 * time.Millisecond, Load: loadgen.Load{Users: loadgen.Constant(2)}},
		},
		Journeys:   []loadgen.Journey{{Steps: []loadgen.Step{{Path: "/"}}}},
		Thresholds: []loadgen.Threshold{threshold},
	}, loadgen.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	hello := result.Series[0]
	fmt.Println(hello.Planned == hello.Sent+hello.Unsent, hello.Failed, result.Thresholds[0].OK)
	// Output: true 0 true
}

// The arrivals of a ramp fall where the area under it reaches a whole number.
func ExampleNewPacer() {
	p := loadgen.NewPacer(loadgen.Ramp{From: 0, To: 4}, 2*time.Second, loadgen.Uniform, 1)
	for {
		offset, ok := p.Next()
		if !ok {
			break
		}
		fmt.Println(offset.Round(time.Millisecond))
	}
	// Output:
	// 0s
	// 1s
	// 1.414s
	// 1.732s
}
