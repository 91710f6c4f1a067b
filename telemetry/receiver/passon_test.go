package receiver_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"

	"github.com/taillight-load/taillight/telemetry/receiver"
)

// profileServer is a destination that knows every kind of profile.
type profileServer struct {
	mu  sync.Mutex
	got []string // bodies
}

// ServeHTTP implements http.Handler.
func (s *profileServer) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.got = append(s.got, string(body))
}

// Profiles that mean nothing here are refused, unless they are passed on to
// somebody who may know them; what is no profile at all is refused anyway.
func TestUnknownProfilesArePassedOn(t *testing.T) {
	jfrType, jfr := form(t, "jfr", "FLR\x00", "labels", "")
	odd := pprofOf(t, "itimer/nanoseconds")
	cpu := pprofOf(t, "cpu/nanoseconds")
	named := map[string]string{"service_name": "a"}
	for _, c := range []struct {
		name, path, contentType string
		body                    []byte
		alone                   int // status without a destination
		kept, passedOn          int64
		refused                 int64 // with one
	}{
		{"JFR", "/ingest?name=a&format=jfr&from=1700000000", jfrType, jfr, 415, 0, 1, 0},
		{"type", "/ingest?name=a&format=pprof&from=1700000000", "application/octet-stream", odd, 422, 0, 1, 0},
		{"push of both", pushPath, protoType, pushBody(named, cpu, odd, odd), 422, 1, 2, 0},
		{"damaged", "/ingest?name=a&format=pprof&from=1700000000", "application/octet-stream", []byte("x"), 400, 0, 0, 1},
		{"nameless", pushPath, protoType, pushBody(nil, odd), 400, 0, 0, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			rc, in := newReceiver(receiver.Options{})
			if w := post(rc, c.path, c.contentType, c.body); w.Code != c.alone || len(in.profiles) != 0 {
				t.Errorf("with nobody to pass it on to: %d %s, %d kept", w.Code, w.Body, len(in.profiles))
			}

			var there profileServer
			server := httptest.NewServer(&there)
			defer server.Close()
			f, err := receiver.NewForwarder(server.URL, receiver.ForwardOptions{})
			if err != nil {
				t.Fatal(err)
			}
			rc, in = newReceiver(receiver.Options{ForwardProfiles: f})
			w := post(rc, c.path, c.contentType, c.body)
			f.Shutdown(t.Context())
			s, units := rc.Stats(), c.kept+c.passedOn
			refused := int64(0)
			for _, n := range s.Refused {
				refused += n
			}
			if int64(len(in.profiles)) != c.kept || s.Profiles != c.kept || s.PassedOn != c.passedOn || refused != c.refused {
				t.Errorf("%d %s, %d kept, stats %+v", w.Code, w.Body, len(in.profiles), s)
			}
			if (w.Code == http.StatusOK) != (units > 0) || f.Stats().Sent[receiver.UnitProfiles] != units {
				t.Errorf("answer %d, books %+v, want %d sent", w.Code, f.Stats(), units)
			}
			if arrived := slices.Equal(there.got, []string{string(c.body)}); arrived != (units > 0) {
				t.Errorf("%d bodies arrived", len(there.got))
			}
		})
	}
}
