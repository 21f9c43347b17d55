package main

// broken compares a scan with what the writer did. A scan is a piece of what was written, in order: it
// begins at or before what was given up on purpose and contains everything acknowledged; it says rot only
// if a block rotted.
func (s *state) broken(r *scanned) string {
	if r.rot {
		if s.rots == 0 {
			return "FALSE ROT: no block rotted, yet the scan says rot"
		}
		return ""
	}
	if r.n == 0 {
		if s.must > s.dropped {
			return s.lost()
		}
		return ""
	}
	first, ok := s.firstOf(r)
	if !ok || first > s.dropped || !s.holds(r, first) {
		return "NOT A PREFIX: the scan returns batches that were cut, or out of order"
	}
	if first+r.n < s.must {
		return s.lost()
	}
	return ""
}

// holds says whether the writer's log continues from first as the scan does.
func (s *state) holds(r *scanned, first uint8) bool {
	if first+r.n > s.nlog {
		return false
	}
	for i := range r.n {
		if s.log[first+i] != r.ids[i] {
			return false
		}
	}
	return true
}

// firstOf finds where a scan begins in the writer's log.
func (s *state) firstOf(r *scanned) (uint8, bool) {
	for x := range s.nlog {
		if s.log[x] == r.ids[0] {
			return x, true
		}
	}
	return 0, false
}

const lostToRot = "LOST to rot, unflagged"

func (s *state) lost() string {
	if s.rots > 0 {
		return lostToRot
	}
	return "LOST: an acknowledged batch is missing, unflagged"
}

// remainder is the stated limit: rot struck a batch that nothing promised yet.
func (s *state) remainder(r *scanned) bool { return s.rotData == 1 && r.prom <= s.rotPos }
