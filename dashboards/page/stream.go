package page

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	// streamRetry is when a browser that lost the stream comes back, ms.
	streamRetry = 1000
	// streamPiece is how much is sent under one deadline: what a slow line
	// takes well within a reader's patience.
	streamPiece = 64 << 10
	// Readers are not woken all at once, for that would hold up whatever else the
	// process does, such as sending requests: of each lanes readers one waits
	// not at all, the next laneWidth, and so on.
	lanes     = 16
	laneWidth = 20 * time.Millisecond
	// comeBack is how long a finished run waits for a reader that is just
	// loading the page again.
	comeBack = 3 * time.Second
)

// ServeHTTP sends the events to one reader: those after Last-Event-ID, or the
// parameter "after", or all that stand; then those that come, to the last. A
// reader that has the last already is told so by 204, on which a browser comes
// back no more. Nothing is compressed but the report, which comes packed: a
// second takes a kilobyte, and a compressor for each reader would take more.
func (l *Live) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	if q.Method != http.MethodGet {
		w.Header().Set("Allow", http.MethodGet)
		http.Error(w, "only GET", http.StatusMethodNotAllowed)
		return
	}
	n := l.from(q)
	if events, _, over := l.after(n); over && len(events) == 0 {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	stream := http.NewResponseController(w)
	// The server's own deadline is for short requests.
	if err := stream.SetReadDeadline(time.Time{}); err != nil {
		http.Error(w, "this server cannot keep a stream open", http.StatusInternalServerError)
		return
	}
	head := w.Header()
	head.Set("Content-Type", "text/event-stream")
	head.Set("Cache-Control", "no-store")
	head.Set("X-Accel-Buffering", "no") // a proxy that collects answers would hold seconds back
	head.Set("X-Content-Type-Options", "nosniff")
	pause := l.enter()
	l.leave(l.send(paced{w, stream, l.patience}, q.Context().Done(), n, pause))
}

// from returns the number of the first event that a reader lacks.
func (l *Live) from(q *http.Request) int {
	last := q.Header.Get("Last-Event-ID")
	if last == "" {
		last = q.URL.Query().Get("after")
	}
	number, ok := strings.CutPrefix(last, l.epoch+"-")
	if !ok {
		return 0
	}
	n, err := strconv.Atoi(number)
	if err != nil || n < 0 {
		return 0
	}
	return n + 1
}

// send writes events from number n on until the reader has all or is gone, and
// reports whether it has all. What comes is sent a pause later.
func (l *Live) send(w io.Writer, gone <-chan struct{}, n int, pause time.Duration) bool {
	beat := time.NewTicker(l.patience / 2)
	defer beat.Stop()
	text := bufio.NewWriter(w)
	fmt.Fprintf(text, "retry: %d\n\n", streamRetry)
	for {
		events, more, over := l.after(n)
		for _, e := range events {
			fmt.Fprintf(text, "id: %s\ndata: ", l.id(e))
			_, _ = text.Write(e.data) // the error is kept, for Flush
			_, _ = text.WriteString("\n\n")
			n = e.number + 1
		}
		if text.Flush() != nil {
			return false
		}
		if over {
			return true
		}
		select {
		case <-more:
			select {
			case <-time.After(pause):
			case <-gone:
				return false
			}
		case <-beat.C:
			// An event, for scripts see no comments.
			_, _ = text.WriteString("event: beat\ndata: {}\n\n")
		case <-gone:
			return false
		}
	}
}

// paced sends at once what is written, in pieces that each have a deadline.
type paced struct {
	w        http.ResponseWriter
	stream   *http.ResponseController
	patience time.Duration
}

// Write implements io.Writer.
func (p paced) Write(b []byte) (int, error) {
	written := 0
	for piece := range slices.Chunk(b, streamPiece) {
		if err := p.stream.SetWriteDeadline(time.Now().Add(p.patience)); err != nil {
			return written, err
		}
		n, err := p.w.Write(piece)
		written += n
		if err == nil {
			err = p.stream.Flush()
		}
		if err != nil {
			return written, err
		}
	}
	return written, nil
}

// enter counts a reader, and returns its pause.
func (l *Live) enter() (pause time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.readers++
	l.watched = true
	pause = time.Duration(l.entered%lanes) * laneWidth
	l.entered++
	return pause
}

func (l *Live) leave(served bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.readers--
	l.served = l.served || served
	l.wake()
}

// Linger waits, once the last event is told, until every reader has been sent
// it, and for a moment where the only reader is just loading the page again.
// Ctx cuts it short. Where nobody ever read it returns at once.
func (l *Live) Linger(ctx context.Context) {
	if l == nil {
		return
	}
	late := time.NewTimer(comeBack)
	defer late.Stop()
	patient := true
	for {
		l.mu.Lock()
		more, wait := l.changed, l.readers > 0 || l.watched && !l.served && patient
		l.mu.Unlock()
		if !wait {
			return
		}
		select {
		case <-more:
		case <-late.C:
			patient = false
		case <-ctx.Done():
			return
		}
	}
}
