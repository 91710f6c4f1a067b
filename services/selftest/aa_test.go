package selftest

import (
	"context"
	"testing"
)

func TestAA(t *testing.T) {
	if testing.Short() {
		t.Skip("1,200 simulated comparisons")
	}
	rows, err := Run(context.Background(), []string{"aa"}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != 6 {
		t.Errorf("%d rows, want 6", len(rows))
	}
	for _, r := range rows {
		t.Logf("%+v", r)
		if !r.OK {
			t.Errorf("%s, %s: %s, want %s", r.Case, r.What, r.Got, r.Want)
		}
	}
}

// The mutation: runs in blocks, as most people make them. The test of equal
// services must turn red.
func TestAATurnsRedWithoutInterleaving(t *testing.T) {
	if testing.Short() {
		t.Skip("600 simulated comparisons")
	}
	rows, err := aaRows(context.Background(), Options{OnStage: func(string) {}}, 200, inBlocks)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows[:3] {
		if r.OK {
			t.Errorf("%s stayed right: %s, want %s", r.What, r.Got, r.Want)
		}
	}
}
