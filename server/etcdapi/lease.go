package etcdapi

import (
	"context"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// leases is the Lease service, which says that there are none.
type leases struct{ pb.UnimplementedLeaseServer }

var errNoLeases = status.Error(codes.Unimplemented, "etcdserver: Lockstep has no leases yet")

// LeaseGrant is refused.
func (leases) LeaseGrant(context.Context, *pb.LeaseGrantRequest) (*pb.LeaseGrantResponse, error) {
	return nil, errNoLeases
}

// LeaseRevoke is refused.
func (leases) LeaseRevoke(context.Context, *pb.LeaseRevokeRequest) (*pb.LeaseRevokeResponse, error) {
	return nil, errNoLeases
}

// LeaseKeepAlive is refused.
func (leases) LeaseKeepAlive(grpc.BidiStreamingServer[pb.LeaseKeepAliveRequest, pb.LeaseKeepAliveResponse]) error {
	return errNoLeases
}

// LeaseTimeToLive is refused.
func (leases) LeaseTimeToLive(context.Context, *pb.LeaseTimeToLiveRequest) (*pb.LeaseTimeToLiveResponse, error) {
	return nil, errNoLeases
}

// LeaseLeases is refused.
func (leases) LeaseLeases(context.Context, *pb.LeaseLeasesRequest) (*pb.LeaseLeasesResponse, error) {
	return nil, errNoLeases
}
