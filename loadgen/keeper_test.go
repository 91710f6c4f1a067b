package loadgen_test

import (
	"context"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/taillight-load/taillight/loadgen"
)

// Beyond 50,000 exchanges the slow, the failed and a uniform sample are kept,
// and their weights still stand for all.
func TestKeptExchangesStandForAll(t *testing.T) {
	if testing.Short() {
		t.Skip("150,000 exchanges")
	}
	synctest.Test(t, func(t *testing.T) {
		kept := map[loadgen.Keep]int{}
		var weight, slowest float64
		failed := 0
		res, err := loadgen.Attack(context.Background(), open(10_000, 15*time.Second), loadgen.Options{
			Timer: loadgen.RuntimeTimer,
			NewClient: serving(func(x *loadgen.Exchange) {
				switch {
				case x.Iteration%100 == 0:
					time.Sleep(20 * time.Millisecond)
				case x.Iteration%1000 == 1:
					refuse(x)
				case x.Iteration == 140_003:
					time.Sleep(3 * time.Second)
				default:
					time.Sleep(time.Millisecond)
				}
			}),
			OnSecond: func(s loadgen.Second) {
				for i := range s.Kept {
					x := &s.Kept[i]
					kept[x.Kept]++
					weight += x.Weight
					slowest = max(slowest, x.Response().Seconds())
					if !x.OK() {
						failed++
					}
				}
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		n := float64(res.Series[0].Completed + res.Series[0].Failed)
		if n != 150_000 {
			t.Fatalf("%g exchanges", n)
		}
		if math.Abs(weight-n) > 0.001*n {
			t.Errorf("weights add up to %g of %g", weight, n)
		}
		if kept[loadgen.KeptAll] != 50_000 || kept[loadgen.KeptSlow] == 0 || kept[loadgen.KeptSlow] > 20_000 ||
			kept[loadgen.KeptUniform] < 5_000 || kept[loadgen.KeptUniform] > 12_000 {
			t.Errorf("kept %v", kept)
		}
		if failed != 150 {
			t.Errorf("%d failures kept, want all 150", failed)
		}
		if slowest < 3 {
			t.Errorf("the slowest kept took %g s, the slowest of all 3 s", slowest)
		}
	})
}
