package faults

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Parse reads one fault as text:
//
//	KNOB=AMOUNT[:SHARE][:every=TIME][:after=TIME][:for=TIME]
//
// such as lock=10ms:2%, errors=503:30%:after=5s:for=2s or stall=500ms:every=5s.
// Without a share every request is hit.
func Parse(text string) (Fault, error) {
	name, rest, ok := strings.Cut(text, "=")
	f := Fault{Knob: Knob(name), Share: 1}
	r, known := rules()[f.Knob]
	if !known {
		return f, f.Check()
	}
	if !ok {
		return f, fmt.Errorf("%s: an amount is needed, as in %s=%s", name, name, exampleAmount(r.unit))
	}
	parts := strings.Split(rest, ":")
	var err error
	if f.Amount, err = parseAmount(r.unit, parts[0]); err != nil {
		return f, fmt.Errorf("%s: %w", name, err)
	}
	f.Every = r.usual
	seen := map[string]bool{}
	for _, part := range parts[1:] {
		key, value, isOption := strings.Cut(part, "=")
		if !isOption {
			key, value = "share", part
		}
		if seen[key] {
			return f, fmt.Errorf("%s: %s is given twice", name, clip(key))
		}
		seen[key] = true
		if err := f.option(key, value, isOption); err != nil {
			return f, fmt.Errorf("%s: %w", name, err)
		}
	}
	return f, f.Check()
}

func (f *Fault) option(key, value string, named bool) (err error) {
	switch {
	case !named:
		f.Share, err = parseShare(value)
	case key == "every":
		f.Every, err = parseTime(value)
	case key == "after":
		f.After, err = parseTime(value)
	case key == "for":
		f.For, err = parseTime(value)
	default:
		err = fmt.Errorf("%q is not known: there are a share such as 2%%, every=TIME, after=TIME and for=TIME", clip(key))
	}
	return err
}

// ParseList reads faults separated by commas; the empty text has none.
func ParseList(text string) ([]Fault, error) {
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	var out []Fault
	for part := range strings.SplitSeq(text, ",") {
		f, err := Parse(strings.TrimSpace(part))
		if err != nil {
			return nil, err
		}
		out = append(out, f)
	}
	return out, Set{Faults: out}.Check()
}

// String returns the fault as Parse reads it.
func (f Fault) String() string {
	r := rules()[f.Knob]
	var b strings.Builder
	b.WriteString(string(f.Knob) + "=" + amountText(r.unit, f.Amount))
	if f.Share != 1 {
		b.WriteString(":" + shareText(f.Share))
	}
	for _, o := range []struct {
		name  string
		value time.Duration
	}{{"every", f.Every}, {"after", f.After}, {"for", f.For}} {
		if o.value != 0 && (o.name != "every" || o.value != r.usual) {
			b.WriteString(":" + o.name + "=" + timeText(o.value))
		}
	}
	return b.String()
}

// parseShare reads a percentage such as 2% or 0.5%.
func parseShare(text string) (float64, error) {
	number, ok := strings.CutSuffix(text, "%")
	percent, err := strconv.ParseFloat(number, 64)
	if !ok || err != nil || !(percent > 0 && percent <= 100) {
		return 0, fmt.Errorf("share %q: a percentage such as 2%% is needed, above 0%% and at most 100%%", clip(text))
	}
	share := percent / 100
	if !onGrid(share) {
		return 0, fmt.Errorf("share %q: the steps are of 0.0001%%", clip(text))
	}
	return rounded(share), nil
}

func shareText(share float64) string {
	return strconv.FormatFloat(math.Round(share*shareSteps)/(shareSteps/100), 'f', -1, 64) + "%"
}

// rounded returns the share on the grid: the float that a decimal of six
// places is read as.
func rounded(share float64) float64 { return math.Round(share*shareSteps) / shareSteps }

func onGrid(share float64) bool {
	return rounded(share) > 0 && math.Abs(share-rounded(share)) < 1e-9
}

func parseTime(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("time %q: one such as 10ms or 1.5s is needed", clip(text))
	}
	return d, nil
}

// timeText is d as ParseDuration reads it, without the zeros of 1h0m0s.
func timeText(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// sizes are the units of bytes, largest first.
func sizes() []struct {
	name  string
	bytes int64
} {
	return []struct {
		name  string
		bytes int64
	}{{"MiB", 1 << 20}, {"MB", 1_000_000}, {"KiB", 1 << 10}, {"kB", 1000}, {"B", 1}}
}

func parseAmount(u unit, text string) (int64, error) {
	switch u {
	case byteCount:
		for _, s := range sizes() {
			if number, ok := strings.CutSuffix(text, s.name); ok {
				n, err := strconv.ParseInt(number, 10, 64)
				if err != nil || n < 0 || n > math.MaxInt64/s.bytes {
					break
				}
				return n * s.bytes, nil
			}
		}
		return 0, fmt.Errorf("amount %q: bytes such as 20MB or 512KiB are needed", clip(text))
	case status:
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("amount %q: an HTTP status such as 503 is needed", clip(text))
		}
		return n, nil
	case millicores:
		number, ok := strings.CutSuffix(text, "%")
		percent, err := strconv.ParseFloat(number, 64)
		if !ok || err != nil || !(percent >= 0 && percent < 1e9) || percent*10 != math.Trunc(percent*10) {
			return 0, fmt.Errorf("amount %q: a percentage of one core such as 50%% is needed, in steps of 0.1%%", clip(text))
		}
		return int64(percent * 10), nil
	default:
		d, err := parseTime(text)
		if err != nil {
			return 0, errors.New("amount: " + err.Error())
		}
		return int64(d), nil
	}
}

func amountText(u unit, n int64) string {
	switch u {
	case byteCount:
		for _, s := range sizes() {
			if n != 0 && n%s.bytes == 0 {
				return strconv.FormatInt(n/s.bytes, 10) + s.name
			}
		}
		return "0B"
	case status:
		return strconv.FormatInt(n, 10)
	case millicores:
		return strconv.FormatFloat(float64(n)/10, 'f', -1, 64) + "%"
	default:
		return timeText(time.Duration(n))
	}
}

func exampleAmount(u unit) string {
	return map[unit]string{nanoseconds: "10ms", byteCount: "20MB", status: "503", millicores: "50%"}[u]
}
