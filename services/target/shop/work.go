package shop

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// inventory is guarded by locks, one for each thing on the shelves.
type inventory struct{ reserved atomic.Int64 }

type shelf struct {
	mu   sync.Mutex
	free int
}

// reserve waits for a lock that a delivery, which ends d from now, has taken.
// Each request finds a shelf of its own: with one for all they would wait for
// each other too, and longer than was asked. The lock is taken here, so that
// nothing but the lock is waited for, and given back by the delivery, which a
// mutex allows.
//
//go:noinline
func (v *inventory) reserve(d time.Duration) {
	s := &shelf{free: 1}
	s.mu.Lock()
	time.AfterFunc(d, s.mu.Unlock)
	s.mu.Lock()
	v.reserved.Add(int64(s.free))
	s.mu.Unlock()
}

// pool is a pool of things that are handed round in a channel.
type pool struct{ used atomic.Int64 }

// checkout waits for a thing that its user gives back d from now.
//
//go:noinline
func (p *pool) checkout(d time.Duration) {
	things := make(chan int64, 1)
	time.AfterFunc(d, func() { things <- 1 })
	p.used.Add(<-things)
}

// database is one that takes its time.
type database struct{ queries atomic.Int64 }

//go:noinline
func (b *database) query(d time.Duration) {
	b.queries.Add(1)
	time.Sleep(d)
}

// mostAnswer bounds what is read of the other instance's answer.
const mostAnswer = 64 << 10

// askWarehouse asks the other instance to wait for d, a whole number of
// milliseconds. Trace and baggage travel along.
//
//go:noinline
func askWarehouse(ctx context.Context, client *http.Client, base string, d time.Duration) error {
	ask, err := url.JoinPath(base, "workloads", "wait")
	if err != nil {
		return fmt.Errorf("downstream %s: %w", base, err)
	}
	ask += "?ms=" + strconv.FormatInt(d.Milliseconds(), 10)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, ask, http.NoBody)
	if err != nil {
		return fmt.Errorf("downstream %s: %w", base, err)
	}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("downstream %s: %w", base, err)
	}
	defer func() { _ = resp.Body.Close() }()
	// Reading to the end lets the connection be used again.
	if _, err := io.Copy(io.Discard, io.LimitReader(resp.Body, mostAnswer)); err != nil {
		return fmt.Errorf("downstream %s: %w", base, err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("downstream %s answered %s", base, resp.Status)
	}
	return nil
}

// Bounds of one stretch of computing between two looks at the clock: a look is
// a system call, and a client that has gone should not be computed for.
const (
	firstLines = 2000
	mostAhead  = 10 * time.Millisecond
)

// renderInvoice computes until its thread has used d of CPU time, and returns
// how much it was. Where the system has no such clock the wall's is used.
//
//go:noinline
func renderInvoice(ctx context.Context, d time.Duration) time.Duration {
	runtime.LockOSThread() // the clock is the thread's
	defer runtime.UnlockOSThread()
	began := threadClock()
	lines, done, sum := int64(firstLines), int64(0), uint64(1)
	for {
		for range lines {
			sum = (sum ^ sum>>30) * 0xbf58476d1ce4e5b9
			sum += sum<<7 ^ 0x94d049bb133111eb
		}
		done += lines
		used := threadClock() - began
		if used >= d || ctx.Err() != nil {
			runtime.KeepAlive(sum)
			return used
		}
		if used > 0 {
			ahead := min(d-used, mostAhead)
			lines = max(1, int64(float64(ahead)*float64(done)/float64(used)))
		}
	}
}

// Sizes of listOffers: 1 MiB stays reachable per request.
const (
	offerBytes = 64 << 10
	keptOffers = 16
)

// listOffers allocates so many bytes.
//
//go:noinline
func listOffers(bytes int64) {
	kept := make([][]byte, keptOffers)
	for i := 0; bytes > 0; i++ {
		offer := make([]byte, min(bytes, offerBytes))
		for at := 0; at < len(offer); at += 4096 { // so that each page is really had
			offer[at] = 1
		}
		kept[i%keptOffers] = offer
		bytes -= int64(len(offer))
	}
	runtime.KeepAlive(kept)
}

// catalogue is memory that each garbage collection has to walk: one index,
// which is nothing to sweep. The sweeping would be done by whoever forced the
// collection, running, and not waiting for it.
type catalogue struct{ index []*item }

type item struct{ id int }

const (
	pointerBytes = 8
	indexedItems = 1 << 10
)

// newCatalogue makes a catalogue of so many bytes.
func newCatalogue(bytes int64) *catalogue {
	items := make([]item, indexedItems)
	c := &catalogue{index: make([]*item, bytes/pointerBytes)}
	for i := range items {
		items[i].id = i
	}
	for i := range c.index {
		c.index[i] = &items[i%indexedItems]
	}
	return c
}

// refresh collects the garbage, with all of the catalogue alive.
//
//go:noinline
func (c *catalogue) refresh() {
	runtime.GC()
	runtime.KeepAlive(c.index)
}
