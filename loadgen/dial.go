package loadgen

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"syscall"
	"time"
)

// dialer opens connections to one target, telling what each part took. All
// clients share it.
type dialer struct {
	host, port string     // what is dialled: the target, what stands in for it, or the proxy
	addr       netip.Addr // of a host that needs no DNS
	tunnel     string     // host:port that the proxy is asked to connect to; "" for none
	tls        *tls.Config
	resolver   net.Resolver
	dialer     net.Dialer
}

func newDialer(target string, tr *Transport) (*dialer, error) {
	u, err := url.Parse(target)
	if err != nil {
		return nil, err
	}
	d := &dialer{host: u.Hostname(), port: portOf(u)}
	if u.Scheme == "https" {
		if d.tls, err = tr.TLS.config(d.host, tr.HTTP2); err != nil {
			return nil, err
		}
	}
	if err := d.divert(tr); err != nil {
		return nil, err
	}
	d.addr, _ = netip.ParseAddr(d.host)
	return d, nil
}

func portOf(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case u.Scheme == "https":
		return "443"
	}
	return "80"
}

// divert makes d dial what stands in for the target.
func (d *dialer) divert(tr *Transport) error {
	if tr.Proxy != "" {
		proxy, err := url.Parse(tr.Proxy)
		if err != nil {
			return err
		}
		if d.tls != nil || tr.HTTP2 {
			d.tunnel = net.JoinHostPort(d.host, d.port)
		}
		d.host, d.port = proxy.Hostname(), portOf(proxy)
		return nil
	}
	if len(tr.ConnectTo) == 0 {
		return nil
	}
	for _, from := range []string{net.JoinHostPort(d.host, d.port), net.JoinHostPort(d.host, ""), net.JoinHostPort("", d.port), ":"} {
		if to, ok := tr.ConnectTo[from]; ok {
			var err error
			d.host, d.port, err = net.SplitHostPort(to)
			return err
		}
	}
	return fmt.Errorf("connect_to has nothing for the target: map %s", net.JoinHostPort(d.host, d.port))
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
	if err == nil && d.tunnel != "" {
		err = openTunnel(ctx, conn, d.tunnel)
	}
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

// openTunnel asks the proxy at the other end of conn to connect to address.
// On failure it closes conn.
func openTunnel(ctx context.Context, conn net.Conn, address string) (err error) {
	deadline, _ := ctx.Deadline()
	_ = conn.SetDeadline(deadline)
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer func() {
		if !stop() && err == nil {
			err = ctx.Err()
		}
		if err != nil {
			_ = conn.Close()
			err = fmt.Errorf("proxy: %w", err)
		}
	}()
	if _, err = fmt.Fprintf(conn, "CONNECT %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: %s\r\n\r\n", address, address, userAgent); err != nil {
		return err
	}
	head, err := readTunnelHead(conn)
	if err != nil {
		return err
	}
	resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(head)), &http.Request{Method: http.MethodConnect})
	if err != nil {
		return err
	}
	_ = resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("CONNECT %s: %s", address, resp.Status)
	}
	return nil
}

const maxTunnelHead = 8 << 10

// readTunnelHead reads byte by byte, once per connection: what follows the
// head is the tunnel's.
func readTunnelHead(conn net.Conn) ([]byte, error) {
	var head []byte
	one := make([]byte, 1)
	for !bytes.HasSuffix(head, []byte("\r\n\r\n")) {
		if _, err := conn.Read(one); err != nil {
			return nil, err
		}
		if head = append(head, one...); len(head) > maxTunnelHead {
			return nil, fmt.Errorf("the head of its answer is larger than %d KiB", maxTunnelHead>>10)
		}
	}
	return head, nil
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

// brokenClass is the class of an error on an open connection.
func brokenClass(err error) ErrorClass {
	if err == nil {
		return "" // without errors.As, which allocates
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && (op.Op == "remote error" || op.Op == "local error") {
		return ErrTLS // an alert, such as that a client's certificate is missing
	}
	return orTimeout(err, ErrReset)
}

func orTimeout(err error, class ErrorClass) ErrorClass {
	var ne net.Error
	if errors.Is(err, context.DeadlineExceeded) || (errors.As(err, &ne) && ne.Timeout()) {
		return ErrTimeout
	}
	return class
}
