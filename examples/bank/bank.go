// Package bank is a small machine of a user's, and the test that one writes for it: bank_test.go plays it
// under simulation, planted_test.go shows what becomes of a mistake.
package bank

import "github.com/lockstep-rsm/lockstep/machine"

// Bank is ten accounts between which money moves, so that the sum stays zero.
type Bank struct{ Balance [10]int64 }

// Transfer is the command: it answers the new balance of To.
type Transfer struct {
	From, To int
	Amount   int64
}

// Sum is the query: all the money there is.
type Sum struct{}

// Machine is the bank as hosts run it.
var Machine = machine.Define(
	func(s *Bank, c Transfer, _ *machine.Command) (int64, error) {
		s.Balance[c.From] -= c.Amount
		s.Balance[c.To] += c.Amount
		return s.Balance[c.To], nil
	},
	func(s *Bank, _ Sum) (sum int64, _ error) {
		for _, n := range s.Balance {
			sum += n
		}
		return sum, nil
	},
)
