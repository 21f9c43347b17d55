package etcdapi

import (
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/lockstep-rsm/lockstep"
)

// starting makes the group's replica one that does not know yet what of its disk is committed.
func (g *fakeGroup) starting(is bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.starts = is
}

// TestStartingHostAnswersFromAMajority reads, watches and asks for status on a host that has just
// started: what it says of the store is what a majority confirms, never the store before everything.
func TestStartingHostAnswersFromAMajority(t *testing.T) {
	r := newRig(t)
	at := r.put(t, "a", "1")
	r.group.starting(true)
	local := &pb.RangeRequest{Key: []byte("a"), Serializable: true}
	if a, err := r.kv.Range(testContext(t), local); err != nil || a.Count != 1 || a.Header.Revision != at {
		t.Errorf("serializable read: %v, %v", a, err)
	}
	care := pb.NewMaintenanceClient(r.conn)
	if s, err := care.Status(testContext(t), &pb.StatusRequest{}); err != nil || s.Header.Revision != at {
		t.Errorf("status: %v, %v", s, err)
	}
	w := r.watch(t, &pb.WatchCreateRequest{Key: []byte("a")})
	if created := w.next(); !created.Created || created.Header.Revision != at {
		t.Errorf("a watch from now on is created at %v, the store is at %d", created, at)
	}

	r.group.breakDown(lockstep.ErrNoQuorum, false)
	for name, ask := range map[string]func() error{
		"serializable read": func() error { _, err := r.kv.Range(testContext(t), local); return err },
		"status":            func() error { _, err := care.Status(testContext(t), &pb.StatusRequest{}); return err },
		"watch": func() error {
			s, err := pb.NewWatchClient(r.conn).Watch(testContext(t))
			if err == nil {
				err = s.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: &pb.WatchCreateRequest{Key: []byte("a")}}})
			}
			if err == nil {
				_, err = s.Recv()
			}
			return err
		},
	} {
		err := ask()
		if status.Code(err) != codes.Unavailable || status.Convert(err).Message() != "etcdserver: recovering: 4 entries are unknown" {
			t.Errorf("%s without a majority: %v", name, err)
		}
	}
}
