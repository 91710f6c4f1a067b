package telemetry_test

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

// noneLeft is goleak.VerifyNone with as much patience.
func noneLeft(t *testing.T, but goleak.Option) {
	t.Helper()
	var err error
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if err = goleak.Find(but); err == nil {
			return
		}
	}
	t.Error(err)
}
