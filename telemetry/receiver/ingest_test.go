package receiver_test

import (
	"bytes"
	"mime/multipart"
	"net/http/httptest"
	"reflect"
	"runtime/pprof"
	"strings"
	"testing"
	"time"

	"github.com/google/pprof/profile"
	"github.com/grafana/pyroscope-go"
	"github.com/grafana/pyroscope-go/upstream"
	"github.com/grafana/pyroscope-go/upstream/remote"

	"github.com/taillight-load/taillight/loadgen/busytest"
	"github.com/taillight-load/taillight/telemetry/names"
	"github.com/taillight-load/taillight/telemetry/receiver"
	"github.com/taillight-load/taillight/telemetry/signal"
)

// pprofOf is a small profile of the sample types.
func pprofOf(t testing.TB, types ...string) []byte {
	t.Helper()
	fn := &profile.Function{ID: 1, Name: "main.work"}
	loc := &profile.Location{ID: 1, Line: []profile.Line{{Function: fn, Line: 7}}}
	p := &profile.Profile{
		TimeNanos: 1_700_000_000e9, DurationNanos: 1e9,
		Function: []*profile.Function{fn}, Location: []*profile.Location{loc},
		Sample: []*profile.Sample{{Location: []*profile.Location{loc}, Label: map[string][]string{"span_id": {"eee19b7ec3c1b174"}}}},
	}
	for _, s := range types {
		kind, unit, _ := strings.Cut(s, "/")
		p.SampleType = append(p.SampleType, &profile.ValueType{Type: kind, Unit: unit})
		p.Sample[0].Value = append(p.Sample[0].Value, 10)
	}
	var b bytes.Buffer
	if err := p.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// form is a multipart body of pairs of part name and content.
func form(t testing.TB, parts ...string) (contentType string, body []byte) {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for i := 0; i+1 < len(parts); i += 2 {
		part, err := w.CreateFormFile(parts[i], parts[i])
		if err != nil {
			t.Fatal(err)
		}
		_, _ = part.Write([]byte(parts[i+1]))
	}
	_ = w.Close()
	return w.FormDataContentType(), b.Bytes()
}

// Pyroscope's own client uploads; its queue, headers and config are its own.
func TestIngestFromAgent(t *testing.T) {
	rc, in := newReceiver(receiver.Options{Token: "s3cret"})
	server := httptest.NewServer(rc)
	defer server.Close()
	for _, address := range []string{server.URL, server.URL + "/pyroscope"} {
		agent, err := remote.NewRemote(remote.Config{
			Address: address, BasicAuthUser: "taillight", BasicAuthPassword: "s3cret",
			Threads: 1, Timeout: 5 * time.Second, Logger: testLogger{t},
		})
		if err != nil {
			t.Fatal(err)
		}
		agent.Start()
		agent.Upload(&upstream.UploadJob{
			Name:      "target{loadtest_run_id=20261123-153012-7f3a,process.runtime.name=go}",
			StartTime: time.Unix(1_700_000_001, 5), EndTime: time.Unix(1_700_000_002, 7),
			SpyName: "gospy", SampleRate: 100, Units: "samples", Profile: pprofOf(t, "contentions/count", "delay/nanoseconds"),
			SampleTypeConfig: map[string]*upstream.SampleType{
				"contentions": {DisplayName: "mutex_count", Units: "lock_samples"},
				"delay":       {DisplayName: "mutex_duration", Units: "lock_nanoseconds"},
			},
		})
		agent.Flush()
		agent.Stop()
	}
	server.CloseClientConnections()
	if len(in.profiles) != 2 {
		t.Fatalf("%d profiles, want 2", len(in.profiles))
	}
	got := in.profiles[0]
	if _, err := profile.ParseData(got.Data); err != nil {
		t.Errorf("data: %v", err)
	}
	got.Data = nil
	want := signal.Profile{
		Service: "target", Type: "mutex", Start: 1_700_000_001e9 + 5, End: 1_700_000_002e9 + 7,
		Labels: map[string]string{"loadtest_run_id": "20261123-153012-7f3a", "process.runtime.name": "go"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if s := rc.Stats(); s.Profiles != 2 || s.Requests != 2 || len(s.Refused) != 0 {
		t.Errorf("stats %+v", s)
	}
}

// A whole profiler with its CPU collection: what a service really sends.
func TestIngestFromProfiler(t *testing.T) {
	rc, in := newReceiver(receiver.Options{Token: "s3cret"})
	server := httptest.NewServer(rc)
	defer server.Close()
	profiler, err := pyroscope.Start(pyroscope.Config{
		ServerAddress: server.URL, ApplicationName: "target", Logger: testLogger{t},
		UploadRate: time.Second, DisableGCRuns: true, Tags: map[string]string{"loadtest_run_id": "r"},
		HTTPHeaders:  map[string]string{names.TokenHeader: "s3cret"},
		ProfileTypes: []pyroscope.ProfileType{pyroscope.ProfileCPU, pyroscope.ProfileGoroutines, pyroscope.ProfileInuseSpace},
	})
	if err != nil {
		t.Fatal(err)
	}
	busytest.Await(t, "three profiles", func() bool { return rc.Stats().Profiles >= 3 })
	if err := profiler.Stop(); err != nil {
		t.Fatal(err)
	}
	server.Close()
	types := map[string]bool{}
	for _, p := range in.profiles {
		types[p.Type] = true
		if p.Service != "target" || p.Labels["loadtest_run_id"] != "r" || p.Start == 0 || p.End < p.Start {
			t.Errorf("%s profile %s %v %d..%d", p.Type, p.Service, p.Labels, p.Start, p.End)
		}
	}
	if !types["cpu"] {
		t.Errorf("types %v, want cpu among them; stats %+v", types, rc.Stats())
	}
	if refused := rc.Stats().Refused; len(refused) != 0 {
		t.Errorf("refused %v", refused)
	}
}

type testLogger struct{ testing.TB }

func (testLogger) Infof(string, ...any)  {}
func (testLogger) Debugf(string, ...any) {}
func (l testLogger) Errorf(f string, a ...any) {
	l.Helper()
	l.TB.Errorf("agent: "+f, a...)
}

func TestIngestTypes(t *testing.T) {
	var heap, goroutines bytes.Buffer
	if err := pprof.Lookup("heap").WriteTo(&heap, 0); err != nil {
		t.Fatal(err)
	}
	if err := pprof.Lookup("goroutine").WriteTo(&goroutines, 0); err != nil {
		t.Fatal(err)
	}
	contention := string(pprofOf(t, "contentions/count", "delay/nanoseconds"))
	for _, c := range []struct {
		name, profile, config, want string
		status                      int
	}{
		{"cpu", string(pprofOf(t, "samples/count", "cpu/nanoseconds")), "", "cpu", 200},
		{"cpu beside the wall clock", string(pprofOf(t, "samples/count", "wall/nanoseconds", "cpu/nanoseconds")), "", "cpu", 200},
		{"wall clock", string(pprofOf(t, "samples/count", "wall/nanoseconds")), "", "wall", 200},
		{"heap", heap.String(), "", "memory", 200},
		{"goroutine", goroutines.String(), "", "goroutines", 200},
		{"block", contention, `{"delay":{"display-name":"block_duration","units":"lock_nanoseconds"}}`, "block", 200},
		{"mutex", contention, `{"contentions":{"display-name":"mutex_count"}}`, "mutex", 200},
		{"mutex or block", contention, "", "", 422},
		{"unknown type", string(pprofOf(t, "itimer/nanoseconds")), "", "", 422},
		{"no profile", "garbage", "", "", 400},
		{"false config", contention, "{", "", 400},
	} {
		t.Run(c.name, func(t *testing.T) {
			rc, in := newReceiver(receiver.Options{})
			parts := []string{"profile", c.profile}
			if c.config != "" {
				parts = append(parts, "sample_type_config", c.config)
			}
			contentType, body := form(t, parts...)
			w := post(rc, "/ingest?name=target&from=1700000000", contentType, body)
			if w.Code != c.status {
				t.Fatalf("status %d: %s", w.Code, w.Body)
			}
			if c.status != 200 {
				return
			}
			if got := in.profiles[0]; got.Type != c.want || !bytes.Equal(got.Data, []byte(c.profile)) {
				t.Errorf("type %q, %d bytes", got.Type, len(got.Data))
			}
		})
	}
}

func TestIngestQuery(t *testing.T) {
	raw := pprofOf(t, "cpu/nanoseconds")
	parsed, err := profile.ParseData(raw)
	if err != nil {
		t.Fatal(err)
	}
	var plain bytes.Buffer
	if err := parsed.WriteUncompressed(&plain); err != nil {
		t.Fatal(err)
	}
	const at = 1_700_000_100_000_000_000
	for _, c := range []struct {
		query      string
		status     int
		start, end int64
		service    string
		labels     map[string]string
	}{
		{"name=a&from=1700000100&until=1700000101", 200, at, at + 1e9, "a", map[string]string{}},
		{"name=a&from=1700000100000&until=1700000101000", 200, at, at + 1e9, "a", map[string]string{}},
		{"name=a&from=1700000100000000&until=1700000101000000", 200, at, at + 1e9, "a", map[string]string{}},
		{"name=a&from=1700000100000000000&until=1700000101000000000", 200, at, at + 1e9, "a", map[string]string{}},
		{"name=a", 200, at - 100e9, at - 99e9, "a", map[string]string{}},
		{"name=a&from=1700000100&until=1", 200, at, at, "a", map[string]string{}},
		{"name=%20a{k=v%3Dw,%20l=,}", 200, at - 100e9, at - 99e9, "a", map[string]string{"k": "v=w", "l": ""}},
		{"name=a{}", 200, at - 100e9, at - 99e9, "a", map[string]string{}},
		{"name=a{k", 400, 0, 0, "", nil},
		{"name=a{k}", 400, 0, 0, "", nil},
		{"name=a{=v}", 400, 0, 0, "", nil},
		{"name={k=v}", 400, 0, 0, "", nil},
		{"", 400, 0, 0, "", nil},
		{"name=a&from=now", 400, 0, 0, "", nil},
		{"name=a&until=-1", 400, 0, 0, "", nil},
		{"name=a&from=99999999999", 400, 0, 0, "", nil},
		{"name=a&format=jfr", 415, 0, 0, "", nil},
	} {
		rc, in := newReceiver(receiver.Options{})
		query := c.query
		if !strings.Contains(query, "format") {
			query += "&format=pprof"
		}
		w := post(rc, "/ingest?"+query, "application/octet-stream", plain.Bytes())
		if w.Code != c.status {
			t.Errorf("%s: status %d, want %d: %s", c.query, w.Code, c.status, w.Body)
			continue
		}
		if c.status != 200 {
			if rc.Stats().Profiles != 0 || len(in.profiles) != 0 {
				t.Errorf("%s: refused and taken", c.query)
			}
			continue
		}
		got := in.profiles[0]
		if got.Start != c.start || got.End != c.end || got.Service != c.service || !reflect.DeepEqual(got.Labels, c.labels) {
			t.Errorf("%s: %d..%d %s %v", c.query, got.Start, got.End, got.Service, got.Labels)
		}
		if !bytes.HasPrefix(got.Data, []byte{0x1f, 0x8b}) {
			t.Errorf("%s: the plain upload was not gzipped", c.query)
		}
	}
}

func TestIngestRefusals(t *testing.T) {
	cpu := string(pprofOf(t, "cpu/nanoseconds"))
	bomb := string(zipped(make([]byte, 100_000)))
	for _, c := range []struct {
		name   string
		parts  []string
		status int
		says   string
	}{
		{"no profile part", []string{"other", "x"}, 400, "profile"},
		{"previous profile", []string{"profile", cpu, "prev_profile", cpu}, 422, "prev_profile"},
		{"unpacks too large", []string{"profile", bomb}, 413, "50000 bytes"},
		{"too large", []string{"profile", strings.Repeat("x", 60_000)}, 413, "50000 bytes"},
	} {
		rc, _ := newReceiver(receiver.Options{MaxBody: 50_000})
		contentType, body := form(t, c.parts...)
		w := post(rc, "/ingest?name=a", contentType, body)
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.says) {
			t.Errorf("%s: %d %s", c.name, w.Code, w.Body)
		}
	}
	rc, _ := newReceiver(receiver.Options{})
	if w := post(rc, "/ingest?name=a", "multipart/form-data; boundary=x", []byte("--x\r\n")); w.Code != 400 {
		t.Errorf("cut multipart: %d %s", w.Code, w.Body)
	}
	if w := post(rc, "/ingest?name=a", "text/plain", []byte("main;work 7\n")); w.Code != 415 {
		t.Errorf("folded text: %d %s", w.Code, w.Body)
	}
}
