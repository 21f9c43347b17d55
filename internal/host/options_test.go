package host

import (
	"crypto/tls"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/lockstep-rsm/lockstep/machine"
)

func goodOptions() Options {
	return Options{Dir: "d", Machines: map[string]machine.Kind{"registry": registryKind.Kind()}}
}

func TestDefaultsFitTogether(t *testing.T) {
	o := goodOptions()
	if err := o.fill(); err != nil {
		t.Fatal(err)
	}
	if o.ElectionTimeout < 4*o.Heartbeat || o.WALSegmentBytes*4 > o.MaxWALBytes || o.SnapshotAfterBytes > o.MaxWALBytes/4 {
		t.Errorf("defaults: %+v", o)
	}
	small := goodOptions()
	small.MaxWALBytes = 1 * mib
	if err := small.fill(); err != nil {
		t.Errorf("a small log: %v", err)
	}
}

func TestImpossibleOptionsAreNamed(t *testing.T) {
	for field, change := range map[string]func(o *Options){
		"Dir":                    func(o *Options) { o.Dir = "" },
		"Machines":               func(o *Options) { o.Machines = map[string]machine.Kind{"x": {}} },
		"Heartbeat":              func(o *Options) { o.Heartbeat = -time.Second },
		"ElectionTimeout":        func(o *Options) { o.ElectionTimeout = 100 * time.Millisecond },
		"MaxInboxBytes":          func(o *Options) { o.MaxInboxBytes = 1 },
		"MaxInFlightBytes":       func(o *Options) { o.MaxInFlightBytes = -1 },
		"MaxApplyBytes":          func(o *Options) { o.MaxApplyBytes = 1 },
		"MaxCacheBytes":          func(o *Options) { o.MaxCacheBytes = 1 },
		"WALSegmentBytes":        func(o *Options) { o.WALSegmentBytes = 1 },
		"MaxWALBytes":            func(o *Options) { o.WALSegmentBytes, o.MaxWALBytes = 64*kib, 128*kib },
		"SnapshotBytesPerSecond": func(o *Options) { o.SnapshotBytesPerSecond = 1 },
		"SnapshotAfterBytes":     func(o *Options) { o.SnapshotAfterBytes = 1 },
		"Loops":                  func(o *Options) { o.Loops = -1 },
		"Lanes":                  func(o *Options) { o.Lanes = 1025 },
		"Join":                   func(o *Options) { o.Join = "a:1" },
		"Addr":                   func(o *Options) { o.Founders = []string{"localhost:1"} },
		"Founders":               func(o *Options) { o.Addr, o.Founders = "localhost:1", []string{"localhost:1", "localhost:1"} },
		"TLS":                    func(o *Options) { o.Addr, o.Founders = "10.0.0.1:1", []string{"10.0.0.1:1"} },
	} {
		o := goodOptions()
		change(&o)
		if err := o.fill(); !errors.Is(err, ErrOptions) || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: %v", field, err)
		}
	}
}

// An address that nobody can dial would be found out when the second host is to reach the first.
func TestAddressThatNobodyCanDialIsRefused(t *testing.T) {
	for addr, says := range map[string]string{
		"0.0.0.0:2380": "others cannot dial", "[::]:2380": "others cannot dial", ":2380": "others cannot dial",
		"10.0.0.1": "host:port", "10.0.0.1:": "host:port", "10.0.0.1:http": "host:port",
	} {
		for _, insecure := range []bool{false, true} {
			own, founder := goodOptions(), goodOptions()
			own.Addr, own.Insecure = addr, insecure
			founder.Addr, founder.Founders, founder.Insecure = "localhost:1", []string{"localhost:1", addr}, insecure
			for field, o := range map[string]*Options{"Addr": &own, "Founders": &founder} {
				if err := o.fill(); !errors.Is(err, ErrOptions) || !strings.Contains(err.Error(), field) || !strings.Contains(err.Error(), says) {
					t.Errorf("%s %s, Insecure %v: %v, want %q", field, addr, insecure, err, says)
				}
			}
		}
	}
}

func TestPlaintextIsForLoopbackOrOnDemand(t *testing.T) {
	for addr, plain := range map[string]bool{
		"localhost:1": true, "127.0.0.1:1": true, "127.8.8.8:1": true, "[::1]:1": true,
		"127.example.com:1": false, "10.0.0.1:1": false, "localhost.example.com:1": false,
	} {
		o := goodOptions()
		o.Addr = addr
		if err := o.fill(); (err == nil) != plain {
			t.Errorf("%s in plaintext: %v", addr, err)
		}
		o.Insecure = true
		if err := o.fill(); err != nil {
			t.Errorf("%s, Insecure: %v", addr, err)
		}
		o.Insecure, o.TLS = false, &tls.Config{}
		if err := o.fill(); err != nil {
			t.Errorf("%s with TLS: %v", addr, err)
		}
	}
}
