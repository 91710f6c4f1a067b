package loadgen_test

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"
)

// BenchmarkLag asks how near to their due times requests leave a generator,
// and asks nobody but a server: the kernel notes when each request arrives on
// the loopback interface, which is while the generator sends it, so that the
// server's own wake-ups are not in it. Cores and rounds are as in
// BenchmarkPeers.
//
//	go test -run '^$' -bench Lag -benchtime 5x -timeout 2h ./loadgen
//
// Nothing says from outside when a request was due. So arrival k, in order, is
// held against a + k g. The gap g is the generator's own: the median of what
// arrivals half a run apart took, so that one whose rate is a little off, as
// fortio's is by design, or that left a request out, is not late for ever
// after; the rate is a column of its own. The offset a lets all but the earliest
// hundredth come late: with the very earliest arrival, one that is lucky, or
// too early, would move all others. The lag is the distance, either way: who
// sends too early is no better. The first second, in which tools warm up, does
// not count.
func BenchmarkLag(b *testing.B) {
	needCores(b)
	for _, rate := range []int{1000, 5000} {
		load := peerLoad{Name: fmt.Sprint(rate), Connections: 50, Rate: rate}
		b.Run(load.Name, func(b *testing.B) { compareLags(b, load) })
	}
}

// pacers are the generators whose lag is compared. Of the others, hey and
// Locust pace each connection by itself and start all at once, and bombardier
// lets its requests go in bunches.
func pacers(rate int) []peer {
	of := map[string]bool{ours: true, "vegeta": true, "k6": true, "wrk2": true, "fortio": true}
	list := []peer{own(ours)}
	if rate > 1000 { // what is due less often leaves at its own time anyway
		list = append(list, own(seldom))
	}
	list = append(list, own(onSleep))
	for _, p := range peers()[1:] {
		if !of[p.name] {
			continue
		}
		if p.name == "wrk2" {
			list = append(list, wrk2On(1))
		}
		list = append(list, p)
	}
	return list
}

// wrk2On is a wrk2 with so many connections. It opens one every 5 ms, and each
// then keeps to a schedule of its own, so that more than one send in bunches.
func wrk2On(connections int) peer {
	return peer{
		name: fmt.Sprintf("wrk2 -c%d", connections), program: "wrk2", read: readNothing,
		args: func(j *peerJob) []string {
			one := *j
			one.Connections = connections
			return wrk2Args(&one)
		},
	}
}

func compareLags(b *testing.B, load peerLoad) {
	server := startPeerServer(b, serverKind{Notes: true}, serverCore)
	candidates := pacers(load.Rate)
	for i := range candidates {
		candidates[i].read = readNothing // what they say of themselves is not asked
	}
	present := presentPeers(b, load, candidates)
	kernel, arrivals := 0, 0
	all := interleave(b, present, func(p *peer) (map[string]float64, error) {
		r, log, err := server.measure(b, p, load)
		if err != nil {
			return nil, err
		}
		lags, err := lagsOf(log.Noted, load.Rate, 1)
		if err != nil {
			return nil, err
		}
		kernel, arrivals = kernel+log.Kernel, arrivals+len(log.Noted)
		return map[string]float64{
			"p50 us": rankOf(lags, 0.5), "p99 us": rankOf(lags, 0.99), "p99.9 us": rankOf(lags, 0.999), "largest us": lags[len(lags)-1],
			cpuFigure: r.cpu / float64(log.Answered), "requests/s": float64(log.Answered) / float64(r.job.Seconds),
		}, nil
	})
	t := table{name: "lag-" + load.Name}
	t.note("%d requests a second. %d rounds of %s; %.3g %% of the arrivals with the kernel's time.", load.Rate, b.N, load.job().time(), 100*float64(kernel)/float64(arrivals))
	t.parts = compared(names(present), all, []figure{{"p50 us", 1e-6}, {"p99 us", 1e-6}, {"p99.9 us", 1e-6}, {"largest us", 1e-6}, {cpuFigure, 1e-6}, {"requests/s", 1}}, ours, seldom)
	t.print(b)
}

// anchorAt is the share of arrivals that may be earlier than their due times.
const anchorAt = 0.01

// lagsOf returns the distances of arrivals from their due times, in seconds,
// sorted; without the first seconds.
func lagsOf(log []noted, rate int, skip float64) ([]float64, error) {
	if len(log) == 0 {
		return nil, errors.New("nothing arrived")
	}
	came := make([]int64, 0, len(log))
	for i := range log {
		came = append(came, log[i].Came)
	}
	slices.Sort(came)
	from := came[0] + int64(skip*float64(time.Second))
	i, _ := slices.BinarySearch(came, from)
	if came = came[i:]; len(came) < rate/10 {
		if skip > 0 { // of a run of a second nothing would be left
			return lagsOf(log, rate, 0)
		}
		return nil, fmt.Errorf("%d requests arrived", len(came))
	}
	lags := behindSchedule(came)
	for i := range lags {
		lags[i] = math.Abs(lags[i])
	}
	slices.Sort(lags)
	return lags, nil
}

// wholeBunches is a multiple of how many requests leave together at the rates
// that are compared here, with any of 1 to 6, 8, 10, 12, 15, 20, 24 and 25. Two
// arrivals that are not so many apart lie at different
// places in their bunches, which would pass for another rate.
const wholeBunches = 600

// behindSchedule returns how far each arrival is behind its due time, in
// seconds; of one that was early it is negative. It takes two arrivals.
func behindSchedule(came []int64) []float64 {
	half := len(came) / 2
	half -= half % min(wholeBunches, half)
	gaps := make([]float64, 0, len(came)-half)
	for k := half; k < len(came); k++ {
		gaps = append(gaps, float64(came[k]-came[k-half])/1e9/float64(half))
	}
	slices.Sort(gaps)
	gap := rankOf(gaps, 0.5)
	all := make([]float64, 0, len(came))
	for k, at := range came {
		all = append(all, float64(at-came[0])/1e9-float64(k)*gap)
	}
	anchor := rankOf(slices.Sorted(slices.Values(all)), anchorAt)
	for k := range all {
		all[k] -= anchor
	}
	return all
}

// rankOf returns the nearest-rank quantile of sorted values.
func rankOf(sorted []float64, q float64) float64 {
	return sorted[min(len(sorted)-1, max(0, int(math.Ceil(q*float64(len(sorted))))-1))]
}

// A constant delay is no lag and neither is a rate that is a little off; one
// request that is early moves no other, and a late one is as late as it is.
func TestLagsAreFoundFromOutside(t *testing.T) {
	for _, gap := range []int64{1_000_000, 1_003_000} {
		var log []noted
		for k := range int64(3000) {
			at := 5_000_000_000 + k*gap
			switch k {
			case 2000:
				at += 300_000
			case 2500:
				at -= 400_000
			}
			log = append(log, noted{Came: at})
		}
		lags, err := lagsOf(log, 1000, 1)
		if err != nil {
			t.Fatal(err)
		}
		if n := len(lags); n < 2000 || rankOf(lags, 0.99) > 1e-6 || math.Abs(lags[n-2]-300e-6) > 1e-6 || math.Abs(lags[n-1]-400e-6) > 1e-6 {
			t.Errorf("%d lags, p99 %g, the largest %g", n, rankOf(lags, 0.99), lags[n-2:])
		}
	}
}

// Requests that leave together are late by what they waited for each other, and
// by no more, however many of them there are.
func TestLagsOfBunchesAreTheirWaits(t *testing.T) {
	const gap = 200_000 // ns
	for _, bunch := range []int64{1, 2, 3, 4, 20, 25} {
		var log []noted
		for k := range int64(15_007) {
			log = append(log, noted{Came: 5_000_000_000 + (k/bunch*bunch+bunch-1)*gap})
		}
		lags, err := lagsOf(log, 5000, 1)
		if err != nil {
			t.Fatal(err)
		}
		if most := float64((bunch-1)*gap) / 1e9; lags[0] > 1e-6 || math.Abs(lags[len(lags)-1]-most) > 1e-6 {
			t.Errorf("in bunches of %d: lags of %g to %g, at most %g", bunch, lags[0], lags[len(lags)-1], most)
		}
	}
}
