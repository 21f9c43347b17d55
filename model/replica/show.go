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
		return fmt.Sprintf("%s writes vote for %s", id, explore.Letter(a.B))
	case opCampaign:
		return id + " writes candidacy"
	case opAppend:
		return fmt.Sprintf("%s takes append of term %d", id, a.B)
	case opSync:
		return fmt.Sprintf("%s: sync of %d", id, a.B)
	case opPower, opKill, opRotLast:
		return fmt.Sprintf("%s: %s (%b)", id, opName(a.Op), a.B)
	case opRot:
		return fmt.Sprintf("%s: rot of entry %d", id, a.B+1)
	}
	return id + ": " + opName(a.Op)
}

func opName(op uint8) string {
	return [...]string{
		opCampaign: "campaign", opGrant: "grant", opLead: "lead", opPropose: "propose", opChange: "configuration",
		opAppend: "append", opSync: "sync", opPromise: "promise", opCommit: "commit", opPower: "power lost",
		opKill: "killed", opRestart: "restart", opRot: "rot", opRotLast: "rot of an unpromised batch",
		opWipe: "wiped", opFill: "fill hole", opExit: "leaves HEAD-UNKNOWN", opLearn: "learns a term",
	}[op]
}

// Show prints all replicas; the README says how to read it.
func (m *model) Show(s *state) string {
	var b strings.Builder
	for i := range m.b.n {
		b.WriteString(explore.Letter(uint8(i)))
		s.r[i].show(&b)
	}
	if s.ncommitted > 0 {
		b.WriteString("committed")
		for _, e := range s.committed[:s.ncommitted] {
			b.WriteString(" " + e.String())
		}
	}
	return b.String()
}

func (r *replica) show(b *strings.Builder) {
	if r.up == 0 {
		b.WriteString(" down")
	}
	if r.head == 1 {
		b.WriteString(" HEAD-UNKNOWN")
	}
	if r.inc == 1 {
		b.WriteString("'")
	}
	b.WriteString([]string{"", " cand", " LEADER"}[r.role])
	fmt.Fprintf(b, " t%d", r.base.term)
	if r.base.vote != nobody {
		b.WriteString("v" + explore.Letter(r.base.vote))
	}
	b.WriteString("[")
	for j, e := range r.base.log[:r.base.n] {
		if r.base.holes&(1<<j) != 0 {
			b.WriteString("#")
		}
		b.WriteString(e.String() + " ")
	}
	for j := range r.nt {
		r.tail[j].show(b)
	}
	b.WriteString("]  ")
}

func (t *batch) show(b *strings.Builder) {
	switch {
	case t.vote == 1:
		fmt.Fprintf(b, "|vote t%d %s/%d", t.term, explore.Letter(t.cand), t.copy+1)
	case t.idx > 0:
		fmt.Fprintf(b, "|t%d %d:%s", t.term, t.idx, t.ent)
	default:
		fmt.Fprintf(b, "|t%d", t.term)
	}
	if t.bad == 1 {
		b.WriteString(" BAD")
	} else if t.synced == 0 {
		b.WriteString("*")
	}
}

// String is the term, and R or P for a configuration that replaces or promotes.
func (e entry) String() string {
	return fmt.Sprint(e.term()) + []string{"", "R", "P", "?"}[e.kind()]
}
