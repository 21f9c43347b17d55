package explore

import "slices"

// Orders are all orders of n things, the one in which they are first.
func Orders(n int) (orders [][]uint8) {
	var rest func(p []uint8)
	rest = func(p []uint8) {
		if len(p) == n {
			orders = append(orders, slices.Clone(p))
			return
		}
		for i := range uint8(n) {
			if !slices.Contains(p, i) {
				rest(append(slices.Clip(p), i))
			}
		}
	}
	rest(nil)
	return orders
}

// Least appends the least of the encodings in these orders to buf: equal bytes for states that differ only in
// the numbers of what is interchangeable. encode appends the state to the bytes it is given, with the things
// in order p: p[k] stands at place k.
func Least(orders [][]uint8, buf []byte, encode func(p []uint8, b []byte) []byte) []byte {
	start := len(buf)
	var tmp [512]byte
	for i, p := range orders {
		e := encode(p, tmp[:0])
		if i == 0 || slices.Compare(e, buf[start:]) < 0 {
			buf = append(buf[:start], e...)
		}
	}
	return buf
}

// Places say where each of at most eight things stands in an order.
type Places [8]uint8

// PlacesOf gives the places in order p, as Least gives it.
func PlacesOf(p []uint8) (at Places) {
	for k, id := range p {
		at[id] = uint8(k)
	}
	return at
}

// Mask is a set of things of the order, a bit for each, as a set of their places.
func (at *Places) Mask(bits uint8) (n uint8) {
	for id, place := range at {
		n |= bits >> id & 1 << place
	}
	return n
}

// Letter names the thing of a number in what is shown: A is the first.
func Letter(id uint8) string { return string('A' + rune(id)) }
