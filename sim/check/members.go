package check

import (
	"fmt"
	"slices"
	"strings"

	"github.com/lockstep-rsm/lockstep/env"
)

// configuration is who votes, as a replica has it in force.
type configuration struct {
	index            uint64
	voters, outgoing []member
}

type member struct {
	replica uint64
	id      uint64 // of its host
}

// configured notes what is in force, and counts what leaders do with it.
func (c *Checker) configured(g *group, r *replica, e *env.Event) {
	sets := strings.Split(e.Text, "/")
	if len(sets) != 3 {
		c.fail("group %d: configuration %q is not three lists", g.id, e.Text)
		return
	}
	next := configuration{e.Index, members(sets[0]), members(sets[1])}
	if r.leads != 0 && e.Index > r.inForce.index {
		switch was := &r.inForce; {
		case len(was.outgoing) == 0 && len(next.outgoing) > 0:
			c.probes.Joint++
			g.joint = r.leads
			for _, m := range next.voters {
				if !slices.Contains(next.outgoing, m) {
					c.probes.Promoted++
				}
			}
		case len(was.outgoing) > 0 && len(next.outgoing) == 0 && g.joint != r.leads:
			c.probes.LeftByAnother++
		}
	}
	r.inForce = next
}

// members reads replica@host, with commas between.
func members(text string) (out []member) {
	for part := range strings.SplitSeq(text, ",") {
		var m member
		if _, err := fmt.Sscanf(part, "%d@%d", &m.replica, &m.id); err == nil {
			out = append(out, m)
		}
	}
	return out
}

// voters are the sets of which each has to decide: those in force for a replica, or, where it has
// said nothing, all hosts with the replicas of the founding.
func (c *Checker) voters(r *replica) [][]member {
	switch f := &r.inForce; {
	case len(f.outgoing) > 0:
		return [][]member{f.voters, f.outgoing}
	case len(f.voters) > 0:
		return [][]member{f.voters}
	}
	all := make([]member, c.hosts)
	for h := range all {
		all[h] = member{uint64(h) + 1, uint64(h) + 1}
	}
	return [][]member{all}
}
