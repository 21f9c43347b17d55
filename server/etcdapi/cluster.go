package etcdapi

import (
	"context"
	"errors"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/lockstep-rsm/lockstep"
)

// Errors of Options.Remove and Promote.
var (
	ErrNoMember   = rpctypes.ErrGRPCMemberNotFound
	ErrNotLearner = rpctypes.ErrGRPCMemberNotLearner
)

// cluster is the Cluster service. A member is added by a token, which its requests have no place for,
// and tells its own addresses: MemberAdd and MemberUpdate are not built.
type cluster struct {
	pb.UnimplementedClusterServer
	*Server
}

// MemberList tells the hosts of the cluster, equal on every host if the request says linearizable.
func (s *cluster) MemberList(client context.Context, r *pb.MemberListRequest) (*pb.MemberListResponse, error) {
	ctx, cancel := context.WithTimeout(client, s.o.RequestTimeout)
	defer cancel()
	members, err := s.o.Members(ctx, r.Linearizable)
	if err != nil {
		return nil, s.answer(client, err)
	}
	return &pb.MemberListResponse{Header: s.header(0), Members: memberList(members)}, nil
}

func memberList(members []Member) (out []*pb.Member) {
	for _, m := range members {
		out = append(out, &pb.Member{
			ID: m.ID, Name: m.Name, PeerURLs: m.PeerURLs, ClientURLs: m.ClientURLs, IsLearner: m.Learner,
		})
	}
	return out
}

// MemberAdd says how a host joins.
func (s *cluster) MemberAdd(context.Context, *pb.MemberAddRequest) (*pb.MemberAddResponse, error) {
	return nil, status.Error(codes.Unimplemented, "a host joins with a token: lockstep member add prints one")
}

// MemberUpdate says that a member tells its addresses itself.
func (s *cluster) MemberUpdate(context.Context, *pb.MemberUpdateRequest) (*pb.MemberUpdateResponse, error) {
	return nil, status.Error(codes.Unimplemented, "the address that hosts dial is fixed; replace the host: lockstep member replace")
}

// MemberRemove takes a host out of all groups, and out of the cluster.
func (s *cluster) MemberRemove(client context.Context, r *pb.MemberRemoveRequest) (*pb.MemberRemoveResponse, error) {
	members, err := s.change(client, r.ID, s.o.Remove)
	if err != nil {
		return nil, err
	}
	return &pb.MemberRemoveResponse{Header: s.header(0), Members: members}, nil
}

// MemberPromote makes a learner a voter, once it follows closely.
func (s *cluster) MemberPromote(client context.Context, r *pb.MemberPromoteRequest) (*pb.MemberPromoteResponse, error) {
	members, err := s.change(client, r.ID, s.o.Promote)
	if err != nil {
		return nil, err
	}
	return &pb.MemberPromoteResponse{Header: s.header(0), Members: members}, nil
}

// change does one change of members, and lists them after it.
func (s *cluster) change(client context.Context, id uint64, do func(ctx context.Context, id uint64) error) ([]*pb.Member, error) {
	if do == nil {
		return nil, status.Error(codes.Unimplemented, "members cannot be changed here")
	}
	ctx, cancel := context.WithTimeout(client, s.o.RequestTimeout)
	defer cancel()
	err := do(ctx, id)
	switch {
	case errors.Is(err, ErrNoMember), errors.Is(err, ErrNotLearner):
		return nil, err
	case errors.Is(err, lockstep.ErrRefused), errors.Is(err, lockstep.ErrOptions):
		return nil, status.Error(codes.FailedPrecondition, err.Error())
	case err != nil:
		return nil, s.answer(client, err)
	}
	members, err := s.o.Members(ctx, false)
	if err != nil {
		return nil, s.answer(client, err)
	}
	return memberList(members), nil
}

// auth is the Auth service, of which only the truth that it is off is built yet.
type auth struct {
	pb.UnimplementedAuthServer
	*Server
}

// AuthStatus says that authentication is off.
func (s *auth) AuthStatus(context.Context, *pb.AuthStatusRequest) (*pb.AuthStatusResponse, error) {
	return &pb.AuthStatusResponse{Header: s.header(0)}, nil
}

// Authenticate refuses, since authentication is off.
func (s *auth) Authenticate(context.Context, *pb.AuthenticateRequest) (*pb.AuthenticateResponse, error) {
	return nil, rpctypes.ErrGRPCAuthNotEnabled
}
