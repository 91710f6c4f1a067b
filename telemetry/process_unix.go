//go:build unix

package telemetry

import (
	"fmt"
	"syscall"
	"time"
)

// processCPU asks the kernel for the CPU time of all threads, past and present.
func processCPU() (cpuTime, error) {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return cpuTime{}, fmt.Errorf("getrusage: %w", err)
	}
	return cpuTime{user: time.Duration(r.Utime.Nano()), system: time.Duration(r.Stime.Nano())}, nil
}
