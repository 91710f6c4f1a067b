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

	"github.com/taillight-load/taillight/telemetry/archive"
	"github.com/taillight-load/taillight/telemetry/receiver"
	"github.com/taillight-load/taillight/telemetry/signal"
)

// local is an inbox in this process: the receivers, the store that chooses and
// the files of the archive.
type local struct {
	addresses
	receiver *receiver.Receiver
	forwards forwards
	servers  []*http.Server
	grpc     grpcServer // nil when there is none
	serving  sync.WaitGroup

	mu      sync.Mutex
	store   *signal.Store   // of the run attached
	archive *archive.Writer // of the run attached; nil between runs
	own     bool            // archive is ours alone, not the run's
	late    int64           // spans that came after the run was taken off
	unkept  error           // what an archive of our own had not written when the run was taken off
	before  tallies         // as they stood when the run was attached
}

// grpcServer is what we need of a gRPC server.
type grpcServer interface {
	Serve(net.Listener) error
	GracefulStop()
	Stop()
}

// listenHere starts the receivers in this process.
func listenHere(o ListenOptions) (*local, error) {
	s := &local{store: signal.NewStore(signal.StoreOptions{})}
	if err := s.listen(o); err != nil {
		s.close(context.Background())
		return nil, err
	}
	return s, nil
}

func (s *local) listen(o ListenOptions) error {
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
	if s.forwards, err = newForwards(o, s.addresses); err != nil {
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

func (s *local) serve(l net.Listener) {
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

func (s *local) close(ctx context.Context) {
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

func (s *local) attach(of attachment) error {
	w := of.archive
	if w == nil {
		w = archive.Append(of.Dir)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.store = signal.NewStore(signal.StoreOptions{
		Known: func(id signal.TraceID) bool { return of.Source.Made(id) },
		Hold:  of.Hold,
		// The archive keeps the spans.
		Forget: true,
	})
	s.archive, s.own = w, of.archive == nil
	s.late, s.unkept = 0, nil
	s.before = s.tallies()
	return nil
}

func (s *local) keep(traces []signal.TraceID) {
	store, w := s.attached()
	if w == nil {
		return
	}
	_ = w.Spans(store.Keep(traces...))
}

func (s *local) settle(cut []signal.TraceID) {
	store, _ := s.attached()
	store.Settle(cut...)
}

func (s *local) detach(discard bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.archive
	s.archive = nil
	s.store.Settle()
	switch {
	case w == nil || !s.own:
		return // its files are the run's
	case discard:
		// What cannot be removed stays, in a run that did not take place.
		_ = w.Discard()
	default:
		s.unkept = errors.Join(w.Close(), w.Err())
	}
}

func (s *local) served(traces []signal.TraceID) (n int, spans int64) {
	store, _ := s.attached()
	for n < len(traces) && store.HasServer(traces[n]) {
		n++
	}
	return n, store.Counts().Spans
}

func (s *local) attached() (*signal.Store, *archive.Writer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.store, s.archive
}

// The archive reports a failed write at the end of the run.

func (s *local) spans(spans []signal.Span) {
	store, w := s.attached()
	if w == nil {
		s.mu.Lock()
		s.late += int64(len(spans))
		s.mu.Unlock()
		return
	}
	_ = w.Spans(store.Admit(spans))
}

func (s *local) series(series []signal.Series) {
	if store, w := s.attached(); w != nil {
		store.AddSeries(series)
		_ = w.Series(series)
	}
}

func (s *local) profile(p signal.Profile) {
	if store, w := s.attached(); w != nil {
		store.AddProfile(p)
		_ = w.Profile(p)
	}
}
