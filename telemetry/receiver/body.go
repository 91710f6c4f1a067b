package receiver

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
)

// errNoRoom ends a read that the budget has no more room for.
var errNoRoom = errors.New("no room")

// A budget is a number of bytes that may be held at once.
type budget struct{ left atomic.Int64 }

func (b *budget) take(n int64) bool {
	if b.left.Add(-n) < 0 {
		b.left.Add(n)
		return false
	}
	return true
}

// A hold is what one request has taken from the budget.
type hold struct {
	from  *budget
	bytes int64
}

func (h *hold) grow(n int64) bool {
	if !h.from.take(n) {
		return false
	}
	h.bytes += n
	return true
}

func (h *hold) release() { h.from.left.Add(h.bytes) }

// shrink gives back n bytes.
func (h *hold) shrink(n int64) {
	h.from.left.Add(n)
	h.bytes -= n
}

// readBody reads a request's body, decompressed, and for a forwarder also as
// it came; raw is nil when nobody wants it.
func (rc *Receiver) readBody(w http.ResponseWriter, r *http.Request, h *hold, to *Forwarder) (body, raw []byte, ref *refusal) {
	var src io.Reader = http.MaxBytesReader(w, r.Body, rc.opt.MaxBody)
	switch encoding := strings.ToLower(r.Header.Get("Content-Encoding")); encoding {
	case "", "identity":
		body, ref = rc.readAll("body", src, h)
		return body, body, ref
	case "gzip":
	default:
		return nil, nil, refuse(http.StatusUnsupportedMediaType, ReasonMediaType,
			"content encoding %q: use gzip or identity", encoding)
	}
	var asSent bytes.Buffer
	if to != nil {
		src = io.TeeReader(src, &copying{to: &asSent, hold: h})
	}
	gz, err := gzip.NewReader(src)
	if err != nil {
		return nil, nil, rc.readError("body", err)
	}
	body, ref = rc.readAll("body", gz, h)
	return body, asSent.Bytes(), ref
}

// copying keeps what is read through it, within the budget.
type copying struct {
	to   *bytes.Buffer
	hold *hold
}

// Write implements io.Writer.
func (c *copying) Write(p []byte) (int, error) {
	if !c.hold.grow(int64(len(p))) {
		return 0, errNoRoom
	}
	return c.to.Write(p)
}

// readAll reads what to the end. The buffer grows with what has come, never
// with what was announced: a sender who announces much and sends nothing holds
// nothing.
func (rc *Receiver) readAll(what string, src io.Reader, h *hold) ([]byte, *refusal) {
	var buf []byte
	for {
		if len(buf) == cap(buf) {
			size := min(max(4096, 2*int64(cap(buf))), rc.opt.MaxBody+1)
			if !h.grow(size - int64(cap(buf))) {
				return nil, rc.busy()
			}
			next := make([]byte, len(buf), size)
			copy(next, buf)
			buf = next
		}
		n, err := src.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		switch {
		case int64(len(buf)) > rc.opt.MaxBody:
			return nil, rc.tooLarge(what)
		case errors.Is(err, io.EOF):
			return buf, nil
		case err != nil:
			return nil, rc.readError(what, err)
		}
	}
}

func (rc *Receiver) readError(what string, err error) *refusal {
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return rc.tooLarge(what)
	case errors.Is(err, errNoRoom):
		return rc.busy()
	}
	return refuse(http.StatusBadRequest, ReasonMalformed, "%s cannot be read: %v", what, err)
}

func (rc *Receiver) tooLarge(what string) *refusal {
	return refuse(http.StatusRequestEntityTooLarge, ReasonTooLarge,
		"%s is larger than %d bytes: send smaller batches", what, rc.opt.MaxBody)
}

func (rc *Receiver) busy() *refusal {
	return refuse(http.StatusTooManyRequests, ReasonBusy,
		"no room: the requests in flight hold most of %d bytes; send again in a second", rc.opt.MaxInFlightBytes)
}
