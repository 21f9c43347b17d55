package main

import (
	"fmt"
	"strings"

	"github.com/lockstep-rsm/lockstep/model/explore"
)

// Label says what a step does, and which replica does it.
func (m *model) Label(a explore.Act) string {
	id := explore.Letter(a.A)
	if text, ok := map[uint8]string{
		opLearn: "knows that mark %d is agreed", opAgree: "marks snapshot %d as agreed", opCut: "cuts its log behind %d",
		opReceive: "receives snapshot %d", opInstall: "installs snapshot %d", opRot: "snapshot %d rots",
	}[a.Op]; ok {
		return id + " " + fmt.Sprintf(text, a.B)
	}
	return id + " " + map[uint8]string{
		opTake: "takes an entry", opExecute: "executes an entry", opDiffer: "executes an entry and differs", opSeal: "seals a snapshot",
		opRemake: "makes its machine anew", opCrash: "crashes", opRestart: "restarts",
	}[a.Op]
}

// Show prints all replicas; the README says how to read it.
func (m *model) Show(s *state) string {
	var b strings.Builder
	for id := range s.r {
		r := &s.r[id]
		fmt.Fprintf(&b, "%s log %d-%d", explore.Letter(uint8(id)), r.base, r.last)
		switch {
		case r.up == 0:
			b.WriteString(" down")
		case r.machine == well:
			fmt.Fprintf(&b, " at %d%s", r.applied, strings.Repeat("!", int(r.differs)))
		default:
			b.WriteString([]string{out: " out", absent: " NO STATE"}[r.machine])
		}
		for i, v := range r.snap {
			if v == 0 {
				continue
			}
			fmt.Fprintf(&b, " s%d", i)
			for bit, text := range map[uint8]string{agreed: "+", wrong: "!", rotten: "#", received: "<"} {
				if v&bit != 0 {
					b.WriteString(text)
				}
			}
		}
		b.WriteString("  ")
	}
	fmt.Fprintf(&b, "committed %d", s.done)
	return b.String()
}
