package faults

import (
	"slices"
	"sync"
	"time"
)

// Hit is one fault that befell somebody.
type Hit struct {
	Knob Knob `json:"knob"`
	// TraceID is the W3C trace id of the request that was hit, 32 hex digits;
	// "" where it had none, and for knobs of the clock.
	TraceID string `json:"trace_id,omitempty"`
	// At is when it began, in ns since 1970.
	At int64 `json:"at_unix_ns"`
	// Injected is what was added, in ns, as the planted code measured it: for
	// CPU the thread's own clock, for others the wall's.
	Injected int64 `json:"injected_ns"`
	// Wall is how long it took by the wall's clock, in ns. It is more than
	// Injected where the CPU was wanted by others too.
	Wall int64 `json:"wall_ns"`
	// Error says what kept it from being done as asked; "" is nothing.
	Error string `json:"error,omitempty"`
}

// DefaultLogSize is how many hits a log keeps: about 10 MB.
const DefaultLogSize = 1 << 16

// Log keeps the newest hits. It is safe for use by several goroutines; its
// zero value keeps DefaultLogSize.
type Log struct {
	mu    sync.Mutex
	size  int
	hits  []Hit
	next  int // the oldest, once the log is full
	total int64
}

// NewLog returns a log of the newest size hits.
func NewLog(size int) *Log { return &Log{size: size} }

// Add notes a hit.
func (l *Log) Add(h Hit) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.size == 0 {
		l.size = DefaultLogSize
	}
	l.total++
	if len(l.hits) < l.size {
		l.hits = append(l.hits, h)
		return
	}
	l.hits[l.next] = h
	l.next = (l.next + 1) % l.size
}

// Window notes a fault of the clock that began at a time and has just ended.
func (l *Log) Window(k Knob, began time.Time) {
	took := int64(time.Since(began))
	l.Add(Hit{Knob: k, At: began.UnixNano(), Injected: took, Wall: took})
}

// Clear forgets everything.
func (l *Log) Clear() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.hits, l.next, l.total = nil, 0, 0
}

// Book is a log as it stands: the newest hits, oldest first, how many there
// were, and how many of those are no longer kept.
type Book struct {
	Total   int64 `json:"total"`
	Dropped int64 `json:"dropped"`
	Hits    []Hit `json:"hits"`
}

// Book returns the log as it stands.
func (l *Log) Book() Book {
	l.mu.Lock()
	defer l.mu.Unlock()
	hits := append(slices.Clone(l.hits[l.next:]), l.hits[:l.next]...)
	if hits == nil {
		hits = []Hit{} // an empty list in JSON, not null
	}
	return Book{Total: l.total, Dropped: l.total - int64(len(hits)), Hits: hits}
}
