package page

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/taillight-load/taillight/telemetry/archive"
)

// LiveOptions change how a Live treats its readers.
type LiveOptions struct {
	// Patience is how long a reader may take nothing before it is dropped, and
	// how often one that has nothing to read is told that the stream stands:
	// twice in it. 10 s when zero.
	Patience time.Duration
}

// defaultPatience is above what a browser needs that draws the largest report.
const defaultPatience = 10 * time.Second

// A Live is the events of a run that goes on, and the handler that sends them
// to whoever watches: server-sent events, of which each carries one event of
// the page as JSON. To the three of a report (see the package) it adds
//
//	stage   what is waited for, before the load and after it
//	report  the events of the finished report, packed as the file packs them
//	failed  why there is no report
//
// of which the last two end the stream. A "second" whose start is that of the
// one before replaces it, and a "config" begins anew: it comes again when a
// long run gets wider columns. A reader that comes back tells the last id it
// saw, and gets what came since; one that comes new gets all that stands.
//
// What stands is bounded: MaxColumns seconds, and one of each other kind. A
// reader holds a place in it and nothing more, so one that stops reading costs
// its connection until its patience ends, and never makes Second wait.
//
// Begin, Second and End are for one goroutine; everything else is for any. The
// methods of a nil *Live do nothing, for a run that nobody watches.
type Live struct {
	patience time.Duration
	epoch    string // of its ids: a run before it at the same address had others

	columns *columns // of the load; nil before and after it

	mu      sync.Mutex
	log     []told
	next    int           // number of the next event
	changed chan struct{} // closed, and replaced, when anything below or above does
	over    bool          // the last event stands in log
	readers int
	entered int  // readers that ever came
	watched bool // somebody read
	served  bool // somebody was sent the last event
}

// told is one event as it is sent.
type told struct {
	number int
	kind   string
	at     float64 // of a second
	data   []byte  // JSON without a line break
}

// stage is what a run waits for.
type stage struct {
	Type  string `json:"type"` // stage
	Stage string `json:"stage"`
}

// failed is why a run has no report.
type failed struct {
	Type  string `json:"type"` // failed
	Error string `json:"error"`
}

// packed is the finished report.
type packed struct {
	Type   string `json:"type"`   // report
	Events string `json:"events"` // JSON lines, gzipped, in base64
}

// NewLive returns the events of a run that is yet to begin.
func NewLive(o LiveOptions) *Live {
	if o.Patience <= 0 {
		o.Patience = defaultPatience
	}
	epoch := make([]byte, 4)
	_, _ = rand.Read(epoch) // never fails
	return &Live{patience: o.Patience, epoch: hex.EncodeToString(epoch), changed: make(chan struct{})}
}

// Begin tells what is to be done, just before the load: doc as it is written
// into the run's directory then.
func (l *Live) Begin(doc archive.Document) {
	if l == nil {
		return
	}
	l.columns = newColumns(configOf(&archive.Run{Document: doc}, 1))
	l.tell(false, l.encode("config", 0, l.columns.config))
}

// Second tells what happened in a second: its counts, and the histograms of
// that second, which it reads and does not keep. It never waits for a reader.
func (l *Live) Second(s archive.Second, histograms []archive.Interval) {
	if l == nil || l.columns == nil {
		return
	}
	widened := l.columns.add(s, histograms)
	if !widened {
		e := l.columns.last()
		l.tell(false, l.encode("second", e.At, e))
		return
	}
	all := []told{l.encode("config", 0, l.columns.config)}
	for _, e := range l.columns.events() {
		all = append(all, l.encode("second", e.At, e))
	}
	l.mu.Lock()
	l.log = slices.DeleteFunc(l.log, func(t told) bool { return t.kind == "second" })
	l.mu.Unlock()
	l.tell(false, all...)
}

// Stage tells what is waited for before and after the load.
func (l *Live) Stage(what string) {
	if l != nil {
		l.tell(false, l.encode("stage", 0, stage{Type: "stage", Stage: what}))
	}
}

// End tells the whole result, and ends the stream.
func (l *Live) End(r *Report) {
	if l == nil {
		return
	}
	l.columns = nil
	l.tell(true, l.encode("report", 0, packed{Type: "report", Events: r.events}))
}

// Fail tells why there will be no result, and ends the stream. After the end
// it does nothing.
func (l *Live) Fail(err error) {
	if l != nil {
		l.tell(true, l.encode("failed", 0, failed{Type: "failed", Error: err.Error()}))
	}
}

func (l *Live) encode(kind string, at float64, event any) told {
	data, err := json.Marshal(event)
	if err != nil {
		// Not the run's failure: a page that says so is all that is lost.
		kind = "stage"
		data, _ = json.Marshal(stage{Type: kind, Stage: "an event could not be written: " + err.Error()})
	}
	return told{kind: kind, at: at, data: data}
}

// tell adds events to what stands, in place of what they replace.
func (l *Live) tell(last bool, events ...told) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over {
		return
	}
	if l.over = last; last {
		l.log = nil
	}
	for _, e := range events {
		e.number = l.next
		l.next++
		if i := l.replaced(e); i >= 0 {
			l.log = slices.Delete(l.log, i, i+1)
		}
		l.log = append(l.log, e)
	}
	l.wake()
}

// replaced returns the place of the event that e takes the place of, or -1.
// Locked.
func (l *Live) replaced(e told) int {
	if e.kind != "second" {
		return slices.IndexFunc(l.log, func(t told) bool { return t.kind == e.kind })
	}
	for i, t := range slices.Backward(l.log) {
		if t.kind == "second" {
			if t.at == e.at {
				return i
			}
			break
		}
	}
	return -1
}

// wake tells everybody who waits to look again. Locked.
func (l *Live) wake() {
	close(l.changed)
	l.changed = make(chan struct{})
}

// after returns the events from number n on, what is closed when there is
// more to know, and whether the last of them is the last of all.
func (l *Live) after(n int) (events []told, more <-chan struct{}, over bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	from, _ := slices.BinarySearchFunc(l.log, n, func(t told, n int) int { return t.number - n })
	// A copy: events are taken out of the log.
	return slices.Clone(l.log[from:]), l.changed, l.over
}

// id is how a reader says which event it saw last.
func (l *Live) id(t told) string { return l.epoch + "-" + strconv.Itoa(t.number) }
