package telemetry

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/google/pprof/profile"
	"github.com/grafana/pyroscope-go/upstream"
	"github.com/grafana/pyroscope-go/upstream/remote"
	"go.opentelemetry.io/otel/sdk/resource"

	"github.com/taillight-load/taillight/telemetry/names"
)

const (
	uploadTimeout = 10 * time.Second // of one segment to one receiver
	uploadThreads = 2                // per receiver
	uploadQueue   = 20               // segments on their way to one receiver: the library's queue has as many
	mostUploaded  = 8000             // records in one upload: Pyroscope refuses 16,000
)

// startProfiles makes an upload for every address and turns the profiler on for
// good.
func (t *Telemetry) startProfiles(env environment, res *resource.Resource) error {
	h := t.hub
	if len(env.profiles) > 0 { // what is not uploaded needs no name, which may be one that Pyroscope refuses
		h.config.AppName = attributeOf(res, "service.name")
	}
	if id := attributeOf(res, names.AttrRunID); id != "" {
		h.config.Tags = map[string]string{names.LabelRunID: id}
		t.carried.leaveOut(names.LabelRunID) // it is a label of the whole profile
	}
	for _, address := range env.profiles {
		headers := map[string]string{}
		if address == env.own && env.token != "" {
			headers[names.TokenHeader] = env.token
		}
		u, err := newUpload(t.aborted, &t.lost, address, headers)
		if err != nil {
			return err
		}
		h.uploads = append(h.uploads, u)
	}
	for _, u := range h.uploads {
		u.remote.Start()
	}
	t.continuous = true
	_, err := h.acquire() // for good: stop does not ask who needs it
	return err
}

// deliver hands a segment to the uploads, in parts when it has more records
// than a receiver takes at once.
func (h *hub) deliver(job *upstream.UploadJob, p *profile.Profile) {
	n := sampleCount(p)
	if len(h.uploads) == 0 || n == 0 && job.EndTime.Sub(job.StartTime) < stubBelow {
		return
	}
	private := strip(p, names.LabelRecording) // Pyroscope would make a series of each
	if !private && len(p.Sample) <= mostUploaded {
		h.uploads.send(job, n)
		return
	}
	for i, part := range split(p, mostUploaded) {
		data, err := encode(part)
		if err != nil {
			h.uploads.lose(sampleCount(part))
			continue
		}
		one := *job
		one.Profile = data
		one.StartTime = job.StartTime.Add(time.Duration(i)) // ns: each upload is known by it
		h.uploads.send(&one, sampleCount(part))
	}
}

// uploads hands each segment to every receiver. A receiver that stalls fills
// its own queue and no other's.
type uploads []*upload

// send queues a segment; it never waits.
func (u uploads) send(job *upstream.UploadJob, samples int64) {
	for _, one := range u {
		one.send(job, samples)
	}
}

// lose counts what no receiver will get.
func (u uploads) lose(samples int64) {
	for _, one := range u {
		one.lose(samples)
	}
}

// finish waits until every queued segment is delivered or has failed, and ends
// the uploads.
func (u uploads) finish() {
	for _, one := range u {
		one.remote.Flush()
	}
	for _, one := range u {
		one.remote.Stop()
		one.http.CloseIdleConnections()
		one.mu.Lock()
		for _, samples := range one.queued {
			one.lost.samples.Add(samples)
		}
		one.mu.Unlock()
	}
}

// upload is the way to one receiver. It is the library's HTTP client there, to
// see what becomes of each segment.
type upload struct {
	remote *remote.Remote
	http   http.Client
	ctx    context.Context // ends uploads under way: the library gives them no context of its own
	lost   *losses

	mu     sync.Mutex
	queued map[string]int64 // samples of the segments under way, by their start
}

func newUpload(ctx context.Context, lost *losses, address string, headers map[string]string) (*upload, error) {
	u := &upload{ctx: ctx, lost: lost, queued: map[string]int64{}}
	u.http = http.Client{
		Timeout:   uploadTimeout,
		Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, MaxConnsPerHost: uploadThreads},
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse // a redirect would lose the headers and is no success
		},
	}
	var err error
	u.remote, err = remote.NewRemote(remote.Config{
		Address: address, Threads: uploadThreads, Logger: failureCounter{lost}, HTTPClient: u, HTTPHeaders: headers,
	})
	if err != nil {
		return nil, fmt.Errorf("upload profiles to %s: %w", address, err)
	}
	return u, nil
}

func (u *upload) send(job *upstream.UploadJob, samples int64) {
	key := strconv.FormatInt(job.StartTime.UnixNano(), 10)
	u.mu.Lock()
	full := len(u.queued) >= uploadQueue
	if !full {
		u.queued[key] = samples
	}
	u.mu.Unlock()
	if full {
		u.lose(samples)
		return
	}
	u.remote.Upload(job)
}

func (u *upload) lose(samples int64) {
	u.lost.profiles.Add(1)
	u.lost.samples.Add(samples)
}

// Do sends one segment. The library reads and closes the answer's body, and
// counts what failed.
func (u *upload) Do(r *http.Request) (*http.Response, error) {
	resp, err := u.http.Do(r.WithContext(u.ctx))
	key := r.URL.Query().Get("from")
	u.mu.Lock()
	samples := u.queued[key]
	delete(u.queued, key)
	u.mu.Unlock()
	if err != nil || resp.StatusCode != http.StatusOK { // the library takes no other for success
		u.lost.samples.Add(samples)
	}
	return resp, err
}

// failureCounter is the library's logger: it counts and keeps silent.
type failureCounter struct{ lost *losses }

// Infof does nothing.
func (failureCounter) Infof(string, ...any) {}

// Debugf does nothing.
func (failureCounter) Debugf(string, ...any) {}

// Errorf counts: each is a segment that was not recorded or not delivered.
func (f failureCounter) Errorf(string, ...any) { f.lost.profiles.Add(1) }
