package loadgen

import (
	"encoding/hex"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// A Client carries out exchanges one at a time, as one browser would on one
// connection. Do fills in the Status, Error, Detail, byte counts, Reused,
// Timings, TCP and ServerDur of x; what it leaves of the time between Sent and
// Done is counted as blocked. Close may be called at any time, also while Do
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
	bagged [][]byte // the baggage header, by phase
	ids    *TraceIDs
	traced bool // the step brings trace headers of its own
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

// Append appends the request to b as HTTP/1.1 with the trace context of x.
func (r *Request) Append(b []byte, x *Exchange) []byte {
	b = append(b, r.head...)
	if !r.traced {
		b = r.appendTrace(b, x)
	}
	b = append(b, "\r\n"...)
	return append(b, r.Step.Body...)
}

// appendTrace appends the headers of W3C trace context and baggage.
func (r *Request) appendTrace(b []byte, x *Exchange) []byte {
	b = append(b, "traceparent: 00-"...)
	b = hex.AppendEncode(b, x.TraceID[:])
	b = append(b, '-')
	b = hex.AppendEncode(b, x.SpanID[:])
	if x.Sampled {
		b = append(b, "-01\r\n"...)
	} else {
		b = append(b, "-00\r\n"...)
	}
	return append(b, r.bagged[x.Phase]...)
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
			r := &Request{Step: s, step: slices.Index(names, s.Name), head: head(u.Host, s), ids: ids, traced: tracesItself(s)}
			for k := range p.Phases {
				r.bagged = append(r.bagged, baggage(opts, p.Phases[k].Name, s.Name, p.Journeys[i].Name))
			}
			out[i] = append(out[i], r)
		}
	}
	return out, nil
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

func head(host string, s Step) []byte {
	b := []byte(s.Method + " " + s.Path + " HTTP/1.1\r\n")
	given := map[string]bool{}
	names := make([]string, 0, len(s.Headers))
	for k := range s.Headers {
		given[strings.ToLower(k)] = true
		names = append(names, k)
	}
	slices.Sort(names)
	if !given["host"] {
		b = append(b, "Host: "+host+"\r\n"...)
	}
	if !given["user-agent"] {
		b = append(b, "User-Agent: taillight\r\n"...)
	}
	if !given["accept"] {
		b = append(b, "Accept: */*\r\n"...)
	}
	for _, k := range names {
		b = append(b, k+": "+s.Headers[k]+"\r\n"...)
	}
	if (s.Body != "" || s.Method == "POST" || s.Method == "PUT" || s.Method == "PATCH") && !given["content-length"] {
		b = append(b, "Content-Length: "+strconv.Itoa(len(s.Body))+"\r\n"...)
	}
	return b
}

// baggage returns the header line, or nothing without members. Values are
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
	return []byte("baggage: " + strings.Join(members, ",") + "\r\n")
}
