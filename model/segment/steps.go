package main

import "github.com/lockstep-rsm/lockstep/model/explore"

// Steps.
const (
	opAppend = iota
	opRoll
	opSync
	opSyncLate
	opSyncFail
	opKill
	opKillMid
	opPower
	opRot
	opOpen
	opOpened
)

type out = explore.Out[state]

// Next gives out every step: of a running process, of one that opens, of faults, of one that starts.
func (m *model) Next(s *state, o *out) {
	if s.up == 1 && s.opening == 0 {
		m.appends(s, o)
		if g := s.segs[s.nseg-1]; g.end > g.start+1 {
			m.roll(s, o)
		}
		for f := range m.b.files {
			m.syncs(s, o, f)
		}
	}
	if s.up == 1 && s.opening == 1 {
		m.opened(s, o)
	}
	if int(s.crashes) < m.b.crashes {
		if s.up == 1 {
			n := *s
			n.kill()
			n.crashes++
			o.Step(&n, "", explore.Act{Op: opKill})
		}
		m.power(s, o)
	}
	if s.up == 0 {
		if int(s.rots) < m.b.rots {
			m.rot(s, o)
		}
		m.open(s, o)
	}
}

// room is how many blocks the current segment takes.
func (m *model) room(s *state) uint8 {
	g := s.segs[s.nseg-1]
	if m.r.headSynced && s.synced <= g.start {
		return 0
	}
	return g.start + maxBlocks - g.end
}

// drained says that no further batch is within the bounds.
func (m *model) drained(s *state) bool { return int(s.nextID) > m.b.batches || s.nlog == maxLog }

// appends writes a batch of each size, or only a part of it before the process ends.
func (m *model) appends(s *state, o *out) {
	for size := uint8(1); size <= m.room(s) && !m.drained(s); size++ {
		n := *s
		m.appendBatch(&n, size, size)
		o.Step(&n, "", explore.Act{Op: opAppend, A: size})
		if int(s.crashes) >= m.b.crashes {
			continue
		}
		for blocks := uint8(1); blocks < size; blocks++ {
			n := *s
			m.appendBatch(&n, size, blocks)
			n.kill()
			n.crashes++
			o.Step(&n, "", explore.Act{Op: opKillMid})
		}
	}
}

// appendBatch writes the first blocks of a batch of size blocks.
func (m *model) appendBatch(s *state, size, blocks uint8) {
	g := &s.segs[s.nseg-1]
	id := s.nextID
	s.nextID++
	for i := range blocks {
		s.write(g.file, g.end-g.start+i, block{
			kind: data, life: s.life, pos: s.pos + i, prom: m.promise(s), id: id, part: i, size: size,
		})
	}
	s.pos += size
	g.end += size
	if blocks == size {
		s.log[s.nlog], s.blkEnd[s.nlog] = id, s.pos
		s.nlog++
	}
}

// promise is what a batch or head says of earlier syncs.
func (m *model) promise(s *state) uint8 {
	if m.r.promiseIssued {
		return s.synced
	}
	return max(s.synced, s.stale)
}

// syncs lets the sync of one file return, or fail and end the process.
func (m *model) syncs(s *state, o *out, f int) {
	waiting := false
	for b := range maxBlocks {
		waiting = waiting || s.st[f][b] == dirty
	}
	if !waiting {
		return
	}
	n := *s
	n.sync(f)
	o.Step(&n, "", explore.Act{Op: opSync, A: uint8(f)})
	if !m.r.promiseIssued && m.room(s) > 0 && !m.drained(s) {
		// The sync returns after another batch was written, and promises that one too.
		n := *s
		n.sync(f)
		m.appendBatch(&n, 1, 1)
		n.stale = n.pos
		o.Step(&n, "", explore.Act{Op: opSyncLate, A: uint8(f)})
	}
	if int(s.fails) < m.b.syncFails {
		n := *s
		for b := range maxBlocks {
			if n.st[f][b] == dirty {
				n.st[f][b] = ghost
			}
		}
		n.kill()
		n.fails++
		o.Step(&n, "", explore.Act{Op: opSyncFail, A: uint8(f)})
	}
}

func (s *state) sync(f int) {
	s.flush(f, dirty)
	s.advance()
	if g := s.segs[s.nseg-1]; int(g.file) == f {
		s.named = 1 << f
		for _, p := range s.disk[f][0].former {
			if p.used == 1 {
				s.named |= 1 << p.file
			}
		}
	}
}

// roll starts the next segment of the same life; its head names one segment before it.
func (m *model) roll(s *state, o *out) {
	f, ok := m.freeFile(s)
	last := s.segs[s.nseg-1]
	if !ok || m.r.dropDurable && s.synced < last.start {
		return // what the new head will not name must be durable (and live on in a snapshot) first
	}
	n := *s
	h := block{kind: head, life: n.life, pos: n.pos, prom: m.promise(s)}
	if !m.r.endNoPromise {
		h.prom = n.pos
	}
	h.former[0] = former{1, last.file, last.life, last.start, last.end}
	n.drop(last.start)
	n.segs = [maxChain]segment{last, {f, n.life, n.pos, n.pos + 1}}
	n.nseg = 2
	n.pos++
	for b := range maxBlocks { // stale content stays: only the head is written
		if n.st[f][b] == dirty {
			n.st[f][b] = clean
		}
	}
	n.write(f, 0, h)
	o.Step(&n, "", explore.Act{Op: opRoll, A: f})
}

// freeFile is the lowest file that may be used again: free files are alike.
func (m *model) freeFile(s *state) (uint8, bool) {
	for f := range uint8(m.b.files) {
		busy := m.r.headFirst && s.named&(1<<f) != 0
		for i, g := range s.segs[:s.nseg] {
			// Without headFirst, what the new head will not name is reused at once.
			if m.r.headFirst || i+1 >= int(s.nseg) {
				busy = busy || g.file == f
			}
		}
		if !busy {
			return f, true
		}
	}
	return 0, false
}
