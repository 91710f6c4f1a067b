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
	Profiles string // base URL of the profile receiver

	receiver *receiver.Receiver
	servers  []*http.Server
	serving  sync.WaitGroup

	mu      sync.Mutex
	store   *signal.Store   // of the run attached
	archive *archive.Writer // of the run attached; nil between runs
	idle    int64           // spans dropped between runs
}

// ListenOptions say where receivers listen.
type ListenOptions struct {
	OTLP, Profiles string // host:port; "" is the usual port on loopback, or a free one
	Token          string // that every sender must know; "" admits all
	Private        bool   // any free port will do: the only sender is told
}

// The usual ports.
const (
	otlpPort     = "4318"
	profilesPort = "4040"
)

// Listen starts the receivers.
func Listen(o ListenOptions) (*Signals, error) {
	s := &Signals{store: signal.NewStore(signal.StoreOptions{})}
	s.receiver = receiver.New(receiver.Options{
		Token: o.Token, OnSpans: s.spans, OnSeries: s.series, OnProfile: s.profile,
	})
	otlp, err := listen(o.OTLP, otlpPort, o.Private)
	if err != nil {
		return nil, fmt.Errorf("OTLP receiver: %w", err)
	}
	s.OTLP = "http://" + otlp.Addr().String()
	s.serve(otlp)
	if o.Private {
		s.Profiles = s.OTLP
		return s, nil
	}
	profiles, err := listen(o.Profiles, profilesPort, false)
	if err != nil {
		s.Close(context.Background())
		return nil, fmt.Errorf("profile receiver: %w", err)
	}
	s.Profiles = "http://" + profiles.Addr().String()
	s.serve(profiles)
	return s, nil
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

// Close stops the receivers: requests under way are finished until ctx ends.
func (s *Signals) Close(ctx context.Context) {
	for _, srv := range s.servers {
		if srv.Shutdown(ctx) != nil {
			_ = srv.Close()
		}
	}
	s.serving.Wait()
}

// attach gives what comes from now on to a run.
func (s *Signals) attach(w *archive.Writer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.store = signal.NewStore(signal.StoreOptions{})
	s.archive = w
}

// detach takes the run off; its store can still be read.
func (s *Signals) detach() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.archive = nil
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
		s.idle += int64(len(spans))
		s.mu.Unlock()
		return
	}
	store.AddSpans(spans)
	_ = w.Spans(spans)
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

// dropped returns how many spans came and were not kept, by reason.
func (s *Signals) dropped() map[string]int64 {
	store, _ := s.attached()
	out := map[string]int64{}
	for reason, n := range store.Counts().DroppedSpans {
		out[string(reason)] = n
	}
	for reason, n := range s.receiver.Stats().RejectedSpans {
		out[string(reason)] += n
	}
	return out
}
