package main

import (
	"fmt"
	"strings"

	"github.com/lockstep-rsm/lockstep/model/explore"
)

// Label says what a step does.
func (m *model) Label(a explore.Act) string {
	switch a.Op {
	case opAppend:
		return fmt.Sprintf("append %d of version %d", a.A, a.B)
	case opCompact:
		return fmt.Sprintf("the log begins behind %d", a.A)
	case opInstall:
		return fmt.Sprintf("a snapshot at %d of version %d replaces the log", a.A, a.B)
	case opCarry:
		return fmt.Sprintf("carry %d of version %d", a.A, a.B)
	case opRoll:
		return fmt.Sprintf("next segment, freed: %b", a.A)
	case opLeaveOut:
		return fmt.Sprintf("next segment, with what remains of segment %d, freed: %b", a.B, a.A)
	case opCrash:
		return "crash, " + []string{"the write is lost", "the write is durable"}[a.A]
	}
	return map[uint8]string{opSynced: "synced", opList: "list what is to be carried"}[a.Op]
}

// Show prints the segments; the README says how to read it.
func (m *model) Show(s *state) string {
	var b strings.Builder
	for _, t := range s.on.segments[:s.on.n] {
		b.WriteString("[")
		if t.base.index > 0 {
			fmt.Fprintf(&b, "%d.%d", t.base.index, t.base.version)
		}
		for i, r := range t.records[:t.n] {
			if i == int(t.rest) {
				b.WriteString(" |")
			}
			b.WriteString(" " + r.String())
		}
		b.WriteString("]")
	}
	switch s.writing {
	case 1:
		fmt.Fprintf(&b, " writes %v", s.batch)
	case 2:
		b.WriteString(" writes a head")
	}
	return b.String()
}

// String is the index and version, with what the record does with them.
func (r record) String() string {
	return []string{"?", "", "c", "base ", "anew "}[r.kind] + fmt.Sprintf("%d.%d", r.index, r.version) + strings.Repeat("*", int(r.loose))
}
