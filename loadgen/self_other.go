//go:build !unix

package loadgen

import "time"

// processCPU is unknown here; the run says so by a generator CPU of zero.
func processCPU() time.Duration { return 0 }
