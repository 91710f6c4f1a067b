package bench

import (
	"context"
	"fmt"
	"maps"

	"github.com/taillight-load/taillight/telemetry/archive"
	"github.com/taillight-load/taillight/telemetry/receiver"
)

// Reasons that no store knows.
const (
	dropLate      = "late"      // it came after the run's telemetry was closed
	dropUnwritten = "unwritten" // the archive had no room
)

// tallies are the counts of receivers that may serve several runs.
type tallies struct {
	rejected map[receiver.Reason]int64 // spans
	refused  map[receiver.Reason]int64 // requests
	passedOn int64                     // profiles
	otlp     receiver.ForwardStats
	profiles receiver.ForwardStats
}

func (s *local) tallies() tallies {
	b := tallies{otlp: s.forwards.otlp.Stats(), profiles: s.forwards.profiles.Stats()}
	if s.receiver != nil {
		stats := s.receiver.Stats()
		b.rejected, b.refused, b.passedOn = stats.RejectedSpans, stats.Refused, stats.PassedOn
	}
	return b
}

// dropped returns how many spans came and were not kept, by reason.
func (s *local) dropped() map[string]int64 {
	store, _ := s.attached()
	now := s.tallies()
	s.mu.Lock()
	late, before := s.late, s.before
	s.mu.Unlock()
	out := map[string]int64{}
	for reason, n := range store.Counts().DroppedSpans {
		out[string(reason)] = n
	}
	for reason, n := range now.rejected {
		if n -= before.rejected[reason]; n > 0 {
			out[string(reason)] += n
		}
	}
	if late > 0 {
		out[dropLate] = late
	}
	return out
}

func (s *local) books() books {
	store, _ := s.attached()
	b := books{Dropped: s.dropped(), Refused: s.refused(), Forwarded: s.forwarded(), Spans: store.Counts().Spans, CPU: cpuTold(store)}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.unkept != nil {
		b.Unwritten = s.unkept.Error()
	}
	return b
}

func (s *local) told() books { return s.books() }

// unwritten counts the spans that were kept, and then had no room in the
// archive.
func unwritten(run *archive.Run, kept int64) {
	if n := kept - int64(len(run.Spans)); n > 0 {
		run.Signals.Spans.Dropped[dropUnwritten] = n
	}
}

// passedOn stands among the reasons of what was refused, for profiles that only
// the destination of --forward-profiles got.
const passedOn = "passed_on"

// refused returns how many requests were not taken during the run, by reason.
func (s *local) refused() map[string]int64 {
	now := s.tallies()
	s.mu.Lock()
	before := s.before
	s.mu.Unlock()
	out := map[string]int64{passedOn: now.passedOn - before.passedOn}
	for reason, n := range now.refused {
		out[string(reason)] = n - before.refused[reason]
	}
	maps.DeleteFunc(out, func(_ string, n int64) bool { return n == 0 })
	return out
}

// forwarded accounts for what was passed on during the run: how much of each
// unit was sent, how much was lost, by reason, and how much still waits. It is
// empty when nothing was.
func (s *local) forwarded() map[string]int64 {
	now := s.tallies()
	s.mu.Lock()
	before := s.before
	s.mu.Unlock()
	out := map[string]int64{}
	for _, f := range []struct{ now, before receiver.ForwardStats }{{now.otlp, before.otlp}, {now.profiles, before.profiles}} {
		for unit, n := range f.now.Received {
			prefix := "forward_" + unit + "_"
			sent := f.now.Sent[unit] - f.before.Sent[unit]
			waiting := n - f.before.Received[unit] - sent
			out[prefix+"sent"] = sent
			for reason, n := range f.now.Lost[unit] {
				n -= f.before.Lost[unit][reason]
				out[prefix+"lost_"+string(reason)] = n
				waiting -= n
			}
			out[prefix+"waiting"] = waiting
		}
	}
	maps.DeleteFunc(out, func(_ string, n int64) bool { return n == 0 })
	return out
}

// forwards are the destinations of what is received; nil where there is none.
type forwards struct{ otlp, profiles *receiver.Forwarder }

// newForwards starts the forwarders that were asked for. own says where our own
// receivers are: what is sent there would come again and again.
func newForwards(o ListenOptions, own addresses) (forwards, error) {
	var f forwards
	var err error
	if o.ForwardOTLP != "" {
		if f.otlp, err = newForward("--forward-otlp", o.ForwardOTLP, own); err != nil {
			return f, err
		}
	}
	if o.ForwardProfiles != "" {
		if f.profiles, err = newForward("--forward-profiles", o.ForwardProfiles, own); err != nil {
			f.shutdown(context.Background())
			return forwards{}, err
		}
	}
	return f, nil
}

func newForward(flag, address string, own addresses) (*receiver.Forwarder, error) {
	u, err := receiver.ForwardAddress(address)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", flag, err)
	}
	if at := "http://" + u.Host; at == own.OTLP || at == own.Profiles {
		return nil, fmt.Errorf("%s %s is this receiver itself: name the address of another", flag, address)
	}
	return receiver.NewForwarder(address, receiver.ForwardOptions{})
}

func (f *forwards) shutdown(ctx context.Context) {
	f.otlp.Shutdown(ctx)
	f.profiles.Shutdown(ctx)
}
