package telemetry

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/grafana/pyroscope-go"
	"github.com/grafana/pyroscope-go/upstream"
	"github.com/grafana/pyroscope-go/upstream/remote"
	"go.opentelemetry.io/otel/sdk/resource"

	"github.com/taillight-load/taillight/telemetry/names"
)

const (
	profileEvery  = time.Second      // length of a segment, roughly: the library makes the first twice as long
	uploadTimeout = 10 * time.Second // of one segment to one receiver
	uploadThreads = 2                // per receiver
)

// profiler owns the CPU profiler of the process and uploads its segments to
// every receiver.
type profiler struct {
	session  *pyroscope.Session
	uploads  uploads
	hasRunID bool // the run id is a label of the whole profile
}

// startProfiler starts CPU profiles alone: the other types make the library
// stop the world and force collections that a load test would then measure.
func startProfiler(t *Telemetry, env environment, res *resource.Resource) (*profiler, error) {
	tags := map[string]string{}
	if id := attributeOf(res, names.AttrRunID); id != "" {
		tags[names.LabelRunID] = id
	}
	p := &profiler{hasRunID: len(tags) > 0}
	log := failureCounter{&t.lost}
	for _, address := range env.profiles {
		client := &uploadClient{
			ctx: t.aborted,
			http: http.Client{
				Timeout:   uploadTimeout,
				Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, MaxConnsPerHost: uploadThreads},
				CheckRedirect: func(*http.Request, []*http.Request) error {
					return http.ErrUseLastResponse // a redirect would lose the headers and is no success
				},
			},
		}
		headers := map[string]string{}
		if address == env.own && env.token != "" {
			headers[names.TokenHeader] = env.token
		}
		r, err := remote.NewRemote(remote.Config{
			Address: address, Threads: uploadThreads, Logger: log, HTTPClient: client, HTTPHeaders: headers,
		})
		if err != nil {
			return nil, fmt.Errorf("upload profiles to %s: %w", address, err)
		}
		p.uploads = append(p.uploads, upload{r, client})
	}
	session, err := pyroscope.NewSession(pyroscope.SessionConfig{
		Upstream: p.uploads, Logger: log, AppName: attributeOf(res, "service.name"), Tags: tags,
		ProfilingTypes: []pyroscope.ProfileType{pyroscope.ProfileCPU}, DisableGCRuns: true, UploadRate: profileEvery,
	})
	if err != nil {
		return nil, fmt.Errorf("profile this service: %w: check %s", err, names.EnvServiceName)
	}
	p.session = session
	for _, u := range p.uploads {
		u.remote.Start()
	}
	if err := session.Start(); err != nil {
		p.uploads.stop()
		return nil, fmt.Errorf("profile this service: %w", err)
	}
	return p, nil
}

// stop ends the segment under way, waits until all segments are delivered or
// given up, and stops the uploads. The order matters: an upload that is
// stopped first throws away what is in its queue.
func (p *profiler) stop() {
	p.session.Stop()
	p.uploads.Flush()
	p.uploads.stop()
}

// uploads hands each segment to every receiver. A receiver that stalls fills
// its own queue of 20 segments and no other's.
type uploads []upload

type upload struct {
	remote *remote.Remote
	client *uploadClient
}

// Upload queues a segment; it never waits.
func (u uploads) Upload(job *upstream.UploadJob) {
	for _, one := range u {
		one.remote.Upload(job)
	}
}

// Flush waits until every queued segment is delivered or has failed.
func (u uploads) Flush() {
	for _, one := range u {
		one.remote.Flush()
	}
}

func (u uploads) stop() {
	for _, one := range u {
		one.remote.Stop()
		one.client.http.CloseIdleConnections()
	}
}

// uploadClient sends requests that break off when ctx ends, since the library
// gives them no context of its own.
type uploadClient struct {
	ctx  context.Context
	http http.Client
}

// Do sends one request. The library reads and closes the answer's body.
func (c *uploadClient) Do(r *http.Request) (*http.Response, error) {
	return c.http.Do(r.WithContext(c.ctx))
}

// failureCounter is the library's logger: it counts and keeps silent.
type failureCounter struct{ lost *losses }

// Infof does nothing.
func (failureCounter) Infof(string, ...any) {}

// Debugf does nothing.
func (failureCounter) Debugf(string, ...any) {}

// Errorf counts: each is a segment that was not recorded or not delivered.
func (f failureCounter) Errorf(string, ...any) { f.lost.profiles.Add(1) }
