package cli

import (
	"bytes"
	"context"
	"net"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/lockstep-rsm/lockstep/server/etcdapi"
)

// answering is a server that answers every request in one way.
type answering struct {
	pb.UnimplementedKVServer
	err     error
	outcome string // told beside the error; empty: none
	hangs   bool
	over    chan struct{} // ends what hangs
}

func (a *answering) answer(ctx context.Context) error {
	if a.hangs { // beyond the client's own deadline, which comes with the request: an answer then may overtake it
		<-a.over
	}
	if a.outcome != "" {
		_ = grpc.SetTrailer(ctx, metadata.Pairs(etcdapi.OutcomeTrailer, a.outcome))
	}
	return a.err
}

func (a *answering) Put(ctx context.Context, _ *pb.PutRequest) (*pb.PutResponse, error) {
	return &pb.PutResponse{Header: &pb.ResponseHeader{}}, a.answer(ctx)
}

func (a *answering) Range(ctx context.Context, _ *pb.RangeRequest) (*pb.RangeResponse, error) {
	return &pb.RangeResponse{Header: &pb.ResponseHeader{}}, a.answer(ctx)
}

// Each exit code of docs/cli.md is what a script gets, and each is in that table.
func TestExitCodes(t *testing.T) {
	hangs := answering{hangs: true}
	cases := []struct {
		name   string
		server answering
		args   string
		want   int
		says   string
	}{
		{"done", answering{}, "put a 1", exitDone, ""},
		{"wrong usage", answering{}, "put a", exitUsage, "Usage: lockstep put KEY VALUE"},
		{"no answer to a read", hangs, "get a --timeout 300ms", exitNotDone, "no answer within 300ms: lockstep status tells why"},
		{"busy", answering{err: rpctypes.ErrGRPCRequestTooManyRequests}, "put a 1", exitNotDone, "too many requests"},
		{"disk full", answering{err: rpctypes.ErrGRPCNoSpace}, "put a 1", exitNotDone, "space"},
		{"a write that is in no log", answering{err: rpctypes.ErrGRPCTimeout, outcome: "not_committed"}, "put a 1", exitNotDone, "timed out"},
		{"no answer to a write", hangs, "put a 1 --timeout 300ms", exitUnknown, "no answer within 300ms: lockstep status tells why. The write may have been done, or may yet be: read before you repeat it"},
		{"a write that may be in the log", answering{err: rpctypes.ErrGRPCTimeout}, "put a 1", exitUnknown, "read before you repeat it"},
		{"no such key", answering{}, "get a", exitNo, ""},
		{"compacted", answering{err: rpctypes.ErrGRPCCompacted}, "get a", exitNo, "compacted"},
		{"interrupted", answering{err: context.Canceled}, "get a", exitInterrupted, "canceled"},
	}
	doc, err := os.ReadFile("../docs/cli.md")
	if err != nil {
		t.Fatal(err)
	}
	told := map[int]bool{}
	for _, m := range regexp.MustCompile(`(?m)^\| (\d+) \|`).FindAllSubmatch(doc, -1) {
		n, err := strconv.Atoi(string(m[1]))
		if err != nil {
			t.Fatal(err)
		}
		told[n] = true
	}
	tried := map[int]bool{exitFailed: true} // the scripts have many: a port in use, a directory in use
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			s := grpc.NewServer()
			c.server.over = make(chan struct{})
			pb.RegisterKVServer(s, &c.server)
			go func() { _ = s.Serve(l) }()
			defer s.Stop()
			defer close(c.server.over)
			var out, said bytes.Buffer
			p := Program{Version: "test", Out: &out, Err: &said, Getenv: func(string) string { return "" }}
			args := append(strings.Fields(c.args), "--endpoints", l.Addr().String())
			began := time.Now()
			if got := p.Run(args); got != c.want || !strings.Contains(said.String(), c.says) {
				t.Errorf("%s: exit code %d after %v, want %d; says %q, want %q", c.args, got, time.Since(began), c.want, said.String(), c.says)
			}
		})
		tried[c.want] = true
	}
	for n := range tried {
		if !told[n] {
			t.Errorf("exit code %d is not in docs/cli.md", n)
		}
	}
	if len(told) != len(tried) {
		t.Errorf("docs/cli.md has exit codes %v, tried are %v", told, tried)
	}
}
