package loadgen

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// link is a TCP connection whose socket is read and written by raw system
// calls. It never blocks in them, so the scheduler need not know: telling it
// wakes the runtime's monitor thread whenever the process was idle, which then
// looks every 20 us on the same core. The waiting is the poller's, as ever.
//
// One goroutine uses it at a time; Close may come from another.
type link struct {
	*net.TCPConn
	raw syscall.RawConn
	now func() time.Duration

	// A deadline that is set stays until it strikes, and is then moved to the
	// one wanted if that is still to come: requests that are answered in time
	// have no price of it.
	set, wanted time.Duration

	// The same closures serve every time, so that nothing is allocated.
	reading, asking func(fd uintptr) bool
	in, out         []byte
	n               int           // bytes read, or written
	errno           syscall.Errno // of the last call that failed
	asked           time.Duration // when all was written; 0 before
	over            bool          // it had ended before anything was written
	peeked          [1]byte

	came      time.Duration // when what was read last was there
	lingering func(fd uintptr)
	part      unix.Iovec
	message   unix.Msghdr
	control   [64]byte // the kernel's stamp, with room to spare
	info      unix.TCPInfo
	disorder  uint32        // segments that came out of order, when last looked
	usual     time.Duration // how long most of what comes lies unread, see doubted
}

// linkOf returns conn with fast reads and writes, or conn itself where there
// are none.
func linkOf(conn net.Conn, now func() time.Duration) net.Conn {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return conn
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return conn
	}
	l := &link{TCPConn: tcp, raw: raw, now: now, usual: unsure}
	l.reading, l.asking = l.tryRead, l.tryAsk
	l.lingering = func(fd uintptr) { l.tryRead(fd) }
	l.message.Iov, l.message.Control = &l.part, &l.control[0]
	l.message.SetIovlen(1)
	// Where the kernel does not stamp what comes, it came when it was read.
	_ = raw.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_TIMESTAMPNS_NEW, 1) })
	return l
}

// expire makes reads and writes fail from deadline on.
func (l *link) expire(deadline time.Duration) error {
	l.wanted = deadline
	if l.set != 0 && l.set <= deadline {
		return nil
	}
	return l.moveDeadline()
}

func (l *link) moveDeadline() error {
	l.set = l.wanted
	return l.SetDeadline(time.Now().Add(l.wanted - l.now()))
}

// wait runs f until it is true, waiting for the socket in between.
func (l *link) wait(f func(fd uintptr) bool) error {
	for {
		err := l.raw.Read(f)
		if err == nil {
			return nil
		}
		if errors.Is(err, os.ErrDeadlineExceeded) && l.set < l.wanted && l.now() < l.wanted {
			if err := l.moveDeadline(); err != nil {
				return err
			}
			continue
		}
		if op, ok := errors.AsType[*net.OpError](err); ok {
			op.Op = "read" // as everywhere else
		}
		return err
	}
}

// Read implements net.Conn.
func (l *link) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	l.in, l.n, l.errno = p, 0, 0
	err := l.wait(l.reading)
	if errors.Is(err, os.ErrDeadlineExceeded) && l.inTime() {
		err = nil
	}
	l.in = nil
	switch {
	case err != nil:
		return 0, err
	case l.errno != 0:
		return 0, l.failed("read")
	case l.n == 0:
		return 0, io.EOF
	}
	return l.n, nil
}

// inTime reads what was there before the deadline all the same: only the
// generator is late with it.
func (l *link) inTime() bool {
	if l.raw.Control(l.lingering) != nil || l.n == 0 {
		return false
	}
	return l.came <= l.wanted
}

// Write implements net.Conn.
func (l *link) Write(p []byte) (int, error) {
	if err := l.moveDeadline(); err != nil {
		return 0, err
	}
	n, err := l.TCPConn.Write(p)
	l.asked = l.now()
	return n, err
}

// ask writes p and waits until there is something to read, be it an error,
// which the next Read then tells. It returns how much was written, and when
// that was done.
//
// The poller is told to wait before the request leaves, so that no answer can
// come too early: that saves the read that finds nothing yet. What came before
// it is told it does not tell, so that is looked for, and is errEnded: where a
// reset is lost on the way, nothing else would come of the end of a connection.
func (l *link) ask(p []byte) (n int, at time.Duration, err error) {
	l.out, l.n, l.errno, l.asked, l.over = p, 0, 0, 0, false
	err = l.wait(l.asking)
	l.out = nil
	switch {
	case l.asked != 0: // Read tells what else there was
		return l.n, l.asked, nil
	case l.over:
		return 0, l.now(), errEnded
	case err != nil:
		return 0, l.now(), err
	case l.errno != 0:
		return 0, l.now(), l.failed("write")
	}
	// The socket's buffer took a part of it.
	rest, err := l.Write(p[l.n:])
	return l.n + rest, l.now(), err
}

func (l *link) tryRead(fd uintptr) bool {
	l.part.Base = unsafe.SliceData(l.in)
	l.part.SetLen(len(l.in))
	l.message.SetControllen(len(l.control))
	l.n, l.errno = rawIO(unix.SYS_RECVMSG, fd, unsafe.Pointer(&l.message), 0)
	l.part.Base = nil
	if l.errno == syscall.EAGAIN {
		return false
	}
	l.came = l.arrival(fd)
	return true
}

const (
	// unsure is how much sooner than it was read something may always have come
	// without a second look.
	unsure = 250 * time.Microsecond
	// preempted is how much sooner than the request was written an answer to it
	// can seem to have come: the thread may lose its turn before it looks at the
	// clock.
	preempted = time.Millisecond
)

// arrival returns when what has just been read was there: as long ago as the
// kernel's stamp says, which does not know how long the generator took to wake
// up and read. Where that stamp can be wrong, it came now. It is that of the
// last segment in order, so that of an earlier one where a lost one came after
// it; and it is of a clock that may be set.
func (l *link) arrival(fd uintptr) time.Duration {
	const size = 16 // two 64-bit numbers, on every architecture
	h := (*unix.Cmsghdr)(unsafe.Pointer(&l.control))
	if l.n == 0 || int(l.message.Controllen) < unix.CmsgLen(size) || h.Level != unix.SOL_SOCKET || h.Type != unix.SO_TIMESTAMPNS_NEW {
		return l.now()
	}
	at := (*[2]int64)(unsafe.Pointer(&l.control[unix.CmsgLen(0)]))
	// This clock is read first: a thread that loses its turn in between makes
	// the arrival later, never earlier.
	ago := time.Duration(time.Now().UnixNano() - (at[0]*1e9 + at[1]))
	now := l.now()
	came := now - ago
	if ago < 0 || came < l.asked-preempted || l.doubted(ago) && l.disordered(fd) {
		return now
	}
	return max(came, l.came)
}

// doubted reports whether something lay unread for longer than is usual, or
// seems to have, so that a second look is worth its price: about one in twenty
// where the generator has no time, as the limit rises nineteen times as much with
// each that is above as it falls with each below, and none where it is punctual.
func (l *link) doubted(ago time.Duration) bool {
	above := ago > l.usual
	if above {
		l.usual += l.usual * 19 / 100
	} else {
		l.usual = max(l.usual-l.usual/100, unsure)
	}
	return above
}

// disordered reports whether segments came out of order since the last look.
func (l *link) disordered(fd uintptr) bool {
	size := uint32(unsafe.Sizeof(l.info))
	_, _, errno := syscall.RawSyscall6(unix.SYS_GETSOCKOPT, fd, unix.IPPROTO_TCP, unix.TCP_INFO, uintptr(unsafe.Pointer(&l.info)), uintptr(unsafe.Pointer(&size)), 0)
	was := l.disorder
	l.disorder = l.info.Rcv_ooopack
	// Linux before 5.4 does not count them.
	return errno != 0 || uintptr(size) < unsafe.Offsetof(l.info.Rcv_ooopack)+unsafe.Sizeof(l.disorder) || l.disorder != was
}

func (l *link) tryAsk(fd uintptr) bool {
	if l.asked != 0 {
		return true
	}
	if l.over = l.ended(fd); l.over {
		return true
	}
	l.n, l.errno = rawIO(unix.SYS_WRITE, fd, unsafe.Pointer(unsafe.SliceData(l.out)), uintptr(len(l.out)))
	if l.errno == syscall.EAGAIN {
		l.errno = 0
	}
	if l.n < len(l.out) {
		return true
	}
	l.asked = l.now()
	return false
}

// ended reports whether there is something to read before anything was asked:
// the end, an error, or what is no answer of ours.
func (l *link) ended(fd uintptr) bool {
	_, _, errno := syscall.RawSyscall6(unix.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(&l.peeked)), 1, unix.MSG_PEEK, 0, 0)
	return errno != syscall.EAGAIN
}

func (l *link) failed(call string) error {
	return &net.OpError{Op: call, Net: "tcp", Source: l.LocalAddr(), Addr: l.RemoteAddr(), Err: os.NewSyscallError(call, l.errno)}
}

// rawIO makes a call that reads or writes, on a socket that does not block.
func rawIO(call, fd uintptr, what unsafe.Pointer, how uintptr) (int, syscall.Errno) {
	for {
		n, _, errno := syscall.RawSyscall(call, fd, uintptr(what), how)
		switch errno {
		case 0:
			return int(n), 0
		case syscall.EINTR:
		default:
			return 0, errno
		}
	}
}
