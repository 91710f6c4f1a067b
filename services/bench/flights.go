package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/telemetry/archive"
	"github.com/taillight-load/taillight/telemetry/flight"
	"github.com/taillight-load/taillight/telemetry/names"
	"github.com/taillight-load/taillight/telemetry/signal"
)

// Why a flight recording is asked for.
const (
	whySlow     = "slow"      // an exchange was slow
	whyRandom   = "random"    // for contrast
	whyPhaseEnd = "phase-end" // a phase is over
)

// When flight recordings are asked for. A recording holds about 3 s, so asking
// within a second or two of what it is to show is soon enough.
const (
	slowQuantile = 0.995            // of the responses so far: beyond it an exchange is slow
	slowFrom     = 200              // answers that are needed to know that quantile
	slowApart    = 10 * time.Second // at least, between two recordings for slow exchanges
	mostSlow     = 10
	randomOnes   = 2
	randomLatest = 3 * time.Second // before the end: later ones would give way to that of the last phase's end
)

// Bounds of fetching one.
const (
	flightWait  = 20 * time.Second
	flightBytes = 128 << 20
)

// Reasons in run.json's signals.flights_lost: the first four count recordings,
// the others requests.
const (
	lostUnfetched  = "unfetched"    // the target did not give it
	lostBusy       = "busy"         // another one was being fetched
	lostUnreadable = "unreadable"   // the trace could not be read to its end
	lostUnwritten  = "unwritten"    // the archive had no room
	lostCutStart   = "cut_at_start" // under way when a recording begins
	lostCutEnd     = "cut_at_end"   // under way when a recording ends
	lostTwice      = "duplicate"    // in an earlier recording too
)

// flights fetches flight recordings from the target while the load runs and
// reads them when it is over, for reading costs CPU. A nil flights is off.
type flights struct {
	url, token string
	client     *http.Client
	archive    *archive.Writer

	// Of the goroutine that is told the seconds.
	limit  time.Duration   // of the latency thresholds, 0 without one
	random []time.Duration // offsets, ascending, at which to ask whatever happens
	seen   loadgen.Distribution
	slow   int
	last   time.Duration // end of the second that asked for the last slow one
	phase  int
	asked  bool // the end of the last phase has been asked for

	ask     chan string // why
	ctx     context.Context
	cancel  context.CancelFunc
	working sync.WaitGroup

	mu    sync.Mutex
	files []string // within the run's flight/
	lost  map[string]int64
	note  string // the first failure
}

// newFlights asks the service whose admin pages are at base.
func newFlights(base, token string, p *loadgen.Plan, w *archive.Writer) *flights {
	f := &flights{
		url: base + names.FlightPath, token: token, archive: w,
		client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: flightWait},
		limit:  slowestAllowed(p), random: randomOffsets(p), ask: make(chan string, 1), lost: map[string]int64{},
	}
	f.ctx, f.cancel = context.WithCancel(context.Background())
	return f
}

// slowestAllowed is the longest time that a latency threshold allows.
func slowestAllowed(p *loadgen.Plan) time.Duration {
	var most time.Duration
	for i := range p.Thresholds {
		t := &p.Thresholds[i]
		if (t.Op == "<" || t.Op == "<=") && !slices.Contains([]string{"errors", "unsent", "rate"}, t.Metric) {
			most = max(most, time.Duration(t.Value*float64(time.Second)))
		}
	}
	return most
}

// randomOffsets draws by the plan's seed, so that the same run asks at the
// same times.
func randomOffsets(p *loadgen.Plan) []time.Duration {
	r := rand.New(rand.NewPCG(p.Seed, 0x666c69676874)) // "flight": a stream of its own
	var at []time.Duration
	for range randomOnes {
		at = append(at, time.Duration(r.Int64N(max(1, int64(p.Duration()-randomLatest)))))
	}
	slices.Sort(at)
	return at
}

// start begins to fetch what second asks for.
func (f *flights) start() {
	if f == nil {
		return
	}
	f.working.Go(func() {
		for why := range f.ask {
			f.fetch(why)
		}
	})
}

// second is told every second of the load, in order.
func (f *flights) second(s loadgen.Second) {
	if f == nil {
		return
	}
	if why := f.due(s); why != "" {
		select {
		case f.ask <- why:
		default:
			f.lose(lostBusy, 1, nil)
		}
	}
	for i := range s.Series {
		f.seen.Merge(s.Series[i].Response)
	}
	f.phase = s.Phase
}

// due says why to ask now, "" not to. One recording a second is enough; what
// is put off comes with the next.
func (f *flights) due(s loadgen.Second) string {
	switch {
	case s.Phase != f.phase:
		f.asked = s.Phase < 0
		return whyPhaseEnd
	case f.slow < mostSlow && (f.slow == 0 || s.End-f.last >= slowApart) && f.isSlow(s.Kept):
		f.slow++
		f.last = s.End
		return whySlow
	case len(f.random) > 0 && s.End >= f.random[0]:
		f.random = f.random[1:]
		return whyRandom
	}
	return ""
}

// isSlow looks for an answer beyond both the thresholds' limit and the
// quantile of all before this second.
func (f *flights) isSlow(kept []loadgen.Exchange) bool {
	if f.seen.N() < slowFrom {
		return false
	}
	limit := max(f.limit, f.seen.Quantile(slowQuantile))
	return slices.ContainsFunc(kept, func(x loadgen.Exchange) bool {
		return x.Status != 0 && x.Response() > limit
	})
}

// end fetches what was asked for, and the end of the last phase, and waits for
// it; cut breaks it off.
func (f *flights) end(cut <-chan struct{}) {
	if f == nil {
		return
	}
	done := make(chan struct{})
	go func() { // it ends with the fetching, which end waits for
		select {
		case <-cut:
			f.cancel()
		case <-done:
		}
	}()
	if !f.asked {
		select {
		case f.ask <- whyPhaseEnd:
		case <-f.ctx.Done():
		}
	}
	close(f.ask)
	f.working.Wait()
	close(done)
	f.cancel()
}

// stop ends it without another recording.
func (f *flights) stop() {
	if f == nil || f.ctx.Err() != nil {
		return
	}
	f.cancel()
	close(f.ask)
	f.working.Wait()
}

func (f *flights) fetch(why string) {
	taken := time.Now()
	data, err := f.get()
	if err != nil {
		f.lose(lostUnfetched, 1, fmt.Errorf("flight recording from %s: %w", f.url, err))
		return
	}
	name, err := f.archive.Flight(taken, why, data)
	if err != nil || name == "" {
		f.lose(lostUnwritten, 1, err)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.files = append(f.files, name)
}

func (f *flights) get() ([]byte, error) {
	req, err := http.NewRequestWithContext(f.ctx, http.MethodGet, f.url, http.NoBody)
	if err != nil {
		return nil, err
	}
	if f.token != "" {
		req.Header.Set("Authorization", "Bearer "+f.token)
	}
	res, err := f.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		said, _ := io.ReadAll(io.LimitReader(res.Body, 200)) // what came of it will do
		return nil, fmt.Errorf("it answers %s: %s", res.Status, said)
	}
	data, err := io.ReadAll(io.LimitReader(res.Body, flightBytes+1))
	if err == nil && len(data) > flightBytes {
		err = fmt.Errorf("it has more than %d MiB", flightBytes>>20)
	}
	return data, err
}

func (f *flights) lose(reason string, n int, err error) {
	if n == 0 {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lost[reason] += int64(n)
	if f.note == "" && err != nil {
		f.note = err.Error()
	}
}

// decode reads the recordings that were fetched into timelines, each request
// once, and archives them. It comes after end.
func (f *flights) decode(dir string) {
	if f == nil {
		return
	}
	type id struct {
		trace signal.TraceID
		span  signal.SpanID
	}
	seen := map[id]bool{}
	for _, name := range f.files {
		rec, err := decodeFile(filepath.Join(dir, "flight", name))
		if err != nil {
			f.lose(lostUnreadable, 1, fmt.Errorf("flight recording %s: %w", name, err))
		}
		if rec == nil {
			continue
		}
		whole := len(rec.Timelines)
		rec.Timelines = slices.DeleteFunc(rec.Timelines, func(t signal.Timeline) bool {
			key := id{t.TraceID, t.SpanID}
			again := !t.TraceID.IsZero() && seen[key]
			seen[key] = true
			return again
		})
		f.lose(lostTwice, whole-len(rec.Timelines), nil)
		f.lose(lostCutStart, rec.CutAtStart, nil)
		f.lose(lostCutEnd, len(rec.Unfinished), nil)
		_ = f.archive.Timelines(name, rec.Timelines) // the archive reports a failed write at the end of the run
	}
}

func decodeFile(path string) (*flight.Recording, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	rec, err := flight.Decode(file)
	return rec, errors.Join(err, file.Close())
}

// count notes in run.json what was lost.
func (f *flights) count(s *archive.Signals) {
	if f == nil {
		return
	}
	if len(f.lost) > 0 {
		s.FlightsLost = f.lost
	}
	s.FlightNote = f.note
}
