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
