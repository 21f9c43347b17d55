package workload

import (
	"context"
	"fmt"
	"time"

	"github.com/lockstep-rsm/lockstep/machine/kv"
	"github.com/lockstep-rsm/lockstep/sim"
	"github.com/lockstep-rsm/lockstep/sim/check"
)

// Long is an hour, or as long as Options.Length says, of clients that call about once in a second all together, and are
// silent for minutes between; the faults are some twenty to forty seconds apart, and some last for minutes. So
// groups rest, sessions and tokens expire, hosts come back far behind, and clocks run apart for long.
func Long() sim.Options {
	return sim.Options{
		Machine: kv.Kind(), Judge: check.KV, Client: longClient,
		Length: time.Hour, Calm: 10, Calls: calls,
	}
}

// age is for how long the same keys are called upon: what porcupine judges are the calls on one key, and the more there
// are of those that nobody knows the end of, the longer it takes.
const age = 5 * time.Minute

func longClient(ctx context.Context, c *sim.Client) {
	k := &client{Client: c, on: caller(c), ctx: ctx}
	now := -1
	for ctx.Err() == nil {
		if n := int(c.Now() / age); n != now {
			now, k.age, k.seen = n, fmt.Sprintf("%d.", n), map[string]string{}
			if c.N == 0 && n >= 2 {
				k.forget(n - 2)
			}
		}
		k.n++
		k.step()
		pause := time.Second
		if c.Rand().IntN(30) == 0 {
			pause = 5 * time.Minute
		}
		c.Rest(ctx, time.Duration(c.Rand().Int64N(int64(pause))))
	}
}

// forget deletes the keys of an age that is over for everybody, one by one, as the judge knows keys only.
func (k *client) forget(age int) {
	for i := range keys {
		key := fmt.Sprintf("k%d.%d", age, i)
		k.write(key, &kv.Op{Delete: &kv.DeleteRange{Key: []byte(key)}})
	}
}
