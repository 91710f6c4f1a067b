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
	"net/http"
	"slices"
	"sync"
	"time"
)

// Options change how a Stream treats its readers.
type Options struct {
	// Patience is how long a reader may take nothing before it is dropped, and
	// how often one that has nothing to read is told that the stream stands:
	// twice in it. 10 s when zero. What the reader's machine takes counts as
	// taken, so a program that reads nothing is found out once its own receive
	// buffer is full. On Linux, over TCP, that is all there is to fill: what the
	// machine does not acknowledge for so long ends the connection. Elsewhere
	// there is the send buffer of this machine as well, which is asked to be of
	// 128 KiB.
	Patience time.Duration
	// Room bounds the readers of all streams that share it; one of its own, of
	// MaxReaders, when nil.
	Room *Room
	// Refuse answers who gets no stream, with why in a sentence; plain text when
	// nil.
	Refuse func(w http.ResponseWriter, status int, why string)
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
	refuse   func(w http.ResponseWriter, status int, why string)
	epoch    string // of its ids: a stream before it at the same address had others

	mu      sync.Mutex
	log     []Event
	lent    bool           // log is with somebody: nothing is taken out of it, but of a copy
	keys    map[string]int // numbers of the events that stand, by their keys
	next    int            // number of the next event
	changed chan struct{}  // closed, and replaced, when anything here does
	over    bool           // the last event was told
	closed  bool           // nobody may come any more
	cut     bool           // and whoever is here goes
	readers []*reader
	watched bool // somebody came
	served  bool // somebody was sent the last event

	sending bool           // the goroutine that serves the readers is there
	owned   sync.WaitGroup // of that, of what it has begun, and of the readers
}

// New returns a stream without events.
func New(o Options) *Stream {
	if o.Patience <= 0 {
		o.Patience = defaultPatience
	}
	if o.Room == nil {
		o.Room = NewRoom(MaxReaders)
	}
	if o.Refuse == nil {
		o.Refuse = func(w http.ResponseWriter, status int, why string) { http.Error(w, why, status) }
	}
	epoch := make([]byte, 4)
	_, _ = rand.Read(epoch) // never fails
	return &Stream{patience: o.Patience, room: o.Room, refuse: o.Refuse, epoch: hex.EncodeToString(epoch), keys: map[string]int{}, changed: make(chan struct{})}
}

// Tell adds events to what stands, in place of what they replace. After the
// end it does nothing.
func (s *Stream) Tell(events ...Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tell(events...)
}

// tell is Tell. Locked.
func (s *Stream) tell(events ...Event) {
	if s.over {
		return
	}
	replaced := false
	for _, e := range events {
		replaced = s.add(e) || replaced
	}
	if replaced {
		s.remove(func(e Event) bool { return e.Key != "" && s.keys[e.Key] != e.number })
	}
	s.wake()
}

// Drop forgets events that stand: who comes later is not sent them. It asks
// once of each, the oldest first.
func (s *Stream) Drop(these func(Event) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remove(these)
}

// remove takes events out of the log, as Drop says. Locked.
func (s *Stream) remove(these func(Event) bool) {
	if s.lent {
		s.log, s.lent = slices.Clone(s.log), false
	}
	s.log = slices.DeleteFunc(s.log, func(e Event) bool {
		goes := these(e)
		if goes && s.keys[e.Key] == e.number {
			delete(s.keys, e.Key)
		}
		return goes
	})
}

// End tells the last event, and forgets those before it that are not needed
// any more; nil forgets none. After the end it does nothing.
func (s *Stream) End(last Event, forget func(Event) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return
	}
	if forget != nil {
		s.remove(forget)
	}
	s.tell(last)
	s.over = true
}

// Events returns what stands, the oldest first. All who ask share it: it is
// for reading.
func (s *Stream) Events() []Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lent = true
	return slices.Clip(s.log)
}

// Len returns how many events stand.
func (s *Stream) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.log)
}

// add writes an event down, and reports whether it takes the place of another,
// which is still to be removed. Locked.
func (s *Stream) add(e Event) (replaces bool) {
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
		_, replaces = s.keys[e.Key]
		s.keys[e.Key] = e.number
	}
	s.log = append(s.log, e) // behind what is lent
	return replaces
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
// latest when ctx ends, and for what they left behind. Who comes then is
// answered 410.
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
