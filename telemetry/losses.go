package telemetry

import "sync/atomic"

// Losses counts what did not reach its receiver.
type Losses struct {
	Spans    int64 // ended and sampled, not delivered
	Metrics  int64 // collections not delivered; the next one carries their sums
	Profiles int64 // failures to record or upload a segment
	Samples  int64 // CPU samples in segments that did not reach a receiver, for each receiver
}

type losses struct {
	spansEnded, spansDelivered, spansFailed atomic.Int64
	metrics, profiles, samples              atomic.Int64
	settled                                 atomic.Bool
}

// settle says that no span is under way any more: what has ended and was not
// delivered is lost.
func (l *losses) settle() { l.settled.Store(true) }

func (l *losses) sum() Losses {
	spans := l.spansFailed.Load()
	if l.settled.Load() {
		spans = l.spansEnded.Load() - l.spansDelivered.Load()
	}
	return Losses{Spans: spans, Metrics: l.metrics.Load(), Profiles: l.profiles.Load(), Samples: l.samples.Load()}
}
