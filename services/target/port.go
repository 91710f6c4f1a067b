package target

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// listen opens a TCP listener. A taken port is an error of one line that names
// the port, who holds it where the system tells, and the way out: flag is what
// sets the address on the command line.
func listen(ctx context.Context, flag, addr string) (net.Listener, error) {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", addr)
	if err == nil {
		return l, nil
	}
	if !errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("listen on %s: %w", addr, err)
	}
	host, port, _ := net.SplitHostPort(addr)
	holder := "another process"
	if n, convErr := strconv.ParseUint(port, 10, 16); convErr == nil {
		if h := portHolder("/proc", uint16(n)); h != "" {
			holder = h
		}
	}
	free := net.JoinHostPort(host, "0")
	return nil, fmt.Errorf("port %s of %s: %w by %s: stop it, or take a free port with %s %s",
		port, host, syscall.EADDRINUSE, holder, flag, free)
}

// portHolder returns "NAME (pid N)" of the process that listens on a TCP port,
// or "" where the system does not tell: only Linux has these files, and they
// show other users' processes to root alone. proc is /proc.
func portHolder(proc string, port uint16) string {
	sockets := map[string]bool{}
	for _, table := range []string{"net/tcp", "net/tcp6"} {
		data, err := os.ReadFile(filepath.Join(proc, table))
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(data)) {
			if inode, ok := listeningInode(line, port); ok {
				sockets["socket:["+inode+"]"] = true
			}
		}
	}
	if len(sockets) == 0 {
		return ""
	}
	descriptors, _ := filepath.Glob(filepath.Join(proc, "[0-9]*", "fd", "*")) // the pattern is well formed
	for _, fd := range descriptors {
		target, err := os.Readlink(fd)
		if err != nil || !sockets[target] {
			continue
		}
		dir := filepath.Dir(filepath.Dir(fd))
		name, err := os.ReadFile(filepath.Join(dir, "comm"))
		if err != nil {
			return "pid " + filepath.Base(dir)
		}
		return fmt.Sprintf("%s (pid %s)", strings.TrimSpace(string(name)), filepath.Base(dir))
	}
	return ""
}

// listeningInode reads one line of /proc/net/tcp: the second field is the
// local ADDRESS:PORT in hex, the fourth the state, 0A for listening, the tenth
// the socket's inode.
func listeningInode(line string, port uint16) (string, bool) {
	const listening = "0A"
	f := strings.Fields(line)
	if len(f) < 10 || f[3] != listening {
		return "", false
	}
	_, hexPort, _ := strings.Cut(f[1], ":")
	n, err := strconv.ParseUint(hexPort, 16, 16)
	return f[9], err == nil && uint16(n) == port
}
