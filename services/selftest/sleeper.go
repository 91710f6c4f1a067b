package selftest

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// sleeperConns is over how many connections the sleeper sends: enough that an
// answer has come before the next request.
const sleeperConns = 64

// due is when a request was to be sent, in Unix ns, and which.
type due struct {
	trace string
	at    int64
}

// sleepAndSend is the generator that a loop around time.Sleep makes: it sends
// rate requests a second and waits for no answer. The ids begin with series.
func sleepAndSend(ctx context.Context, addr string, series uint64, rate float64, d time.Duration) (planned []due, err error) {
	var readers sync.WaitGroup
	var conns [sleeperConns]net.Conn
	defer func() {
		for _, c := range conns {
			if c != nil {
				_ = c.Close()
			}
		}
		readers.Wait()
	}()
	for i := range conns {
		c, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
		if err != nil {
			return nil, err
		}
		conns[i] = c
		readers.Go(func() { _, _ = io.Copy(io.Discard, c) }) // until it is closed
	}
	var id [16]byte
	binary.BigEndian.PutUint64(id[:8], series)
	n := int(rate * d.Seconds())
	planned = make([]due, n)
	began := time.Now()
	for i := range n {
		binary.BigEndian.PutUint64(id[8:], uint64(i)+1)
		at := began.Add(time.Duration(float64(i) / rate * float64(time.Second)))
		planned[i] = due{trace: hex.EncodeToString(id[:]), at: at.UnixNano()}
		request := fmt.Appendf(nil, "GET / HTTP/1.1\r\nHost: %s\r\ntraceparent: 00-%s-0000000000000001-00\r\n\r\n", addr, planned[i].trace)
		time.Sleep(time.Until(at))
		if _, err := conns[i%sleeperConns].Write(request); err != nil {
			return nil, err
		}
		if ctx.Err() != nil {
			return nil, errors.New("interrupted")
		}
	}
	// The last answers are waited for, so that all have come.
	time.Sleep(50 * time.Millisecond)
	return planned, nil
}
