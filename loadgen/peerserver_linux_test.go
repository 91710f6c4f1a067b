package loadgen_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// serverKind is what a server of the benchmarks does with a request.
type serverKind struct {
	TLS, HTTP2 bool
	// Notes says that it notes every request, with the kernel's time; Traces
	// that it notes their trace context too.
	Notes, Traces bool
	// Delay is what it waits before it answers.
	Delay time.Duration
	// Freeze is how long it answers nothing, from freezeAfter times as long
	// after the first request on.
	Freeze time.Duration
	// Ports is on how many it listens; each knows only what came there.
	Ports int
}

// noted is one request that a server got.
type noted struct {
	Came   int64  `json:"c"` // nanoseconds of the wall clock
	Wrote  int64  `json:"w"` // just before its answer was written
	Parent string `json:"p"` // its traceparent
}

// serverLog is what a port got since it was last asked.
type serverLog struct {
	Answered int64
	Noted    []noted
	// Kernel is how many of Noted have the kernel's time of arrival; of the
	// others it is when the server had read them.
	Kernel   int
	Froze    int64 // nanoseconds of the wall clock; 0 when it did not
	Thawed   int64
	Problems string
}

// peerServer is a server in a process of its own.
type peerServer struct {
	urls  []string
	stdin io.WriteCloser
	lines *bufio.Reader
}

// startPeerServer starts a server, on a core of its own unless that is "".
func startPeerServer(b *testing.B, kind serverKind, core string) *peerServer {
	b.Helper()
	spec, err := json.Marshal(kind)
	if err != nil {
		b.Fatal(err)
	}
	args := []string{os.Args[0], "-test.run=^TestPeerProcess$"}
	if core != "" {
		args = append([]string{"taskset", "-c", core}, args...)
	}
	cmd := exec.CommandContext(b.Context(), args[0], args[1:]...)
	cmd.Env = append(os.Environ(), "TAILLIGHT_TEST_PEER=server", "TAILLIGHT_TEST_JOB="+string(spec))
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = stdin.Close()
		_ = cmd.Wait()
	})
	s := &peerServer{stdin: stdin, lines: bufio.NewReader(stdout)}
	line, err := s.lines.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &s.urls)
	}
	if err != nil {
		b.Fatal(err)
	}
	return s
}

// log returns what came to a port since the last time, and forgets it.
func (s *peerServer) log(port int) (serverLog, error) {
	var l serverLog
	if _, err := fmt.Fprintln(s.stdin, port); err != nil {
		return l, err
	}
	line, err := s.lines.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &l)
	}
	if err == nil && l.Problems != "" {
		err = fmt.Errorf("the server: %s", l.Problems)
	}
	return l, err
}

// serveAsPeer is the server's process. It prints its URLs, and then a
// port's log for every line with the port's number.
func serveAsPeer(t *testing.T, spec string) {
	t.Helper()
	kind := serverKind{Ports: 1}
	if err := json.Unmarshal([]byte(spec), &kind); err != nil {
		t.Fatal(err)
	}
	ports := make([]*peerPort, max(1, kind.Ports))
	urls := make([]string, len(ports))
	for i := range ports {
		ports[i] = &peerPort{kind: kind}
		urls[i] = ports[i].serve(t)
	}
	out := json.NewEncoder(os.Stdout)
	if err := out.Encode(urls); err != nil {
		t.Fatal(err)
	}
	asked := bufio.NewScanner(os.Stdin) // ends when the parent is gone
	for asked.Scan() {
		n := 0
		if _, err := fmt.Sscan(asked.Text(), &n); err != nil {
			t.Fatal(err)
		}
		if err := out.Encode(ports[n].taken()); err != nil {
			t.Fatal(err)
		}
	}
}

// peerPort is one port of a server.
type peerPort struct {
	kind     serverKind
	answered atomic.Int64

	mu    sync.Mutex
	log   serverLog
	begin time.Time // of the freeze; zero before the first request
}

// taken returns the log and begins a new one.
func (p *peerPort) taken() serverLog {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.log
	l.Answered = p.answered.Swap(0)
	p.log, p.begin = serverLog{}, time.Time{}
	return l
}

var hello = []byte("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello")

func (p *peerPort) serve(t *testing.T) string {
	t.Helper()
	if p.kind.TLS {
		return p.serveTLS()
	}
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if p.kind.Notes {
		stampFrom(t, l.(*net.TCPListener))
	}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			if p.kind.Notes {
				go p.note(conn.(*net.TCPConn))
			} else {
				go p.answer(conn)
			}
		}
	}()
	return "http://" + l.Addr().String()
}

// serveTLS serves with net/http, HTTP/2 or not.
func (p *peerPort) serveTLS() string {
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		p.answered.Add(1)
		_, _ = w.Write([]byte("hello"))
	}))
	srv.EnableHTTP2 = p.kind.HTTP2
	if !p.kind.HTTP2 {
		srv.TLS = &tls.Config{NextProtos: []string{"http/1.1"}}
	}
	srv.StartTLS() // until the process ends
	return srv.URL
}

// answer answers at once, and counts.
func (p *peerPort) answer(conn net.Conn) {
	defer conn.Close()
	buf, k := make([]byte, 4096), 0
	for {
		more, err := conn.Read(buf[k:])
		if err != nil {
			return
		}
		if k += more; !bytes.HasSuffix(buf[:k], []byte("\r\n\r\n")) {
			continue
		}
		k = 0
		p.answered.Add(1)
		if _, err := conn.Write(hello); err != nil {
			return
		}
	}
}

// note answers when it is due, and notes what came when. The time of arrival
// is the kernel's, of the last part of the request: on the loopback interface
// that is taken while the sender sends, so how soon this process wakes up is
// not in it.
func (p *peerPort) note(conn *net.TCPConn) {
	defer conn.Close()
	raw, err := conn.SyscallConn()
	if err != nil {
		p.problem(err)
		return
	}
	buf, k := make([]byte, 4096), 0
	for {
		more, came, kernel, err := receive(raw, buf[k:])
		if err != nil || more == 0 {
			return
		}
		if k += more; !bytes.HasSuffix(buf[:k], []byte("\r\n\r\n")) {
			continue
		}
		n := noted{Came: came.UnixNano()}
		if p.kind.Traces {
			n.Parent = traceparent(buf[:k])
		}
		if p.kind.Delay > 0 {
			time.Sleep(time.Until(p.due(came)))
		}
		k = 0
		p.answered.Add(1)
		n.Wrote = time.Now().UnixNano()
		p.keep(n, kernel) // before the client can have the answer, and ask for the log
		if _, err := conn.Write(hello); err != nil {
			return
		}
	}
}

// due returns when what came then is answered.
func (p *peerPort) due(came time.Time) time.Time {
	due := came.Add(p.kind.Delay)
	if p.kind.Freeze == 0 {
		return due
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.begin.IsZero() {
		p.begin = came.Add(freezeAfter * p.kind.Freeze)
		p.log.Froze, p.log.Thawed = p.begin.UnixNano(), p.begin.Add(p.kind.Freeze).UnixNano()
	}
	if thaw := p.begin.Add(p.kind.Freeze); due.After(p.begin) && due.Before(thaw) {
		due = thaw
	}
	return due
}

func (p *peerPort) keep(n noted, kernel bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.log.Noted = append(p.log.Noted, n)
	if kernel {
		p.log.Kernel++
	}
}

func (p *peerPort) problem(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.log.Problems = err.Error()
}

// traceparent finds the header in a request's head.
func traceparent(head []byte) string {
	const name = "\r\ntraceparent: "
	i := bytes.Index(bytes.ToLower(head), []byte(name))
	if i < 0 {
		return ""
	}
	value, _, _ := strings.Cut(string(head[i+len(name):]), "\r\n")
	return value
}

// stampFrom lets the kernel note when what comes on the connections of a
// listener came. Connections inherit it.
func stampFrom(t *testing.T, l *net.TCPListener) {
	t.Helper()
	raw, err := l.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var failed error
	err = raw.Control(func(fd uintptr) { failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_TIMESTAMPNS_NEW, 1) })
	if err != nil || failed != nil {
		t.Fatal(err, failed)
	}
}

// receive reads what has come, and when it came by the kernel's clock; where
// that says nothing, when it was read.
func receive(raw syscall.RawConn, buf []byte) (n int, came time.Time, kernel bool, err error) {
	oob := make([]byte, unix.CmsgSpace(16))
	var oobn int
	failed := raw.Read(func(fd uintptr) bool {
		for err = unix.EINTR; errors.Is(err, unix.EINTR); {
			n, oobn, _, _, err = unix.Recvmsg(int(fd), buf, oob, unix.MSG_DONTWAIT)
		}
		return !errors.Is(err, unix.EAGAIN)
	})
	came = time.Now()
	if failed != nil {
		return 0, came, false, failed
	}
	messages, bad := unix.ParseSocketControlMessage(oob[:oobn])
	if bad != nil {
		return n, came, false, err
	}
	i := slices.IndexFunc(messages, func(m unix.SocketControlMessage) bool {
		return m.Header.Level == unix.SOL_SOCKET && m.Header.Type == unix.SO_TIMESTAMPNS_NEW && len(m.Data) >= 16
	})
	if i < 0 {
		return n, came, false, err
	}
	data := messages[i].Data // two 64-bit numbers, on every architecture
	came = time.Unix(int64(binary.NativeEndian.Uint64(data)), int64(binary.NativeEndian.Uint64(data[8:])))
	return n, came, true, err
}
