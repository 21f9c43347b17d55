package session

// link makes the value that has it, of, a member of a list.
type link[T any] struct {
	before, after *link[T]
	of            T
}

// list is a doubly linked list of values that carry their links.
type list[T any] struct{ first, last *link[T] }

// push appends e, which is in no list.
func (l *list[T]) push(e *link[T]) {
	e.before, e.after = l.last, nil
	if l.last == nil {
		l.first = e
	} else {
		l.last.after = e
	}
	l.last = e
}

// remove takes e out.
func (l *list[T]) remove(e *link[T]) {
	if e.before == nil {
		l.first = e.after
	} else {
		e.before.after = e.after
	}
	if e.after == nil {
		l.last = e.before
	} else {
		e.after.before = e.before
	}
	e.before, e.after = nil, nil
}
