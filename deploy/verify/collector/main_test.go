package collector_test

import (
	"errors"
	"flag"
	"os"
	"testing"
)

// TestMain gives the random tests 1,000 requests each, a few seconds in all,
// and the same ones every time: what they might find about the collector must
// not come up in the middle of another change. To look for more:
//
//	go test -run TestBoth . -rapid.seed=0 -rapid.checks=60000
func TestMain(m *testing.M) {
	if err := errors.Join(flag.Set("rapid.checks", "1000"), flag.Set("rapid.seed", "1")); err != nil {
		panic(err)
	}
	flag.Parse()
	os.Exit(m.Run())
}
