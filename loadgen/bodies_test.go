package loadgen_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/taillight-load/taillight/loadgen"
)

func TestBodyFile(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789abcdef"), 20_000) // 320 kB: ten blocks and a bit
	file := filepath.Join(t.TempDir(), "body.bin")
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	var got, length atomic.Int64
	srv := withHTTP2(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil || !bytes.Equal(b, content) {
			http.Error(w, "not the file", http.StatusBadRequest)
		}
		got.Add(1)
		length.Store(r.ContentLength)
	}))
	for _, http2 := range []bool{false, true} {
		got.Store(0)
		p := asks(srv.URL, 2, loadgen.Transport{HTTP2: http2}, loadgen.Step{Method: "POST", Path: "/", BodyFile: file})
		p.Phases[0].Users = loadgen.Constant(3)
		all := exchangesOf(t, p)
		allOK(t, all)
		if got.Load() != int64(len(all)) || length.Load() != int64(len(content)) || all[0].BytesOut < int64(len(content)) {
			t.Errorf("http2 %v: %d of %d arrived, length %d, %d bytes out", http2, got.Load(), len(all), length.Load(), all[0].BytesOut)
		}
	}
	p := asks(srv.URL, 1, loadgen.Transport{}, loadgen.Step{Path: "/", BodyFile: file + ".not"})
	if _, err := loadgen.Attack(t.Context(), p, loadgen.Options{}); err == nil || !strings.Contains(err.Error(), "body_file") {
		t.Errorf("a file that is not there: %v", err)
	}
	if err := p.CheckFiles(); err == nil {
		t.Error("CheckFiles finds nothing wrong")
	}
}

// However a body ends, it is counted, searched and bounded without being kept.
func TestAnswers(t *testing.T) {
	large := strings.Repeat("x", 100_000) + "needle" + strings.Repeat("y", 50_000)
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/sized":
			w.Header().Set("Content-Length", fmt.Sprint(len(large)))
			fmt.Fprint(w, large)
		case "/chunked":
			for i := 0; i < len(large); i += 7001 {
				fmt.Fprint(w, large[i:min(i+7001, len(large))])
				_ = http.NewResponseController(w).Flush()
			}
			w.Header().Set(http.TrailerPrefix+"X-Sum", "1")
		case "/split":
			for _, part := range []string{"n", "ee", "dl", "e"} {
				fmt.Fprint(w, part)
				_ = http.NewResponseController(w).Flush()
			}
		case "/early":
			w.WriteHeader(http.StatusEarlyHints)
			fmt.Fprint(w, large)
		case "/to-end":
			c, _, _ := http.NewResponseController(w).Hijack()
			fmt.Fprint(c, "HTTP/1.1 200 OK\r\n\r\n"+large)
			_ = c.Close()
		case "/cut":
			c, _, _ := http.NewResponseController(w).Hijack()
			fmt.Fprint(c, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
			_ = c.Close()
		case "/bad-chunk":
			c, _, _ := http.NewResponseController(w).Hijack()
			fmt.Fprint(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n")
			_ = c.Close()
		case "/long-chunk":
			c, _, _ := http.NewResponseController(w).Hijack()
			fmt.Fprint(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhello\r\n0\r\n\r\n")
			_ = c.Close()
		case "/none":
			w.WriteHeader(http.StatusNoContent)
		}
	})
	srv := withHTTP2(t, h)
	for _, tc := range []struct {
		path   string
		expect string
		limit  int64
		want   loadgen.ErrorClass
		bytes  int
		only1  bool
	}{
		{path: "/sized", expect: "needle", bytes: len(large)},
		{path: "/sized", expect: "no such", bytes: len(large), want: loadgen.ErrBody},
		{path: "/sized", limit: int64(len(large)), bytes: len(large)},
		{path: "/sized", limit: int64(len(large)) - 1, want: loadgen.ErrProtocol, bytes: -1},
		{path: "/chunked", expect: "needle", bytes: len(large)},
		{path: "/chunked", limit: int64(len(large)) - 1, want: loadgen.ErrProtocol, bytes: -1},
		{path: "/split", expect: "needle", bytes: 6},
		{path: "/split", expect: "needless", bytes: 6, want: loadgen.ErrBody},
		{path: "/early", expect: "needle", bytes: len(large)},
		{path: "/to-end", expect: "needle", bytes: len(large), only1: true},
		{path: "/cut", want: loadgen.ErrReset, bytes: 5, only1: true},
		{path: "/bad-chunk", want: loadgen.ErrProtocol, only1: true},
		{path: "/long-chunk", want: loadgen.ErrProtocol, bytes: 3, only1: true},
		{path: "/none"},
	} {
		for _, http2 := range []bool{false, true} {
			if http2 && tc.only1 {
				continue
			}
			t.Run(fmt.Sprint(tc.path, tc.limit, tc.want, http2), func(t *testing.T) {
				all := exchangesOf(t, asks(srv.URL, 2, loadgen.Transport{MaxBody: tc.limit, HTTP2: http2}, loadgen.Step{Path: tc.path, Expect: loadgen.Expect{Body: tc.expect}}))
				for _, x := range all {
					if x.Error != tc.want || (tc.bytes >= 0 && x.BytesIn != int64(tc.bytes)) {
						t.Errorf("%q (%s), %d bytes; want %q and %d", x.Error, x.Detail, x.BytesIn, tc.want, tc.bytes)
					}
				}
			})
		}
	}
}
