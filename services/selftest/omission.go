package selftest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/taillight-load/taillight/loadgen"
)

// The omission test: a server freezes for a second in the middle of a run. A
// generator that waits for it, as most do, sends less than it planned and
// never measures the wait of what it left out. The right answer is known
// twice: from the server's own log, request by request, and from arithmetic.
const (
	omissionRate   = 100.0 // per second; the formula does not depend on it
	omissionFreeze = time.Second
	omissionBase   = 10 * time.Millisecond // service time
	omissionWithin = 2 * time.Millisecond  // how far a percentile may be off
	shortRun       = 10 * time.Second
	fullRun        = time.Minute
)

func omission(ctx context.Context, o Options) ([]Row, error) {
	d := shortRun
	if o.Full {
		d = fullRun
	}
	var rows []Row
	for _, rho := range []float64{0, 0.5} {
		name := fmt.Sprintf("1 s freeze in %s at %g/s, rho %g", d, omissionRate, rho)
		o.OnStage("omission: " + name)
		r, err := settled(ctx, o, func() ([]Row, error) { return freeze(ctx, name, d, rho) })
		if err != nil {
			return rows, err
		}
		rows = append(rows, r...)
	}
	return rows, nil
}

// freeze measures one run against a server that freezes, and returns a row a
// percentile and one for what was sent.
func freeze(ctx context.Context, name string, d time.Duration, rho float64) ([]Row, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := newFrozen(time.Now().Add(d/2), time.Duration(rho/omissionRate*float64(time.Second)))
	stop := s.serve(l)

	var kept []loadgen.Exchange
	res, err := loadgen.Attack(ctx, loadgen.Plan{
		Name: "omission", Target: "http://" + l.Addr().String(),
		Phases:   []loadgen.Phase{{Name: "steady", For: d, Load: loadgen.Load{Rate: loadgen.Constant(omissionRate)}}},
		Journeys: []loadgen.Journey{{Steps: []loadgen.Step{{Path: "/"}}}},
	}, loadgen.Options{OnSecond: func(sec loadgen.Second) { kept = append(kept, sec.Kept...) }})
	// The log is whole once the server has ended.
	stop()
	if err != nil {
		return nil, err
	}
	return s.rows(name, d, rho, res, kept), nil
}

// frozen is a first-in first-out server that answers nothing for a while. One
// goroutine gives all answers, so that those of a whole backlog, due at the
// same instant, do not keep the client beside it from reading them.
type frozen struct {
	every time.Duration // what a request keeps the server from the next one
	from  time.Time     // begin of the freeze
	queue chan held
	done  sync.WaitGroup

	mu       sync.Mutex
	free     time.Time            // when it can take the next request
	answered map[string]time.Time // by traceparent
}

// held is a request that waits for its answer.
type held struct {
	conn        net.Conn
	traceparent string
	due         time.Time
}

// queueLength is more than one run plans.
const queueLength = 1 << 16

func newFrozen(from time.Time, every time.Duration) *frozen {
	return &frozen{every: every, from: from, queue: make(chan held, queueLength), answered: map[string]time.Time{}}
}

// serve accepts connections until the returned function is called, which waits
// for everything to end.
func (s *frozen) serve(l net.Listener) (stop func()) {
	s.done.Go(s.answer)
	hangUp := acceptAll(l, s.read)
	return func() {
		hangUp()
		close(s.queue)
		s.done.Wait()
	}
}

// read queues the requests of one connection.
func (s *frozen) read(conn net.Conn) {
	in := bufio.NewReader(conn)
	for {
		r, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		s.enqueue(held{conn: conn, traceparent: r.Header.Get("traceparent")})
	}
}

// enqueue gives a request its turn, in the order in which they come.
func (s *frozen) enqueue(h held) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := time.Now()
	if end := s.from.Add(omissionFreeze); !at.Before(s.from) && at.Before(end) {
		at = end
	}
	if at.Before(s.free) {
		at = s.free
	}
	s.free = at.Add(s.every)
	h.due = at.Add(omissionBase)
	s.queue <- h
}

// answer gives every answer when it is due, and logs when it was written.
func (s *frozen) answer() {
	for h := range s.queue {
		time.Sleep(time.Until(h.due))
		if _, err := io.WriteString(h.conn, "HTTP/1.1 204 No Content\r\n\r\n"); err != nil {
			continue // shows as a request that the log lacks an answer to
		}
		now := time.Now()
		s.mu.Lock()
		s.answered[h.traceparent] = now
		s.mu.Unlock()
	}
}

func (s *frozen) rows(name string, d time.Duration, rho float64, res *loadgen.Result, kept []loadgen.Exchange) []Row {
	truth := make([]time.Duration, 0, len(kept))
	measured := make([]time.Duration, 0, len(kept))
	for i := range kept {
		x := &kept[i]
		if at, ok := s.answered[fmt.Sprintf("00-%x-%x-00", x.TraceID, x.SpanID)]; ok {
			truth = append(truth, at.Sub(res.Began)-x.Intended)
			measured = append(measured, x.Response())
		}
	}
	slices.Sort(truth)
	slices.Sort(measured)
	var n loadgen.Counts
	for i := range res.Series {
		n.Add(res.Series[i].Counts)
	}
	planned := int64(math.Round(omissionRate * d.Seconds()))
	lag := worstLag(res)
	rows := []Row{{
		Test: "omission", Case: name, What: "sent", Want: fmt.Sprint(planned), Got: fmt.Sprint(n.Sent),
		Note: fmt.Sprintf("%d answered, %d in the server's log", n.Completed, len(truth)),
		OK:   n.Sent == planned && n.Planned == planned && int64(len(truth)) == planned,
	}}
	for _, q := range []float64{0.50, 0.90, 0.95, 0.98, 0.99, 0.999} {
		want, got := rank(truth, q), rank(measured, q)
		off := got - want
		rows = append(rows, Row{
			Test: "omission", Case: name, What: fmt.Sprintf("p%g", 100*q),
			Want: inMS(want) + " ± 2", Got: inMS(got), Note: "formula " + inMS(formula(q, d, rho)),
			OK:   len(truth) > 0 && off >= -omissionWithin && off <= omissionWithin,
			Busy: lag > busyLag,
		})
	}
	if lag > busyLag {
		rows[0].Note += "; the machine was busy: generator lag p99 " + inMS(lag)
	}
	return rows
}

// busyLag is how late the generator may be, at its 99th percentile, for a
// percentile that is off to count: less than a run may be without a warning.
const busyLag = omissionWithin / 4

func worstLag(res *loadgen.Result) time.Duration {
	var lag time.Duration
	for _, v := range res.Check() {
		lag = max(lag, v.LagP99)
	}
	return lag
}

// formula is p_q = L + max(0, S - (1-q) T (1-rho)): during the freeze S every
// request waits for its rest, and the backlog then takes rho/(1-rho) as long
// again to work off.
func formula(q float64, d time.Duration, rho float64) time.Duration {
	return omissionBase + time.Duration(max(0, float64(omissionFreeze)-(1-q)*float64(d)*(1-rho)))
}

// rank returns the nearest-rank quantile of sorted values, 0 without any.
func rank(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, max(0, int(math.Ceil(q*float64(len(sorted))))-1))]
}
