package plan_test

import (
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/loadgen/plan"
)

// userSeconds returns how long all users of the closed phases are active
// together.
func userSeconds(p *loadgen.Plan) float64 {
	var sum time.Duration
	for _, ph := range p.Phases {
		users := loadgen.NewUsers(*ph.Users, ph.For)
		for u := range users.Len() {
			if start, ok := users.Next(u, 0); ok {
				sum += ph.For - start
			}
		}
	}
	return sum.Seconds()
}

// By Little's law the built-in plans make the requests that their comments
// tell of: user-seconds over the think time and the answer's.
func TestBuiltinRequests(t *testing.T) {
	for _, tc := range []struct {
		name     string
		length   time.Duration
		service  float64 // seconds, mean
		requests float64
	}{
		{"load", 30 * time.Second, 0.013, 1195},    // 277.5 / 0.233
		{"stress", 60 * time.Second, 0.015, 12872}, // 2755 / 0.215
		{"spike", 17 * time.Second, 0.016, 3762},   // 510 / 0.136
	} {
		p, err := plan.Builtin(tc.name)
		if err != nil {
			t.Fatal(err)
		}
		if p.Duration() != tc.length {
			t.Errorf("%s lasts %s, want %s", tc.name, p.Duration(), tc.length)
		}
		think, _ := p.Think.Mean()
		got := userSeconds(p) / (think.Seconds() + tc.service)
		if math.Abs(got/tc.requests-1) > 0.04 {
			t.Errorf("%s: %.0f requests, want %.0f within 4 %%", tc.name, got, tc.requests)
		}
	}
}

// phases writes phases in short, as plans do.
func phases(p *loadgen.Plan) string {
	var b strings.Builder
	for line := range strings.Lines(string(plan.Format(p))) {
		if phase, found := strings.CutPrefix(line, "  - {name: "); found {
			b.WriteString(strings.Replace(phase, "}\n", "; ", 1))
		}
	}
	return b.String()
}

func TestLocust(t *testing.T) {
	for _, tc := range []struct {
		users     int
		spawnRate float64
		runTime   time.Duration
		want      string
	}{
		{10, 2, 30 * time.Second, "ramp, users: 0 -> 10, for: 5s; steady, users: 10, for: 25s; "},
		{50, 5, time.Minute, "ramp, users: 0 -> 50, for: 10s; steady, users: 50, for: 50s; "},
		{30, 30, 17 * time.Second, "steady, users: 30, for: 17s; "},
		{30, 0, 17 * time.Second, "steady, users: 30, for: 17s; "},
		{30, 100, 17 * time.Second, "steady, users: 30, for: 17s; "},
		{10, 1, 10 * time.Second, "ramp, users: 0 -> 10, for: 10s; "},
		{10, 1, 2500 * time.Millisecond, "ramp, users: 0 -> 2.5, for: 2.5s; "},
		{10, 3, 10 * time.Second, "ramp, users: 0 -> 10, for: 3.333333333s; steady, users: 10, for: 6.666666667s; "},
	} {
		p := &loadgen.Plan{Phases: plan.Locust(tc.users, tc.spawnRate, tc.runTime)}
		if got := phases(p); got != tc.want {
			t.Errorf("-u %d -r %g -t %s: %s, want %s", tc.users, tc.spawnRate, tc.runTime, got, tc.want)
		}
		if p.Duration() != tc.runTime {
			t.Errorf("-u %d -r %g -t %s: lasts %s", tc.users, tc.spawnRate, tc.runTime, p.Duration())
		}
	}
}

const mixed = `
phases:
  - {name: ramp, users: 0 -> 10, for: 5s}
  - {name: hold, users: 10, for: 5s}
  - {name: peak, rate: 10/s -> 40/s by 10/s, for: 8s, arrivals: poisson}
  - {name: cool, for: 2s}
steps: [GET /]
thresholds: [errors < 1%]
`

const open = "phases: [{name: climb, rate: 10/s -> 40/s, for: 30s, arrivals: poisson}]\nsteps: [GET /]\n"

func TestOverrides(t *testing.T) {
	for _, tc := range []struct {
		name, plan string
		o          plan.Overrides
		want       string
	}{
		{"nothing", "load", plan.Overrides{}, "ramp, users: 0 -> 10, for: 5s; steady, users: 10, for: 25s; "},
		{"-u keeps the spawn rate", "load", plan.Overrides{Users: new(20)}, "ramp, users: 0 -> 20, for: 10s; steady, users: 20, for: 20s; "},
		{"-u of a plan without a ramp", "spike", plan.Overrides{Users: new(5)}, "steady, users: 5, for: 17s; "},
		{"-r keeps the users", "load", plan.Overrides{SpawnRate: new(1.0)}, "ramp, users: 0 -> 10, for: 10s; steady, users: 10, for: 20s; "},
		{"-r 0", "load", plan.Overrides{SpawnRate: new(0.0)}, "steady, users: 10, for: 30s; "},
		{"-u -r -t", "spike", plan.Overrides{Users: new(10), SpawnRate: new(2.0), RunTime: new(30 * time.Second)}, "ramp, users: 0 -> 10, for: 5s; steady, users: 10, for: 25s; "},
		{"-u -r -t within the ramp", "load", plan.Overrides{Users: new(100), SpawnRate: new(1.0), RunTime: new(time.Minute)}, "ramp, users: 0 -> 60, for: 1m; "},
		{"-t longer", "load", plan.Overrides{RunTime: new(time.Minute)}, "ramp, users: 0 -> 10, for: 5s; steady, users: 10, for: 55s; "},
		{"-t shorter", "load", plan.Overrides{RunTime: new(10 * time.Second)}, "ramp, users: 0 -> 10, for: 5s; steady, users: 10, for: 5s; "},
		{"-t within the ramp", "load", plan.Overrides{RunTime: new(4 * time.Second)}, "ramp, users: 0 -> 8, for: 4s; "},
		{"-t longer than a last ramp", open, plan.Overrides{RunTime: new(time.Minute)}, "climb, rate: 10/s -> 40/s, arrivals: poisson, for: 30s; climb held, rate: 40/s, arrivals: poisson, for: 30s; "},
		{"-t within stairs", mixed, plan.Overrides{RunTime: new(15 * time.Second)}, "ramp, users: 0 -> 10, for: 5s; hold, users: 10, for: 5s; peak, rate: 10/s -> 20/s by 10/s, arrivals: poisson, for: 4s; peak cut, rate: 30/s, arrivals: poisson, for: 1s; "},
		{"-t within the second stair", mixed, plan.Overrides{RunTime: new(13 * time.Second)}, "ramp, users: 0 -> 10, for: 5s; hold, users: 10, for: 5s; peak, rate: 10/s, arrivals: poisson, for: 2s; peak cut, rate: 20/s, arrivals: poisson, for: 1s; "},
		{"-t within the first stair", mixed, plan.Overrides{RunTime: new(11 * time.Second)}, "ramp, users: 0 -> 10, for: 5s; hold, users: 10, for: 5s; peak, rate: 10/s, arrivals: poisson, for: 1s; "},
		{"-t at a stair", mixed, plan.Overrides{RunTime: new(16 * time.Second)}, "ramp, users: 0 -> 10, for: 5s; hold, users: 10, for: 5s; peak, rate: 10/s -> 30/s by 10/s, arrivals: poisson, for: 6s; "},
		{"-t lengthens a pause", mixed, plan.Overrides{RunTime: new(25 * time.Second)}, "ramp, users: 0 -> 10, for: 5s; hold, users: 10, for: 5s; peak, rate: 10/s -> 40/s by 10/s, arrivals: poisson, for: 8s; cool, for: 7s; "},
		{"-u replaces closed phases only", mixed, plan.Overrides{Users: new(4)}, "ramp, users: 0 -> 4, for: 2s; steady, users: 4, for: 8s; peak, rate: 10/s -> 40/s by 10/s, arrivals: poisson, for: 8s; cool, for: 2s; "},
		{"-u replaces all when none is closed", open, plan.Overrides{Users: new(4)}, "steady, users: 4, for: 30s; "},
		{"-u beside a phase of that name", strings.Replace(mixed, "peak", "steady", 1), plan.Overrides{Users: new(4)}, "ramp, users: 0 -> 4, for: 2s; steady, users: 4, for: 8s; steady 2, rate: 10/s -> 40/s by 10/s, arrivals: poisson, for: 8s; cool, for: 2s; "},
		{"--rate", "load", plan.Overrides{Rate: new(100.0)}, "steady, rate: 100/s, for: 30s; "},
		{"--rate keeps arrivals", open, plan.Overrides{Rate: new(0.5), RunTime: new(5 * time.Second)}, "steady, rate: 0.5/s, arrivals: poisson, for: 5s; "},
	} {
		before := parse(t, tc.plan)
		after, err := tc.o.Apply(before)
		if err != nil {
			t.Errorf("%s: %v", tc.name, err)
			continue
		}
		if got := phases(after); got != tc.want {
			t.Errorf("%s:\n got %s\nwant %s", tc.name, got, tc.want)
		}
		if !reflect.DeepEqual(before, parse(t, tc.plan)) {
			t.Errorf("%s: the plan was changed", tc.name)
		}
	}
}

func parse(t *testing.T, text string) *loadgen.Plan {
	t.Helper()
	p, err := plan.Builtin(text)
	if err != nil {
		p, err = plan.Parse("x.yaml", []byte(text))
	}
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestOverridesOfSettings(t *testing.T) {
	got, err := plan.Overrides{
		Host: "http://127.0.0.1:9", Seed: new(uint64(7)), TraceShare: new(0.5),
		Think: &loadgen.Think{Kind: loadgen.ThinkConstant, Max: time.Second},
	}.Apply(parse(t, "load"))
	if err != nil {
		t.Fatal(err)
	}
	want := parse(t, "load")
	want.Target, want.Seed, want.TraceShare = "http://127.0.0.1:9", 7, 0.5
	want.Think = loadgen.Think{Kind: loadgen.ThinkConstant, Max: time.Second}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%s\nwant\n%s", plan.Format(got), plan.Format(want))
	}
}

func TestOverrideErrors(t *testing.T) {
	scoped := strings.Replace(mixed, "errors < 1%", "phase:hold errors < 1%", 1)
	for _, tc := range []struct {
		plan string
		o    plan.Overrides
		want string
	}{
		{"load", plan.Overrides{Users: new(1), Rate: new(1.0)}, "--users and --rate together"},
		{"load", plan.Overrides{SpawnRate: new(1.0), Rate: new(1.0)}, "--spawn-rate and --rate together"},
		{"load", plan.Overrides{Rate: new(0.0)}, "--rate 0: give a rate above zero"},
		{"load", plan.Overrides{Rate: new(math.NaN())}, "--rate NaN: give a rate above zero"},
		{"load", plan.Overrides{Rate: new(1e9)}, "a load above 1000000"},
		{"load", plan.Overrides{Users: new(0)}, "--users 0: give at least 1"},
		{"load", plan.Overrides{SpawnRate: new(-1.0)}, "--spawn-rate -1"},
		{"load", plan.Overrides{RunTime: new(-time.Second)}, "--run-time -1s"},
		{"load", plan.Overrides{RunTime: new(2000 * time.Hour)}, "at most 1000h"},
		{"load", plan.Overrides{TraceShare: new(1.5)}, "--trace-share 1.5"},
		{"load", plan.Overrides{Host: "localhost"}, `--host: target "localhost": give scheme and host`},
		{"load", plan.Overrides{Rate: new(1.0), Think: &loadgen.Think{}}, "--think: no phase has users"},
		{open, plan.Overrides{SpawnRate: new(1.0)}, "so give --users too"},
		{scoped, plan.Overrides{Users: new(1)}, `--users changes the plan's phases, and a threshold no longer fits: threshold "phase:hold errors < 1%", column 7: the plan has no phase "hold"`},
		{scoped, plan.Overrides{Rate: new(1.0)}, "--rate changes"},
		{scoped, plan.Overrides{SpawnRate: new(1.0)}, "--spawn-rate changes"},
		{scoped, plan.Overrides{RunTime: new(2 * time.Second)}, "--run-time changes"},
	} {
		_, err := tc.o.Apply(parse(t, tc.plan))
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%+v: got %v, want %q", tc.o, err, tc.want)
		}
	}
}

// A run time of its own leaves the load at every moment what the plan says.
func TestRunTimeKeepsTheLoad(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawPlan(t)
		p.Thresholds = nil
		for i := range p.Phases {
			p.Phases[i].For += 10 * time.Millisecond
		}
		d := drawDuration(t, "run time", 10*time.Millisecond)
		got, err := plan.Overrides{RunTime: &d}.Apply(&p)
		if err != nil {
			t.Fatal(err)
		}
		if got.Duration() != d {
			t.Fatalf("lasts %s, want %s", got.Duration(), d)
		}
		at := time.Duration(rapid.Int64Range(0, int64(d)-1).Draw(t, "at"))
		// Stairs that are cut may begin a nanosecond apart.
		for _, off := range []time.Duration{0, -1, 1} {
			if sameLoad(got, &p, at, max(at+off, 0)) {
				return
			}
		}
		t.Fatalf("at %s of\n%sis\n%s", at, phases(&p), phases(got))
	})
}

// sameLoad compares the load of a at one offset with that of b at another;
// after its end b stays at what it led to.
func sameLoad(a, b *loadgen.Plan, atA, atB time.Duration) bool {
	users, rate := loadAt(a, atA)
	wantUsers, wantRate := loadAt(b, atB)
	if atB >= b.Duration() {
		last := b.Phases[len(b.Phases)-1].Load
		wantUsers, wantRate = level(last.Users, 1, 1), level(last.Rate, 1, 1)
	}
	return near(users, wantUsers) && near(rate, wantRate)
}

func near(a, b float64) bool { return math.Abs(a-b) <= 1e-6*(1+math.Abs(b)) }

func loadAt(p *loadgen.Plan, at time.Duration) (users, rate float64) {
	for _, ph := range p.Phases {
		if at < ph.For {
			return level(ph.Users, at, ph.For), level(ph.Rate, at, ph.For)
		}
		at -= ph.For
	}
	return 0, 0
}

func level(r *loadgen.Ramp, at, d time.Duration) float64 {
	if r == nil {
		return -1
	}
	return r.At(at, d)
}

// What a command line says of the transport goes over what the plan says, and
// what it does not say stays.
func TestTransportOverrides(t *testing.T) {
	p, err := plan.Parse("x.yaml", []byte("target: https://a.test\nphases: [{name: a, users: 1, for: 1s}]\nsteps: [GET /]\n"+
		"tls: {insecure: true, min_version: 1.3}\nhttp2: true\nmax_body: 1KiB\nconnect_to: {':': '127.0.0.1:1'}\n"))
	if err != nil {
		t.Fatal(err)
	}
	yes, no, size := true, false, int64(7)
	connect, err := plan.ParseConnectTo([]string{"a.test:443:[::1]:8443", "::127.0.0.1:2"})
	if err != nil {
		t.Fatal(err)
	}
	got, err := plan.Overrides{Transport: plan.TransportOverrides{
		Insecure: &no, RootCerts: "ca.pem", Cert: "c.pem", Key: "k.pem", ConnectTo: connect, KeepAlive: &no, Cookies: &yes, HTTP2: &no, MaxBody: &size,
	}}.Apply(p)
	if err != nil {
		t.Fatal(err)
	}
	want := loadgen.Transport{
		TLS:       loadgen.TLS{RootCerts: "ca.pem", Cert: "c.pem", Key: "k.pem", MinVersion: "1.3"},
		ConnectTo: map[string]string{"a.test:443": "[::1]:8443", ":": "127.0.0.1:2"},
		Cookies:   true, NoKeepAlive: true, MaxBody: 7,
	}
	if !reflect.DeepEqual(got.Transport, want) {
		t.Errorf("got %+v\nwant %+v", got.Transport, want)
	}
	if got, err = (plan.Overrides{}).Apply(p); err != nil || !reflect.DeepEqual(got.Transport, p.Transport) {
		t.Errorf("without flags %+v, %v", got.Transport, err)
	}
	if _, err = (plan.Overrides{Transport: plan.TransportOverrides{Proxy: "http://127.0.0.1:3128"}}).Apply(p); err == nil {
		t.Error("a proxy over a plan with connect_to")
	}
	for _, text := range []string{"", "a:1", "a:1:b", "a:1:b:2:", "[::1]:1"} {
		if got, err := plan.ParseConnectTo([]string{text}); err == nil {
			t.Errorf("%q reads as %v", text, got)
		}
	}
}
