package search

import (
	"math"
	"time"

	"github.com/taillight-load/taillight/loadgen/stats"
)

// Block is a stretch of a trial, about 3 s: the unit that varies.
type Block struct {
	Planned int64 // requests that fell due in it
	Missed  int64 // of them: not answered well within the limit; failed, unsent and cut ones among them
}

// Outcome is what a trial showed, its warm-up left out.
type Outcome struct {
	Blocks []Block
	// InFlight is the number of requests in flight each second.
	InFlight []float64
	// Achieved is answers per second over the judged length.
	Achieved float64
	// Broken says that the generator was late or used up, in words; "" when
	// it kept the rate.
	Broken string
}

// Verdict is a trial's.
type Verdict string

// The verdicts.
const (
	Pass    Verdict = "pass"
	Fail    Verdict = "fail"
	Grey    Verdict = "unclear"
	Invalid Verdict = "invalid" // of the generator
)

// Judgement is the verdict with its numbers.
type Judgement struct {
	Verdict Verdict
	Missed  stats.Interval // share of requests over the limit, 95 %
	Share   float64        // the mean of the blocks' shares
	Why     string         // what made it fail, or invalid
	Pooled  int            // trials at that rate that were judged together; 0 is this one alone
}

// What makes a trial fail.
const (
	WhyShare   = "share"   // of requests that missed the objective
	WhyRate    = "rate"    // fewer answers than arrivals
	WhyBacklog = "backlog" // ever more requests in flight
	WhyNothing = "nothing was planned"
)

const (
	confidence  = 0.95
	leastServed = 0.98 // of the rate: answers per second below it mean that a queue grows
	leastGrowth = 0.02 // of the rate: a queue that grows by less per second is noise
)

// Judge tells whether at most share of the requests at a rate missed the limit.
// A late generator only makes responses longer, which are counted from the
// intended start: a trial that passes in spite of it has passed, and of any
// other nobody can say whose doing it was.
func Judge(o Outcome, rate, share float64) Judgement {
	j := judge(o, rate, share)
	if o.Broken != "" && j.Verdict != Pass {
		j.Verdict, j.Why = Invalid, o.Broken
	}
	return j
}

func judge(o Outcome, rate, share float64) Judgement {
	j := judgeShare(o.Blocks, share)
	switch {
	case j.Verdict == Fail:
	case o.Achieved < leastServed*rate-noise(rate, o):
		j.Verdict, j.Why = Fail, WhyRate
	case backlogGrows(o.InFlight, rate):
		j.Verdict, j.Why = Fail, WhyBacklog
	}
	return j
}

// judgeShare looks only at who missed. Blocks of several trials at one rate
// may be judged together: a share adds up.
func judgeShare(blocks []Block, share float64) Judgement {
	var shares []float64
	var planned, missed float64
	for _, b := range blocks {
		if b.Planned > 0 {
			shares = append(shares, float64(b.Missed)/float64(b.Planned))
			planned += float64(b.Planned)
			missed += float64(b.Missed)
		}
	}
	if len(shares) == 0 {
		return Judgement{Verdict: Fail, Share: 1, Missed: stats.Interval{Lo: 1, Hi: 1}, Why: WhyNothing}
	}
	j := Judgement{Verdict: Grey, Share: missed / planned}
	// Blocks of one trial may all be alike by chance: their spread is taken to
	// be at least that of independent requests.
	requests := stats.ClopperPearson(missed, planned, confidence)
	half := 0.0
	if n := float64(len(shares)); n > 1 {
		half = stats.StudentQuantile((1+confidence)/2, n-1) * deviation(shares, j.Share) / math.Sqrt(n)
	}
	j.Missed = stats.Interval{Lo: max(0, min(requests.Lo, j.Share-half)), Hi: min(1, max(requests.Hi, j.Share+half))}
	switch {
	case j.Missed.Lo > share:
		j.Verdict, j.Why = Fail, WhyShare
	case j.Missed.Hi <= share:
		j.Verdict = Pass
	}
	return j
}

// noise is three deviations of a Poisson count over the trial, as a rate.
func noise(rate float64, o Outcome) float64 {
	length := float64(len(o.InFlight))
	if length == 0 {
		return 0
	}
	return 3 * math.Sqrt(rate*length) / length
}

func deviation(values []float64, mean float64) float64 {
	var sum float64
	for _, v := range values {
		sum += (v - mean) * (v - mean)
	}
	return math.Sqrt(sum / float64(len(values)-1))
}

// backlogGrows reports whether the requests in flight clearly rise all along.
func backlogGrows(inFlight []float64, rate float64) bool {
	x := make([]float64, len(inFlight))
	for i := range x {
		x[i] = float64(i)
	}
	line, ok := stats.TheilSen(x, inFlight, 0.99)
	return ok && line.Interval.Lo > leastGrowth*rate
}

// BlockLength is how long a block of a trial of that length is: about 3 s, and
// at least 6 blocks.
func BlockLength(trial time.Duration) time.Duration {
	return max(200*time.Millisecond, min(3*time.Second, trial/6))
}
