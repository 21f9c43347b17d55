package main

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
)

// etcdEngine runs etcd's server, asked without its network API: with its store of revisions, which
// does more for a put than the table of the library peers. Its timings are its defaults.
type etcdEngine struct{}

type etcdReplica struct{ e *embed.Etcd }

func (etcdEngine) open(p place) (replica, error) {
	client, err := freeAddrs(1)
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

func (r *etcdReplica) put(cmd []byte) error {
	ctx, cancel := context.WithTimeout(context.Background(), putTimeout)
	defer cancel()
	_, err := r.e.Server.Put(ctx, &etcdserverpb.PutRequest{Key: cmd[:8], Value: cmd[8:]})
	return err
}

func (r *etcdReplica) leads() bool { return r.e.Server.Leader() == r.e.Server.MemberID() }

func (r *etcdReplica) close() { r.e.Close() }
