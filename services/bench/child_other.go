//go:build !unix

package bench

import (
	"errors"
	"syscall"
)

// ownGroup is a matter of unix terminals.
func ownGroup() *syscall.SysProcAttr { return nil }

// canPause tells whether pause and resume work on this system.
const canPause = false

func (c *child) pause() error { return errors.ErrUnsupported }

func (c *child) resume() error { return errors.ErrUnsupported }

func (s *subject) terminate() { _ = s.cmd.Process.Kill() }

func (s *subject) kill() { _ = s.cmd.Process.Kill() }

func giveWay() {}
