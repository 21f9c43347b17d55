package env

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"net"
	"os"
	"runtime"
	"time"
	"unsafe"
)

// OS returns the real world: the operating system's files, network and clocks, goroutines for
// tasks. Any number of them may be open at once; all share one clock origin. It is safe for
// concurrent use and holds nothing that needs closing.
func OS() Env { return osEnv{} }

// Aligned returns n zero bytes whose address is a multiple of BlockSize, as Direct writes want it.
func Aligned(n int) []byte {
	raw := make([]byte, n+BlockSize)
	skip := 0
	if r := int(uintptr(unsafe.Pointer(unsafe.SliceData(raw))) % BlockSize); r != 0 {
		skip = BlockSize - r
	}
	return raw[skip : skip+n : skip+n]
}

// IsAligned says whether a Direct file would take p at off: address, length and offset are
// multiples of BlockSize.
func IsAligned(p []byte, off int64) bool {
	if len(p) == 0 {
		return off%BlockSize == 0
	}
	address := uintptr(unsafe.Pointer(unsafe.SliceData(p)))
	return off%BlockSize == 0 && len(p)%BlockSize == 0 && address%BlockSize == 0
}

// origin is when this process began to count time. It is never written again.
var origin = time.Now()

type osEnv struct{}

func (osEnv) FS() FS       { return osFS{} }
func (osEnv) Net() Net     { return osNet{} }
func (osEnv) Clock() Clock { return osClock{} }
func (osEnv) Rand() Rand   { return osRand{} }

func (osEnv) Facts() Facts { return Facts{BootID: bootID(), PID: os.Getpid()} }

func (osEnv) Run(_ string, f func()) { go f() }

func (osEnv) NewWaiter() Waiter { return &osWaiter{woken: make(chan struct{}, 1)} }

func (osEnv) Yield() { runtime.Gosched() }

func (osEnv) Enter() {}
func (osEnv) Leave() {}

// osWaiter remembers one Wake in a channel of one slot. Its timer is made by the first bounded
// Wait and reused: a waiter that lives long allocates nothing per Wait.
type osWaiter struct {
	woken chan struct{}
	timer *time.Timer
}

func (w *osWaiter) Wake() {
	select {
	case w.woken <- struct{}{}:
	default: // one is remembered already
	}
}

func (w *osWaiter) Wait(ctx context.Context, until time.Duration) error {
	select {
	case <-w.woken:
		return nil
	default:
	}
	var done <-chan struct{}
	if ctx != nil {
		if err := ctx.Err(); err != nil {
			return err
		}
		done = ctx.Done()
	}
	var bound <-chan time.Time
	if until > 0 {
		left := until - time.Since(origin)
		if left <= 0 {
			return ErrTimeout
		}
		bound = w.arm(left)
		defer w.timer.Stop()
	}
	if done == nil && bound == nil {
		<-w.woken // half the price of a select
		return nil
	}
	select {
	case <-w.woken:
		return nil
	case <-done:
		return ctx.Err()
	case <-bound:
		return ErrTimeout
	}
}

func (w *osWaiter) arm(d time.Duration) <-chan time.Time {
	if w.timer == nil {
		w.timer = time.NewTimer(d)
	} else {
		w.timer.Reset(d)
	}
	return w.timer.C
}

type osClock struct{}

func (osClock) Now() time.Duration { return time.Since(origin) }
func (osClock) Wall() time.Time    { return time.Now() }

func (osClock) AfterFunc(d time.Duration, f func()) Timer {
	return osTimer{time.AfterFunc(d, f)}
}

type osTimer struct{ t *time.Timer }

func (t osTimer) Stop() bool            { return t.t.Stop() }
func (t osTimer) Reset(d time.Duration) { t.t.Reset(d) }

type osRand struct{}

func (r osRand) Uint64() uint64 {
	var b [8]byte
	r.Fill(b[:])
	return binary.LittleEndian.Uint64(b[:])
}

// Fill cannot fail: since Go 1.24 rand.Read ends the process rather than return an error.
func (osRand) Fill(p []byte) { _, _ = rand.Read(p) }

// dialBound ends a Dial whose context has no deadline, as the kernel alone would take minutes.
const dialBound = 30 * time.Second

type osNet struct{}

func (osNet) Dial(ctx context.Context, addr string) (Conn, error) {
	d := net.Dialer{Timeout: dialBound, KeepAlive: 15 * time.Second}
	c, err := d.DialContext(ctx, "tcp", addr)
	var op *net.OpError
	if errors.As(err, &op) {
		return nil, op.Err // without "dial tcp" and the address: who dials knows both, and says so
	}
	if err != nil {
		return nil, err
	}
	if c, err = withoutDelay(c); err != nil {
		return nil, err
	}
	return newOSConn(c), nil
}

func (osNet) Listen(addr string) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	return osListener{l}, nil
}

type osListener struct{ net.Listener }

func (l osListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return withoutDelay(c)
}

// withoutDelay sends each Write at once. Go's default says the same today; the latency of every
// commit hangs on it, so it is not left to a default.
func withoutDelay(c net.Conn) (net.Conn, error) {
	if t, ok := c.(*net.TCPConn); ok {
		if err := t.SetNoDelay(true); err != nil {
			_ = c.Close()
			return nil, err
		}
	}
	return c, nil
}
