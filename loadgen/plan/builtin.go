package plan

import (
	"embed"
	"fmt"
	"strings"

	"github.com/taillight-load/taillight/loadgen"
)

//go:embed builtin/*.yaml
var builtin embed.FS

// Info is a built-in plan in a list.
type Info struct {
	Name    string
	Summary string // one line
}

// Builtins returns the plans that come with Taillight, the quickest first.
func Builtins() []Info {
	return []Info{
		{"smoke", "2 users for 5 s: does it answer at all"},
		{"load", "10 users at 2 a second, 30 s: the everyday load"},
		{"stress", "50 users at 5 a second, 60 s: five times that load"},
		{"spike", "30 users at once, 17 s: a sudden crowd"},
		{"soak", "10 users for 30 min: what grows over time"},
		{"breakpoint", "20 to 2,000 requests a second in 3 min: stops where a threshold breaks"},
	}
}

// Builtin returns a built-in plan, which has no target. An unknown name is an
// error that lists the names.
func Builtin(name string) (*loadgen.Plan, error) {
	data, err := BuiltinYAML(name)
	if err != nil {
		return nil, err
	}
	return Parse(name+".yaml", data)
}

// BuiltinYAML returns the text of a built-in plan, to print and to start one's
// own from.
func BuiltinYAML(name string) ([]byte, error) {
	names := make([]string, 0, len(Builtins()))
	for _, b := range Builtins() {
		names = append(names, b.Name)
		if b.Name == name {
			return builtin.ReadFile("builtin/" + name + ".yaml")
		}
	}
	return nil, fmt.Errorf("no built-in plan %q%s: there are %s",
		name, loadgen.DidYouMean(loadgen.Nearest(name, names)), strings.Join(names, ", "))
}
