package machine_test

import (
	"errors"
	"fmt"

	"github.com/lockstep-rsm/lockstep/machine"
)

// A stock of one thing, from two functions.
func ExampleDefine() {
	type Stock struct{ Pieces int }
	type Take struct{ Pieces int }
	soldOut := &machine.Refusal{Code: 100, Text: "sold out"}
	stock := machine.Define(
		func(s *Stock, c Take, _ *machine.Command) (int, error) {
			if c.Pieces > s.Pieces {
				return 0, soldOut
			}
			s.Pieces -= c.Pieces
			return s.Pieces, nil
		},
		func(s *Stock, _ struct{}) (int, error) { return s.Pieces, nil },
	)

	m, _ := stock.Kind().New(&machine.Place{})
	data, _ := stock.EncodeCommand(Take{1})
	var out machine.Results
	_ = m.Apply([]machine.Command{{Data: data}}, &out)
	_, no := out.At(0)
	fmt.Println(no, errors.Is(no, soldOut))
	// Output: sold out true
}
