package main

const (
	hosts    = 3
	maxLists = 2
	maxMints = 3
)

// What a directory holds.
const (
	empty = iota
	bound
	founded
)

// A nonce names a founding: list | life of the minter<<1 | draw<<4, plus 1. The minter of a list is the
// host of its number. 0: none.
type nonce uint8

func makeNonce(list, life, draw uint8) nonce { return nonce(list|life<<1|draw<<4) + 1 }

// A directory is what a host knows of its cluster; mint counts from 1.
type directory struct {
	state uint8
	nonce nonce
	mint  uint8
}

// A host has a directory and what it holds of it in memory, which differ if it binds itself in memory only.
type host struct {
	up, list  uint8
	life      uint8 // how often its directory was emptied: what an incarnation stands for
	disk, dir directory
	answers   [hosts]uint8 // of a minter: the life of each host that answered as it should, plus 1
	unsaved   uint8        // a mint that was told and not saved: without mintDurable
	starts    uint8
}

// A mint names a founding and the life of each of its hosts, plus 1; 0: not named.
type mint struct {
	nonce nonce
	lives [hosts]uint8
}

// state is all hosts and all that was ever sent: a request or a mint may arrive at any time, or never.
type state struct {
	h     [hosts]host
	asked [maxLists]uint64 // bit n: the minter of the list asked in the name of nonce n
	mints [maxMints]mint
	n     uint8 // mints

	kills, wipes uint8
}

// Init is hosts whose directories are empty, and that do not run.
func (m *model) Init() state { return state{} }

// save makes d what a host knows, on disk as well.
func (h *host) save(d directory) { h.dir, h.disk = d, d }

// bind ties an empty host to a founding.
func (m *model) bind(h *host, n nonce) {
	h.dir = directory{state: bound, nonce: n}
	if m.r.bindDurable {
		h.disk = h.dir
	}
}

// stop ends a process: what was only in memory is gone.
func (h *host) stop() {
	h.up, h.list, h.unsaved = 0, 0, 0
	h.dir = h.disk
	h.answers = [hosts]uint8{}
}

// founding is the nonce that a minter asks in the name of; 0: it is none, or may not.
func (m *model) founding(s *state, id int) nonce {
	h := &s.h[id]
	if h.up == 0 || int(h.list) != id || h.dir.state == founded || h.unsaved != 0 {
		return 0
	}
	own := m.own(h, h.list)
	if h.dir.state == bound && h.dir.nonce != own {
		if m.r.ownNonce {
			return 0
		}
		return h.dir.nonce
	}
	return own
}

func (m *model) own(h *host, list uint8) nonce {
	var draw uint8
	if !m.r.nonceKept {
		draw = h.starts
	}
	return makeNonce(list, m.incarnation(h.life), draw)
}

// incarnation is what others can tell of a life.
func (m *model) incarnation(life uint8) uint8 {
	if m.r.incarnation {
		return life
	}
	return 0
}

// broken says which property does not hold.
func (s *state) broken() string {
	var cluster uint8
	for id := range s.h {
		d := &s.h[id].disk
		if d.state != founded {
			continue
		}
		if s.mints[d.mint-1].lives[id] != s.h[id].life+1 {
			return "A VOTE OF ANOTHER LIFE: a host is in a cluster that does not know this directory"
		}
		if cluster != 0 && cluster != d.mint {
			return "TWO CLUSTERS"
		}
		cluster = d.mint
	}
	return ""
}

// Encode appends all of the state: hosts are not interchangeable, some may be minters.
func (m *model) Encode(s *state, b []byte) []byte {
	for i := range s.h {
		h := &s.h[i]
		b = append(b, h.up, h.list, h.life, h.unsaved, h.starts)
		b = append(b, h.disk.state, uint8(h.disk.nonce), h.disk.mint, h.dir.state, uint8(h.dir.nonce), h.dir.mint)
		b = append(b, h.answers[:]...)
	}
	for _, a := range s.asked {
		for i := range 8 {
			b = append(b, uint8(a>>(8*i)))
		}
	}
	for _, t := range s.mints[:s.n] {
		b = append(append(b, uint8(t.nonce)), t.lives[:]...)
	}
	return append(b, s.kills, s.wipes)
}
