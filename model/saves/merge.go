package main

// merge makes one of neighbours that wait, as internal/host.saveQueue does, and says which of the terms and votes that
// wait is the newest; -1: none does.
func (m *model) merge(q *queue) (newest int) {
	var last save
	for i := range q.n {
		if q.saves[i].idle() {
			last = q.saves[i]
		}
	}
	log := q.full && m.b.loose > 0 && q.n > m.b.loose
	var moved messages
	newest = -1
	k := 0
	for i := range q.n {
		s := q.saves[i]
		for ; k > 0 && m.merges(&q.saves[k-1], &s, log, last.seq); k-- {
			p := &q.saves[k-1]
			if m.absorb(&s, p); p.idle() && !s.idle() && p.term == last.term {
				moved.join(&p.told)
			}
		}
		if s.idle() && s.seq == last.seq {
			newest = k
			s.told.join(&moved)
		}
		q.saves[k] = s
		k++
	}
	clear(q.saves[k:])
	q.n = uint8(k)
	return newest
}

// merges says whether s, right behind p, can stand for both; log: be it one with log.
func (m *model) merges(p, s *save, log bool, last uint8) bool {
	log = log && s.state == waits && s.n > 0
	switch {
	case p.state == done:
		return p.n == 0 && p.told == (messages{})
	case p.idle():
		return s.idle() || log && (p.seq < last || !m.r.spared)
	}
	return log && p.state == waits && p.n > 0 && (s.first == p.first+p.n || !m.r.taken && p.first <= s.first && s.first <= p.first+p.n) &&
		(!p.hard || s.hard || !m.r.bothHard)
}

// absorb makes s stand for p as well.
func (m *model) absorb(s, p *save) {
	if s.claims == 0 {
		s.claims, s.claimed = p.claims, p.claimed
	}
	s.through, s.owes = max(s.through, p.through), max(s.owes, p.owes)
	switch {
	case p.state == done:
	case p.idle() && !s.idle():
		if m.r.owed {
			s.owes = max(s.owes, p.seq)
		}
	case p.idle():
		if p.term == s.term {
			s.told.join(&p.told)
		}
		if !m.r.voted {
			s.asVote = 0
		}
	default:
		if !p.hard || s.hard && p.term == s.term {
			s.told.join(&p.told)
		}
		m.concatenate(s, p)
	}
}

// concatenate puts p's entries before those of s.
func (m *model) concatenate(s, p *save) {
	es := p.log
	n := p.n
	for k := range s.n {
		if at := s.first + k - p.first; at >= n {
			es[at] = s.log[k]
			n = at + 1
		}
	}
	s.alone = s.alone || p.alone
	s.first, s.n, s.log = p.first, n, es
}
