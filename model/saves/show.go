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
	case opRefused:
		return fmt.Sprintf("%s: save %d finds no room", id, a.B+1)
	case opFull:
		return id + ": its disk has room " + []string{"", "for no entries", "for nothing"}[a.B]
	case opSpace:
		return id + ": its disk has room " + []string{"for all", "for terms"}[a.B]
	case opCommit:
		return fmt.Sprintf("%s commits through %d", id, a.B)
	case opCrash:
		return fmt.Sprintf("%s crashes, %d saves were written", id, a.B)
	}
	return id + map[uint8]string{
		opLead: " leads", opPropose: " appends", opRetry: " tries again what waits", opAnswer: " answers again",
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
		b.WriteString([]string{"", " NO ENTRIES", " NOTHING"}[r.full])
		for k := range r.q.n {
			r.q.saves[k].show(&b)
		}
		b.WriteString("  ")
	}
	fmt.Fprintf(&b, "committed %v", s.chain[:s.done])
	return b.String()
}

// show prints a save: the term that it was asked for, its entries, and how far it is.
func (s *save) show(b *strings.Builder) {
	b.WriteString("|")
	if s.hard {
		fmt.Fprintf(b, "t%d", s.term)
		if s.vote > 0 {
			b.WriteString(explore.Letter(s.vote - 1))
		}
	}
	if s.n > 0 {
		fmt.Fprintf(b, " %d:%v", s.first, s.log[:s.n])
	}
	if s.alone {
		b.WriteString("alone")
	}
	if s.owes > 0 {
		b.WriteString("+")
	}
	b.WriteString([]string{"", ">", "."}[s.state])
}
