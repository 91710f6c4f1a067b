package loadgen_test

import (
	"encoding/json"
	"fmt"
	"math"
	"net"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/loadgen/busytest"
)

const (
	ourTruth  = "taillight, exchange by exchange"
	bareTruth = "bare"
)

// BenchmarkTruth holds the latencies that Taillight measures against those of
// a server that waits for 0, 1, 10 and 100 ms and notes what each request
// really took there: from the kernel's receipt of it to the instant before its
// answer was written. Requests are told apart by their trace context. What a
// latency is more than that is the way there and back, with the wake-up of an
// idle core, and the generator's own error. What the way alone takes on this
// machine, a bare client says: a write, a read, and the clock around them.
//
//	go test -run '^$' -bench Truth -benchtime 5x -timeout 1h ./loadgen
func BenchmarkTruth(b *testing.B) {
	needCores(b)
	delays := []time.Duration{0, time.Millisecond, 10 * time.Millisecond, 100 * time.Millisecond}
	load := peerLoad{Name: "truth", Connections: 50, Rate: 200}
	var arms []peer
	servers, kinds := map[string]*peerServer{}, map[string]string{}
	for _, delay := range delays {
		server := startPeerServer(b, serverKind{Notes: true, Traces: true, Delay: delay}, serverCore)
		for _, kind := range []string{ourTruth, bareTruth} {
			arm := own(delay.String())
			if kind == bareTruth {
				arm.name += ", bare client"
			}
			arm.program, arm.read = selfProgram(), readNothing
			servers[arm.name], kinds[arm.name] = server, kind
			arms = append(arms, arm)
		}
	}
	all := interleave(b, arms, func(p *peer) (map[string]float64, error) {
		as := *p
		as.name = kinds[p.name] // what the process is told to be
		r, log, err := servers[p.name].measure(b, &as, load)
		if err != nil {
			return nil, err
		}
		var measured []measuredExchange
		if err := json.Unmarshal(firstLine(r.out), &measured); err != nil {
			return nil, err
		}
		return errorsOf(measured, log.Noted)
	})
	t := table{name: "truth"}
	t.note("%d requests a second, %d rounds of %s a delay. Microseconds that a latency is more than the server took: of each request, then of the quantiles.", load.Rate, b.N, load.job().time())
	var figures []figure
	for _, name := range truthFigures() {
		figures = append(figures, figure{name, 1e-6})
	}
	t.parts = compared(names(arms), all, figures)
	t.parts[0][0][0] = "server waits"
	t.print(b)
}

func truthFigures() []string {
	return []string{"service: median", "99 % within", "response: median", "99 % within ", "p50 off", "p99 off"}
}

// measuredExchange is one exchange as Taillight measured it.
type measuredExchange struct {
	Parent            string
	Service, Response int64 // nanoseconds
	Failed            string
}

// truthAsPeer returns every exchange of the job.
func truthAsPeer(t *testing.T, job *peerJob) []measuredExchange {
	t.Helper()
	var all []measuredExchange
	attack(t, job.plan(), loadgen.Options{OnSecond: func(s loadgen.Second) {
		for i := range s.Kept {
			x := &s.Kept[i]
			all = append(all, measuredExchange{parentOf(x), int64(x.Service()), int64(x.Response()), x.Detail})
		}
	}})
	return all
}

// bareAsPeer does the job with as little as can be: a write, a read, and the
// clock around them. Its response is its service.
func bareAsPeer(t *testing.T, job *peerJob) []measuredExchange {
	t.Helper()
	u, err := url.Parse(job.URL)
	if err != nil {
		t.Fatal(err)
	}
	all := make([]measuredExchange, job.Rate*job.Seconds)
	began := time.Now()
	var wg sync.WaitGroup
	for c := range job.Connections {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", u.Host)
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			defer conn.Close()
			buf := make([]byte, 4096)
			for n := c; n < len(all); n += job.Connections {
				parent := fmt.Sprintf("00-%032x-%016x-01", n+1, n+1)
				request := fmt.Appendf(nil, "GET / HTTP/1.1\r\nHost: %s\r\ntraceparent: %s\r\n\r\n", u.Host, parent)
				time.Sleep(time.Until(began.Add(time.Duration(n) * time.Second / time.Duration(job.Rate))))
				sent := time.Now()
				if _, err := conn.Write(request); err != nil {
					t.Error(err)
					return
				}
				if _, err := conn.Read(buf); err != nil { // a small answer comes in one piece
					t.Error(err)
					return
				}
				took := int64(time.Since(sent))
				all[n] = measuredExchange{Parent: parent, Service: took, Response: took}
			}
		})
	}
	wg.Wait()
	return all
}

// parentOf is the traceparent header that an exchange was sent with, in a run
// that samples all.
func parentOf(x *loadgen.Exchange) string { return fmt.Sprintf("00-%x-%x-01", x.TraceID, x.SpanID) }

// errorsOf returns what is measured over what the server noted, in seconds.
func errorsOf(measured []measuredExchange, log []noted) (map[string]float64, error) {
	took := map[string]int64{}
	for i := range log {
		took[log[i].Parent] = log[i].Wrote - log[i].Came
	}
	var truth, response, serviceOff, responseOff []float64
	for _, x := range measured {
		server, ok := took[x.Parent]
		if !ok {
			return nil, fmt.Errorf("the server noted no %s", x.Parent)
		}
		truth = append(truth, float64(server)/1e9)
		response = append(response, float64(x.Response)/1e9)
		serviceOff = append(serviceOff, float64(x.Service-server)/1e9)
		responseOff = append(responseOff, float64(x.Response-server)/1e9)
	}
	if len(truth) < 100 {
		return nil, fmt.Errorf("%d exchanges", len(truth))
	}
	for _, list := range [][]float64{truth, response, serviceOff, responseOff} {
		slices.Sort(list)
	}
	within := func(off []float64) float64 {
		far := make([]float64, 0, len(off))
		for _, v := range off {
			far = append(far, math.Abs(v))
		}
		slices.Sort(far)
		return rankOf(far, 0.99)
	}
	f := truthFigures()
	return map[string]float64{
		f[0]: rankOf(serviceOff, 0.5), f[1]: within(serviceOff), f[2]: rankOf(responseOff, 0.5), f[3]: within(responseOff),
		f[4]: rankOf(response, 0.5) - rankOf(truth, 0.5), f[5]: rankOf(response, 0.99) - rankOf(truth, 0.99),
	}, nil
}

// Whatever the machine does meanwhile, times lie where they must: a request is
// sent after the answer before it was written and before the server has it, and
// is done after its answer was written and before the server has the next one.
// The next one waits for this one's end, so how far that is from the answer is
// held apart: in the best of all, no millisecond.
func TestTimesLieBetweenTheServersOwn(t *testing.T) {
	for _, delay := range []time.Duration{0, time.Millisecond, 10 * time.Millisecond} {
		t.Run(delay.String(), func(t *testing.T) {
			busytest.Retry(t, func(t, retry testing.TB) {
				url, log := timedServer(t, delay)
				p := closed(url, 1, 500*time.Millisecond, loadgen.Think{})
				var o loadgen.Options
				exchanges := kept(&o)
				res := attack(t, p, o)
				at := log()
				n, before, after := 0, time.Hour, time.Hour
				all := exchanges()
				for i := range all {
					x := &all[i]
					if !x.OK() {
						continue
					}
					sent, done := res.Began.Add(x.Sent), res.Began.Add(x.Done)
					if n >= len(at) || sent.After(at[n].read) || done.Before(at[n].wrote) {
						t.Fatalf("exchange %d: sent %s, done %s, of %d that the server timed", n+1, sent, done, len(at))
					}
					if n > 0 && sent.Before(at[n-1].wrote) {
						t.Fatalf("exchange %d: sent %s before the answer to the one before it was written", n+1, at[n-1].wrote.Sub(sent))
					}
					if n+1 < len(at) && done.After(at[n+1].read) {
						t.Fatalf("exchange %d: done %s after the next one had arrived", n+1, done.Sub(at[n+1].read))
					}
					before, after = min(before, at[n].read.Sub(sent)), min(after, done.Sub(at[n].wrote))
					n++
				}
				if n < 3 || before > time.Millisecond || after > time.Millisecond {
					retry.Fatalf("%d exchanges, sent %s before they were read and done %s after they were answered at best", n, before, after)
				}
			})
		})
	}
}

// served are a server's own times of one request.
type served struct{ read, wrote time.Time }

// timedServer answers one connection after a delay. The returned function
// ends it and returns the times of the requests, in order.
func timedServer(t testing.TB, delay time.Duration) (url string, log func() []served) {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var times []served
	wg.Go(func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		buf := make([]byte, 4096)
		for {
			if _, err := conn.Read(buf); err != nil { // a small request comes in one piece
				return
			}
			s := served{read: time.Now()}
			if delay > 0 {
				time.Sleep(delay)
			}
			s.wrote = time.Now()
			if _, err := conn.Write(hello); err != nil {
				return
			}
			times = append(times, s)
		}
	})
	return "http://" + l.Addr().String(), func() []served {
		_ = l.Close()
		wg.Wait()
		return times
	}
}
