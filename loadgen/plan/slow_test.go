package plan_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/taillight-load/taillight/loadgen/plan"
)

func TestSlow(t *testing.T) {
	const M = 1 << 20
	rep := func(s string) string { return strings.Repeat(s, M/len(s)) }
	for _, s := range []string{rep("a: b\n"), strings.Repeat("a: b\n", 7400), "a: {" + strings.Repeat("a: b,", 7000) + "}", strings.Repeat("'' ", 29000), "a: [" + strings.Repeat("'' ", 29000), rep("- a\n"), rep("a "), rep("a"), rep("a\n"), "\"" + rep("a\n"), "a: |\n" + rep("  x\n"), rep("#a\n"), rep(":"), rep(","), rep(" "), rep("\n"), rep("-"), rep("---\n"), rep("'"), rep("\""), rep("{"), rep("}"), rep("["), rep("- "), rep("? "), rep("&a "), rep("a: |\n"), "a: " + rep("\n "), "a: |\n" + rep(" \n"), "a: >\n" + rep(" b\n\n"), rep("a: 'b\n"), rep("é"), rep("a:\n"), rep("%"), rep("%a\n"), rep("\\"), "\"" + rep("\\u0041"), rep("<<"), rep("a: 1e9\n"), rep("0x1\n"), rep("12345"), rep("a#"), rep(" #"), rep("!"), "a: " + rep("é "), rep("- - - - - - - - a\n"), strings.Repeat("a: |\n b\n", 5000), strings.Repeat("a: 'b\n b'\n", 5000), rep("\r"), rep("\t"), rep(".1"), rep("1_"), rep("-\n"), "a:\n" + rep("  \n") + "  b", "a: b\n" + rep(" c\n"), "a: \n" + rep("    \n    #b\n")} {
		t0 := time.Now()
		_, err := plan.Parse("x.yaml", []byte(s))
		d := time.Since(t0)
		if d > 300*time.Millisecond {
			e := fmt.Sprint(err)
			fmt.Printf("%.12q %v %.80s\n", s, d, e)
		}
	}
}
