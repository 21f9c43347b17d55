package etcdapi

import (
	"context"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
)

// cluster is the Cluster service. Changing members is not built yet.
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
	out := &pb.MemberListResponse{Header: s.header(0)}
	for _, m := range members {
		out.Members = append(out.Members, &pb.Member{
			ID: m.ID, Name: m.Name, PeerURLs: m.PeerURLs, ClientURLs: m.ClientURLs, IsLearner: m.Learner,
		})
	}
	return out, nil
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
