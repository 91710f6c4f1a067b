package loadgen

import (
	"net/http"
	"net/http/cookiejar"
	"strings"
)

// cookies is the jar of one user, or of one iteration of an arrival; nil keeps
// none.
type cookies struct {
	jar       *cookiejar.Jar
	iteration uint64 // of an arrival, whom the jar belongs to
}

func newCookies(tr *Transport) *cookies {
	if !tr.Cookies {
		return nil
	}
	return &cookies{}
}

// header returns the value of the Cookie header; "" is none.
func (c *cookies) header(r *Request, x *Exchange) string {
	if c == nil {
		return ""
	}
	if c.jar == nil || (x.User < 0 && c.iteration != x.Iteration) {
		c.jar, _ = cookiejar.New(nil) // fails never
		c.iteration = x.Iteration
	}
	if r.ownCookie {
		return ""
	}
	var b strings.Builder
	for i, one := range c.jar.Cookies(r.url) {
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString(one.Name + "=" + one.Value)
	}
	return b.String()
}

// keep takes one Set-Cookie line of an answer to r.
func (c *cookies) keep(r *Request, line string) {
	if c == nil {
		return
	}
	if one, err := http.ParseSetCookie(line); err == nil {
		c.jar.SetCookies(r.url, []*http.Cookie{one})
	}
}
