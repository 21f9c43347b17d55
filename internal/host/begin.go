package host

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/lockstep-rsm/lockstep/env"
	"github.com/lockstep-rsm/lockstep/internal/snapshot"
	"github.com/lockstep-rsm/lockstep/internal/wal"
)

// A host begins to serve when its process starts, and when it has become one of a cluster.

// serve begins a host that has just become one of a cluster: at once, or as soon as its disk has room for that. Nobody
// else would, and the cluster counts on it.
func (h *Host) serve() error {
	err := h.begin()
	switch {
	case err == nil:
		h.setWhy("")
		return nil
	case noRoom(err) && h.net.Load() != nil: // one that is alone tells who opens it
		h.tasks.run("begin", func() { h.serveLater(err) })
		return nil
	}
	h.tell(env.Event{Kind: env.LogFailed, Text: err.Error()}) // of the cluster, and not able to serve it
	return err
}

// serveLater tries to begin for as long as the disk has no room (H15).
func (h *Host) serveLater(err error) {
	var why string
	h.countRoomless(1)
	for noRoom(err) {
		why = fmt.Sprintf("host %d belongs to the cluster, and begins as soon as its disk has room: %v", h.ID(), err)
		h.setWhy(why)
		_ = h.pause(nil, retryEvery) //nolint:staticcheck // nobody waits for it but Close
		if h.closed.Load() {
			return
		}
		h.foundGate.enter(h.env)
		err = h.begin()
		h.foundGate.leave()
	}
	h.countRoomless(-1)
	if err != nil {
		h.tell(env.Event{Kind: env.LogFailed, Text: err.Error()})
		h.setWhy(err.Error())
		return
	}
	h.log.Info("disk has room: host begins", "host", h.ID())
	h.unsetWhy(why)
}

func (h *Host) countRoomless(n int) {
	h.mu.Lock()
	h.roomless += n
	h.mu.Unlock()
}

// noRoom says whether what failed may succeed as soon as the disk has room.
func noRoom(err error) bool { return errors.Is(err, wal.ErrFull) || errors.Is(err, syscall.ENOSPC) }

// begin opens the log of a host that belongs to a cluster, and its replicas.
func (h *Host) begin() error {
	id := &h.identity.is
	snaps, err := snapshot.Open(snapshot.Options{
		Env: h.env, Dir: h.opts.Dir + "/snapshots", Cluster: id.Mint.Cluster, WriteBytesPerSecond: h.opts.SnapshotBytesPerSecond,
	})
	if err != nil {
		return err
	}
	h.snaps = snaps
	log, recovered, err := wal.Open(wal.Options{
		Env: h.env, Dir: h.opts.Dir + "/wal", SegmentBytes: h.opts.WALSegmentBytes, MaxBytes: h.opts.MaxWALBytes,
		Direct: !h.opts.Fdatasync, Cluster: id.Mint.Cluster, Host: id.Host, Logger: h.log,
		Synced: func(s wal.Sync) {
			h.tell(env.Event{Kind: env.WALSynced, Count: uint64(s.Commands), Bytes: uint64(s.Bytes), Took: s.Took})
		},
	})
	if err != nil {
		return err
	}
	if err := h.prepare(recovered); err != nil {
		_ = log.Close()
		return err
	}
	h.wal = log
	for _, note := range recovered.Notes {
		h.log.Warn("log recovered", "host", id.Host, "note", note)
	}
	for range h.opts.Lanes {
		h.tasks.run("lane", h.lanes.work)
	}
	if err := h.recover(recovered); err != nil {
		return err
	}
	h.recovered.Store(true)
	return nil
}

// prepare brings what stands beside the log in line with what it holds. It may be called again after an error.
func (h *Host) prepare(found *wal.Recovered) error {
	if err := h.logBegan(found.Fresh); err != nil {
		return err
	}
	if err := h.loadFounded(found); err != nil {
		return err
	}
	return h.readOvercome()
}

// logBegan tells the first start after founding from one whose log was taken away: the log of a
// founded host begins once, and its beginning is written down by forgetting the mint's nonce (H13).
func (h *Host) logBegan(fresh bool) error {
	is := h.identity.is
	if fresh && is.Nonce == 0 {
		return fmt.Errorf("%w: %s belongs to host %d of cluster %x, and its log is gone: it gets no vote, for it may have promised one. Replace this host",
			ErrDir, h.opts.Dir, is.Host, is.Mint.Cluster)
	}
	if is.Nonce == 0 {
		return nil
	}
	is.Nonce = 0
	return h.saveIdentity(is)
}
