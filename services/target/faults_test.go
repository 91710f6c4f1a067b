package target_test

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/taillight-load/taillight/loadgen/busytest"
	"github.com/taillight-load/taillight/services/target"
	"github.com/taillight-load/taillight/services/target/faults"
	"github.com/taillight-load/taillight/services/target/shop"
)

// shopped is a service whose faults a test arms through its admin pages.
type shopped struct {
	service, admin http.Handler
}

func newShopped(downstream string) shopped {
	o := target.Options{Shop: shop.New(shop.Options{Downstream: downstream}), Downstream: downstream}
	return shopped{target.New(o), target.Admin(o)}
}

// do asks the admin pages, as this host does.
func (s shopped) do(t testing.TB, method, path, body string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	s.admin.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, "http://127.0.0.1:1"+path, strings.NewReader(body)))
	return w
}

func (s shopped) arm(t testing.TB, text string) {
	t.Helper()
	list, err := faults.ParseList(text)
	if err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(faults.Set{Seed: 7, Faults: list})
	if err != nil {
		t.Fatal(err)
	}
	if w := s.do(t, http.MethodPut, "/faults", string(body)); w.Code != http.StatusOK {
		t.Fatalf("%s: %d %s", text, w.Code, w.Body)
	}
}

func (s shopped) book(t testing.TB) faults.Book {
	t.Helper()
	var b faults.Book
	if err := json.Unmarshal(s.do(t, http.MethodGet, "/faults/log", "").Body.Bytes(), &b); err != nil {
		t.Fatal(err)
	}
	return b
}

// traceID is that of the n-th request of a test.
func traceID(n int) string { return fmt.Sprintf("%032x", n+1) }

// ask sends so many requests and returns how long each took.
func (s shopped) ask(t testing.TB, path string, n int) (took []time.Duration, answers []*httptest.ResponseRecorder) {
	t.Helper()
	for i := range n {
		began := time.Now()
		answers = append(answers, get(t, s.service, path, "traceparent", "00-"+traceID(i)+"-0000000000000001-01"))
		took = append(took, time.Since(began))
	}
	return took, answers
}

// Each knob of a request hits its share, for as long as was asked and by its
// own measure, and tells whom; nobody else.
func TestKnobsOfRequests(t *testing.T) {
	other := httptest.NewServer(target.New(target.Options{}))
	defer other.Close()
	for text, least := range map[string]time.Duration{
		"cpu=4ms:30%": 4 * time.Millisecond, "lock=6ms:30%": 6 * time.Millisecond, "channel=6ms:30%": 6 * time.Millisecond,
		"sleep=6ms:30%": 6 * time.Millisecond, "downstream=6ms:30%": 6 * time.Millisecond,
		"alloc=4MB:30%": 1, "gc=4MB:30%": 1,
	} {
		t.Run(text, func(t *testing.T) {
			s := newShopped(other.URL)
			s.arm(t, text)
			const n = 60
			took, answers := s.ask(t, "/workloads/wait?ms=0", n)
			fault, _ := faults.Parse(text)
			book := s.book(t)
			byTrace := map[string]faults.Hit{}
			for _, h := range book.Hits {
				byTrace[h.TraceID] = h
			}
			hits := 0
			for i := range n {
				h, hit := byTrace[traceID(i)]
				if want := fault.Hits(7, uint64(i)); hit != want {
					t.Errorf("request %d: hit %t, want %t", i, hit, want)
				}
				var timing float64
				if _, err := fmt.Sscanf(answers[i].Header().Get("Server-Timing"), "app;dur=%f", &timing); err != nil {
					t.Fatal(err)
				}
				if answers[i].Code != http.StatusOK || len(answers[i].Header()) != 3 {
					t.Errorf("request %d: %d %v", i, answers[i].Code, answers[i].Header())
				}
				if !hit {
					continue
				}
				hits++
				if h.Knob != fault.Knob || h.Error != "" || h.Injected < int64(least) || h.Wall > int64(took[i]) || h.At == 0 {
					t.Errorf("request %d took %s: %+v", i, took[i], h)
				}
				// The service's own times hold what was planted.
				if ms := float64(h.Wall) / 1e6; timing < ms-0.001 {
					t.Errorf("request %d: Server-Timing %g ms, planted were %g", i, timing, ms)
				}
			}
			if hits == 0 || hits == n || book.Total != int64(hits) || book.Dropped != 0 {
				t.Errorf("%d of %d hit, the log has %d", hits, n, book.Total)
			}
			s.do(t, http.MethodDelete, "/faults", "")
			s.ask(t, "/workloads/wait?ms=0", n)
			if b := s.book(t); b.Total != int64(hits) {
				t.Errorf("%d hits once it was disarmed", b.Total-int64(hits))
			}
		})
	}
}

// The CPU that is burnt is that of the thread: on a machine that others use
// too it takes longer, and is not more.
func TestCPUIsByTheThreadsClock(t *testing.T) {
	busytest.Retry(t, func(t, retry testing.TB) {
		s := newShopped("")
		s.arm(t, "cpu=5ms")
		var wg sync.WaitGroup
		for range 8 { // more than there are cores
			wg.Go(func() { get(t, s.service, "/workloads/wait?ms=0") })
		}
		wg.Wait()
		var spent, wall int64
		for _, h := range s.book(t).Hits {
			spent += h.Injected
			wall += h.Wall
		}
		if spent < 8*5e6 {
			t.Errorf("8 times 5 ms are %.1f ms of CPU", float64(spent)/1e6)
		}
		if spent > 8*10e6 || wall < spent {
			retry.Errorf("8 times 5 ms are %.1f ms of CPU in %.1f ms", float64(spent)/1e6, float64(wall)/1e6)
		}
	})
}

// With fifty at once each waits its own time: they do not wait for each other.
func TestManyWaitTheirOwnTime(t *testing.T) {
	for _, knob := range []string{"lock", "channel", "sleep"} {
		s := newShopped("")
		s.arm(t, knob+"=400ms")
		began := time.Now()
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() { get(t, s.service, "/workloads/wait?ms=0") })
		}
		wg.Wait()
		if took := time.Since(began); took > 15*time.Second { // one by one it would be 20 s
			t.Errorf("%s: 50 at once took %s", knob, took)
		}
		if b := s.book(t); len(b.Hits) != 50 {
			t.Errorf("%s: %d hits", knob, len(b.Hits))
		}
	}
}

// Statistics of the share, with a seed; the same seed hits the same requests.
func TestTheShareHolds(t *testing.T) {
	const n = 4000
	draw := func() []string {
		s := newShopped("")
		s.arm(t, "errors=500:5%")
		_, answers := s.ask(t, "/workloads/wait?ms=0", n)
		var hit []string
		for i, a := range answers {
			if a.Code == http.StatusInternalServerError {
				hit = append(hit, traceID(i))
			} else if a.Code != http.StatusOK {
				t.Fatalf("%d %s", a.Code, a.Body)
			}
		}
		for i, h := range s.book(t).Hits {
			if i >= len(hit) || h.TraceID != hit[i] || h.Knob != faults.Errors {
				t.Fatalf("hit %d is %+v", i, h)
			}
		}
		return hit
	}
	hit := draw()
	if d := math.Abs(float64(len(hit)) - 0.05*n); d > 5*math.Sqrt(n*0.05*0.95) {
		t.Errorf("%d of %d", len(hit), n)
	}
	if !slices.Equal(hit, draw()) {
		t.Error("the same seed hits other requests")
	}
}

func TestAnErrorBurstBeginsAndEnds(t *testing.T) {
	busytest.Retry(t, func(t, retry testing.TB) {
		s := newShopped("")
		s.arm(t, "errors=503:after=300ms:for=400ms")
		var codes []int
		for began := time.Now(); time.Since(began) < 1200*time.Millisecond; time.Sleep(5 * time.Millisecond) {
			w := get(t, s.service, "/workloads/wait?ms=0")
			if w.Code != http.StatusOK && w.Code != http.StatusServiceUnavailable {
				t.Errorf("an answer of %d", w.Code)
			}
			if w.Code == http.StatusServiceUnavailable && w.Header().Get("Retry-After") != "1" {
				t.Error("no Retry-After")
			}
			if len(codes) == 0 || codes[len(codes)-1] != w.Code {
				codes = append(codes, w.Code)
			}
		}
		if !slices.Equal(codes, []int{200, 503, 200}) {
			retry.Errorf("answers %v", codes)
		}
		s.arm(t, "errors=404")
		if w := get(t, s.service, "/profile"); w.Code != http.StatusNotFound || w.Header().Get("Retry-After") != "" {
			t.Errorf("%d %v", w.Code, w.Header())
		}
		// Errors are answered without doing anything else.
		s.arm(t, "errors=500,sleep=10s")
		if took, _ := s.ask(t, "/profile", 1); len(s.book(t).Hits) != 1 {
			t.Errorf("%+v", s.book(t))
		} else if took[0] > 9*time.Second {
			retry.Errorf("it took %s", took[0])
		}
	})
}

// Several knobs befall requests independently, and /profile feels them in its
// own time without a word.
func TestTwoKnobsAndTheProfile(t *testing.T) {
	s := newShopped("")
	s.arm(t, "lock=3ms:60%,sleep=3ms:60%")
	_, answers := s.ask(t, "/profile?format=folded", 30)
	count := map[faults.Knob]int{}
	both := map[string]int{}
	for _, h := range s.book(t).Hits {
		count[h.Knob]++
		both[h.TraceID]++
	}
	twice := 0
	for _, n := range both {
		if n == 2 {
			twice++
		}
	}
	if count[faults.Lock] == 0 || count[faults.Sleep] == 0 || twice == 0 || twice == len(both) {
		t.Errorf("%v, both %d of %d", count, twice, len(both))
	}
	own := regexp.MustCompile(`(?m)^(GET /profile(;\w+)*) \d+$`)
	for _, a := range answers {
		if n := len(own.FindAllString(a.Body.String(), -1)); n != 7 {
			t.Errorf("%d regions:\n%s", n, a.Body)
		}
	}
}

// What the stacks of planted work are called must not give it away: a test of
// the explanation compares by component and not by text.
func TestPlantedNamesAreNeutral(t *testing.T) {
	tell := regexp.MustCompile(`(?i)fault|inject|plant|knob`)
	function := regexp.MustCompile(`(?m)^func (?:\([^)]*\) )?(\w+)`)
	files, err := filepath.Glob("shop/*.go")
	if err != nil || len(files) < 3 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range function.FindAllStringSubmatch(string(source), -1) {
			if tell.MatchString(m[1]) {
				t.Errorf("%s: func %s", file, m[1])
			}
		}
	}
}

func TestFaultsAreShownAndRefused(t *testing.T) {
	s := newShopped("")
	if w := s.do(t, http.MethodGet, "/faults", ""); w.Code != http.StatusOK || strings.TrimSpace(w.Body.String()) != `{"seed":0,"faults":[]}` {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	s.arm(t, "lock=10ms:2%")
	const armed = `{"seed":7,"faults":[{"knob":"lock","amount":"10ms","share":0.02}]}`
	for body, want := range map[string]string{
		`{"faults":[{"knob":"lok","amount":"1ms"}]}`:        "there are cpu, lock",
		`{"faults":[{"knob":"cpu","amount":"1ms"}],"x":1}`:  "unknown field",
		`{"faults":[{"knob":"downstream","amount":"1ms"}]}`: "--downstream http://HOST:PORT",
		`{"faults":[{"knob":"throttle","amount":"50%"}]}`:   "use taillight run --fault throttle=50%",
		`{"faults":[{"knob":"gc","amount":"1TB"}]}`:         "bytes such as 20MB",
		``:                         "an object is needed",
		strings.Repeat(" ", 1<<17): "too long",
	} {
		w := s.do(t, http.MethodPut, "/faults", body)
		var said map[string]string
		if err := json.Unmarshal(w.Body.Bytes(), &said); err != nil || w.Code != http.StatusBadRequest || !strings.Contains(said["error"], want) {
			t.Errorf("%.60s: %d %s, want %q", body, w.Code, w.Body, want)
		}
		if w := s.do(t, http.MethodGet, "/faults", ""); strings.TrimSpace(w.Body.String()) != armed {
			t.Errorf("after %.60s there are %s", body, w.Body)
		}
	}
	if w := s.do(t, http.MethodDelete, "/faults", ""); w.Code != http.StatusNoContent || strings.Contains(s.do(t, http.MethodGet, "/faults", "").Body.String(), "lock") {
		t.Errorf("%d: still armed", w.Code)
	}
	if w := s.do(t, http.MethodPost, "/faults", "{}"); w.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", w.Code)
	}
	without := shopped{admin: target.Admin(target.Options{})}
	for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete} {
		if w := without.do(t, method, "/faults", "{}"); w.Code != http.StatusNotFound {
			t.Errorf("%s without a shop: %d", method, w.Code)
		}
	}
}

func TestFaultsAreGuarded(t *testing.T) {
	for _, path := range []string{"/faults", "/faults/log"} {
		o := target.Options{Shop: shop.New(shop.Options{})}
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://example.com"+path, http.NoBody)
		w := httptest.NewRecorder()
		target.Admin(o).ServeHTTP(w, r)
		if w.Code != http.StatusForbidden {
			t.Errorf("%s by another name: %d", path, w.Code)
		}
		o.AdminToken = "secret"
		if w := get(t, target.Admin(o), path); w.Code != http.StatusUnauthorized {
			t.Errorf("%s without the token: %d", path, w.Code)
		}
		if w := get(t, target.Admin(o), path, "Authorization", "Bearer secret"); w.Code != http.StatusOK {
			t.Errorf("%s with the token: %d", path, w.Code)
		}
		if w := get(t, target.New(o), path); w.Code != http.StatusNotFound {
			t.Errorf("%s on the service's own port: %d", path, w.Code)
		}
	}
}
