package host

import (
	"container/heap"
	"time"
)

// deadlines orders the groups by when they want the clock: one timer serves them all. A deadline that is put
// off leaves its slot where it is, until that comes: most are put off, by a heartbeat or an entry, long before.
type deadlines struct{ heap []slot }

// slot says when a group is looked at: at its deadline, or before.
type slot struct {
	at time.Duration
	g  *group
}

// set moves g to its new deadline; 0: none.
func (d *deadlines) set(g *group, at time.Duration) {
	g.deadline = at
	h := (*deadlineHeap)(d)
	switch {
	case at == 0: // its slot, if it has one, goes when it comes
	case g.place == 0:
		heap.Push(h, g)
	case at < d.heap[g.place-1].at:
		d.heap[g.place-1].at = at
		heap.Fix(h, g.place-1)
	}
}

// next is when to look for groups that are due: at the earliest deadline, or before; 0: never.
func (d *deadlines) next() time.Duration {
	if len(d.heap) == 0 {
		return 0
	}
	return d.heap[0].at
}

// due takes out a group whose deadline has come; nil: none.
func (d *deadlines) due(now time.Duration) *group {
	h := (*deadlineHeap)(d)
	for len(d.heap) > 0 && d.heap[0].at <= now {
		g := d.heap[0].g
		if g.deadline > now {
			d.heap[0].at = g.deadline
			heap.Fix(h, 0)
			continue
		}
		heap.Pop(h)
		if g.deadline != 0 {
			g.deadline = 0
			return g
		}
	}
	return nil
}

// deadlineHeap is deadlines as container/heap wants it; a group's place is its slot's position plus one.
type deadlineHeap deadlines

func (d *deadlineHeap) Len() int           { return len(d.heap) }
func (d *deadlineHeap) Less(i, j int) bool { return d.heap[i].at < d.heap[j].at }

func (d *deadlineHeap) Swap(i, j int) {
	d.heap[i], d.heap[j] = d.heap[j], d.heap[i]
	d.heap[i].g.place, d.heap[j].g.place = i+1, j+1
}

func (d *deadlineHeap) Push(x any) {
	g := x.(*group)
	d.heap = append(d.heap, slot{g.deadline, g})
	g.place = len(d.heap)
}

func (d *deadlineHeap) Pop() any {
	last := len(d.heap) - 1
	g := d.heap[last].g
	d.heap[last] = slot{}
	d.heap = d.heap[:last]
	g.place = 0
	return g
}
