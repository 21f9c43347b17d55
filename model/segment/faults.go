package main

import "github.com/lockstep-rsm/lockstep/model/explore"

// kill ends the process; the cache lives on.
func (s *state) kill() {
	s.up, s.opening = 0, 0
	s.segs, s.nseg = [maxChain]segment{}, 0
	s.pos, s.synced, s.named, s.stale, s.life = 0, 0, 0, 0, 0
}

// power takes the power away: every block that is not durable is old, new or garbage, each by itself.
func (m *model) power(s *state, o *out) {
	type at struct{ f, b int }
	var loose []at
	total := 1
	for f := range m.b.files {
		for b := range maxBlocks {
			if s.st[f][b] == dirty {
				loose = append(loose, at{f, b})
				total *= 3
			}
		}
	}
	for c := range total {
		n := *s
		for f := range m.b.files {
			n.flush(f, ghost)
		}
		rest := c
		for _, a := range loose {
			switch rest % 3 {
			case 0:
				n.disk[a.f][a.b] = n.cache[a.f][a.b]
			case 1: // old
			case 2:
				n.disk[a.f][a.b] = block{kind: garbage}
			}
			n.cache[a.f][a.b], n.st[a.f][a.b] = n.disk[a.f][a.b], clean
			rest /= 3
		}
		n.kill()
		n.crashes++
		o.Step(&n, "", explore.Act{Op: opPower, A: uint8(c), B: uint8(c >> 8)})
	}
}

// rot makes garbage of one durable block.
func (m *model) rot(s *state, o *out) {
	for f := range m.b.files {
		for b := range maxBlocks {
			x := s.disk[f][b]
			if x.kind != data && x.kind != head || s.st[f][b] != clean {
				continue
			}
			n := *s
			n.rots++
			n.rotPos = x.pos
			if x.kind == data {
				n.rotData = 1
				n.rotPos = x.pos - x.part
			}
			n.disk[f][b] = block{kind: garbage}
			n.cache[f][b] = block{kind: garbage}
			o.Step(&n, "", explore.Act{Op: opRot, A: uint8(f), B: uint8(b)})
		}
	}
}
