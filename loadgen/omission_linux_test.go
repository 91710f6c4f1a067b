package loadgen_test

import (
	"flag"
	"fmt"
	"math"
	"slices"
	"sync"
	"testing"
	"time"
)

var freezeTime = flag.Duration("freeze", time.Second, "how long the server of BenchmarkOmission freezes, in a run of 60 times that")

const (
	omissionRate  = 200
	omissionDelay = 10 * time.Millisecond
	freezeAfter   = 30 // times the freeze
	freezeRun     = 60
)

// BenchmarkOmission lets every generator do the same 200 requests a second
// against a server of its own that answers nothing for 1 s in the middle of 60,
// and holds what each prints against what its server's log says: when each
// request was answered, less when it was due. Due times are found as in
// BenchmarkLag. Where fewer requests came than were due, no log can say when
// the missing ones would have been answered; but the server can: at the end of
// its freeze, or after its usual time.
//
//	go test -run '^$' -bench Omission -benchtime 1x -timeout 30m ./loadgen
//
// With -freeze 100ms a run takes 6 s; what throws its first 10 s away, as wrk2
// does, is then left out. Generators run a few at a time, on all cores: at 200
// requests a second they leave each other room.
func BenchmarkOmission(b *testing.B) {
	freeze := *freezeTime
	if testing.Short() {
		freeze = min(freeze, 100*time.Millisecond)
	}
	load := peerLoad{Name: "omission", Connections: 50, Rate: omissionRate}
	groups := omissionGroups()
	var all []peer
	for i := range groups {
		groups[i] = presentPeers(b, load, groups[i])
		all = append(all, groups[i]...)
	}
	results := map[string][]omitted{}
	for b.Loop() {
		for _, group := range groups {
			for name, o := range omitTogether(b, group, load, freeze) {
				results[name] = append(results[name], o)
			}
		}
	}
	t := table{name: "omission"}
	t.note("%d requests a second for %s, of which the server is frozen for %s. Milliseconds, as printed / as the server's log has it; rounds: %d.", omissionRate, freezeRun*freeze, freeze, b.N)
	t.parts = [][][]string{omissionRows(names(all), results)}
	t.print(b)
	if ours := results[ours]; len(ours) > 0 {
		b.ReportMetric(ours[0].worst()*1e3, "ms-off")
	}
}

// omissionGroups are those that run together.
func omissionGroups() [][]peer {
	named := map[string]peer{}
	for _, p := range peers() {
		named[p.name] = p
	}
	plain := named["oha"]
	plain.name, plain.args = "oha, as it is", func(j *peerJob) []string {
		return slices.DeleteFunc(ohaArgs(j), func(arg string) bool { return arg == "--latency-correction" })
	}
	corrected := named["oha"]
	corrected.name = "oha --latency-correction"
	return [][]peer{
		{named[ours], named["vegeta"], named["wrk2"], named["fortio"]},
		{k6Peer("k6, 50 VUs", 50), k6Peer("k6, 250 VUs", 250), plain, corrected},
		{named["locust HttpUser"]},
	}
}

// omitted is what one generator printed, and what was true.
type omitted struct {
	came, planned int
	said, truth   said
}

// omitTogether lets a group work at once, each against a port of its own.
func omitTogether(b *testing.B, group []peer, load peerLoad, freeze time.Duration) map[string]omitted {
	b.Helper()
	server := startPeerServer(b, serverKind{Notes: true, Delay: omissionDelay, Freeze: freeze, Ports: len(group)}, "")
	seconds := int(math.Round((freezeRun * freeze).Seconds()))
	var wg sync.WaitGroup
	done := make([]work, len(group))
	failed := make([]error, len(group))
	for i := range group {
		job := &peerJob{peerLoad: load, Seconds: max(1, seconds), URL: server.urls[i], Dir: b.TempDir()}
		if group[i].warmsUp >= job.Seconds/2 {
			failed[i] = fmt.Errorf("needs %d s before its figures begin", group[i].warmsUp)
			continue
		}
		wg.Go(func() { done[i], failed[i] = group[i].work(b.Context(), job, "") })
	}
	wg.Wait()
	all := map[string]omitted{}
	for i := range group {
		log, err := server.log(i)
		if err == nil {
			err = failed[i]
		}
		if err != nil || len(log.Noted) < omissionRate || log.Froze == 0 {
			say(b, "%s: left out: %d requests, %v", group[i].name, len(log.Noted), err)
			continue
		}
		o := omitted{came: len(log.Noted), planned: omissionRate * done[i].job.Seconds, said: done[i].said}
		o.truth = truthOf(&log, o.planned, omissionRate*group[i].warmsUp)
		all[group[i].name] = o
	}
	return all
}

// truthOf returns how long after they were due the requests of a log were
// answered, without the first ones, which are not in the generator's figures.
func truthOf(log *serverLog, planned, skip int) said {
	slices.SortFunc(log.Noted, func(a, b noted) int { return int(a.Came - b.Came) })
	// What came too much came first: connections are tried out.
	notes := log.Noted[max(0, len(log.Noted)-planned):]
	came := make([]int64, 0, len(notes))
	var usual []float64
	for i := range notes {
		came = append(came, notes[i].Came)
		if notes[i].Wrote < log.Froze {
			usual = append(usual, float64(notes[i].Wrote-notes[i].Came)/1e9)
		}
	}
	slices.Sort(usual)
	behind := behindSchedule(came)
	all := make([]float64, 0, planned)
	for k := skip; k < planned; k++ {
		if len(notes) == planned {
			all = append(all, float64(notes[k].Wrote-notes[k].Came)/1e9+behind[k])
			continue
		}
		due := came[0] + int64(k)*int64(time.Second)/omissionRate
		took := rankOf(usual, float64(k*7919%planned+1)/float64(planned)) // every one of the usual times, in no order
		if end := due + int64(took*1e9); end > log.Froze && end < log.Thawed {
			took = float64(log.Thawed-due) / 1e9
		}
		all = append(all, took)
	}
	slices.Sort(all)
	return said{rankOf(all, 0.5), rankOf(all, 0.9), rankOf(all, 0.99), rankOf(all, 0.999), all[len(all)-1]}
}

func (v said) list() []float64 { return []float64{v.P50, v.P90, v.P99, v.P999, v.Max} }

// worst is the largest distance of a figure from the truth, in seconds.
func (o omitted) worst() float64 {
	worst, truth := 0.0, o.truth.list()
	for i, v := range o.said.list() {
		if !math.IsNaN(v) {
			worst = max(worst, math.Abs(v-truth[i]))
		}
	}
	return worst
}

func omissionRows(order []string, results map[string][]omitted) [][]string {
	rows := [][]string{{"", "sent of planned", "p50", "p90", "p99", "p99.9", "max", "farthest off"}}
	for _, name := range order {
		for _, o := range results[name] {
			row := []string{name, fmt.Sprintf("%d of %d", o.came, o.planned)}
			truth := o.truth.list()
			for i, v := range o.said.list() {
				row = append(row, inMS(v)+" / "+inMS(truth[i]))
			}
			rows = append(rows, append(row, inMS(o.worst())))
		}
	}
	return rows
}

func inMS(seconds float64) string {
	if math.IsNaN(seconds) {
		return "-"
	}
	return fmt.Sprintf("%.1f", seconds*1e3)
}

// The log's truth is that of the schedule, whether all that was due came or a
// part of it did not.
func TestTruthOfAFrozenServer(t *testing.T) {
	const seconds, rate = 60, omissionRate
	const freeze, thaw = int64(30e9), int64(31e9)
	var whole, gap serverLog
	for k := range int64(seconds * rate) {
		n := noted{Came: 1e18 + k*1e9/rate}
		n.Wrote = n.Came + 10e6
		if n.Wrote > 1e18+freeze && n.Wrote < 1e18+thaw {
			n.Wrote = 1e18 + thaw
		}
		whole.Noted = append(whole.Noted, n)
		if n.Came < 1e18+freeze+250e6 || n.Came > 1e18+thaw { // 50 clients were stuck by then
			gap.Noted = append(gap.Noted, n)
		}
	}
	for name, log := range map[string]*serverLog{"whole": &whole, "gap": &gap} {
		log.Froze, log.Thawed = 1e18+freeze, 1e18+thaw
		got := truthOf(log, seconds*rate, 0)
		for i, want := range []float64{0.010, 0.010, 0.410, 0.950, 1.010} {
			if d := math.Abs(got.list()[i] - want); d > 0.006 {
				t.Errorf("%s: %v, of which number %d should be %g", name, got, i+1, want)
			}
		}
	}
}
