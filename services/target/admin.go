package target

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// Admin returns the handler of the admin listener: pprof under /debug/pprof/,
// the flight recording at /debug/flight, the service's counts at /counts, and
// the faults at /faults, with their log at /faults/log. With Options.AdminToken every request
// must carry it as a bearer token; without, only requests that ask for a
// loopback address or localhost are served, so that a web page that a browser
// on this host shows cannot reach it under a name of its own.
func Admin(o Options) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/debug/", o.Telemetry.AdminHandler())
	mux.HandleFunc("GET /counts", func(w http.ResponseWriter, _ *http.Request) {
		counts := o.Counts
		if counts == nil {
			counts = &Counts{}
		}
		lost := o.Telemetry.Lost()
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]int64{ // fails only when the client has gone
			"requests": counts.Requests(), "refused": counts.Refused(), "panics": counts.Panics(),
			"lost_spans": lost.Spans, "lost_metrics": lost.Metrics, "lost_profiles": lost.Profiles,
			"lost_samples": lost.Samples,
		})
	})
	mux.HandleFunc("GET /faults", o.showFaults)
	mux.HandleFunc("PUT /faults", o.armFaults)
	mux.HandleFunc("DELETE /faults", o.disarmFaults)
	mux.HandleFunc("GET /faults/log", o.faultLog)
	if o.AdminToken == "" {
		return localOnly(mux)
	}
	return bearerOnly(o.AdminToken, mux)
}

// bearerOnly compares digests, which have one length whatever was sent, in a
// time that does not tell how much of the token was right.
func bearerOnly(token string, next http.Handler) http.Handler {
	want := sha256.Sum256([]byte(token))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sent, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		got := sha256.Sum256([]byte(sent))
		if !ok || subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
			w.Header().Set("WWW-Authenticate", "Bearer")
			http.Error(w, "the admin token is needed: Authorization: Bearer ...", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func localOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
		if !isLoopback(strings.Trim(host, "[]")) {
			http.Error(w, "without a token the admin pages are served to this host alone", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// isLoopback tells whether a host, as a URL has it, cannot be reached from
// another machine.
func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}
