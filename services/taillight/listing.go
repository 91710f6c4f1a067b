package main

import (
	"io/fs"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/taillight-load/taillight/telemetry/archive"
	"github.com/taillight-load/taillight/telemetry/signal"
)

// listedRun is a run in the list of all runs.
type listedRun struct {
	ID        string         `json:"id"`
	Name      string         `json:"name"`
	Verdict   signal.Verdict `json:"verdict"`
	Reason    string         `json:"reason"`
	Started   time.Time      `json:"started"`
	Ended     time.Time      `json:"ended"` // zero while it goes on, or when it was killed
	Running   bool           `json:"running"`
	Target    string         `json:"target"`     // URL
	Users     float64        `json:"users"`      // the most that it was to have at once; 0 is none
	AskedRate float64        `json:"rate"`       // the largest that it was to have, of iterations per second; 0 is none
	Planned   int64          `json:"planned"`    // requests
	Sent      int64          `json:"sent"`       // requests
	Completed int64          `json:"completed"`  // requests that were answered OK
	Failed    int64          `json:"failed"`     // requests
	Unsent    int64          `json:"unsent"`     // requests
	Rate      float64        `json:"rate_per_s"` // of OK answers
	N         int64          `json:"n"`          // answers behind the percentiles
	P50       float64        `json:"p50_s"`      // of the response time; 0 is none
	P95       float64        `json:"p95_s"`      // same
	P99       float64        `json:"p99_s"`      // same
	Tier      signal.Tier    `json:"tier"`
	HasReport bool           `json:"report"`
}

// listing reads the runs of a directory. A run is read again when its document
// changed: the page asks every few seconds, and a document can be large. The
// zero listing has read none.
type listing struct {
	mu   sync.Mutex
	runs map[string]readRun // by the name of the directory
}

type readRun struct {
	run      listedRun
	modified time.Time
	size     int64
}

// read returns the runs in dir, newest first. What cannot be read as a run is
// left out, and so is what only a link out of dir leads to: its files are not
// to be had either.
func (l *listing) read(dir string) []listedRun {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil
	}
	defer func() { _ = root.Close() }() // only read
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	before := l.runs
	l.runs = make(map[string]readRun, len(entries))
	var out []listedRun
	for _, e := range entries {
		id := e.Name()
		if r, ok := readAgain(root, id, before[id]); ok {
			l.runs[id] = r
			out = append(out, r.run)
		}
	}
	slices.SortFunc(out, func(a, b listedRun) int { return b.Started.Compare(a.Started) })
	return out
}

// readAgain reads a run of which r is known, as far as it changed since, and
// reports whether there is one.
func readAgain(runs *os.Root, id string, r readRun) (readRun, bool) {
	dir, err := openRunIn(runs, id)
	if err != nil {
		return r, false
	}
	defer func() { _ = dir.Close() }() // only read
	info, err := dir.Lstat("run.json")
	if err != nil {
		return r, false
	}
	if !r.same(info) {
		doc, err := archive.ReadDocumentIn(dir)
		if err != nil {
			return r, false
		}
		r = readRun{run: listed(id, doc), modified: info.ModTime(), size: info.Size()}
	}
	report, err := dir.Lstat(reportName)
	r.run.HasReport = err == nil && report.Mode().IsRegular()
	return r, true
}

func (r readRun) same(info fs.FileInfo) bool {
	return info.ModTime().Equal(r.modified) && info.Size() == r.size
}

func listed(id string, d *archive.Document) listedRun {
	t, l := &d.Totals, &d.Latency.Response
	users, rate := heaviest(&d.Plan)
	for _, c := range d.Changes {
		if c.Users != nil {
			users = max(users, float64(*c.Users))
		}
		if c.Rate != nil {
			rate = max(rate, *c.Rate)
		}
	}
	return listedRun{
		ID: id, Name: d.Name, Verdict: d.Verdict, Reason: d.Reason, Started: d.Started, Ended: d.Ended, Target: d.Plan.Target, Users: users, AskedRate: rate,
		Planned: t.Planned, Sent: t.Sent, Completed: t.Completed, Failed: t.Failed, Unsent: t.Unsent, Rate: t.Rate,
		N: l.N, P50: l.P50, P95: l.P95, P99: l.P99, Tier: d.Signals.Tier,
	}
}
