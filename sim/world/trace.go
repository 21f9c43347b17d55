package world

import (
	"fmt"
	"hash/crc32"
	"time"
)

func (w *World) mix(x uint64) {
	h := (w.hash ^ x) * 0x9e3779b97f4a7c15
	w.hash = h ^ h>>29
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// mixBytes takes p into the hash: two runs that write different bytes differ, even if every event
// came at the same time.
func (w *World) mixBytes(p []byte) {
	w.mix(uint64(len(p))<<32 | uint64(crc32.Checksum(p, castagnoli)))
}

// Note puts a line of the caller's into trace and hash. It does not keep text, which must not tell of maps' orders,
// pointers or real times.
func (w *World) Note(h int, event string, text []byte) {
	w.mixBytes([]byte(event))
	w.mixBytes(text)
	if w.tracing() {
		w.tracef(w.host(h), event, "%s", text)
	}
}

// tracing guards calls of tracef whose arguments cost something.
func (w *World) tracing() bool { return w.opts.Trace != nil }

func (w *World) tracef(h *host, event, format string, args ...any) {
	if w.opts.Trace == nil {
		return
	}
	fmt.Fprintf(w.opts.Trace, "%.6f %s %s "+format+"\n",
		append([]any{time.Duration(w.now).Seconds(), h.name, event}, args...)...)
}
