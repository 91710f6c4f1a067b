package bench

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"time"

	"github.com/taillight-load/taillight/loadgen"
)

// NewID mints a run id: UTC time and 4 hex digits.
func NewID(now time.Time) (string, error) {
	var b [2]byte
	if _, err := rand.Read(b[:]); err != nil {
		return "", fmt.Errorf("run id: %w", err)
	}
	return now.UTC().Format("20060102-150405") + "-" + hex.EncodeToString(b[:]), nil
}

// maxID is the longest run id.
const maxID = 64

// CheckID reports what keeps id from being a run's: it stands in paths, in
// OTEL_RESOURCE_ATTRIBUTES, in labels and in the baggage of every request.
func CheckID(id string) error {
	ok := id != "" && len(id) <= maxID && id[0] != '.'
	for _, c := range []byte(id) {
		ok = ok && (c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == '-')
	}
	if !ok {
		return fmt.Errorf("run id %q: give 1 to %d letters, digits, dots, _ and -, not a dot first", id, maxID)
	}
	return nil
}

// newToken returns a secret of 128 bits.
func newToken() string { return rand.Text() }

// dialWait is how long a target may take to accept a connection.
const dialWait = 5 * time.Second

// Await waits until the target accepts connections, at most for the time
// given. Guard is Config's. When ctx ends before, the error is ErrInterrupted.
func Await(ctx context.Context, target string, wait time.Duration, guard func(netip.AddrPort) error) error {
	outer := ctx
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		err := dialOnce(ctx, target, guard)
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			if outer.Err() != nil {
				return ErrInterrupted
			}
			return fmt.Errorf("target %s did not answer within %s: %w", target, wait, err)
		}
	}
}

func dialOnce(ctx context.Context, target string, guard func(netip.AddrPort) error) error {
	u, err := url.Parse(target)
	if err != nil {
		return err
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	d := net.Dialer{Timeout: dialWait, Control: loadgen.GuardDial(guard)}
	conn, err := d.DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		return plain(err)
	}
	return conn.Close()
}

// plain strips the address, which the caller names, from a dial error.
func plain(err error) error {
	var op *net.OpError
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns):
		return fmt.Errorf("no such host %q", dns.Name)
	case errors.As(err, &op) && op.Timeout():
		return fmt.Errorf("no answer within %s", dialWait)
	case errors.As(err, &op):
		return op.Err
	}
	return err
}
