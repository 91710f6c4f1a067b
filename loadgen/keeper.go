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
// So nothing kept is ever replaced; instead, whenever an eighth of its budget
// is spent, the uniform sample takes half as large a share as before, and so
// does the choice of the slow. The uniform sample thus grows with the logarithm
// of the run: by 1,250 whenever its length doubles.
type keeper struct {
	seed                       uint64
	all, slow, errors, uniform int
	halvings                   uint
	block, at, size, pick      uint64                   // of the uniform sample
	slowFrom                   map[[2]int]time.Duration // by phase and step: slower is slow
}

// second notes where the slow ones begin, from the totals so far.
func (k *keeper) second(total []*Series) {
	if k.all < keepAll {
		return
	}
	if k.slowFrom == nil {
		k.slowFrom = map[[2]int]time.Duration{}
	}
	share := slowShare / float64(uint64(1)<<min(k.slow/(keepSlow/8), 40))
	for _, se := range total {
		if se != nil && se.Response.N() > 0 {
			k.slowFrom[[2]int{se.Phase, se.Step}] = se.Response.Quantile(1 - share)
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
	case x.OK() && k.slow < keepSlow && k.isSlow(x):
		k.slow++
		x.Kept = KeptSlow
		return true
	}
	return k.sample(x)
}

func (k *keeper) isSlow(x *Exchange) bool {
	from, ok := k.slowFrom[[2]int{x.Phase, x.Step}]
	return ok && x.Response() > from
}

// sample keeps one of every 2^(halvings+1), at a random place among them, so
// that weights add up without the noise of independent draws.
func (k *keeper) sample(x *Exchange) bool {
	if k.at == 0 {
		k.block++
		k.size = 1 << min(k.halvings+1, 40)
		k.pick = scale(draw(k.seed, streamSample, k.block), k.size)
	}
	picked := k.at == k.pick
	k.at = (k.at + 1) % k.size
	if !picked {
		return false
	}
	x.Kept = KeptUniform
	x.Weight = float64(k.size)
	k.uniform++
	if k.uniform%(keepUniform/8) == 0 {
		k.halvings++
	}
	return true
}
