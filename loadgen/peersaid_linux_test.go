package loadgen_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// said are the latencies that a generator prints, in seconds; NaN is what it
// does not print.
type said struct{ P50, P90, P99, P999, Max float64 }

func saidNothing() said {
	n := math.NaN()
	return said{n, n, n, n, n}
}

// reader reads what a peer printed.
type reader func(ctx context.Context, p *peer, j *peerJob, out []byte) (said, error)

var errNoFigure = errors.New("no such figure in its output")

// readOurs takes the first line: the test's own verdict follows.
func readOurs(_ context.Context, _ *peer, _ *peerJob, out []byte) (v said, err error) {
	line, _, _ := bytes.Cut(out, []byte("\n"))
	err = json.Unmarshal(line, &v)
	return v, err
}

func readWrk(_ context.Context, p *peer, _ *peerJob, out []byte) (said, error) {
	v := saidNothing()
	err := errors.Join(
		durationIn(out, `\n\s+50(?:\.000)?%\s+([0-9.]+[a-z]+)`, &v.P50),
		durationIn(out, `\n\s+90(?:\.000)?%\s+([0-9.]+[a-z]+)`, &v.P90),
		durationIn(out, `\n\s+99(?:\.000)?%\s+([0-9.]+[a-z]+)`, &v.P99),
		durationIn(out, `Latency\s+\S+\s+\S+\s+([0-9.]+[a-z]+)`, &v.Max),
	)
	if p.name == "wrk2" {
		err = errors.Join(err, durationIn(out, `\n\s+99\.900%\s+([0-9.]+[a-z]+)`, &v.P999))
	}
	return v, err
}

// readH2load knows no percentiles, for h2load prints none.
func readH2load(_ context.Context, _ *peer, _ *peerJob, out []byte) (said, error) {
	v := saidNothing()
	return v, durationIn(out, `time for request:\s+\S+\s+([0-9.]+[a-z]+)`, &v.Max)
}

func readHey(_ context.Context, _ *peer, _ *peerJob, out []byte) (said, error) {
	v := saidNothing()
	return v, errors.Join(
		durationIn(out, `50%+ in ([0-9.]+ s)ecs`, &v.P50),
		durationIn(out, `90%+ in ([0-9.]+ s)ecs`, &v.P90),
		durationIn(out, `99%+ in ([0-9.]+ s)ecs`, &v.P99),
		durationIn(out, `Slowest:\s+([0-9.]+ s)ecs`, &v.Max),
	)
}

// durationIn reads the seconds of the duration that a pattern finds.
func durationIn(out []byte, pattern string, into *float64) error {
	m := regexp.MustCompile(pattern).FindSubmatch(out)
	if m == nil {
		return fmt.Errorf("%w: %s", errNoFigure, pattern)
	}
	text := strings.ReplaceAll(string(m[1]), " ", "")
	if strings.HasSuffix(text, "m") {
		text += "0s" // wrk writes 1.02m
	}
	d, err := time.ParseDuration(text)
	*into = d.Seconds()
	return err
}

func readBombardier(_ context.Context, _ *peer, _ *peerJob, out []byte) (said, error) {
	var v struct {
		Result struct {
			Latency struct {
				Max         float64
				Percentiles map[string]float64
			}
		}
	}
	err := json.Unmarshal(out, &v)
	l := v.Result.Latency // microseconds
	return said{l.Percentiles["50"] / 1e6, l.Percentiles["90"] / 1e6, l.Percentiles["99"] / 1e6, math.NaN(), l.Max / 1e6}, err
}

// readVegeta lets vegeta read its own results, after the measurement.
func readVegeta(ctx context.Context, p *peer, j *peerJob, _ []byte) (said, error) {
	v := saidNothing()
	report := func(kind string) ([]byte, error) {
		cmd := exec.CommandContext(ctx, p.program, "report", "-type", kind, "out")
		cmd.Dir = j.Dir
		return cmd.Output()
	}
	out, err := report("json")
	if err != nil {
		return v, err
	}
	var r struct{ Latencies map[string]float64 }
	if err := json.Unmarshal(out, &r); err != nil {
		return v, err
	}
	v.P50, v.P90, v.P99, v.Max = r.Latencies["50th"]/1e9, r.Latencies["90th"]/1e9, r.Latencies["99th"]/1e9, r.Latencies["max"]/1e9
	if out, err = report("hdrplot"); err != nil {
		return v, err
	}
	m := regexp.MustCompile(`(?m)^\s*([0-9.]+)\s+0\.9990\d*\s`).FindSubmatch(out) // milliseconds
	if m == nil {
		return v, nil
	}
	v.P999, err = strconv.ParseFloat(string(m[1]), 64)
	v.P999 /= 1e3
	return v, err
}

func readFortio(_ context.Context, _ *peer, _ *peerJob, out []byte) (said, error) {
	var r struct {
		DurationHistogram struct {
			Max         float64
			Percentiles []struct{ Percentile, Value float64 }
		}
	}
	v := saidNothing()
	if i := bytes.IndexByte(out, '{'); i >= 0 {
		out = out[i:]
	}
	err := json.NewDecoder(bytes.NewReader(out)).Decode(&r)
	v.Max = r.DurationHistogram.Max
	for _, p := range r.DurationHistogram.Percentiles {
		switch p.Percentile {
		case 50:
			v.P50 = p.Value
		case 90:
			v.P90 = p.Value
		case 99:
			v.P99 = p.Value
		case 99.9:
			v.P999 = p.Value
		}
	}
	return v, err
}

func readK6(_ context.Context, _ *peer, _ *peerJob, out []byte) (said, error) {
	var v map[string]float64 // milliseconds
	err := json.Unmarshal(out, &v)
	return said{v["p(50)"] / 1e3, v["p(90)"] / 1e3, v["p(99)"] / 1e3, v["p(99.9)"] / 1e3, v["max"] / 1e3}, err
}

func readOha(_ context.Context, _ *peer, _ *peerJob, out []byte) (said, error) {
	var v struct {
		Summary            struct{ Slowest float64 }
		LatencyPercentiles map[string]float64 // seconds
	}
	err := json.Unmarshal(out, &v)
	p := v.LatencyPercentiles
	return said{p["p50"], p["p90"], p["p99"], p["p99.9"], v.Summary.Slowest}, err
}

// readLocust takes the percentiles from the counts by rounded millisecond,
// which is all that Locust keeps.
func readLocust(_ context.Context, _ *peer, _ *peerJob, out []byte) (said, error) {
	var v []struct {
		ResponseTimes map[string]int `json:"response_times"`
		Max           float64        `json:"max_response_time"`
	}
	i := bytes.IndexByte(out, '[')
	if i < 0 {
		return saidNothing(), errNoFigure
	}
	if err := json.NewDecoder(bytes.NewReader(out[i:])).Decode(&v); err != nil || len(v) == 0 {
		return saidNothing(), fmt.Errorf("%w: %w", errNoFigure, err)
	}
	type count struct {
		ms float64
		n  int
	}
	var counts []count
	total := 0
	for text, n := range v[0].ResponseTimes {
		ms, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return saidNothing(), err
		}
		counts = append(counts, count{ms, n})
		total += n
	}
	slices.SortFunc(counts, func(a, b count) int { return int(a.ms - b.ms) })
	at := func(q float64) float64 {
		seen := 0
		for _, c := range counts {
			if seen += c.n; float64(seen) >= q*float64(total) {
				return c.ms / 1e3
			}
		}
		return 0
	}
	return said{at(0.5), at(0.9), at(0.99), at(0.999), v[0].Max / 1e3}, nil
}

// readNothing is for generators whose own figures are not asked.
func readNothing(context.Context, *peer, *peerJob, []byte) (said, error) { return saidNothing(), nil }
