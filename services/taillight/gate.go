package main

import (
	"bufio"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/taillight-load/taillight/telemetry/names"
)

// gate says who may reach a page of ours, and who may change what serve does.
type gate struct {
	token   string
	watch   bool            // of the page of one run, where nothing can be changed: every address leads to it
	hosts   map[string]bool // names that lead here besides those of loopback, in lower case
	gateway netip.Addr      // whose requests come through a port that is published on loopback alone; the zero Addr is none
}

func newGate(o *serveOptions, token string, gateway netip.Addr) *gate {
	g := &gate{token: token, hosts: map[string]bool{}, gateway: gateway}
	for _, h := range o.allowHosts {
		g.hosts[strings.ToLower(h)] = true
	}
	g.listens(o.web)
	return g
}

// newWatchGate is the gate of a page that shows one run at an address.
func newWatchGate(address string) *gate {
	g := &gate{watch: true, hosts: map[string]bool{}}
	g.listens(address)
	return g
}

// listens notes the address listened on: whoever gives one means the page to
// be reached by that.
func (g *gate) listens(address string) {
	if host, _, err := net.SplitHostPort(address); err == nil {
		if a, err := netip.ParseAddr(host); err != nil || !a.IsUnspecified() {
			g.hosts[strings.ToLower(host)] = true
		}
	}
	delete(g.hosts, "")
}

// pagePolicy is the content security policy of what is no page. A page has one
// of its own, which keeps the last three.
const pagePolicy = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// protect sets what keeps a browser from being used against serve, and answers
// only who calls it by a name of its own: a name that leads here by rebinding
// is that of somebody else's page, which could read everything.
func (g *gate) protect(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Content-Security-Policy", pagePolicy)
		// Probes call the health by addresses of all kinds, and it tells nothing.
		if _, given := bearer(q); q.URL.Path != "/healthz" && !g.named(q.Host) && (!given || !g.knows(q)) {
			reply(w, http.StatusMisdirectedRequest, accepted{Error: g.misnamed(q.Host)})
			return
		}
		next.ServeHTTP(w, q)
	})
}

func (g *gate) misnamed(host string) string {
	if g.watch {
		return fmt.Sprintf("host %q is not this machine: call it 127.0.0.1, or by its address", host)
	}
	return fmt.Sprintf("host %q is not this machine: call it 127.0.0.1, or start serve with --allow-host %s", host, hostOf(host))
}

// guarded lets through who may change what serve does.
func (g *gate) guarded(do http.HandlerFunc) http.Handler {
	origins := http.NewCrossOriginProtection()
	origins.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusForbidden, accepted{Error: "a page of another origin may not start, change or stop runs: use that of serve"})
	}))
	return origins.Handler(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if status, err := g.admitted(q); err != nil {
			reply(w, status, accepted{Error: err.Error()})
			return
		}
		do(w, q)
	}))
}

// admitted refuses who may not start, change or stop a run. A page in a
// browser cannot send this content type to another origin without being asked
// first.
func (g *gate) admitted(q *http.Request) (status int, err error) {
	if kind, _, err := mime.ParseMediaType(q.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return http.StatusUnsupportedMediaType, errors.New("send application/json")
	}
	if _, given := bearer(q); given {
		if g.knows(q) {
			return 0, nil
		}
		return http.StatusForbidden, fmt.Errorf("the token is not that of %s", names.EnvServeToken)
	}
	if !loopback(hostOf(q.Host)) || !g.here(q) {
		return http.StatusForbidden, fmt.Errorf("only processes on the machine of serve start, change and stop runs (docker compose exec taillight taillight run …), or those that know %s", names.EnvServeToken)
	}
	return 0, nil
}

// here reports whether a request comes from this machine: over loopback, or
// through a port that is published on loopback alone.
func (g *gate) here(q *http.Request) bool {
	from, err := netip.ParseAddrPort(q.RemoteAddr)
	if err != nil || passedOn(q.Header) {
		return false
	}
	a := from.Addr().Unmap()
	return a.IsLoopback() || g.gateway.IsValid() && a == g.gateway
}

// named reports whether a Host header names this machine. Ports are left out:
// a published one is another than that which serve listens on. Nobody can make
// an address lead elsewhere, as a name can be.
func (g *gate) named(host string) bool {
	name := hostOf(host)
	if _, err := netip.ParseAddr(name); err == nil && g.watch {
		return true
	}
	return loopback(name) || g.hosts[name]
}

func bearer(q *http.Request) (token string, given bool) {
	return strings.CutPrefix(q.Header.Get("Authorization"), "Bearer ")
}

// knows compares in constant time. Nobody knows the token of a serve without.
func (g *gate) knows(q *http.Request) bool {
	token, _ := bearer(q)
	return g.token != "" && subtle.ConstantTimeCompare([]byte(token), []byte(g.token)) == 1
}

// hostOf returns the name of a Host header, in lower case and without port.
func hostOf(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return strings.ToLower(strings.TrimSuffix(strings.TrimPrefix(host, "["), "]"))
}

func loopback(name string) bool {
	a, err := netip.ParseAddr(name)
	return name == "localhost" || err == nil && a.Unmap().IsLoopback()
}

// passedOn reports whether a proxy says that it asks for somebody else, who is
// not on this machine because the proxy is.
func passedOn(h http.Header) bool {
	for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Real-Ip", "Via"} {
		if h.Get(name) != "" {
			return true
		}
	}
	return false
}

// routesFile is where Linux tells the routes of a network namespace.
const routesFile = "/proc/net/route"

// defaultGateway reads the gateway of the default route: in a container the
// address from which its published ports are reached.
func defaultGateway(routes io.Reader) (netip.Addr, error) {
	lines := bufio.NewScanner(routes)
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		if len(f) < 8 || f[1] != "00000000" || f[7] != "00000000" {
			continue
		}
		b, err := hex.DecodeString(f[2])
		if err == nil && len(b) == 4 && f[2] != "00000000" {
			return netip.AddrFrom4([4]byte{b[3], b[2], b[1], b[0]}), nil
		}
	}
	return netip.Addr{}, errors.New("there is no default gateway")
}

// newServer bounds what a client can make serve hold: long answers move the
// deadline of writing as they go.
func newServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: 2 * time.Second, ReadTimeout: 10 * time.Second,
		WriteTimeout: 30 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
	}
}
