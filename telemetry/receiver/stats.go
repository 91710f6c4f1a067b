package receiver

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Reason says why something was not taken.
type Reason string

// Reasons to refuse a whole request.
const (
	ReasonPath         Reason = "path"
	ReasonMethod       Reason = "method"
	ReasonUnauthorized Reason = "unauthorized"
	ReasonOrigin       Reason = "origin" // sent by a page in a browser
	ReasonMediaType    Reason = "media_type"
	ReasonTooLarge     Reason = "too_large"
	ReasonBusy         Reason = "busy"
	ReasonMalformed    Reason = "malformed"
	ReasonProfile      Reason = "profile" // a profile of an unknown format or type
)

// Reasons to reject single spans or points of a request that is otherwise
// taken.
const (
	ReasonID       Reason = "invalid_id"
	ReasonTime     Reason = "invalid_time"
	ReasonDelta    Reason = "delta_temporality"
	ReasonBuckets  Reason = "invalid_buckets"
	ReasonNegative Reason = "negative_buckets"
	ReasonSummary  Reason = "summary"
	ReasonNoValue  Reason = "no_value" // the sender says there is none; not an error of its
)

// remedy says what is wrong and what to do, for the sender's log.
func (r Reason) remedy() string {
	switch r {
	case ReasonID:
		return "a trace id has 16 bytes, a span id 8, not all zero"
	case ReasonTime:
		return "a time is later than the year 2262"
	case ReasonDelta:
		return "delta temporality: set OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE=cumulative"
	case ReasonBuckets:
		return "a histogram needs one more count than bounds"
	case ReasonNegative:
		return "exponential histograms with values below zero are not kept"
	case ReasonSummary:
		return "summaries are not kept: send a histogram"
	}
	return string(r)
}

// Stats are exact counts since the receiver was made.
type Stats struct {
	Requests int64 `json:"requests"` // all, refused ones included
	Bytes    int64 `json:"bytes"`    // of bodies read whole, decompressed; of profiles as sent

	Spans    int64 `json:"spans"` // taken
	Points   int64 `json:"points"`
	Logs     int64 `json:"logs"` // records received; none is kept
	Profiles int64 `json:"profiles"`
	PassedOn int64 `json:"passed_on"` // profiles of kinds unknown here, given to ForwardProfiles alone

	Refused        map[Reason]int64 `json:"refused"` // requests
	RejectedSpans  map[Reason]int64 `json:"rejected_spans"`
	RejectedPoints map[Reason]int64 `json:"rejected_points"`
}

// Stats returns the counts so far.
func (rc *Receiver) Stats() Stats {
	rc.tally.mu.Lock()
	defer rc.tally.mu.Unlock()
	s := rc.tally.Stats
	s.Refused = maps.Clone(s.Refused)
	s.RejectedSpans = maps.Clone(s.RejectedSpans)
	s.RejectedPoints = maps.Clone(s.RejectedPoints)
	return s
}

type tally struct {
	mu sync.Mutex
	Stats
}

func (t *tally) init() {
	t.Refused, t.RejectedSpans, t.RejectedPoints = map[Reason]int64{}, map[Reason]int64{}, map[Reason]int64{}
}

func (t *tally) update(f func(*Stats)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f(&t.Stats)
}

func (t *tally) request() { t.update(func(s *Stats) { s.Requests++ }) }

func (t *tally) refuse(ref *refusal) { t.update(func(s *Stats) { s.Refused[ref.reason]++ }) }

// A refusal is a request that is not taken, and what its sender is told.
type refusal struct {
	status  int
	reason  Reason
	message string
}

// refuse makes a refusal. The message may quote what was sent, which need not
// be UTF-8, while the Status that carries it must be.
func refuse(status int, reason Reason, format string, args ...any) *refusal {
	message := strings.ToValidUTF8(fmt.Sprintf(format, args...), "\uFFFD")
	return &refusal{status: status, reason: reason, message: message}
}

// retryAfter is how long a sender is asked to wait when there is no room.
const retryAfter = time.Second

// header sets what goes with the refusal's status.
func (ref *refusal) header(h http.Header) {
	if ref.status == http.StatusTooManyRequests {
		h.Set("Retry-After", strconv.Itoa(int(retryAfter/time.Second)))
	}
}

// rejections counts spans or points of one request by reason.
type rejections map[Reason]int64

func (r rejections) addTo(total map[Reason]int64) {
	for reason, n := range r {
		total[reason] += n
	}
}

func (r rejections) sum() int64 {
	n := int64(0)
	for _, k := range r {
		n += k
	}
	return n
}

// answer returns what the sender is told: 0 and "" when nothing is wrong.
func (r rejections) answer() (n int64, message string) {
	var parts []string
	for _, reason := range slices.Sorted(maps.Keys(r)) {
		if reason == ReasonNoValue {
			continue
		}
		n += r[reason]
		parts = append(parts, fmt.Sprintf("%d rejected: %s", r[reason], reason.remedy()))
	}
	return n, strings.Join(parts, "; ")
}
