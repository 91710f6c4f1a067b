//go:build !linux

package sse

import "time"

// expect keeps the buffer small that a reader's silence has to fill.
func expect(r *reader, _ time.Duration) {
	if c, ok := r.conn.(interface{ SetWriteBuffer(bytes int) error }); ok {
		_ = c.SetWriteBuffer(atOnce) // else it has the system's
	}
}
