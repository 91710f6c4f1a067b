package sse_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/taillight-load/taillight/dashboards/sse"
)

// A way is a kind of connection that a stream gets.
type way struct {
	srv  *httptest.Server
	over func(net.Conn) net.Conn // what a reader says over its socket
	let  chan struct{}           // gets one for each reader that was let go
}

// kind makes one: what the server has in place of its sockets, how it starts,
// and what a reader says over its own.
type kind struct {
	conn  func(net.Conn) net.Conn
	start func(*httptest.Server)
	over  func(net.Conn) net.Conn
}

func same(c net.Conn) net.Conn { return c }

// sockets are what a stream has in serve.
func sockets() kind { return kind{same, (*httptest.Server).Start, same} }

// serves serves a stream until the test ends.
func (k kind) serves(t *testing.T, patience time.Duration) (*sse.Stream, way) {
	t.Helper()
	s := sse.New(sse.Options{Patience: patience})
	by := way{over: k.over, let: make(chan struct{}, 10)}
	by.srv = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		s.ServeHTTP(w, q)
		by.let <- struct{}{}
	}))
	by.srv.Listener = listening{by.srv.Listener, k.conn}
	k.start(by.srv)
	t.Cleanup(func() {
		by.srv.Close()
		s.Close(gone())
	})
	return s, by
}

// ways tests over sockets, over what hides its socket, and over TLS, in which a
// write that is cut short spoils all that follow.
func ways(t *testing.T, patience time.Duration, test func(t *testing.T, s *sse.Stream, by way)) {
	t.Helper()
	for name, k := range map[string]kind{
		"socket": sockets(),
		"hidden": {func(c net.Conn) net.Conn { return struct{ net.Conn }{c} }, (*httptest.Server).Start, same},
		"TLS":    {same, (*httptest.Server).StartTLS, func(c net.Conn) net.Conn { return tls.Client(c, &tls.Config{InsecureSkipVerify: true}) }},
	} {
		t.Run(name, func(t *testing.T) {
			s, by := k.serves(t, patience)
			test(t, s, by)
		})
	}
}

// listening is a listener whose connections are made into others.
type listening struct {
	net.Listener
	made func(net.Conn) net.Conn
}

// Accept implements net.Listener.
func (l listening) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return l.made(c), nil
}

// asks connects, asks for the stream, and reads nothing yet. Little says that
// its machine takes little meanwhile.
func (w way) asks(t *testing.T, little bool) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", w.srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if little {
		if err := conn.(*net.TCPConn).SetReadBuffer(4 << 10); err != nil {
			t.Fatal(err)
		}
	}
	over := w.over(conn)
	fmt.Fprint(over, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	return over
}

// beyond is above what all buffers on the way hold together.
const beyond = 16 << 20

// A reader that is slow, but reads, gets all.
func TestSlowReader(t *testing.T) {
	ways(t, hang, func(t *testing.T, s *sse.Stream, by way) {
		conn := by.asks(t, false)
		long := strings.Repeat("y", beyond)
		s.Tell(event("short"), event(long))
		s.End(event("end"), nil)
		time.Sleep(time.Second) // the buffers are full then; a defect shows in most runs
		all := read(t, bufio.NewReaderSize(slowly{conn}, 64<<10), -1)
		if !slices.Equal(texts(all), []string{"short", long, "end"}) {
			t.Errorf("%d events", len(all))
		}
	})
}

// slowly reads little at a time, and rests at times.
type slowly struct{ r io.Reader }

func (s slowly) Read(b []byte) (int, error) {
	n, err := io.ReadFull(s.r, b[:min(len(b), 64<<10)])
	time.Sleep(time.Millisecond)
	if err == io.ErrUnexpectedEOF {
		err = nil
	}
	return n, err
}

// A reader that reads nothing is let go when its patience ends, whatever it
// reads over, and its end is no end of the stream.
func TestSilentReader(t *testing.T) {
	ways(t, 100*time.Millisecond, func(t *testing.T, s *sse.Stream, by way) {
		by.asks(t, true)
		s.Tell(event(strings.Repeat("y", beyond)))
		by.letGo(t)
	})
}

// A reader whose machine takes nothing more is let go though the buffer of this
// one would take all that is told for hours.
func TestSilentReaderOfLittle(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("elsewhere the buffer has to be full")
	}
	s, by := sockets().serves(t, 100*time.Millisecond)
	by.asks(t, true)
	s.Tell(event(strings.Repeat("y", 256<<10)))
	by.letGo(t)
}

func (w way) letGo(t *testing.T) {
	t.Helper()
	select {
	case <-w.let:
	case <-time.After(hang):
		t.Fatal("a reader was not let go")
	}
}

// stuck is a connection whose farewell waits.
type stuck struct {
	net.Conn
	closing, let chan struct{}
	once         *sync.Once
}

// Close implements net.Conn.
func (s stuck) Close() error {
	s.once.Do(func() { close(s.closing) })
	<-s.let
	return s.Conn.Close()
}

// Nobody waits for the farewell of a reader: not who tells, and not who reads.
func TestFarewells(t *testing.T) {
	s := sse.New(sse.Options{Patience: hang})
	closing, let := make(chan struct{}), make(chan struct{})
	srv := httptest.NewUnstartedServer(s)
	first := true
	srv.Listener = listening{srv.Listener, func(c net.Conn) net.Conn {
		if first {
			first = false
			return stuck{c, closing, let, &sync.Once{}}
		}
		return c
	}}
	srv.Start()
	defer srv.Close()
	s.Tell(event("1"))
	leaves := silent(t, srv)
	read(t, leaves, 1)
	stays := ask(t, srv.URL, "")
	read(t, stays.body, 1)
	_ = leaves.Close()
	select {
	case <-closing:
	case <-time.After(hang):
		t.Fatal("a reader that hung up is not hung up on")
	}
	told := make(chan struct{})
	go func() {
		defer close(told)
		s.Tell(event("2"))
		if then := texts(read(t, stays.body, 1)); !slices.Equal(then, []string{"2"}) {
			t.Errorf("then comes %q", then)
		}
	}()
	select {
	case <-told:
	case <-time.After(hang):
		t.Error("a farewell that waits keeps others waiting")
	}
	close(let)
	s.Close(gone())
	<-told
}

// What is told at once with keys costs as much for each however much it is:
// the seconds of a long run are told anew when its columns become wider.
func TestManyKeysAtOnce(t *testing.T) {
	const n = 1 << 14
	keyed, bare := make([]sse.Event, n), make([]sse.Event, n)
	for i := range n {
		data := fmt.Append(nil, i)
		keyed[i], bare[i] = sse.Event{Key: fmt.Sprintf("second %d", i), Data: data}, sse.Event{Data: data}
	}
	took := func(events []sse.Event) time.Duration {
		s := sse.New(sse.Options{})
		s.Tell(events...)
		began := time.Now()
		s.Tell(events...) // in place of those, where they have keys
		return time.Since(began)
	}
	var ratios []float64
	for range 10 { // a busy machine spoils some
		ratio := float64(took(keyed)) / float64(took(bare))
		if ratio < 30 {
			return
		}
		ratios = append(ratios, ratio)
	}
	t.Errorf("%d events with keys took %.0f times as long as without", n, ratios)
}

// Who reads what stands shares it.
func TestEventsAreShared(t *testing.T) {
	s := sse.New(sse.Options{})
	for range 1000 {
		s.Tell(event("1"))
	}
	if n := testing.AllocsPerRun(100, func() { _ = s.Events() }); n >= 1 {
		t.Errorf("%g allocations to read what stands", n)
	}
}

// Whoever loads the page again at any time, and tells what he saw last, has at
// the end all that stands, each once and in its order, whatever took the place
// of what and was forgotten meanwhile.
func TestReloadsLoseNothing(t *testing.T) {
	var now atomic.Pointer[sse.Stream]
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) { now.Load().ServeHTTP(w, q) }))
	defer srv.Close()
	rapid.Check(t, func(r *rapid.T) {
		s := sse.New(sse.Options{Patience: hang})
		now.Store(s)
		defer s.Close(gone())
		last, seen := "", []string{}
		load := func(n int) {
			res := ask(t, srv.URL, last)
			for _, e := range read(t, res.body, n) {
				last, seen = e.id, append(seen, e.data)
			}
			_ = res.body.Close()
		}
		for i := range rapid.IntRange(0, 15).Draw(r, "events") {
			key := rapid.SampledFrom([]string{"", "a", "b"}).Draw(r, "key")
			switch rapid.IntRange(0, 4).Draw(r, "what") {
			case 0:
				s.Drop(func(e sse.Event) bool { return e.Key == key })
			case 1:
				load(rapid.IntRange(0, unseen(s, seen)).Draw(r, "loaded"))
			default:
				s.Tell(sse.Event{Key: key, Data: fmt.Appendf(nil, "%03d", i)})
			}
		}
		s.End(event("end"), nil)
		load(-1)
		if !slices.IsSorted(seen) || len(slices.Compact(slices.Clone(seen))) != len(seen) || unseen(s, seen) != 0 {
			r.Errorf("%q were seen, %d of what stands are not among them", seen, unseen(s, seen))
		}
	})
}

// unseen counts what stands and was not seen.
func unseen(s *sse.Stream, seen []string) (n int) {
	for _, e := range s.Events() {
		if !slices.Contains(seen, string(e.Data)) {
			n++
		}
	}
	return n
}
