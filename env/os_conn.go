package env

import (
	"net"
	"syscall"
)

// osConn is a connection that was dialled. What TryWrite needs is kept, so that it allocates nothing.
type osConn struct {
	net.Conn
	raw   syscall.RawConn // nil: TryWrite takes nothing
	write func(fd uintptr)
	p     []byte // being tried
	n     int
	err   error
}

func newOSConn(c net.Conn) *osConn {
	o := &osConn{Conn: c}
	if s, ok := c.(syscall.Conn); ok {
		o.raw, _ = s.SyscallConn() // nil after an error
	}
	o.write = func(fd uintptr) { o.n, o.err = writeNow(fd, o.p) }
	return o
}

// TryWrite implements Conn. Sockets of Go do not block: what has no room in the kernel's buffer is
// left to Write, which waits.
func (o *osConn) TryWrite(p []byte) (int, error) {
	if o.raw == nil {
		return 0, nil
	}
	o.p = p
	err := o.raw.Control(o.write) // unlike its Write, it waits for no other writer
	o.p = nil
	if err != nil {
		return 0, err
	}
	return o.n, o.err
}
