package selftest_test

import (
	"testing"
	"time"

	"go.uber.org/goleak"
)

// patient gives goroutines that are about to end the time that a busy machine
// takes for it: goleak looks for half a second.
type patient struct{ *testing.M }

// Run implements goleak.TestingM.
func (p patient) Run() int {
	code := p.M.Run()
	for end := time.Now().Add(time.Minute); code == 0 && goleak.Find() != nil && time.Now().Before(end); {
		time.Sleep(100 * time.Millisecond)
	}
	return code
}
