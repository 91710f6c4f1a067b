package target

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/taillight-load/taillight/services/target/faults"
	"github.com/taillight-load/taillight/services/target/shop"
	"github.com/taillight-load/taillight/telemetry"
	"github.com/taillight-load/taillight/telemetry/names"
)

// DefaultAddr is where the service listens unless told otherwise.
const DefaultAddr = "127.0.0.1:8000"

// Config configures [Run]. The zero value serves on [DefaultAddr] with the
// admin pages on a free port of 127.0.0.1.
type Config struct {
	// Addr is HOST:PORT of the service; port 0 takes a free one. "" means
	// DefaultAddr.
	Addr string
	// AdminAddr is HOST:PORT of the admin pages; "" means 127.0.0.1:0. An
	// address that other machines reach needs TAILLIGHT_ADMIN_TOKEN.
	AdminAddr string
	// Child ends the service when stdin reaches its end: a parent that holds
	// the other end of that pipe takes it along, however the parent dies.
	Child bool
	// Downstream is the base URL of another instance; see Options.
	Downstream string
	// MaxConcurrent bounds the requests at work; see Options.
	MaxConcurrent int
	// Faults are armed from the start; PUT /faults of the admin pages changes
	// them.
	Faults faults.Set
	// Version is shown to people and sent as service.version.
	Version string
}

// Times that ending may take.
const (
	drainTime    = 20 * time.Second       // for requests under way, the longest of which takes 15 s
	orphanDrain  = 500 * time.Millisecond // the same for a child: nobody reads the answers
	deliveryTime = 5 * time.Second        // for telemetry
)

// Bounds of a connection.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 10 * time.Second
	writeTimeout      = 30 * time.Second
	adminWriteTimeout = 90 * time.Second // a CPU profile may take 60 s
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 16 << 10
)

// Started is the one line of JSON that Run prints on stdout once it listens.
type Started struct {
	Addr  string `json:"addr"`  // HOST:PORT of the service
	Admin string `json:"admin"` // HOST:PORT of the admin pages
	PID   int    `json:"pid"`
}

// Run serves until ctx ends or, as a child, stdin does; then it lets requests
// under way finish, delivers its telemetry and returns nil. It prints one line,
// a [Started], on stdout as soon as connections are accepted. Errors before
// that line say what to change; what goes wrong with single connections goes
// to stderr. Telemetry and the admin token come from the environment.
func Run(ctx context.Context, cfg Config, stdin io.Reader, stdout, stderr io.Writer) error {
	ends, err := listenBoth(ctx, cfg)
	if err != nil {
		return err
	}
	defer ends.close()
	tel, err := telemetry.Start(ctx, telemetry.Options{Service: names.ServiceTarget, Version: cfg.Version})
	if err != nil {
		return fmt.Errorf("start telemetry: %w", err)
	}
	draining := make(chan struct{})
	sh := shop.New(shop.Options{Client: downstreamClient(tel), Downstream: cfg.Downstream})
	if err := sh.Arm(cfg.Faults); err != nil {
		return errors.Join(err, tel.Shutdown(ctx))
	}
	o := Options{
		Shop: sh, Telemetry: tel, Downstream: cfg.Downstream, MaxConcurrent: cfg.MaxConcurrent, Version: cfg.Version,
		Draining: draining, Counts: &Counts{}, AdminToken: os.Getenv(names.EnvAdminToken),
	}
	errorLog := log.New(stderr, "target: ", 0)
	service := newServer(New(o), errorLog, writeTimeout)
	service.ConnContext = shop.ConnContext
	admin := newServer(Admin(o), errorLog, adminWriteTimeout)

	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	wg.Go(func() { cancel(serve(service, sh.Door(ends.service))) })
	wg.Go(func() { cancel(serve(admin, ends.admin)) })
	if cfg.Child {
		// Nobody waits for this goroutine: a read of stdin cannot be
		// interrupted, and ends with the process at the latest.
		go func() {
			_, _ = io.Copy(io.Discard, stdin) // its end is the signal, whatever the error
			cancel(errOrphaned)
		}()
	}
	if err := announce(stdout, ends); err != nil {
		cancel(err)
	}
	<-ctx.Done()

	close(draining)
	err = stop(ctx, service, admin, tel, errorLog)
	wg.Wait()
	return err
}

// errOrphaned ends a child whose parent has gone or wants it to go.
var errOrphaned = errors.New("stdin has ended")

// listeners are the two that a service needs.
type listeners struct{ service, admin net.Listener }

// close closes both; a server may have done so before.
func (l listeners) close() {
	_ = l.service.Close()
	_ = l.admin.Close()
}

func listenBoth(ctx context.Context, cfg Config) (listeners, error) {
	if cfg.Addr == "" {
		cfg.Addr = DefaultAddr
	}
	if cfg.AdminAddr == "" {
		cfg.AdminAddr = "127.0.0.1:0"
	}
	host, _, err := net.SplitHostPort(cfg.AdminAddr)
	if err != nil {
		return listeners{}, fmt.Errorf("admin address %q: want HOST:PORT such as 127.0.0.1:0", cfg.AdminAddr)
	}
	if !isLoopback(host) && os.Getenv(names.EnvAdminToken) == "" {
		return listeners{}, fmt.Errorf("admin address %s can be reached from other machines: set %s to a secret, or listen on 127.0.0.1",
			cfg.AdminAddr, names.EnvAdminToken)
	}
	service, err := listen(ctx, "--addr", cfg.Addr)
	if err != nil {
		return listeners{}, err
	}
	admin, err := listen(ctx, "--admin", cfg.AdminAddr)
	if err != nil {
		_ = service.Close()
		return listeners{}, fmt.Errorf("admin pages: %w", err)
	}
	return listeners{service, admin}, nil
}

func newServer(h http.Handler, errorLog *log.Logger, write time.Duration) *http.Server {
	return &http.Server{
		Handler: h, ErrorLog: errorLog, ReadHeaderTimeout: readHeaderTimeout, ReadTimeout: readTimeout,
		WriteTimeout: write, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes,
	}
}

// serve returns nil once the server is shut down.
func serve(s *http.Server, l net.Listener) error {
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve on %s: %w", l.Addr(), err)
	}
	return nil
}

func announce(stdout io.Writer, l listeners) error {
	line := Started{Addr: l.service.Addr().String(), Admin: l.admin.Addr().String(), PID: os.Getpid()}
	if err := json.NewEncoder(stdout).Encode(line); err != nil {
		return fmt.Errorf("print the address: %w", err)
	}
	return nil
}

// stop ends a service in the order that loses nothing: requests first, then
// the spans they left. ctx has ended; its cause is returned when it is a
// failure. What telemetry could not deliver is told on stderr and is none.
func stop(ctx context.Context, service, admin *http.Server, tel *telemetry.Telemetry, errorLog *log.Logger) error {
	cause := context.Cause(ctx)
	patience := drainTime
	if errors.Is(cause, errOrphaned) {
		patience = orphanDrain
	}
	ctx = context.WithoutCancel(ctx)
	drain, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := service.Shutdown(drain); err != nil {
		_ = service.Close() // what is still at work has had its time
	}
	_ = admin.Close() // breaks off a profile that somebody is taking

	deliver, cancel := context.WithTimeout(ctx, deliveryTime)
	defer cancel()
	if err := tel.Shutdown(deliver); err != nil {
		errorLog.Print(err)
	}
	if lost := tel.Lost(); lost != (telemetry.Losses{}) {
		errorLog.Printf("telemetry that did not reach its receiver: %d spans, %d collections of metrics, %d profiles with %d samples",
			lost.Spans, lost.Metrics, lost.Profiles, lost.Samples)
	}
	for _, usual := range []error{errOrphaned, context.Canceled, context.DeadlineExceeded} {
		if errors.Is(cause, usual) {
			return nil
		}
	}
	return cause
}
