package exporter

import (
	"cmp"
	"context"
	"errors"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/telemetry/names"
)

// SpansPerSecond is how many client spans of one second are sent at most. Of
// more, half of them are the failed and the slowest, and half are evenly
// spread over the rest.
const SpansPerSecond = 500

// queuedSeconds is how many seconds' spans wait while the receiver is slow.
const queuedSeconds = 16

// A sender turns exchanges into spans and sends them, one batch per second,
// from a goroutine of its own.
type sender struct {
	client sdktrace.SpanExporter
	maker  *spanMaker
	losses *losses
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu     sync.Mutex // of queue's closing
	closed bool
	queue  chan []sdktrace.ReadOnlySpan

	sent atomic.Int64
	kept atomic.Int64
	last errorBox
}

func newSender(client sdktrace.SpanExporter, maker *spanMaker, lost *losses) *sender {
	ctx, cancel := context.WithCancel(context.Background()) // ended by shutdown
	s := &sender{client: client, maker: maker, losses: lost, cancel: cancel, queue: make(chan []sdktrace.ReadOnlySpan, queuedSeconds)}
	s.wg.Go(func() {
		for batch := range s.queue {
			s.send(ctx, batch)
		}
	})
	return s
}

func (s *sender) send(ctx context.Context, batch []sdktrace.ReadOnlySpan) {
	err := s.client.ExportSpans(ctx, batch)
	if err != nil {
		s.losses.add(DroppedSpansFailed, int64(len(batch)))
	} else {
		s.sent.Add(int64(len(batch)))
	}
	s.last.set(err)
}

// offer queues the spans of a second's exchanges, or counts them as lost.
func (s *sender) offer(kept []loadgen.Exchange) {
	chosen, sampled := choose(kept, SpansPerSecond)
	s.kept.Add(int64(sampled))
	if left := sampled - len(chosen); left > 0 {
		s.losses.add(DroppedSpansRate, int64(left))
	}
	if len(chosen) == 0 {
		return
	}
	batch := make([]sdktrace.ReadOnlySpan, 0, len(chosen))
	for _, x := range chosen {
		if sp := s.maker.span(x); sp != nil {
			batch = append(batch, sp)
		} else {
			s.losses.add(DroppedUnknown, 1)
		}
	}
	if !s.enqueue(batch) {
		s.losses.add(DroppedSpansQueue, int64(len(batch)))
	}
}

func (s *sender) enqueue(batch []sdktrace.ReadOnlySpan) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	select {
	case s.queue <- batch:
		return true
	default:
		return false
	}
}

// choose returns the sampled exchanges, at most limit of them, and how many
// there were.
func choose(kept []loadgen.Exchange, limit int) (chosen []*loadgen.Exchange, sampled int) {
	for i := range kept {
		if kept[i].Sampled {
			chosen = append(chosen, &kept[i])
		}
	}
	sampled = len(chosen)
	if sampled <= limit {
		return chosen, sampled
	}
	slices.SortStableFunc(chosen, func(a, b *loadgen.Exchange) int {
		if a.OK() != b.OK() {
			if a.OK() {
				return 1
			}
			return -1
		}
		return cmp.Compare(b.Response(), a.Response())
	})
	rest, room := chosen[limit/2:], limit-limit/2
	for i := range room {
		chosen[limit/2+i] = rest[i*len(rest)/room]
	}
	return chosen[:limit], sampled
}

// shutdown sends what is queued until ctx ends, and stops.
func (s *sender) shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.closed = true
	close(s.queue)
	s.mu.Unlock()
	stop := context.AfterFunc(ctx, s.cancel)
	s.wg.Wait()
	stop()
	s.cancel()
	return errors.Join(s.last.get(), s.client.Shutdown(context.WithoutCancel(ctx)))
}

// A spanMaker knows what all spans of a run have in common.
type spanMaker struct {
	opt      Options
	resource *resource.Resource
	server   []attribute.KeyValue
}

func newSpanMaker(opt Options, res *resource.Resource) *spanMaker {
	m := &spanMaker{opt: opt, resource: res}
	if u, err := url.Parse(opt.Target); err == nil && u.Hostname() != "" {
		m.server = append(m.server, attribute.String("server.address", u.Hostname()))
		if port, err := strconv.Atoi(u.Port()); err == nil {
			m.server = append(m.server, attribute.Int("server.port", port))
		}
	}
	return m
}

// span returns the exchange as a span; nil when it is of an unknown phase or
// step.
func (m *spanMaker) span(x *loadgen.Exchange) sdktrace.ReadOnlySpan {
	if x.Phase < 0 || x.Phase >= len(m.opt.Phases) || x.Step < 0 || x.Step >= len(m.opt.Steps) {
		return nil
	}
	return clientSpan{maker: m, x: *x}
}

// A clientSpan is an exchange as the OTLP exporter reads a span. The embedded
// interface is nil: it lends its unexported method, without which no type
// outside the SDK can be a ReadOnlySpan, and InstrumentationLibrary, which is
// deprecated and not called.
type clientSpan struct {
	sdktrace.ReadOnlySpan
	maker *spanMaker
	x     loadgen.Exchange
}

// Name returns the step's name, which is bounded by the plan.
func (s clientSpan) Name() string { return s.maker.opt.Steps[s.x.Step].Name }

// SpanContext returns the ids that the request carried in traceparent.
func (s clientSpan) SpanContext() trace.SpanContext {
	return trace.NewSpanContext(trace.SpanContextConfig{TraceID: s.x.TraceID, SpanID: s.x.SpanID, TraceFlags: trace.FlagsSampled})
}

// Parent returns none: an exchange is the root of its trace.
func (s clientSpan) Parent() trace.SpanContext { return trace.SpanContext{} }

// SpanKind returns client.
func (s clientSpan) SpanKind() trace.SpanKind { return trace.SpanKindClient }

// StartTime returns when the request was sent.
func (s clientSpan) StartTime() time.Time { return s.maker.opt.Began.Add(s.x.Sent) }

// EndTime returns when the answer was whole, or failed.
func (s clientSpan) EndTime() time.Time { return s.maker.opt.Began.Add(s.x.Done) }

// Attributes returns what the semantic conventions ask of an HTTP client span,
// and what they have no name for: phase, step, when it was due.
func (s clientSpan) Attributes() []attribute.KeyValue {
	step := s.maker.opt.Steps[s.x.Step]
	out := append([]attribute.KeyValue{
		attribute.String(names.AttrPhase, s.maker.opt.Phases[s.x.Phase]),
		attribute.String(names.AttrStep, step.Name),
		attribute.Float64(names.AttrIntended, s.x.Intended.Seconds()),
		attribute.Float64(names.Lag.Name, s.x.Lag().Seconds()),
		attribute.String(names.AttrMethod, step.Method),
		attribute.String("user_agent.synthetic.type", "test"),
	}, s.maker.server...)
	if s.x.Status != 0 {
		out = append(out, attribute.Int(names.AttrStatus, s.x.Status))
	}
	if !s.x.OK() {
		out = append(out, attribute.String(names.AttrErrorType, string(s.x.Error)))
	}
	return out
}

// Links returns none.
func (s clientSpan) Links() []sdktrace.Link { return nil }

// Events returns none.
func (s clientSpan) Events() []sdktrace.Event { return nil }

// Status returns an error for an exchange that the plan does not call OK.
func (s clientSpan) Status() sdktrace.Status {
	if s.x.OK() {
		return sdktrace.Status{}
	}
	return sdktrace.Status{Code: codes.Error, Description: s.x.Detail}
}

// InstrumentationScope returns this package.
func (s clientSpan) InstrumentationScope() instrumentation.Scope {
	return instrumentation.Scope{Name: scopeName, Version: s.maker.opt.Version}
}

// Resource returns the run's resource.
func (s clientSpan) Resource() *resource.Resource { return s.maker.resource }

// DroppedAttributes returns 0.
func (s clientSpan) DroppedAttributes() int { return 0 }

// DroppedLinks returns 0.
func (s clientSpan) DroppedLinks() int { return 0 }

// DroppedEvents returns 0.
func (s clientSpan) DroppedEvents() int { return 0 }

// ChildSpanCount returns 0: who has children is not known here.
func (s clientSpan) ChildSpanCount() int { return 0 }
