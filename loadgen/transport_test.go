package loadgen_test

import (
	"cmp"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/loadgen/busytest"
)

// asks is a plan whose one user asks n times.
func asks(target string, n int, tr loadgen.Transport, steps ...loadgen.Step) loadgen.Plan {
	p := closed(target, 1, time.Duration(n)*100*time.Millisecond-50*time.Millisecond, loadgen.Think{Kind: loadgen.ThinkPacing, Max: 100 * time.Millisecond})
	p.Transport = tr
	p.Timeout = 10 * time.Second
	p.Drain = 10 * time.Second
	if len(steps) > 0 {
		p.Journeys = []loadgen.Journey{{Steps: steps}}
	}
	return p
}

// exchangesOf carries the plan out and checks what holds for every exchange.
func exchangesOf(t testing.TB, p loadgen.Plan) []loadgen.Exchange {
	t.Helper()
	var o loadgen.Options
	all := kept(&o)
	attack(t, p, o)
	if len(all()) == 0 {
		t.Fatal("no exchange")
	}
	for _, x := range all() {
		if x.Timings.Sum() != x.Service() {
			t.Errorf("timings %+v sum to %s, service is %s", x.Timings, x.Timings.Sum(), x.Service())
		}
	}
	return all()
}

// allOK fails the test for every exchange that failed.
func allOK(t testing.TB, all []loadgen.Exchange) {
	t.Helper()
	for _, x := range all {
		if !x.OK() {
			t.Errorf("exchange %d: %s: %s", x.N, x.Error, x.Detail)
		}
	}
}

// secure starts a TLS server and returns it with a file of its authority.
func secure(t testing.TB, h http.Handler, change func(*httptest.Server)) (*httptest.Server, string) {
	t.Helper()
	srv := httptest.NewUnstartedServer(h)
	srv.Config.ErrorLog = log.New(io.Discard, "", 0) // of handshakes that are to fail
	srv.EnableHTTP2 = true
	if change != nil {
		change(srv)
	}
	srv.StartTLS()
	t.Cleanup(srv.Close)
	return srv, pemFile(t, "CERTIFICATE", srv.Certificate().Raw)
}

func pemFile(t testing.TB, kind string, der []byte) string {
	t.Helper()
	f := filepath.Join(t.TempDir(), "x.pem")
	if err := os.WriteFile(f, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return f
}

// identity makes the certificate of a client, signed by itself.
func identity(t testing.TB) (cert, key string, pool *x509.CertPool) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "user"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	pool = x509.NewCertPool()
	pool.AddCert(parsed)
	return pemFile(t, "CERTIFICATE", der), pemFile(t, "PRIVATE KEY", private), pool
}

func TestTLS(t *testing.T) {
	cert, key, pool := identity(t)
	var sni atomic.Value
	hello := func(s *httptest.Server) {
		s.TLS = &tls.Config{GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
			sni.Store(h.ServerName)
			return nil, nil
		}}
	}
	mutual := func(s *httptest.Server) {
		s.TLS = &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool}
	}
	old := func(s *httptest.Server) { s.TLS = &tls.Config{MaxVersion: tls.VersionTLS12} }
	for _, tc := range []struct {
		name   string
		server func(*httptest.Server)
		tls    loadgen.TLS // RootCerts "server" is the server's own
		want   loadgen.ErrorClass
		sni    string
	}{
		{name: "unknown authority", want: loadgen.ErrTLS},
		{name: "insecure", tls: loadgen.TLS{Insecure: true}},
		{name: "root_certs", tls: loadgen.TLS{RootCerts: "server"}},
		{name: "server_name", server: hello, tls: loadgen.TLS{RootCerts: "server", ServerName: "example.com"}, sni: "example.com"},
		{name: "wrong server_name", tls: loadgen.TLS{RootCerts: "server", ServerName: "nowhere.test"}, want: loadgen.ErrTLS},
		{name: "min_version", server: old, tls: loadgen.TLS{RootCerts: "server", MinVersion: "1.3"}, want: loadgen.ErrTLS},
		{name: "min_version kept", server: old, tls: loadgen.TLS{RootCerts: "server", MinVersion: "1.2"}},
		{name: "mutual", server: mutual, tls: loadgen.TLS{RootCerts: "server", Cert: cert, Key: key}},
		{name: "mutual without a certificate", server: mutual, tls: loadgen.TLS{RootCerts: "server"}, want: loadgen.ErrTLS},
	} {
		for _, http2 := range []bool{false, true} {
			t.Run(fmt.Sprint(tc.name, " http2=", http2), func(t *testing.T) {
				srv, roots := secure(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					fmt.Fprint(w, r.Proto)
				}), func(s *httptest.Server) {
					if tc.server != nil {
						tc.server(s)
					}
				})
				if tc.tls.RootCerts != "" {
					tc.tls.RootCerts = roots
				}
				want := "HTTP/1.1"
				if http2 {
					want = "HTTP/2.0"
				}
				var all []loadgen.Exchange
				busytest.Retry(t, func(t, retry testing.TB) {
					all = exchangesOf(t, asks(srv.URL, 1, loadgen.Transport{TLS: tc.tls, HTTP2: http2}, loadgen.Step{Path: "/", Expect: loadgen.Expect{Body: want}}))
					if len(all) != 1 {
						t.Fatalf("%d exchanges", len(all))
					}
					x := all[0]
					if x.Error != tc.want {
						// An alert comes after the handshake, and the end of the
						// connection may overtake it.
						if x.Error == loadgen.ErrReset && tc.want == loadgen.ErrTLS {
							t = retry
						}
						t.Errorf("error %q (%s), want %q", x.Error, x.Detail, tc.want)
					}
				})
				if tc.want == "" && (all[0].Timings.SSL <= 0 || all[0].Timings.Wait <= 0 || all[0].Timings.Connect <= 0) {
					t.Errorf("timings %+v", all[0].Timings)
				}
				if tc.sni != "" && sni.Load() != tc.sni {
					t.Errorf("the server was asked for %q", sni.Load())
				}
			})
		}
	}
}

// What is sent names the target; what is dialled is what stands in for it.
func TestConnectTo(t *testing.T) {
	var host atomic.Value
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { host.Store(r.Host) }))
	defer srv.Close()
	to := strings.TrimPrefix(srv.URL, "http://")
	for _, from := range []string{"shop.invalid:80", "shop.invalid:", ":80", ":"} {
		host.Store("")
		allOK(t, exchangesOf(t, asks("http://shop.invalid", 1, loadgen.Transport{ConnectTo: map[string]string{from: to}})))
		if host.Load() != "shop.invalid" {
			t.Errorf("%s: the server was asked as %q", from, host.Load())
		}
	}
	_, err := loadgen.Attack(t.Context(), asks("http://shop.invalid", 1, loadgen.Transport{ConnectTo: map[string]string{"other.invalid:80": to}}), loadgen.Options{})
	if err == nil || !strings.Contains(err.Error(), "map shop.invalid:80") {
		t.Errorf("a map without the target: %v", err)
	}
}

// proxy is an HTTP proxy that remembers how it was asked.
type proxy struct {
	mu    sync.Mutex
	asked []string
}

func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.asked = append(p.asked, r.Method+" "+r.RequestURI)
	p.mu.Unlock()
	if r.Method != http.MethodConnect {
		r.RequestURI = ""
		resp, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer resp.Body.Close()
		w.WriteHeader(resp.StatusCode)
		_, _ = io.Copy(w, resp.Body)
		return
	}
	there, err := new(net.Dialer).DialContext(r.Context(), "tcp", r.RequestURI)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	w.WriteHeader(http.StatusOK)
	here, rest, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	_ = rest.Flush()
	go func() {
		_, _ = io.Copy(there, rest)
		_ = there.Close()
	}()
	_, _ = io.Copy(here, there)
	_ = here.Close()
}

func TestProxy(t *testing.T) {
	p := &proxy{}
	through := httptest.NewServer(p)
	defer through.Close()
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Proto+" "+r.RequestURI) })
	plain := httptest.NewServer(h)
	defer plain.Close()
	plainHTTP2 := withHTTP2(t, h)
	overTLS, roots := secure(t, h, nil)
	name := func(url string) string { _, host, _ := strings.Cut(url, "://"); return host }
	for _, tc := range []struct {
		name, target, asked, body string
		transport                 loadgen.Transport
	}{
		{"http", plain.URL, "GET " + plain.URL + "/a?b=c", "HTTP/1.1 /a?b=c", loadgen.Transport{}},
		{"https", overTLS.URL, "CONNECT " + name(overTLS.URL), "HTTP/1.1 /a?b=c", loadgen.Transport{TLS: loadgen.TLS{RootCerts: roots}}},
		{"h2", overTLS.URL, "CONNECT " + name(overTLS.URL), "HTTP/2.0 /a?b=c", loadgen.Transport{HTTP2: true, TLS: loadgen.TLS{RootCerts: roots}}},
		{"h2c", plainHTTP2.URL, "CONNECT " + name(plainHTTP2.URL), "HTTP/2.0 /a?b=c", loadgen.Transport{HTTP2: true}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p.asked = nil
			tc.transport.Proxy = through.URL
			all := exchangesOf(t, asks(tc.target, 1, tc.transport, loadgen.Step{Path: "/a?b=c", Expect: loadgen.Expect{Body: tc.body}}))
			allOK(t, all)
			p.mu.Lock()
			defer p.mu.Unlock()
			if len(p.asked) != 1 || p.asked[0] != tc.asked {
				t.Errorf("the proxy was asked %q, want %q", p.asked, tc.asked)
			}
		})
	}
	refused := asks("https://127.0.0.1:1", 1, loadgen.Transport{Proxy: through.URL})
	if x := exchangesOf(t, refused)[0]; x.Error != loadgen.ErrConnect || !strings.Contains(x.Detail, "proxy: CONNECT 127.0.0.1:1: 502") {
		t.Errorf("a proxy that cannot connect: %s: %s", x.Error, x.Detail)
	}
}

// withHTTP2 starts a server that speaks HTTP/1.1, and HTTP/2 without TLS.
func withHTTP2(t testing.TB, h http.Handler) *httptest.Server {
	t.Helper()
	return started(t, h, nil)
}

func started(t testing.TB, h http.Handler, change func(*httptest.Server)) *httptest.Server {
	t.Helper()
	srv := httptest.NewUnstartedServer(h)
	srv.Config.Protocols = new(http.Protocols)
	srv.Config.Protocols.SetHTTP1(true)
	srv.Config.Protocols.SetUnencryptedHTTP2(true)
	if change != nil {
		change(srv)
	}
	srv.Start()
	t.Cleanup(srv.Close)
	return srv
}

func TestKeepAlive(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		for _, off := range []bool{false, true} {
			var opened atomic.Int64
			h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") })
			srv := started(t, h, func(s *httptest.Server) {
				s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
					if state == http.StateNew {
						opened.Add(1)
					}
				}
			})
			all := exchangesOf(t, asks(srv.URL, 4, loadgen.Transport{NoKeepAlive: off, HTTP2: http2}))
			allOK(t, all)
			want := int64(1)
			if off {
				want = int64(len(all))
			}
			if opened.Load() != want {
				t.Errorf("http2 %v, keep-alive off %v: %d connections for %d requests", http2, off, opened.Load(), len(all))
			}
		}
	}
}

// visit is a request as the server saw it.
type visit struct{ cookies, gave string }

// jars checks that each exchange carried what its owner was given before, and
// returns how many carried something. An answer that did not arrive gave
// nothing, and a request that did not arrive carried nothing.
func jars(t *testing.T, all []loadgen.Exchange, visits *sync.Map, owner func(*loadgen.Exchange) uint64) (carried int) {
	t.Helper()
	slices.SortFunc(all, func(a, b loadgen.Exchange) int { return cmp.Compare(a.Intended, b.Intended) })
	jar := map[uint64]string{}
	for i := range all {
		x := &all[i]
		seen, ok := visits.Load(fmt.Sprintf("%x-%x", x.TraceID, x.SpanID))
		if !ok {
			continue
		}
		v, of := seen.(visit), owner(x)
		if v.cookies != jar[of] {
			t.Errorf("request %d of %d has the cookies %q, want %q", x.N, of, v.cookies, jar[of])
		}
		if v.cookies != "" {
			carried++
		}
		if v.gave != "" && x.OK() {
			jar[of] = v.gave
		}
	}
	return carried
}

// Every user has a jar; every arrival begins with an empty one.
func TestCookies(t *testing.T) {
	var given atomic.Int64
	var visits sync.Map // by trace and span
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v := visit{cookies: r.Header.Get("Cookie")}
		if r.URL.Path == "/in" && v.cookies == "" {
			n := fmt.Sprint(given.Add(1))
			v.gave = "id=" + n
			http.SetCookie(w, &http.Cookie{Name: "id", Value: n, Path: "/"})
			http.SetCookie(w, &http.Cookie{Name: "elsewhere", Value: "x", Path: "/other"})
		}
		visits.Store(r.Header.Get("Traceparent")[3:52], v)
	})
	steps := []loadgen.Step{{Path: "/in"}, {Path: "/shop"}}
	for _, http2 := range []bool{false, true} {
		srv := withHTTP2(t, h)
		p := asks(srv.URL, 3, loadgen.Transport{Cookies: true, HTTP2: http2}, steps...)
		p.Phases[0].Users = loadgen.Constant(2)
		users := jars(t, exchangesOf(t, p), &visits, func(x *loadgen.Exchange) uint64 { return uint64(x.User) })
		p.Phases[0].Load = loadgen.Load{Rate: loadgen.Constant(10)}
		arrivals := jars(t, exchangesOf(t, p), &visits, func(x *loadgen.Exchange) uint64 { return x.Iteration })
		p.Transport.Cookies = false
		// Nobody asked for any: each exchange is as one of an owner of its own.
		jars(t, exchangesOf(t, p), &visits, func(x *loadgen.Exchange) uint64 { return x.N })
		if users == 0 || arrivals == 0 {
			t.Errorf("http2 %v: no request could carry a cookie: %d of users, %d of arrivals", http2, users, arrivals)
		}
	}
}

func TestTransportIsChecked(t *testing.T) {
	for want, tr := range map[string]loadgen.Transport{
		"host:port":            {ConnectTo: map[string]string{"example.org": "127.0.0.1:1"}},
		"no address":           {ConnectTo: map[string]string{"example.org:80": "127.0.0.1"}},
		"HTTP proxy":           {Proxy: "socks5://127.0.0.1:1080"},
		"user and password":    {Proxy: "http://me:secret@127.0.0.1:1080"},
		"connect_to and proxy": {Proxy: "http://127.0.0.1:1080", ConnectTo: map[string]string{":": "127.0.0.1:1"}},
		"min_version":          {TLS: loadgen.TLS{MinVersion: "1.4"}},
		"belong together":      {TLS: loadgen.TLS{Cert: "a.pem"}},
		"root_certs together":  {TLS: loadgen.TLS{Insecure: true, RootCerts: "a.pem"}},
		"max_body":             {MaxBody: -1},
		"belongs to an https":  {TLS: loadgen.TLS{Insecure: true}},
	} {
		_, err := loadgen.Attack(t.Context(), asks("http://127.0.0.1:1", 1, tr), loadgen.Options{})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%+v: %v, want %s", tr, err, want)
		}
	}
}

// Also a target that keeps connections against the request's wish gets a new
// one for each.
func TestKeepAliveOffIsNotTheTargetsChoice(t *testing.T) {
	url := cannedServer(t, "Content-Length: 0\r\n")
	for _, x := range exchangesOf(t, asks(url, 3, loadgen.Transport{NoKeepAlive: true})) {
		if !x.OK() || x.Reused {
			t.Errorf("exchange %d: %s, reused %v", x.N, x.Error, x.Reused)
		}
	}
}
