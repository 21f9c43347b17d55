package transport

import (
	"crypto/tls"
	"io"
	"log/slog"
	"time"

	"github.com/lockstep-rsm/lockstep/env"
	"github.com/lockstep-rsm/lockstep/internal/wire"
	"github.com/lockstep-rsm/lockstep/raft"
)

// Options of a Transport. Zero values take the defaults named beside them.
type Options struct {
	Env    env.Env // required
	Listen string  // address, as env.Net takes it
	// Self is who this host is now: Cluster is zero while it is unfounded. Purpose and To are
	// filled in. It is called on any task and must not park.
	Self    func() wire.Hello
	Handler Handler // required
	TLS     *tls.Config

	MaxFrameBytes          int   // of one frame; 64 MiB
	MaxQueueBytes          int64 // waiting for one peer, being written included; 16 MiB
	MaxCallBytes           int   // of a call's request or reply; 4 MiB
	MaxAccepted            int   // connections from others at one time; 256
	SnapshotBytesPerSecond int64 // sent, all streams together; 64 MiB

	DialBackoff      time.Duration // before the second redial; it doubles; 10 ms
	MaxDialBackoff   time.Duration // 500 ms
	HandshakeTimeout time.Duration // of a dial, and again of its handshake; 2 s
	IdleTimeout      time.Duration // without a sign from the other side; 2 s
	CallTimeout      time.Duration // of a call, whatever its context allows; 10 s

	Logger *slog.Logger // nil: no log
	// RoundTrip is told how long each ping to a host took, on a task of the link. nil: nobody.
	RoundTrip func(host raft.HostID, took time.Duration)
}

// Handler is what a Transport does its work for. Its methods run on the transport's tasks: they may
// be called at once for different hosts, and must not call Close.
type Handler interface {
	// Receive takes what one frame carried, in order. For one host it is called by one task at a
	// time. packets is valid until it returns; messages, entries, payloads and commands are the
	// callee's for good: they alias the frame's memory, of bytes, which is never reused. It may
	// park: meanwhile nothing more of that host is read, and the sender's queue fills.
	Receive(from raft.HostID, packets []wire.Packet, bytes int)
	// LinkUp says that what is sent to host from now on travels.
	LinkUp(host raft.HostID)
	// LinkLost(host, false) says that the link of the last LinkUp is gone. LinkLost(host, true)
	// may follow, once: a redial was refused, so nobody listens there.
	LinkLost(host raft.HostID, refused bool)
	// Admit decides over a peer's hello, of links and snapshot streams in either direction. The
	// error's text is told to a peer that dialled. It must not park.
	Admit(h wire.Hello) error
	// Refused says that the peer refused our hello, and why.
	Refused(host raft.HostID, reason string)
	// Call answers one request of whoever said hello so; nothing was checked but that its cluster, if
	// it has one, is ours. It may park. A nil reply closes the connection without an answer.
	Call(from wire.Hello, req []byte) (reply []byte)
	// Snapshot takes an incoming stream. header has no Sessions: they are in the stream. The
	// callee calls resume once, with the offset it wants bytes from, before it reads r; without
	// that call its error refuses the stream. r ends with io.EOF only after the sender's last
	// byte. The result is told to the sender. It may park.
	Snapshot(from raft.HostID, header wire.SnapshotHeader, resume func(offset int64) error, r io.Reader) error
}

// softFrameBytes is where a frame of several packets is closed and the next begun, so that a small
// payload that lives long does not hold a large frame in memory, and progress shows.
const softFrameBytes = 256 << 10

// maxPieceBytes is the longest single Write. A longer frame goes in pieces, so that the watchdog
// sees progress over a slow network.
const maxPieceBytes = 256 << 10

func (o *Options) fill() {
	def(&o.MaxFrameBytes, 64<<20)
	o.MaxFrameBytes = min(o.MaxFrameBytes, wire.MaxFrameBytes)
	def(&o.MaxQueueBytes, 16<<20)
	def(&o.MaxCallBytes, 4<<20)
	def(&o.MaxAccepted, 256)
	def(&o.SnapshotBytesPerSecond, 64<<20)
	def(&o.DialBackoff, 10*time.Millisecond)
	def(&o.MaxDialBackoff, 500*time.Millisecond)
	def(&o.HandshakeTimeout, 2*time.Second)
	def(&o.IdleTimeout, 2*time.Second)
	def(&o.CallTimeout, 10*time.Second)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
}

// def gives v the default d if it is not above zero.
func def[T int | int64 | time.Duration](v *T, d T) {
	if *v <= 0 {
		*v = d
	}
}
