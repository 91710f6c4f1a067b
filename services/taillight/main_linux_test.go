package main

import (
	"fmt"
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// The scripts in testdata/script run the real program: the test binary stands
// in for it when it is called by its name.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"taillight": main})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			e.Setenv("HOME", e.WorkDir)
			e.Setenv("TERM", os.Getenv("TERM"))
			return nil
		},
		Condition: func(cond string) (bool, error) {
			if cond == "mount" {
				return canMount(t), nil
			}
			return false, fmt.Errorf("unknown condition %s", cond)
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"answers":   answers,
			"deaf":      deaf,
			"exits":     exits,
			"forestall": forestall,
			"interrupt": interrupt,
			"settles":   settles,
			"tinydisk":  tinyDisk,
			"waitfor":   waitFor,
		},
	})
}
