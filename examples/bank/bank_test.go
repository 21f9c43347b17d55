package bank

import (
	"context"
	"testing"
	"time"

	"github.com/lockstep-rsm/lockstep"
	"github.com/lockstep-rsm/lockstep/sim"
)

// The test of docs/sim.md.
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
