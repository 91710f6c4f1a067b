package selftest

import (
	"net"
	"testing"
	"time"

	"github.com/taillight-load/taillight/loadgen/busytest"
)

// A server that reads late is told when the request came all the same.
func TestArrivalsAreStampedBySystem(t *testing.T) {
	busytest.Retry(t, func(t, retry testing.TB) {
		l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		client, err := new(net.Dialer).DialContext(t.Context(), "tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		server, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer server.Close()
		in, err := newStamped(server.(*net.TCPConn))
		if err != nil {
			t.Fatal(err)
		}
		// The kernel starts to stamp soon after it was first asked to.
		time.Sleep(100 * time.Millisecond)
		before := time.Now()
		if _, err := client.Write([]byte("one")); err != nil {
			t.Fatal(err)
		}
		const late = 300 * time.Millisecond
		time.Sleep(late)
		buf := make([]byte, 16)
		n, at, err := in.read(buf)
		if err != nil || string(buf[:n]) != "one" {
			t.Fatalf("%q, %v", buf[:n], err)
		}
		if read := time.Now(); at.After(read.Add(-late/2)) || at.Before(before.Add(-late)) {
			retry.Errorf("written at %v, read at %v, stamped %v", before, read, at)
		}
		client.Close()
		if _, _, err := in.read(buf); err == nil {
			t.Error("the end of the connection is no error")
		}
	})
}
