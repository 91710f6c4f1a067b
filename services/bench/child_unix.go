//go:build unix

package bench

import "syscall"

// ownGroup keeps the terminal's Ctrl-C, which goes to a whole process group,
// from the target: the run ends it when its answers are in. A stopped target
// in a group of its own is continued and ended by the system when this process
// is killed, for its group is an orphan then.
func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// canPause tells whether pause and resume work on this system.
const canPause = true

// pause stops the process as it stands.
func (c *child) pause() error { return c.cmd.Process.Signal(syscall.SIGSTOP) }

// resume lets it go on.
func (c *child) resume() error { return c.cmd.Process.Signal(syscall.SIGCONT) }

// terminate asks the service and the processes that it started to end.
func (s *subject) terminate() { _ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGTERM) }

// kill ends them. The group's number is not given away while one of them is
// left; when none is, this comes at once after the last one's end, long before
// the numbers have gone round.
func (s *subject) kill() { _ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL) }

// giveWay lets what runs at the usual priority go first where there is not
// enough CPU for all. On Linux niceness is a thread's: only that of a whole
// group reaches all of them, and the group has to be this process's own.
func giveWay() {
	if syscall.Getpgrp() == syscall.Getpid() {
		_ = syscall.Setpriority(syscall.PRIO_PGRP, 0, receiverNice)
	}
}

// receiverNice is the niceness of a receiver in a process of its own. At 10 it
// made the lag's p99 more than 1.2 times as long in four pairs of thirteen, at
// 19 in one of five (1.208), as much as it differs by itself; and beside a target that takes 1.9 of 2 cores it got the CPU to join every span of
// 570 requests a second.
const receiverNice = 19
