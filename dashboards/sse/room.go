package sse

import "sync"

// MaxReaders is how many may read at once where nothing else is said: above
// what people open, and far below what a process may open of files.
const MaxReaders = 100

// A Room bounds how many read at once, of one stream or of several. Each of
// them has a connection and a goroutine that waits for its end.
type Room struct {
	mu   sync.Mutex
	free int
}

// NewRoom returns room for so many readers.
func NewRoom(most int) *Room { return &Room{free: most} }

// enter takes a place, if there is one.
func (r *Room) enter() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.free <= 0 {
		return false
	}
	r.free--
	return true
}

// leave gives it back.
func (r *Room) leave() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.free++
}
