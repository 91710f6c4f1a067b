// Package shop is what the service under test does besides its own workloads
// when a fault is armed: it waits for locks, pools, databases and other
// services, computes and allocates, for a share of the requests and as long as
// was asked. Its functions are named as those of a shop, so that a stack tells
// where a request was and not why.
package shop

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/taillight-load/taillight/services/target/faults"
)

// Options configure a shop. The zero value has no downstream.
type Options struct {
	// Client calls the downstream; nil is http.DefaultClient.
	Client *http.Client
	// Downstream is the base URL of another instance; "" means there is none.
	Downstream string
}

// Shop holds what is armed. A nil Shop has nothing armed, ever.
type Shop struct {
	o         Options
	log       faults.Log
	inventory inventory
	pool      pool
	database  database

	arming sync.Mutex
	armed  atomic.Pointer[armed] // nil while nothing is
	told   []chan<- struct{}     // of doors; under arming
}

// armed is a set from its arming on.
type armed struct {
	set       faults.Set
	since     time.Time
	requests  atomic.Uint64 // so far
	catalogue *catalogue    // alive while armed; nil when none is asked for
	newcomers atomic.Int64  // connections that will wait to be greeted
}

// New returns a shop with nothing armed.
func New(o Options) *Shop {
	if o.Client == nil {
		o.Client = http.DefaultClient
	}
	return &Shop{o: o}
}

// Arm puts a set in the place of what was armed, and begins a new log. What it
// cannot do is an error, and then nothing changes.
func (s *Shop) Arm(set faults.Set) error {
	if err := set.Check(); err != nil {
		return err
	}
	for _, f := range set.Faults {
		switch {
		case f.ByParent():
			return fmt.Errorf("%s: only who started the process can do that to it: use taillight run --fault %s", f.Knob, f)
		case f.Knob == faults.Downstream && s.o.Downstream == "":
			return fmt.Errorf("%s: there is no downstream: start the target with --downstream http://HOST:PORT of another instance", f.Knob)
		case f.Knob == faults.Backlog && !canHold:
			return fmt.Errorf("%s: this system does not let a backlog be changed", f.Knob)
		}
	}
	next := &armed{set: set}
	if f, ok := set.Find(faults.GC); ok {
		next.catalogue = newCatalogue(f.Amount)
	}
	s.arming.Lock()
	defer s.arming.Unlock()
	s.log.Clear()
	next.since = time.Now()
	s.armed.Store(next)
	s.tell()
	return nil
}

// Disarm ends everything. The log stays.
func (s *Shop) Disarm() {
	s.arming.Lock()
	defer s.arming.Unlock()
	s.armed.Store(nil)
	s.tell()
}

// tell wakes the doors; one that has been told before still looks.
func (s *Shop) tell() {
	for _, door := range s.told {
		select {
		case door <- struct{}{}:
		default:
		}
	}
}

// Armed returns what is armed; it is empty when nothing is.
func (s *Shop) Armed() faults.Set {
	if a := s.armed.Load(); a != nil {
		return a.set
	}
	return faults.Set{}
}

// Book returns whom what befell since the last arming.
func (s *Shop) Book() faults.Book { return s.log.Book() }

// Order is what one request costs the shop.
type Order struct {
	shop    *Shop
	armed   *armed
	traceID string
	status  int // to be answered at once; 0 is none
	last    bool
	work    []faults.Fault
	done    atomic.Bool
}

// Place draws what befalls a request, whose trace id is 32 hex digits or "".
// It returns nil when nothing is armed.
func (s *Shop) Place(ctx context.Context, traceID string) *Order {
	if s == nil {
		return nil
	}
	s.greeted(ctx, traceID)
	a := s.armed.Load()
	if a == nil {
		return nil
	}
	o := &Order{shop: s, armed: a, traceID: traceID}
	n, since := a.requests.Add(1)-1, time.Since(a.since)
	for _, f := range a.set.Faults {
		if f.Every != 0 || !f.Active(since) || !f.Hits(a.set.Seed, n) {
			continue
		}
		switch f.Knob {
		case faults.Errors:
			o.status = int(f.Amount)
			o.note(f, time.Now(), 0, nil)
		case faults.Cold:
			o.last = true
			if f.Amount > 0 {
				a.newcomers.Add(1)
			}
			o.note(f, time.Now(), 0, nil)
		default:
			o.work = append(o.work, f)
		}
	}
	return o
}

// Status is the HTTP status to answer without doing anything, or 0.
func (o *Order) Status() int { return o.status }

// Last reports whether the connection ends with this answer.
func (o *Order) Last() bool { return o.last }

type orderKey struct{}

// With returns a context that carries an order to Fulfil.
func With(ctx context.Context, o *Order) context.Context {
	return context.WithValue(ctx, orderKey{}, o)
}

// Fulfil does what the order in ctx asks for, the first time it is called.
func Fulfil(ctx context.Context) {
	o, ok := ctx.Value(orderKey{}).(*Order)
	if !ok || len(o.work) == 0 || !o.done.CompareAndSwap(false, true) {
		return
	}
	for _, k := range faults.Knobs() {
		i := slices.IndexFunc(o.work, func(f faults.Fault) bool { return f.Knob == k })
		if i >= 0 {
			o.do(ctx, o.work[i])
		}
	}
}

// do does one part of an order and notes how long that took.
func (o *Order) do(ctx context.Context, f faults.Fault) {
	began := time.Now()
	var spent time.Duration // where another clock than the wall's tells
	var err error
	switch f.Knob {
	case faults.CPU:
		spent = renderInvoice(ctx, f.Duration())
	case faults.Lock:
		o.shop.inventory.reserve(f.Duration())
	case faults.Channel:
		o.shop.pool.checkout(f.Duration())
	case faults.Sleep:
		o.shop.database.query(f.Duration())
	case faults.Downstream:
		err = askWarehouse(ctx, o.shop.o.Client, o.shop.o.Downstream, f.Duration())
	case faults.Alloc:
		listOffers(f.Amount)
	case faults.GC:
		o.armed.catalogue.refresh()
	}
	if spent == 0 {
		spent = time.Since(began)
	}
	o.note(f, began, spent, err)
}

// note writes down what befell the request.
func (o *Order) note(f faults.Fault, began time.Time, spent time.Duration, err error) {
	hit := faults.Hit{
		Knob: f.Knob, TraceID: o.traceID, At: began.UnixNano(),
		Injected: spent.Nanoseconds(), Wall: time.Since(began).Nanoseconds(),
	}
	if err != nil {
		hit.Error = err.Error()
	}
	o.shop.log.Add(hit)
}
