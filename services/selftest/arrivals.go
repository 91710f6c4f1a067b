package selftest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"
)

// arrivals is the job of that part: a server in a process of its own that notes
// when each request came, by the trace id that the request carries.
type arrivals struct {
	Hold time.Duration `json:"hold"` // how long each answer takes
	// StallAfter the first request the server answers nothing for StallFor.
	StallAfter time.Duration `json:"stall_after"`
	StallFor   time.Duration `json:"stall_for"`
}

// noted is a server with what it has noted.
type noted struct {
	arrivals

	mu    sync.Mutex
	first time.Time
	came  []arrival
}

// arrival is when a request came.
type arrival struct {
	trace [traceDigits]byte
	at    int64 // Unix ns
}

// traceDigits is the length of a trace id in a header.
const traceDigits = 32

// runArrivals serves until its input ends, and then writes what it noted.
func runArrivals(job []byte, in io.Reader, out io.Writer) error {
	s := &noted{}
	if err := json.Unmarshal(job, &s.arrivals); err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintln(out, l.Addr()); err != nil {
		return err
	}
	stop := acceptAll(l, s.serve)
	_, err = io.Copy(io.Discard, in)
	stop()
	if err != nil {
		return err
	}
	w := bufio.NewWriter(out)
	for i := range s.came {
		fmt.Fprintf(w, "%s %d\n", s.came[i].trace[:], s.came[i].at)
	}
	return w.Flush()
}

// serve answers the requests of a connection, which have no bodies.
func (s *noted) serve(conn net.Conn) {
	defer conn.Close()
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return
	}
	in, err := newStamped(tcp)
	if err != nil {
		return
	}
	buf, have := make([]byte, 4096), 0
	for {
		n, at, err := in.read(buf[have:])
		if err != nil {
			return
		}
		for have += n; ; {
			head, rest, whole := bytes.Cut(buf[:have], []byte("\r\n\r\n"))
			if !whole {
				break
			}
			wait := s.note(head, at)
			time.Sleep(wait)
			if _, err := conn.Write([]byte("HTTP/1.1 204 No Content\r\n\r\n")); err != nil {
				return
			}
			have = copy(buf, rest)
		}
		if have == len(buf) {
			return // no request of ours
		}
	}
}

// note notes a request, and returns how long its answer has to wait.
func (s *noted) note(head []byte, at time.Time) time.Duration {
	const header = "\r\ntraceparent: 00-"
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.first.IsZero() {
		s.first = at
	}
	a := arrival{at: at.UnixNano()}
	if _, id, ok := bytes.Cut(head, []byte(header)); ok {
		copy(a.trace[:], id)
	}
	s.came = append(s.came, a)
	wait := s.Hold
	if from := s.first.Add(s.StallAfter); s.StallFor > 0 && !at.Before(from) {
		wait = max(wait, time.Until(from.Add(s.StallFor)))
	}
	return wait
}

// startArrivals starts the server and returns its HOST:PORT.
func startArrivals(ctx context.Context, o Options, job arrivals, processor int) (*part, string, error) {
	p, err := startPart(ctx, o, partArrivals, job, processor)
	if err != nil {
		return nil, "", err
	}
	addr, err := p.out.ReadString('\n')
	if err != nil {
		p.kill()
		return nil, "", fmt.Errorf("its %s: %w: %s", p.name, err, p.said.text)
	}
	return p, strings.TrimSpace(addr), nil
}

// arrived ends the server, and returns when each request came (Unix ns, by trace
// id) and the CPU time it has used.
func arrived(p *part) (map[string]int64, time.Duration, error) {
	came := map[string]int64{}
	_ = p.stdin.Close() // it may have ended by itself, which Wait tells
	cpu, err := p.finish(func(r io.Reader) error {
		lines := bufio.NewScanner(r)
		for lines.Scan() {
			trace, at, _ := strings.Cut(lines.Text(), " ")
			ns, err := strconv.ParseInt(at, 10, 64)
			if err != nil {
				return fmt.Errorf("its %s: %w", p.name, err)
			}
			came[trace] = ns
		}
		return lines.Err()
	})
	return came, cpu, err
}
