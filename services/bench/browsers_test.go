package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/taillight-load/taillight/dashboards/page"
)

// deafBrowsers is how many stop reading.
const deafBrowsers = 50

// What browsers that stop reading cost the generator's punctuality: lag p99 at
// 1,000 requests/s while 50 of them hold the stream of the run's page, over
// lag p99 while the page is open to nobody.
func BenchmarkBrowsers(b *testing.B) {
	p := pairs{figure: "lag p99, 50 deaf browsers over none", bound: 1.2}
	for i := 0; b.Loop(); i++ {
		browsersPair(b, &p, i, *armTime)
	}
	p.mostHold(b)
}

func TestBrowsersAreMeasured(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	p := pairs{figure: "lag p99", bound: 1.2}
	browsersPair(t, &p, 0, time.Second)
	if len(p.ratios) != 1 {
		t.Errorf("%+v", p)
	}
}

func browsersPair(tb testing.TB, p *pairs, i int, arm time.Duration) {
	tb.Helper()
	without, with := alternate(i, func(with bool) float64 {
		live := page.NewLive(page.LiveOptions{})
		srv := httptest.NewUnstartedServer(live)
		srv.Config.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
			// The kernel's own would take a whole arm, and nothing would block.
			_ = c.(*net.TCPConn).SetWriteBuffer(4096)
			return ctx
		}
		srv.Start()
		defer srv.Close()
		n := 0
		if with {
			n = deafBrowsers
		}
		for range n {
			defer deafBrowser(tb, srv)()
		}
		tb.Setenv(standInEnv, "none")
		return watchedRun(tb, arm, "", nil, live).Latency.Lag.P99
	})
	p.add(tb, without*1e6, with*1e6, "us")
}

// deafBrowser asks for the stream, takes its head, and never reads again; what
// it returns hangs up.
func deafBrowser(tb testing.TB, srv *httptest.Server) (leave func()) {
	tb.Helper()
	conn, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		tb.Fatal(err)
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetReadBuffer(2048) // a larger one would only fill later
	}
	fmt.Fprintf(conn, "%s / HTTP/1.1\r\nHost: %s\r\n\r\n", http.MethodGet, srv.Listener.Addr())
	head := make([]byte, len("HTTP/1.1 200"))
	if _, err := io.ReadFull(conn, head); err != nil || string(head) != "HTTP/1.1 200" {
		tb.Fatalf("%q, %v", head, err)
	}
	return func() { _ = conn.Close() }
}

// The page of a run is told all that its files hold, and shows the report at
// the end.
func TestPageOfARun(t *testing.T) {
	live := page.NewLive(page.LiveOptions{})
	srv := httptest.NewServer(live)
	defer srv.Close()
	answer, err := http.Get(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text := make(chan string, 1)
	var reading sync.WaitGroup
	defer reading.Wait()
	reading.Go(func() {
		b, _ := io.ReadAll(answer.Body)
		text <- string(b)
	})
	t.Setenv(standInEnv, "none")
	run := watchedRun(t, 2*time.Second, "", nil, live)
	kinds, planned := map[string]int{}, map[float64]int64{}
	for line := range strings.Lines(<-text) {
		data, ok := strings.CutPrefix(line, "data: ")
		var e struct {
			Type    string
			T       float64
			Planned int64
		}
		if !ok || data == "{}\n" {
			continue
		}
		if err := json.Unmarshal([]byte(data), &e); err != nil {
			t.Fatal(err)
		}
		kinds[e.Type]++
		if e.Type == "second" {
			planned[e.T] = e.Planned // one that comes again replaces itself
		}
	}
	if kinds["config"] != 1 || kinds["report"] != 1 || kinds["stage"] == 0 || kinds["failed"] != 0 {
		t.Errorf("events %v", kinds)
	}
	sum := int64(0)
	for _, n := range planned {
		sum += n
	}
	if sum != run.Totals.Planned || sum == 0 {
		t.Errorf("the page was told of %d planned requests, the run has %d", sum, run.Totals.Planned)
	}
}
