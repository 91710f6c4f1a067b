package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// ticksPerSecond is the kernel's USER_HZ, which every Linux of Go's has.
const ticksPerSecond = 100

// treeCPU returns the CPU seconds that a process, its children and theirs have
// used, those that have ended and were waited for included.
func treeCPU(pid int) (float64, bool) {
	var t unix.Timespec
	// The clock of another process's CPU time, to the nanosecond (CPUCLOCK_SCHED).
	if err := unix.ClockGettime(int32(^pid<<3|2), &t); err != nil {
		return 0, false
	}
	total := float64(t.Sec) + float64(t.Nsec)/1e9 + reapedCPU(pid)
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, list := range lists {
		b, _ := os.ReadFile(list)
		for child := range strings.FieldsSeq(string(b)) {
			if n, err := strconv.Atoi(child); err == nil {
				more, _ := treeCPU(n) // one that ends meanwhile is counted when it is waited for
				total += more
			}
		}
	}
	return total, true
}

// reapedCPU returns the CPU seconds of children that were waited for.
func reapedCPU(pid int) float64 {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	// The name may hold spaces and brackets: the fields begin after the last one.
	fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	const user, system = 13, 14 // cutime and cstime, the 16th and 17th of all
	if len(fields) <= system {
		return 0
	}
	u, _ := strconv.ParseFloat(fields[user], 64)
	k, _ := strconv.ParseFloat(fields[system], 64)
	return (u + k) / ticksPerSecond
}
