package bench

import (
	"sync"

	"github.com/taillight-load/taillight/telemetry/signal"
)

// mostUntold bounds what waits for an office that does not listen: 16 bytes for
// each exchange that is kept, which are at most some ten thousand a second.
const mostUntold = 1 << 17

// outbox is what an office is to be told without anybody waiting for it, and
// what it told last. A load that waited for an office that is starved of CPU,
// or hangs, would have its seconds stretched.
type outbox struct {
	// send tells what is in it, as take has it, and ends when that is nothing.
	send  func()
	owned sync.WaitGroup // of send

	mu      sync.Mutex
	keep    []byte // ids of traces, one after another
	books   bool   // are to be asked for
	sending bool   // send runs
	closed  bool   // it is not begun any more
	lost    int64  // traces that had no room
	last    books  // of the run attached, as they were told last
}

// add puts traces in.
func (o *outbox) add(traces []signal.TraceID) {
	o.mu.Lock()
	defer o.mu.Unlock()
	room := max(0, min(len(traces), mostUntold-len(o.keep)/len(signal.TraceID{})))
	o.keep = append(o.keep, joined(traces[:room])...)
	o.lost += int64(len(traces) - room)
	o.start()
}

// ask wants the books to be asked for, and returns those that were told last.
func (o *outbox) ask() (last books) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.books = true
	o.start()
	return o.last
}

// start begins to send. o.mu is held.
func (o *outbox) start() {
	if o.sending || o.closed {
		return
	}
	o.sending = true
	o.owned.Go(o.send)
}

// take empties the outbox: it returns the traces as a question, or one for the
// books, or none, and then send ends.
func (o *outbox) take() (q question, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case len(o.keep) > 0:
		q = question{Ask: askKeep, Traces: o.keep}
	case o.books:
		q = question{Ask: askBooks}
	default:
		o.sending = false
		return q, false
	}
	o.keep, o.books = nil, false // the answer to either has the books
	return q, true
}

// kept takes out what is to be told before another question is asked.
func (o *outbox) kept() []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	traces := o.keep
	o.keep = nil
	return traces
}

// told notes the books that an office told, or why there is none any more.
func (o *outbox) told(b books, ended error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if ended != nil {
		o.last.Ended = ended.Error()
		return
	}
	o.last = b
}

// read returns the books that were told last, and what was not told.
func (o *outbox) read() books {
	o.mu.Lock()
	defer o.mu.Unlock()
	b := o.last
	b.Untold = o.lost
	return b
}

// begin makes the outbox that of another run.
func (o *outbox) begin() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.lost = 0
}

// close waits until nobody sends any more.
func (o *outbox) close() {
	o.mu.Lock()
	o.closed = true
	o.mu.Unlock()
	o.owned.Wait()
}
