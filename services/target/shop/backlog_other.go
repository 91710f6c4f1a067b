//go:build !unix

package shop

import (
	"errors"
	"net"
)

// canHold tells whether setBacklog works on this system.
const canHold = false

func setBacklog(*net.TCPListener, int) error { return errors.ErrUnsupported }

func usualBacklog() int { return 0 }
