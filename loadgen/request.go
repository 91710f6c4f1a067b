package loadgen

import (
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// A Client carries out exchanges one at a time, as one browser would on one
// connection. Do fills in the Status, Error, Detail, byte counts, Reused,
// Timings, TCP and ServerDur of x, and Done where the answer was there before Do
// returns; what it leaves of the time between Sent and Done is counted as
// blocked. Close may be called at any time, also while Do
// runs, which then returns soon.
type Client interface {
	Do(r *Request, x *Exchange)
	Close()
}

// Request is a step made ready to send. It is shared and not changed.
type Request struct {
	Step   Step
	step   int      // index into Plan.Steps()
	head   []byte   // request line and headers, up to the trace context
	bagged [][]byte // the value of the baggage header, by phase
	ids    *TraceIDs
	traced bool // the step brings trace headers of its own

	url       *url.URL // for cookies
	authority string   // the Host header
	ownCookie bool     // the step brings cookies of its own
	file      *bodyFile
	fields    http.Header // of HTTP/2, but for trace context and cookies
}

// BaggageValue is what a baggage member says.
type BaggageValue uint8

// The values that baggage can carry.
const (
	BaggageRunID BaggageValue = iota
	BaggagePhase
	BaggageStep
	BaggageJourney
)

// BaggageMember is one key of the W3C baggage header sent with every request.
type BaggageMember struct {
	Key   string
	Value BaggageValue
}

// Append appends the request to b as HTTP/1.1 with the trace context of x. Of
// a step with a BodyFile it is the head alone: see OpenBody.
func (r *Request) Append(b []byte, x *Exchange) []byte { return r.append(b, x, "") }

func (r *Request) append(b []byte, x *Exchange, cookie string) []byte {
	b = append(b, r.head...)
	if cookie != "" {
		b = append(b, "Cookie: "...)
		b = append(b, cookie...)
		b = append(b, "\r\n"...)
	}
	if !r.traced {
		b = append(b, "traceparent: "...)
		b = appendTraceparent(b, x)
		b = append(b, "\r\n"...)
		if bagged := r.bagged[x.Phase]; len(bagged) > 0 {
			b = append(b, "baggage: "...)
			b = append(b, bagged...)
			b = append(b, "\r\n"...)
		}
	}
	b = append(b, "\r\n"...)
	return append(b, r.Step.Body...)
}

// appendTraceparent appends the value of W3C trace context.
func appendTraceparent(b []byte, x *Exchange) []byte {
	b = append(b, "00-"...)
	b = hex.AppendEncode(b, x.TraceID[:])
	b = append(b, '-')
	b = hex.AppendEncode(b, x.SpanID[:])
	if x.Sampled {
		return append(b, "-01"...)
	}
	return append(b, "-00"...)
}

// buildRequests makes ready every step of every journey.
func buildRequests(p *Plan, opts Options) ([][]*Request, error) {
	u, err := url.Parse(p.Target)
	if err != nil {
		return nil, fmt.Errorf("target %q: %w", p.Target, err)
	}
	ids := opts.IDs
	if ids == nil {
		if ids, err = NewTraceIDs(); err != nil {
			return nil, err
		}
	}
	names := p.Steps()
	out := make([][]*Request, len(p.Journeys))
	for i := range p.Journeys {
		for _, s := range p.Journeys[i].Steps {
			r := &Request{Step: s, step: slices.Index(names, s.Name), ids: ids, traced: tracesItself(s)}
			for k := range p.Phases {
				r.bagged = append(r.bagged, baggage(opts, p.Phases[k].Name, s.Name, p.Journeys[i].Name))
			}
			if err := r.prepare(&p.Transport, u); err != nil {
				closeBodies(out)
				return nil, err
			}
			out[i] = append(out[i], r)
		}
	}
	return out, nil
}

// prepare makes ready what goes on the wire, and opens the body file.
func (r *Request) prepare(tr *Transport, target *url.URL) (err error) {
	if r.file, err = openBody(r.Step); err != nil {
		return err
	}
	path, _, _ := strings.Cut(r.Step.Path, "?")
	if r.url, err = target.Parse(path); err != nil {
		r.url = target // a path that only HTTP can read has the cookies of /
	}
	r.authority = target.Host
	for name, value := range r.Step.Headers {
		r.ownCookie = r.ownCookie || strings.EqualFold(name, "cookie")
		if strings.EqualFold(name, "host") {
			r.authority = value
		}
	}
	form := ""
	if tr.Proxy != "" && target.Scheme == "http" && !tr.HTTP2 {
		form = target.Scheme + "://" + target.Host
	}
	r.head = r.buildHead(form, tr.NoKeepAlive)
	r.fields = r.buildFields()
	return nil
}

func closeBodies(requests [][]*Request) {
	for _, journey := range requests {
		for _, r := range journey {
			r.file.close()
		}
	}
}

// tracesItself reports whether a step's headers name a trace: two of them would
// be two contexts.
func tracesItself(s Step) bool {
	for name := range s.Headers {
		if n := strings.ToLower(name); n == "traceparent" || n == "baggage" {
			return true
		}
	}
	return false
}

// buildHead returns the request line, the path with form before it, and the
// headers.
func (r *Request) buildHead(form string, closes bool) []byte {
	s := &r.Step
	b := []byte(s.Method + " " + form + s.Path + " HTTP/1.1\r\n")
	given := map[string]bool{}
	for k := range s.Headers {
		given[strings.ToLower(k)] = true
	}
	line := func(name, value string) {
		if !given[strings.ToLower(name)] {
			b = append(b, name+": "+value+"\r\n"...)
		}
	}
	line("Host", r.authority)
	line("User-Agent", userAgent)
	line("Accept", "*/*")
	if closes {
		line("Connection", "close")
	}
	for _, k := range slices.Sorted(maps.Keys(s.Headers)) {
		b = append(b, k+": "+s.Headers[k]+"\r\n"...)
	}
	if _, n := r.OpenBody(); n > 0 || r.file != nil || s.Method == "POST" || s.Method == "PUT" || s.Method == "PATCH" {
		line("Content-Length", strconv.FormatInt(n, 10))
	}
	return b
}

const userAgent = "taillight"

// buildFields returns the headers of HTTP/2, which has none for connections.
func (r *Request) buildFields() http.Header {
	h := http.Header{"User-Agent": {userAgent}, "Accept": {"*/*"}}
	for k, v := range r.Step.Headers {
		switch strings.ToLower(k) {
		case "host", "connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "content-length":
		default:
			h[http.CanonicalHeaderKey(k)] = []string{v}
		}
	}
	return h
}

// baggage returns the header's value, or nothing without members. Values are
// percent-encoded as W3C baggage asks.
func baggage(opts Options, phase, step, journey string) []byte {
	if len(opts.Baggage) == 0 {
		return nil
	}
	var members []string
	for _, m := range opts.Baggage {
		v := map[BaggageValue]string{
			BaggageRunID: opts.RunID, BaggagePhase: phase, BaggageStep: step, BaggageJourney: journey,
		}[m.Value]
		members = append(members, m.Key+"="+url.PathEscape(v))
	}
	return []byte(strings.Join(members, ","))
}
