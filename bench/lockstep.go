package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lockstep-rsm/lockstep"
	"github.com/lockstep-rsm/lockstep/machine"
)

// lockstepEngine runs Lockstep with its default options, but for how the log is written.
type lockstepEngine struct{ fdatasync bool }

type lockstepReplica struct {
	host   *lockstep.Host
	groups []*lockstep.Group // group 1 first
	calls  sync.Pool         // of *lockstepCall
}

func (e lockstepEngine) open(p place) (replica, error) {
	return openLockstep(p, lockstep.Options{Fdatasync: e.fdatasync})
}

// openLockstep starts a host that holds a table per group. It waits for the other founders.
func openLockstep(p place, o lockstep.Options) (*lockstepReplica, error) {
	ctx, cancel := context.WithTimeout(context.Background(), openTimeout)
	defer cancel()
	o.Dir, o.Addr, o.Founders = p.dir, p.addr(), p.addrs
	o.Heartbeat, o.ElectionTimeout = p.timings.Heartbeat, p.timings.Election
	o.Logger = slog.New(slog.DiscardHandler)
	o.Machines = map[string]machine.Kind{"table": {New: func(*machine.Place) (machine.StateMachine, error) {
		return &tableMachine{}, nil
	}}}
	h, err := lockstep.Open(ctx, o)
	if err != nil {
		return nil, err
	}
	r := &lockstepReplica{host: h}
	r.calls.New = func() any { return &lockstepCall{pool: &r.calls} }
	for g := range p.groupCount() {
		r.groups = append(r.groups, h.Group(lockstep.GroupID(g+1)))
	}
	if err := r.found(ctx, p); err != nil {
		h.Close()
		return nil, err
	}
	return r, nil
}

// openTimeout bounds the start of a host with all its groups.
const openTimeout = 2 * time.Minute

// found makes the groups, many at once: the first host all of them, the others wait for the first.
func (r *lockstepReplica) found(ctx context.Context, p place) error {
	groups := p.groupCount()
	if p.number != 1 {
		groups = 1
	}
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(groups, 64) {
		wg.Go(func() {
			for id := next.Add(1); id <= int64(groups) && ctx.Err() == nil; id = next.Add(1) {
				_, err := r.host.Create(ctx, lockstep.GroupID(id), lockstep.GroupOptions{Machine: "table"})
				if err != nil {
					fail(fmt.Errorf("found group %d: %w", id, err))
				}
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

func (r *lockstepReplica) put(group int, cmd []byte) error {
	_, err := r.groups[group-1].Propose(context.Background(), cmd)
	return err
}

// lockstepCall is a pipelined proposal that is used again.
type lockstepCall struct {
	lockstep.Call
	pool *sync.Pool
}

func (c *lockstepCall) wait() error {
	_, err := c.Wait(context.Background())
	c.pool.Put(c)
	return err
}

func (r *lockstepReplica) start(group int, cmd []byte) (waiter, error) {
	c := r.calls.Get().(*lockstepCall)
	if err := r.groups[group-1].Start(cmd, &c.Call); err != nil {
		return nil, err
	}
	return c, nil
}

func (r *lockstepReplica) get(group int, key uint64) error {
	var q [8]byte
	binary.LittleEndian.PutUint64(q[:], key)
	_, err := r.groups[group-1].Read(context.Background(), q[:], lockstep.ReadOptions{})
	return err
}

func (r *lockstepReplica) leads(group int) bool {
	return r.groups[group-1].Status().Role == "leader"
}

func (r *lockstepReplica) applied(group int) uint64 {
	return uint64(r.groups[group-1].Status().Applied)
}

func (r *lockstepReplica) close() { r.host.Close() }

// tableMachine is a table as a machine of Lockstep. A query is a key of eight bytes.
type tableMachine struct{ table }

func (m *tableMachine) Apply(batch []machine.Command, out *machine.Results) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range batch {
		m.apply(uint64(batch[i].Index), batch[i].Data)
		out.Reply(nil)
	}
	return nil
}

func (m *tableMachine) View() machine.View { return tableView{m.pin()} }

func (m *tableMachine) Load(_ machine.Version, r *machine.Reader) error { return m.load(r) }

func (m *tableMachine) Upgrade(machine.Version) error { return nil }

func (m *tableMachine) Deadline() (machine.Time, bool) { return 0, false }

func (m *tableMachine) Digest() (machine.Digest, bool) { return 0, false }

type tableView struct{ *pinned }

func (v tableView) Query(q []byte, w io.Writer) error {
	if len(q) != 8 {
		return &machine.Refusal{Code: 1, Text: "a key has eight bytes"}
	}
	_, err := w.Write(v.get(binary.LittleEndian.Uint64(q)))
	return err
}

func (v tableView) Save(w *machine.Writer) error { return v.save(w) }

func (v tableView) Close() error {
	v.unpin()
	return nil
}
