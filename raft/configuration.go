package raft

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/lockstep-rsm/lockstep/raft/quorum"
)

// Member returns the member with this id, voter of either set or learner.
func (c *Configuration) Member(id ReplicaID) (Member, bool) {
	for _, set := range [...][]Member{c.Voters, c.Outgoing, c.Learners} {
		for i := range set {
			if set[i].Replica == id {
				return set[i], true
			}
		}
	}
	return Member{}, false
}

// Joint says whether a change is under way: decisions need both sets of voters (thesis §4.3).
func (c *Configuration) Joint() bool { return len(c.Outgoing) > 0 }

// names says whether the configuration names this very incarnation.
func (c *Configuration) names(self Member) bool {
	m, ok := c.Member(self.Replica)
	return ok && m.Incarnation == self.Incarnation
}

// votes says whether this very incarnation is a voter of either set.
func (c *Configuration) votes(self Member) bool {
	is := func(m Member) bool { return m.Replica == self.Replica && m.Incarnation == self.Incarnation }
	return slices.ContainsFunc(c.Voters, is) || slices.ContainsFunc(c.Outgoing, is)
}

// held is the largest value that a majority of each set of voters holds.
func (r *Replica) held(value func(r *Replica, id ReplicaID) uint64) uint64 {
	c := r.configuration()
	a, b := r.scratch[0][:0], r.scratch[1][:0]
	for i := range c.Voters {
		a = append(a, value(r, c.Voters[i].Replica))
	}
	for i := range c.Outgoing {
		b = append(b, value(r, c.Outgoing[i].Replica))
	}
	r.scratch[0], r.scratch[1] = a, b
	return quorum.HeldByBoth(a, b)
}

// tally is the standing of a vote: opinion says what a voter has answered.
func (r *Replica) tally(opinion func(r *Replica, id ReplicaID) quorum.Result) quorum.Result {
	c := r.configuration()
	half := func(voters []Member) quorum.Result {
		var granted, refused int
		for i := range voters {
			switch opinion(r, voters[i].Replica) {
			case quorum.Won:
				granted++
			case quorum.Lost:
				refused++
			}
		}
		return quorum.Vote(granted, refused, len(voters))
	}
	return quorum.Both(half(c.Voters), half(c.Outgoing))
}

// configuration is the one in force: the newest in the log, committed or not (bug 3).
func (r *Replica) configuration() *Configuration { return r.configurations[len(r.configurations)-1] }

// decode reads the configuration that an entry brings.
func (r *Replica) decode(e *Entry) (Configuration, error) {
	if r.o.DecodeConfiguration == nil {
		return Configuration{}, fmt.Errorf("decode configuration of entry %d: no decoder given", e.Index)
	}
	c, err := r.o.DecodeConfiguration(e.Data)
	if err != nil {
		return Configuration{}, fmt.Errorf("decode configuration of entry %d: %w", e.Index, err)
	}
	c.Index = e.Index
	return c, nil
}

// enter puts a configuration in force. The former ones stay until the log is cut behind them: a
// truncation brings them back (bugs 7 and 9).
func (r *Replica) enter(c Configuration) {
	r.configurations = append(r.configurations, &c)
	r.reconfigured()
}

// revert drops the configurations of entries from i on.
func (r *Replica) revert(i Index) {
	n := len(r.configurations)
	for n > 1 && r.configurations[n-1].Index >= i {
		n--
	}
	if n < len(r.configurations) {
		r.configurations = slices.Clip(r.configurations[:n])
		r.reconfigured()
	}
}

// rebase makes c the oldest configuration; those after index i stay.
func (r *Replica) rebase(c Configuration, i Index) {
	kept := []*Configuration{&c}
	for _, have := range r.configurations {
		if have.Index > i {
			kept = append(kept, have)
		}
	}
	r.configurations = kept
	r.reconfigured()
}

// reconfigured follows a change of the configuration in force.
func (r *Replica) reconfigured() {
	if r.role == Leader {
		r.followMembers()
	}
	c := r.configuration()
	r.event(Event{Kind: evConfigured, Index: c.Index, Text: c.String()})
}

// String lists voters, outgoing voters and learners, each as replica@host.
func (c *Configuration) String() string {
	var text []byte
	for i, set := range [...][]Member{c.Voters, c.Outgoing, c.Learners} {
		if i > 0 {
			text = append(text, '/')
		}
		for k, m := range set {
			if k > 0 {
				text = append(text, ',')
			}
			text = strconv.AppendUint(text, uint64(m.Replica), 10)
			text = append(text, '@')
			text = strconv.AppendUint(text, uint64(m.Host), 10)
		}
	}
	return string(text)
}
