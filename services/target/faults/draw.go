package faults

import "slices"

// Hits reports whether the n-th request since arming, counted from 0, is one
// of the fault's share. It depends on nothing but the seed, the knob and n, so
// a run can be repeated, and turning another knob changes nothing.
func (f Fault) Hits(seed, n uint64) bool {
	if f.Share >= 1 {
		return true
	}
	stream := mix(seed ^ mix(uint64(slices.Index(Knobs(), f.Knob))+1))
	// 53 bits are as many as a share has.
	return float64(mix(stream+n*0x9e3779b97f4a7c15)>>11)*(1.0/(1<<53)) < f.Share
}

// mix is the finalizer of SplitMix64: each bit of the input moves half of
// those of the output.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
