package check_test

import (
	"testing"

	"github.com/lockstep-rsm/lockstep/env"
	"github.com/lockstep-rsm/lockstep/sim/check"
)

func conf(host int, index uint64, text string) at {
	a := ev(host, env.Configured, 0, index, 0, 0)
	a.e.Text = text
	return a
}

// TestCheckerFollowsMembers: who has to decide is what is in force for the leader, both sets of a joint
// configuration, and a replica that comes into another's place is another voter.
func TestCheckerFollowsMembers(t *testing.T) {
	joint := func() []at {
		return append(begun(), conf(0, 2, "1@1,2@2/1@1,2@2,3@3/3@3"))
	}
	saved := func(host int) at { return ev(host, env.EntriesSaved, 2, 2, 0, 0xa2) }
	commit := ev(0, env.CommitAdvanced, 2, 2, 0, 0)
	fourth := func(kind env.EventKind, term, index, peer uint64) at {
		a := ev(2, kind, term, index, peer, 0)
		a.e.Replica = 4
		return a
	}
	for _, c := range []struct {
		name   string
		events []at
		want   string
	}{
		{"both sets hold it", append(joint(), saved(0), saved(1), commit), ""},
		{"the new voters alone", append(append(begun(), conf(0, 2, "1@1/1@1,2@2,3@3/")), saved(0), commit), "durable on 1 of 3 voters"},
		{"the old ones alone", append(append(begun(), conf(0, 2, "3@3/1@1,2@2,3@3/")), saved(0), saved(1), commit), "durable on 0 of 1 voters"},
		{"elected by a minority of its voters", append(begun(), conf(2, 2, "1@1,2@2,3@3/2@2/"), ev(0, env.VoteGranted, 3, 0, 3, 0),
			ev(2, env.VoteGranted, 3, 0, 3, 0), ev(2, env.LeaderElected, 3, 0, 0, 0)), "with 0 durable votes of 1 voters"},
		{"a vote of another replica on the host", append(begun(), ev(2, env.VoteGranted, 2, 0, 1, 0), ev(2, env.ReplicaRemoved, 0, 0, 0, 0),
			fourth(env.LogRecovered, 1, 0, 0), fourth(env.VoteGranted, 2, 0, 2)), ""},
		{"a second vote of one that came back before its end was durable", append(begun(), ev(2, env.VoteGranted, 2, 0, 1, 0),
			ev(2, env.ReplicaRemoved, 0, 0, 0, 0), ev(2, env.LogRecovered, 2, 1, 1, 0xa1), ev(2, env.VoteGranted, 2, 0, 2, 0)), "R1: host 2"},
		{"what a removed replica's lane still executes", append(begun(), ev(2, env.ReplicaRemoved, 0, 0, 0, 0), ev(2, env.EntriesApplied, 2, 9, 0, 7)), ""},
	} {
		var v verdicts
		checker := check.New(3, v.fail)
		for i := range c.events {
			checker.Observe(c.events[i].host, &c.events[i].e)
		}
		t.Run(c.name, func(t *testing.T) { v.expect(t, c.want) })
	}
}
