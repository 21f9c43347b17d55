package explore

import (
	"flag"
	"fmt"
	"os"
	"strings"
)

// A Case is one exploration and what it must find. Breaks is how the property begins that must break, as a
// rule is off; empty: none may, as all are on. States, if it is not 0, is how many states there must be: a
// model that loses a step or a fault would hold for want of asking.
type Case struct {
	Name   string
	Bounds any
	Breaks string
	States uint64
	Size   Size
	Run    func(limit int) Result
}

// Size says when a case is explored.
type Size uint8

// Small cases are for tests and for the command, wide ones for the command, deep ones for -deep.
const (
	Small Size = iota
	Wide
	Deep
)

// A Design makes cases of rules R, which are all on in it: Explore visits, within bounds B, what rules let
// happen.
type Design[R, B any] struct {
	Rules   R
	Explore func(r R, b B, limit int) Result
}

// Holds is a case that must find nothing, in so many states; 0: any number.
func (d Design[R, B]) Holds(name string, b B, states uint64, size Size) Case {
	return Case{Name: "rules: " + name, Bounds: b, States: states, Size: size, Run: func(limit int) Result {
		return d.Explore(d.Rules, b, limit)
	}}
}

// Without is a case that switches off a rule, or one and what covers for it, and so must break what begins
// with breaks.
func (d Design[R, B]) Without(name, breaks string, off func(*R), b B, size Size) Case {
	r := d.Rules
	off(&r)
	return Case{Name: "mutant: " + name, Bounds: b, Breaks: breaks, Size: size, Run: func(limit int) Result {
		return d.Explore(r, b, limit)
	}}
}

// Verify explores the small ones of the cases, as tests do, and says which of them find something else than
// they must, with their counterexamples.
func Verify(limit int, cases []Case) (wrong []error) {
	for i := range cases {
		if c := &cases[i]; c.Size == Small {
			if err := c.differs(c.Run(limit)); err != nil {
				wrong = append(wrong, err)
			}
		}
	}
	return wrong
}

// differs says how a result is another than c must give.
func (c *Case) differs(res Result) error {
	if c.Breaks == "" && res.Complete && (c.States == 0 || c.States == res.States) ||
		c.Breaks != "" && strings.HasPrefix(res.Bad, c.Breaks) {
		return nil
	}
	var b strings.Builder
	if err := res.Explain(&b); err != nil {
		return err
	}
	want := fmt.Sprintf("%d states", c.States)
	if c.Breaks != "" {
		want = c.Breaks
	}
	return fmt.Errorf("%s (%+v): %s; to be found: %s\n%s", c.Name, c.Bounds, res, want, b.String())
}

// print explores c, prints what it found, and says whether it had to.
func (c *Case) print(limit int) bool {
	res := c.Run(limit)
	err := c.differs(res)
	word := "BROKEN"
	switch {
	case err == nil && c.Breaks == "":
		word = "ok    "
	case err == nil:
		word = "CAUGHT"
	case res.Bad == "":
		word = "MISSED"
	}
	fmt.Printf("%s %s (%+v): %s\n", word, c.Name, c.Bounds, res)
	return res.Explain(os.Stdout) == nil && err == nil
}

// Main is the command of a model: it explores the cases, prints what each found, and ends with 1 if one of
// them found anything else than it must. limit is how many states one exploration may have, unless -max says
// otherwise.
func Main(limit int, cases []Case) {
	flag.IntVar(&limit, "max", limit, "states of one exploration at most")
	only := flag.String("only", "", "run only what contains this")
	deep := flag.Bool("deep", false, "the large bounds too")
	flag.Parse()
	ok := true
	for i := range cases {
		if c := &cases[i]; strings.Contains(c.Name, *only) && (*deep || c.Size < Deep) {
			ok = c.print(limit) && ok
		}
	}
	if !ok {
		os.Exit(1)
	}
}
