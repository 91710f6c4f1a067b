package receiver_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/taillight-load/taillight/telemetry/receiver"
)

// nestedValue is a trace request with a value nested to the depth.
func nestedValue(depth int) []byte {
	// AnyValue{array_value: 5 {values: 1 {...}}}, made from the inside out in
	// one buffer that is filled from its end.
	buf := make([]byte, 16*depth+64)
	at := len(buf)
	wrap := func(tag byte) {
		size := protowire.AppendVarint([]byte{tag}, uint64(len(buf)-at))
		at -= len(size)
		copy(buf[at:], size)
	}
	for range depth {
		wrap(0x0a) // values
		wrap(0x2a) // array_value
	}
	wrap(0x12) // value of the attribute
	wrap(0x4a) // attributes
	wrap(0x12) // spans
	wrap(0x12) // scope_spans
	wrap(0x0a) // resource_spans
	return buf[at:]
}

// bomb is n zeros, gzipped.
func bomb(n int64) []byte {
	var out bytes.Buffer
	gz, _ := gzip.NewWriterLevel(&out, gzip.BestSpeed)
	_, _ = io.CopyN(gz, zeros{}, n)
	_ = gz.Close()
	return out.Bytes()
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// Each attack is answered 4xx, allocates no more than the budget allows, and
// leaves a receiver that works.
func TestAttacks(t *testing.T) {
	if testing.Short() {
		t.Skip("making the bombs takes seconds")
	}
	gz := []string{"Content-Encoding", "gzip"}
	big := bomb(32 << 20)
	nested := nestedValue(2_000_000)
	if n := len(nested); n < 18<<20 || n > 20<<20 {
		t.Fatalf("the nested body has %d bytes", n)
	}
	multipart, pprofBomb := form(t, "profile", string(big))
	strings19 := bytes.Repeat([]byte{0x32, 0}, 9_750_000) // a string table of empty strings, 19.5 MB
	for _, a := range []struct {
		name, path, contentType string
		body                    []byte
		headers                 []string
		want                    int
	}{
		{"decompression bomb", "/v1/traces", protobufType, big, gz, 413},
		{"decompression bomb, JSON", "/v1/metrics", jsonType, big, gz, 413},
		{"decompression bomb, push", "/push.v1.PusherService/Push", "application/proto", big, gz, 413},
		{"bomb in a bomb", "/v1/traces", protobufType, zipped(big), gz, 400},
		{"nested protobuf, 19.5 MB", "/v1/traces", protobufType, nested, nil, 400},
		{"nested protobuf, zipped", "/v1/traces", protobufType, zipped(nested), gz, 400},
		{"nested JSON", "/v1/traces", jsonType, []byte(strings.Repeat("[", 19_500_000)), nil, 400},
		{"nested JSON objects", "/v1/logs", jsonType, []byte(strings.Repeat(`{"a":`, 3_900_000)), nil, 413},
		{"pprof bomb", "/ingest?name=a", multipart, pprofBomb, nil, 413},
		{"pprof of empty strings", "/ingest?name=a&format=pprof", "", strings19, nil, 413},
		{"pprof bomb, pushed", "/push.v1.PusherService/Push", "application/proto", pushBody(map[string]string{"service_name": "a"}, big), nil, 413},
		{"push of empty series", "/push.v1.PusherService/Push", "application/proto", bytes.Repeat([]byte{0x0a, 0}, 9_750_000), nil, 413},
		{"too large", "/v1/traces", protobufType, make([]byte, receiver.DefaultMaxBody+1), nil, 413},
		{"wrong type", "/v1/traces", "text/html", []byte("x"), nil, 415},
		{"wrong encoding", "/v1/traces", protobufType, []byte("x"), []string{"Content-Encoding", "zstd"}, 415},
	} {
		t.Run(a.name, func(t *testing.T) {
			rc, in := newReceiver(receiver.Options{})
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			w := post(rc, a.path, a.contentType, a.body, a.headers...)
			runtime.ReadMemStats(&after)
			if w.Code != a.want {
				t.Errorf("status %d, want %d: %.200s", w.Code, a.want, w.Body)
			}
			// All that was ever allocated, garbage included: the buffers that
			// the body grew through, and its decoded form.
			if grown := after.TotalAlloc - before.TotalAlloc; grown > 3*receiver.DefaultMaxInFlightBytes {
				t.Errorf("allocated %d MiB", grown>>20)
			}
			if len(in.spans)+len(in.series)+len(in.profiles) != 0 {
				t.Error("something was taken")
			}
			if w := post(rc, "/v1/traces", protobufType, nil); w.Code != http.StatusOK {
				t.Errorf("afterwards: %d %s", w.Code, w.Body)
			}
		})
	}
}

// Over a real connection a refused sender is answered, not cut off, and the
// memory is that of the budget: many bombs at once.
func TestBombsAtOnce(t *testing.T) {
	if testing.Short() {
		t.Skip("making the bomb takes seconds")
	}
	rc, _ := newReceiver(receiver.Options{})
	server := httptest.NewServer(rc)
	defer server.Close()
	body := bomb(32 << 20)
	answers := make(chan int)
	const n = 12
	for range n {
		go func() {
			r, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+"/v1/traces", bytes.NewReader(body))
			r.Header.Set("Content-Type", protobufType)
			r.Header.Set("Content-Encoding", "gzip")
			res, err := server.Client().Do(r)
			if err != nil {
				t.Error(err)
				answers <- 0
				return
			}
			_ = res.Body.Close()
			answers <- res.StatusCode
		}()
	}
	for range n {
		if code := <-answers; code != 413 && code != 429 {
			t.Errorf("a bomb was answered %d", code)
		}
	}
	s := rc.Stats()
	if s.Refused[receiver.ReasonTooLarge]+s.Refused[receiver.ReasonBusy] != n {
		t.Errorf("stats %+v", s)
	}
	if w := post(rc, "/v1/traces", protobufType, nil); w.Code != http.StatusOK {
		t.Errorf("afterwards: %d", w.Code)
	}
}
