package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/taillight-load/taillight/dashboards/page"
)

// deafOnes is how many browsers stop reading.
const deafOnes = 50

// What browsers that stop reading cost the generator's punctuality: lag p99 at
// 1,000 requests/s while 50 of them hold the stream of the run's page, over
// lag p99 while the page is open to nobody. With -null the page is open to
// nobody in both arms: what the figure differs by itself on this machine.
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
		if with && !*null {
			defer deafBrowsers(tb, srv.Listener.Addr().String())()
		}
		defer live.Close(done())
		tb.Setenv(standInEnv, "none")
		return watchedRun(tb, arm, "", nil, live).Latency.Lag.P99
	})
	p.add(tb, without*1e6, with*1e6, "us")
}

// done is a context that has ended.
func done() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// deafBrowsers starts a process with all of them, as browsers are in processes
// of their own: in this one its poller would be woken by what comes for them.
// What it returns ends it.
func deafBrowsers(tb testing.TB, addr string) (leave func()) {
	tb.Helper()
	cmd := exec.Command(os.Args[0], "target", "--addr", addr)
	cmd.Env = append(os.Environ(), standInEnv+"=deaf")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	leave = func() {
		_ = in.Close()
		_ = cmd.Wait()
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "deaf\n" {
		leave()
		tb.Fatalf("%q, %v", line, err)
	}
	return leave
}

// listenNot opens the stream of a page in many browsers that take the head of
// the answer and never read again.
func listenNot(addr string, out io.Writer, ended <-chan struct{}) int {
	for range deafOnes {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer conn.Close()
		_ = conn.(*net.TCPConn).SetReadBuffer(2048) // a larger one would only fill later
		fmt.Fprintf(conn, "%s / HTTP/1.1\r\nHost: %s\r\n\r\n", http.MethodGet, addr)
		head := make([]byte, len("HTTP/1.1 200"))
		if _, err := io.ReadFull(conn, head); err != nil || string(head) != "HTTP/1.1 200" {
			fmt.Fprintf(os.Stderr, "%q, %v\n", head, err)
			return 1
		}
	}
	fmt.Fprintln(out, "deaf")
	<-ended
	return 0
}

// The page of a run is told all that its files hold, and shows the report at
// the end.
func TestPageOfARun(t *testing.T) {
	live := page.NewLive(page.LiveOptions{})
	defer live.Close(t.Context())
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
