package sim

import (
	"bytes"

	"github.com/lockstep-rsm/lockstep"
	"github.com/lockstep-rsm/lockstep/sim/check"
)

// flight is what a client has started on one life of a host, and what has not ended.
type flight struct {
	life   int
	stream int // the judges' number for it
	open   []*check.Call
}

// manyCalls in flight at once are a situation of their own.
const manyCalls = 32

// Start sends a command without waiting for its end, as Group.Start does; the end is judged, also the order
// of what one client starts on one host. No two commands that are started may be equal. false: it was not
// taken.
func (c *Client) Start(cmd []byte) bool {
	r, a := c.r, c.a
	if !a.decide(c.Pending() > 0) {
		return true // a thinned run does without it
	}
	h := r.hosts[a.host]
	if h.group == nil {
		a.host = a.rng.IntN(len(r.hosts))
		return false
	}
	f := c.flight(h)
	call := &check.Call{Client: c.N, Host: h.n, Input: bytes.Clone(cmd), Began: r.w.Now(), Stream: f.stream}
	r.calls.Begin(call)
	f.open = append(f.open, call)
	if len(f.open) == manyCalls {
		r.probes.hit("many calls in flight")
	}
	life, err := h.life, error(nil)
	r.w.Do(h.n, func() {
		err = h.group.Start(cmd, &lockstep.Call{OnDone: func(done *lockstep.Call) {
			result, err := done.Wait(r.w.Context())
			c.landed(h.n, life, call)
			r.end(call, result, err)
		}})
	})
	if err == nil {
		return true // or its process died: Pending finds out
	}
	c.landed(h.n, life, call)
	r.end(call, lockstep.Result{}, err)
	a.host = a.rng.IntN(len(r.hosts))
	return false
}

// flight is the client's on the present life of a host.
func (c *Client) flight(h *host) *flight {
	f := &c.flights[h.n]
	c.giveUp(f, h)
	if f.life != h.life {
		c.r.streams++
		f.life, f.stream = h.life, c.r.streams
	}
	return f
}

// landed takes a call that has ended out of the client's flight.
func (c *Client) landed(host, life int, call *check.Call) {
	f := &c.flights[host]
	if f.life != life {
		return
	}
	for i := range f.open {
		if f.open[i] == call {
			f.open = append(f.open[:i], f.open[i+1:]...)
			return
		}
	}
}

// Pending is how many commands that the client has started have not ended. What became of those whose
// host's process has died nobody knows.
func (c *Client) Pending() (n int) {
	for i := range c.flights {
		c.giveUp(&c.flights[i], c.r.hosts[i])
		n += len(c.flights[i].open)
	}
	return n
}

// giveUp ends the calls of a flight whose host's process has died.
func (c *Client) giveUp(f *flight, h *host) {
	if f.life == h.life && h.wanted {
		return
	}
	for _, call := range f.open {
		c.r.end(call, lockstep.Result{}, &lockstep.Error{Op: "Start", Group: groupID, Outcome: lockstep.Unknown, Err: errDown})
	}
	f.open = nil
}
