//go:build !race

package main

import "time"

// orphansEnd is how long after a run's death its processes are gone.
const orphansEnd = time.Second
