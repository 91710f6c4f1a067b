package loadgen

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"os"
	"slices"
)

// Transport says how requests travel. The zero value is HTTP/1.1 on
// connections that are kept, straight to the target, with certificates
// verified against the system's roots.
type Transport struct {
	TLS TLS `json:"tls,omitzero"`
	// ConnectTo maps host:port of the target to the host:port that is dialled
	// in its place; what is sent stays the same. An empty host or port, as in
	// ":443" or ":", is any.
	ConnectTo map[string]string `json:"connect_to,omitempty"`
	// Proxy is the URL of an HTTP proxy, such as http://proxy:3128: https
	// goes through it by CONNECT, http by requests in absolute form.
	Proxy string `json:"proxy,omitempty"`
	// NoKeepAlive opens a connection for every request.
	NoKeepAlive bool `json:"no_keep_alive,omitempty"`
	// Cookies gives every user, and every iteration of a rate, a jar of its
	// own. A step with a Cookie header sends that alone.
	Cookies bool `json:"cookies,omitempty"`
	// HTTP2 speaks HTTP/2: chosen by ALPN with TLS, by prior knowledge
	// without. Every user has its own connection, with one request at a time.
	HTTP2 bool `json:"http2,omitempty"`
	// MaxBody is the largest body of an answer, in bytes; a larger one is an
	// error. 0 is DefaultMaxBody. Bodies are read and counted, not kept.
	MaxBody int64 `json:"max_body,omitempty"`
}

// TLS says how connections to an https target are secured. Files are PEM;
// relative names are from the working directory.
type TLS struct {
	Insecure   bool   `json:"insecure,omitempty"`    // certificates are not verified
	RootCerts  string `json:"root_certs,omitempty"`  // file of authorities in place of the system's
	Cert       string `json:"cert,omitempty"`        // file of the client's certificate, with Key
	Key        string `json:"key,omitempty"`         // file of its key
	ServerName string `json:"server_name,omitempty"` // of SNI and verification; "" is the target's host
	MinVersion string `json:"min_version,omitempty"` // 1.0 to 1.3; "" is 1.2
}

// tlsVersions are the values of TLS.MinVersion.
func tlsVersions() map[string]uint16 {
	return map[string]uint16{
		"": tls.VersionTLS12, "1.0": tls.VersionTLS10, "1.1": tls.VersionTLS11, "1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13,
	}
}

func (tr *Transport) check() error {
	for _, from := range slices.Sorted(maps.Keys(tr.ConnectTo)) {
		if err := checkConnectTo(from, tr.ConnectTo[from]); err != nil {
			return err
		}
	}
	if tr.Proxy != "" {
		if err := checkProxy(tr.Proxy); err != nil {
			return err
		}
		if len(tr.ConnectTo) > 0 {
			return errors.New("connect_to and proxy together: the proxy is what is connected to, so leave one out")
		}
	}
	if tr.MaxBody < 0 {
		return fmt.Errorf("max_body %d: give bytes, such as 16MiB", tr.MaxBody)
	}
	return tr.TLS.check()
}

func (t *TLS) check() error {
	if _, ok := tlsVersions()[t.MinVersion]; !ok {
		return fmt.Errorf("min_version %q: give 1.0, 1.1, 1.2 or 1.3", t.MinVersion)
	}
	switch {
	case (t.Cert == "") != (t.Key == ""):
		return errors.New("cert and key belong together: give the files of both")
	case t.Insecure && t.RootCerts != "":
		return errors.New("insecure and root_certs together: nothing is verified against the roots, so leave one out")
	}
	return nil
}

func checkConnectTo(from, to string) error {
	if _, _, err := net.SplitHostPort(from); err != nil {
		return fmt.Errorf("connect_to %q: give host:port of the target, such as example.org:443", from)
	}
	if host, port, err := net.SplitHostPort(to); err != nil || host == "" || port == "" {
		return fmt.Errorf("connect_to %s: %q is no address: give host:port, such as 127.0.0.1:8443", from, to)
	}
	return nil
}

func checkProxy(proxy string) error {
	u, err := url.Parse(proxy)
	switch {
	case err != nil, u.Scheme != "http", u.Host == "", u.Path != "" && u.Path != "/", u.RawQuery != "":
		return errors.New("proxy: give the URL of an HTTP proxy, such as http://127.0.0.1:3128")
	case u.User != nil:
		return fmt.Errorf("proxy %s: leave out user and password: a proxy that asks for them is not supported", u.Redacted())
	}
	return nil
}

// config returns what connections to host are secured with.
func (t *TLS) config(host string, http2 bool) (*tls.Config, error) {
	cfg := &tls.Config{
		ServerName:         host,
		MinVersion:         tlsVersions()[t.MinVersion],
		InsecureSkipVerify: t.Insecure,
		NextProtos:         []string{"http/1.1"},
	}
	if http2 {
		cfg.NextProtos = []string{"h2"}
	}
	if t.ServerName != "" {
		cfg.ServerName = t.ServerName
	}
	if t.RootCerts != "" {
		pem, err := os.ReadFile(t.RootCerts)
		if err != nil {
			return nil, fmt.Errorf("root_certs: %w", err)
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("root_certs: %s holds no certificate: give a PEM file", t.RootCerts)
		}
	}
	if t.Cert != "" {
		pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
		if err != nil {
			return nil, fmt.Errorf("cert and key: %w", err)
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	return cfg, nil
}

// CheckFiles reports the first file that the plan names and that cannot be
// used: certificates, a key, bodies of requests. Check looks at no file.
func (p *Plan) CheckFiles() error {
	if _, err := p.Transport.TLS.config("", false); err != nil {
		return err
	}
	for i := range p.Journeys {
		for _, s := range p.Journeys[i].Steps {
			f, err := openBody(s)
			if err != nil {
				return err
			}
			f.close()
		}
	}
	return nil
}
