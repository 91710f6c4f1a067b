//go:build !unix

package telemetry

import (
	"errors"
	"runtime"
)

func processCPU() (cpuTime, error) {
	return cpuTime{}, errors.New("the cpu time of a process is not read on " + runtime.GOOS)
}
