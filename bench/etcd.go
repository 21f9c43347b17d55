package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/url"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"

	"github.com/lockstep-rsm/lockstep/internal/freeport"
)

// etcdEngine runs etcd's server, asked without its network API: with its store of revisions, which
// does more for a put than the table of the library peers.
type etcdEngine struct{}

type etcdReplica struct{ e *embed.Etcd }

func (etcdEngine) open(p place) (replica, error) {
	if p.groupCount() > 1 {
		return nil, oneGroup
	}
	client, err := freeport.Addrs(1)
	if err != nil {
		return nil, err
	}
	return openEtcd(p, client[0])
}

// openEtcd starts an etcd that serves clients at an address.
func openEtcd(p place, client string) (*etcdReplica, error) {
	c := embed.NewConfig()
	c.Name, c.Dir = fmt.Sprintf("member%d", p.number), p.dir
	own := []url.URL{{Scheme: "http", Host: p.addr()}}
	c.ListenPeerUrls, c.AdvertisePeerUrls = own, own
	clients := []url.URL{{Scheme: "http", Host: client}}
	c.ListenClientUrls, c.AdvertiseClientUrls = clients, clients
	var members []string
	for i, a := range p.addrs {
		members = append(members, fmt.Sprintf("member%d=http://%s", i+1, a))
	}
	c.InitialCluster = strings.Join(members, ",")
	c.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop())
	c.QuotaBackendBytes = 32 << 30
	if d := p.timings; d.Election > 0 {
		c.TickMs, c.ElectionMs = uint(d.Heartbeat.Milliseconds()), uint(d.Election.Milliseconds())
	}
	e, err := embed.StartEtcd(c)
	if err != nil {
		return nil, fmt.Errorf("start etcd: %w", err)
	}
	select {
	case <-e.Server.ReadyNotify():
		return &etcdReplica{e}, nil
	case err := <-e.Err():
		return nil, fmt.Errorf("start etcd: %w", err)
	case <-time.After(time.Minute):
		e.Close()
		return nil, fmt.Errorf("start etcd: no leader after a minute")
	}
}

func (r *etcdReplica) put(_ int, cmd []byte) error {
	ctx, cancel := context.WithTimeout(context.Background(), putTimeout)
	defer cancel()
	_, err := r.e.Server.Put(ctx, &etcdserverpb.PutRequest{Key: cmd[:8], Value: cmd[8:]})
	return err
}

func (r *etcdReplica) start(int, []byte) (waiter, error) { return nil, noPipeline }

func (r *etcdReplica) get(_ int, key uint64) error {
	ctx, cancel := context.WithTimeout(context.Background(), putTimeout)
	defer cancel()
	_, err := r.e.Server.Range(ctx, &etcdserverpb.RangeRequest{Key: binary.LittleEndian.AppendUint64(nil, key)})
	return err
}

func (r *etcdReplica) leads(int) bool { return r.e.Server.Leader() == r.e.Server.MemberID() }

func (r *etcdReplica) applied(int) uint64 { return r.e.Server.AppliedIndex() }

func (r *etcdReplica) close() { r.e.Close() }
