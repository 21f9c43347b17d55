package host

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/lockstep-rsm/lockstep/env"
	"github.com/lockstep-rsm/lockstep/internal/wire"
	"github.com/lockstep-rsm/lockstep/raft"
	"github.com/lockstep-rsm/lockstep/raft/digest"
)

// Founding happens once (H12, docs/decisions/0008-founding.md). The first of the Founders mints the
// cluster after every founder answered from an empty directory and bound itself, durably, to that
// one mint; the mint is durable before anybody hears of it. Everybody else waits and asks around.

const (
	foundingEvery = 50 * time.Millisecond  // first pause between rounds of asking
	foundingSlow  = 500 * time.Millisecond // longest pause
)

// gate lets one task at a time pass, as a mutex that may be held while parked.
type gate struct {
	mu    sync.Mutex
	busy  bool
	queue []env.Waiter
}

func (g *gate) enter(e env.Env) {
	g.mu.Lock()
	if !g.busy {
		g.busy = true
		g.mu.Unlock()
		return
	}
	w := e.NewWaiter()
	g.queue = append(g.queue, w)
	g.mu.Unlock()
	_ = w.Wait(nil, 0) //nolint:staticcheck // whoever is inside leaves
}

func (g *gate) leave() {
	g.mu.Lock()
	if len(g.queue) == 0 {
		g.busy = false
		g.mu.Unlock()
		return
	}
	w := g.queue[0]
	g.queue = g.queue[1:]
	g.mu.Unlock()
	w.Wake()
}

// checkFirstStart refuses a first start that cannot lead anywhere, and a later one that can no more.
// The token is what a first start joins with; nil: it does not.
func (h *Host) checkFirstStart() (*wire.Token, error) {
	is := &h.identity.is
	switch {
	case h.opts.Addr == "":
		return nil, nil
	case is.State == stateFounded:
		if m, ok := h.member(is.Host); ok && m.Addr != h.opts.Addr {
			return nil, fmt.Errorf("%w: %s belongs to the host at %s, not %s. Point it at its own directory", ErrDir, h.opts.Dir, m.Addr, h.opts.Addr)
		}
		return nil, nil
	case h.opts.Join != "":
		t, err := wire.DecodeToken(h.opts.Join)
		if err != nil {
			return nil, optionError("Join", "is a token as Host.Token gives it, whole: "+err.Error())
		}
		return &t, nil
	case len(h.opts.Founders) == 0:
		return nil, optionError("Founders", "or Join is required at the first start of a host with an Addr: the directory "+h.opts.Dir+" belongs to no cluster yet")
	}
	return nil, nil
}

// foundAlone founds a cluster of one that has no network.
func (h *Host) foundAlone() error {
	is := h.identity.is
	m := h.mint([]wire.FoundingHost{{Host: 1, Addr: "local", Incarnation: is.Incarnation}}, h.env.Rand().Uint64())
	return h.adopt(m)
}

func (h *Host) mint(hosts []wire.FoundingHost, nonce uint64) *wire.Mint {
	m := &wire.Mint{Nonce: nonce, Hosts: hosts, Birth: raft.Birth(h.env.Rand().Uint64() | 1)}
	h.env.Rand().Fill(m.Cluster[:])
	return m
}

// adopt makes this host what the mint says, durably, and begins to serve.
func (h *Host) adopt(m *wire.Mint) error {
	is := h.identity.is
	i := slices.IndexFunc(m.Hosts, func(f wire.FoundingHost) bool { return f.Incarnation == is.Incarnation })
	if i < 0 {
		return fmt.Errorf("%w: the mint names no host of incarnation %016x", ErrDir, is.Incarnation)
	}
	is.State, is.Nonce, is.Host, is.Mint, is.Epoch = stateFounded, m.Nonce, m.Hosts[i].Host, *m, 1
	if err := h.saveIdentity(is); err != nil {
		return err
	}
	h.log.Info("founded", "host", is.Host, "cluster", fmt.Sprintf("%x", m.Cluster), "hosts", len(m.Hosts))
	return h.serve()
}

// saveIdentity writes the identity, then shows it to other goroutines.
func (h *Host) saveIdentity(is wire.HostIdentity) error {
	next := identityFile{env: h.identity.env, dir: h.identity.dir, path: h.identity.path}
	if err := next.save(is); err != nil {
		return err
	}
	h.mu.Lock()
	h.identity.is = next.is
	h.mu.Unlock()
	return nil
}

// found asks around until this host belongs to a cluster.
func (h *Host) found() {
	pause := foundingEvery
	for !h.closed.Load() && !h.isFounded() {
		var absent *absentError
		if err := h.foundRound(); errors.As(err, &absent) {
			h.setWaiting(absent)
		} else if err != nil {
			h.setWhy(err.Error())
		}
		w := h.env.NewWaiter()
		h.watch(w)
		if h.isFounded() {
			return
		}
		_ = w.Wait(nil, h.env.Clock().Now()+pause) //nolint:staticcheck // a pause
		pause = min(2*pause, foundingSlow)
	}
}

func (h *Host) isFounded() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.identity.is.State == stateFounded
}

// absentError says which founders do not answer: on a first start the usual thing, until all are started.
type absentError struct {
	addrs []string
	last  error // of the last of them
}

func (e *absentError) Error() string {
	return fmt.Sprintf("waiting for founders: %s (%v)", strings.Join(e.addrs, ", "), e.last)
}

func (e *absentError) Unwrap() error { return e.last }

// foundRound asks every other founder once. The error says what is waited for.
func (h *Host) foundRound() error {
	minter := h.opts.Founders[0] == h.opts.Addr
	is, err := h.prepareFounding(minter)
	if err != nil || is.State == stateFounded {
		return err
	}
	hosts := make([]wire.FoundingHost, 0, len(h.opts.Founders))
	var missing error
	var absent absentError
	for i, addr := range h.opts.Founders {
		id := raft.HostID(i + 1)
		if addr == h.opts.Addr {
			hosts = append(hosts, wire.FoundingHost{Host: id, Addr: addr, Incarnation: is.Incarnation})
			continue
		}
		reply, err := h.ask(addr, &is, minter)
		switch {
		case err != nil:
			absent.addrs, absent.last = append(absent.addrs, addr), err
		case reply.State == wire.StateFounded:
			return h.meetFounded(addr, reply)
		case reply.State == wire.StateRefused:
			return fmt.Errorf("founder %s refuses: %s", addr, reply.Reason)
		default:
			hosts = append(hosts, wire.FoundingHost{Host: id, Addr: addr, Incarnation: reply.Incarnation})
			if minter && (reply.State != stateBound || reply.Nonce != is.Nonce) {
				missing = fmt.Errorf("founder %s is not bound to this founding", addr)
			}
		}
	}
	switch {
	case absent.last != nil:
		return &absent
	case missing != nil:
		return missing
	case !minter:
		return fmt.Errorf("founder %s founds the cluster once every founder answers it", h.opts.Founders[0])
	}
	if err := h.adoptOnce(h.mint(hosts, is.Nonce)); err != nil {
		return err
	}
	h.tasks.run("tell mint", func() {
		h.tellMint()
		h.connect()
	})
	return nil
}

// prepareFounding has the minter bind itself to a nonce of its own before it asks anybody. The gate
// is never held while asking: two hosts that ask each other would wait for each other.
func (h *Host) prepareFounding(minter bool) (wire.HostIdentity, error) {
	h.foundGate.enter(h.env)
	defer h.foundGate.leave()
	is := h.identity.is
	own := foundingNonce(is.Incarnation, h.opts.Founders)
	switch {
	case !minter || is.State == stateFounded || is.State == stateBound && is.Nonce == own:
		return is, nil
	case is.State == stateBound:
		return is, fmt.Errorf("%w: %s is bound to the founding of another list of founders, which may have happened: start it with that list", ErrDir, h.opts.Dir)
	}
	is.State, is.Nonce = stateBound, own
	return is, h.saveIdentity(is)
}

// foundingNonce names one founding: by the minter's directory and the list it was told. Whoever is
// bound to it is bound to nobody else, not even to itself with another list: a host that minted with
// a nonce of others would found a second cluster of those who wait for the first.
func foundingNonce(minter uint64, founders []string) uint64 {
	n := digest.Mix(minter, uint64(len(founders)))
	for _, f := range founders {
		n = digest.Mix(n, digest.Sum([]byte(f)))
	}
	return n | 1
}

// adoptOnce adopts m unless this host has adopted it meanwhile.
func (h *Host) adoptOnce(m *wire.Mint) error {
	h.foundGate.enter(h.env)
	defer h.foundGate.leave()
	if h.identity.is.State == stateFounded {
		return nil
	}
	return h.adopt(m)
}

// tellMint spares the others a round of asking. Who misses it asks.
func (h *Host) tellMint() {
	m := h.identity.is.Mint
	req := wire.FoundingRequest{Kind: wire.FoundingMint, From: h.opts.Addr, Incarnation: h.identity.is.Incarnation, Founders: h.opts.Founders, Mint: &m}
	p := wire.AppendFoundingRequest(nil, &req)
	for _, to := range m.Hosts {
		if to.Host == h.identity.is.Host {
			continue
		}
		if _, err := h.net.Load().Call(context.Background(), to.Addr, p); err != nil {
			h.log.Debug("mint not told", "to", to.Addr, "err", err)
		}
	}
}

// ask sends one question. Only the minter's binds the answerer.
func (h *Host) ask(addr string, is *wire.HostIdentity, minter bool) (wire.FoundingReply, error) {
	req := wire.FoundingRequest{Kind: wire.FoundingAsk, From: h.opts.Addr, Incarnation: is.Incarnation, Founders: h.opts.Founders}
	if minter {
		req.Nonce = is.Nonce
	}
	p, err := h.net.Load().Call(context.Background(), addr, wire.AppendFoundingRequest(nil, &req))
	if err != nil {
		return wire.FoundingReply{}, err
	}
	return wire.DecodeFoundingReply(p)
}

// meetFounded is what a host without a cluster does when another founder has one: adopt it if its
// mint names this very directory, else wait for an operator, without a vote (H13).
func (h *Host) meetFounded(addr string, r wire.FoundingReply) error {
	h.mu.Lock()
	is := h.identity.is
	h.mu.Unlock()
	if r.Mint == nil {
		return fmt.Errorf("founder %s belongs to cluster %x, which does not know this host", addr, r.Cluster)
	}
	if is.State == stateFounded {
		return nil // meanwhile: the answer is of a question from before
	}
	for _, m := range r.Mint.Hosts {
		switch {
		case m.Addr != h.opts.Addr:
		case m.Incarnation == is.Incarnation && is.State == stateBound && is.Nonce == r.Mint.Nonce:
			err := h.adoptOnce(r.Mint)
			h.connect()
			return err
		default:
			return fmt.Errorf("%w: this host was a voter of cluster %x (incarnation %016x), and its directory %s is empty: it gets no vote, for it may have promised one. Replace it: lockstep member replace %d, asked of another host, prints a token; start this one with an empty directory and that token (--join, or Options.Join)",
				errWiped, r.Cluster, m.Incarnation, h.opts.Dir, m.Host)
		}
	}
	return fmt.Errorf("founder %s belongs to cluster %x, which does not list %s", addr, r.Cluster, h.opts.Addr)
}

// errWiped marks the sentence for a wiped directory: Create gives it to its callers as ErrDir.
var errWiped = fmt.Errorf("wiped")

// answerFounding is the other side: who this host is, and whether it binds itself.
func (h *Host) answerFounding(req *wire.FoundingRequest) wire.FoundingReply {
	h.foundGate.enter(h.env)
	defer h.foundGate.leave()
	is := h.identity.is
	reply := wire.FoundingReply{State: is.State, Incarnation: is.Incarnation, Nonce: is.Nonce, Cluster: is.Mint.Cluster}
	if is.State == stateFounded {
		reply.Mint = &is.Mint
		return reply
	}
	if req.Kind == wire.FoundingMint && req.Mint != nil && is.State == stateBound && is.Nonce == req.Mint.Nonce {
		if err := h.adopt(req.Mint); err != nil {
			reply.State, reply.Reason = wire.StateRefused, err.Error()
			return reply
		}
		h.connect()
		reply.State = stateFounded
		return reply
	}
	if req.Kind != wire.FoundingAsk || req.Nonce == 0 {
		return reply
	}
	if why := h.refuseToBind(req); why != "" {
		reply.State, reply.Reason = wire.StateRefused, why
		return reply
	}
	if is.State == stateBound {
		return reply // to whom: the nonce tells
	}
	is.State, is.Nonce = stateBound, req.Nonce
	if err := h.saveIdentity(is); err != nil {
		reply.State, reply.Reason = wire.StateRefused, err.Error()
		return reply
	}
	reply.State, reply.Nonce = stateBound, req.Nonce
	return reply
}

// refuseToBind says why this host does not bind itself to the founding that req asks for.
func (h *Host) refuseToBind(req *wire.FoundingRequest) string {
	switch {
	case len(h.opts.Founders) == 0:
		return fmt.Sprintf("%s founds no cluster: it joins one", h.opts.Addr)
	case !slices.Equal(req.Founders, h.opts.Founders):
		return fmt.Sprintf("%s was told other founders: %v, not %v", h.opts.Addr, h.opts.Founders, req.Founders)
	case req.From != h.opts.Founders[0]:
		return fmt.Sprintf("%s is not the first of the founders", req.From)
	case req.Nonce != foundingNonce(req.Incarnation, req.Founders):
		return fmt.Sprintf("%s asks for a founding that is not its own", req.From)
	}
	return ""
}

// replicaIncarnation names a group's replica in the directory of a host. A wiped directory has
// another incarnation, and so have all its replicas.
func replicaIncarnation(host uint64, birth raft.Birth, replica raft.ReplicaID) raft.Incarnation {
	return raft.Incarnation(digest.Mix(digest.Mix(host, uint64(birth)), uint64(replica)) | 1)
}

// foundingEntry is entry 1 of a group, equal on all its replicas: its first configuration. It is
// committed by being everywhere before anybody acts on it; elections begin at term 2.
func foundingEntry(group raft.GroupID, birth raft.Birth, c *raft.Configuration) raft.Entry {
	data := wire.AppendConfiguration(nil, c)
	e := raft.Entry{Data: data, Identity: raft.Identity{
		Group: group, Birth: birth, Kind: raft.KindConfiguration, Term: 1, Index: 1,
		Length: uint32(len(data)), Payload: wire.PayloadDigest(data),
	}}
	e.Sum = e.Identity.Digest()
	return e
}
