package loadgen

import (
	"bytes"
	"fmt"
	"strings"
)

// answer is what is noticed of a body while it goes by: its length, its
// beginning, and whether it contains what is expected.
type answer struct {
	limit int64
	n     int64
	want  string
	found bool
	seen  []byte // the end of what went by, where want may have begun
	begin [excerptBytes]byte
}

const excerptBytes = 120

func (a *answer) reset(limit int64, want string) {
	a.limit, a.want = limit, want
	a.n, a.found, a.seen = 0, false, a.seen[:0]
}

// add takes the next part of the body.
func (a *answer) add(p []byte) error {
	if a.n < excerptBytes {
		copy(a.begin[a.n:], p)
	}
	a.n += int64(len(p))
	if a.n > a.limit {
		return a.tooLarge()
	}
	if a.want == "" || a.found {
		return nil
	}
	a.seen = append(a.seen, p...)
	a.found = bytes.Contains(a.seen, []byte(a.want))
	if keep := len(a.want) - 1; len(a.seen) > keep {
		a.seen = append(a.seen[:0], a.seen[len(a.seen)-keep:]...)
	}
	return nil
}

func (a *answer) tooLarge() error {
	return fmt.Errorf("the body of the answer is larger than %s, the most that is read: raise max_body", byteSize(a.limit))
}

// judge holds the answer against what is expected.
func (a *answer) judge(e *Expect, x *Exchange) {
	switch {
	case !e.OK(x.Status):
		x.Error = StatusError(x.Status)
		x.Detail = fmt.Sprintf("status %d: %s", x.Status, a.excerpt())
	case e.Body != "" && !a.found:
		x.Error = ErrBody
		x.Detail = fmt.Sprintf("the body does not contain %q: %s", e.Body, a.excerpt())
	}
}

func (a *answer) excerpt() string {
	begin := a.begin[:min(a.n, excerptBytes)]
	return strings.ToValidUTF8(strings.Join(strings.Fields(string(begin)), " "), "?")
}

// byteSize writes n with the largest unit that leaves it whole.
func byteSize(n int64) string {
	units := []string{"bytes", "KiB", "MiB", "GiB"}
	i := 0
	for n > 0 && n%1024 == 0 && i < len(units)-1 {
		n /= 1024
		i++
	}
	return fmt.Sprintf("%d %s", n, units[i])
}
