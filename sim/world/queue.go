package world

// An event happens once at its time. It is embedded in what it concerns, so that scheduling
// allocates nothing, and may be scheduled again once it has happened or is cancelled.
type event struct {
	seq  uint64
	pos  int32 // index in the heap, or one of the places below
	kind uint8 // what fire is told
	act  actor
}

type actor interface{ fire(kind uint8) }

// Places of an event outside the heap.
const (
	nowhere int32 = -1 - iota
	inReady
	inHeld // of a paused host
)

// A slot is a scheduled event with its key beside it: comparing keys touches one array only.
type slot struct {
	at  int64
	seq uint64
	e   *event
}

func (a *slot) before(b *slot) bool {
	return a.at < b.at || a.at == b.at && a.seq < b.seq
}

// queue orders events by (time, sequence). What is due now goes to a plain list instead of the
// heap. That keeps the order: an event in the heap for the present moment was scheduled before
// the moment came, hence before everything in the list.
type queue struct {
	now   int64
	seq   uint64
	heap  []slot
	ready []slot
	head  int // of ready
}

func (q *queue) schedule(e *event, at int64) {
	if e.pos != nowhere {
		panic("world: an event is scheduled twice")
	}
	q.seq++
	e.seq = q.seq
	if at <= q.now {
		e.pos = inReady
		q.ready = append(q.ready, slot{q.now, e.seq, e})
		return
	}
	q.heap = append(q.heap, slot{})
	q.up(len(q.heap)-1, slot{at, e.seq, e})
}

// cancel takes e back, if it is scheduled, and says whether it was.
func (q *queue) cancel(e *event) bool {
	if e.pos == nowhere {
		return false
	}
	if e.pos >= 0 {
		q.remove(int(e.pos))
	}
	e.pos = nowhere // a list's slot that disagrees with its event is skipped
	return true
}

// next takes out the first event due by limit and moves time to it. nil: there is none.
func (q *queue) next(limit int64) *event {
	for {
		if len(q.heap) > 0 && q.heap[0].at <= q.now {
			break
		}
		if q.head < len(q.ready) {
			s := q.ready[q.head]
			q.ready[q.head].e = nil
			q.head++
			if q.head == len(q.ready) {
				q.ready, q.head = q.ready[:0], 0
			}
			if s.e.pos != inReady || s.e.seq != s.seq {
				continue // cancelled, perhaps scheduled anew
			}
			s.e.pos = nowhere
			return s.e
		}
		if len(q.heap) == 0 || q.heap[0].at > limit {
			return nil
		}
		q.now = q.heap[0].at
	}
	e := q.heap[0].e
	q.remove(0)
	e.pos = nowhere
	return e
}

// shuffle lets one of the first ready events go first instead of the oldest. pick draws below n.
func (q *queue) shuffle(pick func(n int) int) {
	if n := len(q.ready) - q.head; n > 1 {
		i := q.head + pick(min(n, 8))
		q.ready[q.head], q.ready[i] = q.ready[i], q.ready[q.head]
	}
}

func (q *queue) remove(i int) {
	last := len(q.heap) - 1
	s := q.heap[last]
	q.heap[last].e = nil
	q.heap = q.heap[:last]
	if i == last {
		return
	}
	if i > 0 && s.before(&q.heap[(i-1)/4]) {
		q.up(i, s)
	} else {
		q.down(i, s)
	}
}

func (q *queue) up(i int, s slot) {
	for i > 0 {
		parent := (i - 1) / 4
		if !s.before(&q.heap[parent]) {
			break
		}
		q.heap[i] = q.heap[parent]
		q.heap[i].e.pos = int32(i)
		i = parent
	}
	q.heap[i] = s
	s.e.pos = int32(i)
}

func (q *queue) down(i int, s slot) {
	for {
		least, first := -1, 4*i+1
		for c := first; c < min(first+4, len(q.heap)); c++ {
			if least < 0 || q.heap[c].before(&q.heap[least]) {
				least = c
			}
		}
		if least < 0 || !q.heap[least].before(&s) {
			break
		}
		q.heap[i] = q.heap[least]
		q.heap[i].e.pos = int32(i)
		i = least
	}
	q.heap[i] = s
	s.e.pos = int32(i)
}
