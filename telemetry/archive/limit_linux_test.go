package archive_test

import (
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"syscall"
)

// limitEnv bounds the size of every file that the writing process makes, in
// bytes.
const limitEnv = "TAILLIGHT_TEST_ARCHIVE_LIMIT"

func limitFiles() {
	n, err := strconv.ParseUint(os.Getenv(limitEnv), 10, 64)
	if err != nil {
		return
	}
	// Without this the kernel kills the process instead of failing the write.
	signal.Ignore(syscall.SIGXFSZ)
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: n, Max: n}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
