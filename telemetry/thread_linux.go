package telemetry

import (
	"syscall"
	"time"
	"unsafe"
)

// clockThreadCPU is CLOCK_THREAD_CPUTIME_ID of linux/time.h.
const clockThreadCPU = 3

// threadCPU returns the CPU time that the calling thread has used, to the
// nanosecond; getrusage would be late by up to a tick. The call is raw, for it
// does not block, and as a system call like others it would itself be a state
// in the execution trace.
func threadCPU() (time.Duration, bool) {
	var t syscall.Timespec
	if _, _, errno := syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, clockThreadCPU, uintptr(unsafe.Pointer(&t)), 0); errno != 0 {
		return 0, false
	}
	return time.Duration(t.Nano()), true
}
