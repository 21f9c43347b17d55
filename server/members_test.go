package server

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/lockstep-rsm/lockstep/server/admin"
)

// TestFourthServerJoinsAndVotes: a token from one server, one start of another, and it votes; then a
// founder is removed by etcd's own request.
func TestFourthServerJoinsAndVotes(t *testing.T) {
	founders := freeAddrs(t, 3)
	servers := make([]*Server, 0, 4)
	for _, addr := range founders {
		servers = append(servers, open(t, func(o *Options) { o.Host.Addr, o.Host.Founders = addr, founders }))
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	conn, err := grpc.NewClient(servers[0].Endpoint(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	until := func(what string, met func() bool) {
		t.Helper()
		pause := servers[0].env.NewWaiter()
		for !met() {
			if ctx.Err() != nil {
				t.Fatalf("waited in vain: %s", what)
			}
			_ = pause.Wait(ctx, servers[0].env.Clock().Now()+20*time.Millisecond)
		}
	}
	keys, cluster := pb.NewKVClient(conn), pb.NewClusterClient(conn)
	until("a put", func() bool {
		_, err := keys.Put(ctx, &pb.PutRequest{Key: []byte("a"), Value: []byte("1")}, grpc.WaitForReady(true))
		return err == nil
	})
	var token admin.TokenAnswer
	until("a token", func() bool { return askToken(ctx, t, servers[1], &token) })
	servers = append(servers, open(t, func(o *Options) { o.Host.Addr, o.Host.Join = freeAddrs(t, 1)[0], token.Token }))
	until("four voters", func() bool { return len(servers[3].group.Status().Configuration.Voters) == 4 })
	until("four members that tell their endpoints", func() bool {
		got, err := cluster.MemberList(ctx, &pb.MemberListRequest{Linearizable: true})
		return err == nil && len(got.Members) == 4 && len(got.Members[3].ClientURLs) == 1
	})
	for name, c := range map[string]struct {
		call func() error
		want codes.Code
	}{
		"add": {func() error {
			return errOf(cluster.MemberAdd(ctx, &pb.MemberAddRequest{PeerURLs: []string{"http://x:1"}}))
		}, codes.Unimplemented},
		"promote a voter": {func() error { return errOf(cluster.MemberPromote(ctx, &pb.MemberPromoteRequest{ID: 4})) }, codes.FailedPrecondition},
		"remove nobody":   {func() error { return errOf(cluster.MemberRemove(ctx, &pb.MemberRemoveRequest{ID: 99})) }, codes.NotFound},
	} {
		until(name+" answers "+c.want.String(), func() bool { return status.Code(c.call()) == c.want }) // an election may come between
	}
	until("the third is removed", func() bool {
		got, err := cluster.MemberRemove(ctx, &pb.MemberRemoveRequest{ID: 3})
		return err == nil && !slices.ContainsFunc(got.Members, func(m *pb.Member) bool { return m.ID == 3 }) ||
			status.Code(err) == codes.NotFound
	})
	until("the fourth serves what was put", func() bool {
		other, err := grpc.NewClient(servers[3].Endpoint(), grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		got, err := pb.NewKVClient(other).Range(ctx, &pb.RangeRequest{Key: []byte("a")})
		return err == nil && len(got.Kvs) == 1
	})
}

// askToken says whether the server gave one.
func askToken(ctx context.Context, t *testing.T, s *Server, token *admin.TokenAnswer) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.Endpoint()+"/members/token?for=1m", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	return json.NewDecoder(resp.Body).Decode(token) == nil && token.Token != ""
}

func errOf[T any](_ T, err error) error { return err }
