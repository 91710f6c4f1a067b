package plan

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/taillight-load/taillight/loadgen"
)

// Bounds of what a plan can ask for: far above any use, and low enough that no
// arithmetic on them overflows.
const (
	maxDuration = 1000 * time.Hour // of anything, and of the whole run
	maxStairs   = 1000             // of a ramp with by
)

// readDuration reads a duration with its unit; zero and less is an error, as
// every duration of a plan but a pause is longer.
func readDuration(text string) (time.Duration, error) {
	d, err := readPause(text)
	if err == nil && d == 0 {
		return 0, fmt.Errorf("%s is no length: give a duration above zero, such as 30s", text)
	}
	return d, err
}

// readPause reads a duration with its unit, zero included.
func readPause(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	_, bare := readNumber(text)
	days, isDays := strings.CutSuffix(text, "d")
	n, number := readNumber(days)
	switch {
	case bare:
		return 0, fmt.Errorf("%s has no unit: give one, such as %ss or %sms", text, text, text)
	case err != nil && isDays && number:
		return 0, fmt.Errorf("%q: there is no unit for days, write %sh", text, decimal(24*n))
	case err != nil:
		return 0, fmt.Errorf("%q is no duration: write one such as 500ms, 30s, 1m30s or 2h", text)
	case d < 0, d > maxDuration:
		return 0, fmt.Errorf("%s is out of range: give a duration from 0s to %s", text, writeDuration(maxDuration))
	}
	return d, nil
}

// writeDuration writes d as people do: 1m instead of 1m0s.
func writeDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// readNumber reads plain digits with an optional point.
func readNumber(text string) (float64, bool) {
	if strings.Trim(text, "0123456789.") != "" {
		return 0, false
	}
	v, err := strconv.ParseFloat(text, 64)
	return v, err == nil
}

func decimal(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

// ParseThink reads a pause as plans write it: 200ms, 100ms..300ms, exp 200ms
// (exponential with that mean) or pacing 1s (turns that far apart). 0s is none.
func ParseThink(text string) (loadgen.Think, error) {
	word, rest, _ := strings.Cut(text, " ")
	low, high, ranged := strings.Cut(text, "..")
	switch {
	case word == "exp" || word == "pacing":
		d, err := readDuration(strings.TrimSpace(rest))
		kind := loadgen.ThinkPacing
		if word == "exp" {
			kind = loadgen.ThinkExponential
		}
		return loadgen.Think{Kind: kind, Max: d}, err
	case ranged:
		return uniformThink(strings.TrimSpace(low), strings.TrimSpace(high))
	}
	d, err := readPause(text)
	if err == nil && d > 0 {
		return loadgen.Think{Kind: loadgen.ThinkConstant, Max: d}, nil
	}
	if meant := loadgen.Nearest(word, []string{"exp", "pacing"}); err != nil && meant != "" && rest != "" {
		return loadgen.Think{}, fmt.Errorf("%q is no pause (did you mean %s %s?): write 200ms, 100ms..300ms, exp 200ms or pacing 1s", text, meant, rest)
	}
	return loadgen.Think{}, err
}

func uniformThink(low, high string) (loadgen.Think, error) {
	if _, bare := readNumber(low); bare {
		unit := strings.TrimLeft(high, "0123456789.")
		return loadgen.Think{}, fmt.Errorf("%s has no unit: write %s%s..%s", low, low, unit, high)
	}
	from, err := readPause(low)
	if err != nil {
		return loadgen.Think{}, err
	}
	to, err := readDuration(high)
	switch {
	case err != nil:
		return loadgen.Think{}, err
	case from > to:
		return loadgen.Think{}, fmt.Errorf("%s..%s goes down: write %s..%s", low, high, high, low)
	}
	return loadgen.Think{Kind: loadgen.ThinkUniform, Min: from, Max: to}, nil
}

// number reads one end of a ramp.
type number func(text string) (float64, error)

// readUsers reads a number of users. A ramp that was cut can end between two
// of them, so fractions are read; a constant has none, see decoder.ramp.
func readUsers(text string) (float64, error) {
	v, ok := readNumber(text)
	if !ok {
		return 0, fmt.Errorf("%q is no number of users: write 10, 0 -> 50 or 0 -> 50 by 10", text)
	}
	return v, nil
}

// readRamp reads N, A -> B, or A -> B by C. The offset is where in text an
// error is, in bytes.
func readRamp(text string, read number) (r loadgen.Ramp, offset int, err error) {
	from, to, ramp := strings.Cut(text, "->")
	if r.From, err = read(strings.TrimSpace(from)); err != nil {
		return r, 0, err
	}
	if !ramp {
		r.To = r.From
		return r, 0, nil
	}
	at := len(from) + len("->")
	to, by, stairs := strings.Cut(to, " by ")
	if r.To, err = read(strings.TrimSpace(to)); err != nil {
		return r, at + indent(to), err
	}
	if !stairs {
		return r, 0, nil
	}
	at += len(to) + len(" by ") + indent(by)
	if r.By, err = read(strings.TrimSpace(by)); err != nil {
		return r, at, err
	}
	switch n := math.Abs(r.To-r.From) / r.By; {
	case r.From == r.To:
		err = errors.New("by makes stairs of a ramp, and this load is constant")
	case r.By == 0:
		err = errors.New("stairs of 0 lead nowhere")
	case n > maxStairs:
		err = fmt.Errorf("%.0f stairs are too many: give at most %d", n, maxStairs)
	}
	return r, at, err
}

func indent(s string) int { return len(s) - len(strings.TrimLeft(s, " \t")) }

// readStatus reads 200, 2xx or 200..299.
func readStatus(text string) (loadgen.StatusRange, error) {
	low, high, ranged := strings.Cut(text, "..")
	if class, found := strings.CutSuffix(text, "xx"); found {
		low, high, ranged = class+"00", class+"99", true
	}
	if !ranged {
		high = low
	}
	from, errFrom := strconv.Atoi(strings.TrimSpace(low))
	to, errTo := strconv.Atoi(strings.TrimSpace(high))
	switch {
	case errFrom != nil, errTo != nil:
		return loadgen.StatusRange{}, fmt.Errorf("%q is no status: write 200, 2xx, 200..299 or a list of them", text)
	case from < 100, to > 599:
		return loadgen.StatusRange{}, fmt.Errorf("%s is no HTTP status: they go from 100 to 599", text)
	case from > to:
		return loadgen.StatusRange{}, fmt.Errorf("%s goes down: write %s..%s", text, high, low)
	}
	return loadgen.StatusRange{From: from, To: to}, nil
}

func writeStatus(r loadgen.StatusRange) string {
	switch {
	case r.From == r.To:
		return strconv.Itoa(r.From)
	case r.From%100 == 0 && r.To == r.From+99:
		return strconv.Itoa(r.From/100) + "xx"
	}
	return fmt.Sprintf("%d..%d", r.From, r.To)
}
