package main

import (
	"context"
	"encoding/binary"
	"io"
	"log/slog"
	"time"

	"github.com/lockstep-rsm/lockstep"
	"github.com/lockstep-rsm/lockstep/machine"
)

// lockstepEngine runs Lockstep with its default options, but for how the log is written.
type lockstepEngine struct{ fdatasync bool }

type lockstepReplica struct {
	host  *lockstep.Host
	group *lockstep.Group
}

func (e lockstepEngine) open(p place) (replica, error) {
	return openLockstep(p, lockstep.Options{Fdatasync: e.fdatasync})
}

// openLockstep starts a replica that holds a table. It waits for the other founders.
func openLockstep(p place, o lockstep.Options) (*lockstepReplica, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	o.Dir, o.Addr, o.Founders = p.dir, p.addr(), p.addrs
	o.Logger = slog.New(slog.DiscardHandler)
	o.Machines = map[string]machine.Kind{"table": {New: func(*machine.Place) (machine.StateMachine, error) {
		return &tableMachine{}, nil
	}}}
	h, err := lockstep.Open(ctx, o)
	if err != nil {
		return nil, err
	}
	g, err := h.Create(ctx, 1, lockstep.GroupOptions{Machine: "table"})
	if err != nil {
		h.Close()
		return nil, err
	}
	return &lockstepReplica{h, g}, nil
}

func (r *lockstepReplica) put(cmd []byte) error {
	_, err := r.group.Propose(context.Background(), cmd)
	return err
}

func (r *lockstepReplica) leads() bool { return r.group.Status().Role == "leader" }

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

type tableView struct{ *table }

func (v tableView) Query(q []byte, w io.Writer) error {
	if len(q) != 8 {
		return &machine.Refusal{Code: 1, Text: "a key has eight bytes"}
	}
	_, err := w.Write(v.get(binary.LittleEndian.Uint64(q)))
	return err
}

func (v tableView) Save(w *machine.Writer) error { return v.save(w) }

func (tableView) Close() error { return nil }
