package sim

import (
	"context"
	"math/bits"
	"slices"
	"time"

	"github.com/lockstep-rsm/lockstep"
)

// Hosts are lost, or given up, and replaced: what was on the machine is taken out of the cluster, and an
// empty directory on it joins with a token, as another host.

// How a replacement goes: bits of its decision's Amount.
const (
	badToken  int64 = 1 << iota // a token that is used or has expired is tried first
	joinFirst                   // the new host is there before the former one is taken out
	manners
)

// drawReplacement finds a host to lose. nil: one that was lost before is not replaced yet, so that the
// next loss could take away what only one host still has.
func (r *run) drawReplacement() *Decision {
	if r.hollow || r.using {
		return nil
	}
	n := r.some(func(*host) bool { return true })[:1]
	d := decideOn("replace", n, r.between(time.Millisecond, 5*time.Second))
	d.Reset, d.Amount = r.rng.IntN(3) == 0, r.rng.Int64N(int64(manners))
	return d
}

// replaceHost lets a host be lost with its directory, or (Reset) be given up and come back with it, and
// puts another in its place. What has begun goes on after the healing, until every host votes again.
func (r *run) replaceHost(d *Decision) {
	if r.hollow || r.using {
		return // of a thinned run
	}
	r.hollow = true
	r.changing++
	defer func() { r.changing-- }()
	h := r.hosts[d.Hosts[0]]
	old := h.id
	h.away = true
	r.kill(h.n)
	if !d.Reset {
		r.wipe(h.n)
	}
	r.w.Sleep(r.atMost(d.lasts(0)))
	first := d.Amount&joinFirst != 0 && !d.Reset
	if !first {
		r.remove(h, old)
	}
	if d.Reset {
		r.comeBack(h)
	}
	if d.Amount&badToken != 0 {
		r.tryBadToken(h)
	}
	r.join(h)
	if first {
		r.until(func() bool { return r.vote(h) }) // before the other goes: it may be needed
		r.remove(h, old)
	}
	r.until(func() bool { return r.vote(h) })
	r.checkRemoved()
	r.hollow = false
	r.probes.hit("host replaced")
}

// until repeats what an operator does until it has done it, or the run is over.
func (r *run) until(done func() bool) {
	for !r.done && len(r.violations) == 0 && !done() {
		r.w.Sleep(100 * time.Millisecond)
	}
}

// byAnother makes an operator's call on some host but this one. false: on none did it succeed.
func (r *run) byAnother(not *host, call func(ctx context.Context, open *lockstep.Host) error) bool {
	for _, h := range r.hosts {
		if h == not || h.open == nil || !h.wanted {
			continue
		}
		open, ok := h.open, false
		r.w.Do(h.n, func() {
			ctx, cancel := r.w.WithTimeout(r.w.Context(), 5*time.Second)
			defer cancel()
			ok = call(ctx, open) == nil
		})
		if ok {
			return true
		}
	}
	return false
}

// remove takes a host out of the cluster. From then on its id is in force nowhere.
func (r *run) remove(h *host, id lockstep.HostID) {
	r.until(func() bool {
		return r.byAnother(h, func(ctx context.Context, open *lockstep.Host) error { return open.Remove(ctx, id) })
	})
	r.removed = append(r.removed, id)
	r.checkRemoved()
}

// checkRemoved: a host that was removed is in no configuration any more (H22).
func (r *run) checkRemoved() {
	for _, id := range []lockstep.GroupID{0, groupID} {
		r.byAnother(nil, func(ctx context.Context, open *lockstep.Host) error {
			conf, err := open.Group(id).Configuration(ctx)
			for _, of := range slices.Concat(conf.Voters, conf.Learners, conf.Outgoing, conf.Next) {
				if slices.Contains(r.removed, of) {
					r.broken("H22: host %d was removed, and is in configuration %d of group %d", of, conf.Index, id)
				}
			}
			return err
		})
	}
}

// comeBack starts a host that was removed with the directory it had.
func (r *run) comeBack(h *host) {
	h.start()
	r.w.Sleep(3 * time.Second)
	r.checkRemoved()
	r.probes.hit("removed host came back")
	r.empty(h)
}

// empty ends a process on the host, and empties its directory.
func (r *run) empty(h *host) {
	r.kill(h.n)
	r.wipe(h.n)
}

// tryBadToken starts a host with a token that no host may join with any more.
func (r *run) tryBadToken(h *host) {
	token := r.usedToken
	if token == "" && !slices.Contains(r.settings.kinds, Clocks) { // else log time may stand for long
		// Log time stands still while nobody leads. Whatever is appended later is later by more than this.
		r.until(func() bool { token = r.token(h, time.Nanosecond); return token != "" })
		r.w.Sleep(time.Second)
	}
	if token == "" {
		return
	}
	h.token = token
	h.start()
	r.w.Sleep(3 * time.Second)
	if h.open != nil && h.open.ID() != 0 {
		r.broken("H22: host %d joined with a token that was used, or has expired", h.open.ID())
	}
	r.probes.hit("bad token refused")
	r.empty(h)
}

// token asks for one that is good for so long. Empty: nobody could give it.
func (r *run) token(h *host, good time.Duration) (token string) {
	r.byAnother(h, func(ctx context.Context, open *lockstep.Host) (err error) {
		token, err = open.Token(ctx, good)
		return err
	})
	return token
}

// join starts the host, whose directory is empty, with a token, with another one if it has not joined in time, until
// it is a host of the cluster. A second one may stay unused, if the answer to the first came as late as that: which of
// them was used, nobody knows then.
func (r *run) join(h *host) {
	joined := func() bool { return h.open != nil && h.open.ID() != 0 }
	shown := 0
	r.until(func() bool {
		if shown > 0 && joined() {
			return true
		}
		token := r.token(h, 24*time.Hour)
		if token == "" {
			return false
		}
		shown++
		h.token, h.away = token, false
		r.kill(h.n)
		h.start()
		for range 200 {
			if joined() {
				break
			}
			r.w.Sleep(100 * time.Millisecond)
		}
		return joined()
	})
	if joined() {
		h.id = h.open.ID()
	}
	if joined() && shown == 1 {
		r.usedToken = h.token
	}
}

// vote makes every host a voter of the group, and says whether it is, and of group 0 too.
func (r *run) vote(h *host) bool {
	return r.byAnother(h, func(ctx context.Context, open *lockstep.Host) error {
		if err := r.reconfigureWith(ctx, open.Group(groupID), r.allHosts(), false, 0); err != nil {
			return err
		}
		conf, err := open.Group(0).Configuration(ctx)
		if err == nil && (len(conf.Next)+len(conf.Outgoing) > 0 || !slices.Contains(conf.Voters, h.id)) {
			err = errNotBegun
		}
		return err
	})
}

func (r *run) allHosts() []int {
	all := make([]int, len(r.hosts))
	for n := range all {
		all[n] = n
	}
	return all
}

// changes says whether members were changed by faults of this kind.
func (r *run) changes(kind Faults) bool { return r.faults[bits.TrailingZeros32(uint32(kind))] > 0 }
