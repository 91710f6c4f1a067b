package sse

import (
	"errors"
	"os"
	"time"
)

// moment is how long a write may wait where there is none that does not.
const moment = time.Millisecond

// hurry writes what the connection takes within a moment: for those that have
// no socket to ask.
func (r *reader) hurry(b []byte) (n int, err error) {
	if err := r.conn.SetWriteDeadline(time.Now().Add(moment)); err != nil {
		return 0, err
	}
	n, err = r.conn.Write(b)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = nil
	}
	return n, err
}
