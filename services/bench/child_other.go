//go:build !unix

package bench

import "syscall"

// ownGroup is a matter of unix terminals.
func ownGroup() *syscall.SysProcAttr { return nil }
