package selftest

import (
	"net"
	"sync"
)

// acceptAll serves every connection in a goroutine of its own, until the
// returned function is called: it closes the listener and the connections and
// waits for their goroutines.
func acceptAll(l net.Listener, serve func(net.Conn)) (stop func()) {
	var (
		serving sync.WaitGroup
		mu      sync.Mutex // of open
		open    []net.Conn
	)
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open = append(open, conn)
			mu.Unlock()
			serving.Go(func() { serve(conn) })
		}
	})
	return func() {
		_ = l.Close()
		mu.Lock()
		for _, c := range open {
			_ = c.Close()
		}
		mu.Unlock()
		serving.Wait()
	}
}
