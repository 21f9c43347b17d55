package etcdapi

import (
	"net/http"
	"strings"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// instead says of calls that are not built what does their work; whoever typed one reads it.
var instead = map[string]string{
	pb.Maintenance_Snapshot_FullMethodName:   "etcdserver: Lockstep streams no snapshot yet; etcdctl make-mirror copies the keys into another cluster",
	pb.Maintenance_MoveLeader_FullMethodName: "etcdserver: Lockstep moves the leader by priority: lockstep member priority ID 9, and ID 1 once it leads",
	pb.Maintenance_Downgrade_FullMethodName:  "etcdserver: Lockstep needs no downgrade to be begun: start the build before, as long as feature_level in /status allows it",
}

// authService is what the names of its calls begin with.
var authService = "/" + pb.Auth_ServiceDesc.ServiceName + "/"

// notServed is the answer of the JSON form to a path that it does not have.
func notServed(method, path string) error {
	why := " is not served: send POST to a path of the etcd v3 API"
	switch {
	case method == http.MethodPost && strings.HasPrefix(path, "/v3/lease/"):
		return errNoLeases
	case method == http.MethodPost:
		why = " is not served: it is no path of the etcd v3 API, or one that Lockstep has not yet"
	}
	return status.Error(codes.Unimplemented, method+" "+path+why)
}

// orInstead puts that in the place of gRPC's own words.
func orInstead(method string, err error) error {
	if status.Code(err) != codes.Unimplemented {
		return err
	}
	text, known := instead[method]
	if !known && strings.HasPrefix(method, authService) {
		text, known = "etcdserver: Lockstep has no users and roles yet: guard the client port by its network, or by --ca", true
	}
	if !known {
		return err
	}
	return status.Error(codes.Unimplemented, text)
}
