package loadgen

import (
	"fmt"
	"io"
	"os"
	"strings"
)

// bodyFile is a request's body on disk, open as long as the attack. All users
// read from the one descriptor, each at its own place.
type bodyFile struct {
	file *os.File
	size int64
}

// openBody opens the body file of a step; nil when it has none.
func openBody(s Step) (*bodyFile, error) {
	if s.BodyFile == "" {
		return nil, nil
	}
	// Opening anything else, such as a pipe, could wait for ever.
	info, err := os.Stat(s.BodyFile)
	if err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("step %q: body_file %s is no regular file", s.Name, s.BodyFile)
	}
	var f *os.File
	if err == nil {
		f, err = os.Open(s.BodyFile)
	}
	if err != nil {
		return nil, fmt.Errorf("step %q: body_file: %w", s.Name, err)
	}
	return &bodyFile{file: f, size: info.Size()}, nil
}

func (f *bodyFile) close() {
	if f != nil {
		_ = f.file.Close()
	}
}

// OpenBody returns the request's body and its length in bytes, to be read by
// one exchange.
func (r *Request) OpenBody() (io.Reader, int64) {
	if r.file == nil {
		return strings.NewReader(r.Step.Body), int64(len(r.Step.Body))
	}
	return io.NewSectionReader(r.file.file, 0, r.file.size), r.file.size
}
