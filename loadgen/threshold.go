package loadgen

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// A Threshold is one pass or fail rule:
//
//	["phase:"name | "step:"name] metric op value ["in every" duration] ["abort"]
//
// Latency metrics (p50 to p99.99, mean, max) take a duration, errors and
// unsent a percentage or a share, rate a number per second or minute. A name
// with spaces stands in quotes. ParseThreshold reads the form, String writes it.
//
// Latency metrics are judged on planned requests: p99 < T holds iff at most
// 1 % of them were not answered OK within T.
type Threshold struct {
	Text   string        `json:"text"`            // as written
	Phase  string        `json:"phase,omitempty"` // "" is any
	Step   string        `json:"step,omitempty"`  // "" is any
	Metric string        `json:"metric"`          // p50..p99.99, mean, max, errors, rate, unsent
	Op     string        `json:"op"`              // < <= > >=
	Value  float64       `json:"value"`           // seconds, a share 0..1, or per second
	Window time.Duration `json:"window,omitempty"`
	Abort  bool          `json:"abort,omitempty"`
}

// ThresholdResult is a threshold judged.
type ThresholdResult struct {
	Threshold
	OK       bool          `json:"ok"`
	NoData   bool          `json:"no_data,omitempty"` // never passes
	Never    bool          `json:"never,omitempty"`   // the metric falls on requests never answered OK; Observed is 0
	Observed float64       `json:"observed"`          // of the whole scope, or of the worst window; same unit as Value
	Share    float64       `json:"share,omitempty"`   // of planned requests not answered OK within Value (latency metrics)
	N        int64         `json:"n"`                 // planned requests judged
	At       time.Duration `json:"at,omitempty"`      // offset of the worst window's end, or of the abort
	Windows  int           `json:"windows,omitempty"` // full windows judged
}

// ThresholdError is a threshold that cannot be read or does not fit its plan.
// Offset is where in Text, in bytes from 0.
type ThresholdError struct {
	Text    string
	Offset  int
	Message string
}

// Error names the threshold, the column of the bad word (from 1) and the remedy.
func (e *ThresholdError) Error() string {
	column := utf8.RuneCountInString(e.Text[:e.Offset]) + 1
	return fmt.Sprintf("threshold %q, column %d: %s", e.Text, column, e.Message)
}

// MaxThreshold is the longest latency a threshold can ask for: histograms
// count what is longer at this value.
const MaxThreshold = HistogramMax * time.Microsecond

// String writes the threshold in its one normal form; Text does not count.
func (t Threshold) String() string {
	var b strings.Builder
	switch {
	case t.Phase != "":
		b.WriteString(phaseScope + quoteName(t.Phase) + " ")
	case t.Step != "":
		b.WriteString(stepScope + quoteName(t.Step) + " ")
	}
	b.WriteString(t.Metric + " " + t.Op + " " + t.value())
	if t.Window != 0 {
		b.WriteString(" in every " + t.Window.String())
	}
	if t.Abort {
		b.WriteString(" abort")
	}
	return b.String()
}

func quoteName(name string) string {
	q := strconv.Quote(name)
	if q != `"`+name+`"` || strings.ContainsFunc(name, unicode.IsSpace) || name[0] == '\'' {
		return q
	}
	return name
}

func (t Threshold) value() string {
	switch t.Metric {
	case "rate":
		return decimal(t.Value) + "/s"
	case "errors", "unsent":
		// 100 times a share is not always exact, and the text must read back.
		if percent := decimal(100 * t.Value); readShare(percent) == t.Value {
			return percent + "%"
		}
		return decimal(t.Value)
	}
	return time.Duration(math.Round(t.Value * float64(time.Second))).String()
}

func decimal(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

// check reports whether the threshold can be judged in p: what it names is
// there, and its window has room. The error is a *ThresholdError.
func (t Threshold) check(p *Plan) error {
	// A threshold made in Go passes the same rules as a written one.
	if _, err := ParseThreshold(t.String()); err != nil {
		return err
	}
	var names []string
	var longest time.Duration
	for _, ph := range p.Phases {
		names = append(names, ph.Name)
		if t.Phase == "" || t.Phase == ph.Name {
			longest = max(longest, ph.For)
		}
	}
	if err := t.checkName("phase", t.Phase, names); err != nil {
		return err
	}
	if err := t.checkName("step", t.Step, p.Steps()); err != nil {
		return err
	}
	if t.Window > longest {
		where := "the longest phase"
		if t.Phase != "" {
			where = fmt.Sprintf("phase %q", t.Phase)
		}
		text, at := t.locate(" every ")
		return &ThresholdError{Text: text, Offset: at, Message: fmt.Sprintf(
			"a window of %s does not fit into %s of %s: only full windows are judged", t.Window, where, longest)}
	}
	return nil
}

func (t Threshold) checkName(kind, name string, known []string) error {
	if name == "" {
		return nil
	}
	quoted := make([]string, len(known))
	for i, k := range known {
		if k == name {
			return nil
		}
		quoted[i] = strconv.Quote(k)
	}
	text, at := t.locate(kind + ":")
	return &ThresholdError{Text: text, Offset: at, Message: fmt.Sprintf("the plan has no %s %q%s: it has %s",
		kind, name, DidYouMean(Nearest(name, known)), strings.Join(quoted, ", "))}
}

// locate returns the text to blame and the offset in it of what follows mark.
func (t Threshold) locate(mark string) (string, int) {
	for _, text := range []string{t.Text, t.String()} {
		if i := strings.LastIndex(text, mark); i >= 0 {
			return text, i + len(mark)
		}
	}
	return t.Text, 0
}
