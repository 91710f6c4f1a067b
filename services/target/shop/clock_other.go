//go:build !linux

package shop

import "time"

// threadClock has no thread's clock to read here: it is the wall's, since 1970.
func threadClock() time.Duration { return time.Duration(time.Now().UnixNano()) }
