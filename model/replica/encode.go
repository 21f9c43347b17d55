package main

import "slices"

// permutations are all orders of n replicas.
func permutations(n int) (orders [][maxReplicas]uint8) {
	var rest func(p [maxReplicas]uint8, k int, used uint8)
	rest = func(p [maxReplicas]uint8, k int, used uint8) {
		if k == n {
			orders = append(orders, p)
			return
		}
		for i := range n {
			if used>>i&1 == 0 {
				p[k] = uint8(i)
				rest(p, k+1, used|1<<i)
			}
		}
	}
	rest([maxReplicas]uint8{}, 0, 0)
	return orders
}

// key sorts replicas, so that only those that look alike are tried in several orders.
func (r *replica) key() (k [10]uint8) {
	k[0] = r.flags()
	k[1], k[2], k[3] = r.base.term, r.base.n, r.base.holes
	for i := range r.base.n {
		k[4+i%3] = k[4+i%3]*8 + r.base.log[i].term()
	}
	for i := range r.nt {
		t := &r.tail[i]
		k[7+i] = t.vote | t.copy<<1 | t.synced<<2 | t.bad<<3 | t.term<<4 | t.idx<<7
		k[9] = k[9]*8 + t.idx
	}
	return k
}

func (r *replica) flags() uint8 {
	return r.up | r.boot<<1 | r.head<<2 | r.inc<<3 | r.role<<4 | r.nt<<6
}

// Encode appends the least encoding over all orders of replicas: they are interchangeable.
func (m *model) Encode(s *state, buf []byte) []byte {
	n := m.b.n
	var keys [maxReplicas][10]uint8
	for i := range n {
		keys[i] = s.r[i].key()
	}
	start := len(buf)
	var tmp [400]byte
	first := true
	for _, p := range m.orders { // p[k]: which replica stands at place k
		sorted := true
		for k := 0; k+1 < n && sorted; k++ {
			sorted = slices.Compare(keys[p[k]][:], keys[p[k+1]][:]) <= 0
		}
		if !sorted {
			continue
		}
		e := m.encodeAs(s, newOrder(p, n), tmp[:0])
		if first || slices.Compare(e, buf[start:]) < 0 {
			buf = append(buf[:start], e...)
			first = false
		}
	}
	return buf
}

// An order is which replica stands at each place, and the place of each replica.
type order struct {
	at    [maxReplicas]uint8
	place [8]uint8
}

func newOrder(p [maxReplicas]uint8, n int) *order {
	o := &order{at: p}
	for k := range n {
		o.place[p[k]] = uint8(k)
	}
	o.place[nobody] = nobody
	return o
}

// entry names the target by its place.
func (o *order) entry(e entry) byte {
	if e.kind() == normal {
		return byte(e)
	}
	return byte(makeEntry(e.term(), e.kind(), o.place[e.target()]))
}

// encodeAs appends s with the replicas in order o.
func (m *model) encodeAs(s *state, o *order, b []byte) []byte {
	for k := range m.b.n {
		b = m.encodeReplica(&s.r[o.at[k]], o, b)
	}
	for t := 1; t <= m.b.terms; t++ {
		b = append(b, s.nsent[t])
		for i := range s.nsent[t] {
			b = append(b, o.entry(s.sent[t][i]))
		}
	}
	b = append(b, s.led, s.ncommitted)
	for i := range s.ncommitted {
		b = append(b, o.entry(s.committed[i]), s.committedIn[i])
	}
	return append(b, s.power|s.kills<<4, s.rots|s.rotLasts<<4, s.wipes|s.changes<<4)
}

func (m *model) encodeReplica(r *replica, o *order, b []byte) []byte {
	b = append(b, r.flags(), r.base.term, o.place[r.base.vote], r.base.n, r.base.holes)
	for i := range r.base.n {
		b = append(b, o.entry(r.base.log[i]))
	}
	for i := range r.nt {
		t := &r.tail[i]
		b = append(b, t.vote|t.copy<<1|t.synced<<2|t.bad<<3|t.term<<4|t.loose<<7, o.place[t.cand]|t.idx<<4, o.entry(t.ent))
	}
	switch r.role {
	case candidate:
		var v uint16
		for i := range m.b.n {
			v |= r.votes>>i&1<<o.place[i] | r.votes>>(i+8)&1<<(o.place[i]+8)
		}
		b = append(b, byte(v), byte(v>>8))
	case leader:
		var incs uint8
		for k := range m.b.n {
			b = append(b, r.match[o.at[k]])
			incs |= r.minc >> o.at[k] & 1 << k
		}
		b = append(b, incs)
	}
	return b
}
