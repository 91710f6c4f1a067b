package sse

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	// comesBack is when a browser that lost the stream comes back, ms.
	comesBack = 1000
	// fullHouse is when one should come back for whom there was no room, s.
	fullHouse = "5"
	// atOnce is how many bytes are given to one reader before the others have
	// their turn.
	atOnce = 128 << 10
	// A reader that did not take all is tried again after soon; where that
	// gives nothing, after twice as long, and so on up to seldom.
	soon, seldom = 10 * time.Millisecond, 500 * time.Millisecond
	// workTime is about how long the readers may keep a processor that others
	// may be waiting for: some ten writes.
	workTime = 200 * time.Microsecond
	// small is more than a reader has to say.
	small = 1 << 10
)

// beat tells a reader that has nothing to read that the stream stands. It is
// an event, for scripts see no comments.
const beat = "event: beat\ndata: {}\n\n"

// reader is one connection. All but hungUp is the sending goroutine's alone,
// until it lets the reader go.
type reader struct {
	conn    net.Conn
	socket  syscall.RawConn // nil where it cannot be written to without waiting
	patient patient         // writes where there is no socket
	next    int             // number of the first event that it lacks
	rest    []byte          // of what was begun; shared
	all     bool            // nothing comes after rest
	sent    time.Time       // when something was last begun
	took    time.Time       // when it last took something, or had something new to take
	deaf    bool            // it was let go because it took nothing
	gone    chan struct{}   // closed when it is let go
	hungUp  bool            // by the reader; under the stream's lock
}

// ServeHTTP sends the events to one reader: those after Last-Event-ID, or the
// parameter "after", or all that stand; then those that come, to the last. It
// answers 204, on which a browser comes back no more, when the reader has the
// last already, 503 when there is no room, and 410 after Close. The connection
// must be one that can be taken over (http.Hijacker): HTTP/1. Nothing is
// compressed: what is large comes packed, and a compressor for each reader
// would take more than it saves on the way to this machine.
func (s *Stream) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	if q.Method != http.MethodGet {
		w.Header().Set("Allow", http.MethodGet)
		s.refuse(w, http.StatusMethodNotAllowed, "only GET")
		return
	}
	n := s.from(q)
	if text, _, all := s.after(n); all && text == nil {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	if !s.admit() {
		s.refuse(w, http.StatusGone, "this stream is closed: nobody is let in any more")
		return
	}
	defer s.owned.Done()
	if !s.room.enter() {
		w.Header().Set("Retry-After", fullHouse)
		s.refuse(w, http.StatusServiceUnavailable, "as many watch as may: close another page, or come back later")
		return
	}
	defer s.room.leave()
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		s.refuse(w, http.StatusInternalServerError, "this server cannot keep a stream open: ask by HTTP/1.1")
		return
	}
	r := &reader{conn: conn, socket: socketOf(conn), next: n, rest: opening(w.Header()), sent: time.Now(), took: time.Now(), gone: make(chan struct{})}
	expect(r, s.patience)
	s.enter(r)
	// A reader has nothing more to say, but its end is told here. Ours comes by
	// a deadline in the past.
	_, _ = io.CopyN(io.Discard, conn, small)
	s.mu.Lock()
	r.hungUp = true
	s.wake()
	s.mu.Unlock()
	<-r.gone
	r.hangUp()
}

// hangUp closes the connection, which may wait: where it is more than a socket
// it has a farewell of its own. So neither the goroutine that has all readers
// nor a lock is held by it.
func (r *reader) hangUp() {
	if c, ok := r.conn.(interface{ SetLinger(seconds int) error }); ok && r.deaf {
		_ = c.SetLinger(0) // else what it does not take would be kept for it
	}
	_ = r.conn.Close() // there is nobody to tell
}

// admit lets a reader in, unless the stream is closed. Who is let in says
// s.owned.Done at the end.
func (s *Stream) admit() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.owned.Add(1)
	return true
}

// opening is the head of the answer, with what others have set in it. Its end
// is that of the connection.
func opening(head http.Header) []byte {
	head.Set("Content-Type", "text/event-stream")
	head.Set("Cache-Control", "no-store")
	head.Set("X-Accel-Buffering", "no") // a proxy that collects answers would hold events back
	head.Set("X-Content-Type-Options", "nosniff")
	head.Set("Connection", "close")
	head.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	var b bytes.Buffer
	b.WriteString("HTTP/1.1 200 OK\r\n")
	_ = head.Write(&b) // into memory
	fmt.Fprintf(&b, "\r\nretry: %d\n\n", comesBack)
	return b.Bytes()
}

// from returns the number of the first event that a reader lacks.
func (s *Stream) from(q *http.Request) int {
	last := q.Header.Get("Last-Event-ID")
	if last == "" {
		last = q.URL.Query().Get("after")
	}
	number, ok := strings.CutPrefix(last, s.epoch+"-")
	if !ok {
		return 0
	}
	n, err := strconv.Atoi(number)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil || n < 0 || n >= s.next {
		return 0 // no id of ours
	}
	return n + 1
}

// enter gives a reader to the goroutine that has them all.
func (s *Stream) enter(r *reader) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.readers = append(s.readers, r)
	s.watched = true
	if !s.sending {
		s.sending = true
		s.owned.Go(s.send)
	}
	s.wake()
}

// send serves all readers, while there are any.
func (s *Stream) send() {
	timer := time.NewTimer(seldom)
	defer timer.Stop()
	again := soon
	for {
		readers, more := s.present()
		if len(readers) == 0 {
			return
		}
		waiting, moved := s.round(readers)
		switch {
		case moved || !waiting:
			again = soon
		default:
			again = min(2*again, seldom)
		}
		if waiting {
			timer.Reset(again)
		} else {
			timer.Reset(s.patience / 4) // a beat is due within half of it
		}
		select {
		case <-more:
		case <-timer.C:
		}
	}
}

// present lets those go who have to, and returns who is left, and what is
// closed when there is more to do. With nobody left the caller ends.
func (s *Stream) present() (readers []*reader, more <-chan struct{}) {
	s.mu.Lock()
	var parting []*reader
	for _, r := range s.readers {
		if r.hungUp || s.cut {
			parting = append(parting, r)
		}
	}
	s.part(false, parting...)
	s.sending = len(s.readers) > 0
	readers, more = slices.Clone(s.readers), s.changed
	s.mu.Unlock()
	release(parting...)
	return readers, more
}

// part takes readers off. Locked.
func (s *Stream) part(served bool, these ...*reader) {
	if len(these) == 0 {
		return
	}
	s.readers = slices.DeleteFunc(s.readers, func(r *reader) bool { return slices.Contains(these, r) })
	s.served = s.served || served
	s.wake()
}

// release has readers who were taken off hang up.
func release(these ...*reader) {
	for _, r := range these {
		// It waits in a read.
		if r.conn.SetReadDeadline(time.Unix(1, 0)) != nil {
			_ = r.conn.Close() // it has ended, or knows no deadlines
		}
		close(r.gone)
	}
}

// round gives each reader what it takes at once. Waiting says that somebody
// has not taken all, and moved that one of these took something.
func (s *Stream) round(readers []*reader) (waiting, moved bool) {
	began := time.Now()
	for _, r := range readers {
		n, err := s.feed(r)
		r.deaf = len(r.rest) > 0 && time.Since(r.took) >= s.patience
		switch {
		case err != nil || r.deaf:
			s.leave(r, false)
		case r.all && len(r.rest) == 0:
			s.leave(r, true)
		case len(r.rest) > 0 || n >= atOnce:
			waiting = true
			moved = moved || n > 0
		}
		if time.Since(began) >= workTime {
			// Not Gosched: sockets and timers are looked at only when nothing is ready.
			time.Sleep(time.Microsecond)
			began = time.Now()
		}
	}
	return waiting, moved
}

func (s *Stream) leave(r *reader, served bool) {
	s.mu.Lock()
	s.part(served, r)
	s.mu.Unlock()
	release(r)
}

// feed gives a reader what it takes at once, up to atOnce bytes.
func (s *Stream) feed(r *reader) (taken int, err error) {
	now := time.Now()
	for taken < atOnce {
		if len(r.rest) == 0 && !r.all {
			r.rest, r.next, r.all = s.after(r.next)
			if r.rest == nil && now.Sub(r.sent) >= s.patience/2 {
				r.rest = []byte(beat)
			}
			if r.rest != nil {
				r.sent, r.took = now, now
			}
		}
		if len(r.rest) == 0 {
			return taken, nil
		}
		piece := r.rest[:min(len(r.rest), atOnce-taken)]
		n, err := s.push(r, piece)
		taken += n
		r.rest = r.rest[n:]
		if n > 0 {
			r.took = now
		}
		if err != nil || n < len(piece) {
			return taken, err
		}
	}
	return taken, nil
}
