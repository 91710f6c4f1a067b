package loadgen_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/taillight-load/taillight/loadgen/busytest"
)

// A generator that gets no CPU while an answer comes adds nothing to what the
// request took: one that stands still for a second, in the middle of an
// exchange, has it as long as the server and the way were, and answered, though
// its time was over when the generator came to read.
func TestAnswersCameWhenTheKernelHadThem(t *testing.T) {
	const stood = time.Second
	busytest.Retry(t, func(t, retry testing.TB) {
		l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		job, err := json.Marshal(peerJob{peerLoad: peerLoad{Connections: 50, Rate: 50, Timeout: stood / 2}, URL: "http://" + l.Addr().String(), Seconds: 2})
		if err != nil {
			t.Fatal(err)
		}
		program := exec.CommandContext(t.Context(), selfProgram(), "-test.run", "^TestPeerProcess$")
		var out bytes.Buffer
		program.Stdout, program.Stderr = &out, os.Stderr
		program.Env = append(os.Environ(), "TAILLIGHT_TEST_PEER="+ourTruth, "TAILLIGHT_TEST_JOB="+string(job))
		if err := program.Start(); err != nil {
			t.Fatal(err)
		}
		srv := &stopping{pid: program.Process.Pid, during: 20, stood: stood}
		var served sync.WaitGroup
		served.Go(func() { srv.serve(l, &served) })
		err = program.Wait()
		_ = l.Close()
		served.Wait()
		if err != nil || srv.failed != nil {
			t.Fatal(err, srv.failed)
		}
		var measured []measuredExchange
		if err := json.Unmarshal(firstLine(out.Bytes()), &measured); err != nil {
			t.Fatal(err)
		}
		for _, x := range measured {
			if x.Parent != srv.parent {
				continue
			}
			if took := time.Duration(x.Service); took >= stood/2 || x.Failed != "" {
				retry.Errorf("the request took %s, of which the generator stood still for %s: %q", took, stood, x.Failed)
			}
			return
		}
		t.Errorf("none of %d exchanges is %s", len(measured), srv.parent)
	})
}

// stopping answers at once, and one request while its sender stands still.
type stopping struct {
	pid    int // the sender
	during int // which request that is
	stood  time.Duration

	mu     sync.Mutex
	asked  int
	parent string // of that request
	failed error
}

func (s *stopping) serve(l net.Listener, owned *sync.WaitGroup) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		owned.Go(func() {
			defer c.Close()
			for in := bufio.NewReader(c); ; {
				r, err := http.ReadRequest(in)
				if err != nil {
					return
				}
				s.answer(c, r)
			}
		})
	}
}

func (s *stopping) answer(c net.Conn, r *http.Request) {
	const text = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.asked++; s.asked != s.during {
		_, _ = io.WriteString(c, text)
		return
	}
	s.parent = r.Header.Get("Traceparent")
	if s.failed = standStill(s.pid); s.failed != nil {
		return
	}
	_, s.failed = io.WriteString(c, text)
	time.Sleep(s.stood)
	if err := unix.Kill(s.pid, unix.SIGCONT); s.failed == nil {
		s.failed = err
	}
}

// standStill stops a process and waits until it does nothing any more.
func standStill(pid int) error {
	if err := unix.Kill(pid, unix.SIGSTOP); err != nil {
		return err
	}
	for range 10_000 {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			return err
		}
		if _, after, _ := strings.Cut(string(stat), ") "); strings.HasPrefix(after, "T") {
			return nil
		}
		time.Sleep(time.Millisecond)
	}
	return fmt.Errorf("process %d does not stand still 10 s after SIGSTOP", pid)
}
