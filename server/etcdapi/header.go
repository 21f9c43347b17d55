package etcdapi

import (
	"context"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/lockstep-rsm/lockstep"
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

// view pins the store for one request. The caller closes it.
func (s *Server) view(ctx context.Context, level lockstep.Level) (*kv.View, error) {
	v, _, err := s.o.Group.View(ctx, lockstep.ReadOptions{Level: level})
	if err != nil {
		return nil, err
	}
	return v.(*kv.View), nil
}

// localRevision is the store's revision on this host, for answers that only carry a header.
func (s *Server) localRevision(ctx context.Context) int64 {
	v, err := s.view(ctx, lockstep.Stale)
	if err != nil {
		return 0
	}
	defer v.Close()
	return v.Revision()
}
