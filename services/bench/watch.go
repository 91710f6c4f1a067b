package bench

import (
	"time"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/telemetry/archive"
	"github.com/taillight-load/taillight/telemetry/names"
	"github.com/taillight-load/taillight/telemetry/signal"
)

// Progress is a run as it stands, told once a second.
type Progress struct {
	Elapsed, Total time.Duration
	Phase          string // "" after the last
	Users          int
	InFlight       int
	Rate           float64        // OK answers per second, of the last second
	P50, P95, P99  time.Duration  // response time, of the last watched seconds
	Window         time.Duration  // how long those are
	LagP99         time.Duration  // same
	Counts         loadgen.Counts // since the start
	Errors         map[loadgen.ErrorClass]int64
	TargetCPU      float64          // cores; -1 while unknown
	Changes        []archive.Change `json:",omitempty"` // of the load, that took effect in the last second
}

// watched is how many seconds the live percentiles look back: one is too few
// requests at low rates, many hide a change.
const watched = 5

// watch turns seconds into progress.
type watch struct {
	plan   *loadgen.Plan
	recent []loadgen.Series // one merged series a second
	counts loadgen.Counts
	errors map[loadgen.ErrorClass]int64
	cpu    map[string]signal.Latest // by instance
	cores  map[string]float64       // by instance
}

func (w *watch) second(s loadgen.Second, store *signal.Store) Progress {
	var now loadgen.Series
	for i := range s.Series {
		now.Merge(&s.Series[i])
	}
	w.counts.Add(now.Counts)
	if w.errors == nil {
		w.errors = map[loadgen.ErrorClass]int64{}
	}
	for class, n := range now.Errors {
		w.errors[class] += n
	}
	w.recent = append(w.recent, now)
	w.recent = w.recent[max(0, len(w.recent)-watched):]
	var window loadgen.Series
	for i := range w.recent {
		window.Merge(&w.recent[i])
	}
	p := Progress{
		Elapsed: s.End, Total: w.plan.Duration(), Users: s.Users, InFlight: s.InFlight,
		P50: window.Response.Quantile(0.5), P95: window.Response.Quantile(0.95), P99: window.Response.Quantile(0.99),
		LagP99: window.Lag.Quantile(0.99), Window: time.Duration(len(w.recent)) * time.Second,
		Counts: w.counts, Errors: w.errors, TargetCPU: w.targetCPU(store),
	}
	if d := s.End - s.Start; d > 0 {
		p.Rate = float64(now.Completed) / d.Seconds()
	}
	for _, ch := range s.Changes {
		p.Changes = append(p.Changes, archive.ChangeOf(w.plan, ch))
	}
	if s.Phase >= 0 {
		p.Phase = w.plan.Phases[s.Phase].Name
	}
	return p
}

// targetCPU returns the cores in use by the busiest instance that tells its
// CPU time, between the last two values it told.
func (w *watch) targetCPU(store *signal.Store) float64 {
	if w.cpu == nil {
		w.cpu, w.cores = map[string]signal.Latest{}, map[string]float64{}
	}
	busiest := -1.0
	told := append(store.Latest(names.ProcessCPUTime.Name), store.Latest(names.JVMCPUTime)...)
	for _, l := range told {
		before, ok := w.cpu[l.Instance]
		if d := l.Time - before.Time; ok && d > 0 {
			w.cores[l.Instance] = (l.Value - before.Value) / (float64(d) / 1e9)
		}
		w.cpu[l.Instance] = l
		if c, ok := w.cores[l.Instance]; ok {
			busiest = max(busiest, c)
		}
	}
	return busiest
}
