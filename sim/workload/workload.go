package workload

import (
	"context"
	"fmt"
	"time"

	"github.com/lockstep-rsm/lockstep"
	"github.com/lockstep-rsm/lockstep/machine/counter"
	"github.com/lockstep-rsm/lockstep/machine/kv"
	"github.com/lockstep-rsm/lockstep/sim"
	"github.com/lockstep-rsm/lockstep/sim/check"
)

// calls is how many answers a seed waits for.
const calls = 300

// Counter is the smallest machine under simulation: additions, some of them refused, and reads.
func Counter() sim.Options {
	return sim.Options{Machine: counter.Machine.Kind(), Calls: calls, Client: func(ctx context.Context, c *sim.Client) {
		if pipelines(c) {
			pipeline(ctx, c, func(name string, size int) []byte { return append([]byte(name), make([]byte, size)...) }) // refused
			return
		}
		count := lockstep.Typed(caller(c), counter.Machine)
		for ctx.Err() == nil {
			if c.Rand().IntN(3) > 0 {
				_, _ = count.Propose(ctx, counter.Add{N: c.Rand().Int64N(1000) - 400})
			} else if n, err := count.Read(ctx, counter.Get{}, lockstep.ReadOptions{}); err == nil && n < 0 {
				c.Errorf("the counter is %d", n)
			}
			c.Sleep(time.Duration(c.Rand().Int64N(int64(200 * time.Millisecond))))
		}
	}}
}

// caller is how a client calls: of four one in sessions, and one with a token for each command.
func caller(c *sim.Client) lockstep.Caller {
	switch c.N % 4 {
	case 1:
		return c.Session()
	case 2:
		return tokens{c}
	}
	return c
}

// tokens is a client whose commands have tokens.
type tokens struct{ *sim.Client }

// Propose implements lockstep.Caller.
func (t tokens) Propose(ctx context.Context, cmd []byte) (lockstep.Result, error) {
	return t.Once(ctx, cmd)
}

// KV is the key-value store under simulation, with its independent judge.
func KV() sim.Options {
	return sim.Options{Machine: kv.Kind(), Calls: calls, Client: kvClient, Judge: check.KV}
}

// KVAt is KV with clients that do not pipeline, and ask so many times in a simulated second together, as far as faults
// and latencies let them: each asks at times that were set before.
func KVAt(rate int) sim.Options {
	o := KV()
	o.Clients = 8
	o.Client = func(ctx context.Context, c *sim.Client) {
		k := &client{Client: c, on: caller(c), ctx: ctx, seen: map[string]string{}}
		every := time.Second * time.Duration(o.Clients) / time.Duration(rate)
		for next := c.Now(); ctx.Err() == nil; {
			k.n++
			k.step()
			next = max(next+every, c.Now()) // what was missed is not made up for
			c.Sleep(next - c.Now())
		}
	}
	return o
}

// client is one of KV's.
type client struct {
	*sim.Client
	on       lockstep.Caller
	ctx      context.Context
	n        int // operations so far: makes values unique
	revision int64
	index    lockstep.Index
	seen     map[string]string // by key, what this client saw last
	age      string            // of the keys, in their names
}

// keys is how many there are at a time.
const keys = 6

func kvClient(ctx context.Context, c *sim.Client) {
	if pipelines(c) {
		pipeline(ctx, c, func(name string, size int) []byte {
			put := kv.Op{Put: &kv.Put{Key: fmt.Appendf(nil, "p%d", c.N), Value: append([]byte(name), make([]byte, size)...)}}
			cmd, _ := put.AppendBinary(nil)
			return cmd
		})
		return
	}
	k := &client{Client: c, on: caller(c), ctx: ctx, seen: map[string]string{}}
	for ctx.Err() == nil {
		k.n++
		k.step()
		c.Sleep(time.Duration(c.Rand().Int64N(int64(250 * time.Millisecond))))
	}
}

func (k *client) step() {
	key := fmt.Sprintf("k%s%d", k.age, k.Rand().IntN(keys))
	switch d := k.Rand().IntN(100); {
	case d < 35:
		k.write(key, &kv.Op{Put: &kv.Put{Key: []byte(key), Value: k.value(), PrevKV: d < 5}})
	case d < 50:
		k.read(key, lockstep.ReadOptions{})
	case d < 58:
		k.read(key, lockstep.ReadOptions{Level: lockstep.Leased})
	case d < 62:
		k.read(key, lockstep.ReadOptions{Level: lockstep.AtLeast, After: k.index})
	case d < 70:
		ages := []time.Duration{0, 20 * time.Millisecond, 300 * time.Millisecond, 2 * time.Second}
		k.read(key, lockstep.ReadOptions{Level: lockstep.Stale, MaxAge: ages[k.Rand().IntN(len(ages))]})
	case d < 84:
		k.compareAndPut(key)
	case d < 92:
		k.write(key, &kv.Op{Delete: &kv.DeleteRange{Key: []byte(key)}})
	case d < 98:
		k.ask(&kv.Op{Range: &kv.Range{Key: []byte("k"), End: []byte("l"), Limit: 4}}, lockstep.ReadOptions{})
	default:
		k.write("", &kv.Op{Compact: &kv.Compact{Revision: max(k.revision-20, 1)}})
	}
}

// value is unique, and now and then long.
func (k *client) value() []byte {
	v := fmt.Appendf(nil, "%d.%d.", k.N, k.n)
	if k.Rand().IntN(20) == 0 {
		v = append(v, make([]byte, k.Rand().IntN(4<<10))...)
	}
	return v
}

// compareAndPut writes if the key is as this client saw it last.
func (k *client) compareAndPut(key string) {
	cmp := kv.Compare{Key: []byte(key), Subject: kv.OfValue, Relation: kv.Equal, Value: []byte(k.seen[key])}
	if k.seen[key] == "" {
		cmp = kv.Compare{Key: []byte(key), Subject: kv.OfVersion, Relation: kv.Equal}
	}
	k.write(key, &kv.Op{Txn: &kv.Txn{Compares: []kv.Compare{cmp}, Success: []kv.Op{{Put: &kv.Put{Key: []byte(key), Value: k.value()}}}}})
}

func (k *client) write(key string, op *kv.Op) {
	cmd, err := op.AppendBinary(nil)
	if err != nil {
		k.Errorf("encode: %v", err)
		return
	}
	r, err := k.on.Propose(k.ctx, cmd)
	var out kv.Result
	if err != nil || out.UnmarshalBinary(r.Data) != nil {
		return
	}
	k.learn(r.Index, out.Revision)
	switch {
	case op.Put != nil:
		k.seen[key] = string(op.Put.Value)
	case op.Delete != nil:
		k.seen[key] = ""
	case op.Txn != nil && out.Txn.Succeeded:
		k.seen[key] = string(op.Txn.Success[0].Put.Value)
	}
}

// learn checks that revisions never go back for one client that only reads what is new.
func (k *client) learn(index lockstep.Index, revision int64) {
	if index > k.index && revision < k.revision {
		k.Errorf("revision %d at index %d, after %d at %d", revision, index, k.revision, k.index)
	}
	k.index, k.revision = max(k.index, index), max(k.revision, revision)
}

func (k *client) read(key string, o lockstep.ReadOptions) {
	out, ok := k.ask(&kv.Op{Range: &kv.Range{Key: []byte(key)}}, o)
	if !ok || o.Level == lockstep.Stale {
		return
	}
	k.seen[key] = ""
	if len(out.Range.KVs) == 1 {
		k.seen[key] = string(out.Range.KVs[0].Value)
	}
}

func (k *client) ask(op *kv.Op, o lockstep.ReadOptions) (out kv.Result, ok bool) {
	query, err := op.AppendBinary(nil)
	if err != nil {
		k.Errorf("encode: %v", err)
		return out, false
	}
	r, err := k.on.Read(k.ctx, query, o)
	if err != nil {
		return out, false
	}
	if err := out.UnmarshalBinary(r.Data); err != nil {
		k.Errorf("decode: %v", err)
		return out, false
	}
	if o.Level != lockstep.Stale {
		k.learn(r.Index, out.Revision)
	}
	return out, true
}
