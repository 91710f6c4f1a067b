package explain

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/taillight-load/taillight/loadgen/stats"
	"github.com/taillight-load/taillight/telemetry/signal"
)

// Limits of F14.
const (
	fewestCPUSamples = 200
	leastCoverage    = 0.8
	frameShare       = 0.05 // inclusive, of all samples
	explained        = 0.8  // of a frame by the frames it calls: more, and those are named instead
	shownFrames      = 8
)

// whereCPUGoes is F14: the application's functions that the target's CPU time
// passes through, the deepest that still tell something.
func whereCPUGoes(f *facts) ([]signal.Finding, string) {
	service, profiles := f.profiledService()
	if len(profiles) == 0 {
		return nil, "no CPU profile of the target came"
	}
	set, err := signal.CPUStacks(profiles, nil)
	if err != nil {
		return nil, "a CPU profile could not be read: " + err.Error()
	}
	covered, length := f.covered(profiles), f.result.Elapsed
	coverage := 0.0
	if length > 0 {
		coverage = covered.Seconds() / length.Seconds()
	}
	switch {
	case set.Samples < fewestCPUSamples:
		return nil, fmt.Sprintf("%s of %s, %d needed", plural(set.Samples, "CPU sample", "CPU samples"), service, fewestCPUSamples)
	case coverage < leastCoverage:
		return nil, fmt.Sprintf("CPU profiles of %s cover %s of the run's %s, %s needed",
			service, duration(covered), duration(length), seconds(leastCoverage*length.Seconds()))
	}
	frames := deepest(set)
	if !slices.ContainsFunc(frames, func(fr cpuFrame) bool { return fr.index != alone }) {
		return nil, fmt.Sprintf("no function of the application holds 1 in 20 of the %s CPU samples of %s", count(set.Samples), service)
	}
	served := float64(f.answered()) * min(coverage, 1)
	return []signal.Finding{cpuFinding(f, service, set, frames, served)}, ""
}

func cpuFinding(f *facts, service string, set *signal.StackSet, frames []cpuFrame, served float64) signal.Finding {
	perRequest := func(value int64) float64 {
		if served < 1 {
			return 0
		}
		return float64(value) / 1e9 / served
	}
	var named []string
	total := perRequest(set.Value)
	evidence := []signal.Evidence{
		number("CPU samples", float64(set.Samples), ""),
		number("CPU per request", total, "s"),
	}
	for _, fr := range frames[:min(len(frames), shownFrames)] {
		i := stats.Wilson(float64(fr.samples), float64(set.Samples), confidence)
		share, each := float64(fr.samples)/float64(set.Samples), perRequest(fr.value)
		text := fmt.Sprintf("%s %s (%s", fr.short(), percent(share), percentInterval(i))
		if each > 0 {
			text += fmt.Sprintf("; %s per request", seconds(each))
		}
		named = append(named, text+")")
		e := number("CPU share of "+fr.name, share, "1")
		e.Ref = "profile:cpu"
		evidence = append(append(evidence, e), bounds("CPU share of "+fr.name, i, "1")...)
		evidence = append(evidence, number("CPU per request in "+fr.name, each, "s"))
	}
	claim := fmt.Sprintf("Of n=%s CPU samples of %s, with what they call: %s.", count(set.Samples), service, list(named))
	if total > 0 {
		claim += fmt.Sprintf(" All in all %s of CPU per request.", seconds(total))
	}
	return signal.Finding{
		Title: "Where CPU goes", Severity: signal.Info, Confidence: signal.Strong, Component: frames[0].name,
		Claim: claim, Evidence: evidence,
		Warnings: append(f.shared(), "shares include callees, so they may overlap; the standard library is counted to the function that calls it"),
	}
}

// profiledService returns the CPU profiles of the service with most of them,
// as far as they overlap the run.
func (f *facts) profiledService() (string, []signal.Profile) {
	begin := f.result.Began.UnixNano()
	end := begin + int64(f.result.Elapsed)
	of := map[string][]signal.Profile{}
	best := ""
	for _, p := range f.Profiles {
		if p.Type != "cpu" || p.End <= begin || p.Start >= end {
			continue
		}
		of[p.Service] = append(of[p.Service], p)
		if n, most := len(of[p.Service]), len(of[best]); n > most || n == most && p.Service < best {
			best = p.Service
		}
	}
	return best, of[best]
}

// covered returns how much of the run lies within the profiles, overlaps (of
// several instances) counted once.
func (f *facts) covered(profiles []signal.Profile) time.Duration {
	sorted := slices.SortedFunc(slices.Values(profiles), func(a, b signal.Profile) int { return cmp.Compare(a.Start, b.Start) })
	at := f.result.Began.UnixNano()
	end := at + int64(f.result.Elapsed)
	var covered int64
	for _, p := range sorted {
		from, to := max(p.Start, at), min(p.End, end)
		covered += max(0, to-from)
		at = max(at, to)
	}
	return time.Duration(covered)
}

// cpuFrame is a function with all it calls.
type cpuFrame struct {
	index   int
	name    string
	samples int64
	value   int64 // CPU ns
}

// short drops the directories of a function's import path and its type arguments.
func (c cpuFrame) short() string {
	if c.index == alone {
		return c.name
	}
	name, _, generic := strings.Cut(c.name, "[") // type arguments have import paths of their own
	name = name[strings.LastIndex(name, "/")+1:]
	if generic {
		name += "[...]"
	}
	return name
}

// alone stands for the stacks on which no function of the application is: the
// garbage collector, the scheduler, the network poller.
const alone = -1

// deepest returns the application's functions with at least 1 in 20 samples,
// largest first, without those whose samples lie to four fifths in others of
// the list that they call.
func deepest(set *signal.StackSet) []cpuFrame {
	paths := make([][]int, len(set.Stacks))
	for i, s := range set.Stacks {
		paths[i] = applicationPath(set, s)
	}
	all := frameTotals(set)
	large := func(k int) bool { return float64(all[k].samples) >= frameShare*float64(set.Samples) }
	below := map[int]int64{} // samples in which another large frame comes later
	for i, s := range set.Stacks {
		later := false
		for _, k := range slices.Backward(paths[i]) {
			if later {
				below[k] += s.Samples
			}
			later = later || large(k)
		}
	}
	var frames []cpuFrame
	for k, fr := range all {
		if large(k) && float64(below[k]) < explained*float64(fr.samples) {
			frames = append(frames, fr)
		}
	}
	slices.SortFunc(frames, func(a, b cpuFrame) int {
		return cmp.Or(cmp.Compare(b.samples, a.samples), cmp.Compare(a.name, b.name), cmp.Compare(a.index, b.index))
	})
	return frames
}

// frameTotals adds up the samples of each function of the application, with
// what it calls, by frame.
func frameTotals(set *signal.StackSet) map[int]cpuFrame {
	all := map[int]cpuFrame{}
	for _, s := range set.Stacks {
		for _, k := range applicationPath(set, s) {
			name := "the runtime and standard library alone"
			if k != alone {
				name = set.Frames[k].Function
			}
			fr := all[k]
			all[k] = cpuFrame{k, name, fr.samples + s.Samples, fr.value + s.Value}
		}
	}
	return all
}

// applicationPath returns the application's frames of a stack, root first; of
// a recursion only the last call. Without any it is {alone}.
func applicationPath(set *signal.StackSet, s signal.Stack) []int {
	var frames []int
	for _, k := range s.Frames {
		if !application(set.Frames[k]) {
			continue
		}
		if at := slices.Index(frames, k); at >= 0 {
			frames = slices.Delete(frames, at, at+1)
		}
		frames = append(frames, k)
	}
	if len(frames) == 0 {
		return []int{alone}
	}
	return frames
}

// application reports whether a function is the application's or a module's,
// not the standard library's or the runtime's. In other languages than Go
// there is no telling, and every named function counts.
func application(f signal.Frame) bool {
	switch path.Ext(f.File) {
	case ".go", ".s", "":
	default:
		return f.Function != ""
	}
	name := f.Function
	name, _, _ = strings.Cut(name, "[")
	dir := strings.LastIndexByte(name, '/') + 1
	dot := strings.IndexByte(name[dir:], '.')
	if dot < 0 {
		return false // assembly and C without a package
	}
	first, _, _ := strings.Cut(name[:dir+dot], "/")
	return !standardLibrary(first)
}

// standardLibrary reports whether the first element of an import path is the
// standard library's. Modules may lack a dot there too, so a dot is no test.
func standardLibrary(first string) bool {
	switch first {
	case "archive", "bufio", "bytes", "cmp", "compress", "container", "context", "crypto", "database", "debug",
		"embed", "encoding", "errors", "expvar", "flag", "fmt", "go", "hash", "html", "image", "index", "internal",
		"io", "iter", "log", "maps", "math", "mime", "net", "os", "path", "plugin", "reflect", "regexp", "runtime",
		"slices", "sort", "strconv", "strings", "structs", "sync", "syscall", "testing", "text", "time", "type:",
		"unicode", "unique", "unsafe", "vendor", "weak", "builtin", "simd", "gcWriteBarrier":
		return true
	}
	return false
}
