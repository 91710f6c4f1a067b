package explain

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/telemetry/signal"
)

// Limits of F6. Linux sends a SYN again after 1, 2, 3, 4 and 5 s, then 2 and 4 s
// later; older kernels double from the start, which gives 1, 3 and 7 s.
const (
	synTolerance = 200 * time.Millisecond
	firstByteGap = 200 * time.Millisecond // the least retransmission timeout
	outlierTimes = 10                     // times the median makes an outlier
	outlierLeast = 200 * time.Millisecond // and at least this
	shownCases   = 3                      // cases told one by one
)

// resend is an exchange whose delay fits a segment that was sent again.
type resend struct {
	Joined
	syn time.Duration // the SYN timeout its connect fits; 0 when its first byte fits instead
}

// lostSYN is F6: delays on new connections, with retransmissions counted by
// the kernel, whose length is that of a retry timeout.
func lostSYN(f *facts) ([]signal.Finding, string) {
	if len(f.joined) == 0 {
		return nil, "no exchange was kept"
	}
	var fits []resend
	var outliers, blind int
	median := f.medianService()
	for _, j := range f.joined {
		if r, ok := resent(j); ok {
			fits = append(fits, r)
			continue
		}
		if s := j.Exchange.Service(); s >= outlierLeast && s >= outlierTimes*median {
			outliers++
			if j.Exchange.TCP == nil {
				blind++
			}
		}
	}
	if len(fits) > 0 {
		slices.SortStableFunc(fits, func(a, b resend) int { return cmp.Compare(b.Exchange.Service(), a.Exchange.Service()) })
		return []signal.Finding{f.resends(fits)}, ""
	}
	kind := fmt.Sprintf("took over %d times the median service time of %s and over %s", outlierTimes, duration(median), duration(outlierLeast))
	switch {
	case outliers == 0:
		return nil, fmt.Sprintf("no outlier: none of %s %s", plural(int64(len(f.joined)), "kept exchange", "kept exchanges"), kind)
	case blind > 0:
		return nil, fmt.Sprintf("not attributable: %s that %s, %d of them without TCP_INFO",
			plural(int64(outliers), "exchange", "exchanges"), kind, blind)
	}
	return nil, fmt.Sprintf("%s %s: none is on a new connection with retransmissions and the length of a retry",
		plural(int64(outliers), "exchange", "exchanges"), kind)
}

// medianService returns the median service time of all answers.
func (f *facts) medianService() time.Duration {
	var service loadgen.Distribution
	for i := range f.result.Series {
		service.Merge(f.result.Series[i].Service)
	}
	return service.Quantile(0.5)
}

func resent(j Joined) (resend, bool) {
	x := j.Exchange
	if x.TCP == nil || x.TCP.TotalRetrans == 0 || x.Reused {
		return resend{}, false
	}
	for _, s := range []time.Duration{1, 2, 3, 4, 5, 7, 11} {
		if d := x.Timings.Connect - s*time.Second; max(d, -d) <= synTolerance {
			return resend{j, s * time.Second}, true
		}
	}
	if j.Server > 0 && x.Timings.Wait-j.Server >= firstByteGap {
		return resend{j, 0}, true
	}
	return resend{}, false
}

func (f *facts) resends(fits []resend) signal.Finding {
	finding := signal.Finding{
		Title: "Slow exchanges fit a lost SYN or a full accept queue", Severity: signal.Notice, Component: "connect",
		Confidence: signal.Suggested,
		Claim: fmt.Sprintf("%s with a delay that fits a segment sent again, as after a lost SYN or with a full accept queue.",
			plural(int64(len(fits)), "exchange opened its connection", "exchanges opened their connections")),
		Hint: "a longer listen backlog (net.core.somaxconn) or connections kept open would tell; compare the listen overflow counters of the target's host",
	}
	for i, r := range fits {
		x := r.Exchange
		if i == shownCases {
			finding.Claim += fmt.Sprintf(" %d more are left out here.", len(fits)-shownCases)
			break
		}
		finding.Claim += " " + f.resendText(r)
		e := number("connect", x.Timings.Connect.Seconds(), "s")
		e.Ref = reference(x)
		finding.Evidence = append(finding.Evidence, e, number("segments sent again", float64(x.TCP.TotalRetrans), ""))
		if r.Span != nil {
			s := number("server span", r.Server.Seconds(), "s")
			s.Ref = "span:" + r.Span.SpanID.String()
			finding.Evidence = append(finding.Evidence, s)
		}
	}
	return finding
}

func (f *facts) resendText(r resend) string {
	x := r.Exchange
	where := fmt.Sprintf("exchange:%d, due at %s in phase %s (%s), took %s on a new connection with %s:",
		x.N, offset(x.Intended), f.phase(x.Phase), f.step(x.Step), duration(x.Service()),
		plural(int64(x.TCP.TotalRetrans), "segment sent again", "segments sent again"))
	if r.syn == 0 {
		return fmt.Sprintf("%s its first byte took %s, the server's own time was %s.", where, duration(x.Timings.Wait), duration(r.Server))
	}
	off := math.Abs((x.Timings.Connect - r.syn).Seconds())
	return fmt.Sprintf("%s its connect took %s, %s from the SYN retry at %s.", where, duration(x.Timings.Connect), seconds(off), duration(r.syn))
}
