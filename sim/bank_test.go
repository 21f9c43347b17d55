package sim_test

import (
	"context"
	"testing"
	"time"

	"github.com/lockstep-rsm/lockstep"
	"github.com/lockstep-rsm/lockstep/machine"
	"github.com/lockstep-rsm/lockstep/sim"
)

// The bank of docs/sim.md: ten accounts between which money moves, so that the sum stays zero.
type (
	Bank     struct{ Balance [10]int64 }
	Transfer struct {
		From, To int
		Amount   int64
	}
	Sum struct{}
)

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

func TestBank(t *testing.T) {
	sim.Run(t, sim.Options{Machine: Machine.Kind(), Seeds: 10, Client: func(ctx context.Context, c *sim.Client) {
		bank := lockstep.Typed(c, Machine)
		for ctx.Err() == nil {
			bank.Propose(ctx, Transfer{c.Rand().IntN(10), c.Rand().IntN(10), 1 + c.Rand().Int64N(50)})
			if sum, err := bank.Read(ctx, Sum{}, lockstep.ReadOptions{}); err == nil && sum != 0 {
				c.Errorf("money appeared: %d", sum)
			}
			c.Sleep(50 * time.Millisecond)
		}
	}})
}
