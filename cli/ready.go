package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
)

// What lockstep up waits for, and says, once its replicas run.

// answer says whether all these servers do.
func (p *Program) answer(ctx context.Context, clients []string) bool {
	return !slices.ContainsFunc(p.askEach(ctx, clients, false, 0), func(a answer) bool { return a.err != nil })
}

// hosts are the addresses of the cluster's hosts, as all of them agree; none, where nobody answers.
func (p *Program) hosts(ctx context.Context) (hosts []string) {
	got, _ := p.members(ctx) // it is asked again, or done without
	for _, m := range got.GetMembers() {
		hosts = append(hosts, plain(first(m.PeerURLs)))
	}
	return hosts
}

// tellRemoved says what to do about replicas that have data, and belong to the cluster no more.
func (p *Program) tellRemoved(ctx context.Context, g *pack) {
	asker := *p
	asker.endpoints, asker.timeout = nil, time.Second
	for _, r := range g.replicas {
		asker.endpoints = append(asker.endpoints, r.client)
	}
	hosts := asker.hosts(ctx)
	for _, r := range g.replicas {
		if len(hosts) > 0 && !r.late && !slices.Contains(hosts, r.host) {
			fmt.Fprintf(p.Err, "replica %d was removed from the cluster. To let it join as another host stop lockstep up, delete %s, and start it again\n", r.n+1, r.dir)
		}
	}
}

// awaitReady returns when a write was committed. The write deletes nothing, so that a new store stays
// at revision 1.
func (p *Program) awaitReady(ctx context.Context, g *pack) error {
	const patience = 10 * time.Second
	began, told := p.env.Clock().Now(), false
	w := p.env.NewWaiter()
	for {
		for _, r := range g.replicas {
			if err := p.probe(ctx, r.client); err == nil {
				return nil
			}
		}
		if r := g.failed(); r != nil {
			return r.failure()
		}
		if !told && p.env.Clock().Now()-began > patience {
			told = true
			fmt.Fprintf(p.Err, "still waiting for a majority: lockstep status tells who is missing; the logs are %s and so on\n", g.replicas[0].log)
		}
		if err := w.Wait(ctx, p.env.Clock().Now()+20*time.Millisecond); errors.Is(err, context.Canceled) {
			return err
		}
	}
}

// failure is the error of a replica whose process has ended before it served.
func (r *replica) failure() error {
	return &codedError{exitFailed, fmt.Errorf("replica %d did not start: %s\nIts log is %s", r.n+1, lastError(r.log), r.log)}
}

// probe has one server commit a write.
func (p *Program) probe(ctx context.Context, endpoint string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	conn, err := p.dial(ctx, endpoint)
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = pb.NewKVClient(conn).DeleteRange(ctx, &pb.DeleteRangeRequest{Key: []byte("\x00lockstep up")}, grpc.WaitForReady(false))
	return err
}

// learnIDs asks each replica for its number and role. Who does not answer keeps its place in the list.
func (p *Program) learnIDs(ctx context.Context, g *pack) {
	var clients []string
	for _, r := range g.replicas {
		clients = append(clients, r.client)
	}
	for i, a := range p.askEach(ctx, clients, false, 0) {
		if a.err == nil {
			g.replicas[i].note(a.status)
		}
	}
}

// sayReady tells a person what runs and what to try, a script one fact per line.
func (p *Program) sayReady(g *pack, o *upOptions, took time.Duration, terminal bool) {
	seconds := fmt.Sprintf("%.1f", took.Seconds())
	if !terminal {
		for _, r := range g.replicas {
			fmt.Fprintln(p.Out, r.line())
		}
		fmt.Fprintf(p.Out, "ready seconds=%s data=%s\n", seconds, o.data)
		return
	}
	for _, r := range g.replicas {
		role := ""
		if r.leads {
			role = "leader"
		}
		fmt.Fprintf(p.Out, "  ✓ %d  %-16s pid %-7d %s\n", r.id(), r.client, r.pid(), role)
	}
	fmt.Fprintf(p.Out, "  ready in %s s: a write was committed. Data in %s, kept.    stop: Ctrl-C\n", seconds, asPath(o.data))
	leader := g.replicas[0]
	for _, r := range g.replicas {
		if r.leads {
			leader = r
		}
	}
	at := ""
	if o.clientPort != 2379 {
		var all []string
		for _, r := range g.replicas {
			all = append(all, r.client)
		}
		at = " --endpoints " + strings.Join(all, ",")
	}
	called := os.Args[0]
	fmt.Fprintf(p.Out, "\n  try\n%s put hello world%s    # or: etcdctl%s put hello world\n%s status%s\nkill -9 %d && %s get hello%s\n\n",
		called, at, at, called, at, leader.pid(), called, at)
}

// asPath writes a name so that it is seen to be a path.
func asPath(name string) string {
	if filepath.IsAbs(name) || strings.HasPrefix(name, ".") {
		return name
	}
	return "./" + name
}

// tellLeader says who leads, once somebody does: what a person asks who has just ended a replica.
func (p *Program) tellLeader(ctx context.Context, g *pack) {
	var clients []string
	for _, r := range g.replicas {
		clients = append(clients, r.client)
	}
	w := p.env.NewWaiter()
	for range 100 {
		for i, a := range p.askEach(ctx, clients, false, 0) {
			if a.err == nil && leads(a.status) {
				fmt.Fprintf(p.Out, "leader id=%d client=%s\n", g.replicas[i].id(), clients[i])
				return
			}
		}
		if err := w.Wait(ctx, p.env.Clock().Now()+100*time.Millisecond); errors.Is(err, context.Canceled) {
			return
		}
	}
}

func isTerminal(out any) bool {
	f, ok := out.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// lastError is the last line of a log that begins with "error:" and what follows it, else the last line.
func lastError(log string) string {
	b, err := os.ReadFile(log)
	if err != nil {
		return "it left no log"
	}
	text := strings.TrimSpace(string(b))
	if i := strings.LastIndex("\n"+text, "\nerror: "); i >= 0 {
		return text[i+len("error: "):]
	}
	return text[strings.LastIndex(text, "\n")+1:]
}
