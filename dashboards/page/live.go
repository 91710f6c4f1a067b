package page

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/taillight-load/taillight/dashboards/sse"
	"github.com/taillight-load/taillight/telemetry/archive"
)

// LiveOptions change how a Live treats its readers.
type LiveOptions = sse.Options

// A Live is the events of a run that goes on, and the handler that sends them
// to whoever watches: server-sent events, of which each carries one event of
// the page as JSON. To the three of a report (see the package) it adds
//
//	stage       what is waited for, before the load and after it
//	thresholds  how the thresholds of the plan stand, after each second
//	report      the events of the finished report, packed as the file packs them
//	failed      why there is no report
//
// of which the last two end the stream. A "second" whose start is that of the
// one before replaces it, and a "config" begins anew: it comes again when a
// long run gets wider columns. A reader that comes back gets what came since;
// one that comes new gets all that stands (see sse.Stream).
//
// What stands is bounded: MaxColumns seconds, and one of each other kind.
// Readers never make Second wait, whatever they do.
//
// Begin, Thresholds, Second and End are for one goroutine; everything else is for any. The
// methods of a nil *Live do nothing, for a run that nobody watches.
type Live struct {
	stream  *sse.Stream
	columns *columns // of the load; nil before and after it
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
func NewLive(o LiveOptions) *Live { return &Live{stream: sse.New(o)} }

// ServeHTTP sends the events to one reader (see sse.Stream).
func (l *Live) ServeHTTP(w http.ResponseWriter, q *http.Request) { l.stream.ServeHTTP(w, q) }

// Begin tells what is to be done, just before the load: doc as it is written
// into the run's directory then.
func (l *Live) Begin(doc archive.Document) {
	if l == nil {
		return
	}
	l.columns = newColumns(configOf(&archive.Run{Document: doc}, 1))
	l.stream.Tell(eventOf("config", l.columns.config))
}

// Second tells what happened in a second: its counts, and the histograms of
// that second, which it reads and does not keep. It never waits for a reader.
func (l *Live) Second(s archive.Second, histograms []archive.Interval) {
	if l == nil || l.columns == nil {
		return
	}
	widened := l.columns.add(s, histograms)
	if !widened {
		l.stream.Tell(secondOf(l.columns.last()))
		return
	}
	all := []sse.Event{eventOf("config", l.columns.config)}
	for _, e := range l.columns.events() {
		all = append(all, secondOf(e))
	}
	l.stream.Drop(func(e sse.Event) bool { return strings.HasPrefix(e.Key, secondKey) })
	l.stream.Tell(all...)
}

// standing is how the thresholds stand.
type standing struct {
	Type string  `json:"type"` // thresholds
	At   float64 `json:"t"`    // seconds since the run's start
	List any     `json:"list"` // of archive.Document.Thresholds, in the order of the plan
	Cut  int     `json:"cut,omitempty"`
}

// Thresholds tells how the thresholds of the plan stand, so long after the
// load's start: those of doc, of which nothing else is read. Of more than
// MaxRows the rest is counted.
func (l *Live) Thresholds(at time.Duration, doc archive.Document) {
	list := doc.Thresholds
	if l == nil || l.columns == nil || len(list) == 0 {
		return
	}
	told := list[:min(len(list), MaxRows)]
	l.stream.Tell(eventOf("thresholds", standing{Type: "thresholds", At: compactTime(at.Seconds()), List: told, Cut: len(list) - len(told)}))
}

// secondKey begins the key of a second: that of its start follows.
const secondKey = "second "

func secondOf(e *second) sse.Event {
	return eventOf(secondKey+strconv.FormatFloat(e.At, 'g', -1, 64), e)
}

// Stage tells what is waited for before and after the load.
func (l *Live) Stage(what string) {
	if l != nil {
		l.stream.Tell(eventOf("stage", stage{Type: "stage", Stage: what}))
	}
}

// End tells the whole result, and ends the stream.
func (l *Live) End(r *Report) {
	if l == nil {
		return
	}
	l.columns = nil
	l.stream.End(eventOf("report", packed{Type: "report", Events: r.events}), everything)
}

// Fail tells why there will be no result, and ends the stream. After the end
// it does nothing.
func (l *Live) Fail(err error) {
	if l != nil {
		l.stream.End(eventOf("failed", failed{Type: "failed", Error: err.Error()}), everything)
	}
}

// everything is no more needed once a run has its result.
func everything(sse.Event) bool { return true }

// Linger waits, once the last event is told, until every reader has been sent
// it, and for a moment where the only reader is just loading the page again.
// Ctx cuts it short. Where nobody ever read it returns at once.
func (l *Live) Linger(ctx context.Context) {
	if l != nil {
		l.stream.Linger(ctx)
	}
}

// Close lets no reader in any more, and waits until all have gone, at the
// latest when ctx ends.
func (l *Live) Close(ctx context.Context) {
	if l != nil {
		l.stream.Close(ctx)
	}
}

// eventOf writes an event down. One with the same key takes its place.
func eventOf(key string, event any) sse.Event {
	data, err := json.Marshal(event)
	if err != nil {
		// Not the run's failure: a page that says so is all that is lost.
		key = "stage"
		data, _ = json.Marshal(stage{Type: key, Stage: "an event could not be written: " + err.Error()})
	}
	return sse.Event{Key: key, Data: data}
}
