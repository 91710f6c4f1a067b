package loadgen_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/loadgen/busytest"
)

// busy is a plan whose one user asks again as soon as it is answered, n times
// on one connection, the last of which decides what is tested: hang, drop or
// answer.
func busy(t testing.TB, n int64, last http.HandlerFunc) (loadgen.Plan, *atomic.Int64) {
	t.Helper()
	var asked atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1) == n {
			last(w, r)
			return
		}
		fmt.Fprint(w, "ok")
	}))
	t.Cleanup(srv.Close)
	p := closed(srv.URL, 1, 700*time.Millisecond, loadgen.Think{Kind: loadgen.ThinkConstant, Max: 10 * time.Millisecond})
	p.Timeout, p.Drain = 10*time.Second, 30*time.Second
	return p, &asked
}

// A request on a connection that others have used before has its whole timeout,
// however long the connection has been used.
func TestTimeoutsAreThoseOfEachRequest(t *testing.T) {
	busytest.Retry(t, func(t, retry testing.TB) {
		p, asked := busy(t, 30, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		p.Timeout = 250 * time.Millisecond
		p.Phases[0].For = 2 * time.Minute // it ends with what is looked for
		ctx, end := context.WithCancel(t.Context())
		defer end()
		timeouts := 0
		_, err := loadgen.Attack(ctx, p, loadgen.Options{OnSecond: func(s loadgen.Second) {
			for _, x := range s.Kept {
				if x.Error != loadgen.ErrTimeout {
					continue
				}
				if timeouts++; x.Service() < p.Timeout {
					t.Errorf("a timeout after %s: %s", x.Service(), x.Detail)
				}
				if !strings.Contains(x.Detail, "waiting for the answer") || !x.Reused { // another can take as long here
					retry.Errorf("a timeout after %s, reused %v: %s", x.Service(), x.Reused, x.Detail)
				}
			}
			if timeouts > 0 && asked.Load() >= 30 {
				end()
			}
		}})
		if err != nil {
			t.Fatal(err)
		}
		if timeouts == 0 {
			t.Error("the request that nobody answered has no timeout")
		}
	})
}

// A connection that breaks in place of the answer is a failure, told once and
// not tried again.
func TestABrokenConnectionIsAFailure(t *testing.T) {
	p, asked := busy(t, 5, func(w http.ResponseWriter, _ *http.Request) {
		c, _, _ := w.(http.Hijacker).Hijack()
		_ = c.Close()
	})
	all := exchangesOf(t, p)
	if len(all) < 5 {
		t.Skipf("%d requests in %s", len(all), p.Phases[0].For)
	}
	for i, x := range all {
		if broken := i == 4; broken != (x.Error == loadgen.ErrReset) || x.OK() == broken {
			t.Errorf("exchange %d: %q %s", x.N, x.Error, x.Detail)
		}
		if fresh := i == 0 || i == 5; x.Reused == fresh {
			t.Errorf("exchange %d: reused %v", x.N, x.Reused)
		}
	}
	if asked.Load() != int64(len(all)) {
		t.Errorf("%d requests arrived of %d", asked.Load(), len(all))
	}
}

// A request larger than what the socket takes at once arrives whole, on a new
// connection and on a used one.
func TestALargeRequestOnAUsedConnection(t *testing.T) {
	const size = 8 << 20
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n, err)
	}))
	defer srv.Close()
	p := closed(srv.URL, 1, 400*time.Millisecond, loadgen.Think{})
	p.Timeout, p.Drain = 30*time.Second, 30*time.Second
	p.Journeys[0].Steps = []loadgen.Step{{
		Method: "POST", Path: "/", Body: strings.Repeat("x", size), Expect: loadgen.Expect{Body: fmt.Sprint(size, " <nil>")},
	}}
	reused := 0
	all := exchangesOf(t, p)
	allOK(t, all)
	for _, x := range all {
		if x.BytesOut < size {
			t.Errorf("exchange %d: %d bytes sent", x.N, x.BytesOut)
		}
		if x.Reused {
			reused++
		}
	}
	if reused != len(all)-1 {
		t.Errorf("%d of %d on a used connection", reused, len(all))
	}
}
