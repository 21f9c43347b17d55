package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"
)

// hashicorpEngine runs hashicorp/raft over raft-wal; tuned takes larger batches than its defaults.
type hashicorpEngine struct{ tuned bool }

type hashicorpReplica struct {
	raft    *raft.Raft
	machine *hashicorpMachine
	closers []io.Closer
}

func (e hashicorpEngine) open(p place) (replica, error) {
	if p.groupCount() > 1 {
		return nil, oneGroup
	}
	c := raft.DefaultConfig()
	c.LocalID = raft.ServerID(strconv.Itoa(p.number))
	c.Logger = hclog.NewNullLogger()
	cached := 512
	if e.tuned {
		c.MaxAppendEntries, c.BatchApplyCh, cached = 1024, true, 16384
	}
	if d := p.timings.Election; d > 0 {
		c.HeartbeatTimeout, c.ElectionTimeout, c.LeaderLeaseTimeout = d, d, d/2
	}
	folder := filepath.Join(p.dir, "wal")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, fmt.Errorf("make folder of the log: %w", err)
	}
	log, err := wal.Open(folder)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	cache, err := raft.NewLogCache(cached, log)
	if err != nil {
		return nil, fmt.Errorf("make cache: %w", err)
	}
	snapshots, err := raft.NewFileSnapshotStore(p.dir, 2, io.Discard)
	if err != nil {
		return nil, fmt.Errorf("open snapshots: %w", err)
	}
	own, err := net.ResolveTCPAddr("tcp", p.addr())
	if err != nil {
		return nil, fmt.Errorf("resolve address: %w", err)
	}
	network, err := raft.NewTCPTransport(p.addr(), own, 3, 10*time.Second, io.Discard)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	if err := foundHashicorp(c, p, log, snapshots, network); err != nil {
		return nil, err
	}
	m := &hashicorpMachine{}
	r, err := raft.NewRaft(c, m, cache, log, snapshots, network)
	if err != nil {
		return nil, fmt.Errorf("start raft: %w", err)
	}
	return &hashicorpReplica{r, m, []io.Closer{network, log}}, nil
}

// foundHashicorp tells a new replica who the members are; one that restarts knows.
func foundHashicorp(c *raft.Config, p place, log *wal.WAL, snapshots raft.SnapshotStore, network raft.Transport) error {
	old, err := raft.HasExistingState(log, log, snapshots)
	if err != nil {
		return fmt.Errorf("look for state: %w", err)
	}
	if old {
		return nil
	}
	var members raft.Configuration
	for i, a := range p.addrs {
		members.Servers = append(members.Servers, raft.Server{ID: raft.ServerID(strconv.Itoa(i + 1)), Address: raft.ServerAddress(a)})
	}
	if err := raft.BootstrapCluster(c, log, log, snapshots, network, members); err != nil {
		return fmt.Errorf("found cluster: %w", err)
	}
	return nil
}

func (r *hashicorpReplica) put(_ int, cmd []byte) error { return r.raft.Apply(cmd, putTimeout).Error() }

func (r *hashicorpReplica) start(_ int, cmd []byte) (waiter, error) {
	return hashicorpWaiter{r.raft.Apply(cmd, putTimeout)}, nil
}

type hashicorpWaiter struct{ raft.ApplyFuture }

func (w hashicorpWaiter) wait() error { return w.Error() }

// get waits for a round of heartbeats, but for no index: it promises less than the other peers' reads.
func (r *hashicorpReplica) get(_ int, key uint64) error {
	if err := r.raft.VerifyLeader().Error(); err != nil {
		return err
	}
	r.machine.get(key)
	return nil
}

func (r *hashicorpReplica) applied(int) uint64 { return r.raft.AppliedIndex() }

func (r *hashicorpReplica) leads(int) bool { return r.raft.State() == raft.Leader }

func (r *hashicorpReplica) close() {
	_ = r.raft.Shutdown().Error()
	for _, c := range r.closers {
		c.Close()
	}
}

// hashicorpMachine is a table as the state machine of hashicorp/raft.
type hashicorpMachine struct{ table }

// Apply executes one entry.
func (m *hashicorpMachine) Apply(l *raft.Log) any {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.apply(l.Index, l.Data)
	return nil
}

// ApplyBatch executes several entries.
func (m *hashicorpMachine) ApplyBatch(logs []*raft.Log) []any {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, l := range logs {
		if l.Type == raft.LogCommand {
			m.apply(l.Index, l.Data)
		}
	}
	return make([]any, len(logs))
}

// Snapshot pins the table.
func (m *hashicorpMachine) Snapshot() (raft.FSMSnapshot, error) {
	return hashicorpSnapshot{m.pin()}, nil
}

// Restore replaces the table.
func (m *hashicorpMachine) Restore(r io.ReadCloser) error {
	defer r.Close()
	return m.load(r)
}

type hashicorpSnapshot struct{ *pinned }

// Persist writes the pinned table.
func (s hashicorpSnapshot) Persist(sink raft.SnapshotSink) error {
	if err := s.save(sink); err != nil {
		sink.Cancel()
		return err
	}
	return sink.Close()
}

// Release ends the copy.
func (s hashicorpSnapshot) Release() { s.unpin() }
