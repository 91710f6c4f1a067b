//go:build !linux

package loadgen

import "errors"

func newFDWaiter() (waiter, error) { return nil, errors.New("timerfd: Linux only") }
