package main

// A point is what one peer reached in one round of a row.
type point struct {
	Row     string
	Peer    string
	Round   int
	Foreign float64 // cores that other processes, and the hypervisor, took meanwhile
	Noisy   bool    // Foreign was over the limit in every attempt
	Unable  string  // why the peer cannot do this row; empty: it can
	Values  []value
}

// A value is one measured number; its name tells the unit.
type value struct {
	Name   string
	Number float64
}

func (p *point) add(name string, number float64) {
	p.Values = append(p.Values, value{name, number})
}

// all finds the values of a name: a point may hold several, of things that it repeated.
func (p *point) all(name string) (numbers []float64) {
	for _, v := range p.Values {
		if v.Name == name {
			numbers = append(numbers, v.Number)
		}
	}
	return numbers
}

// number is the median of the values of a name.
func (p *point) number(name string) (float64, bool) {
	all := p.all(name)
	if len(all) == 0 {
		return 0, false
	}
	return median(all), true
}
