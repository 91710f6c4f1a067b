package explain_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/telemetry/explain"
)

// outlier makes one early exchange of the spike wait for a SYN retry, as the
// 1,465 ms of the seed's report would have.
func outlier(xs []loadgen.Exchange) {
	for i := range xs {
		if x := &xs[i]; !x.Reused && x.User == 29 {
			x.Done = x.Sent + 1465*ms
			x.Timings = loadgen.Timings{Connect: 1021 * ms, Wait: 444 * ms}
			x.TCP = &loadgen.TCPInfo{TotalRetrans: 1, RTT: 100 * time.Microsecond}
			return
		}
	}
}

func TestSeedsTests(t *testing.T) {
	spike := spikeTest.run(outlier)
	spike.Spans = serverSpans(spike.Exchanges, spike.Result.Began)
	for name, in := range map[string]explain.Input{
		"load": loadTest.run(), "stress": stressTest.run(), "spike": spike, "saturated": saturated.run(),
	} {
		t.Run(name, func(t *testing.T) {
			verdict, reason := explain.Verdict(in)
			golden(t, name, text(explain.Explain(in))+string(verdict)+" - "+reason+"\n")
		})
	}
}

func TestStressSaysThatUsersAndThinkTimeCappedIt(t *testing.T) {
	found, why := rule(explain.Explain(stressTest.run()), "F4")
	if len(found) != 1 {
		t.Fatalf("silent: %s", why)
	}
	for _, want := range []string{"Users and think time capped throughput near 23", "/s in phase steady", "the target's limit was not reached"} {
		if !strings.Contains(found[0].Claim, want) {
			t.Errorf("%q lacks %q", found[0].Claim, want)
		}
	}
}

// One core and 3 ms of CPU serve 333/s; 50 users with 100 ms of thinking could
// ask for 50/(0.003 + 0.1) = 485/s. There the target is the limit.
func TestSaturatedTargetIsNotCalledCapped(t *testing.T) {
	found, why := rule(explain.Explain(saturated.run()), "F4")
	if len(found) > 0 {
		t.Fatalf("spoke: %s", found[0].Claim)
	}
	// 333/s and the 50 requests that were in service at the end: 20,016 in 60 s.
	for _, want := range []string{"334/s", "485/s"} {
		if !strings.Contains(why, want) {
			t.Errorf("%q lacks %q", why, want)
		}
	}
}

func TestExplainIsDeterministic(t *testing.T) {
	in := spikeTest.run(outlier)
	in.Spans = serverSpans(in.Exchanges, in.Result.Began)
	if a, b := explain.Explain(in), explain.Explain(in); !reflect.DeepEqual(a, b) {
		t.Errorf("two readings differ:\n%s\n%s", text(a), text(b))
	}
}
