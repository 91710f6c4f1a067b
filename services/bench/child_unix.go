//go:build unix

package bench

import "syscall"

// ownGroup keeps the terminal's Ctrl-C, which goes to a whole process group,
// from the target: the run ends it when its answers are in.
func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
