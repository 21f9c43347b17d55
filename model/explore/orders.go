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
