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
		return fmt.Sprintf("append a batch of %d blocks", a.A)
	case opRoll:
		return fmt.Sprintf("next segment in file %d", a.A)
	case opSync:
		return fmt.Sprintf("sync of file %d returns", a.A)
	case opSyncLate:
		return fmt.Sprintf("sync of file %d returns; a batch was written meanwhile", a.A)
	case opSyncFail:
		return fmt.Sprintf("sync of file %d fails, process stops", a.A)
	case opKill:
		return "process killed"
	case opKillMid:
		return "process killed in the middle of a write"
	case opPower:
		return "power lost"
	case opRot:
		return fmt.Sprintf("rot: file %d block %d", a.A, a.B)
	case opOpen:
		return fmt.Sprintf("open: scan, write head into file %d", a.A)
	case opOpened:
		return "open: head synced"
	}
	return "?"
}

// Show prints the files as the cache has them; the README says how to read it.
func (m *model) Show(s *state) string {
	var b strings.Builder
	for f := range m.b.files {
		b.WriteString("[")
		for i := range maxBlocks {
			switch x := s.cache[f][i]; x.kind {
			case none:
				b.WriteString(" -")
			case garbage:
				b.WriteString(" ?")
			case head:
				fmt.Fprintf(&b, " H%d@%d", x.life, x.pos)
			case data:
				fmt.Fprintf(&b, " b%d@%d", x.id, x.pos)
			}
			switch s.st[f][i] {
			case dirty:
				b.WriteString("*")
			case ghost:
				b.WriteString("!")
			}
		}
		b.WriteString(" ]")
	}
	fmt.Fprintf(&b, " acked %d", s.must)
	return b.String()
}
