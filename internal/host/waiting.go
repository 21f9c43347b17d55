package host

import (
	"sort"
	"sync"
	"time"

	"github.com/lockstep-rsm/lockstep/raft"
)

// waiting holds the calls of one group that are in somebody's log, or on the way there. The turn
// puts them in, the lane takes them out as it applies; each side holds the lock for a moment only.
type waiting struct {
	mu       sync.Mutex
	appended []appended       // by this replica as leader, in order of index
	forwards map[uint64]*Call // by sequence; addressed to the leader of a term
	terms    []forwardTerm    // the forwards' terms, in order of sequence
	passed   uint64           // the highest Call.order that was met in an applied entry, or may be in one (H7)
}

// appended are the calls whose commands one entry of this leader carries.
type appended struct {
	term  raft.Term
	index raft.Index
	calls []*Call // of the first commands, by ordinal; nil: ended. The rest are not of this host
}

// forwardTerm says that the sequences from..from+count-1 were addressed to term; open of them wait.
type forwardTerm struct {
	term  raft.Term
	from  uint64
	count uint64
	open  uint64
}

func (w *waiting) addAppended(a appended) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.appended = append(w.appended, a)
	// Leading again after a truncation appends at an index where an older call still waits: which
	// of the two entries commits is open until one is applied. Keep the order of indexes.
	for i := len(w.appended) - 1; i > 0 && w.appended[i-1].index > a.index; i-- {
		w.appended[i-1], w.appended[i] = w.appended[i], w.appended[i-1]
	}
}

func (w *waiting) addForward(term raft.Term, from uint64, calls []*Call) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.forwards == nil {
		w.forwards = make(map[uint64]*Call)
	}
	for i, c := range calls {
		w.forwards[from+uint64(i)] = c
	}
	w.terms = append(w.terms, forwardTerm{term: term, from: from, count: uint64(len(calls)), open: uint64(len(calls))})
}

// takeForwards removes those of the sequences from..from+count-1 that wait: the leader refused them,
// they are in no log. Count is another host's word. Term is the one that the last of them was addressed to.
func (w *waiting) takeForwards(from, count uint64) (term raft.Term, calls []*Call) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range w.terms {
		t := w.terms[i]
		for seq := max(from, t.from); seq < t.from+t.count && seq-from < count; seq++ {
			if c := w.forwards[seq]; c != nil {
				delete(w.forwards, seq)
				w.terms[i].open--
				term, calls = t.term, append(calls, c)
			}
		}
	}
	w.prune()
	return term, calls
}

// after says whether a call that came after order is open, or has been met in an applied entry, or may be in one
// though nobody here will meet it.
func (w *waiting) after(order uint64) (open, passed bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range w.appended {
		for _, c := range a.calls {
			open = open || c != nil && c.order > order
		}
	}
	for _, c := range w.forwards {
		open = open || c.order > order
	}
	return open, w.passed > order
}

// prune forgets the oldest forwards that nobody waits for. The lock is held.
func (w *waiting) prune() {
	for len(w.terms) > 0 && w.terms[0].open == 0 {
		w.terms = w.terms[1:]
	}
}

// takeEntry removes what an applied entry of (term, index) settles: the calls that it carries by
// ordinal, and those that now cannot be in any log, which it returns as dropped.
func (w *waiting) takeEntry(term raft.Term, index raft.Index) (own []*Call, dropped []*Call) {
	w.mu.Lock()
	defer w.mu.Unlock()
	was := w.appended
	for len(w.appended) > 0 {
		a := &w.appended[0]
		if a.index > index {
			break
		}
		if a.index == index && a.term == term {
			own = a.calls
			w.pass(own)
		} else {
			dropped = append(dropped, a.calls...)
		}
		*a = appended{}
		w.appended = w.appended[1:]
	}
	if len(w.appended) == 0 {
		w.appended = was[:0] // its memory serves the next
	}
	dropped = append(dropped, w.takeAppendedBefore(term)...)
	// All entries of a term precede those of later terms: a forward addressed to an earlier
	// term that was not met so far is in no log that can ever commit it (H5).
	for len(w.terms) > 0 && w.terms[0].term < term {
		dropped = append(dropped, w.takeTerm()...)
	}
	return own, dropped
}

// takeAppendedBefore removes what former leaderships of this replica appended further on in the log:
// behind an entry of a later term there is none of theirs. The lock is held.
func (w *waiting) takeAppendedBefore(term raft.Term) (calls []*Call) {
	kept := w.appended[:0]
	for _, a := range w.appended {
		if a.term < term {
			calls = append(calls, a.calls...)
		} else {
			kept = append(kept, a)
		}
	}
	clear(w.appended[len(kept):])
	w.appended = kept
	return calls
}

// takeTerm removes the oldest forwardTerm and gives the calls that are still open. The lock is held.
func (w *waiting) takeTerm() (calls []*Call) {
	t := w.terms[0]
	w.terms = w.terms[1:]
	for seq := t.from; seq < t.from+t.count; seq++ {
		if c := w.forwards[seq]; c != nil {
			delete(w.forwards, seq)
			calls = append(calls, c)
		}
	}
	return calls
}

// takeForward removes one forwarded call, met in an applied entry.
func (w *waiting) takeForward(seq uint64) *Call {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.forwards[seq]
	if c == nil {
		return nil
	}
	delete(w.forwards, seq)
	i := sort.Search(len(w.terms), func(k int) bool { return w.terms[k].from+w.terms[k].count > seq })
	w.terms[i].open--
	w.pass([]*Call{c})
	w.prune()
	return c
}

// pass notes calls that stand in the log that is executed, or may. The lock is held.
func (w *waiting) pass(calls []*Call) {
	for _, c := range calls {
		if c != nil {
			w.passed = max(w.passed, c.order)
		}
	}
}

// takeSkipped removes what a snapshot through (term, index) passed over: nobody can tell any more (H5).
func (w *waiting) takeSkipped(term raft.Term, index raft.Index) (skipped []*Call) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.appended) > 0 && w.appended[0].index <= index {
		skipped = append(skipped, w.appended[0].calls...)
		w.appended = w.appended[1:]
	}
	for len(w.terms) > 0 && w.terms[0].term <= term {
		skipped = append(skipped, w.takeTerm()...)
	}
	w.pass(skipped)
	return skipped
}

// takeAll removes every call: the replica stops.
func (w *waiting) takeAll() (calls []*Call) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range w.appended {
		calls = append(calls, a.calls...)
	}
	w.appended = nil
	for len(w.terms) > 0 {
		calls = append(calls, w.takeTerm()...)
	}
	w.pass(calls)
	return calls
}

// expire claims the calls whose deadline has passed, in order of arrival, and forgets those that have
// ended, which may commit yet. Open says whether others wait. The lane may be about to take any of them: once it has, a call
// may be used for another command, so that they are claimed under the lock.
func (w *waiting) expire(now time.Duration) (expired []*Call, open bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	look := func(c *Call) (done bool) {
		switch {
		case c.Done():
			w.pass([]*Call{c})
			return true
		case c.deadline == 0 || c.deadline > now:
			open = true
		case c.claim():
			expired = append(expired, c)
		}
		return false
	}
	for _, a := range w.appended {
		for i, c := range a.calls {
			if c != nil && look(c) {
				a.calls[i] = nil // the entry still waits to be met
			}
		}
	}
	for i := range w.terms {
		t := &w.terms[i]
		for seq := t.from; t.open > 0 && seq < t.from+t.count; seq++ {
			if c := w.forwards[seq]; c != nil && look(c) {
				delete(w.forwards, seq)
				t.open--
			}
		}
	}
	w.prune()
	return expired, open
}

func failAll(calls []*Call, fault *Fault) {
	for _, c := range calls {
		if c != nil {
			c.fail(fault)
		}
	}
}
