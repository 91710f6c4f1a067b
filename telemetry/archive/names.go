package archive

import (
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/taillight-load/taillight/loadgen"
)

// planNames resolves indices to the names that stand in the files, and back.
type planNames struct {
	phases, steps, journeys []string
}

func namesOf(p *loadgen.Plan) planNames {
	n := planNames{steps: p.Steps()}
	for i := range p.Phases {
		n.phases = append(n.phases, p.Phases[i].Name)
	}
	for i := range p.Journeys {
		n.journeys = append(n.journeys, p.Journeys[i].Name)
	}
	return n
}

// check reports what would keep a name from being read back as the index it
// stands for.
func (n planNames) check() error {
	return errors.Join(unambiguous("phase", n.phases), unambiguous("step", n.steps), unambiguous("journey", n.journeys))
}

func unambiguous(what string, names []string) error {
	for i, name := range names {
		switch {
		case !utf8.ValidString(name):
			return fmt.Errorf("%s name %q is not UTF-8: rename it", what, name)
		case slices.Contains(names[:i], name):
			return fmt.Errorf("two of the plan's %ss are called %q: rename one", what, name)
		}
	}
	return nil
}

func nameAt(what string, names []string, i int) (string, error) {
	if i < 0 || i >= len(names) {
		return "", fmt.Errorf("%s %d: the plan has %d", what, i, len(names))
	}
	return names[i], nil
}

func indexOf(what string, names []string, name string) (int, error) {
	i := slices.Index(names, name)
	if i < 0 {
		return 0, fmt.Errorf("%s %q is not in the run's plan", what, name)
	}
	return i, nil
}
