package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/lockstep-rsm/lockstep"
	"github.com/lockstep-rsm/lockstep/internal/freeport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// freeAddrs are n loopback addresses that nobody listens on.
func freeAddrs(t *testing.T, n int) []string {
	t.Helper()
	addrs, err := freeport.Addrs(n)
	if err != nil {
		t.Fatal(err)
	}
	return addrs
}

func open(t *testing.T, change ...func(*Options)) *Server {
	t.Helper()
	o := Options{
		Client: freeAddrs(t, 1)[0], Version: "test", Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Host: lockstep.Options{Dir: t.TempDir(), WALSegmentBytes: 1 << 20, MaxWALBytes: 64 << 20},
	}
	for _, f := range change {
		f(&o)
	}
	s, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func get(t *testing.T, s *Server, path string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+s.Endpoint()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func TestOnePortSpeaksGRPCAndHTTP(t *testing.T) {
	s := open(t)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	conn, err := grpc.NewClient(s.Endpoint(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	keys := pb.NewKVClient(conn)
	var put *pb.PutResponse
	for ctx.Err() == nil {
		if put, err = keys.Put(ctx, &pb.PutRequest{Key: []byte("a"), Value: []byte("1")}, grpc.WaitForReady(true)); err == nil {
			break
		}
	}
	if err != nil || put.Header.Revision != 2 || put.Header.ClusterId == 0 || put.Header.MemberId == 0 || put.Header.RaftTerm == 0 {
		t.Fatalf("got %v, %v", put, err)
	}
	cases := []struct {
		path   string
		status int
		want   string
	}{
		{"/health", 200, `{"health":"true","reason":""}`},
		{"/health?serializable=true", 200, `{"health":"true","reason":""}`},
		{"/livez", 200, "ok"},
		{"/readyz", 200, "ok"},
		{"/readyz?verbose", 200, "[+]serializable_read ok\n[+]linearizable_read ok\n[+]data_corruption ok\n[+]non_learner ok\nreadyz check passed"},
		{"/readyz/linearizable_read?verbose", 200, "[+]linearizable_read ok\nreadyz check passed"},
		{"/livez/nothing", 404, "there is no check nothing"},
		{"/version", 200, `{"etcdcluster":"3.7.0","etcdserver":"3.7.3","lockstep":"test","storage":"3.7.0"}`},
		{"/nothing", 404, "404 page not found"},
	}
	for _, c := range cases {
		status, body := get(t, s, c.path)
		if status != c.status || strings.TrimSpace(body) != c.want {
			t.Errorf("%s: got %d %q, want %d %q", c.path, status, body, c.status, c.want)
		}
	}
	_, metrics := get(t, s, "/metrics")
	for _, name := range []string{`lockstep_proposals_total{outcome="committed"} 1`, `lockstep_leader{group="1"} 1`, `lockstep_repairs_total{kind="machine"} 0`, `lockstep_busy_total{budget="session"} 0`, `lockstep_replica_state{group="1",state="serving"} 1`, "lockstep_wal_sync_duration_seconds_count", "lockstep_elections_total"} {
		if !strings.Contains(metrics, name) {
			t.Errorf("/metrics lacks %s", name)
		}
	}
	list, err := pb.NewClusterClient(conn).MemberList(ctx, &pb.MemberListRequest{Linearizable: true})
	if err != nil || len(list.Members) != 1 {
		t.Fatalf("got %v, %v", list, err)
	}
	if err := s.Shutdown(ctx); err != nil {
		t.Fatal(err)
	}
}

func TestPortInUseIsNamed(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, err = Open(t.Context(), Options{Client: l.Addr().String(), Host: lockstep.Options{Dir: t.TempDir()}})
	var used *InUseError
	if !errors.As(err, &used) || used.Addr != l.Addr().String() {
		t.Fatalf("got %v", err)
	}
}

func TestPlaintextStaysOnLoopback(t *testing.T) {
	for addr, refused := range map[string]bool{"0.0.0.0:0": true, ":0": true, "10.0.0.1:1": true} {
		_, err := Open(t.Context(), Options{Client: addr, Host: lockstep.Options{Dir: t.TempDir()}})
		if refused != (err != nil && strings.Contains(err.Error(), ErrPlaintext.Error())) {
			t.Errorf("%s: got %v", addr, err)
		}
	}
}

// A host that refuses reads for want of room is busy, not dead: a supervisor must leave it alone.
func TestBusyHostIsAlive(t *testing.T) {
	const room, each = 64 << 10, 256 // the inbox's bytes, and those of one read that waits there
	s := open(t, func(o *Options) { o.Host.MaxInboxBytes = room })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for {
		if status, _ := get(t, s, "/readyz"); status == 200 {
			break
		}
		if ctx.Err() != nil {
			t.Fatal("not ready")
		}
	}
	waits, end := context.WithCancel(ctx)
	var waiting sync.WaitGroup
	eventually(t, func() error { // nothing else asks, so what is full stays full
		left := room - s.Status().InboxBytes
		for range left / each {
			waiting.Go(func() { _, _, _ = s.group.View(waits, lockstep.ReadOptions{Level: lockstep.AtLeast, After: 1 << 40}) })
		}
		if left >= each {
			return fmt.Errorf("%d bytes of the inbox are free", left)
		}
		return nil
	})
	for path, want := range map[string]int{"/livez": 200, "/health?serializable=true": 200, "/readyz": 503} {
		if status, body := get(t, s, path); status != want {
			t.Errorf("%s of a busy host: got %d %q, want %d", path, status, body, want)
		}
	}
	end()
	waiting.Wait()
	if status, body := get(t, s, "/readyz"); status != 200 {
		t.Errorf("/readyz after it cleared: %d %q", status, body)
	}
}

// A host that waits for its founders passes no probe, and the answer says what it waits for.
func TestServerThatWaitsForFoundersSaysSo(t *testing.T) {
	founders := freeAddrs(t, 2)
	s := open(t, func(o *Options) { o.Host.Addr, o.Host.Founders = founders[0], founders })
	for _, path := range []string{"/livez", "/readyz", "/health"} {
		eventually(t, func() error {
			if status, body := get(t, s, path); status != http.StatusServiceUnavailable || !strings.Contains(body, "waiting for founders: "+founders[1]) {
				return fmt.Errorf("%s answers %d %q", path, status, body)
			}
			return nil
		})
	}
}
