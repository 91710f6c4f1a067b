package loadgen

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
)

const (
	phaseScope = "phase:"
	stepScope  = "step:"
	metricList = "p50 to p99.99, mean, max, errors, rate or unsent"
)

// ParseThreshold reads one threshold. The error is a *ThresholdError.
func ParseThreshold(text string) (Threshold, error) {
	t := Threshold{Text: strings.TrimSpace(text)}
	p := thresholdParser{text: text}
	for _, read := range []func(*Threshold) *ThresholdError{p.scope, p.metric, p.op, p.value, p.window, p.abort} {
		if err := read(&t); err != nil {
			return Threshold{}, err
		}
	}
	return t, nil
}

func readShare(percent string) float64 {
	v, _ := readDecimal(percent)
	return v / 100
}

// readDecimal reads plain digits with an optional point: no sign, exponent,
// infinity or hexadecimal.
func readDecimal(s string) (float64, bool) {
	if strings.Trim(s, "0123456789.") != "" {
		return 0, false
	}
	v, err := strconv.ParseFloat(s, 64)
	return v, err == nil
}

// thresholdParser reads the parts of a threshold from left to right.
type thresholdParser struct {
	text string
	pos  int
}

func (p *thresholdParser) fail(at int, format string, args ...any) *ThresholdError {
	return &ThresholdError{Text: p.text, Offset: at, Message: fmt.Sprintf(format, args...)}
}

func (p *thresholdParser) space() {
	p.pos = len(p.text) - len(strings.TrimLeftFunc(p.text[p.pos:], unicode.IsSpace))
}

// word takes the next word and says where it begins; operators end it. Empty
// at the end of the text or before an operator.
func (p *thresholdParser) word() (string, int) {
	return p.take(func(r rune) bool { return unicode.IsSpace(r) || isOp(r) })
}

func (p *thresholdParser) take(end func(rune) bool) (string, int) {
	p.space()
	at, rest := p.pos, p.text[p.pos:]
	if n := strings.IndexFunc(rest, end); n >= 0 {
		rest = rest[:n]
	}
	p.pos += len(rest)
	return rest, at
}

func isOp(r rune) bool { return strings.ContainsRune("<>=!", r) }

func (p *thresholdParser) scope(t *Threshold) *ThresholdError {
	start := p.pos
	word, at := p.word()
	key, _, found := strings.Cut(word, ":")
	switch {
	case word == "phase", word == "step":
		return p.fail(at, "write %s:name without a space", word)
	case !found:
		p.pos = start
		return nil
	case key != "phase" && key != "step":
		return p.fail(at, "%q is no scope%s: use phase:name or step:name", key+":", DidYouMean(Nearest(key, []string{"phase", "step"})))
	}
	p.pos = at + len(key) + 1
	name, err := p.name()
	if err != nil {
		return err
	}
	if key == "phase" {
		t.Phase = name
	} else {
		t.Step = name
	}
	return nil
}

// name takes the name that follows a scope's colon: up to a space, or quoted.
func (p *thresholdParser) name() (string, *ThresholdError) {
	at, rest := p.pos, p.text[p.pos:]
	var name, quoted string
	switch {
	case strings.HasPrefix(rest, `"`):
		quoted, _ = strconv.QuotedPrefix(rest)
		name, _ = strconv.Unquote(quoted)
	case strings.HasPrefix(rest, "'"):
		if n := strings.IndexByte(rest[1:], '\''); n >= 0 {
			quoted, name = rest[:n+2], rest[1:n+1]
		}
	default:
		quoted = rest
		if n := strings.IndexFunc(rest, unicode.IsSpace); n >= 0 {
			quoted = rest[:n]
		}
		name = quoted
		if name == "" {
			return "", p.fail(at, "give the name right after the colon")
		}
	}
	switch {
	case quoted == "":
		return "", p.fail(at, "the name's closing quote is missing, or its text is not a quoted one")
	case name == "":
		return "", p.fail(at, "the name is empty")
	}
	p.pos += len(quoted)
	return name, nil
}

// isPercentile reports whether word is one of p50 to p99.99.
func isPercentile(word string) bool {
	number, found := strings.CutPrefix(word, "p")
	v, ok := readDecimal(number)
	whole, fraction, point := strings.Cut(number, ".")
	return found && ok && v >= 50 && len(whole) == 2 && (!point || len(fraction) == 1 || len(fraction) == 2)
}

func (p *thresholdParser) metric(t *Threshold) *ThresholdError {
	word, at := p.word()
	switch {
	case word == "":
		return p.fail(at, "give a metric first: %s", metricList)
	case word == "mean", word == "max", word == "errors", word == "rate", word == "unsent":
		t.Metric = word
		return nil
	case isPercentile(word):
		t.Metric = word
		if strings.Contains(word, ".") {
			t.Metric = strings.TrimRight(strings.TrimRight(word, "0"), ".")
		}
		return nil
	case strings.HasPrefix(word, phaseScope), strings.HasPrefix(word, stepScope):
		return p.fail(at, "a threshold has one scope, phase:name or step:name")
	}
	meant, hint := metricMeant(word), ""
	if meant == "" && t.Phase+t.Step != "" {
		hint = "; a name with spaces stands in quotes"
	}
	return p.fail(at, "%q is no metric%s: use %s%s", word, DidYouMean(meant), metricList, hint)
}

// metricMeant guesses what a wrong metric was meant to be: a misspelling, or
// what other tools call it.
func metricMeant(word string) string {
	lower := strings.ToLower(word)
	switch lower {
	case "median", "med":
		return "p50"
	case "avg", "average":
		return "mean"
	case "rps", "qps", "throughput":
		return "rate"
	case "failed", "failures", "error_rate":
		return "errors"
	case "dropped":
		return "unsent"
	case "p100", "100%":
		return "max"
	}
	digits := strings.Map(func(r rune) rune {
		if unicode.IsDigit(r) {
			return r
		}
		return -1
	}, lower)
	if len(digits) > 2 {
		digits = digits[:2] + "." + digits[2:min(len(digits), 4)]
	}
	if m := "p" + digits; isPercentile(m) {
		return m
	}
	return Nearest(word, []string{"mean", "max", "errors", "rate", "unsent", "p99", "p95", "p90", "p50"})
}

func (p *thresholdParser) op(t *Threshold) *ThresholdError {
	op, at := p.take(func(r rune) bool { return !isOp(r) })
	meant := ""
	switch op {
	case "<", "<=", ">", ">=":
		t.Op = op
		return nil
	case "":
		word, _ := p.word()
		return p.fail(at, "%s after %s: use < <= > or >=", expected("an operator", word), t.Metric)
	case "=<", "<==":
		meant = "<="
	case "=>", ">==":
		meant = ">="
	case "<<":
		meant = "<"
	case ">>":
		meant = ">"
	}
	return p.fail(at, "%q is no operator%s: use < <= > or >=", op, DidYouMean(meant))
}

func expected(what, word string) string {
	if word == "" {
		return what + " is missing"
	}
	return fmt.Sprintf("%q stands where %s is expected", word, what)
}

func (p *thresholdParser) value(t *Threshold) *ThresholdError {
	word, at := p.word()
	if word == "" {
		return p.fail(at, "a value is missing after %s, such as %s", t.Op, exampleValue(t.Metric))
	}
	if _, bare := readDecimal(word); bare {
		after := p.pos
		unit, _ := p.word()
		p.pos = after
		switch unit {
		case "%", "ms", "us", "µs", "s", "/s", "/min":
			return p.fail(at, "write %s%s without a space", word, unit)
		}
	}
	var message string
	switch t.Metric {
	case "rate":
		t.Value, message = rateValue(word)
	case "errors", "unsent":
		t.Value, message = shareValue(word)
	default:
		t.Value, message = latencyValue(word)
	}
	if message == "" && t.Value == 0 && (t.Op == "<" || t.Op == ">=") {
		message = fmt.Sprintf("%s %s 0 is the same for every run: use <= or >", t.Metric, t.Op)
	}
	if message != "" {
		return p.fail(at, "%s", message)
	}
	return nil
}

func exampleValue(metric string) string {
	switch metric {
	case "rate":
		return "200/s"
	case "errors", "unsent":
		return "0.1%"
	}
	return "25ms"
}

func latencyValue(word string) (float64, string) {
	d, err := time.ParseDuration(word)
	_, bare := readDecimal(word)
	switch {
	case bare:
		return 0, fmt.Sprintf("%s has no unit: give one, such as %sms", word, word)
	case err != nil:
		return 0, fmt.Sprintf("%q is no duration: write one such as 25ms or 1.5s", word)
	case d <= 0, d > MaxThreshold:
		return 0, fmt.Sprintf("%s is outside what is measured: give a duration above zero and at most %s", word, MaxThreshold)
	}
	return d.Seconds(), ""
}

func shareValue(word string) (float64, string) {
	number, percent := strings.CutSuffix(word, "%")
	v, ok := readDecimal(number)
	switch {
	case !ok:
		return 0, fmt.Sprintf("%q is no share: write a percentage such as 0.1%%, or a share such as 0.001", word)
	case percent && v <= 100:
		return v / 100, ""
	case percent:
		return 0, fmt.Sprintf("%s is more than 100%%", word)
	case v >= 1:
		return 0, fmt.Sprintf("%s can be read in two ways: write %s%% for a percentage, or a share below 1", word, word)
	}
	return v, ""
}

func rateValue(word string) (float64, string) {
	v, err := ParseRate(word)
	if err != nil {
		return 0, err.Error()
	}
	return v, ""
}

// ParseRate reads a rate as plans write it, 200/s or 30/min, and returns it
// per second.
func ParseRate(text string) (float64, error) {
	number, unit, _ := strings.Cut(text, "/")
	v, ok := readDecimal(number)
	switch {
	case ok && unit == "s":
		return v, nil
	case ok && unit == "min":
		return v / 60, nil
	case ok && unit == "":
		return 0, fmt.Errorf("%s has no unit: give one, such as %s/s", text, number)
	case ok:
		return 0, fmt.Errorf("%q is no unit of a rate: use /s or /min", "/"+unit)
	}
	return 0, fmt.Errorf("%q is no rate: write one such as 200/s or 30/min", text)
}

func (p *thresholdParser) window(t *Threshold) *ThresholdError {
	start := p.pos
	in, at := p.word()
	every, _ := p.word()
	if in != "in" && in != "every" {
		p.pos = start
		return nil
	}
	if in != "in" || every != "every" {
		return p.fail(at, "write in every and a duration, such as in every 10s")
	}
	word, at := p.word()
	d, err := time.ParseDuration(word)
	_, bare := readDecimal(word)
	switch {
	case word == "":
		return p.fail(at, "a duration is missing after in every, such as 10s")
	case bare:
		return p.fail(at, "%s has no unit: give one, such as %ss", word, word)
	case err != nil:
		return p.fail(at, "%q is no duration: write one such as 10s", word)
	case d <= 0, d%time.Second != 0:
		return p.fail(at, "%s is no window: results are merged once a second, so give whole seconds", word)
	}
	t.Window = d
	return nil
}

func (p *thresholdParser) abort(t *Threshold) *ThresholdError {
	word, at := p.word()
	if word == "abort" {
		t.Abort = true
		word, at = p.word()
	}
	if word == "" && p.pos == len(p.text) {
		return nil
	}
	if word == "" {
		word, _ = p.take(unicode.IsSpace)
	}
	return p.fail(at, "unexpected %q%s: a value is followed by in every and a duration, by abort, or by nothing",
		word, DidYouMean(Nearest(word, []string{"abort", "in every"})))
}
