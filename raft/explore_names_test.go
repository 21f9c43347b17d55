package raft

import (
	"encoding/binary"
	"reflect"
	"slices"
	"strings"

	"github.com/lockstep-rsm/lockstep/raft/digest"
)

// The explorer knows a state again by its name: digests of what it holds, but for the time and the names of
// replicas, which are taken in every order.

// names of a part of a state, by renaming.
type names [6]string

// name of a state, with its replicas renamed in the k-th way.
func (x *exploration) name(s *state, k int) [2]uint64 {
	as := x.renamings[k]
	x.buf = x.buf[:0]
	x.encode(reflect.ValueOf(s.left), as)
	x.encode(reflect.ValueOf(s.seen), as)
	var hosts, links []string
	for i, h := range s.w.hosts {
		hosts = append(hosts, x.part(&s.hostNames[i], k, func() {
			x.encode(reflect.ValueOf(h.self.Replica), as)
			x.encode(reflect.ValueOf(h.r).Elem(), as)
			x.encode(reflect.ValueOf(&h.disk).Elem(), as)
			x.encode(reflect.ValueOf(&h.queue).Elem(), as)
		}))
	}
	for i := range s.links {
		if len(s.links[i]) > 0 { // its messages say which link it is
			links = append(links, x.part(&s.linkNames[i], k, func() { x.encode(reflect.ValueOf(&s.links[i]).Elem(), as) }))
		}
	}
	for _, parts := range [...][]string{hosts, links} {
		slices.Sort(parts)
		for _, p := range parts {
			x.buf = append(x.buf, p...)
		}
	}
	return [2]uint64{digest.Sum(x.buf), digest.Sum(append(x.buf, 'x'))}
}

// part is the name of one host or link, as two digests; found once for each of its states.
func (x *exploration) part(known **names, k int, encode func()) string {
	if *known == nil {
		*known = new(names)
	}
	if (*known)[k] == "" {
		outer := x.buf
		x.buf = x.inner[:0]
		encode()
		b := digest.PutUint64(nil, digest.Sum(x.buf))
		(*known)[k] = string(digest.PutUint64(b, digest.Sum(append(x.buf, 'x'))))
		x.inner, x.buf = x.buf, outer
	}
	return (*known)[k]
}

// sorted appends n parts in the order of their bytes.
func (x *exploration) sorted(n int, part func(i int)) {
	start := len(x.buf)
	var parts []string
	for i := range n {
		at := len(x.buf)
		part(i)
		parts = append(parts, string(x.buf[at:]))
	}
	slices.Sort(parts)
	x.buf = x.buf[:start]
	for _, p := range parts {
		x.buf = binary.AppendUvarint(x.buf, uint64(len(p)))
		x.buf = append(x.buf, p...)
	}
}

// timeless are fields of which nothing but the time, chance or the past is to be known.
var timeless = func() map[string]bool {
	m := map[string]bool{}
	for _, f := range strings.Fields("Replica.o Replica.now Replica.wall Replica.rand Replica.clock Replica.electionAt Replica.resendAt " +
		"Replica.contact Replica.heartbeatAt Replica.asked Replica.scratch Replica.former Replica.ready Replica.rest reads.serial " +
		"Replica.preference Replica.patience reads.latest pendingSave.at progress.trip progress.tripRound progress.tripAt progress.timeout marker.at progress.heard progress.probeAt progress.goalAt progress.retryAt progress.fullAt Replica.fullAt Identity.Time") {
		m[f] = true
	}
	return m
}()

func (x *exploration) fieldsOf(t reflect.Type) []int {
	fields, ok := x.fields[t]
	if !ok {
		for i := range t.NumField() {
			if !timeless[t.Name()+"."+t.Field(i).Name] {
				fields = append(fields, i)
			}
		}
		x.fields[t] = fields
	}
	return fields
}

// encode appends v with replicas renamed. What is a set has no order.
func (x *exploration) encode(v reflect.Value, as []ReplicaID) {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			x.buf = append(x.buf, 0)
			return
		}
		x.encode(v.Elem(), as)
	case reflect.Struct:
		for _, i := range x.fieldsOf(v.Type()) {
			x.encode(v.Field(i), as)
		}
	case reflect.Slice:
		x.buf = binary.AppendUvarint(x.buf, uint64(v.Len()))
		switch v.Type().Elem() {
		case reflect.TypeFor[byte](): // a payload: its digest is beside it
		case reflect.TypeFor[Member](), reflect.TypeFor[*progress](), reflect.TypeFor[ballot]():
			x.sorted(v.Len(), func(i int) { x.encode(v.Index(i), as) })
		default:
			for i := range v.Len() {
				x.encode(v.Index(i), as)
			}
		}
	case reflect.Array:
		for i := range v.Len() {
			x.encode(v.Index(i), as)
		}
	case reflect.Bool:
		x.buf = append(x.buf, 0)
		if v.Bool() {
			x.buf[len(x.buf)-1] = 1
		}
	case reflect.Int, reflect.Int64:
		x.buf = binary.AppendVarint(x.buf, v.Int())
	case reflect.String:
		x.buf = append(x.buf, v.String()...)
	case reflect.Interface, reflect.Func:
	default:
		n := v.Uint()
		switch v.Type() {
		case reflect.TypeFor[ReplicaID](), reflect.TypeFor[HostID]():
			n = renamed(n, as)
		case reflect.TypeFor[Incarnation]():
			n = renamed(n-100, as)
		}
		x.buf = binary.AppendUvarint(x.buf, n)
	}
}

func renamed(n uint64, as []ReplicaID) uint64 {
	if n >= 1 && n <= uint64(len(as)) {
		return uint64(as[n-1])
	}
	return n
}
