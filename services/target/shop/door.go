package shop

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/taillight-load/taillight/services/target/faults"
)

// Door returns a listener that accepts as l does, less often while that is
// armed. l must be a *net.TCPListener to be held shut; any other is returned as
// it is. A door is never taken from the shop: there is one for each server.
func (s *Shop) Door(l net.Listener) net.Listener {
	tcp, ok := l.(*net.TCPListener)
	if s == nil || !ok {
		return l
	}
	told := make(chan struct{}, 1)
	s.arming.Lock()
	s.told = append(s.told, told)
	s.arming.Unlock()
	d := &door{TCPListener: tcp, shop: s, closed: make(chan struct{}), changed: make(chan struct{}, 1)}
	d.watcher.Go(func() { d.watch(told) })
	return d
}

// door is a listener that is held shut now and then.
type door struct {
	*net.TCPListener
	shop    *Shop
	changed chan struct{} // has an element once what is armed has changed
	closed  chan struct{}
	once    sync.Once
	watcher sync.WaitGroup
	timing  sync.Mutex // of what is armed against the deadline that follows from it
}

// watch wakes whoever waits in Accept when what is armed changes.
func (d *door) watch(told <-chan struct{}) {
	for {
		select {
		case <-told:
		case <-d.closed:
			return
		}
		select {
		case d.changed <- struct{}{}:
		default:
		}
		d.timing.Lock()
		_ = d.SetDeadline(time.Now()) // fails only on a closed listener
		d.timing.Unlock()
	}
}

// Accept implements net.Listener.
func (d *door) Accept() (net.Conn, error) {
	for {
		d.hold()
		c, err := d.TCPListener.Accept()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			continue
		}
		if err != nil {
			return nil, err
		}
		// Whoever slips in just as the door is shut waits with the others.
		d.hold()
		return d.shop.greet(c), nil
	}
}

// Close implements net.Listener.
func (d *door) Close() error {
	d.once.Do(func() { close(d.closed) })
	err := d.TCPListener.Close()
	d.watcher.Wait()
	return err
}

// hold keeps the door shut for as long as it has to be now, with room for one
// in the queue, and sees to it that Accept comes back when it has to be again.
func (d *door) hold() {
	for {
		select {
		case <-d.changed:
		default:
		}
		d.timing.Lock()
		rest, next := d.shop.shut(time.Now())
		_ = d.SetDeadline(next) // as in watch
		d.timing.Unlock()
		if rest <= 0 {
			return
		}
		d.keepShut(rest)
		select {
		case <-d.closed:
			return
		default:
		}
	}
}

// keepShut accepts nothing for a while, which ends early when what is armed
// changes.
func (d *door) keepShut(rest time.Duration) {
	if err := setBacklog(d.TCPListener, 1); err != nil {
		d.shop.log.Add(faults.Hit{Knob: faults.Backlog, At: time.Now().UnixNano(), Error: err.Error()})
	}
	began := time.Now()
	timer := time.NewTimer(rest)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-d.changed:
	case <-d.closed:
	}
	d.shop.log.Window(faults.Backlog, began)
	_ = setBacklog(d.TCPListener, usualBacklog()) // it could be changed before, or was never
}

// shut returns for how much longer the doors have to be shut, 0 if they have
// not, and when that must be looked at again; the zero time is never.
func (s *Shop) shut(now time.Time) (rest time.Duration, next time.Time) {
	a := s.armed.Load()
	if a == nil {
		return 0, time.Time{}
	}
	f, ok := a.set.Find(faults.Backlog)
	if !ok {
		return 0, time.Time{}
	}
	since := now.Sub(a.since)
	if since < f.After {
		return 0, a.since.Add(f.After)
	}
	if !f.Active(since) {
		return 0, time.Time{}
	}
	turn := (since - f.After) / f.Every * f.Every
	if rest = turn + f.After + f.Duration() - since; rest > 0 {
		return rest, time.Time{}
	}
	return 0, a.since.Add(f.After + turn + f.Every)
}

// newcomer is a connection that waits before it is read for the first time.
type newcomer struct {
	net.Conn
	wait  time.Duration
	once  sync.Once
	began time.Time
	took  time.Duration
	noted atomic.Bool
}

// greet returns the connection as it is to be served.
func (s *Shop) greet(c net.Conn) net.Conn {
	a := s.armed.Load()
	if a == nil {
		return c
	}
	f, ok := a.set.Find(faults.Cold)
	for ok {
		n := a.newcomers.Load()
		if n <= 0 {
			break
		}
		if a.newcomers.CompareAndSwap(n, n-1) {
			return &newcomer{Conn: c, wait: f.Duration()}
		}
	}
	return c
}

// Read implements net.Conn.
func (n *newcomer) Read(p []byte) (int, error) {
	n.once.Do(func() {
		n.began = time.Now()
		time.Sleep(n.wait)
		n.took = time.Since(n.began)
	})
	return n.Conn.Read(p)
}

type newcomerKey struct{}

// ConnContext is for http.Server: it tells the requests of a connection that
// it had to wait.
func ConnContext(ctx context.Context, c net.Conn) context.Context {
	if n, ok := c.(*newcomer); ok {
		return context.WithValue(ctx, newcomerKey{}, n)
	}
	return ctx
}

// greeted notes the wait of a connection with its first request.
func (s *Shop) greeted(ctx context.Context, traceID string) {
	n, ok := ctx.Value(newcomerKey{}).(*newcomer)
	if !ok || !n.noted.CompareAndSwap(false, true) {
		return
	}
	s.log.Add(faults.Hit{
		Knob: faults.Cold, TraceID: traceID, At: n.began.UnixNano(), Injected: n.took.Nanoseconds(), Wall: n.took.Nanoseconds(),
	})
}
