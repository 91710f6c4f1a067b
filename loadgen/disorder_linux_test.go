package loadgen_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/taillight-load/taillight/loadgen"
)

// resent is after how long a lost segment is sent again.
const resent = 200 * time.Millisecond

// Where the first segment of an answer is lost and sent again, the answer is
// there with that one, though the kernel's stamp is that of the last.
func TestAnAnswerIsThereWithItsLastSegment(t *testing.T) {
	if os.Getenv("TAILLIGHT_TEST_NETWORK") == "" {
		inNetworkOfItsOwn(t)
		return
	}
	tun := newTunnel(t)
	var peer sync.WaitGroup
	peer.Go(func() { tun.answerOutOfOrder() })
	p := closed("http://10.9.0.2", 1, 3*resent, loadgen.Think{})
	p.Timeout, p.Drain = time.Minute, time.Minute
	all := exchangesOf(t, p)
	allOK(t, all)
	_ = tun.file.Close()
	peer.Wait()
	for _, x := range all {
		if x.Service() < resent {
			t.Errorf("exchange %d took %s, though a part of its answer was sent after %s: %+v", x.N, x.Service(), resent, x.Timings)
		}
	}
	if len(all) == 0 {
		t.Error("no exchange")
	}
}

// inNetworkOfItsOwn runs the test again in a process that may do with the
// network what it likes.
func inNetworkOfItsOwn(t *testing.T) {
	t.Helper()
	again := exec.CommandContext(t.Context(), selfProgram(), "-test.run", "^"+t.Name()+"$", "-test.v")
	again.Env = append(os.Environ(), "TAILLIGHT_TEST_NETWORK=1")
	again.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
	}
	out, err := again.CombinedOutput()
	var ended *exec.ExitError
	switch {
	case err != nil && !errors.As(err, &ended):
		t.Skipf("no network of its own: %v", err)
	case err != nil:
		t.Errorf("%v: %s", err, out)
	case strings.Contains(string(out), "--- SKIP"):
		t.Skip(string(out))
	}
}

// tunnel is a network interface whose other end the test plays.
type tunnel struct{ file *os.File }

func newTunnel(t *testing.T) *tunnel {
	t.Helper()
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Skipf("no tunnel: %v", err)
	}
	request, err := unix.NewIfreq("t0")
	if err == nil {
		request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, request)
	}
	if err == nil {
		err = unix.SetNonblock(fd, true) // so that Close ends a read
	}
	if err != nil {
		_ = unix.Close(fd)
		t.Skipf("no tunnel: %v", err)
	}
	u := &tunnel{os.NewFile(uintptr(fd), "tun")}
	t.Cleanup(func() { _ = u.file.Close() })
	for _, command := range []string{"addr add 10.9.0.1/24 dev t0", "link set t0 up"} {
		if out, err := exec.CommandContext(t.Context(), "ip", strings.Fields(command)...).CombinedOutput(); err != nil {
			t.Skipf("ip %s: %v %s", command, err, out)
		}
	}
	return u
}

// answerOutOfOrder is a host that accepts connections and answers whatever is
// asked in two segments, the first one after the second.
func (u *tunnel) answerOutOfOrder() {
	const first, second = "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nlost", "late"
	for buf := make([]byte, 2000); ; {
		n, err := u.file.Read(buf)
		if err != nil {
			return
		}
		p := buf[:n]
		if n < 40 || p[0]>>4 != 4 || p[9] != unix.IPPROTO_TCP {
			continue
		}
		s := readSegment(p)
		switch {
		case s.flags&syn != 0:
			u.send(s, s.ack, s.seq+1, syn|ack, "")
		case s.data > 0:
			next := s.seq + uint32(s.data)
			u.send(s, s.ack+uint32(len(first)), next, ack, second)
			time.Sleep(resent)
			u.send(s, s.ack, next, ack, first)
		}
	}
}

// The flags of a segment.
const (
	syn = 0x02
	ack = 0x10
)

type segment struct {
	from, to uint16
	seq, ack uint32
	flags    byte
	data     int
}

func readSegment(p []byte) segment {
	t := p[int(p[0]&15)*4:]
	return segment{
		from: binary.BigEndian.Uint16(t), to: binary.BigEndian.Uint16(t[2:]),
		seq: binary.BigEndian.Uint32(t[4:]), ack: binary.BigEndian.Uint32(t[8:]),
		flags: t[13], data: len(t) - int(t[12]>>4)*4,
	}
}

// send answers s.
func (u *tunnel) send(s segment, seq, acked uint32, flags byte, data string) {
	from, to := netip.MustParseAddr("10.9.0.2").As4(), netip.MustParseAddr("10.9.0.1").As4()
	p := make([]byte, 40, 40+len(data))
	p = append(p, data...)
	t := p[20:]
	binary.BigEndian.PutUint16(t, s.to)
	binary.BigEndian.PutUint16(t[2:], s.from)
	binary.BigEndian.PutUint32(t[4:], seq)
	binary.BigEndian.PutUint32(t[8:], acked)
	t[12], t[13] = 5<<4, flags
	binary.BigEndian.PutUint16(t[14:], 65000)
	pseudo := append(append(from[:], to[:]...), 0, unix.IPPROTO_TCP, 0, byte(len(t)))
	binary.BigEndian.PutUint16(t[16:], checksum(append(pseudo, t...)))
	p[0], p[8], p[9] = 0x45, 64, unix.IPPROTO_TCP
	binary.BigEndian.PutUint16(p[2:], uint16(len(p)))
	copy(p[12:], from[:])
	copy(p[16:], to[:])
	binary.BigEndian.PutUint16(p[10:], checksum(p[:20]))
	if _, err := u.file.Write(p); err != nil {
		fmt.Fprintln(os.Stderr, "tunnel:", err)
	}
}

// checksum is the internet's (RFC 1071).
func checksum(p []byte) uint16 {
	var sum uint32
	for i := 0; i < len(p); i += 2 {
		sum += uint32(p[i]) << 8
		if i+1 < len(p) {
			sum += uint32(p[i+1])
		}
	}
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}
