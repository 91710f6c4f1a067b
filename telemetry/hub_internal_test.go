package telemetry

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/pprof/profile"
	"github.com/grafana/pyroscope-go/upstream"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"pgregory.net/rapid"

	"github.com/taillight-load/taillight/telemetry/names"
)

// made makes a CPU profile of records with these labels, one sample each.
func made(labels []string, at int) *profile.Profile {
	p := emptyProfile()
	f := &profile.Function{ID: 1, Name: "main.work"}
	l := &profile.Location{ID: 1, Line: []profile.Line{{Function: f}}}
	p.Function, p.Location = []*profile.Function{f}, []*profile.Location{l}
	for i, label := range labels {
		s := &profile.Sample{Location: p.Location, Value: []int64{1, 1e7}, Label: map[string][]string{
			"unique": {fmt.Sprintf("%d-%d", at, i)}, // no two records are one
		}}
		if label != "" {
			s.Label[names.LabelRecording] = []string{label}
		}
		p.Sample = append(p.Sample, s)
	}
	return p
}

// receiver is a Pyroscope that takes only some of what it is sent.
type receiver struct {
	*httptest.Server
	mu      sync.Mutex
	answers []int // statuses of the next uploads; then 200
	samples int64 // taken
	most    int   // records in one upload
	private int   // records with a label that should be gone
}

func newReceiver(t *testing.T, answers ...int) *receiver {
	r := &receiver{answers: answers}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		f, _, err := req.FormFile("profile")
		if err != nil {
			t.Errorf("upload: %v", err)
			return
		}
		p, err := profile.Parse(f)
		if err != nil {
			t.Errorf("upload: %v", err)
			return
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		if len(r.answers) > 0 {
			status := r.answers[0]
			if r.answers = r.answers[1:]; status != http.StatusOK {
				w.WriteHeader(status)
				return
			}
		}
		r.samples += sampleCount(p)
		r.most = max(r.most, len(p.Sample))
		r.private += len(byLabel(p, names.LabelRecording))
	}))
	return r
}

// fed returns a hub that gets its segments from a test.
func fed(t interface{ Fatal(...any) }, lost *losses, addresses ...string) *hub {
	h := newHub(lost)
	for _, a := range addresses {
		u, err := newUpload(context.Background(), lost, a, nil)
		if err != nil {
			t.Fatal(err)
		}
		u.remote.Start()
		h.uploads = append(h.uploads, u)
	}
	return h
}

func feed(h *hub, p *profile.Profile, from, until time.Time) {
	var b bytes.Buffer
	_ = p.Write(&b)
	s := &session{hub: h, jobs: make(chan *upstream.UploadJob, 1), begun: make(chan struct{})}
	s.Upload(&upstream.UploadJob{Name: "shop", StartTime: from, EndTime: until, Format: upstream.FormatPprof, Profile: b.Bytes()})
	close(s.jobs)
	s.read()
}

// What is handed out and what has no recording add up to what is in the
// segments, and that to what a receiver took and what is counted as lost.
func TestSamplesAreConserved(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		lost := &losses{}
		good := newReceiver(t)
		defer good.Close()
		bad := newReceiver(t, rapid.SliceOfN(rapid.SampledFrom([]int{200, 204, 302, 429, 500}), 0, 9).Draw(rt, "answers")...)
		defer bad.Close()
		h := fed(t, lost, good.URL, bad.URL)
		var all []*Recording
		for _, id := range []string{"a", "b"} {
			r := &Recording{hub: h, id: id, release: func() {}}
			h.recordings[id] = r
			all = append(all, r)
		}
		var in, unlabelled int64
		at := time.Unix(1_700_000_000, 0)
		for i := range rapid.IntRange(1, 5).Draw(rt, "segments") {
			labels := rapid.SliceOfN(rapid.SampledFrom([]string{"", "a", "b", "gone"}), 0, 30).Draw(rt, "labels")
			for _, l := range labels {
				if l == "" || l == "gone" {
					unlabelled++
				}
			}
			in += int64(len(labels))
			feed(h, made(labels, i), at, at.Add(time.Second))
			at = at.Add(time.Second)
		}
		var handed int64
		h.ended = true // nothing comes any more
		for _, r := range all {
			p, err := r.Stop(t.Context())
			if err != nil {
				rt.Fatal(err)
			}
			if n := sampleCount(p.Profile); n != p.Samples || len(byLabel(p.Profile, names.LabelRecording)) > 0 {
				rt.Errorf("%d samples, said to be %d", n, p.Samples)
			}
			handed += p.Samples
		}
		h.uploads.finish()
		if handed+unlabelled != in || good.samples != in || bad.samples+lost.sum().Samples != in || good.private+bad.private > 0 {
			rt.Errorf("%d in the segments: %d handed out + %d unlabelled; %d received; %d received + %+v", in, handed, unlabelled,
				good.samples, bad.samples, lost.sum())
		}
	})
}

// A segment with more records than a receiver takes goes up in parts.
func TestALargeSegmentIsSplit(t *testing.T) {
	const n, most = 16_001, 8_000
	in, lost := newReceiver(t), &losses{}
	defer in.Close()
	h := fed(t, lost, in.URL)
	now := time.Now()
	feed(h, made(make([]string, n), 1), now, now.Add(time.Second))
	h.uploads.finish()
	if in.samples != n || in.most != most || lost.sum() != (Losses{}) {
		t.Errorf("%d of %d samples arrived, at most %d records in one upload; lost %+v", in.samples, n, in.most, lost.sum())
	}
}

// A receiver that stalls gets what its queue holds; the rest is counted, and
// the hub waits for nobody.
func TestAStalledReceiverIsCountedToTheSample(t *testing.T) {
	held := make(chan struct{})
	stalled := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		<-held
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	defer stalled.Close()
	in, lost := newReceiver(t), &losses{}
	defer in.Close()
	h := fed(t, lost, stalled.URL)
	at := time.Unix(1_700_000_000, 0)
	const segments = 3 * uploadQueue
	for i := range segments {
		feed(h, made([]string{"", ""}, i), at, at.Add(time.Second))
		at = at.Add(time.Second)
	}
	if got := lost.sum().Samples; got != 2*(segments-uploadQueue) {
		t.Errorf("%d samples counted while it stalls, want %d", got, 2*(segments-uploadQueue))
	}
	close(held)
	h.uploads.finish()
	if got := lost.sum(); got.Samples != 2*segments || got.Profiles != segments {
		t.Errorf("lost %+v, want %d samples of %d segments", got, 2*segments, segments)
	}
}

// What the library itself fails at is counted when it all ends.
func TestAnUploadThatBreaksDownIsCounted(t *testing.T) {
	lost := &losses{}
	h := fed(t, lost, "http://127.0.0.1:1")
	h.uploads[0].http = http.Client{Transport: broken{}}
	now := time.Now()
	feed(h, made([]string{"", "", ""}, 1), now, now.Add(time.Second))
	h.uploads.finish()
	if got := lost.sum(); got.Samples != 3 || got.Profiles != 1 {
		t.Errorf("lost %+v, want a segment with 3 samples", got)
	}
}

// broken panics instead of sending anything.
type broken struct{}

func (broken) RoundTrip(*http.Request) (*http.Response, error) { panic("planted") }

// The ring holds the last minute, and no more bytes than it may.
func TestTheRingIsBounded(t *testing.T) {
	h := newHub(&losses{})
	at := time.Unix(1_700_000_000, 0)
	for range 200 {
		h.keep(segment{from: at, until: at.Add(time.Second), data: make([]byte, 10)})
		at = at.Add(time.Second)
	}
	if age := at.Sub(h.ring[0].from); age < time.Minute || age > ringAge+time.Second || h.ringHas != 10*len(h.ring) {
		t.Errorf("%d segments of %d bytes, the oldest from %s ago", len(h.ring), h.ringHas, age)
	}
	for range 20 {
		h.keep(segment{from: at, until: at.Add(time.Second), data: make([]byte, ringBytes/4)})
	}
	if len(h.ring) != 4 || h.ringHas > ringBytes {
		t.Errorf("%d segments of %d bytes", len(h.ring), h.ringHas)
	}
	feed(h, made([]string{"x"}, 1), at, at.Add(time.Second))
	bad := &session{hub: h, jobs: make(chan *upstream.UploadJob, 1), begun: make(chan struct{})}
	bad.Upload(&upstream.UploadJob{Profile: []byte("nonsense"), StartTime: at, EndTime: at.Add(2 * time.Second)})
	close(bad.jobs)
	bad.read()
	if h.lost.sum().Profiles != 1 || !h.known.Equal(at.Add(2*time.Second)) {
		t.Errorf("a segment that nobody can read: lost %+v, known until %s", h.lost.sum(), h.known)
	}
}

// A recording that goes on and on says what it left out.
func TestARecordingIsBounded(t *testing.T) {
	h := newHub(&losses{})
	r := &Recording{hub: h, id: "a", release: func() {}}
	h.recordings["a"] = r
	at := time.Unix(1_700_000_000, 0)
	labels := slices.Repeat([]string{"a"}, mostRecorded/2)
	for i := range 3 {
		feed(h, made(labels, i), at, at.Add(time.Second))
	}
	h.ended = true
	p, err := r.Stop(t.Context())
	if err != nil || p.Samples != mostRecorded || p.Omitted != mostRecorded/2 {
		t.Errorf("%v: %d samples, %d omitted", err, p.Samples, p.Omitted)
	}
}

func TestPausesAreAHistogram(t *testing.T) {
	p := newPauses(time.Now())
	read := func() metricdata.HistogramDataPoint[float64] {
		t.Helper()
		got, err := p.Produce(t.Context())
		if err != nil || len(got) != 1 || got[0].Metrics[0].Name != names.GCPause.Name {
			t.Fatalf("%v %v", got, err)
		}
		return got[0].Metrics[0].Data.(metricdata.Histogram[float64]).DataPoints[0]
	}
	before := read()
	for range 5 {
		runtime.GC()
	}
	after := read()
	if after.Count < before.Count+5 { // a collection stops the world twice
		t.Errorf("%d pauses, then %d after five collections", before.Count, after.Count)
	}
	if p = newPauses(time.Now()); read().Count >= 5 {
		t.Errorf("%d pauses at the beginning", read().Count)
	}
	if len(after.BucketCounts) != len(after.Bounds)+1 || !slices.IsSorted(after.Bounds) || math.IsInf(after.Bounds[len(after.Bounds)-1], 1) {
		t.Errorf("%d counts for %d bounds", len(after.BucketCounts), len(after.Bounds))
	}
	var n uint64
	for _, c := range after.BucketCounts {
		n += c
	}
	if n != after.Count || after.Sum <= 0 || after.Sum > 60 || !after.Time.After(before.Time) || !after.StartTime.Equal(before.StartTime) {
		t.Errorf("%d in buckets of %d, %g s in all", n, after.Count, after.Sum)
	}
}
