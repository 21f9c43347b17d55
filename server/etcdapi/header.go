package etcdapi

import (
	"context"
	"errors"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/lockstep-rsm/lockstep"
	"github.com/lockstep-rsm/lockstep/machine"
	"github.com/lockstep-rsm/lockstep/machine/kv"
)

// header names who answers. The revision is that of the store when the request was executed, and 0
// only where the store was not asked.
func (s *Server) header(revision int64) *pb.ResponseHeader {
	cluster, member := s.o.Identity()
	return &pb.ResponseHeader{
		ClusterId: cluster,
		MemberId:  member,
		Revision:  revision,
		RaftTerm:  s.o.Status().Term,
	}
}

// recoverTimeout is how long a request waits for a host that has just started: longer than an
// election. A host that is alone says after it what it lacks.
const recoverTimeout = 3 * time.Second

// view pins the store for one request, at an index. The caller closes it. A host that has just
// started does not know yet what of its disk is committed. Its own state is then had by a read that a
// majority confirms, or not at all: it would be an empty store, which no client has ever seen.
func (s *Server) view(ctx context.Context, level lockstep.Level) (*kv.View, machine.Index, error) {
	v, at, err := s.o.Group.View(ctx, lockstep.ReadOptions{Level: level})
	if errors.Is(err, lockstep.ErrRecovering) {
		bounded, cancel := context.WithTimeout(ctx, recoverTimeout)
		defer cancel()
		var confirmed error
		if v, at, confirmed = s.o.Group.View(bounded, lockstep.ReadOptions{}); confirmed == nil {
			err = nil
		}
	}
	if err != nil {
		return nil, 0, err
	}
	return v.(*kv.View), at, nil
}

// localRevision is the store's revision on this host, for answers that only carry a header.
func (s *Server) localRevision(ctx context.Context) int64 {
	v, _, err := s.view(ctx, lockstep.Stale)
	if err != nil {
		return 0
	}
	defer v.Close()
	return v.Revision()
}
