package world

import "math/rand/v2"

// The unit that survives or is lost in a power failure, and the unit of memory here.
const (
	sectorSize = 512
	pageSize   = 4096
	pageShift  = 12
	perPage    = pageSize / sectorSize
	perChunk   = 16
)

// A page is 4 KiB of a file, as the page cache shows it (cur) and, in the sectors of diff, as the
// medium holds it (med). Both end with a sector; behind their ends they are zeroes, which most blocks of a
// log are for the most part. Outside diff the two agree.
//
//	        write                 Sync begins                Sync ends
//	clean ─────────▶ dirty+diff ──────────────▶ flying+diff ───────────▶ clean
//	                                                │ Sync fails
//	                                                ▼
//	                                              diff: looks clean, never reaches the medium
type page struct {
	cur, med []byte
	diff     uint8 // sectors where the medium differs from the cache, or may
	dirty    uint8 // of diff: to be written by the next Sync
	flying   uint8 // of diff: being written by a Sync
	bad      uint8 // sectors that the medium cannot read
	used     bool  // it was written, if with zeroes only
}

// extent is a file's content: pages that were never written cost nothing.
type extent struct {
	chunks  []*[perChunk]page
	dirty   []int64 // pages that have dirty sectors, in the order in which they got them
	flying  []int64
	size    int64 // as the cache has it
	durable int64 // as the medium has it
	buffers *buffers
}

// look returns page n, nil if it was never touched.
func (x *extent) look(n int64) *page {
	c := n / perChunk
	if c >= int64(len(x.chunks)) || x.chunks[c] == nil {
		return nil
	}
	return &x.chunks[c][n%perChunk]
}

func (x *extent) page(n int64) *page {
	c := n / perChunk
	for c >= int64(len(x.chunks)) {
		x.chunks = append(x.chunks, nil)
	}
	if x.chunks[c] == nil {
		x.chunks[c] = new([perChunk]page)
	}
	return &x.chunks[c][n%perChunk]
}

// setMedium makes the medium hold what the cache holds in sector s.
func (x *extent) setMedium(p *page, s int) { p.med = x.buffers.take(p.med, p.cur, s) }

// touch prepares sector s of page n for a change in the cache only.
func (x *extent) touch(n int64, p *page, s int) {
	bit := uint8(1) << s
	if p.flying&bit != 0 {
		// The Sync under way must not promise what comes now: it has just written the sector.
		x.setMedium(p, s)
		p.flying &^= bit
	} else if p.diff&bit == 0 {
		x.setMedium(p, s)
	}
	if p.dirty == 0 {
		x.dirty = append(x.dirty, n)
	}
	p.diff |= bit
	p.dirty |= bit
}

// write changes the cache. p == nil writes n zeroes.
func (x *extent) write(p []byte, off, n int64) {
	for done := int64(0); done < n; {
		at := off + done
		number, in := at>>pageShift, int(at&(pageSize-1))
		m := min(int64(pageSize-in), n-done)
		pg := x.page(number)
		for s := in / sectorSize; s <= (in+int(m)-1)/sectorSize; s++ {
			x.touch(number, pg, s)
		}
		if p != nil {
			pg.used = true
			pg.cur = x.buffers.fit(pg.cur, p[done:done+m], in)
		} else {
			clear(pg.cur[min(in, len(pg.cur)):min(in+int(m), len(pg.cur))])
		}
		done += m
	}
	x.size = max(x.size, off+n)
}

// through changes cache and medium at once. off and n are multiples of the sector size.
func (x *extent) through(p []byte, off int64) {
	for len(p) > 0 {
		number, in := off>>pageShift, int(off&(pageSize-1))
		m := min(pageSize-in, len(p))
		pg := x.page(number)
		pg.used = true
		pg.cur = x.buffers.fit(pg.cur, p[:m], in)
		mask := uint8(0)
		for s := in / sectorSize; s < (in+m)/sectorSize; s++ {
			mask |= 1 << s
		}
		pg.dirty &^= mask
		pg.flying &^= mask
		pg.bad &^= mask
		x.agree(pg, mask)
		p, off = p[m:], off+int64(m)
	}
	x.size = max(x.size, off)
	x.durable = max(x.durable, x.size)
}

// agree notes that cache and medium are equal in the sectors of mask.
func (x *extent) agree(p *page, mask uint8) {
	if p.diff &^= mask; p.diff == 0 {
		x.buffers.put(p.med)
		p.med = nil
	}
}

// launch begins a Sync: what is dirty now is what it will promise.
func (x *extent) launch() {
	for _, n := range x.dirty {
		p := x.look(n)
		if p.flying == 0 && p.dirty != 0 {
			x.flying = append(x.flying, n)
		}
		p.flying |= p.dirty
		p.dirty = 0
	}
	x.dirty = x.dirty[:0]
}

// land ends a Sync: well, and the medium holds what it promised; or not, and it never will.
func (x *extent) land(well bool) {
	for _, n := range x.flying {
		p := x.look(n)
		if well {
			mask := p.flying
			p.flying, p.bad = 0, p.bad&^mask
			x.agree(p, mask)
		}
		p.flying = 0
	}
	x.flying = x.flying[:0]
}

// ground takes a Sync back that nobody waits for any more: its sectors are dirty again.
func (x *extent) ground() {
	for _, n := range x.flying {
		p := x.look(n)
		if p.flying != 0 && p.dirty == 0 {
			x.dirty = append(x.dirty, n)
		}
		p.dirty |= p.flying
		p.flying = 0
	}
	x.flying = x.flying[:0]
}

// read fills b from the cache. false: a sector of it cannot be read.
func (x *extent) read(b []byte, off int64) bool {
	for len(b) > 0 {
		number, in := off>>pageShift, int(off&(pageSize-1))
		m := min(pageSize-in, len(b))
		p := x.look(number)
		if p != nil && p.bad != 0 {
			for s := in / sectorSize; s <= (in+m-1)/sectorSize; s++ {
				if p.bad&^(p.dirty|p.flying)&(1<<s) != 0 {
					return false
				}
			}
		}
		if p == nil {
			clear(b[:m])
		} else {
			show(b[:m], p.cur, in)
		}
		b, off = b[m:], off+int64(m)
	}
	return true
}

// readMedium fills b with what the medium holds now, with all that is unsynced left out.
func (x *extent) readMedium(b []byte, off int64) {
	for len(b) > 0 {
		in := int(off & (pageSize - 1))
		m := min(sectorSize-in%sectorSize, len(b))
		p := x.look(off >> pageShift)
		var src []byte
		switch {
		case p == nil:
		case p.diff&(1<<(in/sectorSize)) != 0:
			src = p.med
		default:
			src = p.cur
		}
		show(b[:m], src, in)
		b, off = b[m:], off+int64(m)
	}
}

// drop lets the cache show the medium wherever nothing waits to be written.
func (x *extent) drop() {
	x.each(func(_ int64, p *page) {
		for s := range perPage {
			if p.diff&^(p.dirty|p.flying)&(1<<s) != 0 {
				x.reveal(p, s)
			}
		}
		x.agree(p, p.diff&^(p.dirty|p.flying))
	})
}

// reveal makes the cache of sector s what the medium holds.
func (x *extent) reveal(p *page, s int) {
	p.used = p.used || p.med != nil
	p.cur = x.buffers.take(p.cur, p.med, s)
}

func (x *extent) each(f func(n int64, p *page)) {
	for c, chunk := range x.chunks {
		if chunk == nil {
			continue
		}
		for i := range chunk {
			if p := &chunk[i]; p.diff != 0 || p.used {
				f(int64(c)*perChunk+int64(i), p)
			}
		}
	}
}

// fates says what a power failure does to unsynced sectors: chances in a hundred to keep the old
// content or get the new one; the rest is garbage.
type fates struct{ old, new int }

// lose is a power failure: of every unsynced sector the medium got the old content, the new one
// or garbage, whatever its neighbours got. The cache is gone.
func (x *extent) lose(r *rand.Rand, f fates) {
	x.ground()
	x.each(func(_ int64, p *page) {
		for s := range perPage {
			bit := uint8(1) << s
			if p.diff&bit == 0 {
				continue
			}
			fate := f.old // what only looks clean stays as the medium has it
			if p.dirty&bit != 0 {
				fate = r.IntN(100)
			}
			switch {
			case p.dirty&bit == 0 || fate < f.old:
				x.reveal(p, s)
			case fate >= f.old+f.new:
				p.used = true
				p.cur = x.buffers.reach(p.cur, (s+1)*sectorSize)
				fill(r, sector(p.cur, s))
			}
		}
		p.dirty = 0
		x.agree(p, 0xff)
	})
	x.dirty = x.dirty[:0]
	if x.size != x.durable {
		switch fate := r.IntN(100); {
		case fate < f.old:
			x.size = x.durable
		case fate < f.old+f.new:
		default:
			least := min(x.size, x.durable)
			x.size = least + r.Int64N(max(x.size, x.durable)-least+1)
		}
		x.durable = x.size
	}
	x.clip()
}

// clip makes zeroes of what lies behind the end: growing again must not bring it back.
func (x *extent) clip() {
	x.each(func(n int64, p *page) {
		if from := x.size - n<<pageShift; from < int64(len(p.cur)) {
			clear(p.cur[max(from, 0):])
		}
	})
}

// truncate sets the size. What is cut off stays on the medium until the next Sync.
func (x *extent) truncate(size int64) {
	if size < x.size {
		end := x.size
		x.each(func(n int64, _ *page) {
			from := max(n<<pageShift, size)
			if to := min((n+1)<<pageShift, end); from < to {
				x.write(nil, from, to-from)
			}
		})
	}
	x.size = size
}

// rot flips a bit in every sector of [off, off+n) on the medium, under the cache.
func (x *extent) rot(r *rand.Rand, off, n int64) {
	for at := off &^ (sectorSize - 1); at < off+n; at += sectorSize {
		number, s := at>>pageShift, int(at&(pageSize-1))/sectorSize
		p := x.page(number)
		if p.diff&(1<<s) == 0 {
			x.setMedium(p, s)
			p.diff |= 1 << s
		}
		p.med = x.buffers.reach(p.med, (s+1)*sectorSize)
		bit := r.IntN(sectorSize * 8)
		sector(p.med, s)[bit/8] ^= 1 << (bit % 8)
	}
}

// spoil makes the sectors of [off, off+n) unreadable until they are written again.
func (x *extent) spoil(off, n int64) {
	for at := off &^ (sectorSize - 1); at < off+n; at += sectorSize {
		x.page(at >> pageShift).bad |= 1 << (int(at&(pageSize-1)) / sectorSize)
	}
}
