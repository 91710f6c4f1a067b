//go:build race

package main

import "time"

// orphansEnd is how long after a run's death its processes are gone. The race
// detector keeps a process for a second after its end, and makes it slower.
const orphansEnd = 5 * time.Second
