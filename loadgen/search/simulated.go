package search

import (
	"container/heap"
	"math"
	"math/rand/v2"
	"slices"
)

// Simulated is a queue with some servers, first come first served, whose limit
// is known: what a search finds of it can be held against that. Arrivals are
// Poisson's, and wait for nobody. Its clock is the seconds of load it had.
type Simulated struct {
	Servers int
	Service func(*rand.Rand) float64 // draws a service time, seconds
	SlowAt  float64                  // seconds of load after which half of the servers are gone; 0 is never
	Cap     float64                  // requests per second that the generator can send; 0 is any
	Random  *rand.Rand

	clock float64
}

// Exponential draws service times with a mean in seconds and no memory.
func Exponential(mean float64) func(*rand.Rand) float64 {
	return func(r *rand.Rand) float64 { return mean * r.ExpFloat64() }
}

// Deterministic draws one service time only, in seconds.
func Deterministic(s float64) func(*rand.Rand) float64 {
	return func(*rand.Rand) float64 { return s }
}

// free is a heap of the moments at which servers are free.
type free []float64

func (f free) Len() int           { return len(f) }
func (f free) Less(i, j int) bool { return f[i] < f[j] }
func (f free) Swap(i, j int)      { f[i], f[j] = f[j], f[i] }

// Push implements heap.Interface.
func (f *free) Push(v any) { *f = append(*f, v.(float64)) }

// Pop implements heap.Interface.
func (f *free) Pop() any {
	last := (*f)[len(*f)-1]
	*f = (*f)[:len(*f)-1]
	return last
}

// Responses runs arrivals at a rate for so many seconds, from an empty queue,
// and returns when each came and how long it took, in seconds.
func (s *Simulated) Responses(rate, seconds float64) (arrived, took []float64) {
	n := s.Servers
	if s.SlowAt > 0 && s.clock > s.SlowAt {
		n = max(1, s.Servers/2)
	}
	s.clock += seconds
	idle := make(free, n)
	for at := s.Random.ExpFloat64() / rate; at < seconds; at += s.Random.ExpFloat64() / rate {
		start := max(at, idle[0])
		idle[0] = start + s.Service(s.Random)
		arrived, took = append(arrived, at), append(took, idle[0]-at)
		heap.Fix(&idle, 0)
	}
	return arrived, took
}

// Run runs one trial. A request that takes over limit seconds misses it.
func (s *Simulated) Run(trial Trial, limit float64) Outcome {
	if s.Cap > 0 && trial.Rate > s.Cap {
		return Outcome{Blocks: []Block{{Planned: 100, Missed: 100}}, Broken: "the generator was late"}
	}
	warm, length := trial.WarmUp.Seconds(), trial.Length.Seconds()
	arrived, took := s.Responses(trial.Rate, warm+length)
	width := BlockLength(trial.Length).Seconds()
	o := Outcome{Blocks: make([]Block, int(math.Ceil(length/width))), InFlight: make([]float64, int(length))}
	answered := 0.0
	for i, at := range arrived {
		done := at + took[i]
		if done >= warm && done < warm+length {
			answered++
		}
		for second := max(0, int(math.Ceil(at-warm))); second < len(o.InFlight) && warm+float64(second) < done; second++ {
			o.InFlight[second]++
		}
		if at < warm {
			continue
		}
		b := &o.Blocks[min(len(o.Blocks)-1, int((at-warm)/width))]
		b.Planned++
		if took[i] > limit {
			b.Missed++
		}
	}
	o.Achieved = answered / length
	return o
}

// Limit returns the rate, up to highest, from which on more than a share of
// the requests takes over limit seconds, by long simulation from a fixed seed.
func (s *Simulated) Limit(limit, share, highest float64) float64 {
	const requests = 400_000
	lo, hi := 0.0, highest
	for range 12 {
		mid := (lo + hi) / 2
		one := &Simulated{Servers: s.Servers, Service: s.Service, Random: rand.New(rand.NewPCG(99, 99))}
		_, took := one.Responses(mid, requests/mid)
		slices.Sort(took)
		if took[int((1-share)*float64(len(took)))] <= limit {
			lo = mid
		} else {
			hi = mid
		}
	}
	return lo
}

// Find searches a simulated server for the highest rate at which no more than
// the options' share takes over limit seconds.
func (s *Simulated) Find(limit float64, o Options) (Result, error) {
	machine, err := New(o)
	if err != nil {
		return Result{}, err
	}
	for {
		trial, ok := machine.Next()
		if !ok {
			return machine.Result(), nil
		}
		machine.Record(s.Run(trial, limit))
	}
}
