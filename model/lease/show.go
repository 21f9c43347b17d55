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
	case opTick:
		slow := ""
		for i := range uint8(replicas) {
			if a.B>>i&1 == 1 {
				slow += explore.Letter(i)
			}
		}
		if slow == "" {
			return "a tick"
		}
		return "a tick, slow: " + slow
	case opCampaign:
		return id + ": " + []string{"campaigns", "campaigns, as it was asked to"}[a.B]
	case opGrant:
		return id + " votes for " + explore.Letter(a.B)
	case opLead:
		return fmt.Sprintf("%s leads, and commits in %d", id, a.B)
	case opTake:
		return fmt.Sprintf("%s takes what term %d sent", id, a.B)
	case opCommit:
		return fmt.Sprintf("%s commits through %d", id, a.B)
	case opJump:
		return id + []string{": its wall clock jumps ahead", ": its wall clock jumps back"}[a.B]
	case opAsk:
		return fmt.Sprintf("%s asks %s to take over", id, explore.Letter(a.B))
	}
	return id + ": " + map[uint8]string{
		opPropose: "appends", opChange: "changes the length", opRestart: "restarts",
		opFreeze: "reads its clock, then pauses", opGiveUp: "waits for it no longer",
	}[a.Op]
}

// Show prints all replicas; the README says how to read it.
func (m *model) Show(s *state) string {
	var b strings.Builder
	for i := range s.r {
		r := &s.r[i]
		fmt.Fprintf(&b, "%s%s t%d[", explore.Letter(uint8(i)), []string{"", " cand", " LEADER"}[r.role], r.term)
		for j, e := range r.log[:r.n] {
			if j > 0 {
				b.WriteString(" ")
			}
			fmt.Fprint(&b, e.term())
			if e&change != 0 {
				b.WriteString("L")
			}
		}
		b.WriteString("]")
		if r.role == leader {
			fmt.Fprintf(&b, " c%d", r.commit)
		}
		if r.wait > 0 {
			fmt.Fprintf(&b, " waits %d", r.wait)
		}
		if m.leased(r) {
			fmt.Fprintf(&b, " LEASED %d/%d", r.from, m.length(r))
		}
		if r.frozen == 1 {
			b.WriteString(" paused")
		}
		b.WriteString("  ")
	}
	fmt.Fprintf(&b, "completed %d", s.done)
	return b.String()
}
