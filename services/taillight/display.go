package main

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/taillight-load/taillight/services/bench"
	"github.com/taillight-load/taillight/telemetry/names"
)

// display shows a run as it goes: a few lines drawn over themselves on a
// terminal, a line every other second elsewhere.
type display struct {
	screen
	verb string // run when empty

	started bench.Started
	rates   []float64 // one a second
	tails   []float64 // p99 of each, seconds
	said    int       // seconds since the last plain line
	over    bool      // the last phase has ended
}

func newDisplay(out io.Writer, s style) *display { return &display{screen: screen{out: out, style: s}} }

// start says where everything is.
func (d *display) start(s bench.Started) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.clear()
	d.started = s
	fmt.Fprintf(d.out, "%s  %s\n", d.style.paint(bold, "taillight "+cmp.Or(d.verb, "run")+" "+s.Plan.Name), d.style.paint(dim, s.ID))
	where := s.Target
	if s.Bundled {
		where += fmt.Sprintf("  (bundled target, pid %d, GOMAXPROCS %d)", s.TargetPID, s.TargetProcs)
	}
	fmt.Fprintf(d.out, "target  %s\n", where)
	if s.Faults != "" {
		fmt.Fprintf(d.out, "faults  %s\n", s.Faults)
	}
	if !s.Bundled && s.OTLP != "" {
		d.environment(s)
	}
	if ref := s.Reference; ref != nil {
		fmt.Fprintf(d.out, "alone   %s ms, the mean of %d requests one after another before the load\n", ms(ref.Mean), ref.N)
	}
	fmt.Fprintf(d.out, "files   %s\n\n", s.Dir)
}

// environment prints what makes a service send this run its telemetry.
func (d *display) environment(s bench.Started) {
	// Batches of the default 5 s would still be under way when the run ends,
	// metrics of the default 60 s would mostly miss it, and points that are
	// differences are not kept.
	const settings = names.EnvSpanDelay + "=500 " + names.EnvMetricInterval + "=1000 " + names.EnvTemporality + "=cumulative"
	const line = "  " + names.EnvOTLP + "=%s " + names.EnvOTLPProtocol + "=%s " + settings + "\n"
	fmt.Fprint(d.out, "to see inside it, start the service with\n")
	fmt.Fprintf(d.out, line, s.OTLP, "http/protobuf")
	if s.GRPC != "" {
		fmt.Fprint(d.out, "or, where it speaks gRPC, with\n")
		fmt.Fprintf(d.out, line, s.GRPC, "grpc")
	}
	fmt.Fprintf(d.out, "and its profiler with\n  %s=%s\n", names.EnvPyroscope, s.Profiles)
}

// progress shows a second.
func (d *display) progress(p bench.Progress) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.rates = append(d.rates, p.Rate)
	d.tails = append(d.tails, p.P99.Seconds())
	if d.style.live {
		d.redraw(p)
		return
	}
	if p.Phase == "" && d.over {
		return // only waiting for answers
	}
	d.over = p.Phase == ""
	if d.said++; d.said >= plainEvery || d.over {
		d.said = 0
		fmt.Fprintln(d.out, plainLine(p))
	}
}

// plainEvery is how many seconds a plain line stands for, as in Locust.
const plainEvery = 2

func plainLine(p bench.Progress) string {
	phase := p.Phase
	if phase == "" {
		phase = "end"
	}
	return fmt.Sprintf("%5s/%s %-8s %4d users %8.1f req/s   p50 %s p95 %s p99 %s ms   %s failed   target %s",
		whole(p.Elapsed), whole(p.Total), phase, p.Users, p.Rate,
		ms(p.P50.Seconds()), ms(p.P95.Seconds()), ms(p.P99.Seconds()), thousands(p.Counts.Failed), coresOf(p))
}

func whole(d time.Duration) string { return fmt.Sprintf("%.0fs", d.Seconds()) }

func coresOf(p bench.Progress) string {
	if p.TargetCPU < 0 {
		return "CPU unknown"
	}
	return fmt.Sprintf("%.2f cores", p.TargetCPU)
}

// redraw draws the live lines over the ones before.
func (d *display) redraw(p bench.Progress) {
	s := d.measured()
	lag := ""
	if s.width >= roomForLag {
		lag = "   " + s.paint(dim, "generator lag p99 "+ms(p.LagP99.Seconds())+" ms")
	}
	lines := []string{
		d.bar(p),
		fmt.Sprintf("users %s   in flight %s   %s req/s   ok %s   failed %s   unsent %s",
			s.paint(bold, fmt.Sprint(p.Users)), s.paint(bold, fmt.Sprint(p.InFlight)), s.paint(bold, fmt.Sprintf("%.1f", p.Rate)),
			thousands(p.Counts.Completed), d.alarm(p.Counts.Failed), d.alarm(p.Counts.Unsent)),
		fmt.Sprintf("response ms, last %s   p50 %s   p95 %s   p99 %s%s",
			whole(p.Window), s.paint(bold, ms(p.P50.Seconds())), s.paint(bold, ms(p.P95.Seconds())), s.paint(bold, ms(p.P99.Seconds())),
			lag),
		"target " + s.paint(bold, coresOf(p)),
		"req/s  " + s.paint(cyan, spark(d.rates, s.width-12)),
		"p99    " + s.paint(cyan, spark(d.tails, s.width-12)),
	}
	d.draw(lines...)
}

// roomForLag is the width that shows how late the generator is, too.
const roomForLag = 90

// alarm paints a count of what should be zero.
func (d *display) alarm(n int64) string {
	if n > 0 {
		return d.style.paint(bold+";"+red, thousands(n))
	}
	return thousands(n)
}

func (d *display) bar(p bench.Progress) string {
	share := 1.0
	if p.Total > 0 {
		share = min(1, p.Elapsed.Seconds()/p.Total.Seconds())
	}
	label := fmt.Sprintf(" %s / %s  %s", whole(min(p.Elapsed, p.Total)), whole(p.Total), p.Phase)
	width := min(40, max(10, d.style.width-len([]rune(label))-2))
	return d.style.bar(share, width) + label
}

// bar draws how much is done.
func (s style) bar(share float64, width int) string {
	full := int(share * float64(width))
	return s.paint(green, strings.Repeat("█", full)) + s.paint(dim, strings.Repeat("░", width-full))
}

// spark draws values as bars of an eighth of a line each, the last ones that
// fit.
func spark(values []float64, width int) string {
	values = values[max(0, len(values)-max(width, 10)):]
	most := 0.0
	for _, v := range values {
		most = max(most, v)
	}
	if most == 0 {
		return ""
	}
	bars := []rune("▁▂▃▄▅▆▇█")
	var b strings.Builder
	for _, v := range values {
		b.WriteRune(bars[min(len(bars)-1, int(v/most*float64(len(bars)-1)+0.5))])
	}
	return b.String()
}

// stage says what is being waited for.
func (d *display) stage(what string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.style.live {
		return
	}
	d.draw(d.style.paint(dim, what+" …"))
}

// interrupted says what an interruption does to a load; before there is one,
// the end of the program says it.
func (d *display) interrupted(line string) {
	d.mu.Lock()
	began := d.started.ID != ""
	d.mu.Unlock()
	if began {
		d.say(line)
	}
}
