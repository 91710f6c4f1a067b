package sse

import "sync"

// bite is how much of a write that waits counts as taken at once: a reader
// that takes so much within its patience is kept.
const bite = 16 << 10

// patient writes where there is no socket to ask (Windows, TLS, and what hides
// its socket). A write there can only be waited for: one that a deadline ends
// may have sent a part without saying which, and TLS sends nothing after it. So
// a goroutine waits, as long as there is something to write.
type patient struct {
	mu   sync.Mutex
	busy bool  // it is there
	took int   // bytes since this was last asked
	err  error // there will be no other
}

// await has b written, unless something before it still is, and returns what
// was taken meanwhile of what was given before. Each call gives what was not
// taken by then, from its first byte.
func (s *Stream) await(r *reader, b []byte) (n int, err error) {
	p := &r.patient
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.busy && p.took == 0 && p.err == nil {
		p.busy = true
		s.owned.Go(func() {
			for p.one(r, &b) {
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			s.wake()
		})
	}
	n, p.took = p.took, 0
	return n, p.err
}

// one writes a bite of b, and reports whether there is more.
func (p *patient) one(r *reader, b *[]byte) (more bool) {
	n, err := r.conn.Write((*b)[:min(len(*b), bite)])
	*b = (*b)[n:]
	p.mu.Lock()
	defer p.mu.Unlock()
	p.took += n
	p.err = err
	p.busy = err == nil && len(*b) > 0
	return p.busy
}
