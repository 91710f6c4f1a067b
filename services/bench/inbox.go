package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/telemetry/archive"
	"github.com/taillight-load/taillight/telemetry/receiver"
	"github.com/taillight-load/taillight/telemetry/signal"
)

// Signals receives telemetry and passes it to the run that is attached. What
// comes while none is attached is counted and dropped.
type Signals struct {
	OTLP     string // base URL of the OTLP receiver
	GRPC     string // base URL of the OTLP receiver over gRPC; "" when there is none
	Profiles string // base URL of the profile receiver

	receiver *receiver.Receiver
	forwards forwards
	servers  []*http.Server
	grpc     grpcServer // nil when there is none
	serving  sync.WaitGroup

	mu      sync.Mutex
	store   *signal.Store   // of the run attached
	archive *archive.Writer // of the run attached; nil between runs
	late    int64           // spans that came after the run was taken off
	before  books           // as they stood when the run was attached
}

// grpcServer is what we need of a gRPC server.
type grpcServer interface {
	Serve(net.Listener) error
	GracefulStop()
	Stop()
}

// ListenOptions say where receivers listen.
type ListenOptions struct {
	OTLP, GRPC, Profiles string // host:port; "" is the usual port on loopback, or a free one
	Token                string // that every sender must know; "" admits all
	Private              bool   // any free port will do, and HTTP: the only sender is told

	// Base URLs of receivers that get what is received; "" is none.
	ForwardOTLP, ForwardProfiles string
}

// The usual ports.
const (
	otlpPort     = "4318"
	grpcPort     = "4317"
	profilesPort = "4040"
)

// Listen starts the receivers.
func Listen(o ListenOptions) (*Signals, error) {
	s := &Signals{store: signal.NewStore(signal.StoreOptions{})}
	err := s.listen(o)
	if err != nil {
		s.Close(context.Background())
		return nil, err
	}
	return s, nil
}

func (s *Signals) listen(o ListenOptions) error {
	otlp, err := listen(o.OTLP, otlpPort, o.Private)
	if err != nil {
		return fmt.Errorf("OTLP receiver: %w", err)
	}
	s.OTLP = "http://" + otlp.Addr().String()
	listeners := []net.Listener{otlp}
	s.Profiles = s.OTLP
	if !o.Private {
		profiles, err := listen(o.Profiles, profilesPort, false)
		if err != nil {
			return errors.Join(fmt.Errorf("profile receiver: %w", err), otlp.Close())
		}
		s.Profiles = "http://" + profiles.Addr().String()
		listeners = append(listeners, profiles)
	}
	if s.forwards, err = newForwards(o, s); err != nil {
		for _, l := range listeners {
			_ = l.Close()
		}
		return err
	}
	s.receiver = receiver.New(receiver.Options{
		Token: o.Token, OnSpans: s.spans, OnSeries: s.series, OnProfile: s.profile,
		ForwardOTLP: s.forwards.otlp, ForwardProfiles: s.forwards.profiles,
	})
	for _, l := range listeners {
		s.serve(l)
	}
	if o.Private {
		return nil
	}
	l, err := listen(o.GRPC, grpcPort, false)
	if err != nil {
		return fmt.Errorf("OTLP receiver over gRPC: %w", err)
	}
	s.GRPC = "http://" + l.Addr().String()
	s.grpc = s.receiver.GRPC()
	s.serving.Go(func() {
		// As with HTTP below.
		_ = s.grpc.Serve(l)
	})
	return nil
}

// listen takes the address given, or the usual port, or a free one.
func listen(addr, usual string, free bool) (net.Listener, error) {
	if addr != "" {
		return net.Listen("tcp", addr)
	}
	if !free {
		l, err := net.Listen("tcp", "127.0.0.1:"+usual)
		if !errors.Is(err, syscall.EADDRINUSE) {
			return l, err
		}
	}
	return net.Listen("tcp", "127.0.0.1:0")
}

func (s *Signals) serve(l net.Listener) {
	srv := &http.Server{
		Handler:           s.receiver,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
	}
	s.servers = append(s.servers, srv)
	s.serving.Go(func() {
		// It ends by Close, or with the listener, which nobody else has.
		_ = srv.Serve(l)
	})
}

// Close stops the receivers: requests under way are finished, and what is to
// be forwarded is sent, until ctx ends.
func (s *Signals) Close(ctx context.Context) {
	for _, srv := range s.servers {
		if srv.Shutdown(ctx) != nil {
			_ = srv.Close()
		}
	}
	if s.grpc != nil {
		stop := context.AfterFunc(ctx, s.grpc.Stop)
		s.grpc.GracefulStop()
		stop()
	}
	s.serving.Wait()
	s.forwards.shutdown(ctx)
}

// attach gives what comes from now on to a run, of which ids made the traces.
// A span is kept once its exchange is; until then it waits, as long as the
// exchange may take and a little more.
func (s *Signals) attach(w *archive.Writer, ids *loadgen.TraceIDs, exchange time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.store = signal.NewStore(signal.StoreOptions{
		Known: func(id signal.TraceID) bool { return ids.Made(id) },
		Hold:  exchange + holdMargin,
		// The archive keeps the spans.
		Forget: true,
	})
	s.archive = w
	s.late = 0
	s.before = s.books()
}

// holdMargin is how long after its end an exchange may be reported.
const holdMargin = 3 * time.Second

// keep keeps the spans of the exchanges that are kept.
func (s *Signals) keep(kept []loadgen.Exchange) {
	store, w := s.attached()
	if w == nil || len(kept) == 0 {
		return
	}
	ids := make([]signal.TraceID, len(kept))
	for i := range kept {
		ids[i] = kept[i].TraceID
	}
	_ = w.Spans(store.Keep(ids...))
}

// settle says that the last exchange has been kept, and which requests were
// cut.
func (s *Signals) settle(cut []loadgen.InFlightRequest) {
	store, _ := s.attached()
	ids := make([]signal.TraceID, len(cut))
	for i := range cut {
		ids[i] = cut[i].TraceID
	}
	store.Settle(ids...)
}

// detach takes the run off; its store can still be read.
func (s *Signals) detach() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.archive = nil
	s.store.Settle()
}

func (s *Signals) attached() (*signal.Store, *archive.Writer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.store, s.archive
}

// The archive reports a failed write at the end of the run.

func (s *Signals) spans(spans []signal.Span) {
	store, w := s.attached()
	if w == nil {
		s.mu.Lock()
		s.late += int64(len(spans))
		s.mu.Unlock()
		return
	}
	_ = w.Spans(store.Admit(spans))
}

func (s *Signals) series(series []signal.Series) {
	if store, w := s.attached(); w != nil {
		store.AddSeries(series)
		_ = w.Series(series)
	}
}

func (s *Signals) profile(p signal.Profile) {
	if store, w := s.attached(); w != nil {
		store.AddProfile(p)
		_ = w.Profile(p)
	}
}

// join waits until every exchange that was sampled has its server span, or the
// time is up. A target that has sent no span at all by the first quarter of
// the time is taken to send none.
func (s *Signals) join(kept []loadgen.Exchange, wait time.Duration, cut <-chan struct{}) {
	store, _ := s.attached()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	deadline := time.Now().Add(wait)
	next := 0
	for {
		for next < len(kept) && (!kept[next].Sampled || kept[next].Status == 0 || store.HasServer(kept[next].TraceID)) {
			next++
		}
		left := time.Until(deadline)
		if next == len(kept) || left <= 0 || (store.Counts().Spans == 0 && left < wait*3/4) {
			return
		}
		select {
		case <-tick.C:
		case <-cut:
			return
		}
	}
}
