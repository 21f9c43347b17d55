package main

import (
	"fmt"
	"strings"

	"github.com/lockstep-rsm/lockstep/model/explore"
)

// Label says what a step does, and which replica does it.
func (m *model) Label(a explore.Act) string {
	id := explore.Letter(a.A)
	switch a.Op {
	case opCampaign:
		if a.B > 0 {
			return fmt.Sprintf("%s gives up from %d on and campaigns", id, a.B)
		}
		return id + " campaigns"
	case opGrant:
		return id + " votes for " + explore.Letter(a.B)
	case opTake:
		return fmt.Sprintf("%s takes what term %d sent", id, a.B)
	case opHear:
		return fmt.Sprintf("%s hears what term %d committed", id, a.B)
	case opSaved:
		return fmt.Sprintf("%s: save %d is durable", id, a.B+1)
	case opPass:
		return fmt.Sprintf("%s: the term of save %d passes those before", id, a.B+1)
	case opCommit:
		return fmt.Sprintf("%s commits through %d", id, a.B)
	case opCrash:
		return fmt.Sprintf("%s crashes, %d saves were written", id, a.B)
	}
	return id + map[uint8]string{
		opLead: " leads", opPropose: " appends", opFull: ": its disk is full", opSpace: ": its disk has room",
		opBare: " compacts",
	}[a.Op]
}

// Show prints all replicas; the README says how to read it.
func (m *model) Show(s *state) string {
	var b strings.Builder
	for i := range s.r {
		r := &s.r[i]
		fmt.Fprintf(&b, "%s%s t%d%v", explore.Letter(uint8(i)), []string{"", " cand", " LEADER"}[r.role], r.mem.term, r.mem.log[:r.mem.n])
		fmt.Fprintf(&b, " saved %d c%d disk t%d%v", r.saved, r.commit, r.disk.term, r.disk.log[:r.disk.n])
		if r.floor > 0 {
			fmt.Fprintf(&b, " floor %d", r.floor)
		}
		if r.full == 1 {
			b.WriteString(" FULL")
		}
		for _, q := range r.queue[:r.n] {
			fmt.Fprintf(&b, "|t%d", q.term)
			if q.index > 0 {
				fmt.Fprintf(&b, " %d:%d", q.index, q.entry)
			}
		}
		b.WriteString("  ")
	}
	fmt.Fprintf(&b, "committed %v", s.chain[:s.done])
	return b.String()
}
