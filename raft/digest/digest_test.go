package digest

import "testing"

// The vectors are those that the reference implementation prints for these inputs.
func TestSumMatchesReferenceVectors(t *testing.T) {
	for _, c := range []struct {
		in   string
		want uint64
	}{
		{"", 0xef46db3751d8e999},
		{"a", 0xd24ec4f1a98c6e5b},
		{"as", 0x1c330fb2d66be179},
		{"asd", 0x631c37ce72a97393},
		{"asdf", 0x415872f599cea71e},
		{"Call me Ishmael. Some years ago--never mind how long precisely-", 0x02a2e85470d6fd96},
	} {
		if got := Sum([]byte(c.in)); got != c.want {
			t.Errorf("Sum(%q) = %016x, want %016x", c.in, got, c.want)
		}
	}
}
