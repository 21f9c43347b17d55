package e2e

import (
	"net/url"
	"testing"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
)

// startEtcd runs one etcd inside the test until the test ends, and returns its address for clients. It
// syncs nothing: it is asked for its answers, not for its durability.
func startEtcd(t testing.TB) string {
	t.Helper()
	o := embed.NewConfig()
	o.Dir = t.TempDir()
	o.UnsafeNoFsync = true
	last := zap.NewProductionConfig() // what it says before it ends the process
	last.Level = zap.NewAtomicLevelAt(zap.DPanicLevel)
	logger, err := last.Build()
	if err != nil {
		t.Fatal(err)
	}
	o.ZapLoggerBuilder = embed.NewZapLoggerBuilder(logger)
	local := []url.URL{{Scheme: "http", Host: "127.0.0.1:0"}}
	o.ListenClientUrls, o.AdvertiseClientUrls = local, local
	o.ListenPeerUrls, o.AdvertisePeerUrls = local, local
	o.InitialCluster = o.InitialClusterFromName(o.Name)
	e, err := embed.StartEtcd(o)
	if err != nil {
		t.Fatalf("start etcd: %v", err)
	}
	t.Cleanup(e.Close)
	select {
	case <-e.Server.ReadyNotify():
	case err := <-e.Err():
		t.Fatalf("start etcd: %v", err)
	case <-time.After(time.Minute):
		t.Fatal("etcd is not ready within a minute")
	}
	return e.Clients[0].Addr().String()
}
