package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/lockstep-rsm/lockstep/env"
	"github.com/lockstep-rsm/lockstep/internal/host"
)

// upOptions are those of lockstep up.
type upOptions struct {
	replicas             int
	data                 string
	clientPort, hostPort int

	founded bool   // some replica's directory belongs to a cluster, or may
	member  string // such a directory, of one that does
}

// upSegments is the length of the log's files, of which each replica makes two or three ahead: for a try on
// one machine a quarter of the default is enough.
const upSegments = "16MiB"

// maxReplicas keeps the ports of all replicas below 65536 with the default ports.
const maxReplicas = 5

func (p *Program) up() *cobra.Command {
	var o upOptions
	c := &cobra.Command{
		Use: "up", Short: "Run replicas on this machine, as processes of their own", Args: exactly(0),
		Long: `Run replicas on this machine, as processes of their own, until Ctrl-C. One that dies is started again after a second,
later after up to ten. Data is kept: the next lockstep up goes on with it. Logs lie beside it.`,
		RunE: func(c *cobra.Command, _ []string) error { return p.runUp(c.Context(), &o) },
	}
	f := c.Flags()
	f.IntVar(&o.replicas, "replicas", 3, "how many, 1 to 5; one or two tolerate no loss")
	f.StringVar(&o.data, "data", "lockstep-data", "directory: one folder per replica")
	f.IntVar(&o.clientPort, "client-port", 2379, "for clients of the first; the second has 20000 more, the third 30000")
	f.IntVar(&o.hostPort, "host-port", 2380, "between hosts, likewise")
	return c
}

// address is that of the n-th replica, from 0 on.
func address(port, n int) string {
	if n > 0 {
		port += 10000 * (n + 1)
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
}

// check refuses what cannot be, and ports that are taken, before anything is started.
func (o *upOptions) check() error {
	if o.replicas < 1 || o.replicas > maxReplicas {
		return usage(fmt.Errorf("--replicas is %d. It is 1 to %d", o.replicas, maxReplicas))
	}
	if o.data == "" {
		return usage(errors.New("--data is empty. It names the directory, which is made if need be"))
	}
	forClients := map[string]bool{}
	for n := range o.replicas {
		forClients[address(o.clientPort, n)] = true
	}
	for n := range o.replicas {
		if addr := address(o.hostPort, n); forClients[addr] {
			return usage(fmt.Errorf("--client-port is %d and --host-port is %d: both want %s. Give, say, --host-port %d", o.clientPort, o.hostPort, addr, o.clientPort+1))
		}
	}
	for _, port := range []struct {
		flag string
		n    int
	}{{"client-port", o.clientPort}, {"host-port", o.hostPort}} {
		if port.n < 1 {
			return usage(fmt.Errorf("--%s is %d. It is a port, from 1 on", port.flag, port.n))
		}
		top := port.n
		if o.replicas > 1 {
			top += 10000 * o.replicas
		}
		if top > 65535 {
			return usage(fmt.Errorf("--%s is %d. The last of %d replicas would have port %d, at most 65535 can be", port.flag, port.n, o.replicas, top))
		}
		for n := range o.replicas {
			addr := address(port.n, n)
			l, err := net.Listen("tcp", addr)
			if err != nil {
				return &codedError{exitFailed, fmt.Errorf("%s. Stop it, or give lockstep up --%s %d; a second cluster has --client-port, --host-port and --data of its own", portInUse(addr), port.flag, port.n+100)}
			}
			_ = l.Close()
		}
	}
	return nil
}

func (p *Program) runUp(ctx context.Context, o *upOptions) error {
	held, err := p.occupy(o)
	if err != nil {
		return err
	}
	defer held.Close()
	began := p.env.Clock().Now()
	g, err := p.startAll(o)
	if err != nil {
		return err
	}
	defer g.close()
	if err := p.startAnew(ctx, g); err != nil {
		return err
	}
	if err := p.awaitReady(ctx, g); err != nil {
		g.stop()
		if ctx.Err() != nil {
			return nil // stopped before it was ready, as asked
		}
		return err
	}
	p.tellRemoved(ctx, g)
	p.learnIDs(ctx, g)
	terminal := isTerminal(p.Out)
	p.sayReady(g, o, p.env.Clock().Now()-began, terminal)
	g.watch(ctx, func(line string) { fmt.Fprintln(p.Out, line) }, func() {
		if terminal {
			p.env.Run("tell leader", func() { p.tellLeader(ctx, g) })
		}
	})
	g.stop()
	if terminal {
		fmt.Fprintf(p.Out, "\n  stopped. Data in %s, kept.\n", asPath(o.data))
	}
	return nil
}

// occupy makes the data directory and takes its lock, which tells another lockstep up of this process and not of a replica,
// that it would start again. It looks at the lock before the ports, which are taken, too, where the lock is.
func (p *Program) occupy(o *upOptions) (io.Closer, error) {
	if o.data == "" {
		return nil, o.check()
	}
	lock := filepath.ToSlash(filepath.Join(o.data, "LOCK"))
	err := p.env.FS().Locked(lock)
	if err == nil {
		if err := o.check(); err != nil {
			return nil, err
		}
		if err := os.MkdirAll(o.data, 0o755); err != nil {
			return nil, fmt.Errorf("make data directory: %w", err)
		}
		var held io.Closer
		if held, err = p.env.FS().Lock(lock); err == nil {
			return held, nil
		}
	}
	var locked *env.LockedError
	if errors.As(err, &locked) {
		return nil, &codedError{exitFailed, fmt.Errorf("data directory %s is in use by %s. Stop that one, or give lockstep up --data, --client-port and --host-port of its own", o.data, holder(locked))}
	}
	return nil, fmt.Errorf("lock data directory: %w", err)
}

// startAll starts a process for each replica.
func (p *Program) startAll(o *upOptions) (*pack, error) {
	program, err := self()
	if err != nil {
		return nil, fmt.Errorf("find own program: %w", err)
	}
	var founders []string
	for n := range o.replicas {
		founders = append(founders, address(o.hostPort, n))
	}
	g, err := newPack(p.env)
	if err != nil {
		return nil, err
	}
	for n := range o.replicas {
		name := strconv.Itoa(n + 1)
		r := &replica{
			n: n, client: address(o.clientPort, n), host: founders[n],
			dir: filepath.Join(o.data, name), log: filepath.Join(o.data, name+".log"), program: program,
		}
		r.args = []string{"serve", "--data", r.dir, "--client", r.client, "--host", r.host, "--name", name, "--founders", strings.Join(founders, ",")}
		if p.Getenv(inEnv("wal-segment-bytes"))+p.Getenv(inEnv("max-wal-bytes")) == "" {
			r.args = append(r.args, "--wal-segment-bytes", upSegments)
		}
		g.replicas = append(g.replicas, r)
	}
	if err := p.survey(g, o); err != nil {
		return nil, err
	}
	for _, r := range g.replicas {
		if o.founded {
			r.standing = p.standingOf(r, o)
		}
		if r.late = r.standing != host.Taken; !r.late {
			g.start(r)
		}
	}
	return g, nil
}

// standingOf is what the directory of a replica is to the cluster that others belong to.
func (p *Program) standingOf(r *replica, o *upOptions) host.Standing {
	if o.member == "" {
		if r.empty() {
			return host.Blank
		}
		return host.Taken
	}
	s, err := host.StandingOf(p.env, filepath.ToSlash(r.dir), o.member)
	if err != nil {
		return host.Taken // its own process says what is wrong with it
	}
	return s
}

// survey finds out which directories belong to a cluster. Where none of those that are to run does, and another one that
// lies beside them, they would found a second cluster beside the first.
func (p *Program) survey(g *pack, o *upOptions) error {
	for _, r := range g.replicas {
		is, err := host.IsFounded(p.env, filepath.ToSlash(r.dir))
		o.founded = o.founded || is || err != nil // its own process says what is wrong with it
		if is && err == nil {
			o.member = filepath.ToSlash(r.dir)
		}
	}
	if o.founded {
		return nil
	}
	names, err := os.ReadDir(o.data)
	if err != nil {
		return fmt.Errorf("list data directory: %w", err)
	}
	for _, name := range names {
		n, err := strconv.Atoi(name.Name())
		if err != nil || n <= o.replicas {
			continue
		}
		if is, err := host.IsFounded(p.env, filepath.ToSlash(filepath.Join(o.data, name.Name()))); is || err != nil {
			return &codedError{exitFailed, fmt.Errorf("%s belongs to a cluster, and no replica up to %d does: these would found another cluster beside it. Start all of it with --replicas, or give --data another directory",
				filepath.Join(o.data, name.Name()), o.replicas)}
		}
	}
	return nil
}

// startAnew starts the replicas that have no data, or had begun to join, where others belong to a cluster: that has to say
// first whether they are of it. Whoever was removed joins it as another host, who had begun to join goes on; who still belongs to it is started as before, and says how it
// stands. Nothing is founded by that: a founder that belongs to a cluster tells those who ask.
func (p *Program) startAnew(ctx context.Context, g *pack) error {
	const patience = 10 * time.Second
	var clients, late []string
	for _, r := range g.replicas {
		if r.late {
			late = append(late, strconv.Itoa(r.n+1))
		} else {
			clients = append(clients, r.client)
		}
	}
	if len(late) == 0 {
		return nil
	}
	asker := *p
	asker.endpoints, asker.timeout = clients, time.Second
	var hosts []string
	w := p.env.NewWaiter()
	began, told := p.env.Clock().Now(), false
	for until := time.Duration(0); len(hosts) == 0; {
		hosts = asker.hosts(ctx)
		if until == 0 && asker.answer(ctx, clients) {
			until = p.env.Clock().Now() + patience // those that still read their data are waited for
		}
		if err := w.Wait(ctx, p.env.Clock().Now()+20*time.Millisecond); errors.Is(err, context.Canceled) {
			return nil
		}
		if r := g.failed(); r != nil {
			return r.failure()
		}
		if until == 0 && !told && p.env.Clock().Now()-began > patience {
			told = true
			fmt.Fprintf(p.Err, "still waiting for the replicas that have data, before the others start; the logs are %s and so on\n", g.replicas[0].log)
		}
		if len(hosts) == 0 && until != 0 && p.env.Clock().Now() >= until {
			return &codedError{exitFailed, fmt.Errorf("replica %s has no data, and belongs to a cluster, or did: no majority of that says within %v which, so that it is not started. Put its data back, or start a majority of the others; their logs are %s and so on",
				strings.Join(late, ", replica "), patience, g.replicas[0].log)}
		}
	}
	for _, r := range g.replicas {
		if !r.late {
			continue
		}
		if r.standing == host.Joining || !slices.Contains(hosts, r.host) {
			token, err := asker.anyToken(ctx, 10*time.Minute)
			if err != nil {
				return fmt.Errorf("let replica %d join: %w", r.n+1, err)
			}
			at := slices.Index(r.args, "--founders")
			r.args = append(slices.Delete(r.args, at, at+2), "--join", token)
			if r.standing == host.Joining {
				fmt.Fprintf(p.Err, "replica %d was stopped while it joined the cluster: it goes on\n", r.n+1)
			} else {
				fmt.Fprintf(p.Err, "replica %d has no data, and is none of the cluster's hosts: it joins as another one\n", r.n+1)
			}
		}
		g.start(r)
		if !slices.Contains(hosts, r.host) {
			asker.awaitMember(ctx, g, r)
		}
	}
	return nil
}

// awaitMember returns when a replica that joins is a member, or takes long: hosts are numbered in the order in which they
// join, and those of a cluster that lockstep up makes larger ought to have the numbers of their folders.
func (p *Program) awaitMember(ctx context.Context, g *pack, r *replica) {
	const patience = 5 * time.Second
	w := p.env.NewWaiter()
	for until := p.env.Clock().Now() + patience; p.env.Clock().Now() < until && ctx.Err() == nil && g.failed() == nil; {
		if slices.Contains(p.hosts(ctx), r.host) {
			return
		}
		_ = w.Wait(ctx, p.env.Clock().Now()+20*time.Millisecond) //nolint:staticcheck // what ends it is asked above
	}
}
