package loadgen

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"net/url"
	"syscall"
	"time"
)

// dialer opens connections to one target, telling what each part took.
type dialer struct {
	host, port string
	addr       netip.Addr // of a host that needs no DNS
	tls        *tls.Config
	resolver   net.Resolver
	dialer     net.Dialer
}

func newDialer(target string) (*dialer, error) {
	u, err := url.Parse(target)
	if err != nil {
		return nil, err
	}
	d := &dialer{host: u.Hostname(), port: u.Port()}
	if u.Scheme == "https" {
		d.tls = &tls.Config{ServerName: d.host, NextProtos: []string{"http/1.1"}, MinVersion: tls.VersionTLS12}
	}
	if d.port == "" {
		d.port = map[bool]string{true: "443", false: "80"}[d.tls != nil]
	}
	d.addr, _ = netip.ParseAddr(d.host)
	return d, nil
}

// dial connects, adding to t. On failure it returns the class of the error.
func (d *dialer) dial(ctx context.Context, now func() time.Duration, t *Timings) (net.Conn, ErrorClass, error) {
	start := now()
	addrs, err := d.resolve(ctx)
	resolved := now()
	t.DNS = resolved - start
	if err != nil {
		return nil, orTimeout(err, ErrDNS), err
	}
	conn, err := d.connect(ctx, addrs)
	connected := now()
	t.Connect = connected - resolved
	if err != nil {
		return nil, connectClass(err), err
	}
	if d.tls == nil {
		return conn, "", nil
	}
	secure := tls.Client(conn, d.tls)
	err = secure.HandshakeContext(ctx)
	t.SSL = now() - connected
	if err != nil {
		_ = conn.Close()
		return nil, orTimeout(err, ErrTLS), err
	}
	return secure, "", nil
}

// connect tries the addresses in turn. Each gets its share of the time that is
// left, so that one which swallows packets does not take all of it.
func (d *dialer) connect(ctx context.Context, addrs []netip.Addr) (conn net.Conn, err error) {
	err = errors.New("the name has no address")
	for i, a := range addrs {
		one, cancel := ctx, context.CancelFunc(func() {})
		if deadline, ok := ctx.Deadline(); ok {
			one, cancel = context.WithTimeout(ctx, time.Until(deadline)/time.Duration(len(addrs)-i))
		}
		conn, err = d.dialer.DialContext(one, "tcp", net.JoinHostPort(a.String(), d.port))
		cancel()
		if err == nil {
			return conn, nil
		}
	}
	return nil, err
}

func (d *dialer) resolve(ctx context.Context) ([]netip.Addr, error) {
	if d.addr.IsValid() {
		return []netip.Addr{d.addr}, nil
	}
	return d.resolver.LookupNetIP(ctx, "ip", d.host)
}

func connectClass(err error) ErrorClass {
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return ErrRefused
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE), errors.Is(err, syscall.EADDRNOTAVAIL):
		return ErrLocal
	}
	return orTimeout(err, ErrConnect)
}

func orTimeout(err error, class ErrorClass) ErrorClass {
	var ne net.Error
	if errors.Is(err, context.DeadlineExceeded) || (errors.As(err, &ne) && ne.Timeout()) {
		return ErrTimeout
	}
	return class
}
