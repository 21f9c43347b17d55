package main

// holeAmongFive: E leads term 1; A took its entry 1 and acknowledged it, then lost the payload. A is now a candidate in
// term 2 with the votes of B and C; D is still in term 1.
func holeAmongFive(s *state) {
	for i := range 5 {
		r := &s.r[i]
		r.base.term, r.base.vote = 2, 0
		if i >= 3 {
			r.base.term, r.base.vote = 1, 4
		}
	}
	s.led = 1 << 1
	s.sent[1][0], s.nsent[1] = makeEntry(1, normal, 0), 1
	for _, i := range []int{0, 4} {
		s.r[i].base.log[0], s.r[i].base.n = makeEntry(1, normal, 0), 1
	}
	s.r[0].base.holes = 1
	s.r[0].role, s.r[0].votes = candidate, 7
	s.r[4].role = leader
	s.r[4].match[0] = 1
}

// staleLeaderOfFive: A leads term 1 and knows no better; all hold its entry. B leads term 2 (votes C, D), its entry is
// durable on B, and on E without a promise.
func staleLeaderOfFive(s *state) {
	one, two := makeEntry(1, normal, 0), makeEntry(2, normal, 0)
	for i := range 5 {
		r := &s.r[i]
		r.base.term, r.base.vote = 1, nobody
		r.base.log[0], r.base.n = one, 1
		if i >= 1 && i <= 3 {
			r.base.term, r.base.vote = 2, 1
		}
	}
	s.led = 1<<1 | 1<<2
	s.committed[0], s.committedIn[0], s.ncommitted = one, 1, 1
	s.r[0].role = leader
	s.r[1].role = leader
	s.r[1].base.log[1], s.r[1].base.n = two, 2
	s.sent[1][0], s.nsent[1] = one, 1
	s.sent[2][0], s.sent[2][1], s.nsent[2] = one, two, 2
	s.r[4].tail[0], s.r[4].nt = batch{term: 2, cand: nobody, idx: 2, ent: two, synced: 1}, 1
	s.r[1].match[4] = 2
}
