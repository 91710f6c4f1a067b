package collector_test

import (
	"flag"
	"os"
	"testing"
)

// TestMain gives the random tests a budget of 1,000 requests each, a few
// seconds in all; -rapid.checks asks for another.
func TestMain(m *testing.M) {
	if err := flag.Set("rapid.checks", "1000"); err != nil {
		panic(err)
	}
	flag.Parse()
	os.Exit(m.Run())
}
