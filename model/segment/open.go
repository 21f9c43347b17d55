package main

import "github.com/lockstep-rsm/lockstep/model/explore"

// open scans the files and writes the head of a new life. Rot, and a life too many, end the run: recovery
// from peers is the other model's matter.
func (m *model) open(s *state, o *out) {
	n := *s
	for f := range m.b.files { // what is read is durable
		if m.r.syncTail {
			n.flush(f, dirty)
		}
		if m.r.bypassCache {
			n.flush(f, ghost)
		}
	}
	r := m.scan(&n.cache)
	bad := n.broken(&r)
	if bad == lostToRot && n.remainder(&r) {
		return
	}
	if bad != "" {
		o.Step(&n, bad, explore.Act{Op: opOpen})
		return
	}
	if r.rot || int(n.lives) >= m.b.lives {
		return
	}
	n.keep(&r)
	n.cut(&r)
	n.lives++
	n.life = n.lives
	m.begin(&n, &r, o)
}

// keep takes over the last two segments that hold anything.
func (s *state) keep(r *scanned) {
	s.segs, s.nseg = [maxChain]segment{}, 0
	for _, g := range r.segs[:r.nseg] {
		if g.end > g.start+1 {
			s.segs[s.nseg] = g
			s.nseg++
		}
	}
	if s.nseg == maxChain {
		s.segs = [maxChain]segment{s.segs[1], s.segs[2]}
		s.nseg = 2
	}
}

// cut makes the writer's log what the scan returned; what was given up in front stays given up.
func (s *state) cut(r *scanned) {
	first := s.dropped
	if r.n > 0 {
		first, _ = s.firstOf(r)
	}
	s.nlog = first + r.n
	for i := s.nlog; i < maxLog; i++ {
		s.log[i], s.blkEnd[i] = 0, 0
	}
	s.dropped = max(s.dropped, first)
	if s.nseg > 0 {
		s.drop(s.segs[0].start)
	}
	s.must = min(s.must, s.nlog) // grows to all of it when the head is durable
}

// begin writes the new life's head, into a file outside of the whole chain: it must not destroy what an
// older head still needs.
func (m *model) begin(n *state, r *scanned, o *out) {
	start := r.maxPos + 1
	if !m.r.positionJump {
		start = 10
		if n.nseg > 0 {
			start = n.segs[n.nseg-1].end
		}
	}
	h := block{kind: head, life: n.life, pos: start, prom: start}
	var used uint8
	for i, g := range n.segs[:n.nseg] {
		h.former[i] = former{1, g.file, g.life, g.start, g.end}
		used |= 1 << g.file
	}
	for _, g := range r.segs[:r.nseg] {
		used |= 1 << g.file
	}
	if m.r.headKept && r.best >= 0 {
		used |= 1 << r.best
	}
	for f := range uint8(m.b.files) {
		if used&(1<<f) != 0 {
			continue
		}
		n.write(f, 0, h)
		n.segs[n.nseg] = segment{f, n.life, start, start + 1}
		n.nseg++
		n.pos = start + 1
		n.up, n.opening = 1, 1
		o.Step(n, "", explore.Act{Op: opOpen, A: f})
		return
	}
}

// opened makes the new head durable: what the scan found is served from now on.
func (m *model) opened(s *state, o *out) {
	n := *s
	n.opening = 0
	g := n.segs[n.nseg-1]
	n.disk[g.file][0], n.st[g.file][0] = n.cache[g.file][0], clean
	n.named = 0
	for _, g := range n.segs[:n.nseg] {
		n.named |= 1 << g.file
	}
	n.synced = n.pos
	n.stale = n.pos
	n.must = n.nlog
	o.Step(&n, "", explore.Act{Op: opOpened})
}
