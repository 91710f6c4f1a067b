package explain

import (
	"fmt"
	"strings"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/telemetry/signal"
)

// altered says what the load was changed to while phase i ran, or nothing.
func (f *facts) altered(i int) string {
	var said []string
	for k := range f.result.Changes {
		if ch := &f.result.Changes[k]; ch.Phase == i {
			said = append(said, changeText(ch))
		}
	}
	return strings.Join(said, ", ")
}

// changes says what the load was changed to, or nothing; it follows a
// sentence.
func (f *facts) changes() string {
	if len(f.result.Changes) == 0 {
		return ""
	}
	var said []string
	for i := range f.result.Changes {
		said = append(said, changeText(&f.result.Changes[i]))
	}
	const most = 3
	if n := len(said); n > most {
		said = append(said[:most-1], fmt.Sprintf("%d more times, the last to %s", n-most+1, said[n-1]))
	}
	return "; the load was changed while it ran, to " + strings.Join(said, ", ")
}

func changeText(ch *loadgen.Change) string {
	if ch.Rate != nil {
		return fmt.Sprintf("%s at %s", perSecond(*ch.Rate), offset(ch.At))
	}
	return fmt.Sprintf("%s at %s", plural(int64(*ch.Users), "user", "users"), offset(ch.At))
}

// unequal warns of a threshold whose scope had more than one load.
func (f *facts) unequal(t loadgen.Threshold) []signal.Warning {
	var out []signal.Warning
	for i := range f.result.Phases {
		if t.Phase != "" && t.Phase != f.phase(i) || i >= len(f.result.Plan.Phases) {
			continue
		}
		if _, changed := f.result.LoadOf(i); changed {
			out = append(out, signal.Warning(fmt.Sprintf("the load was changed while phase %s ran (%s): this is of both loads together", f.phase(i), f.altered(i))))
		}
	}
	return out
}
