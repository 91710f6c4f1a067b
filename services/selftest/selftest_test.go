package selftest_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/taillight-load/taillight/services/selftest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestOmission(t *testing.T) {
	if testing.Short() {
		t.Skip("20 s of load")
	}
	rows, err := selftest.Run(context.Background(), []string{"omission"}, selftest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != 14 {
		t.Errorf("%d rows, want two cases of 7", len(rows))
	}
	for _, r := range rows {
		if r.What == "sent" && !r.OK {
			t.Errorf("%s: %s sent, want %s (%s)", r.Case, r.Got, r.Want, r.Note)
		}
		t.Logf("%v", r)
	}
}

func TestUnknownNameListsWhatThereIs(t *testing.T) {
	_, err := selftest.Run(context.Background(), []string{"omision"}, selftest.Options{})
	var unknown *selftest.UnknownTestError
	if !errors.As(err, &unknown) || !strings.Contains(err.Error(), "there are omission, capacity, aa") {
		t.Errorf("error %v", err)
	}
}
