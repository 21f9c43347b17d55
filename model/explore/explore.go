package explore

import "time"

// An Act names a step: what is done, and two small arguments.
type Act struct{ Op, A, B uint8 }

// A Model is a system of states S and of steps between them. Next gives out the successors of a state,
// always in the same order. Encode appends what tells a state from others: equal bytes for states that are
// equal up to symmetry. Label and Show are for readers of a trace. S is copied by assignment: it holds no
// pointers.
type Model[S any] interface {
	Init() S
	Next(s *S, out *Out[S])
	Encode(s *S, buf []byte) []byte
	Label(a Act) string
	Show(s *S) string
}

// Out takes the successors of one state.
type Out[S any] struct {
	step func(n *S, bad string, a Act)
}

// Step gives out the successor n, which is copied. bad says which property it breaks; empty: none.
func (o *Out[S]) Step(n *S, bad string, a Act) { o.step(n, bad, a) }

// Run explores m until all is visited, a property breaks, or there are more than limit states. visit, if
// it is not nil, sees every new state once and may say which property it breaks: that is for what no
// single step can tell.
func Run[S any](m Model[S], limit int, visit func(s *S) string) Result {
	start := time.Now()
	x := &search[S]{model: m, limit: limit, visit: visit, seen: newSet()}
	x.all()
	x.res.Complete = x.res.Bad == "" && !x.full()
	x.res.States = uint64(len(x.origins))
	x.res.Took = time.Since(start)
	return x.res
}

// A search is one exploration under way. origins says how each state, by its id, was first reached; the
// first state has id 0.
type search[S any] struct {
	model   Model[S]
	limit   int
	visit   func(s *S) string
	seen    *set
	origins []origin
	next    []reached[S]
	buf     []byte
	res     Result
}

// An origin is the state that another came from, and which of its steps led there.
type origin struct{ parent, ord uint32 }

// A reached state is one whose steps are not taken yet.
type reached[S any] struct {
	state S
	id    uint32
}

func (x *search[S]) full() bool { return len(x.origins) > x.limit }

// all visits one level after the other: all states at one distance from the first.
func (x *search[S]) all() {
	first := x.model.Init()
	x.seen.add(fingerprint(x.model.Encode(&first, nil)))
	x.origins = []origin{{}}
	if x.visit != nil {
		x.res.Bad = x.visit(&first)
	}
	level := []reached[S]{{first, 0}}
	for len(level) > 0 && x.res.Bad == "" {
		for i := range level {
			x.expand(&level[i])
			if x.res.Bad != "" || x.full() {
				break
			}
		}
		if x.full() {
			return
		}
		level, x.next = x.next, level[:0]
		if len(level) > 0 {
			x.res.Depth++
		}
	}
}

// expand takes all steps from one state.
func (x *search[S]) expand(from *reached[S]) {
	var ord uint32
	x.model.Next(&from.state, &Out[S]{func(n *S, bad string, _ Act) {
		o := origin{from.id, ord}
		ord++
		if x.res.Bad == "" {
			x.res.Steps++
			x.arrive(n, bad, o)
		}
	}})
}

// arrive keeps a state that is new.
func (x *search[S]) arrive(n *S, bad string, o origin) {
	if bad != "" {
		x.fail(bad, o)
		return
	}
	x.buf = x.model.Encode(n, x.buf[:0])
	if !x.seen.add(fingerprint(x.buf)) {
		return
	}
	id := uint32(len(x.origins))
	x.origins = append(x.origins, o)
	if x.visit != nil {
		if bad := x.visit(n); bad != "" {
			x.fail(bad, o)
			return
		}
	}
	x.next = append(x.next, reached[S]{*n, id})
}

// fail ends the search and tells the way to the state that broke a property.
func (x *search[S]) fail(bad string, o origin) {
	x.res.Bad = bad
	steps := []uint32{o.ord}
	for id := o.parent; id != 0; id = x.origins[id].parent {
		steps = append(steps, x.origins[id].ord)
	}
	s := x.model.Init()
	for i := len(steps) - 1; i >= 0; i-- {
		var ord uint32
		var n S
		var act Act
		x.model.Next(&s, &Out[S]{func(c *S, _ string, a Act) {
			if ord == steps[i] {
				n, act = *c, a
			}
			ord++
		}})
		s = n
		x.res.Trace = append(x.res.Trace, Taken{x.model.Label(act), x.model.Show(&s)})
	}
}
