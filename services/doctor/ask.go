package doctor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"unicode"
)

// maxAnswer bounds what is read of an answer: the exemplars of an hour are a
// few MB.
const maxAnswer = 32 << 20

// fault is an answer that is not what was asked for.
type fault struct {
	why    string
	status int  // of an HTTP answer; 0 when there was none
	absent bool // nobody listens there, or the name is not known
	wrong  bool // an answer that the part would not give: somebody else's
}

// Error implements error.
func (f *fault) Error() string { return f.why }

// baseURL checks an address and takes its trailing slash away.
func baseURL(address string) (string, error) {
	if !strings.Contains(address, "://") {
		address = "http://" + address
	}
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return "", fmt.Errorf("address %q: give one such as http://127.0.0.1:9090", address)
	}
	return strings.TrimSuffix(address, "/"), nil
}

// get asks for a path with query parameters and returns the body of a 200.
func (x *examination) get(ctx context.Context, base, path string, query url.Values) ([]byte, error) {
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return x.do(ctx, http.MethodGet, base+path, "", nil)
}

// post sends a JSON body and returns the body of a 200.
func (x *examination) post(ctx context.Context, base, path string, body any) ([]byte, error) {
	data, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	return x.do(ctx, http.MethodPost, base+path, "application/json", data)
}

func (x *examination) do(ctx context.Context, method, address, contentType string, body []byte) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return nil, &fault{why: err.Error()}
	}
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	answer, err := x.client.Do(r)
	if err != nil {
		return nil, x.unanswered(err, r.URL.Host)
	}
	defer answer.Body.Close()
	data, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	switch {
	case err != nil:
		return nil, x.unanswered(err, r.URL.Host)
	case answer.StatusCode != http.StatusOK:
		why := fmt.Sprintf("HTTP %d", answer.StatusCode)
		if said := oneLine(data); said != "" {
			why += ": " + said
		}
		return data, &fault{why: why, status: answer.StatusCode}
	}
	return data, nil
}

// unanswered says in plain words why there was no answer from a host.
func (x *examination) unanswered(err error, host string) *fault {
	var dns *net.DNSError
	var timeout net.Error
	switch {
	case errors.As(err, &dns):
		return &fault{why: fmt.Sprintf("no host is called %q", dns.Name), absent: true}
	case errors.Is(err, syscall.ECONNREFUSED):
		return &fault{why: "nothing listens at " + host, absent: true}
	case errors.As(err, &timeout) && timeout.Timeout():
		return &fault{why: fmt.Sprintf("no answer from %s within %s", host, x.Timeout)}
	}
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	return &fault{why: fmt.Sprintf("no answer from %s that is HTTP: %v", host, err), wrong: true}
}

// decode reads a JSON answer; one that is none is somebody else's.
func decode(data []byte, to any) error {
	if err := json.Unmarshal(data, to); err != nil {
		said := oneLine(data)
		if said == "" {
			said = "nothing"
		}
		return &fault{why: "the answer is not what this part says: " + said, wrong: true}
	}
	return nil
}

// decodeOnly reads a JSON answer that may hold nothing, and nothing else.
func decodeOnly(data []byte, to any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if d.Decode(to) != nil {
		return &fault{why: "the answer is not what this part says: " + oneLine(data), wrong: true}
	}
	return nil
}

// maxSaid is how many characters of somebody's answer are shown.
const maxSaid = 120

// oneLine returns the beginning of an answer, printable and on one line.
func oneLine(data []byte) string {
	text := strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, string(data[:min(len(data), 4*maxSaid)]))
	text = strings.Join(strings.Fields(strings.ToValidUTF8(text, "")), " ")
	if runes := []rune(text); len(runes) > maxSaid {
		return string(runes[:maxSaid]) + "…"
	}
	return text
}

// statusOf returns the HTTP status of a fault; 0 of any other error.
func statusOf(err error) int {
	if f, ok := errors.AsType[*fault](err); ok {
		return f.status
	}
	return 0
}
