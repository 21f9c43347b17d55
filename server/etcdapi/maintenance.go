package etcdapi

import (
	"context"
	"errors"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/lockstep-rsm/lockstep"
	"github.com/lockstep-rsm/lockstep/machine/kv"
)

// maintenance is the Maintenance service.
type maintenance struct {
	pb.UnimplementedMaintenanceServer
	*Server
}

// Version is the release of etcd whose API this is. Clients parse it to know what they may ask.
const Version = "3.7.3"

// StorageVersion is the release of etcd whose store has these semantics, ClusterVersion that of the API
// that all hosts speak.
const (
	StorageVersion = "3.7.0"
	ClusterVersion = "3.7.0"
)

// Status tells how this host stands. It waits for nobody, but where the host has just started: see view.
func (s *maintenance) Status(ctx context.Context, _ *pb.StatusRequest) (*pb.StatusResponse, error) {
	v, _, err := s.view(ctx, lockstep.Stale)
	if errors.Is(err, lockstep.ErrRecovering) {
		return nil, s.answer(ctx, err)
	}
	at := s.o.Status()
	out := &pb.StatusResponse{
		Version: Version, StorageVersion: StorageVersion,
		Leader: at.Leader, RaftTerm: at.Term, RaftIndex: at.Commit, RaftAppliedIndex: at.Applied,
		IsLearner: at.Learner, DowngradeInfo: &pb.DowngradeInfo{},
	}
	var revision int64
	if err == nil {
		revision = v.Revision()
		logical, held := v.Size()
		out.DbSize, out.DbSizeInUse = max(held, logical), logical
		_ = v.Close()
	}
	out.Header = s.header(revision)
	if at.Leader == 0 {
		out.Errors = append(out.Errors, "etcdserver: no leader")
	}
	if at.NoSpace {
		out.Errors = append(out.Errors, s.noSpace().String())
	}
	if at.Trouble != "" {
		out.Errors = append(out.Errors, at.Trouble)
	}
	return out, nil
}

func (s *maintenance) noSpace() *pb.AlarmMember {
	_, member := s.o.Identity()
	return &pb.AlarmMember{MemberID: member, Alarm: pb.AlarmType_NOSPACE}
}

// Alarm lists this host's alarms: NOSPACE while its disk is full. It clears by itself, so that
// disarming is accepted and changes nothing; raising one by hand is not supported.
func (s *maintenance) Alarm(ctx context.Context, r *pb.AlarmRequest) (*pb.AlarmResponse, error) {
	if r.Action == pb.AlarmRequest_ACTIVATE {
		return nil, status.Error(codes.Unimplemented, "alarms are raised and cleared by the server itself")
	}
	out := &pb.AlarmResponse{Header: s.header(s.localRevision(ctx))}
	wanted := r.Alarm == pb.AlarmType_NONE || r.Alarm == pb.AlarmType_NOSPACE
	alarm := s.noSpace()
	own := r.MemberID == 0 || r.MemberID == alarm.MemberID
	if s.o.Status().NoSpace && wanted && own && r.Action == pb.AlarmRequest_GET {
		out.Alarms = append(out.Alarms, alarm)
	}
	return out, nil
}

// Hash is over all that this host holds now; compare it at equal revisions only.
func (s *maintenance) Hash(ctx context.Context, _ *pb.HashRequest) (*pb.HashResponse, error) {
	h, revision, err := s.hash(ctx, 0)
	if err != nil {
		return nil, err
	}
	return &pb.HashResponse{Header: s.header(revision), Hash: fold(h.Hash)}, nil
}

// HashKV is over all that this host holds up to a revision. Two hosts with equal hash revision and
// compact revision answer alike.
func (s *maintenance) HashKV(ctx context.Context, r *pb.HashKVRequest) (*pb.HashKVResponse, error) {
	h, revision, err := s.hash(ctx, r.Revision)
	if err != nil {
		return nil, err
	}
	return &pb.HashKVResponse{
		Header: s.header(revision), Hash: fold(h.Hash),
		CompactRevision: h.CompactRevision, HashRevision: h.Revision,
	}, nil
}

func (s *maintenance) hash(ctx context.Context, at int64) (h kv.HashResult, revision int64, err error) {
	err = s.read(ctx, true, func(v *kv.View) (err error) {
		revision = v.Revision()
		h, err = v.Hash(at)
		return err
	})
	return h, revision, err
}

func fold(h uint64) uint32 { return uint32(h) ^ uint32(h>>32) }

// Defragment has nothing to do: space is reclaimed while the server runs.
func (s *maintenance) Defragment(context.Context, *pb.DefragmentRequest) (*pb.DefragmentResponse, error) {
	return &pb.DefragmentResponse{Header: s.header(0)}, nil
}
