package sse_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/taillight-load/taillight/dashboards/sse"
	"github.com/taillight-load/taillight/loadgen/busytest"
)

func TestMain(m *testing.M) { busytest.Main(m) }

// hang tells a hang from an end.
const hang = 2 * time.Minute

// got is one event as a reader gets it.
type got struct{ id, name, data string }

// serve serves a stream until the test ends, and then waits for what it left.
func serve(t testing.TB, s *sse.Stream) *httptest.Server {
	t.Helper()
	srv := httptest.NewServer(s)
	t.Cleanup(func() {
		srv.Close()
		s.Close(gone())
	})
	return srv
}

// gone is a context that has ended.
func gone() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// answer is what a stream answers.
type answer struct {
	status int
	header http.Header
	body   io.ReadCloser
}

// ask asks for a stream.
func ask(t testing.TB, url, last string) answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), hang)
	t.Cleanup(cancel)
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if last != "" {
		q.Header.Set("Last-Event-ID", last)
	}
	res, err := http.DefaultTransport.RoundTrip(q)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = res.Body.Close() })
	return answer{res.StatusCode, res.Header, res.Body}
}

// read returns the next n events but beats; with n below zero all to the end.
func read(t testing.TB, from io.Reader, n int) []got {
	t.Helper()
	var all []got
	var now got
	r := bufio.NewReader(from)
	for len(all) != n {
		line, err := r.ReadString('\n')
		if err == io.EOF && n < 0 {
			return all
		}
		if err != nil {
			t.Fatalf("after %d events: %v", len(all), err)
		}
		switch field, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": "); {
		case field == "id":
			now.id = value
		case field == "event":
			now.name = value
		case field == "data":
			now.data = value
		case line == "\n" && now.id != "":
			all = append(all, now)
			now = got{}
		case line == "\n":
			now = got{}
		}
	}
	return all
}

func event(text string) sse.Event { return sse.Event{Data: []byte(text)} }

func texts(all []got) []string {
	var out []string
	for _, e := range all {
		out = append(out, e.data)
	}
	return out
}

func TestReadersGetAll(t *testing.T) {
	s := sse.New(sse.Options{})
	srv := serve(t, s)
	s.Tell(event("1"), sse.Event{Name: "special", Data: []byte("2")})
	first := ask(t, srv.URL, "")
	if kind := first.header.Get("Content-Type"); first.status != http.StatusOK || kind != "text/event-stream" || first.header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%d, %v", first.status, first.header)
	}
	begun := read(t, first.body, 2)
	if begun[0].name != "" || begun[1].name != "special" || !slices.Equal(texts(begun), []string{"1", "2"}) {
		t.Errorf("%+v", begun)
	}
	s.Tell(event("3"))
	s.End(event("4"), nil)
	s.Tell(event("too late"))
	s.End(event("too late"), func(sse.Event) bool { return true })
	if rest := texts(read(t, first.body, -1)); !slices.Equal(rest, []string{"3", "4"}) {
		t.Errorf("then %q", rest)
	}
	all := read(t, ask(t, srv.URL, "").body, -1)
	if !slices.Equal(texts(all), []string{"1", "2", "3", "4"}) {
		t.Errorf("who comes after the end gets %q", texts(all))
	}
	if res := ask(t, srv.URL, all[3].id); res.status != http.StatusNoContent {
		t.Errorf("who has all is answered %d", res.status)
	}
	if since := texts(read(t, ask(t, srv.URL+"?after="+all[1].id, "").body, -1)); !slices.Equal(since, []string{"3", "4"}) {
		t.Errorf("after the second come %q", since)
	}
	epoch, _, _ := strings.Cut(all[0].id, "-")
	for _, strange := range []string{"00000000-3", epoch + "-x", epoch + "--5", epoch + "-4", "3", "\u2028"} {
		if again := texts(read(t, ask(t, srv.URL, strange).body, -1)); len(again) != 4 {
			t.Errorf("after %q come %q", strange, again)
		}
	}
	post, err := http.Post(srv.URL, "", nil)
	if err != nil || post.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST: %v, %v", post, err)
	}
	_ = post.Body.Close()
	http.DefaultClient.CloseIdleConnections()
}

// What is told and replaced, and what a reader who comes at any time sees, is
// what a plain list says.
func TestWhatStands(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := sse.New(sse.Options{})
		type entry struct{ key, data string }
		var want []entry
		lent := map[string][]sse.Event{} // what stood, by how it was printed
		for i := range rapid.IntRange(0, 40).Draw(t, "events") {
			key := rapid.SampledFrom([]string{"", "", "a", "b", "c"}).Draw(t, "key")
			e := entry{key, fmt.Sprint(i)}
			same := func(old entry) bool { return key != "" && old.key == key }
			switch rapid.IntRange(0, 9).Draw(t, "what") {
			case 0:
				want = slices.DeleteFunc(want, same)
				s.Drop(func(e sse.Event) bool { return key != "" && e.Key == key })
			default:
				want = append(slices.DeleteFunc(want, same), e)
				s.Tell(sse.Event{Key: key, Data: []byte(e.data)})
			}
			if rapid.Bool().Draw(t, "read") {
				now := s.Events()
				lent[fmt.Sprint(now)] = now
			}
		}
		for before, then := range lent {
			if now := fmt.Sprint(then); now != before {
				t.Errorf("what somebody reads became %s, it was %s", now, before)
			}
		}
		var stands []entry
		for _, e := range s.Events() {
			stands = append(stands, entry{e.Key, string(e.Data)})
		}
		if !slices.Equal(stands, want) || s.Len() != len(want) {
			t.Errorf("%v stands, want %v", stands, want)
		}
	})
}

// silent connects, asks for the stream, and does not read.
func silent(t testing.TB, srv *httptest.Server) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	return conn
}

// Readers that read nothing make nobody wait, are let go when their patience
// ends, and those who read beside them get every event.
func TestDeafReaders(t *testing.T) {
	s := sse.New(sse.Options{Patience: 10 * time.Second})
	let := make(chan struct{}, 100)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		s.ServeHTTP(w, q)
		if q.Host == "x" {
			let <- struct{}{}
		}
	}))
	defer s.Close(gone())
	defer srv.Close()
	const deaf, events = 20, 40
	for range deaf {
		silent(t, srv)
	}
	hears := ask(t, srv.URL, "")
	filler := strings.Repeat("x", 1<<20) // together more than all buffers on the way
	var want []string
	for i := range events {
		want = append(want, fmt.Sprintf("%d %s", i, filler))
		s.Tell(event(want[i]))
		if heard := read(t, hears.body, 1); heard[0].data != want[i] {
			t.Fatalf("event %d is lost", i)
		}
	}
	for range deaf {
		select {
		case <-let:
		case <-time.After(hang):
			t.Fatal("a reader that does not read was not let go")
		}
	}
	s.End(event("end"), nil)
	if last := texts(read(t, hears.body, -1)); !slices.Equal(last, []string{"end"}) {
		t.Errorf("at last %.100q", last)
	}
	if all := texts(read(t, ask(t, srv.URL, "").body, -1)); !slices.Equal(all[:events], want) {
		t.Error("who comes after the end does not get all")
	}
}

// Who waits is told that the stream stands.
func TestBeat(t *testing.T) {
	s := sse.New(sse.Options{Patience: 20 * time.Millisecond})
	srv := serve(t, s)
	lines := bufio.NewScanner(ask(t, srv.URL, "").body)
	beats := 0
	for beats < 3 && lines.Scan() {
		if lines.Text() == "event: beat" {
			beats++
		}
	}
	if beats < 3 {
		t.Errorf("%d beats, then %v", beats, lines.Err())
	}
}

// No more read at once than there is room for, on all streams together; a
// place that is given up is had by the next.
func TestRoom(t *testing.T) {
	room := sse.NewRoom(3)
	one, other := sse.New(sse.Options{Room: room}), sse.New(sse.Options{Room: room})
	first, second := serve(t, one), serve(t, other)
	one.Tell(event("1"))
	other.Tell(event("1"))
	var inside []answer
	for _, srv := range []*httptest.Server{first, second, first} {
		res := ask(t, srv.URL, "")
		read(t, res.body, 1)
		inside = append(inside, res)
	}
	for _, srv := range []*httptest.Server{first, second} {
		if res := ask(t, srv.URL, ""); res.status != http.StatusServiceUnavailable || res.header.Get("Retry-After") == "" {
			t.Errorf("the fourth is answered %d, %v", res.status, res.header)
		}
	}
	_ = inside[0].body.Close()
	for deadline := time.Now().Add(hang); ; time.Sleep(time.Millisecond) {
		if res := ask(t, second.URL, ""); res.status == http.StatusOK {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("nobody gets the place of who left")
		}
	}
	one.End(event("2"), nil)
	if rest := texts(read(t, inside[2].body, -1)); !slices.Equal(rest, []string{"2"}) {
		t.Errorf("who is inside gets %q", rest)
	}
}

// Linger waits until who watches has the end, Close for nobody longer than it
// is told to, and nobody gets in then.
func TestLingerAndClose(t *testing.T) {
	s := sse.New(sse.Options{Patience: hang})
	srv := serve(t, s)
	s.Linger(t.Context()) // for nobody
	conn := silent(t, srv)
	s.Tell(event(strings.Repeat("z", 8<<20)))
	read(t, ask(t, srv.URL, "").body, 1)
	s.End(event("end"), nil)
	lingered := make(chan struct{})
	go func() {
		defer close(lingered)
		s.Linger(t.Context())
	}()
	select {
	case <-lingered:
		t.Error("it does not wait for who has not read the end")
	case <-time.After(50 * time.Millisecond): // a defect shows in most runs
	}
	if all := texts(read(t, conn, -1)); len(all) != 2 || all[1] != "end" {
		t.Errorf("%d events", len(all))
	}
	<-lingered

	cut := sse.New(sse.Options{})
	other := serve(t, cut)
	cut.Tell(event("1"))
	res := ask(t, other.URL, "")
	read(t, res.body, 1)
	cut.Close(gone())
	if rest := texts(read(t, res.body, -1)); len(rest) != 0 {
		t.Errorf("after the close comes %q", rest)
	}
	late := ask(t, other.URL, "")
	said, _ := io.ReadAll(late.body)
	if late.status != http.StatusGone || !strings.Contains(string(said), "closed") {
		t.Errorf("who comes after the close is answered %d %q", late.status, said)
	}
}

// Who gets no stream is told why as its server tells such things.
func TestRefusals(t *testing.T) {
	var said []string
	s := sse.New(sse.Options{Room: sse.NewRoom(0), Refuse: func(w http.ResponseWriter, status int, why string) {
		said = append(said, why)
		w.WriteHeader(status)
	}})
	for i, want := range []int{http.StatusServiceUnavailable, http.StatusGone} {
		w := httptest.NewRecorder()
		s.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
		if w.Code != want || len(said) != i+1 || w.Body.Len() > 0 {
			t.Errorf("%d %q, %q", w.Code, w.Body, said)
		}
		s.Close(gone())
	}
}

// An answer that cannot be taken over is an error, and takes no place.
func TestOnlyConnections(t *testing.T) {
	s := sse.New(sse.Options{Room: sse.NewRoom(1)})
	for range 2 {
		w := httptest.NewRecorder()
		s.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
		if w.Code != http.StatusInternalServerError {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	}
}
