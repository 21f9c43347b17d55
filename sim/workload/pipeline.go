package workload

import (
	"context"
	"fmt"
	"time"

	"github.com/lockstep-rsm/lockstep/sim"
)

// pipelines says, at the beginning of a client's life, whether it is one that does not wait for answers:
// the first of every third seed.
func pipelines(c *sim.Client) bool { return c.N == 0 && c.Rand().IntN(3) == 0 }

// pipeline keeps up to 64 commands in flight, in bursts. Encode makes a command of a name that it has not
// had before and of a size.
func pipeline(ctx context.Context, c *sim.Client, encode func(name string, size int) []byte) {
	for n := 0; ctx.Err() == nil || c.Pending() > 0; {
		depth := 1 + c.Rand().IntN(64)
		for tries := 0; tries < depth && c.Pending() < depth && ctx.Err() == nil; tries++ {
			size := 0
			if c.Rand().IntN(30) == 0 {
				size = c.Rand().IntN(16 << 10)
			}
			n++
			if !c.Start(encode(fmt.Sprintf("%d.%d.", c.N, n), size)) {
				break
			}
		}
		pause := 20 * time.Millisecond
		if c.Rand().IntN(4) == 0 {
			pause = 4 * time.Second
		}
		c.Sleep(time.Duration(c.Rand().Int64N(int64(pause))))
	}
}
