package stats_test

import (
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"github.com/taillight-load/taillight/loadgen/stats"
)

func TestTheilSenFindsTheLine(t *testing.T) {
	var x, y []float64
	for i := range 40 {
		x = append(x, float64(i))
		y = append(y, 3+0.5*float64(i))
	}
	y[7], y[30] = 1000, -1000 // odd values do not bend it
	s, ok := stats.TheilSen(x, y, 0.95)
	if !ok {
		t.Fatal("no line of 40 points")
	}
	near(t, "slope", s.PerStep, 0.5, 1e-9)
	near(t, "intercept", s.Intercept, 3, 1e-9)
	if _, ok := stats.TheilSen(x[:7], y[:7], 0.95); ok {
		t.Error("7 points gave a line")
	}
	if _, ok := stats.TheilSen(make([]float64, 20), y[:20], 0.95); ok {
		t.Error("points above one another gave a line")
	}
}

// Over 400 noisy flat series the 95 % interval excludes 0 in about 1 in 20.
func TestTheilSenIntervalKeepsItsConfidence(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	wrong := 0
	for range 400 {
		var x, y []float64
		for i := range 30 {
			x = append(x, float64(i))
			y = append(y, random.NormFloat64())
		}
		s, _ := stats.TheilSen(x, y, 0.95)
		if s.Interval.Lo > 0 || s.Interval.Hi < 0 {
			wrong++
		}
	}
	if wrong < 6 || wrong > 36 { // 20 expected, 4.4 standard deviation
		t.Errorf("%d of 400 flat series rise or fall", wrong)
	}
}

func TestChangePoint(t *testing.T) {
	random := rand.New(rand.NewPCG(2, 2))
	series := make([]float64, 40)
	for i := range series {
		series[i] = 10 + random.NormFloat64()
		if i >= 25 {
			series[i] += 4
		}
	}
	at, p := stats.ChangePoint(series, 3)
	if at < 24 || at > 26 || p > 0.002 {
		t.Errorf("change at %d, p %v; it is at 25", at, p)
	}
	if at, p := stats.ChangePoint(series[:5], 3); at != 0 || p != 1 {
		t.Errorf("5 values, 3 a side: change at %d, p %v", at, p)
	}
}

func TestFlatSeriesHaveNoChangePoint(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 3))
	wrong := 0
	for range 200 {
		series := make([]float64, 30)
		for i := range series {
			series[i] = random.NormFloat64()
		}
		if _, p := stats.ChangePoint(series, 3); p <= 0.05 {
			wrong++
		}
	}
	if wrong > 20 { // 10 expected, 3.1 standard deviation
		t.Errorf("%d of 200 flat series change", wrong)
	}
}

// Scaling and shifting a series moves no change point.
func TestChangePointIsByRank(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var series, moved []float64
		for _, v := range rapid.SliceOfN(rapid.IntRange(0, 100), 6, 40).Draw(t, "series") {
			series, moved = append(series, float64(v)), append(moved, float64(8*v+1024))
		}
		at, p := stats.ChangePoint(series, 3)
		if at2, p2 := stats.ChangePoint(moved, 3); at2 != at || p2 != p {
			t.Fatalf("at %d, p %v; moved at %d, p %v", at, p, at2, p2)
		}
	})
}
