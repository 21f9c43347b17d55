package main

// A scanned log is what an open finds in the files.
type scanned struct {
	ids    [maxLog]uint8
	ends   [maxLog]uint8
	n      uint8
	rot    bool
	segs   [maxChain]segment
	nseg   uint8
	maxPos uint8 // highest position on any valid frame or head
	prom   uint8 // highest promise in the chain
	best   int8  // file of the head scanned by, or -1
}

// scan reads the files as open does: from the newest head, through the segments that it names, to the
// first bad spot.
func (m *model) scan(v *files) (r scanned) {
	m.newestHead(v, &r)
	if m.r.lostHead && m.headIsLost(v, r.best) {
		r.rot = true
		return r
	}
	if r.best < 0 {
		return r
	}
	chain := chainOf(v, r.best)
	r.prom = m.promised(v, chain)
	for i, c := range chain {
		last := i == len(chain)-1
		p := m.read(v, &r, c)
		if r.rot {
			return r
		}
		r.segs[r.nseg] = segment{c.file, c.life, c.start, p}
		r.nseg++
		if p >= c.end {
			continue
		}
		if m.r.promiseCheck && r.prom > p {
			r.rot = true
			return r
		}
		if !last || v[c.file][p-c.start].kind == garbage {
			if m.r.follow && last && m.follow(v, &r, c.life, p) {
				return r
			}
			r.rot = !m.r.torn
			return r // the end: everything behind is cut
		}
	}
	if m.r.follow && r.nseg > 0 {
		g := r.segs[r.nseg-1]
		m.follow(v, &r, g.life, g.end)
	}
	return r
}

// newestHead finds the head with the highest position, and the highest position of all.
func (m *model) newestHead(v *files, r *scanned) {
	r.best = -1
	for f := range m.b.files {
		for b := range maxBlocks {
			if x := &v[f][b]; x.kind == head || x.kind == data {
				r.maxPos = max(r.maxPos, x.pos+max(x.size, 1)-1)
			}
		}
		if h := &v[f][0]; h.kind == head && (r.best < 0 || h.pos >= v[r.best][0].pos) {
			r.best = int8(f)
		}
	}
}

// headIsLost looks for a valid frame above the newest head that promises its own segment's head.
func (m *model) headIsLost(v *files, best int8) bool {
	for f := range m.b.files {
		for b := uint8(1); b < maxBlocks; b++ {
			x := &v[f][b]
			if m.frame(v, uint8(f), b, x.life, x.pos) == 0 {
				continue
			}
			start := x.pos - b
			if (best < 0 || start > v[best][0].pos) && x.prom > start {
				return true
			}
		}
	}
	return false
}

// chainOf lists the segments that a head names, its own last.
func chainOf(v *files, best int8) []segment {
	h := &v[best][0]
	chain := make([]segment, 0, maxChain)
	for _, p := range h.former {
		if p.used == 1 {
			chain = append(chain, segment{p.file, p.life, p.start, p.end})
		}
	}
	return append(chain, segment{uint8(best), h.life, h.pos, h.pos + maxBlocks})
}

// promised is the highest promise among the newest head and the valid frames of its chain.
func (m *model) promised(v *files, chain []segment) uint8 {
	newest := chain[len(chain)-1]
	prom := v[newest.file][0].prom
	for _, c := range chain {
		for b := uint8(1); b < maxBlocks; b++ {
			if m.frame(v, c.file, b, c.life, c.start+b) > 0 {
				prom = max(prom, v[c.file][b].prom)
			}
		}
	}
	return prom
}

// read takes the frames of one segment and says where they end.
func (m *model) read(v *files, r *scanned, c segment) uint8 {
	p := c.start + 1
	for p < c.end {
		size := m.frame(v, c.file, p-c.start, c.life, p)
		if size == 0 {
			break
		}
		if r.n == maxLog {
			r.rot = true // repeated frames: only with a rule switched off
			break
		}
		r.ids[r.n], r.ends[r.n] = v[c.file][p-c.start].id, p+size
		r.n++
		p += size
	}
	return p
}

// frame returns the size of the valid batch that starts at block b of file f with the given life and
// position, or 0.
func (m *model) frame(v *files, f, b, life, pos uint8) uint8 {
	x := &v[f][b]
	if x.kind != data || x.part != 0 || m.r.lifeChecked && (x.life != life || x.pos != pos) {
		return 0
	}
	for i := uint8(1); i < x.size; i++ {
		if b+i >= maxBlocks {
			return 0
		}
		y := &v[f][b+i]
		if y.kind != data || y.id != x.id || y.part != i {
			return 0
		}
	}
	return x.size
}

// follow reads on in a file whose head is bad but whose frames are of this life and begin right behind
// position p.
func (m *model) follow(v *files, r *scanned, life, p uint8) bool {
	for f := range uint8(m.b.files) {
		if m.frame(v, f, 1, life, p+1) == 0 || int(r.nseg) == len(r.segs) {
			continue
		}
		q := m.read(v, r, segment{f, life, p, p + maxBlocks})
		r.segs[r.nseg] = segment{f, life, p, q}
		r.nseg++
		m.follow(v, r, life, q)
		return true
	}
	return false
}
