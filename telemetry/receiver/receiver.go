// Package receiver is the inbox of a run: it takes what a service under test
// already knows how to send and turns it into the plain data of package
// signal. Over HTTP it is a handler of
//
//	POST /v1/traces, /v1/metrics   OTLP/HTTP, protobuf or JSON
//	POST /v1/logs                  OTLP/HTTP; counted, not kept
//	POST /ingest, /pyroscope/ingest  Pyroscope's first push API; only pprof is kept
//	POST /push.v1.PusherService/Push  its second, protobuf or JSON
//
// and over gRPC a server of OTLP's three services. Both share one budget, one
// token and one set of counts.
//
// Nothing is queued: a callback runs inside its request and slows its sender
// down, so that memory is bounded by the bodies in flight. Whoever sends too
// much at once is answered 429 with Retry-After, which every OTLP exporter
// understands.
//
// What cannot be used is refused or rejected with a reason that names the
// remedy, and counted: telemetry is lossy, and a report has to say how lossy.
package receiver

import (
	"cmp"
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/taillight-load/taillight/telemetry/names"
	"github.com/taillight-load/taillight/telemetry/signal"
)

// Bounds of a Receiver that has none given.
const (
	DefaultMaxBody          = 20 << 20
	DefaultMaxInFlightBytes = 64 << 20
	DefaultRPCTimeout       = 30 * time.Second
)

// Options say who may send, how much, and who takes it. The zero value
// accepts everybody and keeps nothing but counts.
type Options struct {
	// Token, when set, must come with every request: in the header
	// names.TokenHeader, as a bearer token, or as the password of basic
	// authentication (which is what Pyroscope's agents can send).
	Token string

	MaxBody          int64 // bytes of one body, before and after decompression; 0 is DefaultMaxBody
	MaxInFlightBytes int64 // bytes of all bodies being worked on, and what they decode to; 0 is DefaultMaxInFlightBytes

	// RPCTimeout bounds one request over gRPC; 0 is DefaultRPCTimeout.
	RPCTimeout time.Duration

	// The callbacks are called inside the request, from many goroutines at
	// once. What they are given is theirs to keep. Each Series has one point.
	OnSpans   func([]signal.Span)
	OnSeries  func([]signal.Series)
	OnProfile func(signal.Profile)

	// What is taken is passed on by these, unchanged; nil passes nothing on.
	// Profiles of a format or type that is unknown here are passed on as well.
	// Whoever made them shuts them down, after the receiver's servers.
	ForwardOTLP, ForwardProfiles *Forwarder
}

// A Receiver is an http.Handler. Over HTTP it bounds bytes, not time: its
// http.Server sets the timeouts.
type Receiver struct {
	opt      Options
	otlp     map[string]endpoint // by path
	origins  http.CrossOriginProtection
	inFlight budget
	tally    tally
}

// New returns a receiver.
func New(opt Options) *Receiver {
	opt.MaxBody = cmp.Or(opt.MaxBody, DefaultMaxBody)
	opt.MaxInFlightBytes = cmp.Or(opt.MaxInFlightBytes, DefaultMaxInFlightBytes)
	opt.RPCTimeout = cmp.Or(opt.RPCTimeout, DefaultRPCTimeout)
	if opt.OnSpans == nil {
		opt.OnSpans = func([]signal.Span) {}
	}
	if opt.OnSeries == nil {
		opt.OnSeries = func([]signal.Series) {}
	}
	if opt.OnProfile == nil {
		opt.OnProfile = func(signal.Profile) {}
	}
	rc := &Receiver{opt: opt, otlp: map[string]endpoint{}}
	for _, e := range endpoints() {
		rc.otlp[e.path] = e
	}
	rc.inFlight.left.Store(opt.MaxInFlightBytes)
	rc.tally.init()
	return rc
}

// ServeHTTP answers one request.
func (rc *Receiver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	rc.tally.request()
	if e, ok := rc.otlp[r.URL.Path]; ok {
		rc.serveOTLP(w, r, e)
		return
	}
	switch r.URL.Path {
	case "/ingest", "/pyroscope/ingest":
		rc.serveIngest(w, r)
	case pushPath, "/pyroscope" + pushPath:
		rc.servePush(w, r)
	default:
		ref := refuse(http.StatusNotFound, ReasonPath,
			"nothing is received at %q: send OTLP to /v1/traces, /v1/metrics, /v1/logs, or profiles to /ingest or %s", r.URL.Path, pushPath)
		rc.tally.refuse(ref)
		http.Error(w, ref.message, ref.status)
	}
}

// admit checks what can be told before the body is read.
func (rc *Receiver) admit(w http.ResponseWriter, r *http.Request) *refusal {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return refuse(http.StatusMethodNotAllowed, ReasonMethod, "method %s: use POST", r.Method)
	}
	if err := rc.origins.Check(r); err != nil {
		return refuse(http.StatusForbidden, ReasonOrigin, "a web page may not send telemetry from another origin: %v", err)
	}
	if r.Header.Get("Origin") != "" && rebound(r.Host) {
		return refuse(http.StatusMisdirectedRequest, ReasonOrigin, "a web page may send telemetry to an address or to localhost, not to %q, which may have been led here", r.Host)
	}
	if !rc.authorized(r.Header.Get) {
		w.Header().Set("WWW-Authenticate", "Bearer")
		return unauthorized()
	}
	return nil
}

// rebound reports whether a Host is a name that anybody's DNS could lead here:
// to a browser a page of that name is then of this receiver's own origin.
func rebound(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	_, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err != nil && !strings.EqualFold(host, "localhost")
}

func unauthorized() *refusal {
	return refuse(http.StatusUnauthorized, ReasonUnauthorized,
		"no valid token: send the run's token in the header %s", names.TokenHeader)
}

// authorized looks for the token in the headers. It compares digests, so that
// the time taken tells neither the token nor its length.
func (rc *Receiver) authorized(header func(string) string) bool {
	if rc.opt.Token == "" {
		return true
	}
	got := header(names.TokenHeader)
	if got == "" {
		authorization := header("Authorization")
		basic := http.Request{Header: http.Header{"Authorization": {authorization}}}
		if scheme, rest, ok := strings.Cut(authorization, " "); ok && strings.EqualFold(scheme, "bearer") {
			got = strings.TrimSpace(rest)
		} else if _, password, ok := basic.BasicAuth(); ok {
			got = password
		}
	}
	a, b := sha256.Sum256([]byte(got)), sha256.Sum256([]byte(rc.opt.Token))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1
}
