// Package sse sends what goes on to whoever watches, as server-sent events
// (WHATWG HTML, 9.2), from a process that has better things to do: it may be
// sending requests on time meanwhile.
//
// A Stream is a log of events and the handler that sends them. Each event is
// written down once, as the bytes that go out, and all readers share them. One
// goroutine has all connections: it gives each what its socket takes at once,
// and comes back to those that did not take all. So a reader costs a write for
// each event and nothing else, no timer and no wake-up of its own, and one that
// stops reading costs a failed write now and then until its patience ends.
package sse

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Options change how a Stream treats its readers.
type Options struct {
	// Patience is how long a reader may take nothing before it is dropped, and
	// how often one that has nothing to read is told that the stream stands:
	// twice in it. 10 s when zero.
	Patience time.Duration
	// Room bounds the readers of all streams that share it; one of its own, of
	// MaxReaders, when nil.
	Room *Room
}

// defaultPatience is above what a browser needs that draws a large event.
const defaultPatience = 10 * time.Second

// An Event is one thing told.
type Event struct {
	// Name is what the reader's listener is called; a browser takes "" for
	// "message".
	Name string
	// Key is what the event is about, where it takes the place of an earlier one
	// with the same key; "" takes nobody's.
	Key string
	// Data has no line break.
	Data []byte

	number int
	text   []byte // as it is sent
}

// A Stream is the events of something that goes on, and the handler that sends
// them. A reader that comes back tells the last id it saw, and gets what came
// since; one that comes new gets all that stands.
//
// Tell, Drop and End never wait for a reader. All methods are for any
// goroutine.
type Stream struct {
	patience time.Duration
	room     *Room
	epoch    string // of its ids: a stream before it at the same address had others

	mu      sync.Mutex
	log     []Event
	next    int           // number of the next event
	changed chan struct{} // closed, and replaced, when anything here does
	over    bool          // the last event was told
	closed  bool          // nobody may come any more
	cut     bool          // and whoever is here goes
	readers []*reader
	watched bool // somebody came
	served  bool // somebody was sent the last event

	sending bool // the goroutine that has the connections is there
	owned   sync.WaitGroup
}

// New returns a stream without events.
func New(o Options) *Stream {
	if o.Patience <= 0 {
		o.Patience = defaultPatience
	}
	if o.Room == nil {
		o.Room = NewRoom(MaxReaders)
	}
	epoch := make([]byte, 4)
	_, _ = rand.Read(epoch) // never fails
	return &Stream{patience: o.Patience, room: o.Room, epoch: hex.EncodeToString(epoch), changed: make(chan struct{})}
}

// Tell adds events to what stands, in place of what they replace. After the
// end it does nothing.
func (s *Stream) Tell(events ...Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return
	}
	for _, e := range events {
		s.add(e)
	}
	s.wake()
}

// Drop forgets events that stand: who comes later is not sent them. It asks
// once of each, the oldest first.
func (s *Stream) Drop(these func(Event) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log = slices.DeleteFunc(s.log, these)
}

// End tells the last event, and forgets those before it that are not needed
// any more; nil forgets none. After the end it does nothing.
func (s *Stream) End(last Event, forget func(Event) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return
	}
	s.over = true
	if forget != nil {
		s.log = slices.DeleteFunc(s.log, forget)
	}
	s.add(last)
	s.wake()
}

// Events returns what stands, the oldest first.
func (s *Stream) Events() []Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	// A copy: events are taken out of the log.
	return slices.Clone(s.log)
}

// Len returns how many events stand.
func (s *Stream) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.log)
}

// add writes an event down. Locked.
func (s *Stream) add(e Event) {
	e.number = s.next
	s.next++
	e.text = fmt.Appendf(make([]byte, 0, len(e.Data)+64), "id: %s-%d\n", s.epoch, e.number)
	if e.Name != "" {
		e.text = fmt.Appendf(e.text, "event: %s\n", e.Name)
	}
	e.text = append(e.text, "data: "...)
	from := len(e.text)
	e.text = append(append(e.text, e.Data...), "\n\n"...)
	e.Data = e.text[from : len(e.text)-2 : len(e.text)-2]
	if e.Key != "" {
		s.log = slices.DeleteFunc(s.log, func(old Event) bool { return old.Key == e.Key })
	}
	s.log = append(s.log, e)
}

// wake tells everybody who waits to look again. Locked.
func (s *Stream) wake() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// after returns as they are sent the events from number n on, and the number
// of the one after them: one event, however long, or several that are short
// enough together to be sent at once. All says that they reach to the last of
// all.
func (s *Stream) after(n int) (text []byte, next int, all bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	from, _ := slices.BinarySearchFunc(s.log, n, func(e Event, n int) int { return e.number - n })
	to, size := from, 0
	for ; to < len(s.log) && (to == from || size+len(s.log[to].text) <= atOnce); to++ {
		size += len(s.log[to].text)
	}
	all = s.over && to == len(s.log)
	switch to - from {
	case 0:
		return nil, n, all
	case 1:
		text = s.log[from].text // shared: nobody writes into it
	default:
		text = make([]byte, 0, size)
		for _, e := range s.log[from:to] {
			text = append(text, e.text...)
		}
	}
	return text, s.log[to-1].number + 1, all
}

// comeBack is how long a stream that is over waits for a reader that is just
// loading its page again.
const comeBack = 3 * time.Second

// Linger waits, once the last event is told, until every reader has been sent
// it, and for a moment where the only reader is just loading its page again.
// Ctx cuts it short. Where nobody ever read it returns at once.
func (s *Stream) Linger(ctx context.Context) {
	late := time.NewTimer(comeBack)
	defer late.Stop()
	for patient := true; ; {
		s.mu.Lock()
		more, wait := s.changed, len(s.readers) > 0 || s.watched && !s.served && patient
		s.mu.Unlock()
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

// Close lets nobody in any more, waits until those who read have gone, at the
// latest when ctx ends, and for what they left behind.
func (s *Stream) Close(ctx context.Context) {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	stop := context.AfterFunc(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.cut = true
		s.wake()
	})
	defer stop()
	s.owned.Wait()
}
