//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package archive

import (
	"os"
	"syscall"
)

// hold marks the open lock file as held by this process until it ends or
// closes the file, even by a kill. The exclusive creation of the file is the
// claim; this only tells a reader that the claimant lives.
func hold(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_EX) }

// held reports whether a living process holds the lock file.
func held(f *os.File) bool {
	return syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB) == syscall.EWOULDBLOCK
}
