package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// A network is a bridge in a network namespace of its own, and places around it. The kernel takes all of it
// back when this process has ended: nothing has a name on the machine.
type network struct {
	t      testing.TB
	hub    *place
	places []*place
}

// A place is one namespace with one address, linked to the bridge.
type place struct {
	ip    string
	ns    *os.File
	rules string // that hold now
}

// places are those of all networks, by address, so that whatever dials an address from outside is there.
var places sync.Map

// newNetwork makes a network without places, or skips the test and says why.
func newNetwork(t testing.TB) *network {
	t.Helper()
	if why := noNamespaces(); why != "" {
		t.Skip("nothing is cut off from anything here: " + why)
	}
	n := &network{t: t, hub: newPlace(t, "hub")}
	n.hub.run(t, "", "ip", "link", "add", "hub", "type", "bridge")
	n.hub.run(t, "", "ip", "link", "set", "hub", "up")
	return n
}

// noNamespaces says why this machine cannot give network namespaces, links and rules; empty: it can.
func noNamespaces() string {
	if os.Getuid() != 0 {
		return "network namespaces take root"
	}
	for _, name := range []string{"ip", "nft"} {
		if _, err := exec.LookPath(name); err != nil {
			return "this takes ip and nft: install Debian's iproute2 and nftables"
		}
	}
	p, err := unshare("trial")
	if err != nil {
		return err.Error()
	}
	defer p.ns.Close()
	for _, c := range [][2]string{{"ip link add hub type bridge", ""}, {"ip link add eth0 type veth peer name p0", ""}, {"nft -f -", p.table(nil)}} {
		if err := p.try(c[1], strings.Fields(c[0])...); err != nil {
			return err.Error()
		}
	}
	return ""
}

// unshare makes a namespace without links.
func unshare(ip string) (*place, error) {
	p := &place{ip: ip}
	return p, onThread(func() (err error) {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("make a network namespace: %w", err)
		}
		p.ns, err = os.Open("/proc/thread-self/ns/net")
		return err
	})
}

func newPlace(t testing.TB, ip string) *place {
	t.Helper()
	p, err := unshare(ip)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.ns.Close() })
	p.run(t, "", "ip", "link", "set", "lo", "up")
	return p
}

// add links another place to the bridge.
func (n *network) add() *place {
	n.t.Helper()
	i := len(n.places) + 1
	p := newPlace(n.t, fmt.Sprintf("10.77.0.%d", i))
	port := fmt.Sprintf("p%d", i)
	p.run(n.t, "", "ip", "link", "add", "eth0", "type", "veth", "peer", "name", port, "netns", fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), n.hub.ns.Fd()))
	p.run(n.t, "", "ip", "addr", "add", p.ip+"/24", "dev", "eth0")
	p.run(n.t, "", "ip", "link", "set", "eth0", "up")
	n.hub.run(n.t, "", "ip", "link", "set", port, "master", "hub", "up")
	n.places = append(n.places, p)
	places.Store(p.ip, p)
	n.t.Cleanup(func() { places.Delete(p.ip) })
	return p
}

// onThread calls f on a thread of its own, which ends with it: what f does to the thread, such as entering a
// namespace, stays there.
func onThread(f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocks
		done <- f()
	}()
	return <-done
}

// do calls f on a thread that is in the namespace.
func (p *place) do(f func() error) error {
	return onThread(func() error {
		if err := unix.Setns(int(p.ns.Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter the namespace of %s: %w", p.ip, err)
		}
		return f()
	})
}

// try runs a command there.
func (p *place) try(stdin string, args ...string) error {
	return p.do(func() error {
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Stdin = strings.NewReader(stdin)
		if said, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(said))
		}
		return nil
	})
}

func (p *place) run(t testing.TB, stdin string, args ...string) {
	t.Helper()
	if err := p.try(stdin, args...); err != nil {
		t.Fatal(err)
	}
}

// dial connects from there.
func (p *place) dial(ctx context.Context, addr string) (conn net.Conn, err error) {
	return conn, p.do(func() error {
		conn, err = new(net.Dialer).DialContext(ctx, "tcp", addr) // of one address: on this thread
		return err
	})
}

// reach connects to a replica from beside it, where no rule cuts, and to all else as ever.
func reach(ctx context.Context, addr string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	if p, ok := places.Load(host); ok {
		return p.(*place).dial(ctx, addr)
	}
	return new(net.Dialer).DialContext(ctx, "tcp", addr)
}

// web asks over HTTP as reach does.
var web = &http.Client{Transport: &http.Transport{
	DialContext:       func(ctx context.Context, _, addr string) (net.Conn, error) { return reach(ctx, addr) },
	DisableKeepAlives: true,
}}

// The ports of a replica in a place.
const (
	clientPort = 2379
	hostPort   = 2380
)

// replicaAt prepares a replica in a place.
func replicaAt(t testing.TB, p *place, name string, args ...string) *replica {
	r := &replica{name: name, dir: filepath.Join(t.TempDir(), name), log: filepath.Join(t.TempDir(), name+".log"), at: p}
	r.client, r.host = net.JoinHostPort(p.ip, strconv.Itoa(clientPort)), net.JoinHostPort(p.ip, strconv.Itoa(hostPort))
	r.args = append([]string{"serve", "--data", r.dir, "--client", r.client, "--host", r.host, "--name", name, "--insecure"}, args...)
	return r
}

// A cut keeps packets that come from some places from arriving at others.
type cut struct {
	from, to []*place
	port     int  // not zero: only those to or from this port of a replica
	reset    bool // answered with a reset, not silence
}

// table is what the place refuses, in the words of nft.
func (p *place) table(cuts []cut) string {
	var rules strings.Builder
	for _, c := range cuts {
		if !contains(c.to, p) {
			continue
		}
		for _, from := range c.from {
			if from == p {
				continue
			}
			verdict := "drop"
			if c.reset {
				verdict = "reject with tcp reset"
			}
			matches := []string{"meta l4proto tcp"}
			if c.port != 0 {
				matches = []string{fmt.Sprintf("tcp dport %d", c.port), fmt.Sprintf("tcp sport %d", c.port)}
			}
			for _, m := range matches {
				fmt.Fprintf(&rules, "ip saddr %s %s %s\n", from.ip, m, verdict)
			}
		}
	}
	return "table inet cuts\ndelete table inet cuts\ntable inet cuts {\nchain in {\ntype filter hook input priority 0; policy accept;\n" + rules.String() + "}\n}\n"
}

func contains(list []*place, p *place) bool {
	for _, q := range list {
		if p == q {
			return true
		}
	}
	return false
}

// apply replaces the cuts of all places. None: the network is whole.
func (n *network) apply(cuts ...cut) error {
	var errs []error
	for _, p := range n.places {
		rules := p.table(cuts)
		if rules == p.rules {
			continue
		}
		err := p.try(rules, "nft", "-f", "-")
		if err == nil {
			p.rules = rules
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// apart cuts two sets off from each other, both ways.
func apart(a, b []*place, reset bool) []cut {
	return []cut{{from: a, to: b, reset: reset}, {from: b, to: a, reset: reset}}
}
