package receiver

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	collogs "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	colmetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	coltrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// Units in which a Forwarder keeps its books.
const (
	UnitSpans    = "spans"
	UnitPoints   = "points"
	UnitLogs     = "logs"
	UnitProfiles = "profiles"
)

// Reasons why something was not passed on.
const (
	ReasonQueueFull Reason = "queue_full" // the destination is slower than what comes in
	ReasonRefused   Reason = "refused"    // the destination will not have it: 400, 413 and the like
	ReasonRejected  Reason = "rejected"   // taken in part; the destination says how much not
	ReasonGaveUp    Reason = "gave_up"    // it kept failing
	ReasonShutdown  Reason = "shutdown"   // the end came first
)

// ForwardOptions bound a Forwarder. The zero value is of use.
type ForwardOptions struct {
	QueueBytes int64         // bytes of bodies that wait or are being sent; 0 is DefaultQueueBytes
	GiveUp     time.Duration // how long one body is tried; 0 is DefaultGiveUp
	Timeout    time.Duration // of one attempt; 0 is DefaultForwardTimeout

	// Transport carries the requests; nil uses connections of its own.
	Transport http.RoundTripper
}

// Bounds of a Forwarder that has none given.
const (
	DefaultQueueBytes     = 32 << 20
	DefaultGiveUp         = time.Minute
	DefaultForwardTimeout = 10 * time.Second
)

// How a Forwarder repeats itself.
const (
	firstPause  = 500 * time.Millisecond // doubled each time, up to
	longestWait = 10 * time.Second
	senders     = 4       // requests under way at once
	answerBytes = 1 << 20 // of an answer that are read
)

// A Forwarder passes bodies on to another receiver, as they came. It never
// makes a caller wait: what it cannot send it keeps within its bound, repeats
// where that can help, and otherwise counts as lost. A nil Forwarder takes
// everything and does nothing.
type Forwarder struct {
	base   *url.URL
	opt    ForwardOptions
	client *http.Client
	cut    context.Context // ends every attempt and wait
	end    context.CancelFunc
	work   sync.WaitGroup

	mu     sync.Mutex
	more   *sync.Cond // the queue has grown, or is closed
	queue  []Parcel
	bytes  int64 // of parcels that wait or are being sent
	closed bool
	stats  ForwardStats
}

// A Parcel is one body that is to be passed on.
type Parcel struct {
	Path        string // with its query
	ContentType string
	Encoding    string // content encoding; may be empty
	Body        []byte // not changed afterwards
	Unit        string // what it holds: UnitSpans, ...
	Units       int64  // how many
}

// size is what a parcel costs in memory, about.
func (p *Parcel) size() int64 { return int64(256 + len(p.Path) + len(p.Body)) }

// ForwardStats are exact counts, by unit. Received is Sent, Lost, and what
// still waits.
type ForwardStats struct {
	Received map[string]int64            `json:"received"`
	Sent     map[string]int64            `json:"sent"`
	Lost     map[string]map[Reason]int64 `json:"lost"`
}

// NewForwarder returns a forwarder to the receiver at base, such as
// http://collector:4318, and starts it. Shutdown ends it.
func NewForwarder(base string, opt ForwardOptions) (*Forwarder, error) {
	u, err := ForwardAddress(base)
	if err != nil {
		return nil, err
	}
	opt.QueueBytes = cmp.Or(opt.QueueBytes, DefaultQueueBytes)
	opt.GiveUp = cmp.Or(opt.GiveUp, DefaultGiveUp)
	opt.Timeout = cmp.Or(opt.Timeout, DefaultForwardTimeout)
	if opt.Transport == nil {
		opt.Transport = &http.Transport{
			Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: senders, MaxConnsPerHost: senders,
			IdleConnTimeout: time.Minute, DisableCompression: true, MaxResponseHeaderBytes: 64 << 10,
		}
	}
	f := &Forwarder{base: u, opt: opt, stats: ForwardStats{
		Received: map[string]int64{}, Sent: map[string]int64{}, Lost: map[string]map[Reason]int64{},
	}}
	f.client = &http.Client{
		Transport: opt.Transport, Timeout: opt.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	f.cut, f.end = context.WithCancel(context.Background())
	f.more = sync.NewCond(&f.mu)
	for range senders {
		f.work.Go(f.send)
	}
	return f, nil
}

// ForwardAddress reads the base address of a receiver; the error names the
// right form.
func ForwardAddress(base string) (*url.URL, error) {
	u, err := url.Parse(base)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.RawQuery != "" {
		return nil, fmt.Errorf("address %q: give one such as http://collector:4318", base)
	}
	return u, nil
}

// Forward puts a parcel in the queue, or counts it as lost. It does not wait.
func (f *Forwarder) Forward(p Parcel) {
	if f == nil || p.Units == 0 {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stats.Received[p.Unit] += p.Units
	size := p.size()
	switch {
	case f.closed:
		f.lose(p.Unit, ReasonShutdown, p.Units)
		return
	case f.bytes+size > f.opt.QueueBytes:
		f.lose(p.Unit, ReasonQueueFull, p.Units)
		return
	}
	f.bytes += size
	if cap(p.Body) > len(p.Body)*5/4 {
		p.Body = bytes.Clone(p.Body) // a buffer that has grown is half empty
	}
	f.queue = append(f.queue, p)
	f.more.Signal()
}

// lose counts; f.mu is held.
func (f *Forwarder) lose(unit string, why Reason, n int64) {
	if n == 0 {
		return
	}
	if f.stats.Lost[unit] == nil {
		f.stats.Lost[unit] = map[Reason]int64{}
	}
	f.stats.Lost[unit][why] += n
}

// Shutdown takes no more, sends what waits until ctx ends, and counts the rest
// as lost.
func (f *Forwarder) Shutdown(ctx context.Context) {
	if f == nil {
		return
	}
	f.mu.Lock()
	f.closed = true
	f.more.Broadcast()
	f.mu.Unlock()
	defer context.AfterFunc(ctx, f.end)()
	f.work.Wait()
	f.end()
	f.client.CloseIdleConnections()
}

// Stats returns the counts so far; none of a nil Forwarder.
func (f *Forwarder) Stats() ForwardStats {
	if f == nil {
		return ForwardStats{}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	s := ForwardStats{Received: maps.Clone(f.stats.Received), Sent: maps.Clone(f.stats.Sent), Lost: map[string]map[Reason]int64{}}
	for unit, lost := range f.stats.Lost {
		s.Lost[unit] = maps.Clone(lost)
	}
	return s
}

// send sends parcels until there are no more.
func (f *Forwarder) send() {
	for {
		p, ok := f.next()
		if !ok {
			return
		}
		lost, why := f.deliver(p)
		f.mu.Lock()
		f.bytes -= p.size()
		f.stats.Sent[p.Unit] += p.Units - lost
		f.lose(p.Unit, why, lost)
		f.mu.Unlock()
	}
}

func (f *Forwarder) next() (Parcel, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for len(f.queue) == 0 && !f.closed {
		f.more.Wait()
	}
	if len(f.queue) == 0 {
		return Parcel{}, false
	}
	p := f.queue[0]
	f.queue[0] = Parcel{} // its body may go once it is sent
	f.queue = f.queue[1:]
	return p, true
}

// deliver tries until the parcel is sent or lost, and returns how many of its
// units are lost.
func (f *Forwarder) deliver(p Parcel) (lost int64, why Reason) {
	giveUp := time.Now().Add(f.opt.GiveUp)
	for pause := firstPause; ; pause = min(2*pause, longestWait) {
		if f.cut.Err() != nil {
			return p.Units, ReasonShutdown
		}
		res, err := f.attempt(p)
		if err == nil && !res.again {
			return min(res.lost, p.Units), res.why
		}
		// Half of the pause is random, so that senders do not fall into step.
		wait := pause/2 + rand.N(pause/2)
		if res.after > 0 {
			wait = res.after
		}
		if time.Now().Add(wait).After(giveUp) {
			return p.Units, ReasonGaveUp
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-f.cut.Done():
			timer.Stop()
		}
	}
}

// attempted is what came of one attempt.
type attempted struct {
	again bool
	after time.Duration // before again, when the destination says so
	lost  int64         // units
	why   Reason
}

func (f *Forwarder) attempt(p Parcel) (attempted, error) {
	path, query, _ := strings.Cut(p.Path, "?")
	u := f.base.JoinPath(path)
	u.RawQuery = query
	req, err := http.NewRequestWithContext(f.cut, http.MethodPost, u.String(), bytes.NewReader(p.Body))
	if err != nil {
		return attempted{lost: p.Units, why: ReasonRefused}, nil //nolint:nilerr // no other attempt would do better
	}
	req.Header.Set("Content-Type", p.ContentType)
	if p.Encoding != "" {
		req.Header.Set("Content-Encoding", p.Encoding)
	}
	req.Header.Set("User-Agent", "taillight")
	res, err := f.client.Do(req)
	if err != nil {
		return attempted{}, err
	}
	answer, err := io.ReadAll(io.LimitReader(res.Body, answerBytes))
	_ = res.Body.Close()
	switch {
	case res.StatusCode/100 == 2:
		// An answer that broke off was still an answer.
		n := rejected(p.Unit, res.Header.Get("Content-Type"), answer)
		return attempted{lost: n, why: ReasonRejected}, nil
	case err != nil:
		return attempted{}, err
	case again(res.StatusCode):
		return attempted{again: true, after: parseRetryAfter(res.Header.Get("Retry-After"), time.Now())}, nil
	}
	return attempted{lost: p.Units, why: ReasonRefused}, nil
}

// again reports whether a status asks for the request to be repeated, by the
// OTLP specification.
func again(status int) bool {
	switch status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// parseRetryAfter reads seconds or a date; 0 when it is neither.
func parseRetryAfter(text string, now time.Time) time.Duration {
	if n, err := strconv.Atoi(text); err == nil && n >= 0 && n < 1<<31 {
		return time.Duration(n) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}

// rejected reads from an answer how many units were not taken.
func rejected(unit, contentType string, answer []byte) int64 {
	unmarshal := proto.Unmarshal
	if strings.HasPrefix(contentType, "application/json") {
		unmarshal = protojson.UnmarshalOptions{DiscardUnknown: true}.Unmarshal
	}
	// What is not an answer of OTLP rejects nothing.
	n, err := int64(0), error(nil)
	switch unit {
	case UnitSpans:
		var m coltrace.ExportTraceServiceResponse
		err = unmarshal(answer, &m)
		n = m.GetPartialSuccess().GetRejectedSpans()
	case UnitPoints:
		var m colmetrics.ExportMetricsServiceResponse
		err = unmarshal(answer, &m)
		n = m.GetPartialSuccess().GetRejectedDataPoints()
	case UnitLogs:
		var m collogs.ExportLogsServiceResponse
		err = unmarshal(answer, &m)
		n = m.GetPartialSuccess().GetRejectedLogRecords()
	}
	if err != nil {
		return 0
	}
	return max(0, n)
}

// parcelOf is the parcel of a request that was taken.
func parcelOf(r *http.Request, path string, raw []byte, unit string, units int64) Parcel {
	return Parcel{
		Path: path, ContentType: r.Header.Get("Content-Type"), Encoding: r.Header.Get("Content-Encoding"),
		Body: raw, Unit: unit, Units: units,
	}
}
