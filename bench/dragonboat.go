package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/lni/dragonboat/v4"
	"github.com/lni/dragonboat/v4/client"
	"github.com/lni/dragonboat/v4/config"
	"github.com/lni/dragonboat/v4/logger"
	"github.com/lni/dragonboat/v4/plugin/tan"
	"github.com/lni/dragonboat/v4/statemachine"
)

// dragonboatEngine runs dragonboat with one of its two log stores.
type dragonboatEngine struct {
	tan     bool   // its own log instead of pebble
	workers uint64 // engine and log shards: fewer share more syncs. 0: its default of 16
}

// dragonboatVariants are the settings worth a run, by the part of the peer's name after the dash.
var dragonboatVariants = map[string]dragonboatEngine{
	"pebble":  {},
	"pebble1": {workers: 1},
	"tan":     {tan: true},
	"tan2":    {tan: true, workers: 2},
}

// tanGroupBytes is what the tan store reserves for each group of each replica.
const tanGroupBytes = 64 << 20

type dragonboatReplica struct {
	host     *dragonboat.NodeHost
	sessions []*client.Session // of group 1 first
	machines []*dragonboatMachine
	number   uint64
}

func (e dragonboatEngine) open(p place) (replica, error) {
	groups := p.groupCount()
	if need := int64(groups) * int64(len(p.addrs)) * tanGroupBytes; e.tan && groups > 1 && need > freeBytes(p.dir)/2 {
		return nil, unable(fmt.Sprintf("its log store reserves 64 MiB per group and replica: %d GiB, more than half of the free disk", need>>30))
	}
	for _, name := range []string{"raft", "rsm", "transport", "grpc", "dragonboat", "logdb", "config", "settings", "tan", "pebblekv", "utils", "registry", "server", "env", "id"} {
		logger.GetLogger(name).SetLevel(logger.CRITICAL)
	}
	hc, rc := e.settings(p)
	h, err := dragonboat.NewNodeHost(hc)
	if err != nil {
		return nil, fmt.Errorf("open host: %w", err)
	}
	members := map[uint64]dragonboat.Target{}
	for i, a := range p.addrs {
		members[uint64(i+1)] = a
	}
	r := &dragonboatReplica{host: h, number: uint64(p.number)}
	for g := range groups {
		rc.ShardID = uint64(g + 1)
		m := &dragonboatMachine{}
		err = h.StartConcurrentReplica(members, false, func(uint64, uint64) statemachine.IConcurrentStateMachine { return m }, rc)
		if err != nil {
			h.Close()
			return nil, fmt.Errorf("start replica of group %d: %w", rc.ShardID, err)
		}
		r.sessions, r.machines = append(r.sessions, h.GetNoOPSession(rc.ShardID)), append(r.machines, m)
	}
	return r, nil
}

func (e dragonboatEngine) settings(p place) (config.NodeHostConfig, config.Config) {
	hc := config.NodeHostConfig{NodeHostDir: p.dir, RTTMillisecond: 200, RaftAddress: p.addr(), DeploymentID: 1}
	rc := config.Config{ReplicaID: uint64(p.number), ElectionRTT: 10, HeartbeatRTT: 1, CheckQuorum: true}
	if d := p.timings; d.Election > 0 {
		hc.RTTMillisecond, rc.ElectionRTT = uint64(d.Heartbeat.Milliseconds()), uint64(d.Election/d.Heartbeat)
	}
	if e.tan {
		hc.Expert.LogDBFactory = tan.Factory
	}
	if n := e.workers; n > 0 {
		hc.Expert.Engine = config.EngineConfig{ExecShards: n, CommitShards: n, ApplyShards: n, SnapshotShards: 2, CloseShards: 2}
		hc.Expert.LogDB = config.GetDefaultLogDBConfig()
		hc.Expert.LogDB.Shards = n
	}
	return hc, rc
}

var errNotCompleted = errors.New("not completed")

func (r *dragonboatReplica) put(group int, cmd []byte) error {
	w, err := r.start(group, cmd)
	if err != nil {
		return err
	}
	return w.wait()
}

func (r *dragonboatReplica) start(group int, cmd []byte) (waiter, error) {
	request, err := r.host.Propose(r.sessions[group-1], cmd, putTimeout)
	if err != nil {
		return nil, err
	}
	return dragonboatWaiter{request}, nil
}

type dragonboatWaiter struct{ request *dragonboat.RequestState }

func (w dragonboatWaiter) wait() error {
	defer w.request.Release()
	if result := <-w.request.ResultC(); !result.Completed() {
		return errNotCompleted
	}
	return nil
}

func (r *dragonboatReplica) get(group int, key uint64) error {
	request, err := r.host.ReadIndex(uint64(group), putTimeout)
	if err != nil {
		return err
	}
	defer request.Release()
	if result := <-request.ResultC(); !result.Completed() {
		return errNotCompleted
	}
	_, err = r.host.ReadLocalNode(request, key)
	return err
}

func (r *dragonboatReplica) leads(group int) bool {
	id, _, ok, err := r.host.GetLeaderID(uint64(group))
	return err == nil && ok && id == r.number
}

func (r *dragonboatReplica) applied(group int) uint64 { return r.machines[group-1].last() }

func (r *dragonboatReplica) close() { r.host.Close() }

// dragonboatMachine is a table as a state machine of dragonboat.
type dragonboatMachine struct{ table }

// Update executes entries.
func (m *dragonboatMachine) Update(entries []statemachine.Entry) ([]statemachine.Entry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range entries {
		m.apply(entries[i].Index, entries[i].Cmd)
		entries[i].Result = statemachine.Result{Value: 1}
	}
	return entries, nil
}

// Lookup answers a key.
func (m *dragonboatMachine) Lookup(key any) (any, error) { return m.get(key.(uint64)), nil }

// PrepareSnapshot pins the table.
func (m *dragonboatMachine) PrepareSnapshot() (any, error) { return m.pin(), nil }

// SaveSnapshot writes the pinned table.
func (m *dragonboatMachine) SaveSnapshot(pin any, w io.Writer, _ statemachine.ISnapshotFileCollection, _ <-chan struct{}) error {
	p := pin.(*pinned)
	defer p.unpin()
	return p.save(w)
}

// RecoverFromSnapshot replaces the table.
func (m *dragonboatMachine) RecoverFromSnapshot(r io.Reader, _ []statemachine.SnapshotFile, _ <-chan struct{}) error {
	return m.load(r)
}

// Close has nothing to do.
func (m *dragonboatMachine) Close() error { return nil }
