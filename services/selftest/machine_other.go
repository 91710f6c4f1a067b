//go:build !linux

package selftest

import (
	"context"
	"errors"
	"time"
)

// processors lists none: a process cannot be kept on one of them here.
func processors() []int { return nil }

func pinThread(int) (func() error, error) {
	return nil, errors.New("processes are kept on a processor on Linux only")
}

func claimProcessor() {}

// wakeUps returns none: the timers of the runtime are all there is here.
func wakeUps(context.Context, float64, time.Duration) []time.Duration { return nil }

func ownCPU() time.Duration { return 0 }

// machineCPU is unknown here.
func machineCPU() (time.Duration, bool) { return 0, false }
