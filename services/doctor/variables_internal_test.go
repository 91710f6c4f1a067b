package doctor

import "testing"

// Grafana's spellings of a variable, and names that begin alike.
func TestReplacer(t *testing.T) {
	r := replacer(map[string]string{"run": "R", "runs": "S", "phase": ".*"})
	for query, want := range map[string]string{
		`m{a="$run",b="$runs"}`:      `m{a="R",b="S"}`,
		`${run} ${runs:raw} $run|`:   `R S R|`,
		`p=~"${phase:regex}" $other`: `p=~".*" $other`,
	} {
		if got := r.Replace(query); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
}
