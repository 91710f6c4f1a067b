//go:build !linux

package loadgen

import (
	"errors"
	"time"
)

func newFDWaiter(time.Time) (waiter, error) { return nil, errors.New("timerfd: Linux only") }
