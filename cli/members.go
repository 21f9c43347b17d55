package cli

import (
	"context"
	"slices"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
)

// listed is one server's word on which hosts there are.
type listed struct {
	got *pb.MemberListResponse
	err error
}

// members are the hosts of the cluster, as a majority has them: of the first server that can say so. One that is cut off
// from the others takes the question, and cannot answer it.
func (p *Program) members(ctx context.Context) (*pb.MemberListResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	l := p.membersOf(ctx, p.endpoints)
	return l.got, asked(l.err, false, p.timeout)
}

// membersOf asks one of these servers, and the others beside it where it cannot tell, or does not soon. Where nobody
// tells, its error is the one that counts.
func (p *Program) membersOf(ctx context.Context, endpoints []string) listed {
	conn, err := p.connectTo(ctx, endpoints)
	if err != nil {
		return listed{err: err}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	others := slices.DeleteFunc(slices.Clone(endpoints), func(e string) bool { return target(e) == conn.Target() })
	own, beside := make(chan listed, 1), make(chan listed, 1) // nobody waits for those that come too late
	p.env.Run("members", func() { own <- membersAt(ctx, conn) })
	soon := time.NewTimer(min(tokenStart, p.timeout/3))
	defer soon.Stop()
	open, last := 1, listed{}
	askOthers := func() {
		if len(others) > 0 {
			rest := others
			open, others = open+1, nil
			p.env.Run("members", func() { beside <- p.membersOf(ctx, rest) })
		}
	}
	for open > 0 {
		select {
		case l := <-own:
			if l.err == nil || open == 1 && !elsewhere(l.err) {
				return l
			}
			open, last = open-1, l
			askOthers()
		case l := <-beside:
			if l.err == nil {
				return l
			}
			open--
		case <-soon.C:
			askOthers()
		}
	}
	return last
}

func membersAt(ctx context.Context, conn *grpc.ClientConn) listed {
	defer conn.Close()
	got, err := pb.NewClusterClient(conn).MemberList(ctx, &pb.MemberListRequest{Linearizable: true})
	return listed{got, err}
}
