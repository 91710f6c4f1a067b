package selftest

import "time"

// neighbours tells how much of the processors those took that have no part in a
// measurement: other processes, and the other guests of a virtual machine.
type neighbours struct {
	began     time.Time
	all, mine time.Duration
	known     bool
}

// mostOthers is how many processors others may use, in all, for a figure that is
// off to count.
const mostOthers = 0.1

func watchNeighbours() neighbours {
	n := neighbours{began: time.Now(), mine: ownCPU()}
	n.all, n.known = machineCPU()
	return n
}

// took returns how many processors the others used on average since then, given
// what the other processes of the measurement did; 0 where the system does not
// tell.
func (n neighbours) took(parts time.Duration) float64 {
	all, ok := machineCPU()
	if !ok || !n.known {
		return 0
	}
	return max(0, (all-n.all-(ownCPU()-n.mine)-parts).Seconds()/time.Since(n.began).Seconds())
}
