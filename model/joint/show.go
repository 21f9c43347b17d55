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
	case opGrant:
		return id + " votes for " + explore.Letter(a.B)
	case opTake:
		return fmt.Sprintf("%s takes what term %d sent", id, a.B)
	case opHear:
		return fmt.Sprintf("%s hears what term %d committed", id, a.B)
	case opCommit:
		return fmt.Sprintf("%s commits through %d", id, a.B)
	}
	return id + map[uint8]string{
		opCampaign: " campaigns", opLead: " leads", opPropose: " appends", opChange: " begins a change",
		opLeave: " leaves the joint configuration", opRestart: " restarts",
	}[a.Op]
}

// Show prints all replicas; the README says how to read it.
func (m *model) Show(s *state) string {
	var b strings.Builder
	for i := range m.n {
		r := &s.r[i]
		fmt.Fprintf(&b, "%s%s t%d[", explore.Letter(uint8(i)), []string{"", " cand", " LEADER"}[r.role], r.term)
		for j, e := range r.log[:r.n] {
			if j > 0 {
				b.WriteString(" ")
			}
			b.WriteString(m.text(e))
		}
		fmt.Fprintf(&b, "] c%d", r.commit)
		if r.keptAt > 0 {
			fmt.Fprintf(&b, " keeps %s", m.text(r.kept))
		}
		b.WriteString("  ")
	}
	b.WriteString("committed")
	for _, e := range s.chain[:s.done] {
		b.WriteString(" " + m.text(e))
	}
	return b.String()
}

// text of an entry is its term, and the set that it changes to, with + as long as the former one counts too.
func (m *model) text(e entry) string {
	switch e.kind() {
	case joint:
		return fmt.Sprintf("%d+%v", e.term(), m.b.sets[e.target()])
	case left:
		return fmt.Sprintf("%d=%v", e.term(), m.b.sets[e.target()])
	}
	return fmt.Sprint(e.term())
}
