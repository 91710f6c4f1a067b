package loadgen_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/taillight-load/taillight/loadgen"
)

// swallower is the near end of a relay that ends every connection with its
// first answer, in the same segment, and swallows what still comes on it: no
// reset tells the sender.
type swallower struct {
	net.Listener
	served  sync.WaitGroup
	answers atomic.Int64
	late    atomic.Int64 // of them, those whose end may have come in a segment of its own
	lost    atomic.Int64 // bytes that were swallowed
}

// corked is less than Linux holds back a segment that is not full.
const corked = 150 * time.Millisecond

func newSwallower(t *testing.T) *swallower {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &swallower{Listener: l}
	s.served.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.served.Go(func() { s.serve(c.(*net.TCPConn)) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		s.served.Wait()
	})
	return s
}

func (s *swallower) serve(c *net.TCPConn) {
	defer c.Close()
	// Corked, the answer waits for the end.
	raw, err := c.SyscallConn()
	if err == nil {
		err = raw.Control(func(fd uintptr) { _ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_CORK, 1) })
	}
	in := bufio.NewReader(c)
	_, asked := http.ReadRequest(in)
	if errors.Join(err, asked) != nil {
		return
	}
	began := time.Now()
	_, err = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	if errors.Join(err, c.CloseWrite()) != nil {
		return
	}
	if s.answers.Add(1); time.Since(began) > corked {
		s.late.Add(1)
	}
	n, _ := io.Copy(io.Discard, in) // until the sender gives up
	s.lost.Add(n)
}

// A connection that ended with its last answer is found before it is used
// again, however soon that is: the next request goes once, on another, and is
// not waited for in vain.
func TestAnEndedConnectionIsFoundBeforeItIsUsed(t *testing.T) {
	for name, think := range map[string]time.Duration{"at once": 0, "soon": 5 * time.Millisecond, "late": 200 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			s := newSwallower(t)
			p := closed("http://"+s.Addr().String(), 1, 500*time.Millisecond, loadgen.Think{Kind: loadgen.ThinkConstant, Max: think})
			p.Timeout, p.Drain = 10*time.Second, 30*time.Second
			all := exchangesOf(t, p)
			_ = s.Close()
			s.served.Wait() // its books are closed when all have hung up
			if len(all) < 2 {
				t.Skipf("%d requests in %s", len(all), p.Phases[0].For)
			}
			broken := 0
			for _, x := range all {
				switch {
				case x.OK() && !x.Reused:
				case x.Error == loadgen.ErrReset: // the end came late, after the request had left
					broken++
				default:
					t.Errorf("exchange %d: reused %v, %q %s", x.N, x.Reused, x.Error, x.Detail)
				}
			}
			if int(s.answers.Load()) != len(all)-broken {
				t.Errorf("%d answers to %d requests, of which %d broke", s.answers.Load(), len(all), broken)
			}
			if late := int(s.late.Load()); broken > late || late == 0 && s.lost.Load() != 0 {
				t.Errorf("%d requests broke, %d bytes were sent on connections that had ended", broken, s.lost.Load())
			}
		})
	}
}
