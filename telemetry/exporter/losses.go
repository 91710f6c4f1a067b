package exporter

import (
	"maps"
	"sync"
)

// What Dropped counts.
const (
	// DroppedCollections are collections of all metrics that could not be
	// sent. The next one makes up for them.
	DroppedCollections = "metric_collections"
	// DroppedPoints are the data points of those collections.
	DroppedPoints = "metric_points"
	// DroppedSpansFailed are spans whose batch was refused, in part at least.
	DroppedSpansFailed = "spans_failed"
	// DroppedSpansQueue are spans that found the queue full.
	DroppedSpansQueue = "spans_queue_full"
	// DroppedSpansRate are spans left out beyond SpansPerSecond.
	DroppedSpansRate = "spans_over_rate"
	// DroppedUnknown are series and exchanges of a phase or step that Options
	// do not name.
	DroppedUnknown = "unknown_phase_or_step"
)

type losses struct {
	mu     sync.Mutex
	counts map[string]int64
}

func newLosses() *losses { return &losses{counts: map[string]int64{}} }

func (l *losses) add(what string, n int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts[what] += n
}

func (l *losses) all() map[string]int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.counts)
}

// An errorBox holds the latest error.
type errorBox struct {
	mu  sync.Mutex
	err error
}

func (b *errorBox) set(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.err = err
}

func (b *errorBox) get() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err
}
