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

type dragonboatReplica struct {
	host    *dragonboat.NodeHost
	session *client.Session
	number  uint64
}

func (e dragonboatEngine) open(p place) (replica, error) {
	for _, name := range []string{"raft", "rsm", "transport", "grpc", "dragonboat", "logdb", "config", "settings", "tan", "pebblekv", "utils", "registry", "server", "env", "id"} {
		logger.GetLogger(name).SetLevel(logger.CRITICAL)
	}
	const group = 1
	hc := config.NodeHostConfig{NodeHostDir: p.dir, RTTMillisecond: 200, RaftAddress: p.addr(), DeploymentID: 1}
	rc := config.Config{ShardID: group, ReplicaID: uint64(p.number), ElectionRTT: 10, HeartbeatRTT: 1, CheckQuorum: true}
	if e.tan {
		hc.Expert.LogDBFactory = tan.Factory
	}
	if n := e.workers; n > 0 {
		hc.Expert.Engine = config.EngineConfig{ExecShards: n, CommitShards: n, ApplyShards: n, SnapshotShards: 2, CloseShards: 2}
		hc.Expert.LogDB = config.GetDefaultLogDBConfig()
		hc.Expert.LogDB.Shards = n
	}
	h, err := dragonboat.NewNodeHost(hc)
	if err != nil {
		return nil, fmt.Errorf("open host: %w", err)
	}
	members := map[uint64]dragonboat.Target{}
	for i, a := range p.addrs {
		members[uint64(i+1)] = a
	}
	err = h.StartConcurrentReplica(members, false, func(uint64, uint64) statemachine.IConcurrentStateMachine {
		return &dragonboatMachine{}
	}, rc)
	if err != nil {
		h.Close()
		return nil, fmt.Errorf("start replica: %w", err)
	}
	return &dragonboatReplica{h, h.GetNoOPSession(group), uint64(p.number)}, nil
}

var errNotCompleted = errors.New("propose: not completed")

func (r *dragonboatReplica) put(cmd []byte) error {
	request, err := r.host.Propose(r.session, cmd, putTimeout)
	if err != nil {
		return err
	}
	defer request.Release()
	if result := <-request.ResultC(); !result.Completed() {
		return errNotCompleted
	}
	return nil
}

func (r *dragonboatReplica) leads() bool {
	id, _, ok, err := r.host.GetLeaderID(r.session.ShardID)
	return err == nil && ok && id == r.number
}

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
func (m *dragonboatMachine) SaveSnapshot(pinned any, w io.Writer, _ statemachine.ISnapshotFileCollection, _ <-chan struct{}) error {
	return pinned.(*table).save(w)
}

// RecoverFromSnapshot replaces the table.
func (m *dragonboatMachine) RecoverFromSnapshot(r io.Reader, _ []statemachine.SnapshotFile, _ <-chan struct{}) error {
	return m.load(r)
}

// Close has nothing to do.
func (m *dragonboatMachine) Close() error { return nil }
