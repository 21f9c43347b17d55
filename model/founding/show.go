package main

import (
	"fmt"
	"strings"

	"github.com/lockstep-rsm/lockstep/model/explore"
)

// Label says what a step does, and which host does it.
func (m *model) Label(a explore.Act) string {
	id := explore.Letter(a.A)
	switch a.Op {
	case opStart:
		return fmt.Sprintf("%s starts, %s is first of its founders", id, explore.Letter(a.B))
	case opAsk:
		return id + " binds itself and asks"
	case opHear:
		return fmt.Sprintf("%s binds itself, its answer to %s is lost", id, explore.Letter(a.B))
	case opAnswer:
		return fmt.Sprintf("%s answers %s", id, explore.Letter(a.B))
	case opMint:
		return id + " mints"
	case opSave:
		return id + " saves its mint"
	case opAdopt:
		return fmt.Sprintf("%s adopts cluster %d", id, a.B+1)
	case opKill:
		return id + " is killed"
	case opWipe:
		return id + ": directory emptied"
	}
	return "?"
}

// Show prints all hosts; the README says how to read it.
func (m *model) Show(s *state) string {
	var b strings.Builder
	for i := range s.h {
		h := &s.h[i]
		b.WriteString(explore.Letter(uint8(i)) + strings.Repeat("'", int(h.life)))
		if h.up == 0 {
			b.WriteString(" down")
		}
		switch h.dir.state {
		case bound:
			n := uint8(h.dir.nonce - 1)
			fmt.Fprintf(&b, " bound to %s%s", explore.Letter(n&1), strings.Repeat("'", int(n>>1&7)))
		case founded:
			fmt.Fprintf(&b, " in cluster %d", h.dir.mint)
		}
		if h.dir != h.disk {
			b.WriteString("*")
		}
		b.WriteString("  ")
	}
	return b.String()
}
