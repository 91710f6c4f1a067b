package plan

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"

	"github.com/taillight-load/taillight/loadgen"
)

// Format writes a plan as YAML; defaults are left out. For every plan that
// Parse can return, Parse of the text returns that plan again.
func Format(p *loadgen.Plan) []byte {
	w := &writer{}
	w.line(0, "name: %s", quote(p.Name))
	if p.Target != "" {
		w.line(0, "target: %s", quote(p.Target))
	}
	if p.Think != (loadgen.Think{}) {
		w.line(0, "think: %s", writeThink(p.Think))
	}
	w.line(0, "phases:")
	for i := range p.Phases {
		ph := &p.Phases[i]
		w.line(1, "- %s", flow(append([]string{"name: " + quote(ph.Name)},
			append(loadKeys(&ph.Load), "for: "+writeDuration(ph.For))...)))
	}
	w.journeys(p)
	if len(p.Thresholds) > 0 {
		w.line(0, "thresholds:")
	}
	for _, t := range p.Thresholds {
		text := t.Text
		if read, err := loadgen.ParseThreshold(text); err != nil || read != t {
			text = t.String()
		}
		w.line(1, "- %s", quoteThreshold(text))
	}
	w.settings(p)
	return w.Bytes()
}

type writer struct{ bytes.Buffer }

func (w *writer) line(level int, format string, args ...any) {
	w.WriteString(strings.Repeat("  ", level))
	fmt.Fprintf(w, format, args...)
	w.WriteByte('\n')
}

func (w *writer) settings(p *loadgen.Plan) {
	if p.Seed != 0 {
		w.line(0, "seed: %d", p.Seed)
	}
	if p.Timeout != 0 && p.Timeout != loadgen.DefaultTimeout {
		w.line(0, "timeout: %s", writeDuration(p.Timeout))
	}
	if p.Drain != 0 && p.Drain != loadgen.DefaultDrain {
		w.line(0, "drain: %s", writeDuration(p.Drain))
	}
	if p.MaxInFlight != 0 && p.MaxInFlight != loadgen.DefaultMaxInFlight {
		w.line(0, "max_in_flight: %d", p.MaxInFlight)
	}
	if p.TraceShare != defaultTraceShare {
		w.line(0, "trace_share: %s", decimal(p.TraceShare))
	}
	if p.WakeEvery != 0 && p.WakeEvery != loadgen.DefaultWakeEvery {
		w.line(0, "wake_every: %s", writeDuration(p.WakeEvery))
	}
	w.transport(&p.Transport)
}

func (w *writer) journeys(p *loadgen.Plan) {
	defaults := p.WithDefaults().Journeys
	if len(defaults) == 1 && isPlain(&defaults[0]) {
		w.steps(0, defaults[0].Steps)
		return
	}
	w.line(0, "journeys:")
	for i := range defaults {
		j := &defaults[i]
		w.line(1, "- name: %s", quote(j.Name))
		switch {
		case j.Load != nil:
			w.line(2, "load: %s", flow(loadKeys(j.Load)))
		case j.Weight != 1:
			w.line(2, "weight: %s", decimal(j.Weight))
		}
		w.steps(2, j.Steps)
	}
}

// isPlain reports whether steps alone make j the plan's one journey.
func isPlain(j *loadgen.Journey) bool {
	alone := loadgen.Plan{Journeys: []loadgen.Journey{{}}}.WithDefaults().Journeys[0]
	return j.Load == nil && j.Name == alone.Name && j.Weight == alone.Weight
}

func (w *writer) steps(level int, steps []loadgen.Step) {
	w.line(level, "steps:")
	for i := range steps {
		w.step(level+1, &steps[i])
	}
}

func (w *writer) step(level int, st *loadgen.Step) {
	short := st.Method + " " + st.Path
	simple := st.Name == short && len(st.Headers) == 0 && st.Body == "" && st.BodyFile == "" && st.Think == nil &&
		len(st.Expect.Status) == 0 && st.Expect.Body == ""
	if simple {
		w.line(level, "- %s", quote(short))
		return
	}
	w.line(level, "- name: %s", quote(st.Name))
	w.line(level+1, "method: %s", st.Method)
	w.line(level+1, "path: %s", quote(st.Path))
	if len(st.Headers) > 0 {
		w.line(level+1, "headers:")
	}
	for _, name := range slices.Sorted(maps.Keys(st.Headers)) {
		w.line(level+2, "%s: %s", quote(name), quote(st.Headers[name]))
	}
	if st.Body != "" {
		w.line(level+1, "body: %s", quote(st.Body))
	}
	if st.BodyFile != "" {
		w.line(level+1, "body_file: %s", quote(st.BodyFile))
	}
	if expect := expectKeys(&st.Expect); len(expect) > 0 {
		w.line(level+1, "expect: %s", flow(expect))
	}
	if st.Think != nil {
		w.line(level+1, "think: %s", writeThink(*st.Think))
	}
}

func flow(keys []string) string { return "{" + strings.Join(keys, ", ") + "}" }

func loadKeys(l *loadgen.Load) []string {
	var keys []string
	if l.Users != nil {
		keys = append(keys, "users: "+writeRamp(*l.Users, ""))
	}
	if l.Rate != nil {
		keys = append(keys, "rate: "+writeRamp(*l.Rate, "/s"))
	}
	if l.Arrivals != loadgen.Uniform {
		keys = append(keys, "arrivals: "+string(l.Arrivals))
	}
	return keys
}

func expectKeys(e *loadgen.Expect) []string {
	var keys, status []string
	for _, r := range e.Status {
		status = append(status, writeStatus(r))
	}
	switch len(status) {
	case 0:
	case 1:
		keys = append(keys, "status: "+status[0])
	default:
		keys = append(keys, "status: ["+strings.Join(status, ", ")+"]")
	}
	if e.Body != "" {
		keys = append(keys, "body: "+quote(e.Body))
	}
	return keys
}

func writeRamp(r loadgen.Ramp, unit string) string {
	switch {
	case r.From == r.To && r.By == 0:
		return decimal(r.From) + unit
	case r.By == 0:
		return decimal(r.From) + unit + " -> " + decimal(r.To) + unit
	}
	return decimal(r.From) + unit + " -> " + decimal(r.To) + unit + " by " + decimal(r.By) + unit
}

func writeThink(t loadgen.Think) string {
	switch t.Kind {
	case loadgen.ThinkUniform:
		return writeDuration(t.Min) + ".." + writeDuration(t.Max)
	case loadgen.ThinkExponential:
		return "exp " + writeDuration(t.Max)
	case loadgen.ThinkPacing:
		return "pacing " + writeDuration(t.Max)
	}
	return writeDuration(t.Max)
}

// quote writes a text so that YAML reads it back in every place: plain when
// that is safe, in single quotes when it is plain characters, and escaped
// otherwise.
func quote(s string) string {
	switch {
	case isBare(s):
		return s
	case s != "" && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' }):
		return "'" + strings.ReplaceAll(s, "'", "''") + "'"
	}
	return escape(s)
}

// escape writes a double-quoted text. Go's escapes are YAML's, but for one:
// YAML's \x is a character, Go's a byte.
func escape(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case unicode.IsPrint(r) && r != '\ufeff':
			b.WriteRune(r)
		case r > 0xffff:
			fmt.Fprintf(&b, `\U%08x`, r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// isBare reports whether s needs no quotes in any place, flow included.
func isBare(s string) bool {
	const marks = "_-./?=&+~%"
	for i, r := range s {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		switch {
		case letter, i == 0 && r == '/':
		case i == 0:
			return false
		case r >= '0' && r <= '9', strings.ContainsRune(marks, r):
		case r == ' ' && i < len(s)-1:
		case r == ':' && i < len(s)-1 && s[i+1] != ' ':
		default:
			return false
		}
	}
	switch strings.ToLower(s) {
	case "", "null", "true", "false", "yes", "no", "on", "off", "y", "n":
		return false
	}
	return true
}

// quoteThreshold leaves thresholds as readable as they are written by hand:
// nothing in their usual form is special to a block of YAML.
func quoteThreshold(s string) string {
	plain := strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789 .<>=%/") == ""
	if plain && s[0] >= 'a' && s[0] <= 'z' {
		return s
	}
	return quote(s)
}
