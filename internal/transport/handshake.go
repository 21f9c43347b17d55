package transport

import (
	"context"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/lockstep-rsm/lockstep/internal/wire"
	"github.com/lockstep-rsm/lockstep/raft"
)

// A refusedError says that the peer refused our hello.
type refusedError struct{ addr, reason string }

func (e *refusedError) Error() string { return e.addr + " refuses this host: " + e.reason }

// bounded is a context that only tells when it ends. A dial heeds that; and a context with a Done
// channel would have to come from the simulator, where there is one.
type bounded struct {
	context.Context
	at time.Time
}

// Deadline implements context.Context.
func (b bounded) Deadline() (time.Time, bool) { return b.at, true }

// dial connects to addr, says hello and checks the reply. The connection's watchdog still has the
// bound of the handshake.
func (t *Transport) dial(addr string, to raft.HostID, purpose uint8) (*conn, wire.Hello, error) {
	var none wire.Hello
	ctx := bounded{context.Background(), t.clock.Wall().Add(t.o.HandshakeTimeout)}
	raw, err := t.o.Env.Net().Dial(ctx, addr)
	if err != nil {
		return nil, none, fmt.Errorf("dial %s: %w", addr, err)
	}
	rw := io.ReadWriter(raw)
	if t.o.TLS != nil {
		cfg := t.o.TLS
		if cfg.ServerName == "" {
			cfg = cfg.Clone()
			cfg.ServerName = serverName(addr)
		}
		rw = tls.Client(raw, cfg)
	}
	c := t.newConn(raw, rw, addr)
	if c == nil {
		return nil, none, ErrClosed
	}
	if t.o.TLS == nil {
		c.direct = raw
	}
	mine := t.self(purpose, to)
	theirs, err := c.greet(&mine)
	if err == nil {
		err = t.checkReply(&mine, &theirs)
	}
	if err != nil {
		c.close()
		return nil, none, fmt.Errorf("greet %s: %w", addr, err)
	}
	c.buffer()
	return c, theirs, nil
}

// self is this host's hello for a connection.
func (t *Transport) self(purpose uint8, to raft.HostID) wire.Hello {
	h := t.o.Self()
	h.Protocol, h.Purpose, h.To = wire.Protocol, purpose, to
	return h
}

// greet is the dialler's half of the handshake.
func (c *conn) greet(mine *wire.Hello) (wire.Hello, error) {
	var none wire.Hello
	if err := c.writeFrame(wire.FrameHello, wire.AppendHello(wire.BeginFrame(nil), mine)); err != nil {
		return none, err
	}
	_, body, err := c.wantFrame(wire.MaxHandshakeBytes, wire.FrameHelloReply)
	if err != nil {
		if errors.Is(err, io.EOF) {
			err = errors.New("closed without a reply")
		}
		return none, err
	}
	reply, err := wire.DecodeHelloReply(body)
	if err != nil {
		return none, err
	}
	if !reply.OK {
		return none, &refusedError{addr: c.addr, reason: reply.Reason}
	}
	return reply.Hello, nil
}

// checkReply says whether the host that answered is the one we want.
func (t *Transport) checkReply(mine, theirs *wire.Hello) error {
	if mine.Purpose == wire.PurposeCall {
		return nil
	}
	if theirs.Host != mine.To {
		return fmt.Errorf("host %d answers, not host %d: check the addresses", theirs.Host, mine.To)
	}
	if err := sameCluster(mine, theirs); err != nil {
		return err
	}
	return t.o.Handler.Admit(*theirs)
}

// checkHello says whether to take a connection from who greets so.
func (t *Transport) checkHello(mine, theirs *wire.Hello) error {
	if theirs.Protocol != wire.Protocol {
		return fmt.Errorf("it speaks protocol %d, this host speaks %d: upgrade the older one", theirs.Protocol, wire.Protocol)
	}
	var zero [16]byte
	if theirs.Purpose == wire.PurposeCall {
		if mine.Cluster != zero && theirs.Cluster != zero {
			return sameCluster(mine, theirs)
		}
		return nil
	}
	if err := sameCluster(mine, theirs); err != nil {
		return err
	}
	if theirs.To != mine.Host {
		return fmt.Errorf("it looks for host %d, this is host %d: check the addresses", theirs.To, mine.Host)
	}
	if theirs.Host == mine.Host {
		return fmt.Errorf("it says it is host %d, as this host does: is a data directory in use twice?", mine.Host)
	}
	return t.o.Handler.Admit(*theirs)
}

// NoCluster is in the reason of a refusal where the refusing host, not the refused one, is without a cluster.
const NoCluster = "belongs to no cluster yet"

func sameCluster(mine, theirs *wire.Hello) error {
	var zero [16]byte
	switch {
	case mine.Cluster == theirs.Cluster && mine.Cluster != zero:
		return nil
	case mine.Cluster == zero:
		return errors.New("this host " + NoCluster)
	case theirs.Cluster == zero:
		return fmt.Errorf("it "+NoCluster+", this host to %s", hex.EncodeToString(mine.Cluster[:]))
	}
	return fmt.Errorf("it belongs to cluster %s, this host to %s: check the addresses and data directories",
		hex.EncodeToString(theirs.Cluster[:]), hex.EncodeToString(mine.Cluster[:]))
}

// welcome is the acceptor's half of the handshake, up to its reply.
func (c *conn) welcome() (wire.Hello, error) {
	_, body, err := c.wantFrame(wire.MaxHandshakeBytes, wire.FrameHello)
	if err != nil {
		return wire.Hello{}, c.stranger(err)
	}
	return wire.DecodeHello(body)
}

// stranger guesses who sends what is no frame.
func (c *conn) stranger(err error) error {
	var corrupt *wire.CorruptError
	if !errors.As(err, &corrupt) {
		return err
	}
	guess := ""
	switch {
	case c.head[0] == 0x16 && c.head[1] == 3:
		guess = "a TLS client on a plaintext port"
	case string(c.head[:4]) == "PRI ":
		guess = "a gRPC or HTTP/2 client on the port for hosts"
	default:
		for _, method := range []string{"GET ", "POST", "HEAD", "PUT ", "OPTI", "CONN"} {
			if string(c.head[:4]) == method {
				guess = "an HTTP client on the port for hosts"
			}
		}
	}
	if guess == "" {
		return err
	}
	return fmt.Errorf("%s: %w", guess, err)
}

// reply answers a hello: with a refusal if err is not nil.
func (c *conn) reply(mine *wire.Hello, err error) error {
	r := wire.HelloReply{OK: err == nil, Hello: *mine}
	if err != nil {
		r.Reason = err.Error()
	}
	return c.writeFrame(wire.FrameHelloReply, wire.AppendHelloReply(wire.BeginFrame(nil), &r))
}
