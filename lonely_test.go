package lockstep_test

import (
	"context"
	"testing"
	"time"

	"github.com/lockstep-rsm/lockstep"
	"github.com/lockstep-rsm/lockstep/env"
)

// dialing counts the connections that a host has made, and how many it had at once.
type dialing struct {
	env.Env
	made, open, most int
}

func (d *dialing) Net() env.Net { return dialer{d.Env.Net(), d} }

type dialer struct {
	env.Net
	d *dialing
}

func (n dialer) Dial(ctx context.Context, addr string) (env.Conn, error) {
	n.d.made, n.d.open = n.d.made+1, n.d.open+1
	n.d.most = max(n.d.most, n.d.open)
	conn, err := n.Net.Dial(ctx, addr)
	if err != nil {
		n.d.open--
		return nil, err
	}
	return &dialedConn{Conn: conn, d: n.d}, nil
}

type dialedConn struct {
	env.Conn
	d      *dialing
	closed bool
}

func (c *dialedConn) Close() error {
	if !c.closed {
		c.closed = true
		c.d.open--
	}
	return c.Conn.Close()
}

// A host that hears nothing of the leader of forty groups asks the others whether its replicas still belong to them: one
// after the other, not with forty connections at once; and those that do not belong any more hear it.
func TestLonelyReplicasAskOneAfterTheOther(t *testing.T) {
	const groups, deaf = 40, 2
	inWorld(t, 61, 3, 10*time.Minute, func(c *island) {
		var d *dialing
		c.tune = func(i int, o *lockstep.Options) {
			if i == deaf {
				d = &dialing{Env: o.Env}
				o.Env = d
			}
		}
		c.startAll()
		for id := lockstep.GroupID(1); id <= groups; id++ {
			if _, err := c.create(0, id, 10*time.Second); err != nil {
				t.Error(err)
				return
			}
		}
		c.w.Sleep(time.Second)
		lead := c.leader(1)
		for id := lockstep.GroupID(2); id <= groups; id++ {
			if l := c.leader(id); l != lead || lead == deaf {
				t.Errorf("group %d is led by host %d, group 1 by %d", id, l, lead)
				return
			}
		}
		c.w.Cut(lead, deaf)
		c.w.Cut(deaf, lead)
		before := d.made
		d.most = d.open
		c.reconfigure(3-deaf-lead, groups, func(conf *lockstep.Configuration) {
			conf.Voters = []lockstep.HostID{lockstep.HostID(lead + 1), lockstep.HostID(3 - deaf - lead + 1)}
		})
		const span = 30 * time.Second
		c.w.Sleep(span)
		if d.most > 15 { // with those of group 0, of the links, and such as the cut holds
			t.Errorf("%d connections at once, of %d in %v", d.most, d.made-before, span)
		}
		if d.made-before < groups/2 {
			t.Errorf("%d connections in %v: it does not ask", d.made-before, span)
		}
		if has := len(c.hosts[deaf].Status().Groups); has != groups-1 {
			t.Errorf("the host has %d replicas, of %d groups that it belongs to", has, groups-1)
		}
	})
}
