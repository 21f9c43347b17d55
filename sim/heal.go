package sim

import (
	"slices"
	"time"

	"github.com/lockstep-rsm/lockstep"
	"github.com/lockstep-rsm/lockstep/sim/check"
	"github.com/lockstep-rsm/lockstep/sim/world"
)

// heal ends all faults and starts what is down.
func (r *run) heal() {
	r.healing = true
	r.w.Messages(world.MessageFaults{})
	r.w.HealAll()
	r.newBuilds()
	for _, h := range r.hosts {
		d := r.w.Disk(h.n)
		d.Stuck, d.Slow, d.Capacity, d.HoldBack, d.Hook = false, 0, 0, 0, nil
		h.full, h.slow = false, false
		r.w.Drift(h.n, 0)
		r.w.Resume(h.n)
		if h.machine != nil {
			h.machine.mischief = ""
		}
		r.restartQuarantined(h)
		h.startAgain()
	}
	r.w.Note(world.Driver, "healed", nil)
}

// restartQuarantined does what the status of a host with a machine that failed asks for.
func (r *run) restartQuarantined(h *host) {
	if h.group != nil && h.wanted && h.group.Status().State == "quarantined" && !h.damaged {
		r.kill(h.n)
		r.probes.hit("quarantined host restarted")
	}
}

// answersAgain waits for a call that began after the healing, if there are clients.
func (r *run) answersAgain() bool {
	before := r.calls.Ended(check.Answered)
	r.w.Sleep(2 * time.Second)
	if r.o.Client == nil || r.clients == 0 {
		return true
	}
	return r.await("a call to be answered after healing", budget, func() bool { return r.calls.Ended(check.Answered) > before+r.clients })
}

// converge waits until every replica serves a linearizable read and all have executed the same.
func (r *run) converge() bool {
	read := 0
	for _, h := range r.members() {
		r.w.Go(world.Driver, "last read", func() {
			for {
				ok := false
				r.w.Do(h.n, func() {
					if h.group == nil {
						return
					}
					v, _, err := h.group.View(r.w.Context(), lockstep.ReadOptions{})
					if err == nil {
						ok = v.Close() == nil
					}
				})
				if ok {
					read++
					return
				}
				r.w.Sleep(100 * time.Millisecond)
			}
		})
	}
	return r.await("every host to serve a linearizable read after healing", time.Minute, func() bool { return read == len(r.members()) }) &&
		r.await("all replicas to have executed the same", time.Minute, r.equal)
}

// members are the hosts that have to serve: all that were neither wiped nor damaged, nor left broken
// outside the core that is healed.
func (r *run) members() (hosts []*host) {
	for _, h := range r.hosts {
		if !h.wiped && !h.damaged && (r.core == nil || slices.Contains(r.core.Hosts, h.n)) {
			hosts = append(hosts, h)
		}
	}
	return hosts
}

func (r *run) equal() bool {
	members := r.members()
	index, chain := r.checker.Applied(members[0].n)
	for _, h := range members {
		if i, c := r.checker.Applied(h.n); i != index || c != chain || i < r.checker.Committed() {
			return false
		}
	}
	return true
}

// finish closes all hosts and asks the judges for their last word.
func (r *run) finish() bool {
	for _, h := range r.members() {
		if h.machine != nil {
			h.machine.check("the end")
		}
	}
	r.calls.Finish()
	r.judge()
	closed := 0
	for _, h := range r.hosts {
		r.w.Go(world.Driver, "close", func() {
			done := r.w.Do(h.n, func() {
				if h.open == nil {
					return // a wiped one
				}
				if err := h.open.Close(); err != nil && !h.damaged {
					r.broken("close host %d: %v", h.n, err)
				}
			})
			if done || h.damaged { // a damaged one may have given up, or does so now
				closed++
			}
		})
	}
	return r.await("all hosts to close", time.Minute, func() bool { return closed == len(r.hosts) })
}
