package target_test

import (
	"io"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/taillight-load/taillight/loadgen/busytest"
	"github.com/taillight-load/taillight/services/target"
	"github.com/taillight-load/taillight/services/target/faults"
)

// dropsSYN tells whether this kernel turns connections away when nobody
// accepts: some networks of containers are not the kernel's.
func dropsSYN(t testing.TB) bool {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	raw, err := l.(*net.TCPListener).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var failed error
	if err := raw.Control(func(fd uintptr) { failed = syscall.Listen(int(fd), 1) }); err != nil || failed != nil {
		t.Fatal(err, failed)
	}
	for range 4 {
		c, err := net.DialTimeout("tcp", l.Addr().String(), 200*time.Millisecond)
		if err != nil {
			return true
		}
		defer c.Close()
	}
	return false
}

// visit is one request on a connection of its own.
type visit struct {
	took    time.Duration
	retrans uint32 // segments sent again, SYNs included
}

func visits(t testing.TB, addr string, n int) []visit {
	t.Helper()
	out := make([]visit, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			began := time.Now()
			c, err := net.Dial("tcp", addr)
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			answer := make([]byte, 12)
			_, err = io.WriteString(c, "GET /workloads/wait?ms=0 HTTP/1.1\r\nHost: x\r\n\r\n")
			if err == nil {
				_, err = io.ReadFull(c, answer)
			}
			if err != nil || string(answer) != "HTTP/1.1 200" {
				t.Errorf("%s %v", answer, err)
			}
			out[i].took = time.Since(began)
			raw, err := c.(*net.TCPConn).SyscallConn()
			if err == nil {
				err = raw.Control(func(fd uintptr) {
					if info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
						out[i].retrans = info.Total_retrans
					}
				})
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	return out
}

// While the door is shut with room for one, whoever comes then has to try
// again: the kernel drops his SYN, and sends it again after a second.
func TestTheBacklogOverflows(t *testing.T) {
	busytest.Retry(t, func(t, retry testing.TB) {
		if !dropsSYN(t) {
			t.Skip("this kernel turns nobody away when a backlog is full")
		}
		r := run(t, target.Config{}, strings.NewReader(""))
		defer func() { r.stop(); r.wait(t) }()
		// One was taken as the door was shut, one is in the queue, and Linux takes
		// one more than it is told. All ten may have come before the door was shut;
		// not five times in a row.
		var all []visit
		late := 0
		for try := 0; try < 5 && (late < 3 || late > 8); try++ {
			r.set(t, "backlog=700ms:every=1h")
			late = 0
			all = visits(t, r.Addr, 10)
			for _, v := range all {
				if v.took > 900*time.Millisecond && v.retrans > 0 {
					late++
				}
			}
		}
		if late < 3 || late > 8 {
			retry.Errorf("%d of 10 had to try again: %v", late, all)
		}
		book := r.book(t)
		if len(book.Hits) == 0 || book.Hits[len(book.Hits)-1].Knob != faults.Backlog || book.Hits[len(book.Hits)-1].Injected < int64(600*time.Millisecond) {
			t.Errorf("%+v", book)
		}
		// The door stays open until its next turn, and for good once it is disarmed.
		for _, v := range visits(t, r.Addr, 10) {
			if v.retrans > 0 {
				retry.Errorf("one had to try again while the door was open: %+v", v)
			}
		}
		r.set(t, "backlog=10s:every=1h")
		var asked sync.WaitGroup
		asked.Go(func() { all = visits(t, r.Addr, 1) })
		time.Sleep(50 * time.Millisecond)
		r.set(t, "sleep=1ns:1%")
		asked.Wait()
		if all[0].took > 5*time.Second {
			retry.Errorf("what is disarmed still takes %s", all[0].took)
		}
	})
}
