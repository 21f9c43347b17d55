package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/lockstep-rsm/lockstep/env"
	"github.com/lockstep-rsm/lockstep/server/etcdapi"
)

// hung gives addresses of n servers that take connections and never say anything.
func hung(t *testing.T, n int) (addrs []string) {
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		addrs = append(addrs, l.Addr().String()) // the kernel takes connections, nobody accepts them
	}
	return addrs
}

// Servers that hang cost one timeout, not one each.
func TestStatusAsksAllAtOnce(t *testing.T) {
	var out bytes.Buffer
	p := Program{Out: &out, env: env.OS(), timeout: time.Second, endpoints: hung(t, 6)}
	began := time.Now()
	rows := p.allStatus(t.Context())
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("six hung servers cost %v, --timeout is %v", took, p.timeout)
	}
	for i, r := range rows {
		if r.Endpoint != p.endpoints[i] || r.State != "unreachable" || r.Why != "no answer within 1s" {
			t.Errorf("row %d: %+v", i, r)
		}
	}
	if len(rows) != 6 {
		t.Errorf("%d rows of 6 servers", len(rows))
	}
	p.printStatus(rows)
	if !strings.Contains(out.String(), "No server answers") {
		t.Errorf("printed %s", out.String())
	}
}

// Commands reach the server that answers behind those that hang, and all of a command has one timeout.
func TestHungServersLeaveTimeForTheOthers(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer()
	go func() { _ = s.Serve(l) }()
	defer s.Stop()
	p := Program{env: env.OS(), timeout: 20 * time.Second, endpoints: append(hung(t, 4), l.Addr().String())}
	began := time.Now()
	err = p.ask(t.Context(), false, func(ctx context.Context, conn *grpc.ClientConn) error {
		if want := "passthrough:///" + l.Addr().String(); conn.Target() != want {
			return fmt.Errorf("connected to %s, not %s", conn.Target(), want)
		}
		if at, ok := ctx.Deadline(); !ok || at.After(began.Add(p.timeout+time.Second)) {
			return fmt.Errorf("the request may last until %v, though the command began at %v and --timeout is %v", at, began, p.timeout)
		}
		return nil
	})
	if took := time.Since(began); err != nil || took > 10*time.Second {
		t.Errorf("connected after %v: %v", took, err)
	}
}

// A token is of the first server that makes one, and who votes is told by those that answer: one that hangs keeps neither.
func TestMemberIsAddedBesideServersThatHang(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/status" {
			_, _ = io.WriteString(w, `{"id":3}`)
			return
		}
		_, _ = io.WriteString(w, `{"token":"t"}`)
	}))
	defer s.Close()
	p := Program{env: env.OS(), timeout: 30 * time.Second, endpoints: append(hung(t, 3), s.Listener.Addr().String())}
	began := time.Now()
	token, err := p.anyToken(t.Context(), time.Hour)
	if took := time.Since(began); err != nil || token != "t" || took > 15*time.Second {
		t.Errorf("token %q after %v: %v", token, took, err)
	}
	began = time.Now()
	all := p.askEach(t.Context(), p.endpoints, true, othersHave)
	if took := time.Since(began); len(all) != 4 || all[0].err == nil || all[3].err != nil || all[3].status.ID != 3 || took > 15*time.Second {
		t.Errorf("asked for %v: %+v", took, all)
	}
}

// A server that refuses is passed over at once, and each that did is named.
func TestServersThatMakeNoTokenAreNamed(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"error":"no majority"}`) }))
	defer s.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone := l.Addr().String()
	_ = l.Close()
	p := Program{env: env.OS(), timeout: 30 * time.Second, endpoints: []string{gone, s.Listener.Addr().String()}}
	_, err = p.anyToken(t.Context(), time.Hour)
	for _, part := range []string{"ask " + gone + " for a token", "no majority"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%v: %q is missing", err, part)
		}
	}
}

func TestNobodyAnswersNamesEveryEndpoint(t *testing.T) {
	p := Program{env: env.OS(), timeout: time.Second, endpoints: hung(t, 3)}
	began := time.Now()
	_, err := p.connect(t.Context())
	if took := time.Since(began); err == nil || took > 3*time.Second {
		t.Fatalf("after %v: %v", took, err)
	}
	at := 0
	for _, e := range p.endpoints {
		i := strings.Index(err.Error(), e+" takes connections, but does not speak gRPC or does not answer")
		if i < at {
			t.Errorf("%s is missing, or out of order, in: %v", e, err)
		}
		at = i
	}
}

// A server that holds no replica of the keys answers, and cannot serve: the next one is asked. Other errors are the
// command's end.
func TestServerThatCannotServeIsPassedOver(t *testing.T) {
	var addrs []string
	for range 3 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		s := grpc.NewServer()
		go func() { _ = s.Serve(l) }()
		t.Cleanup(s.Stop)
		addrs = append(addrs, l.Addr().String())
	}
	p := Program{env: env.OS(), timeout: 20 * time.Second, endpoints: addrs}
	for text, asks := range map[string]int{
		"etcdserver: " + etcdapi.NoReplica: 3, "Remove: another host has to remove this one": 3, "etcdserver: no leader": 1,
	} {
		var asked []string
		err := p.ask(t.Context(), true, func(_ context.Context, conn *grpc.ClientConn) error {
			asked = append(asked, conn.Target())
			return status.Error(codes.Unavailable, text)
		})
		if len(asked) != asks || err == nil {
			t.Errorf("%q was answered by %v: %v", text, asked, err)
		}
	}
}

// cutOff answers no question about the cluster before it is given up; of a server that is not, it lists one host.
type cutOff struct {
	pb.UnimplementedClusterServer
	is bool
}

func (c *cutOff) MemberList(ctx context.Context, _ *pb.MemberListRequest) (*pb.MemberListResponse, error) {
	if c.is {
		<-ctx.Done()
		return nil, status.Error(codes.Unavailable, "etcdserver: request timed out")
	}
	return &pb.MemberListResponse{Members: []*pb.Member{{ID: 7}}}, nil
}

// A server that is cut off from the other hosts takes the question who there is, and cannot answer it: the next one is
// asked, and waited for no longer than an answer of its own would be.
func TestMembersAreOfAServerThatIsNotCutOff(t *testing.T) {
	serve := func(is bool) string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		s := grpc.NewServer()
		pb.RegisterClusterServer(s, &cutOff{is: is})
		go func() { _ = s.Serve(l) }()
		t.Cleanup(s.Stop)
		return l.Addr().String()
	}
	first, second, third := serve(true), serve(true), serve(false)
	p := Program{env: env.OS(), timeout: 30 * time.Second, endpoints: []string{first, second, third}}
	began := time.Now()
	got, err := p.members(t.Context())
	if took := time.Since(began); err != nil || len(got.GetMembers()) != 1 || took > 15*time.Second {
		t.Errorf("after %v: %v, %v", took, got, err)
	}
	p.timeout, p.endpoints = 500*time.Millisecond, []string{first, second}
	if _, err := p.members(t.Context()); err == nil || exitCode(err) != exitNotDone {
		t.Errorf("nobody can say who there is: %v", err)
	}
}
