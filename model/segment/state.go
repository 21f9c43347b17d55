package main

const (
	maxFiles  = 4
	maxBlocks = 3 // a head and two
	maxLog    = 8 // batches
	maxChain  = 3 // segments that one scan goes through
)

// Kinds of blocks.
const (
	none = iota
	garbage
	head
	data
)

// A block is what one sector of a file holds. id, part and size are of batches: which one, which block of
// it, of how many. A head names up to two segments before its own.
type block struct {
	kind, life, pos, prom uint8
	id, part, size        uint8
	former                [2]former
}

// A former segment, as a head names it.
type former struct{ used, file, life, start, end uint8 }

// A segment is a file in use: its head stands at start, what it holds at start+1 to end-1.
type segment struct{ file, life, start, end uint8 }

// files are all blocks, as the medium or the page cache has them.
type files [maxFiles][maxBlocks]block

// How a block's cache stands to its medium.
const (
	clean = iota // the same
	dirty        // written, not yet durable
	ghost        // marked clean, yet never written to the medium: a failed sync
)

// state is the disk, the process that writes, and what was truly written.
type state struct {
	disk, cache files
	st          [maxFiles][maxBlocks]uint8

	up, opening uint8 // opening: the head of the new life is written, not yet synced
	life, pos   uint8 // pos: the next position
	segs        [maxChain]segment
	nseg        uint8 // live segments; the last one is current
	synced      uint8 // positions below this are durable, as the process knows
	named       uint8 // files that the newest durable head names, its own included
	stale       uint8 // without promiseIssued: as synced, but counts what was written while the sync ran

	log     [maxLog]uint8 // ids of batches in order, as the writer believes
	blkEnd  [maxLog]uint8 // position after each batch
	nlog    uint8
	dropped uint8 // a prefix that was given up on purpose
	must    uint8 // this many are acknowledged
	nextID  uint8

	lives, crashes, rots, fails uint8
	rotPos, rotData             uint8 // position of the rotten block; whether it was a batch's
}

// Init is a first life whose head is durable.
func (m *model) Init() state {
	var s state
	s.nextID = 1
	s.life, s.lives, s.up, s.pos = 1, 1, 1, 11
	s.segs[0], s.nseg = segment{0, 1, 10, 11}, 1
	s.disk[0][0] = block{kind: head, life: 1, pos: 10, prom: 10}
	s.cache[0][0] = s.disk[0][0]
	s.synced, s.named = 11, 1
	s.stale = 11
	return s
}

func (s *state) write(f, b uint8, x block) {
	s.cache[f][b] = x
	s.st[f][b] = dirty
}

// advance works out anew which prefix is durable, as the process knows.
func (s *state) advance() {
	for _, g := range s.segs[:s.nseg] {
		for p := g.start; p < g.end; p++ {
			if s.st[g.file][p-g.start] != clean {
				s.setSynced(p)
				return
			}
		}
	}
	s.setSynced(s.pos)
}

// setSynced acknowledges what ends at or below p.
func (s *state) setSynced(p uint8) {
	s.synced = max(s.synced, p)
	for i := range s.nlog {
		if s.blkEnd[i] <= s.synced {
			s.must = max(s.must, i+1)
		}
	}
}

// drop gives up all batches that end at or below position p: they live on in a snapshot.
func (s *state) drop(p uint8) {
	for i := range s.nlog {
		if s.blkEnd[i] <= p {
			s.dropped = max(s.dropped, i+1)
		}
	}
}

// flush makes durable what the cache marks as from: dirty blocks reach the medium, ghosts are read back
// from it.
func (s *state) flush(f int, from uint8) {
	for b := range maxBlocks {
		if s.st[f][b] != from {
			continue
		}
		if from == dirty {
			s.disk[f][b] = s.cache[f][b]
		} else {
			s.cache[f][b] = s.disk[f][b]
		}
		s.st[f][b] = clean
	}
}

// Encode appends all of the state. Files are not interchangeable: the lowest free one is taken.
func (m *model) Encode(s *state, b []byte) []byte {
	for f := range m.b.files {
		for i := range maxBlocks {
			b = s.disk[f][i].encode(append(b, s.st[f][i]))
			if s.st[f][i] != clean {
				b = s.cache[f][i].encode(b)
			}
		}
	}
	b = append(b, s.up, s.opening, s.life, s.pos, s.nseg, s.synced, s.named, s.stale, s.nlog, s.dropped, s.must, s.nextID,
		s.lives, s.crashes, s.rots, s.fails, s.rotPos, s.rotData)
	for _, g := range s.segs[:s.nseg] {
		b = append(b, g.file, g.life, g.start, g.end)
	}
	for i := range s.nlog {
		b = append(b, s.log[i], s.blkEnd[i])
	}
	return b
}

func (x *block) encode(b []byte) []byte {
	b = append(b, x.kind, x.life, x.pos, x.prom, x.id, x.part, x.size)
	if x.kind == head {
		for _, p := range x.former {
			b = append(b, p.used, p.file, p.life, p.start, p.end)
		}
	}
	return b
}
