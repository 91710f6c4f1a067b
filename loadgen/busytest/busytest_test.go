package busytest

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// scenarioEnv says that this process is one that another test looks at, and how
// long it waits for its goroutines.
const scenarioEnv = "TAILLIGHT_TEST_SCENARIOS"

func TestMain(m *testing.M) {
	if d, err := time.ParseDuration(os.Getenv(scenarioEnv)); err == nil {
		goleak.VerifyTestMain(patient{m, d})
	}
	Main(m)
}

// scenario is a test, and what it prints: "PASS", "FAIL" or "SKIP" and then the
// lines that it logs, in order.
type scenario struct {
	test func(t *testing.T)
	want string
}

func scenarios() map[string]scenario {
	return map[string]scenario{
		"right": {func(t *testing.T) {
			Retry(t, func(t, retry testing.TB) {
				t.Log("made")
				if retry.Failed() || t.Failed() || t.Skipped() {
					t.Error("it says that it failed")
				}
			})
			t.Log("after")
		}, "PASS made, after"},
		"late twice": {func(t *testing.T) {
			n := 0
			Retry(t, func(t, retry testing.TB) {
				if n++; n < 3 {
					retry.Errorf("late %d", n)
				}
				if (n < 3) != retry.Failed() || t.Failed() {
					t.Error("who failed?")
				}
			})
		}, "PASS to be tried again: late 1, to be tried again: late 2, attempts 3"},
		"always late": {func(t *testing.T) {
			n := 0
			Retry(t, func(_, retry testing.TB) {
				n++
				retry.Error("late ", n)
			})
			t.Log("after")
		}, "FAIL " + tried(5) + ", late 6, attempts 6, after"},
		"always late and cannot go on": {func(t *testing.T) {
			n := 0
			Retry(t, func(t, retry testing.TB) {
				n++
				retry.Fatalf("late %d", n)
				t.Log("it went on")
			})
			t.Log("it went on after it")
		}, "FAIL " + tried(5) + ", late 6, attempts 6"},
		"fails now": {func(t *testing.T) {
			n := 0
			Retry(t, func(_, retry testing.TB) {
				if n++; n < 2 {
					retry.FailNow()
				}
			})
		}, "PASS to be tried again: it failed without a word, attempts 2"},
		"a wrong fact": {func(t *testing.T) {
			Retry(t, func(t, _ testing.TB) { t.Errorf("wrong") })
			t.Log("after")
		}, "FAIL wrong, after"},
		"a wrong fact beside lateness": {func(t *testing.T) {
			Retry(t, func(t, retry testing.TB) {
				retry.Error("late")
				t.Error("wrong")
			})
		}, "FAIL to be tried again: late, wrong"},
		"a wrong fact in the second attempt": {func(t *testing.T) {
			n := 0
			Retry(t, func(t, retry testing.TB) {
				if n++; n == 2 {
					t.Fatal("wrong")
				}
				retry.Error("late 1")
			})
			t.Log("it went on")
		}, "FAIL to be tried again: late 1, wrong, attempts 2"},
		"a wrong fact told to the test": {func(t *testing.T) {
			Retry(t, func(_, retry testing.TB) {
				retry.Error("late")
				t.Fatal("wrong")
			})
		}, "FAIL to be tried again: late, wrong"},
		"a wrong fact before": {func(t *testing.T) {
			t.Error("wrong")
			Retry(t, func(_, retry testing.TB) { retry.Error("late") })
		}, "FAIL wrong, late"},
		"a cleanup finds it": {func(t *testing.T) {
			n := 0
			Retry(t, func(t, retry testing.TB) {
				n++
				t.Cleanup(func() { t.Log("the first") })
				retry.Cleanup(func() {
					if n < 2 {
						retry.Fatal("late 1")
					}
					t.Fatal("wrong")
				})
				t.Cleanup(func() { t.Log("the last") })
			})
		}, "FAIL the last, to be tried again: late 1, the first, the last, wrong, the first, attempts 2"},
		"a skip": {func(t *testing.T) {
			Retry(t, func(t, _ testing.TB) { t.Skip("not here") })
			t.Log("it went on")
		}, "SKIP not here"},
		"a skip after lateness": {func(t *testing.T) {
			n := 0
			Retry(t, func(_, retry testing.TB) {
				n++
				retry.Errorf("late %d", n)
				retry.Skipf("not %s", "here")
			})
		}, "FAIL " + strings.ReplaceAll(tried(5), ",", ", not here,") + ", not here, late 6, not here, attempts 6"},
		"a skip in the second attempt": {func(t *testing.T) {
			n := 0
			Retry(t, func(t, retry testing.TB) {
				if n++; n == 2 {
					t.Skip("not here")
				}
				retry.Error("late")
			})
		}, "FAIL to be tried again: late, not here, attempts 2, late"},
		"a skip after a wrong fact": {func(t *testing.T) {
			Retry(t, func(t, _ testing.TB) {
				t.Error("wrong")
				t.Skip("not here")
			})
		}, "FAIL wrong, not here"},
		"each has its own": {func(t *testing.T) {
			t.Setenv("TAILLIGHT_TEST_SET", "outside")
			home, _ := os.Getwd()
			n := 0
			Retry(t, func(t, retry testing.TB) {
				n++
				_, set := os.LookupEnv("TAILLIGHT_TEST_UNSET")
				if is, _ := os.Getwd(); is != home || set || os.Getenv("TAILLIGHT_TEST_SET") != "outside" || t.Context().Err() != nil {
					t.Errorf("attempt %d begins in %s, with %q", n, is, os.Getenv("TAILLIGHT_TEST_SET"))
				}
				t.Chdir(t.TempDir())
				retry.Setenv("TAILLIGHT_TEST_SET", "inside")
				t.Setenv("TAILLIGHT_TEST_UNSET", "inside")
				if is, _ := os.Getwd(); is == home || os.Getenv("TAILLIGHT_TEST_SET")+os.Getenv("TAILLIGHT_TEST_UNSET") != "insideinside" {
					t.Errorf("attempt %d is in %s", n, is)
				}
				t.Cleanup(func() { t.Logf("%d: %v", n, t.Context().Err()) })
				if n == 1 {
					retry.Error("late")
				}
			})
			if t.Context().Err() != nil {
				t.Error("the test's own context has ended")
			}
		}, "PASS to be tried again: late, 1: context canceled, 2: context canceled, attempts 2"},
	}
}

// tried is what is printed of so many attempts before the last.
func tried(n int) string {
	var all []string
	for i := range n {
		all = append(all, "to be tried again: late "+string(rune('1'+i)))
	}
	return strings.Join(all, ", ")
}

// TestScenario is no test of its own: TestRetry looks at it from outside.
func TestScenario(t *testing.T) {
	if os.Getenv(scenarioEnv) == "" {
		t.Skip("made by TestRetry")
	}
	for name, s := range scenarios() {
		t.Run(name, s.test)
	}
}

// A test that fails can only be seen from outside: so this program is started
// again, and what it prints is read.
func TestRetry(t *testing.T) {
	out, err := again(t, "^TestScenario$", patience)
	if err == nil {
		t.Error("tests fail and the program ends well")
	}
	got := printed(out)
	for name, s := range scenarios() {
		if is := got[name]; is != s.want {
			t.Errorf("%s:\n got %s\nwant %s", name, is, s.want)
		}
	}
	if t.Failed() {
		t.Log(out)
	}
}

// again runs some tests of this program in another process.
func again(t *testing.T, tests string, wait time.Duration) (string, error) {
	t.Helper()
	c := exec.CommandContext(t.Context(), os.Args[0], "-test.run="+tests, "-test.v")
	c.Env = append(os.Environ(), scenarioEnv+"="+wait.String())
	out, err := c.CombinedOutput()
	return string(out), err
}

// printed reads what each scenario printed, in the words of its wants.
func printed(out string) map[string]string {
	const in = " TestScenario/"
	said, all := map[string][]string{}, map[string]string{}
	name := ""
	for line := range strings.Lines(out) {
		line = strings.TrimSpace(line)
		kind, rest, _ := strings.Cut(line, in)
		rest, result, _ := strings.Cut(rest, " ") // a space in a name is printed as _
		of := strings.ReplaceAll(rest, "_", " ")
		switch kind = strings.TrimSpace(kind); {
		case kind == "=== RUN", kind == "=== NAME":
			name = of
		case kind == "=== ATTR":
			said[of] = append(said[of], result)
		case strings.HasPrefix(kind, "--- "):
			all[of] = strings.TrimSuffix(strings.TrimPrefix(kind, "--- "), ":") + " " + strings.Join(said[of], ", ")
		default:
			if _, text, ok := strings.Cut(line, "_test.go:"); ok { // a line of the scenario, not of Retry
				_, text, _ = strings.Cut(text, ": ")
				said[name] = append(said[name], text)
			}
		}
	}
	return all
}

// TestLeak is no test of its own: TestGoroutinesAreMissed looks at it.
func TestLeak(t *testing.T) {
	if os.Getenv(scenarioEnv) == "" {
		t.Skip("made by TestGoroutinesAreMissed")
	}
	go func() { select {} }()
}

// What never ends is named; what ends late, and later than goleak waits, is
// waited for.
func TestGoroutinesAreMissed(t *testing.T) {
	out, err := again(t, "^TestLeak$", time.Millisecond)
	if err == nil || !strings.Contains(out, "found unexpected goroutines") || !strings.Contains(out, "TestLeak") {
		t.Errorf("%v:\n%s", err, out)
	}
	before := goleak.IgnoreCurrent()
	late := time.NewTimer(1500 * time.Millisecond)
	go func() { <-late.C }()
	if goleak.Find(before) == nil {
		t.Log("goleak waited for it alone: this machine stood still")
	}
	NoneLeft(t, before)
}

func TestAwait(t *testing.T) {
	n := 0
	Await(t, "the third look", func() bool { n++; return n == 3 })
	if n != 3 {
		t.Errorf("%d looks", n)
	}
}
