package host

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lockstep-rsm/lockstep/internal/wire"
	"github.com/lockstep-rsm/lockstep/machine"
	"github.com/lockstep-rsm/lockstep/raft"
)

// Anybody who reaches a host's port may ask to join. What comes of it is an entry of group 0 only if the
// registry has the token, and strangers are answered at a bounded rate, so that nobody fills the log, or
// keeps a majority busy, by guessing.

var (
	errStrangers = errors.New("too many ask to join whom this host does not know: ask again")
	errNoAddr    = errors.New("a host that joins says where it is dialled: Options.Addr")
)

// strangersEvery is the least time between two rounds for the sake of hosts that are not known here.
const strangersEvery = 100 * time.Millisecond

// knocks bounds how often strangers are looked at.
type knocks struct {
	mu   sync.Mutex
	next time.Duration
}

// mayKnock takes the present turn of a stranger.
func (h *Host) mayKnock() bool {
	k := &h.knocks
	now := h.env.Clock().Now()
	k.mu.Lock()
	defer k.mu.Unlock()
	if now < k.next {
		return false
	}
	k.next = now + strangersEvery
	return true
}

// vet says who asks to join: a host that is in already, somebody, be it such a host, with a token that was issued and
// is not used (nil, nil), or neither, as a machine.Refusal. Other errors say that this cannot be told now.
func (h *Host) vet(req *wire.JoinRequest) (*hostRecord, error) {
	if req.Addr == "" {
		return nil, errNoAddr
	}
	joined, token, err := h.lookUp(req)
	if err != nil {
		return nil, err
	}
	now := machine.Time(h.env.Clock().Wall().UnixNano())
	if joined == nil && (token == nil || token.Expires <= now) && !h.mayKnock() {
		return nil, errStrangers
	}
	v, _, err := h.View(context.Background(), systemGroup, ReadOptions{}) // its lane has shown all before it serves
	if err != nil {
		return nil, err
	}
	if err := v.Close(); err != nil {
		return nil, err
	}
	joined, token, err = h.lookUp(req)
	switch {
	case err != nil:
		return nil, err
	case token != nil:
		return nil, nil
	case joined == nil:
		return nil, errNoToken
	}
	return joined, nil
}

// lookUp finds who asks, as far as this host has read the registry.
func (h *Host) lookUp(req *wire.JoinRequest) (joined *hostRecord, token *tokenRecord, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, incarnation := range h.directory.removed {
		if incarnation == req.Incarnation {
			return nil, nil, errWasRemoved
		}
	}
	for _, m := range h.membersLocked() {
		if m.Incarnation == req.Incarnation {
			joined = &hostRecord{ID: m.Host, Addr: m.Addr, Incarnation: m.Incarnation}
		}
	}
	secret := secretOf(req.Secret)
	if i := slices.IndexFunc(h.directory.tokens, func(t tokenRecord) bool { return t.Secret == secret }); i >= 0 {
		token = &h.directory.tokens[i]
	}
	return joined, token, nil
}

// linkedHosts are those of ids that this host has a link to, or is.
func (h *Host) linkedHosts(ids []raft.HostID) (linked []raft.HostID) {
	self, w := h.ID(), h.env.NewWaiter()
	var done atomic.Bool
	h.post(event{kind: evDo, fn: func() {
		for _, id := range ids {
			if id == self || h.linked[id] {
				linked = append(linked, id)
			}
		}
		done.Store(true)
		w.Wake()
	}})
	for !done.Load() {
		_ = w.Wait(nil, 0) //nolint:staticcheck // the turn answers
	}
	return linked
}
