//go:build !linux

package telemetry

import "time"

// threadCPU is not known on this system.
func threadCPU() (time.Duration, bool) { return 0, false }
