package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"

	"github.com/lockstep-rsm/lockstep/internal/freeport"
)

// A trio is a cluster of replicas on this machine, mostly three.
type trio struct {
	replicas []*replica
	t        testing.TB
}

// startTrio starts n replicas with empty directories and waits until a write was committed. All end with
// the test; if it failed, their logs are printed. More are flags of each.
func startTrio(t testing.TB, n int, more ...string) *trio {
	t.Helper()
	return startTrioIn(t, n, t.TempDir(), more...)
}

// startTrioIn is startTrio with directories below dir.
func startTrioIn(t testing.TB, n int, dir string, more ...string) *trio {
	t.Helper()
	c := layTrio(t, n, dir, more...)
	for _, r := range c.replicas {
		r.start(t)
	}
	c.serving(30 * time.Second)
	return c
}

// layTrio prepares a trio below dir and starts nothing.
func layTrio(t testing.TB, n int, dir string, more ...string) *trio {
	t.Helper()
	program(t)
	c := &trio{t: t}
	ports := freePorts(t, 2*n)
	var founders []string
	for i := range n {
		founders = append(founders, ports[n+i])
	}
	for i := range n {
		name := strconv.Itoa(i + 1)
		r := &replica{name: name, dir: filepath.Join(dir, name), log: filepath.Join(t.TempDir(), name+".log"), client: ports[i], host: ports[n+i]}
		r.args = append([]string{
			"serve", "--data", r.dir, "--client", r.client, "--host", r.host, "--name", name,
			"--founders", strings.Join(founders, ","),
		}, more...)
		c.replicas = append(c.replicas, r)
	}
	t.Cleanup(c.stop)
	return c
}

// stop ends all processes, and tells their logs if the test failed.
func (c *trio) stop() {
	for _, r := range c.replicas {
		if r.process != nil {
			crashed := !r.process.alive()
			r.process.end()
			if crashed && r.said("panic") {
				c.t.Errorf("replica %s panicked", r.name)
			}
		}
		if c.t.Failed() || *keep {
			c.t.Logf("log of replica %s:\n%s", r.name, r.tail())
		}
	}
}

// freePorts finds addresses on loopback that nobody listens on.
func freePorts(t testing.TB, n int) []string {
	t.Helper()
	addrs, err := freeport.Addrs(n)
	if err != nil {
		t.Fatal(err)
	}
	return addrs
}

// endpoints are the addresses for clients.
func (c *trio) endpoints() (list []string) {
	for _, r := range c.replicas {
		list = append(list, r.client)
	}
	return list
}

// newClient is etcd's client for all replicas, or for the given ones.
func (c *trio) newClient(of ...*replica) *clientv3.Client {
	c.t.Helper()
	addrs := c.endpoints()
	if len(of) > 0 {
		addrs = (&trio{replicas: of}).endpoints()
	}
	client, err := clientv3.New(clientv3.Config{
		Endpoints: addrs, Logger: zap.NewNop(), DialTimeout: 5 * time.Second,
		DialOptions: []grpc.DialOption{grpc.WithContextDialer(reach), grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(1 << 30))},
	})
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = client.Close() })
	return client
}

// serving waits until a write is committed that changes nothing, and returns how long that took. Each
// attempt dials anew: a client that has been refused once would wait a second.
func (c *trio) serving(d time.Duration) time.Duration {
	c.t.Helper()
	return within(c.t, d, "commit a write", func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		answers := make(chan error, len(c.replicas))
		asked := 0
		for _, r := range c.replicas {
			if r.process == nil {
				continue
			}
			if !r.process.alive() {
				c.t.Fatalf("replica %s has ended: %v", r.name, r.process.err)
			}
			asked++
			go func() { answers <- r.touch(ctx) }()
		}
		err := errors.New("nobody runs")
		for range asked {
			if err = <-answers; err == nil {
				return nil
			}
		}
		return err
	})
}

// touch has the replica commit a write that changes nothing.
func (r *replica) touch(ctx context.Context) error {
	conn, err := plainConn(r.client)
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = pb.NewKVClient(conn).DeleteRange(ctx, &pb.DeleteRangeRequest{Key: []byte("\x00nothing")})
	return err
}

// leader asks every replica and returns the one that all who answer say leads in the highest term; nil
// while there is none.
func (c *trio) leader(ctx context.Context) (found *replica) {
	var term uint64
	for _, r := range c.replicas {
		if r.process == nil || !r.process.alive() {
			continue
		}
		if s, err := r.status(ctx); err == nil && s.Leader != 0 && s.Leader == s.Header.MemberId && s.RaftTerm > term {
			found, term = r, s.RaftTerm
		}
	}
	return found
}

// awaitLeader waits for a leader among the running replicas.
func (c *trio) awaitLeader(d time.Duration) (leader *replica) {
	c.t.Helper()
	within(c.t, d, "find a leader", func(ctx context.Context) error {
		if leader = c.leader(ctx); leader == nil {
			return errors.New("nobody leads")
		}
		return nil
	})
	return leader
}

// term is the highest that a replica says.
func (c *trio) term() (term uint64) {
	c.t.Helper()
	within(c.t, 10*time.Second, "tell the term", func(ctx context.Context) error {
		for _, r := range c.replicas {
			if st, err := r.status(ctx); err == nil {
				term = max(term, st.RaftTerm)
			}
		}
		if term == 0 {
			return fmt.Errorf("nobody answers")
		}
		return nil
	})
	return term
}

// others are all replicas but one.
func (c *trio) others(but *replica) (list []*replica) {
	for _, r := range c.replicas {
		if r != but {
			list = append(list, r)
		}
	}
	return list
}

// status is etcd's Maintenance.Status of one replica, at once or not at all.
func (r *replica) status(ctx context.Context) (*pb.StatusResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
	defer cancel()
	conn, err := plainConn(r.client)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return pb.NewMaintenanceClient(conn).Status(ctx, &pb.StatusRequest{})
}

// A report is the part of /status that tests read.
type report struct {
	ID      uint64
	Cluster string
	PID     int
	Disk    string
	Groups  []struct {
		Group       uint64
		Role, State string
		Why         string
		Term        uint64
		Leader      uint64
		Commit      uint64
		Applied     uint64
		Snapshot    uint64
		Digest      string
		DigestIndex uint64 `json:"digest_index"`
		Tolerates   int
	}
}

// report is GET /status of one replica.
func (r *replica) report(ctx context.Context) (*report, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.client+"/status", nil)
	if err != nil {
		return nil, err
	}
	response, err := web.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("/status answers %s", response.Status)
	}
	s := new(report)
	return s, json.NewDecoder(response.Body).Decode(s)
}
