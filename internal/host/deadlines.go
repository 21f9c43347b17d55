package host

import (
	"container/heap"
	"time"
)

// deadlines orders the groups by when they want the clock: one timer serves them all.
type deadlines struct{ heap []*group }

// set moves g to its new deadline; 0: none.
func (d *deadlines) set(g *group, at time.Duration) {
	g.deadline = at
	h := (*deadlineHeap)(d)
	switch {
	case at == 0 && g.place > 0:
		heap.Remove(h, g.place-1)
	case at == 0:
	case g.place > 0:
		heap.Fix(h, g.place-1)
	default:
		heap.Push(h, g)
	}
}

// next is the earliest deadline; 0: none.
func (d *deadlines) next() time.Duration {
	if len(d.heap) == 0 {
		return 0
	}
	return d.heap[0].deadline
}

// due takes out a group whose deadline has come; nil: none.
func (d *deadlines) due(now time.Duration) *group {
	if len(d.heap) == 0 || d.heap[0].deadline > now {
		return nil
	}
	g := d.heap[0]
	d.set(g, 0)
	return g
}

// deadlineHeap is deadlines as container/heap wants it; a group's place is its position plus one.
type deadlineHeap deadlines

func (d *deadlineHeap) Len() int           { return len(d.heap) }
func (d *deadlineHeap) Less(i, j int) bool { return d.heap[i].deadline < d.heap[j].deadline }

func (d *deadlineHeap) Swap(i, j int) {
	d.heap[i], d.heap[j] = d.heap[j], d.heap[i]
	d.heap[i].place, d.heap[j].place = i+1, j+1
}

func (d *deadlineHeap) Push(x any) {
	g := x.(*group)
	d.heap = append(d.heap, g)
	g.place = len(d.heap)
}

func (d *deadlineHeap) Pop() any {
	last := len(d.heap) - 1
	g := d.heap[last]
	d.heap[last] = nil
	d.heap = d.heap[:last]
	g.place = 0
	return g
}
