package bench

import (
	"fmt"
	"math"
)

// A Change is one row in two reports: how many times the first's number the second's is.
type Change struct {
	Row   string  `json:"row"`
	Rate  float64 `json:"ops_per_second"`
	P50   float64 `json:"p50"`
	P99   float64 `json:"p99"`
	CPU   float64 `json:"cpu_per_op"`
	Moved string  `json:"moved"` // a sentence; empty: within the tolerance
}

// A Comparison is what changed between two reports.
type Comparison struct {
	Floor   Floor    `json:"floor"`   // how many times the first's
	Machine string   `json:"machine"` // a sentence if the machine itself changed
	Changes []Change `json:"rows"`
	Only    []string `json:"only"` // rows that one of them lacks
}

// Compare sets two reports side by side. What moved by less than the tolerance, a share such as 0.1,
// is not spoken of.
func Compare(a, b *Report, tolerance float64) Comparison {
	c := Comparison{Floor: Floor{Write: times(a.Floor.Write, b.Floor.Write), Read: times(a.Floor.Read, b.Floor.Read)}, Changes: []Change{}, Only: []string{}}
	switch {
	case a.Log != b.Log:
		c.Machine = fmt.Sprintf("the first wrote its log with %s, the second with %s", a.Log, b.Log)
	case moved(c.Floor.Write, tolerance):
		c.Machine = fmt.Sprintf("the floor of a write is %.2f times what it was: machine or disk changed, or others use them", c.Floor.Write)
	}
	type key struct {
		op            string
		clients, size int
	}
	keyOf := func(r *Row) key { return key{r.Op, r.Clients, r.Size} }
	second := map[key]*Row{}
	for i := range b.Rows {
		second[keyOf(&b.Rows[i])] = &b.Rows[i]
	}
	for i := range a.Rows {
		was := &a.Rows[i]
		is, ok := second[keyOf(was)]
		if !ok {
			c.Only = append(c.Only, "the first: "+was.Name())
			continue
		}
		delete(second, keyOf(was))
		c.Changes = append(c.Changes, changeOf(was, is, tolerance))
	}
	for i := range b.Rows {
		if second[keyOf(&b.Rows[i])] != nil {
			c.Only = append(c.Only, "the second: "+b.Rows[i].Name())
		}
	}
	return c
}

func changeOf(was, is *Row, tolerance float64) Change {
	c := Change{Row: was.Name(), Rate: times(was.Rate, is.Rate), P50: times(was.P50, is.P50), P99: times(was.P99, is.P99), CPU: times(was.CPU, is.CPU)}
	for _, of := range []struct {
		what         string
		times        float64
		better, word string
	}{
		{"operations per second", c.Rate, "more", "fewer"},
		{"p50", c.P50, "longer", "shorter"},
		{"p99", c.P99, "longer", "shorter"},
		{"processor time per operation", c.CPU, "more", "less"},
	} {
		if !moved(of.times, tolerance) {
			continue
		}
		word := of.better
		if of.times < 1 {
			word = of.word
		}
		if c.Moved != "" {
			c.Moved += ", "
		}
		c.Moved += fmt.Sprintf("%s %.0f %% %s", of.what, math.Abs(of.times-1)*100, word)
	}
	return c
}

func times(a, b float64) float64 {
	if a == 0 {
		return 1
	}
	return b / a
}

// moved says whether a ratio is further from one than the tolerance, either way.
func moved(ratio, tolerance float64) bool {
	return ratio > 1+tolerance || ratio < 1/(1+tolerance)
}
