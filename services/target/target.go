// Package target is the service that a load test drives when it brings none
// of its own: a gin service whose every request does known, bounded work.
//
// GET /profile runs the heavy workload, about 3 ms of CPU and 10 ms of
// waiting, and answers with the profile of that very request. /workloads/:kind
// runs one kind of work without a profile. Pprof, the service's own counts
// and the faults that can be armed are on a second, guarded listener.
package target

import (
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/gin-gonic/gin"

	"github.com/taillight-load/taillight/services/target/regions"
	"github.com/taillight-load/taillight/services/target/shop"
	"github.com/taillight-load/taillight/telemetry"
	"github.com/taillight-load/taillight/telemetry/gintelemetry"
)

// DefaultMaxConcurrent is how many requests are worked on at once unless
// Options say otherwise.
const DefaultMaxConcurrent = 512

// Options configure the service. The zero value serves without telemetry.
type Options struct {
	// Telemetry measures and traces the requests; nil leaves them alone.
	Telemetry *telemetry.Telemetry
	// Downstream is the base URL of another instance, which
	// /workloads/downstream calls; "" means there is none.
	Downstream string
	// MaxConcurrent bounds the requests worked on at once; one more is
	// answered 503. 0 means DefaultMaxConcurrent.
	MaxConcurrent int
	// Version is shown to people; "" means development.
	Version string
	// Draining makes /readyz answer 503 once it is closed; nil is never.
	Draining <-chan struct{}
	// Counts receives what the service counts, for Admin to show; nil counts
	// for nobody.
	Counts *Counts
	// Shop is what Admin arms with faults, and what the requests then feel; nil
	// has none.
	Shop *shop.Shop
	// AdminToken must come as a bearer token with every request to Admin;
	// "" admits requests from this host alone.
	AdminToken string
}

// Counts are running totals of one service. The zero value is ready; it must
// not be copied.
type Counts struct {
	requests, refused, panics atomic.Int64
}

// Requests counts the requests that were admitted to work.
func (c *Counts) Requests() int64 { return c.requests.Load() }

// Refused counts the requests answered 503 because too many were at work.
func (c *Counts) Refused() int64 { return c.refused.Load() }

// Panics counts the handlers that panicked and were answered 500.
func (c *Counts) Panics() int64 { return c.panics.Load() }

type server struct {
	Options
	work    *work
	formats []regions.Format
	slots   chan struct{}
	tracing chan struct{} // taken by the one request that is being traced
	// sampling is taken by the requests that take CPU samples.
	sampling chan struct{}
	lock     sharedLock
	client   *http.Client
}

// seed makes the workload the same on every machine and in every run.
const seed = 20261123

// New returns the service. It starts nothing that would have to be stopped.
func New(o Options) http.Handler {
	if o.MaxConcurrent <= 0 {
		o.MaxConcurrent = DefaultMaxConcurrent
	}
	if o.Version == "" {
		o.Version = "development"
	}
	if o.Counts == nil {
		o.Counts = &Counts{}
	}
	s := &server{
		Options: o, work: newWork(seed), formats: regions.Formats(), slots: make(chan struct{}, o.MaxConcurrent),
		tracing: make(chan struct{}, 1), sampling: make(chan struct{}, mostSampling),
		client: downstreamClient(o.Telemetry),
	}
	return s.routes()
}

func (s *server) routes() http.Handler {
	gin.SetMode(gin.ReleaseMode) // its debug mode prints every route to stdout
	r := gin.New()
	r.HandleMethodNotAllowed = true
	r.NoRoute(s.notFound)
	r.NoMethod(s.notAllowed)
	_ = r.SetTrustedProxies(nil) // trusts none; only a malformed list is an error

	r.GET("/healthz", s.healthz)
	r.GET("/readyz", s.readyz)
	r.GET("/", s.recovered, s.index())

	working := r.Group("/", gintelemetry.Middleware(s.Telemetry), s.recovered, s.admitted, s.ordered)
	working.GET("/profile", s.profile)
	working.GET("/workloads/:kind", s.workload)
	return r
}

// admitted takes one of the slots for the time of the request. It never
// queues: a queue here would be latency that nobody can see.
func (s *server) admitted(c *gin.Context) {
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
		s.Counts.requests.Add(1)
		c.Next()
	default:
		s.refuse(c, fmt.Sprintf("%d requests are at work, which is the limit", s.MaxConcurrent))
	}
}

// ordered lets the shop say what else a request costs. Most of that is done
// where the request's own work is, so that its times hold it.
func (s *server) ordered(c *gin.Context) {
	ctx := c.Request.Context()
	order := s.Shop.Place(ctx, traceOf(c.Request))
	if order == nil {
		c.Next()
		return
	}
	if order.Last() {
		c.Header("Connection", "close")
	}
	switch status := order.Status(); status {
	case 0:
		c.Request = c.Request.WithContext(shop.With(ctx, order))
		c.Next()
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		c.Header("Retry-After", "1")
		problem(c, status, "the shop is full: try again in a second")
	default:
		problem(c, status, "the order could not be taken")
	}
}

// traceOf returns the trace id of a request, also while telemetry is off; ""
// when it has none.
func traceOf(r *http.Request) string {
	if id := telemetry.TraceID(r.Context()); id != "" {
		return id
	}
	parts := strings.Split(r.Header.Get("traceparent"), "-") // version-trace-parent-flags
	if len(parts) < 4 || len(parts[1]) != 32 || strings.Trim(parts[1], "0123456789abcdef") != "" {
		return ""
	}
	return parts[1]
}

func (s *server) refuse(c *gin.Context, why string) {
	s.Counts.refused.Add(1)
	c.Header("Retry-After", "1")
	problem(c, http.StatusServiceUnavailable, why+": try again in a second")
}

// recovered answers a panic with 500, if nothing has been answered yet, and
// counts it. http.ErrAbortHandler goes on to net/http, whose signal it is.
func (s *server) recovered(c *gin.Context) {
	defer func() {
		v := recover()
		if v == nil {
			return
		}
		if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
			panic(v)
		}
		s.Counts.panics.Add(1)
		problem(c, http.StatusInternalServerError, "the handler failed; the failure was counted")
	}()
	c.Next()
}

// problem ends the request with an error that says what to do.
func problem(c *gin.Context, status int, what string) {
	if c.Writer.Written() {
		c.Abort()
		return
	}
	c.AbortWithStatusJSON(status, gin.H{"error": what})
}

func (s *server) healthz(c *gin.Context) { c.String(http.StatusOK, "ok\n") }

func (s *server) readyz(c *gin.Context) {
	select {
	case <-s.Draining:
		c.String(http.StatusServiceUnavailable, "draining\n")
	default:
		c.String(http.StatusOK, "ready\n")
	}
}

func (s *server) notFound(c *gin.Context) {
	problem(c, http.StatusNotFound, "no such page: there are /, /profile, /workloads/{"+kindList()+"}, /healthz and /readyz")
}

func (s *server) notAllowed(c *gin.Context) {
	problem(c, http.StatusMethodNotAllowed, c.Request.Method+" is not served here: only GET is")
}

// program names what served a request.
func (s *server) program() string {
	return "taillight target " + s.Version + ", " + runtime.Version() + ", GOMAXPROCS " + fmt.Sprint(runtime.GOMAXPROCS(0))
}

// formatNames lists the formats, for messages.
func (s *server) formatNames() []string {
	names := make([]string, 0, len(s.formats))
	for _, f := range s.formats {
		names = append(names, f.Name)
	}
	slices.Sort(names)
	return names
}
