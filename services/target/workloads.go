package target

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/taillight-load/taillight/services/target/shop"
	"github.com/taillight-load/taillight/telemetry"
)

// kind is one kind of work that /workloads/:kind does.
type kind struct {
	name  string
	about string // for people, on the index page and in messages
	usual int    // ?ms= when none is asked for
	most  int    // the largest ?ms= that is done
	do    func(s *server, ctx context.Context, ms int) error
}

// Bounds of the work. With the largest ?ms= of each kind they keep a request
// that has a core to itself well within the server's write timeout. Hundreds
// that compute at once on few cores share them, and may be cut off by it:
// that is what an overloaded service does.
const (
	mostLockWaiters   = 64               // 64 x 50 ms is the longest wait for the lock
	keptBlocks        = 16               // of alloc: 1 MiB stays reachable per request
	blockBytes        = 64 << 10         // of alloc
	blocksPerMs       = 4                // of alloc: 256 KiB, about what the heavy workload allocates per ms
	downstreamTimeout = 15 * time.Second // of one call to the other instance
	mostDownstream    = 64 << 10         // bytes read of its answer
)

// kinds lists what /workloads serves, in the order of the index page.
func kinds() []kind {
	return []kind{
		{name: "cpu", about: "computes for about that long on one core", usual: 5, most: 1000, do: (*server).cpuWork},
		{name: "alloc", about: "allocates 256 KiB for each millisecond asked, and keeps 1 MiB of it reachable", usual: 20, most: 1000, do: (*server).allocWork},
		{name: "lock", about: "holds a lock that all these requests share", usual: 2, most: 50, do: (*server).lockWork},
		{name: "wait", about: "waits without computing", usual: 10, most: 10_000, do: (*server).waitWork},
		{name: "downstream", about: "asks another instance to wait that long", usual: 10, most: 10_000, do: (*server).downstreamWork},
		{name: "mixed", about: "a quarter cpu, a quarter alloc, the rest waiting", usual: 10, most: 1000, do: (*server).mixedWork},
	}
}

func kindList() string {
	var names []string
	for _, k := range kinds() {
		names = append(names, k.name)
	}
	return strings.Join(names, ",")
}

// refusal is an error that a workload answers with a status of its own.
type refusal struct {
	status int
	why    string
}

func (r refusal) Error() string { return r.why }

// workload does one kind of work and says how long it took.
func (s *server) workload(c *gin.Context) {
	started := time.Now()
	k, ok := findKind(c.Param("kind"))
	if !ok {
		problem(c, http.StatusNotFound, "no workload "+clip(c.Param("kind"))+": there are "+kindList())
		return
	}
	ms, err := k.amount(c.Query("ms"))
	if err != nil {
		problem(c, http.StatusBadRequest, err.Error())
		return
	}
	shop.Fulfil(c.Request.Context())
	if err := k.do(s, c.Request.Context(), ms); err != nil {
		var r refusal
		switch {
		case errors.As(err, &r) && r.status == http.StatusServiceUnavailable:
			s.refuse(c, r.why)
		case errors.As(err, &r):
			problem(c, r.status, r.why)
		default:
			problem(c, http.StatusInternalServerError, err.Error())
		}
		return
	}
	took := time.Since(started)
	c.Header("Server-Timing", "app;dur="+strconv.FormatFloat(float64(took)/float64(time.Millisecond), 'f', 3, 64))
	c.Header("Cache-Control", "no-store")
	c.JSON(http.StatusOK, gin.H{"kind": k.name, "ms": ms, "took_ns": took.Nanoseconds()})
}

func findKind(name string) (kind, bool) {
	for _, k := range kinds() {
		if k.name == name {
			return k, true
		}
	}
	return kind{}, false
}

// amount reads ?ms=, a whole number from 0 to the kind's limit.
func (k kind) amount(text string) (int, error) {
	if text == "" {
		return k.usual, nil
	}
	ms, err := strconv.Atoi(text)
	if err != nil || ms < 0 {
		return 0, fmt.Errorf("ms=%s: a whole number from 0 to %d is needed", clip(text), k.most)
	}
	if ms > k.most {
		return 0, fmt.Errorf("ms=%d is too much: the limit of %s is %d", ms, k.name, k.most)
	}
	return ms, nil
}

// cpuWork does a fixed amount of work, a unit per millisecond, rather than
// spinning until a time has passed: so a busy machine shows in its duration.
func (s *server) cpuWork(ctx context.Context, ms int) error {
	for range ms {
		if ctx.Err() != nil {
			return nil // nobody waits for the answer
		}
		s.work.unit()
	}
	return nil
}

func (s *server) allocWork(ctx context.Context, ms int) error {
	kept := make([][]byte, keptBlocks)
	for i := range ms * blocksPerMs {
		if ctx.Err() != nil {
			return nil
		}
		kept[i%keptBlocks] = make([]byte, blockBytes)
		touch(kept[i%keptBlocks])
	}
	return nil
}

// touch writes one byte of each page, so that the memory is really had.
//
//go:noinline
func touch(block []byte) {
	for i := 0; i < len(block); i += 4096 {
		block[i] = 1
	}
}

// sharedLock is the one lock of /workloads/lock, with a count of those who
// want it, so that their queue has a bound.
type sharedLock struct {
	mu      sync.Mutex
	wanting atomic.Int32
}

func (s *server) lockWork(ctx context.Context, ms int) error {
	if s.lock.wanting.Add(1) > mostLockWaiters {
		s.lock.wanting.Add(-1)
		return refusal{http.StatusServiceUnavailable, fmt.Sprintf("%d requests want the lock, which is the limit", mostLockWaiters)}
	}
	defer s.lock.wanting.Add(-1)
	s.lock.mu.Lock()
	defer s.lock.mu.Unlock()
	return s.waitWork(ctx, ms)
}

func (s *server) waitWork(ctx context.Context, ms int) error {
	wait(ctx, time.Duration(ms)*time.Millisecond)
	return nil
}

func (s *server) mixedWork(ctx context.Context, ms int) error {
	quarter := ms / 4
	if err := s.cpuWork(ctx, quarter); err != nil {
		return err
	}
	if err := s.allocWork(ctx, quarter); err != nil {
		return err
	}
	return s.waitWork(ctx, ms-2*quarter)
}

// downstreamClient calls the other instance, with a span of its own.
func downstreamClient(tel *telemetry.Telemetry) *http.Client {
	return &http.Client{Transport: tel.Transport(http.DefaultTransport), Timeout: downstreamTimeout}
}

// downstreamWork asks the other instance to wait, which cannot come back here
// and go round in circles. Trace and baggage travel along.
func (s *server) downstreamWork(ctx context.Context, ms int) error {
	if s.Downstream == "" {
		return refusal{http.StatusBadRequest, "no downstream is configured: start the target with --downstream http://HOST:PORT of another instance"}
	}
	ask, err := url.JoinPath(s.Downstream, "workloads", "wait")
	if err != nil {
		return refusal{http.StatusBadRequest, fmt.Sprintf("downstream %s is no URL: %v", s.Downstream, err)}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, ask+"?ms="+strconv.Itoa(ms), http.NoBody)
	if err != nil {
		return refusal{http.StatusBadRequest, fmt.Sprintf("downstream %s: %v", s.Downstream, err)}
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return refusal{http.StatusBadGateway, fmt.Sprintf("downstream %s did not answer: %v", s.Downstream, err)}
	}
	defer func() { _ = resp.Body.Close() }()
	// Reading to the end lets the connection be used again.
	if _, err := io.Copy(io.Discard, io.LimitReader(resp.Body, mostDownstream)); err != nil {
		return refusal{http.StatusBadGateway, fmt.Sprintf("downstream %s broke off: %v", s.Downstream, err)}
	}
	if resp.StatusCode != http.StatusOK {
		return refusal{http.StatusBadGateway, fmt.Sprintf("downstream %s answered %s", s.Downstream, resp.Status)}
	}
	return nil
}
