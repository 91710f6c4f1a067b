package busytest

import (
	"testing"
	"time"

	"go.uber.org/goleak"
)

// patience is how long is waited for what must come: long enough for any
// machine, and the end of what hangs.
const patience = 2 * time.Minute

// Await returns once ok says that it came. The test ends if it never does.
func Await(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: still not so after %s", what, patience)
		}
	}
}

// Main is a package's TestMain: the tests, and then no goroutine may be left.
// It does not return.
func Main(m *testing.M) { goleak.VerifyTestMain(patient{m, patience}) }

// patient gives goroutines that are about to end the time that a busy machine
// takes for it: goleak looks for half a second.
type patient struct {
	*testing.M
	most time.Duration
}

// Run implements goleak.TestingM.
func (p patient) Run() int {
	code := p.M.Run()
	if code == 0 {
		_ = left(p.most) // goleak looks again, and says what it finds
	}
	return code
}

// NoneLeft fails the test unless all goroutines end that are not among the
// exceptions.
func NoneLeft(t testing.TB, but ...goleak.Option) {
	t.Helper()
	if err := left(patience, but...); err != nil {
		t.Error(err)
	}
}

// left is what goleak finds when nothing ends any more.
func left(most time.Duration, but ...goleak.Option) error {
	for end := time.Now().Add(most); ; time.Sleep(100 * time.Millisecond) {
		err := goleak.Find(but...)
		if err == nil || time.Now().After(end) {
			return err
		}
	}
}
