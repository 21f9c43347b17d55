package main

import "github.com/lockstep-rsm/lockstep/model/explore"

// Steps.
const (
	opStart = iota
	opAsk
	opHear
	opAnswer
	opMint
	opSave
	opAdopt
	opKill
	opWipe
)

// An emitter gives out the steps of one state.
type emitter struct {
	step func(n *state, bad string, a explore.Act)
}

func (o *emitter) emit(c *state, op uint8, id int, arg uint8) {
	o.step(c, c.broken(), explore.Act{Op: op, A: uint8(id), B: arg})
}

// Next gives out every step of every host.
func (m *model) Next(s *state, out *explore.Out[state]) {
	o := &emitter{out.Step}
	for id := range s.h {
		if s.h[id].up == 1 {
			m.asks(s, id, o)
			m.hears(s, id, o)
			m.mint(s, id, o)
			m.adopts(s, id, o)
		} else {
			m.starts(s, id, o)
		}
		m.fails(s, id, o)
	}
}

// starts runs a host with one of the lists.
func (m *model) starts(s *state, id int, o *emitter) {
	for list := range uint8(m.b.lists) {
		c := *s
		h := &c.h[id]
		h.up, h.list = 1, list
		if !m.r.nonceKept {
			h.starts++
		}
		o.emit(&c, opStart, id, list)
	}
}

// asks has a minter bind itself, and ask the others in the name of its founding.
func (m *model) asks(s *state, id int, o *emitter) {
	n := m.founding(s, id)
	if n == 0 || s.h[id].dir.state == bound && s.asked[id]>>n&1 == 1 {
		return
	}
	c := *s
	if c.h[id].dir.state == empty {
		m.bind(&c.h[id], n)
	}
	c.asked[id] |= 1 << n
	o.emit(&c, opAsk, id, 0)
}

// hears lets a host hear any question that was ever asked. Its answer reaches the minter if that still
// waits for it, or gets lost.
func (m *model) hears(s *state, id int, o *emitter) {
	for list := range m.b.lists {
		for n := nonce(1); n < 64 && id != list; n++ {
			if s.asked[list]>>n&1 == 0 || m.r.sameList && int(s.h[id].list) != list && s.h[id].dir.state != founded {
				continue
			}
			c := *s
			h := &c.h[id]
			if h.dir.state == empty {
				m.bind(h, n)
				o.emit(&c, opHear, id, uint8(list))
			}
			if m.founding(&c, list) == n && m.counts(h, n) && c.h[list].answers[id] != h.life+1 {
				c.h[list].answers[id] = h.life + 1
				o.emit(&c, opAnswer, id, uint8(list))
			}
		}
	}
}

// counts says whether the minter of n is content with the answer of h.
func (m *model) counts(h *host, n nonce) bool {
	if h.dir.state == founded {
		return !m.r.foundedStops
	}
	return h.dir.nonce == n || !m.r.boundToIt
}

// mint makes a cluster of those who answered.
func (m *model) mint(s *state, id int, o *emitter) {
	if h := &s.h[id]; h.unsaved != 0 {
		c := *s
		c.h[id].save(directory{founded, s.mints[h.unsaved-1].nonce, h.unsaved})
		c.h[id].unsaved = 0
		o.emit(&c, opSave, id, 0)
		return
	}
	n := m.founding(s, id)
	if n == 0 || s.h[id].dir.state != bound || s.n == maxMints {
		return
	}
	c := *s
	h := &c.h[id]
	t := mint{n, h.answers}
	t.lives[id] = h.life + 1
	got := 0
	for _, life := range t.lives {
		if life != 0 {
			got++
		}
	}
	if got < hosts && (m.r.everyFounder || got <= hosts/2) {
		return
	}
	c.mints[c.n] = t
	c.n++
	h.answers = [hosts]uint8{}
	if m.r.mintDurable {
		h.save(directory{founded, n, c.n})
	} else {
		h.unsaved = c.n
	}
	o.emit(&c, opMint, id, 0)
}

// adopts lets a host take any mint that it was bound to, from whoever tells it.
func (m *model) adopts(s *state, id int, o *emitter) {
	for i := range s.n {
		c := *s
		if m.adopt(&c, id, i) {
			o.emit(&c, opAdopt, id, i)
		}
	}
}

// adopt has a host take mint i if it is bound to it and named: who is named was bound, so that named alone
// would do.
func (m *model) adopt(s *state, id int, i uint8) bool {
	h, t := &s.h[id], &s.mints[i]
	if h.dir.state != bound || h.dir.nonce != t.nonce {
		return false
	}
	if m.r.named && (t.lives[id] == 0 || m.incarnation(t.lives[id]-1) != m.incarnation(h.life)) {
		return false
	}
	h.save(directory{founded, t.nonce, i + 1})
	h.answers = [hosts]uint8{}
	h.unsaved = 0
	return true
}

// fails kills a process, or empties its directory.
func (m *model) fails(s *state, id int, o *emitter) {
	if s.h[id].up == 1 && int(s.kills) < m.b.kills {
		c := *s
		c.h[id].stop()
		c.kills++
		o.emit(&c, opKill, id, 0)
	}
	if int(s.wipes) < m.b.wipes {
		c := *s
		c.h[id] = host{life: s.h[id].life + 1, starts: s.h[id].starts}
		c.wipes++
		o.emit(&c, opWipe, id, 0)
	}
}

// alive says what is wrong if the founding cannot end any more: without an emptied directory and with one
// list it can, from every state.
func (m *model) alive(s0 *state) string {
	s := *s0
	last := &emitter{func(n *state, _ string, _ explore.Act) { s = *n }}
	for id := range s.h {
		if s.h[id].up == 0 {
			c := s
			m.starts(&c, id, last)
		}
	}
	for _, step := range []func(*state, int, *emitter){m.asks, m.hears, m.mint, m.mint, m.adopts} {
		for id := range s.h {
			c := s
			step(&c, id, last)
		}
	}
	for id := range s.h {
		if s.h[id].disk.state != founded {
			return "DEAD END: the founding cannot end any more"
		}
	}
	return ""
}
