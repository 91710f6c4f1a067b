package archive

import (
	"bytes"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/taillight-load/taillight/loadgen"
)

// The kinds of histogram of a step.
const (
	KindResponse = "response" // response time of all answers
	KindService  = "service"  // service time of all answers
	KindLag      = "lag"      // of all sent
	KindOK       = "ok"       // response time of OK answers
)

// latencyHeader is what latency.hlog begins with. The log writer's own start
// line has whole seconds only, so it is written as a comment of the same form.
func latencyHeader(started time.Time) []byte {
	var b bytes.Buffer
	w := hdrhistogram.NewHistogramLogWriter(&b)
	// A bytes.Buffer takes every write.
	_ = w.OutputLogFormatVersion()
	_ = w.OutputComment(fmt.Sprintf("[StartTime: %d.%03d (seconds since epoch), %s]",
		started.Unix(), started.Nanosecond()/int(time.Millisecond), started.UTC().Format(time.RFC3339Nano)))
	_ = w.OutputComment("[Tag: phase/step/kind, percent-encoded; values: microseconds; Interval_Max: seconds]")
	_ = w.OutputLegend()
	return b.Bytes()
}

// encodeIntervals writes the non-empty histograms of a second as lines of the
// interval log.
func (n planNames) encodeIntervals(s loadgen.Second) ([]byte, error) {
	var b bytes.Buffer
	w := hdrhistogram.NewHistogramLogWriter(&b)
	for i := range s.Series {
		series := &s.Series[i]
		phase, step, err := n.pair(series)
		if err != nil {
			return nil, err
		}
		for _, k := range kindsOf(series) {
			if k.N() == 0 {
				continue
			}
			// The tag and the times are set on a copy: others may be reading
			// the histogram.
			h := k.Hist.Clone()
			h.SetTag(tag(phase, step, k.kind))
			h.SetStartTimeMs(s.Start.Milliseconds())
			h.SetEndTimeMs(s.End.Milliseconds())
			if err := w.OutputIntervalHistogram(h); err != nil {
				return nil, fmt.Errorf("phase %q, step %q, %s: %w", phase, step, k.kind, err)
			}
		}
	}
	return b.Bytes(), nil
}

type kindOf struct {
	kind string
	*loadgen.Distribution
}

func kindsOf(s *loadgen.Series) [4]kindOf {
	return [4]kindOf{{KindResponse, &s.Response}, {KindService, &s.Service}, {KindLag, &s.Lag}, {KindOK, &s.OK}}
}

func tag(phase, step, kind string) string {
	return url.PathEscape(phase) + "/" + url.PathEscape(step) + "/" + kind
}

func parseTag(tag string) (phase, step, kind string, err error) {
	parts := strings.Split(tag, "/")
	if len(parts) != 3 {
		return "", "", "", fmt.Errorf("tag %q is not phase/step/kind", tag)
	}
	phase, err = url.PathUnescape(parts[0])
	if err != nil {
		return "", "", "", fmt.Errorf("tag %q: %w", tag, err)
	}
	step, err = url.PathUnescape(parts[1])
	if err != nil {
		return "", "", "", fmt.Errorf("tag %q: %w", tag, err)
	}
	switch parts[2] {
	case KindResponse, KindService, KindLag, KindOK:
		return phase, step, parts[2], nil
	}
	return "", "", "", fmt.Errorf("tag %q: the kind is none of response, service, lag, ok", tag)
}

// errNoInterval is of a line that carries no histogram: a comment, the legend.
var errNoInterval = errors.New("no interval")

// decodeInterval reads a line of latency.hlog:
//
//	Tag=phase/step/kind,start,length,max,histogram
func (n planNames) decodeInterval(line []byte) (Interval, error) {
	text := strings.TrimRight(string(line), "\r\n")
	if strings.HasPrefix(text, "#") || strings.HasPrefix(text, `"`) {
		return Interval{}, errNoInterval
	}
	fields := strings.Split(text, ",")
	tagged, ok := strings.CutPrefix(fields[0], "Tag=")
	if !ok || len(fields) != 5 {
		return Interval{}, errors.New("not Tag=phase/step/kind,start,length,max,histogram")
	}
	var iv Interval
	var err error
	if iv.Phase, iv.Step, iv.Kind, err = parseTag(tagged); err != nil {
		return iv, err
	}
	if _, err := indexOf("phase", n.phases, iv.Phase); err != nil {
		return iv, err
	}
	if _, err := indexOf("step", n.steps, iv.Step); err != nil {
		return iv, err
	}
	start, err := milliseconds(fields[1])
	if err != nil {
		return iv, fmt.Errorf("start %q: %w", fields[1], err)
	}
	length, err := milliseconds(fields[2])
	if err != nil {
		return iv, fmt.Errorf("length %q: %w", fields[2], err)
	}
	iv.Start, iv.End = start, start+length
	iv.Hist, err = decodeHistogram(fields[4])
	return iv, err
}

// milliseconds reads decimal seconds to the millisecond.
func milliseconds(text string) (time.Duration, error) {
	f, err := strconv.ParseFloat(text, 64)
	switch {
	case err != nil:
		return 0, errors.New("not a number of seconds")
	case f < 0, !(f < 1e9):
		return 0, errors.New("out of range")
	}
	return time.Duration(f*1000+0.5) * time.Millisecond, nil
}

func decodeHistogram(text string) (*hdrhistogram.Histogram, error) {
	h, err := hdrhistogram.Decode([]byte(text))
	if err != nil {
		return nil, fmt.Errorf("histogram: %w", err)
	}
	if h.LowestTrackableValue() != loadgen.HistogramMin || h.HighestTrackableValue() != loadgen.HistogramMax ||
		h.SignificantFigures() != loadgen.HistogramDigits {
		return nil, fmt.Errorf("histogram of %d..%d at %d digits, this version reads %d..%d us at %d",
			h.LowestTrackableValue(), h.HighestTrackableValue(), h.SignificantFigures(),
			loadgen.HistogramMin, loadgen.HistogramMax, loadgen.HistogramDigits)
	}
	return h, nil
}
