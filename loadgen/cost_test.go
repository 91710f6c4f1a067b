package loadgen_test

import (
	"bytes"
	"io"
	"math"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/loadgen/busytest"
)

// cannedServer answers every request without a body of its own and allocates
// nothing for it, so that what this process allocates is the generator's.
func cannedServer(t testing.TB, head string) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go serveCanned(l, head)
	return "http://" + l.Addr().String()
}

func serveCanned(l net.Listener, head string) {
	answer := []byte("HTTP/1.1 200 OK\r\n" + head + "\r\n")
	end := []byte("\r\n\r\n")
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			buf, n := make([]byte, 1024), 0
			for {
				k, err := conn.Read(buf[n:])
				if err != nil {
					return
				}
				if n += k; !bytes.HasSuffix(buf[:n], end) {
					continue
				}
				n = 0
				if _, err := conn.Write(answer); err != nil {
					return
				}
			}
		}()
	}
}

// allocationsPerRequest carries a plan out and returns what a request allocated
// in the second that allocated least: on a busy machine others open connections.
func allocationsPerRequest(t testing.TB, p loadgen.Plan) float64 {
	t.Helper()
	least := math.Inf(1)
	var before, now runtime.MemStats
	o := loadgen.Options{
		RunID:   "run",
		Baggage: []loadgen.BaggageMember{{Key: "loadtest.run.id", Value: loadgen.BaggageRunID}, {Key: "loadtest.phase", Value: loadgen.BaggagePhase}},
		OnSecond: func(s loadgen.Second) {
			runtime.ReadMemStats(&now)
			requests := int64(0)
			for i := range s.Series {
				requests += s.Series[i].Completed
			}
			if s.Index > 0 && requests > 100 {
				least = min(least, float64(now.Mallocs-before.Mallocs)/float64(requests))
			}
			before = now
		},
	}
	attack(t, p, o)
	return least
}

// In the steady state an HTTP/1.1 request costs no allocation, whatever the
// model, the answer's framing, and with trace context and baggage on each. What
// is counted here is the whole process: the second's merged histograms, the kept
// exchanges and TCP_INFO of about one request in twenty are in it.
func TestRequestsAllocateNothing(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector allocates")
	}
	for name, head := range map[string]string{
		"sized":         "Content-Length: 0\r\n",
		"chunked":       "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
		"server timing": "Content-Length: 0\r\nServer-Timing: total;dur=2.5\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			url := cannedServer(t, head)
			users := closed(url, 8, 3*time.Second, loadgen.Think{})
			rate := users
			rate.Phases = []loadgen.Phase{{Name: "steady", For: 3 * time.Second, Load: loadgen.Load{Rate: loadgen.Constant(2000)}}}
			for model, p := range map[string]loadgen.Plan{"users": users, "rate": rate} {
				// After a machine stood still, all that fell due begins at once.
				busytest.Retry(t, func(t, retry testing.TB) {
					n := allocationsPerRequest(t, p)
					t.Logf("%s: %.3f allocations per request", model, n)
					if n > 0.5 { // one that every request makes counts 1
						retry.Errorf("%s: %.2f allocations per request", model, n)
					}
				})
			}
		})
	}
}

// What is kept and counted of a run does not grow with it: 10 million requests
// on a fake clock.
func TestMemoryDoesNotGrowWithTheRun(t *testing.T) {
	if testing.Short() || raceDetector {
		t.Skip("10 million requests")
	}
	var early, late, peak uint64
	synctest.Test(t, func(t *testing.T) {
		res := attack(t, open(100_000, 100*time.Second), loadgen.Options{
			Timer:     loadgen.RuntimeTimer,
			NewClient: serving(func(x *loadgen.Exchange) { x.Status = 200; time.Sleep(time.Millisecond) }),
			OnSecond: func(s loadgen.Second) {
				if s.Index%10 != 9 {
					return
				}
				runtime.GC()
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				switch {
				case s.Index == 19:
					early = m.HeapInuse + m.StackInuse
				case s.Index > 19:
					late = m.HeapInuse + m.StackInuse
					peak = max(peak, late)
				}
			},
		})
		if n := res.Series[0].Completed; n != 10_000_000 {
			t.Errorf("%d requests", n)
		}
	})
	t.Logf("%d KiB after 2 million requests, %d KiB after 10 million, at most %d KiB", early>>10, late>>10, peak>>10)
	if peak > early+early/4 || peak > 64<<20 {
		t.Errorf("%d KiB after 2 million requests, up to %d KiB after", early>>10, peak>>10)
	}
}

// TestServerProcess is no test: it is the server of TestUsersAreSmall, in a
// process of its own so that its memory is not counted.
func TestServerProcess(t *testing.T) {
	if os.Getenv("TAILLIGHT_TEST_SERVER") == "" {
		t.Skip("started by TestUsersAreSmall")
	}
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go serveCanned(l, "Content-Length: 0\r\n")
	_, _ = os.Stdout.WriteString(l.Addr().String() + "\n")
	_, _ = io.Copy(io.Discard, os.Stdin) // until the parent is gone
	_ = l.Close()
}

// A user that thinks costs its connection and little else.
func TestUsersAreSmall(t *testing.T) {
	if testing.Short() || raceDetector {
		t.Skip("thousands of connections")
	}
	busytest.Retry(t, func(t, retry testing.TB) {
		server := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestServerProcess$")
		server.Env = append(os.Environ(), "TAILLIGHT_TEST_SERVER=1")
		stdin, err := server.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		stdout, err := server.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := server.Start(); err != nil {
			t.Fatal(err)
		}
		defer func() {
			_ = stdin.Close()
			_ = server.Wait()
		}()
		line := make([]byte, 100)
		n, err := stdout.Read(line)
		if err != nil {
			t.Fatal(err)
		}
		const users = 15_000
		p := closed("http://"+strings.TrimSpace(string(line[:n])), users, 12*time.Second, loadgen.Think{Kind: loadgen.ThinkConstant, Max: 10 * time.Second})
		p.Phases[0].Users = &loadgen.Ramp{To: users}
		p.Phases = append(p.Phases, loadgen.Phase{Name: "hold", For: 3 * time.Second, Load: loadgen.Load{Users: loadgen.Constant(users)}})
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		res := attack(t, p, loadgen.Options{OnSecond: func(s loadgen.Second) {
			if s.End >= 13*time.Second && after.Sys == 0 {
				runtime.GC()
				runtime.ReadMemStats(&after)
			}
		}})
		opened, failed := int64(0), int64(0)
		for i := range res.Series {
			opened += res.Series[i].Reopened
			failed += res.Series[i].Failed
		}
		if opened < users {
			t.Skipf("%d connections of %d, %d failed: file descriptors or ports ran out", opened, users, failed)
		}
		each := float64(after.Sys-after.HeapReleased-(before.Sys-before.HeapReleased)) / users
		t.Logf("%.1f KiB per user", each/1024)
		if each > 20*1024 {
			retry.Errorf("%.1f KiB per user, want at most 20", each/1024)
		}
	})
}
