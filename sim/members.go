package sim

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/lockstep-rsm/lockstep"
)

// drawMembers draws which hosts are to vote: most of them. The others are to learn, or to hold no replica.
func (r *run) drawMembers() *Decision {
	d := &Decision{Verb: "members", Reset: r.rng.IntN(2) == 0, For: []time.Duration{r.between(time.Second, 8*time.Second)}}
	d.Hosts = r.rng.Perm(len(r.hosts))[:len(r.hosts)-r.rng.IntN(len(r.hosts)/2+1)]
	slices.Sort(d.Hosts)
	return d
}

// changeMembers asks, from some host, for the voters that were drawn, and gives up after a while.
// Reset: who is not among them learns. Who should rather lead follows from how long it is tried.
func (r *run) changeMembers(d *Decision) {
	r.changing++
	defer func() { r.changing-- }()
	for _, h := range r.hosts {
		if h.open != nil && h.wanted && r.reconfigure(h, d.lasts(0), d.Hosts, d.Reset, uint64(d.lasts(0)/time.Millisecond)) {
			return
		}
		if r.healing {
			return
		}
	}
}

// reconfigure makes some hosts the voters of the group, with priorities that follow from dice. True: a change was begun,
// or none was needed.
func (r *run) reconfigure(h *host, patience time.Duration, voters []int, learn bool, dice uint64) (begun bool) {
	r.w.Do(h.n, func() {
		ctx, cancel := r.w.WithTimeout(r.w.Context(), patience)
		defer cancel()
		begun = r.reconfigureWith(ctx, h.open.Group(groupID), voters, learn, dice) != errNotBegun
	})
	return begun
}

var errNotBegun = errors.New("no change was begun")

func (r *run) reconfigureWith(ctx context.Context, g *lockstep.Group, voters []int, learn bool, dice uint64) error {
	conf, err := g.Configuration(ctx)
	if err != nil {
		return errNotBegun
	}
	next := lockstep.Configuration{Index: conf.Index, Settings: conf.Settings, Priorities: map[lockstep.HostID]int{}}
	for _, h := range r.hosts {
		id := h.id
		switch {
		case slices.Contains(voters, h.n):
			next.Voters = append(next.Voters, id)
			if n := dice >> (2 * h.n) & 3; n < 3 && dice > 0 {
				next.Priorities[id] = int(n) // 0, 1 or 2; else that of whom nothing is said
			}
		case learn:
			next.Learners = append(next.Learners, id)
		}
	}
	got, err := g.Reconfigure(ctx, next)
	switch {
	case errors.Is(err, lockstep.ErrRefused):
		r.probes.hit("change of members refused")
		return errNotBegun
	case err != nil:
		return err
	case !slices.Equal(got.Voters, next.Voters) && len(got.Voters) != len(next.Voters):
		r.broken("asked for voters %v, in force are %v", next.Voters, got.Voters)
	}
	r.probes.hit("members changed")
	return nil
}

// restoreMembers makes every host a voter again, once all faults have ended.
func (r *run) restoreMembers() bool {
	if !r.await("changes of members to end", 3*time.Minute, func() bool { return r.changing == 0 }) {
		return false // one that began late would undo this
	}
	if !r.changes(Membership) && !r.changes(Replacement) {
		return true
	}
	all := r.allHosts()
	restored := func() bool {
		for _, h := range r.hosts {
			if h.open == nil {
				continue
			}
			done := false
			r.w.Do(h.n, func() {
				ctx, cancel := r.w.WithTimeout(r.w.Context(), 10*time.Second)
				defer cancel()
				done = r.reconfigureWith(ctx, h.open.Group(groupID), all, false, 0) == nil
			})
			if done {
				return true
			}
		}
		return false
	}
	return r.await("every host to be a voter again after healing", 2*time.Minute, restored)
}
