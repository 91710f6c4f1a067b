package page

import (
	"cmp"
	"math"
	"os"
	"path/filepath"
	"slices"

	"github.com/taillight-load/taillight/telemetry/archive"
	"github.com/taillight-load/taillight/telemetry/names"
	"github.com/taillight-load/taillight/telemetry/signal"
)

// series is one metric of the target over the run's time. Instants are the
// target's wall clock against the generator's: good enough for a chart, and
// said beside it.
type series struct {
	What    string    `json:"what"` // cpu, utilization, throttled, goroutines, memory
	Service string    `json:"service"`
	Metric  string    `json:"metric"` // OTLP name
	Unit    string    `json:"unit"`   // cores, 1, goroutines, By
	T       []float64 `json:"t"`      // seconds since the run's start
	V       []float64 `json:"v"`
}

// drawn is a metric that the page draws.
type drawn struct {
	metric, what, unit string
	rate               bool // of a cumulative sum
}

// drawnMetrics are the metrics of the target that have a chart.
func drawnMetrics() []drawn {
	return []drawn{
		{names.ProcessCPUTime.Name, "cpu", "cores", true},
		{names.JVMCPUTime, "cpu", "cores", true},
		{names.ProcessCPUUtilization.Name, "utilization", "1", false},
		{names.ContainerThrottled.Name, "throttled", "1", true},
		{names.Goroutines.Name, "goroutines", "goroutines", false},
		{names.MemoryUsed.Name, "memory", "By", false},
	}
}

// targetSeries sums each drawn metric over its attributes (CPU modes, memory
// types), per process.
func targetSeries(run *archive.Run) []series {
	out := []series{}
	for _, d := range drawnMetrics() {
		sums := map[[2]string]map[int64]float64{}
		for i := range run.Series {
			s := &run.Series[i]
			if s.Name != d.metric {
				continue
			}
			key := [2]string{s.Resource.Service(), s.Resource.Instance()}
			if sums[key] == nil {
				sums[key] = map[int64]float64{}
			}
			addPoints(sums[key], s.Points)
		}
		keys := make([][2]string, 0, len(sums))
		for k := range sums {
			keys = append(keys, k)
		}
		slices.SortFunc(keys, func(a, b [2]string) int { return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1])) })
		for _, k := range keys {
			s := series{What: d.what, Service: clip(k[0], 60), Metric: d.metric, Unit: d.unit, T: []float64{}, V: []float64{}}
			s.fill(sums[k], run.Started.UnixNano(), d.rate)
			if len(s.T) > 0 {
				out = append(out, s)
			}
		}
	}
	return out
}

func addPoints(sum map[int64]float64, points []signal.Point) {
	for _, p := range points {
		if p.Histogram == nil && !math.IsNaN(p.Value) && !math.IsInf(p.Value, 0) {
			sum[p.Time] += p.Value
		}
	}
}

// fill writes the points, as rates if told to, every k-th when there are too
// many. A counter that was reset gives no rate at that point.
func (s *series) fill(sum map[int64]float64, began int64, rate bool) {
	times := make([]int64, 0, len(sum))
	for t := range sum {
		times = append(times, t)
	}
	slices.Sort(times)
	stride := (len(times) + MaxColumns - 1) / MaxColumns
	last := -1
	for i := 0; i < len(times); i += max(1, stride) {
		v := sum[times[i]]
		if rate {
			var ok bool
			if v, last, ok = rateSince(times, sum, last, i); !ok {
				continue
			}
		}
		s.T = append(s.T, compactTime(float64(times[i]-began)/1e9))
		s.V = append(s.V, compact(v))
	}
}

// rateSince returns the rate from point last to point i, and the point to go
// on from. Points closer than shortestRate give none: a counter that was read
// twice at once would draw a spike.
func rateSince(times []int64, sum map[int64]float64, last, i int) (rate float64, next int, ok bool) {
	if last < 0 {
		return 0, i, false
	}
	dt := float64(times[i]-times[last]) / 1e9
	if dt < shortestRate {
		return 0, last, false
	}
	rate = (sum[times[i]] - sum[times[last]]) / dt
	return rate, i, rate >= 0
}

const shortestRate = 0.5 // seconds

// file is one thing of the run's directory.
type file struct {
	Name  string `json:"name"`
	Bytes int64  `json:"bytes"`
	Count int    `json:"count,omitempty"` // of a folder's files
}

// files lists a run's directory; none when it cannot be read.
func files(dir string) []file {
	out := []file{}
	if dir == "" {
		return out
	}
	for _, name := range []string{
		"run.json", "seconds.jsonl", "latency.hlog", "exchanges.jsonl", "traces.jsonl", "metrics.jsonl", "profiles", "flight",
	} {
		info, err := os.Stat(filepath.Join(dir, name))
		switch {
		case err != nil:
		case info.IsDir():
			if f := folder(dir, name); f.Count > 0 {
				out = append(out, f)
			}
		default:
			out = append(out, file{Name: name, Bytes: info.Size()})
		}
	}
	return out
}

func folder(dir, name string) file {
	f := file{Name: name + "/"}
	entries, err := os.ReadDir(filepath.Join(dir, name))
	if err != nil {
		return f
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil && !e.IsDir() {
			f.Count++
			f.Bytes += info.Size()
		}
	}
	return f
}
