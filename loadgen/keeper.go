package loadgen

import "time"

// What is kept of the exchanges. While there are few, all; beyond that every
// exchange falls into one of three strata, and is kept with a probability that
// is known, so that weights add up to what was done.
const (
	keepAll     = 50_000
	keepSlow    = 20_000
	keepErrors  = 5_000
	keepUniform = 10_000
	slowShare   = 0.02
)

// keeper chooses. It decides on each exchange once and for all, because the
// archive is append-only: a run that is killed has lost nothing it had chosen.
// So the uniform sample is thinned by halves as the run grows, each with its
// weight, instead of replacing what it holds.
type keeper struct {
	seed                       uint64
	all, slow, errors, uniform int
	halvings                   uint
	slowFrom                   map[[2]int]time.Duration // by phase and step: the slowest 2 % so far
}

// second notes where the slow ones begin, from the totals so far.
func (k *keeper) second(total []*Series) {
	if k.all < keepAll {
		return
	}
	if k.slowFrom == nil {
		k.slowFrom = map[[2]int]time.Duration{}
	}
	for _, se := range total {
		if se != nil && se.Response.N() > 0 {
			k.slowFrom[[2]int{se.Phase, se.Step}] = se.Response.Quantile(1 - slowShare)
		}
	}
}

// keep decides on x and sets its Kept and Weight.
func (k *keeper) keep(x *Exchange) bool {
	x.Weight = 1
	switch {
	case k.all < keepAll:
		k.all++
		x.Kept = KeptAll
		return true
	case !x.OK() && k.errors < keepErrors:
		k.errors++
		x.Kept = KeptError
		return true
	case x.OK() && k.isSlow(x) && k.slow < keepSlow:
		k.slow++
		x.Kept = KeptSlow
		return true
	}
	return k.sample(x)
}

func (k *keeper) isSlow(x *Exchange) bool {
	from, ok := k.slowFrom[[2]int{x.Phase, x.Step}]
	return ok && x.Response() >= from
}

// sample keeps one of 2^(halvings+1), and halves the rate whenever an eighth
// of the budget has been spent at it.
func (k *keeper) sample(x *Exchange) bool {
	shift := min(k.halvings+1, 62)
	if draw(k.seed, streamSample, x.N)>>(64-shift) != 0 {
		return false
	}
	x.Kept = KeptUniform
	x.Weight = float64(uint64(1) << shift)
	k.uniform++
	if k.uniform%(keepUniform/8) == 0 {
		k.halvings++
	}
	return true
}
